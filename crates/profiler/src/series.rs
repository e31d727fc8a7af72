//! Everything kept about one action.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::latency::{LatencyHistogram, micros};
use crate::sample::{Phase, Sample};
use crate::snapshot::{ActionStats, Latency};
use crate::window::Counters;

/// Upper bounds of the exported buckets, in microseconds: from a hot look-up to the longest data action.
pub(crate) const BOUNDS_MICROS: [u64; 16] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 60_000_000,
];

/// More codes than this are counted as `other`, so that no input can make memory grow.
const MAX_CODES: usize = 64;

/// Exported buckets: cumulative only when they are written out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buckets {
    /// One per bound, and one above the last.
    pub(crate) counts: [u64; BOUNDS_MICROS.len() + 1],
    pub(crate) sum_micros: u64,
    pub(crate) exemplars: [Option<Exemplar>; BOUNDS_MICROS.len() + 1],
}

/// The latest traced request of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Exemplar {
    pub(crate) trace_id: String,
    pub(crate) micros: u64,
    pub(crate) at_unix_ms: u64,
}

impl Buckets {
    fn record(&mut self, duration: Duration, sample: &Sample) {
        let micros = micros(duration);
        let index = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        self.counts[index] += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
        // OpenMetrics allows 128 characters for an exemplar's labels; a trace id has 32.
        if let Some(trace_id) = sample.trace_id.as_ref().filter(|id| id.len() <= 64) {
            self.exemplars[index] = Some(Exemplar {
                trace_id: trace_id.clone(),
                micros,
                at_unix_ms: sample.at_unix_ms,
            });
        }
    }
}

/// One action, or all together.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) counters: Counters,
    pub(crate) codes: BTreeMap<String, u64>,
    phases: [LatencyHistogram; Phase::ALL.len()],
    pub(crate) duration_buckets: Buckets,
    pub(crate) phase_buckets: [Buckets; Phase::ALL.len()],
}

impl Series {
    pub(crate) fn new() -> Self {
        Self {
            counters: Counters::new(),
            codes: BTreeMap::new(),
            phases: Default::default(),
            duration_buckets: Buckets::default(),
            phase_buckets: Default::default(),
        }
    }

    pub(crate) fn record(&mut self, sample: &Sample) {
        self.counters.record(sample);
        let known = self.codes.contains_key(&sample.code);
        let code = if known || self.codes.len() < MAX_CODES {
            sample.code.as_str()
        } else {
            "other"
        };
        match self.codes.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(self.codes.insert(code.to_owned(), 1)),
        }
        self.duration_buckets.record(sample.duration, sample);
        for (phase, duration) in &sample.phases {
            let index = *phase as usize;
            self.phases[index].record(*duration);
            self.phase_buckets[index].record(*duration, sample);
        }
    }

    pub(crate) fn phases(&self) -> BTreeMap<String, Latency> {
        Phase::ALL
            .iter()
            .zip(&self.phases)
            .filter(|(_, histogram)| histogram.count() > 0)
            .map(|(phase, histogram)| (phase.name().to_owned(), histogram.latency()))
            .collect()
    }

    pub(crate) fn errors(&self) -> BTreeMap<String, u64> {
        self.codes
            .iter()
            .filter(|(code, _)| *code != "ok")
            .map(|(code, count)| (code.clone(), *count))
            .collect()
    }

    pub(crate) fn stats(&self, now_unix_ms: u64, started_unix_ms: u64) -> ActionStats {
        ActionStats {
            windows: self.counters.windows(now_unix_ms, started_unix_ms),
            phases: self.phases(),
            errors: self.errors(),
        }
    }
}
