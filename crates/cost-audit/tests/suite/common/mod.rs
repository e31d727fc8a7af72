//! What the tests of the log share.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use chrono::{DateTime, Utc};
use flowlake_cost_audit::{AuditLog, AuditRecord, AuditSettings, Clock, ErrorKind};

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub(crate) struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    pub(crate) fn at(text: &str) -> Self {
        Self(Mutex::new(text.parse().unwrap()))
    }

    pub(crate) fn set(&self, text: &str) {
        *self.0.lock().unwrap() = text.parse().unwrap();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

pub(crate) fn settings(directory: &Path) -> AuditSettings {
    AuditSettings {
        directory: directory.to_owned(),
        ..AuditSettings::default()
    }
}

pub(crate) fn record(action: &str) -> AuditRecord {
    AuditRecord {
        action: action.to_owned(),
        ..AuditRecord::default()
    }
}

/// Opens a log whose lock is just being given back by a writer thread that ends.
pub(crate) fn reopen(open: impl Fn() -> Result<AuditLog, flowlake_cost_audit::Error>) -> AuditLog {
    for _ in 0..400 {
        match open() {
            Err(error) if error.kind() == ErrorKind::Locked => {
                std::thread::sleep(Duration::from_millis(5))
            }
            other => return other.unwrap(),
        }
    }
    panic!("the lock was not given back");
}
