//! Where the audit log lies and when it starts a new file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of an [`AuditLog`](super::AuditLog).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSettings {
    /// The folder of the log; made when it is missing.
    pub directory: PathBuf,
    /// A segment that has grown to this size is sealed and a new one started.
    pub max_segment_bytes: u64,
    /// Whether a new UTC day starts a new segment.
    pub rotate_daily: bool,
    /// The most records of one write and fsync; records beyond it wait for the next one. Larger batches raise throughput under load
    /// and cost memory.
    pub max_batch_records: usize,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("audit"),
            max_segment_bytes: 64 << 20,
            rotate_daily: true,
            max_batch_records: 1024,
        }
    }
}
