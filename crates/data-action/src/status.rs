//! The figures of a running pipeline that its profile does not have: tables in memory, budgets, and the audit log.

use std::{collections::BTreeMap, path::Path};

use flowlake_cost_audit::{
    BudgetStatus, VerifyReport,
    audit::{ShipStatus, Shipper, verify},
};
use serde::Serialize;

use crate::{ActionError, Pipeline, report::RecordName};

/// See the module.
#[derive(Debug, Clone, Serialize)]
pub struct PipelineStatus {
    /// The tables in memory of each action that has some.
    pub hot: BTreeMap<String, HotState>,
    /// Bytes of all tables in memory, those of old versions that are still read included.
    pub hot_bytes: u64,
    /// The most that they may take.
    pub hot_limit_bytes: u64,
    /// What was spent since the start, or in this day and month where there is a limit: all actions together first.
    pub budgets: Vec<BudgetStatus>,
    /// Whether [`Self::budgets`] holds for the whole day and month.
    pub budgets_are_whole: bool,
    /// The audit log.
    pub audit: AuditState,
}

/// The tables in memory of one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HotState {
    /// Sets of tables: one for each set of files that was asked for.
    pub resident: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long ago the oldest was last known to be the present version.
    pub age_ms: u64,
    /// Sets whose last check failed.
    pub stale: u64,
}

/// The audit log.
#[derive(Debug, Clone, Serialize)]
pub struct AuditState {
    /// Whether the last record could be written; nothing is answered otherwise.
    pub writable: bool,
    /// The last record that this process wrote.
    pub last_record: Option<RecordName>,
    /// Segments that are not shipped yet, where they are shipped.
    pub pending_segments: Option<u64>,
}

impl Pipeline {
    /// The figures of this moment.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        let parts = &*self.parts;
        let (ledger, reader) = (&parts.ledger, &parts.reader);
        let shipping = ledger.shipper.as_deref().map(Shipper::status);
        let pending = |status: ShipStatus| status.pending_segments;
        let hot = reader.hot_by_action().into_iter().map(|(name, hot)| {
            let state = HotState {
                resident: hot.resident,
                bytes: hot.bytes,
                age_ms: u64::try_from(hot.oldest.as_millis()).unwrap_or(u64::MAX),
                stale: hot.stale,
            };
            (name, state)
        });
        PipelineStatus {
            hot: hot.collect(),
            hot_bytes: reader.hot_status().bytes,
            hot_limit_bytes: reader.hot_limit_bytes(),
            budgets: ledger.budgets.status(),
            budgets_are_whole: ledger.budgets.has_limits(),
            audit: AuditState {
                writable: ledger.audit.is_healthy(),
                last_record: parts.reporter.last_record.get(),
                pending_segments: shipping.map(pending),
            },
        }
    }

    /// Verifies the chain of the audit log, whole, while it is written. This reads every segment, and blocks the thread.
    ///
    /// # Errors
    /// `audit.unavailable` when the files cannot be read; a broken chain is a report.
    pub fn verify_audit(&self) -> Result<VerifyReport, ActionError> {
        let directory: &Path = &self.parts.audit_directory;
        Ok(verify(directory)?)
    }
}
