//! The time, as the pipeline sees it.

use std::{
    fmt::Debug,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use flowlake_transform::HotClock;

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

/// The pipeline's clock, as hot tables take it.
#[derive(Debug)]
pub(crate) struct HotTime {
    clock: Arc<dyn Clock>,
    started: Instant,
}

impl HotTime {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let started = clock.instant();
        Self { clock, started }
    }
}

impl HotClock for HotTime {
    fn elapsed(&self) -> Duration {
        self.clock.instant().saturating_duration_since(self.started)
    }
}
