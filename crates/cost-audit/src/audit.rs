//! The audit log: one record per attempt, durable before the answer, each chained to the one before.

mod canonical;
mod keyed_hash;
mod log;
mod record;
mod segment;
mod settings;
mod verify;
mod writer;

pub use keyed_hash::keyed_hash;
pub use log::{AuditLog, AuditLogBuilder, AuditReceipt};
pub use record::{AuditObject, AuditRecord, AuditStatus, COMPLIANCE_TAG};
pub use settings::AuditSettings;
pub use verify::{Problem, ProblemKind, VerifyReport, verify};
