//! The last record that this process wrote.

use std::sync::{Mutex, PoisonError};

use flowlake_cost_audit::AuditReceipt;
use serde::Serialize;

/// Which record it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordName {
    /// Its number in the log, from 1.
    pub sequence: u64,
    /// Its chained hash.
    pub hash: String,
}

/// The record with the highest number that was written.
#[derive(Debug, Default)]
pub(crate) struct LastRecord(Mutex<Option<RecordName>>);

impl LastRecord {
    pub(crate) fn note(&self, receipt: &AuditReceipt) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_later = |last: &RecordName| last.sequence < receipt.sequence;
        if last.as_ref().is_none_or(is_later) {
            *last = Some(RecordName {
                sequence: receipt.sequence,
                hash: receipt.hash.clone(),
            });
        }
    }

    pub(crate) fn get(&self) -> Option<RecordName> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }
}
