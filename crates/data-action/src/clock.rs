//! The time, as the pipeline sees it.

use std::{fmt::Debug, time::Instant};

use chrono::{DateTime, Utc};

/// Where the pipeline takes the time from.
pub trait Clock: Debug + Send + Sync {
    /// The calendar time: for `yesterday`, audit records and profiles.
    fn now(&self) -> DateTime<Utc>;

    /// The monotonic time: for durations.
    fn instant(&self) -> Instant;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else asks"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else asks"
    )]
    fn instant(&self) -> Instant {
        Instant::now()
    }
}
