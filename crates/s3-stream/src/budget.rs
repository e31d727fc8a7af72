//! Bytes that the reads of a process may fetch ahead, all together.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::S3StreamSettings;

/// Permits are counted in KiB, so that a semaphore of 32-bit permits covers every budget.
const UNIT: u64 = 1024;

/// A budget that any number of [`crate::S3Stream`]s share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReadBudget {
    permits: Arc<Semaphore>,
}

impl ReadBudget {
    /// A budget of the settings' `budget_bytes`.
    #[must_use]
    pub fn new(settings: &S3StreamSettings) -> Self {
        let units = usize::try_from(settings.budget_bytes / UNIT)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(units)),
        }
    }

    /// Takes `bytes` now or not at all.
    ///
    /// Nobody waits for the budget: a read that holds fetched parts may itself wait for another read that needs budget,
    /// so waiting could last for ever. A read that gets none goes on without fetching ahead.
    pub(crate) fn try_take(&self, bytes: u64) -> Option<BudgetShare> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        let permit = Arc::clone(&self.permits)
            .try_acquire_many_owned(units)
            .ok()?;
        Some(BudgetShare {
            permit,
            released: 0,
        })
    }
}

/// What a part holds of the budget. Dropping it gives the rest back.
#[derive(Debug)]
pub(crate) struct BudgetShare {
    permit: OwnedSemaphorePermit,
    /// Bytes given up that are less than a unit.
    released: u64,
}

impl BudgetShare {
    /// Gives `bytes` back, in whole units.
    pub(crate) fn release(&mut self, bytes: u64) {
        self.released += bytes;
        let units = self.released / UNIT;
        self.released %= UNIT;
        let units = usize::try_from(units).unwrap_or(usize::MAX);
        drop(self.permit.split(units.min(self.permit.num_permits())));
    }
}

#[cfg(test)]
mod tests {
    use super::ReadBudget;
    use crate::S3StreamSettings;

    #[test]
    fn what_is_taken_comes_back_when_dropped() {
        let budget = ReadBudget::new(&S3StreamSettings {
            budget_bytes: 10 << 10,
            ..S3StreamSettings::default()
        });
        let first = budget.try_take(8 << 10);
        assert!(first.is_some());
        assert!(budget.try_take(4 << 10).is_none());
        drop(first);
        assert!(budget.try_take(4 << 10).is_some());
    }

    #[test]
    fn what_is_delivered_comes_back_before_the_rest() {
        let budget = ReadBudget::new(&S3StreamSettings {
            budget_bytes: 10 << 10,
            ..S3StreamSettings::default()
        });
        let mut held = budget.try_take(10 << 10).unwrap();
        for _ in 0..8 {
            held.release(500);
        }
        assert!(budget.try_take(4 << 10).is_none());
        held.release(96);
        assert!(budget.try_take(4 << 10).is_some());
    }
}
