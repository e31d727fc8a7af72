//! How many records the writer waits for before it syncs.

use std::time::Duration;

/// A faster sync is not worth gathering records for: sleeping takes longer.
const QUICK_SYNC: Duration = Duration::from_micros(30);

/// The longest wait. A caller on the telephone does not notice it, and with batches this large a request waits longer for the processor.
const LIMIT: Duration = Duration::from_millis(2);

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gather {
    pub(super) records: usize,
    pub(super) limit: Duration,
}

/// The number of callers at the same time, estimated from the batches so far.
///
/// Callers that were answered together ask again at about the same time. A separate sync for those that come a moment earlier would
/// cost the processor as much as the look-up of a hot row. A single caller is never delayed.
#[derive(Debug, Default)]
pub(super) struct Callers {
    known: usize,
    took: Duration,
}

impl Callers {
    /// Counts a batch: its size, the callers that came meanwhile, and the time of its write and sync.
    pub(super) fn note(&mut self, batch: usize, meanwhile: usize, took: Duration) {
        // Callers that do not come back are forgotten step by step.
        let remembered = self.known - self.known.div_ceil(8);
        self.known = remembered.max(batch + meanwhile);
        self.took = took;
    }

    /// What the next batch waits for.
    pub(super) fn expected(&self) -> Gather {
        let records = if self.took < QUICK_SYNC {
            1
        } else {
            self.known.max(1)
        };
        Gather {
            records,
            // Half a sync for each caller: when callers come more slowly, batches shrink until there is no wait.
            limit: (self.took / 2)
                .saturating_mul(u32::try_from(records).unwrap_or(u32::MAX))
                .min(LIMIT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_micros(150);

    fn expected(batches: &[(usize, usize)], took: Duration) -> Gather {
        let mut callers = Callers::default();
        for (batch, meanwhile) in batches {
            callers.note(*batch, *meanwhile, took);
        }
        callers.expected()
    }

    #[test]
    fn all_who_were_seen_at_the_same_time_are_waited_for() {
        assert_eq!(expected(&[(3, 5)], SYNC).records, 8);
        assert_eq!(expected(&[(8, 0), (7, 0)], SYNC).records, 7);
        assert_eq!(expected(&[(8, 0), (7, 1)], SYNC).records, 8);
    }

    #[test]
    fn nobody_waits_alone_or_for_a_quick_disk() {
        assert_eq!(expected(&[], SYNC).records, 1);
        assert_eq!(expected(&[(1, 0)], SYNC).records, 1);
        assert_eq!(expected(&[(2, 0), (1, 0)], SYNC).records, 1);
        assert_eq!(expected(&[(8, 0)], Duration::from_micros(29)).records, 1);
    }

    #[test]
    fn who_does_not_come_back_is_forgotten_soon() {
        let mut callers = Callers::default();
        callers.note(256, 0, SYNC);
        let mut alone = 0;
        while callers.expected().records > 1 {
            callers.note(1, 0, SYNC);
            alone += 1;
        }
        assert!(alone <= 32, "{alone} answers waited for nobody");
    }

    #[test]
    fn the_wait_is_half_a_sync_for_each_and_has_an_end() {
        assert_eq!(expected(&[(3, 0)], SYNC).limit, SYNC * 3 / 2);
        assert_eq!(expected(&[(8, 0)], SYNC).limit, SYNC * 4);
        assert_eq!(expected(&[(256, 0)], SYNC).limit, LIMIT);
        assert_eq!(expected(&[(8, 0)], Duration::from_secs(1)).limit, LIMIT);
    }

    /// Batches under a load of `per_second` requests a second that do not wait for each other.
    fn batch_at(per_second: f64) -> usize {
        let mut callers = Callers::default();
        let mut batch = 1;
        let mut arrived = 0.0;
        for _ in 0..200 {
            let gather = callers.expected();
            if gather.records > 1 {
                let wait = gather.limit.as_secs_f64();
                let until_all = (gather.records as f64 - arrived).max(0.0) / per_second;
                arrived += wait.min(until_all) * per_second;
            }
            batch = (arrived as usize).max(1);
            let meanwhile = SYNC.as_secs_f64() * per_second;
            arrived = (arrived - batch as f64).max(0.0) + meanwhile;
            callers.note(batch, arrived as usize, SYNC);
        }
        batch
    }

    #[test]
    fn batches_grow_only_where_callers_come_faster_than_two_in_a_sync() {
        assert_eq!(batch_at(1_000.0), 1);
        assert!(batch_at(8_000.0) < 8);
        assert!(batch_at(40_000.0) > 50);
    }
}
