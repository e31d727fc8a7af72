//! At most so many requests in any minute: what is more waits, instead of being refused with 429.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{Clock, Error, ErrorKind};

/// The window of Genesys Cloud's limit (`client.credentials.token.rate.per.minute`).
const WINDOW: Duration = Duration::from_secs(60);

/// Lets a number of requests through in any minute, first come, first served. Clones share the count.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    clock: Arc<dyn Clock>,
    /// When the last requests went through, oldest first; never more than `limit`.
    passed: Mutex<VecDeque<Instant>>,
    /// Held by the first of those who wait: the others queue behind it in order.
    turn: tokio::sync::Mutex<()>,
}

impl RateLimiter {
    /// A limit of `requests_per_minute`, at least one.
    #[must_use]
    pub fn new(requests_per_minute: u32, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::new(Shared {
                limit: usize::try_from(requests_per_minute)
                    .unwrap_or(usize::MAX)
                    .max(1),
                clock,
                passed: Mutex::default(),
                turn: tokio::sync::Mutex::default(),
            }),
        }
    }

    /// Returns when a request may be sent.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`] at once when that would take longer than `wait`, with the time until then.
    pub async fn acquire(&self, wait: Duration) -> Result<(), Error> {
        let deadline = self.shared.clock.now() + wait;
        let _turn = self.shared.turn.lock().await;
        loop {
            let Some(free_at) = self.pass_or_wait_until() else {
                return Ok(());
            };
            let now = self.shared.clock.now();
            let missing = free_at.saturating_duration_since(now);
            if free_at > deadline {
                return Err(Error::new(
                    ErrorKind::RateLimited,
                    format!("{} requests were made in the last minute, as many as the platform allows a token", self.shared.limit),
                )
                .with_retry_after(Some(missing)));
            }
            self.shared.clock.sleep(missing).await;
        }
    }

    /// Forgets what was sent: a new token starts with a full minute.
    pub(crate) fn reset(&self) {
        self.passed().clear();
    }

    /// Counts a request, or tells when the next one may go.
    fn pass_or_wait_until(&self) -> Option<Instant> {
        let now = self.shared.clock.now();
        let mut passed = self.passed();
        while passed
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW)
        {
            passed.pop_front();
        }
        if passed.len() < self.shared.limit {
            passed.push_back(now);
            return None;
        }
        passed.front().map(|oldest| *oldest + WINDOW)
    }

    fn passed(&self) -> std::sync::MutexGuard<'_, VecDeque<Instant>> {
        self.shared
            .passed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
