//! How S3 is read.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// Parts that a read starts with.
pub(crate) const FIRST_WINDOW: usize = 4;

/// Sizes, numbers and waits of reading.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3StreamSettings {
    /// Largest size in bytes of one ranged GET. Smaller parts start sooner and cost more requests: a GB in 4 MiB parts is
    /// 240 GETs, about 0.0001 USD.
    pub part_bytes: u64,
    /// Smallest size in bytes of one ranged GET: what is no larger is read with one, what is larger with several at once.
    pub min_part_bytes: u64,
    /// Most GETs of one read that run at the same time. A read begins with 4 and takes more when that makes it faster.
    pub concurrency: usize,
    /// Bytes that all reads of a process together may have fetched ahead of their readers. A read that finds none left goes
    /// on with one GET at a time, as fast as its bytes are taken. For `concurrency` parts of `part_bytes`: S3 brings 85 to 90 MB
    /// a second over each connection, and with half of that, a read that is alone takes twice as long.
    pub budget_bytes: u64,
    /// Tries of one request, or of one part without progress, before it fails. All retries of a store also share a budget.
    pub attempts: u32,
    /// Longest wait in milliseconds for the head of an answer.
    pub response_timeout_ms: u64,
    /// Longest wait in milliseconds for the next bytes of a body.
    pub stall_timeout_ms: u64,
    /// How long metadata is believed, in milliseconds. Reads are pinned to it: an older object is never mixed with a newer.
    pub metadata_ttl_ms: u64,
    /// How long it is believed that an object does not exist, in milliseconds.
    pub missing_ttl_ms: u64,
    /// Bytes of metadata that are kept, estimated: about 500 for an object.
    pub metadata_cache_bytes: u64,
    /// Accept that the reader pays for requests and transfer, as requester-pays buckets want.
    pub requester_pays: bool,
    /// Let S3 begin a listing after a key. Without it, what comes before is listed too, and left out here: for servers that do
    /// not know `start-after` (SeaweedFS 4 leaves out too much). Directory buckets never do, whatever is set.
    pub list_start_after: bool,
}

impl Default for S3StreamSettings {
    fn default() -> Self {
        Self {
            part_bytes: 4 << 20,
            min_part_bytes: 1 << 20,
            concurrency: 16,
            budget_bytes: 64 << 20,
            attempts: 4,
            response_timeout_ms: 10_000,
            stall_timeout_ms: 10_000,
            metadata_ttl_ms: 30_000,
            missing_ttl_ms: 2_000,
            metadata_cache_bytes: 16 << 20,
            requester_pays: false,
            list_start_after: true,
        }
    }
}

impl S3StreamSettings {
    /// How many GETs a whole read of this many bytes takes when none has to be sent again; for estimates of what it costs.
    #[must_use]
    pub fn gets(&self, bytes: u64) -> u64 {
        if bytes <= self.min_part_bytes.min(self.part_bytes) {
            return 1;
        }
        bytes.div_ceil(self.part_bytes_of(bytes))
    }

    /// The size of the parts that a read of this many bytes is cut into.
    pub(crate) fn part_bytes_of(&self, bytes: u64) -> u64 {
        let window = FIRST_WINDOW.min(self.concurrency);
        let smallest = self.min_part_bytes.min(self.part_bytes);
        let share = bytes.div_ceil(window.max(1) as u64);
        share.clamp(smallest.max(1), self.part_bytes.max(1))
    }

    pub(crate) const fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms)
    }

    pub(crate) const fn stall_timeout(&self) -> Duration {
        Duration::from_millis(self.stall_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::S3StreamSettings;

    #[test]
    fn gets_are_counted_as_a_read_is_cut() {
        let settings = S3StreamSettings::default();
        assert_eq!(settings.gets(0), 1);
        assert_eq!(settings.gets(1 << 20), 1);
        assert_eq!(settings.gets((1 << 20) + 1), 2);
        assert_eq!(settings.gets(8 << 20), 4);
        assert_eq!(settings.gets(1 << 30), 256);
    }
}
