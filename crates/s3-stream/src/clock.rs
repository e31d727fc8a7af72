//! The monotonic time, so that tests can move it.

use std::{fmt::Debug, time::Instant};

/// The source of time for the freshness of cached metadata and the time to first byte.
pub trait Clock: Debug + Send + Sync {
    /// The monotonic time.
    fn now(&self) -> Instant;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else asks"
    )]
    fn now(&self) -> Instant {
        Instant::now()
    }
}
