//! How much is spent on sending requests again.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::{Error, ErrorKind};

/// A store's budget of retries, so that a failing S3 does not get a multiple of the requests that a healthy one gets.
///
/// Sizes are those of the AWS SDKs' standard mode: 500 tokens, 5 for a retry, 10 after a timeout, one back for each request
/// that succeeds (AWS SDKs and Tools Reference Guide, "Retry behavior").
#[derive(Debug)]
pub(crate) struct RetryBudget(AtomicU32);

const CAPACITY: u32 = 500;
const RETRY_COST: u32 = 5;
const TIMEOUT_COST: u32 = 10;

impl RetryBudget {
    pub(crate) const fn new() -> Self {
        Self(AtomicU32::new(CAPACITY))
    }

    /// Takes the price of one retry, unless too little is left.
    pub(crate) fn take(&self, error: &Error) -> bool {
        let cost = if error.kind() == ErrorKind::Stalled {
            TIMEOUT_COST
        } else {
            RETRY_COST
        };
        self.0
            .fetch_update(Relaxed, Relaxed, |left| left.checked_sub(cost))
            .is_ok()
    }

    pub(crate) fn succeeded(&self) {
        // Full already is as good as given back.
        let _ = self.0.fetch_update(Relaxed, Relaxed, |left| {
            (left < CAPACITY).then_some(left + 1)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::RetryBudget;
    use crate::{Error, ErrorKind};

    #[test]
    fn retries_end_when_too_many_fail_and_begin_again_with_success() {
        let budget = RetryBudget::new();
        let error = Error::new(ErrorKind::Throttled, "");
        assert_eq!((0..1000).filter(|_| budget.take(&error)).count(), 100);
        for _ in 0..5 {
            assert!(!budget.take(&error));
            budget.succeeded();
        }
        assert!(budget.take(&error));
        assert!(!budget.take(&Error::new(ErrorKind::Stalled, "")));
    }
}
