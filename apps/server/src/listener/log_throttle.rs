//! What happens many times a second and is logged now and then, with how often it happened.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Seldom {
    every: Duration,
    last: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    pub(crate) const fn new(every: Duration) -> Self {
        Self {
            every,
            last: None,
            unsaid: 0,
        }
    }

    /// Counts one; when it is time for a line, returns how often it happened since the last.
    pub(crate) fn note(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        let is_time = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= self.every);
        is_time.then(|| {
            self.last = Some(now);
            std::mem::take(&mut self.unsaid)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Seldom;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an instant to count from")]
    fn a_line_says_how_often_it_was() {
        let start = std::time::Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut seldom = Seldom::new(Duration::from_secs(10));
        let said = [0, 1, 9, 10, 11, 40].map(|seconds| seldom.note(at(seconds)));
        assert_eq!(said, [Some(1), None, None, Some(3), None, Some(2)]);
    }
}
