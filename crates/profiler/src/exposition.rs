//! The text that Prometheus scrapes, in its own format and in OpenMetrics.
//!
//! Names and units are stable: dashboards are built on them.

use std::fmt::Write as _;

use crate::sample::Phase;
use crate::series::{BOUNDS_MICROS, Buckets, Exemplar, Series};
use crate::state::State;

const REQUESTS: &str = "flowlake_requests";
const DURATION: &str = "flowlake_request_duration_seconds";
const PHASE: &str = "flowlake_phase_duration_seconds";
const BYTES: &str = "flowlake_received_bytes";
const ROWS: &str = "flowlake_rows";
const CACHE_HITS: &str = "flowlake_cache_hits";
const STARTED: &str = "flowlake_start_time_seconds";

/// Which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Prometheus,
    OpenMetrics,
}

/// A figure that is not about requests, shown beside them: its owner gives the value of the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Gauge {
    /// Its name, with the unit at its end.
    pub name: &'static str,
    /// What it tells, as a sentence.
    pub help: &'static str,
    /// Its values, each with its labels.
    pub values: Vec<(Vec<(&'static str, String)>, f64)>,
}

pub(crate) fn write(state: &State, format: Format, gauges: &[Gauge]) -> String {
    let mut text = Text {
        out: String::with_capacity(4096),
        format,
    };
    text.requests(state);
    text.counter(state, BYTES, "Bytes received from S3.", |series| {
        series.counters.start.bytes
    });
    text.counter(state, ROWS, "Rows in answers.", |series| {
        series.counters.start.rows
    });
    text.counter(
        state,
        CACHE_HITS,
        "Requests answered from a cache.",
        |series| series.counters.start.cache_hits,
    );
    text.head(
        DURATION,
        "histogram",
        "Time from a request's arrival to its answer.",
    );
    for (action, series) in &state.actions {
        let labels = format!("action=\"{}\"", escape(action));
        text.buckets(DURATION, &labels, &series.duration_buckets);
    }
    text.head(PHASE, "histogram", "Time spent in one phase of a request.");
    for (action, series) in &state.actions {
        for (phase, buckets) in Phase::ALL.iter().zip(&series.phase_buckets) {
            if buckets.counts.iter().any(|count| *count > 0) {
                let labels = format!("action=\"{}\",phase=\"{}\"", escape(action), phase.name());
                text.buckets(PHASE, &labels, buckets);
            }
        }
    }
    text.head(
        STARTED,
        "gauge",
        "When counting began, in seconds since 1970.",
    );
    text.line(&format!(
        "{STARTED} {}",
        seconds(state.started_unix_ms.saturating_mul(1000))
    ));
    for gauge in gauges {
        text.gauge(gauge);
    }
    if format == Format::OpenMetrics {
        text.out.push_str("# EOF\n");
    }
    text.out
}

#[derive(Debug)]
struct Text {
    out: String,
    format: Format,
}

impl Text {
    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// Counters are named without `_total` in OpenMetrics' metadata, and with it in Prometheus'.
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let suffix = if kind == "counter" && self.format == Format::Prometheus {
            "_total"
        } else {
            ""
        };
        self.line(&format!("# HELP {name}{suffix} {help}"));
        self.line(&format!("# TYPE {name}{suffix} {kind}"));
    }

    fn requests(&mut self, state: &State) {
        self.head(REQUESTS, "counter", "Requests, by action and outcome.");
        for (action, series) in &state.actions {
            for (code, count) in &series.codes {
                let (action, code) = (escape(action), escape(code));
                self.line(&format!(
                    "{REQUESTS}_total{{action=\"{action}\",code=\"{code}\"}} {count}"
                ));
            }
        }
    }

    fn counter(&mut self, state: &State, name: &str, help: &str, value: impl Fn(&Series) -> u64) {
        self.head(name, "counter", help);
        for (action, series) in &state.actions {
            let line = format!(
                "{name}_total{{action=\"{}\"}} {}",
                escape(action),
                value(series)
            );
            self.line(&line);
        }
    }

    fn gauge(&mut self, gauge: &Gauge) {
        self.head(gauge.name, "gauge", gauge.help);
        for (labels, value) in &gauge.values {
            let labels: Vec<String> = labels
                .iter()
                .map(|(name, value)| format!("{name}=\"{}\"", escape(value)))
                .collect();
            let labels = match labels.as_slice() {
                [] => String::new(),
                some => format!("{{{}}}", some.join(",")),
            };
            self.line(&format!("{}{labels} {value:?}", gauge.name));
        }
    }

    fn buckets(&mut self, name: &str, labels: &str, buckets: &Buckets) {
        let mut seen = 0;
        for (index, count) in buckets.counts.iter().enumerate() {
            seen += count;
            let bound = BOUNDS_MICROS
                .get(index)
                .map_or_else(|| "+Inf".to_owned(), |bound| seconds(*bound));
            let exemplar = match (&buckets.exemplars[index], self.format) {
                (Some(exemplar), Format::OpenMetrics) => exemplar_text(exemplar),
                _ => String::new(),
            };
            self.line(&format!(
                "{name}_bucket{{{labels},le=\"{bound}\"}} {seen}{exemplar}"
            ));
        }
        self.line(&format!(
            "{name}_sum{{{labels}}} {}",
            seconds(buckets.sum_micros)
        ));
        self.line(&format!("{name}_count{{{labels}}} {seen}"));
    }
}

fn exemplar_text(exemplar: &Exemplar) -> String {
    format!(
        " # {{trace_id=\"{}\"}} {} {}",
        escape(&exemplar.trace_id),
        seconds(exemplar.micros),
        seconds(exemplar.at_unix_ms.saturating_mul(1000))
    )
}

/// Microseconds as seconds, exactly; whole numbers end in `.0`, as OpenMetrics wants bounds.
fn seconds(micros: u64) -> String {
    let mut text = format!("{}.", micros / 1_000_000);
    let fraction = format!("{:06}", micros % 1_000_000);
    let kept = fraction.trim_end_matches('0');
    let _ = write!(text, "{}", if kept.is_empty() { "0" } else { kept });
    text
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
