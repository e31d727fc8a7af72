//! What hot tables hold and did, for monitoring.

use std::{sync::atomic::AtomicU64, time::Duration};

/// What hot tables hold and did since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HotStatus {
    /// Sets of tables in memory.
    pub resident: u64,
    /// Bytes that are held, those of old versions with readers included.
    pub bytes: u64,
    /// The most that was ever held.
    pub most_bytes: u64,
    /// Requests that were answered from memory without reading.
    pub hits: u64,
    /// Loads that were begun.
    pub loads: u64,
    /// Versions that were asked for.
    pub checks: u64,
    /// Checks or reloads that failed.
    pub failed_checks: u64,
    /// Sets of tables that made room for others.
    pub evictions: u64,
    /// Loads that found no room.
    pub refusals: u64,
    /// Sets of tables whose last check failed: they are answered from until they are too old.
    pub stale: u64,
}

/// What hot tables hold of one query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HotQueryStatus {
    /// Sets of tables in memory: one for each set of locations that was asked for.
    pub resident: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long ago the oldest of them was last known to be the present version.
    pub oldest: Duration,
    /// Sets whose last check failed.
    pub stale: u64,
}

/// Events since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) hits: AtomicU64,
    pub(super) loads: AtomicU64,
    pub(super) checks: AtomicU64,
    pub(super) failed_checks: AtomicU64,
    pub(super) evictions: AtomicU64,
    pub(super) refusals: AtomicU64,
    /// Versions that were read: the number of the next one.
    pub(super) versions: AtomicU64,
}
