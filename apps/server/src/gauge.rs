//! Building the gauges that monitoring reads.

use flowlake_data_action::Gauge;

/// A gauge without labels.
pub(crate) fn single(name: &'static str, help: &'static str, value: f64) -> Gauge {
    Gauge {
        name,
        help,
        values: vec![(Vec::new(), value)],
    }
}

/// A count as the value of a gauge.
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) const fn number(count: u64) -> f64 {
    count as f64
}
