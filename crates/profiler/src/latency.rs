//! A histogram of durations with bounded memory and bounded error.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::snapshot::Latency;

/// Longer durations are counted as this one; the exact maximum is kept beside it.
const HIGHEST_MICROS: u64 = 3_600_000_000;

/// Two significant digits: every value is kept within 1/128 of itself.
const DIGITS: u8 = 2;

/// Durations, in microseconds; takes no memory until the first one.
#[derive(Debug, Clone, Default)]
pub(crate) struct LatencyHistogram {
    histogram: Option<Histogram<u64>>,
    sum_micros: u64,
    max_micros: u64,
}

impl LatencyHistogram {
    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = micros(duration);
        self.sum_micros = self.sum_micros.saturating_add(micros);
        self.max_micros = self.max_micros.max(micros);
        self.histogram
            .get_or_insert_with(new_histogram)
            .saturating_record(micros.clamp(1, HIGHEST_MICROS));
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if let Some(more) = &other.histogram {
            self.histogram
                .get_or_insert_with(new_histogram)
                .add(more)
                .expect("both histograms have the same bounds");
        }
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
        self.max_micros = self.max_micros.max(other.max_micros);
    }

    pub(crate) fn reset(&mut self) {
        if let Some(histogram) = &mut self.histogram {
            histogram.reset();
        }
        self.sum_micros = 0;
        self.max_micros = 0;
    }

    pub(crate) fn count(&self) -> u64 {
        self.histogram.as_ref().map_or(0, Histogram::len)
    }

    pub(crate) fn latency(&self) -> Latency {
        let Some(histogram) = self.histogram.as_ref().filter(|found| !found.is_empty()) else {
            return Latency::default();
        };
        let at = |quantile: f64| {
            let micros = histogram.value_at_quantile(quantile).min(self.max_micros);
            millis(micros)
        };
        Latency {
            count: histogram.len(),
            mean_ms: millis(self.sum_micros) / count_as_f64(histogram.len()),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            max_ms: millis(self.max_micros),
        }
    }
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_MICROS, DIGITS)
        .expect("the bounds are constants in range")
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Exact up to 2^53 microseconds, which is 285 years.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(crate) fn count_as_f64(count: u64) -> f64 {
    count as f64
}
