//! A limit on requests in any minute: requests beyond it wait, instead of being refused with 429.

use std::{
    collections::VecDeque,
    mem::ManuallyDrop,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    turns: Mutex<Turns>,
}

/// The turns of the last minute and those that callers wait for.
#[derive(Debug, Default)]
struct Turns {
    /// In order of time; each at least a minute behind the one `limit` places before it.
    at: VecDeque<Instant>,
    /// Counts the calls of [`RateLimiter::reset`].
    generation: u64,
}

/// A turn that a caller waits for, and gives back when it stops waiting.
struct Turn<'a> {
    shared: &'a Shared,
    at: Instant,
    generation: u64,
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
                turns: Mutex::default(),
            }),
        }
    }

    /// Returns when a request may be sent.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`] at once when that would take longer than `wait`, with the time until then. Requests that were
    /// asked for earlier go first.
    pub async fn acquire(&self, wait: Duration) -> Result<(), Error> {
        self.acquire_telling(wait, |_| ()).await
    }

    /// As [`Self::acquire`]; `tell` is called with the length of a wait before it begins.
    ///
    /// # Errors
    /// As for [`Self::acquire`].
    pub async fn acquire_telling(
        &self,
        wait: Duration,
        tell: impl Fn(Duration),
    ) -> Result<(), Error> {
        let deadline = self.shared.clock.now() + wait;
        loop {
            let turn = self.shared.take_turn(deadline)?;
            let missing = turn.at.saturating_duration_since(self.shared.clock.now());
            if !missing.is_zero() {
                tell(missing);
                self.shared.clock.sleep(missing).await;
            }
            if turn.use_up() {
                return Ok(());
            }
        }
    }

    /// Forgets what was sent: a new token starts with a full minute.
    pub(crate) fn reset(&self) {
        let mut turns = self.shared.turns();
        turns.at.clear();
        turns.generation += 1;
    }
}

impl Shared {
    /// The next free turn, unless it is after `deadline`.
    fn take_turn(&self, deadline: Instant) -> Result<Turn<'_>, Error> {
        let now = self.clock.now();
        let mut turns = self.turns();
        while turns
            .at
            .front()
            .is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW)
        {
            turns.at.pop_front();
        }
        let full = turns.at.len().checked_sub(self.limit);
        let free_at = full.map_or(now, |first| (turns.at[first] + WINDOW).max(now));
        // Never before a turn that another caller waits for: one that was given back must not let a later caller overtake.
        let at = turns.at.back().map_or(free_at, |last| free_at.max(*last));
        if at > deadline {
            return Err(Error::new(
                ErrorKind::RateLimited,
                format!("{} requests were made in the last minute, as many as the platform allows a token", self.limit),
            )
            .with_retry_after(Some(at.saturating_duration_since(now))));
        }
        turns.at.push_back(at);
        Ok(Turn {
            shared: self,
            at,
            generation: turns.generation,
        })
    }

    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Uses the turn up. `false` when the limiter was reset meanwhile: then it has to be taken again, or it would not count.
    fn use_up(self) -> bool {
        let turn = ManuallyDrop::new(self);
        turn.shared.turns().generation == turn.generation
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut turns = self.shared.turns();
        if turns.generation == self.generation
            && let Some(index) = turns.at.iter().rposition(|at| *at == self.at)
        {
            turns.at.remove(index);
        }
    }
}
