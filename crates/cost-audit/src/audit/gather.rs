//! For how many records the writer waits before it syncs.

use std::time::Duration;

/// A disk that is done sooner is not worth waiting for: to sleep takes longer.
const QUICK_SYNC: Duration = Duration::from_micros(30);

/// Longest wait for the records of others, in times of the disk's own.
const SYNCS: u32 = 4;

/// Longest wait on a slow disk: nobody on a phone hears a millisecond.
const LIMIT: Duration = Duration::from_millis(1);

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gather {
    pub(super) records: usize,
    pub(super) limit: Duration,
}

/// Who asks at the same time, by the batches so far.
///
/// A caller that was answered together with others asks again at about the same time as they, so a sync for those who are faster by
/// a moment is a sync too many, and costs the processor as much as the look-up of a hot row. Who writes alone never waits.
#[derive(Debug, Default)]
pub(super) struct Callers {
    known: usize,
    took: Duration,
}

impl Callers {
    /// Counts a batch, whose write and sync took so long, and those who came meanwhile.
    pub(super) fn note(&mut self, batch: usize, meanwhile: usize, took: Duration) {
        // One by one those are forgotten who do not come back.
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
            limit: (self.took * SYNCS).min(LIMIT),
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
    fn the_wait_is_in_proportion_to_the_disk_and_has_an_end() {
        assert_eq!(expected(&[(8, 0)], SYNC).limit, SYNC * 4);
        assert_eq!(expected(&[(8, 0)], Duration::from_secs(1)).limit, LIMIT);
    }
}
