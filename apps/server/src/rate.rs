//! How many requests a client may send: evenly over time, with some at once after a pause (GCRA).
//!
//! A clock that tests can move and one atomic number are all that it takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use flowlake_data_action::{Clock, RateSettings};

const MINUTE_NANOS: u64 = 60_000_000_000;

/// The requests of one client.
#[derive(Debug)]
pub(crate) struct Rate {
    clock: Arc<dyn Clock>,
    begin: Instant,
    /// Nanoseconds between two requests at an even rate.
    interval: u64,
    /// Nanoseconds that requests may run ahead of it.
    ahead: u64,
    /// When, at even intervals, the next request would come; nanoseconds since the begin.
    next: AtomicU64,
}

impl Rate {
    pub(crate) fn new(settings: RateSettings, clock: Arc<dyn Clock>) -> Self {
        let interval = MINUTE_NANOS / u64::from(settings.per_minute.max(1));
        Self {
            begin: clock.instant(),
            clock,
            interval,
            ahead: interval * u64::from(settings.burst.saturating_sub(1)),
            next: AtomicU64::new(0),
        }
    }

    /// Counts one request, or says how long it would have to wait.
    pub(crate) fn take(&self) -> Result<(), Duration> {
        let now = self.clock.instant().saturating_duration_since(self.begin);
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let taken = self.next.fetch_update(Relaxed, Relaxed, |next| {
            let due = next.max(now);
            (due - now <= self.ahead).then(|| due + self.interval)
        });
        match taken {
            Ok(_) => Ok(()),
            Err(next) => Err(Duration::from_nanos(next.max(now) - now - self.ahead)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::{Duration, Instant},
    };

    use chrono::{DateTime, Utc};
    use flowlake_data_action::{Clock, RateSettings, SystemClock};

    use super::Rate;

    #[derive(Debug)]
    struct Moved(Instant, Mutex<Duration>);

    impl Clock for Moved {
        fn now(&self) -> DateTime<Utc> {
            DateTime::UNIX_EPOCH
        }

        fn instant(&self) -> Instant {
            self.0 + *self.1.lock().unwrap()
        }
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rest_at_its_pace() {
        let clock = Arc::new(Moved(SystemClock.instant(), Mutex::default()));
        let moved = Arc::clone(&clock);
        let wait = move |time: u64| *moved.1.lock().unwrap() += Duration::from_millis(time);
        let settings = RateSettings {
            per_minute: 60,
            burst: 3,
        };
        let rate = Rate::new(settings, clock);
        assert!((0..3).all(|_| rate.take().is_ok()));
        assert_eq!(rate.take(), Err(Duration::from_secs(1)));
        wait(999);
        assert_eq!(rate.take(), Err(Duration::from_millis(1)));
        wait(1);
        assert!(rate.take().is_ok() && rate.take().is_err());
        // A pause gives no more than the burst.
        wait(3_600_000);
        assert!((0..3).all(|_| rate.take().is_ok()) && rate.take().is_err());
    }
}
