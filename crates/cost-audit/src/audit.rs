//! The audit log: one record per attempt, durable before the answer, each chained to the one before.

mod batch;
mod canonical;
mod end;
mod export;
mod gather;
mod journal;
mod keyed_hash;
mod log;
mod log_id;
mod logs;
mod objects;
mod ocsf;
mod queue;
mod read;
mod record;
mod seal;
mod search;
mod segment;
mod settings;
mod ship;
mod store;
mod verify;
mod writer;

pub use export::{ExportFormat, export, write_entries};
pub use keyed_hash::keyed_hash;
pub use log::{AuditLog, AuditLogBuilder, AuditReceipt};
pub use logs::{LogName, distinct, logs};
pub use objects::LISTED_OBJECTS;
pub use read::{AuditEntry, Entries, Follower, entries, entries_since, search, tail};
pub use record::{AuditObject, AuditRecord, AuditStatus, COMPLIANCE_TAG};
pub use seal::{Seal, SealBody, SealingKey};
pub use search::AuditQuery;
pub use settings::AuditSettings;
pub use ship::{SegmentSink, ShipSettings, ShipStatus, Shipper};
pub use verify::{Problem, ProblemKind, VerifyOptions, VerifyReport, verify, verify_with};
