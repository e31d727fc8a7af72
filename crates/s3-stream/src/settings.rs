//! How S3 is read.

use std::time::Duration;

use serde::Deserialize;

/// Sizes, numbers and waits of reading.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3StreamSettings {
    /// Size in bytes of one ranged GET. Smaller parts start sooner and cost more requests: a GB in 8 MiB parts is
    /// 120 GETs, about 0.00005 USD.
    pub part_bytes: u64,
    /// GETs of one read that run at the same time.
    pub concurrency: usize,
    /// Bytes that all reads of a process together may have fetched ahead of their readers. Each read may hold one part more.
    pub budget_bytes: u64,
    /// Tries of one request, or of one part without progress, before it fails.
    pub attempts: u32,
    /// Longest wait in milliseconds for the head of an answer.
    pub response_timeout_ms: u64,
    /// Longest wait in milliseconds for the next bytes of a body.
    pub stall_timeout_ms: u64,
    /// How long metadata is believed, in milliseconds. Reads are pinned to it: an older object is never mixed with a newer.
    pub metadata_ttl_ms: u64,
    /// How long it is believed that an object does not exist, in milliseconds.
    pub missing_ttl_ms: u64,
    /// How many objects' metadata is kept.
    pub metadata_entries: u64,
}

impl Default for S3StreamSettings {
    fn default() -> Self {
        Self {
            part_bytes: 8 << 20,
            concurrency: 8,
            budget_bytes: 64 << 20,
            attempts: 4,
            response_timeout_ms: 10_000,
            stall_timeout_ms: 10_000,
            metadata_ttl_ms: 30_000,
            missing_ttl_ms: 2_000,
            metadata_entries: 10_000,
        }
    }
}

impl S3StreamSettings {
    pub(crate) const fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms)
    }

    pub(crate) const fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms)
    }
}
