//! Limits log lines about an event that may happen many times a second.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct LogThrottle {
    interval: Duration,
    last_line: Option<Instant>,
    unlogged: u64,
}

impl LogThrottle {
    pub(crate) const fn new(interval: Duration) -> Self {
        Self {
            interval,
            last_line: None,
            unlogged: 0,
        }
    }

    /// Counts one event. Returns the number of events since the last line when the next line is due.
    pub(crate) fn count(&mut self, now: Instant) -> Option<u64> {
        self.unlogged += 1;
        let is_time = self
            .last_line
            .is_none_or(|last| now.saturating_duration_since(last) >= self.interval);
        is_time.then(|| {
            self.last_line = Some(now);
            std::mem::take(&mut self.unlogged)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::LogThrottle;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an instant to count from")]
    fn a_line_counts_the_events_since_the_last() {
        let start = std::time::Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut throttle = LogThrottle::new(Duration::from_secs(10));
        let said = [0, 1, 9, 10, 11, 40].map(|seconds| throttle.count(at(seconds)));
        assert_eq!(said, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
