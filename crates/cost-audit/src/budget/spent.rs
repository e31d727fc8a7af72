//! What this server spent, shared by its requests and by the exchange with other servers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use super::spend::{State, Sum, first_of_month};
use crate::audit;
use crate::clock::Clock;
use crate::error::Error;

/// What this server spent, for all limits that hold over it.
#[derive(Debug)]
pub(super) struct Spent {
    pub(super) clock: Arc<dyn Clock>,
    /// When counting began: what was spent before is only in the audit log.
    pub(super) began: DateTime<Utc>,
    state: Mutex<State>,
}

impl Spent {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            began: clock.now(),
            clock,
            state: Mutex::default(),
        }
    }

    /// Counts what the audit log says was spent this month, before some moment; once.
    pub(super) fn restore(
        &self,
        directory: &Path,
        end: Option<DateTime<Utc>>,
    ) -> Result<(), Error> {
        if self.lock().is_restored || !directory.exists() {
            return Ok(());
        }
        // Of the month before too, on its day after: the clock may be set back by some seconds.
        let yesterday = self.today().pred_opt().unwrap_or_default();
        let month = first_of_month(yesterday);
        let mut before = Vec::new();
        for entry in audit::entries_since(directory, month)? {
            let record = entry?.record;
            if end.is_none_or(|end| record.time < end) {
                before.push(record);
            }
        }
        let mut state = self.lock();
        if !std::mem::replace(&mut state.is_restored, true) {
            for record in before {
                let cost = record.cost_usd.unwrap_or_default();
                let bytes = record.bytes_transferred;
                state.count(&record.action, cost, bytes, record.time);
            }
        }
        Ok(())
    }

    /// Every sum that other servers have to know.
    pub(super) fn stated(&self) -> BTreeMap<Sum, Decimal> {
        let today = self.today();
        self.lock().stated(today)
    }

    /// Gives up claims that were not used lately, or all that are not spent.
    pub(super) fn release(&self, all: bool) {
        let today = self.today();
        self.lock().release(today, all);
    }

    pub(super) fn today(&self) -> NaiveDate {
        self.clock.now().date_naive()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
