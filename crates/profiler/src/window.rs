//! Counts and durations of the last minute, the last hour and since the start.

use crate::latency::{LatencyHistogram, count_as_f64};
use crate::sample::Sample;
use crate::snapshot::{WindowStats, Windows};

/// What is counted in one stretch of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    pub(crate) bytes: u64,
    pub(crate) rows: u64,
    pub(crate) cache_hits: u64,
    pub(crate) duration: LatencyHistogram,
}

impl Tally {
    fn record(&mut self, sample: &Sample) {
        self.requests += 1;
        self.errors += u64::from(!sample.is_ok());
        self.bytes = self.bytes.saturating_add(sample.bytes);
        self.rows = self.rows.saturating_add(sample.rows);
        self.cache_hits += u64::from(sample.cache_hit);
        self.duration.record(sample.duration);
    }

    fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.rows = self.rows.saturating_add(other.rows);
        self.cache_hits += other.cache_hits;
        self.duration.add(&other.duration);
    }

    fn reset(&mut self) {
        self.duration.reset();
        *self = Self {
            duration: std::mem::take(&mut self.duration),
            ..Self::default()
        };
    }

    fn stats(&self, seconds: f64) -> WindowStats {
        let requests = count_as_f64(self.requests);
        let share = |part: u64| {
            if self.requests == 0 {
                0.0
            } else {
                count_as_f64(part) / requests
            }
        };
        WindowStats {
            requests: self.requests,
            errors: self.errors,
            requests_per_second: if seconds > 0.0 {
                requests / seconds
            } else {
                0.0
            },
            error_rate: share(self.errors),
            cache_hit_rate: share(self.cache_hits),
            bytes: self.bytes,
            rows: self.rows,
            duration: self.duration.latency(),
        }
    }
}

/// A window that moves on in steps: a ring of tallies, the oldest reused for the newest.
#[derive(Debug, Clone)]
struct Ring {
    slot_ms: u64,
    slots: Vec<(u64, Tally)>,
}

impl Ring {
    fn new(slot_ms: u64, slots: usize) -> Self {
        Self {
            slot_ms,
            slots: vec![(0, Tally::default()); slots],
        }
    }

    fn record(&mut self, sample: &Sample) {
        let number = sample.at_unix_ms / self.slot_ms;
        let index = usize::try_from(number % self.slots.len() as u64).unwrap_or(0);
        let (held, tally) = &mut self.slots[index];
        if *held > number {
            // Later than the whole window: only the totals since the start count it.
            return;
        }
        if *held != number {
            *held = number;
            tally.reset();
        }
        tally.record(sample);
    }

    fn stats(&self, now_unix_ms: u64, started_unix_ms: u64) -> WindowStats {
        let current = now_unix_ms / self.slot_ms;
        let oldest = (current + 1).saturating_sub(self.slots.len() as u64);
        let mut sum = Tally::default();
        for (number, tally) in &self.slots {
            if (oldest..=current).contains(number) {
                sum.add(tally);
            }
        }
        let from = (oldest * self.slot_ms).max(started_unix_ms);
        sum.stats(seconds_between(from, now_unix_ms))
    }
}

/// The three windows of one action, or of all.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    minute: Ring,
    hour: Ring,
    pub(crate) start: Tally,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            minute: Ring::new(10_000, 6),
            hour: Ring::new(300_000, 12),
            start: Tally::default(),
        }
    }

    pub(crate) fn record(&mut self, sample: &Sample) {
        self.minute.record(sample);
        self.hour.record(sample);
        self.start.record(sample);
    }

    pub(crate) fn windows(&self, now_unix_ms: u64, started_unix_ms: u64) -> Windows {
        Windows {
            last_minute: self.minute.stats(now_unix_ms, started_unix_ms),
            last_hour: self.hour.stats(now_unix_ms, started_unix_ms),
            since_start: self
                .start
                .stats(seconds_between(started_unix_ms, now_unix_ms)),
        }
    }
}

/// At least one second, so that the first request is not a huge rate.
fn seconds_between(from_unix_ms: u64, to_unix_ms: u64) -> f64 {
    count_as_f64(to_unix_ms.saturating_sub(from_unix_ms).max(1000)) / 1000.0
}
