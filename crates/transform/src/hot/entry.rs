//! One set of tables in memory, and its present version.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64},
    },
};

use super::load::{Loaded, NotLoaded};
use crate::StoreResolver;

/// The tables of one query at one set of locations.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) version: Mutex<Option<Arc<Version>>>,
    /// Held while tables are read: one at a time.
    pub(super) loading: tokio::sync::Mutex<()>,
    /// Reads and checks that have ended.
    pub(super) ended: AtomicU64,
    /// Why the last of them gave no tables.
    pub(super) failure: Mutex<Option<NotLoaded>>,
    pub(super) checking: AtomicBool,
    pub(super) used_at_ms: AtomicU64,
    /// Until when not to try again for want of room.
    pub(super) no_room_until_ms: AtomicU64,
    pub(super) failing: AtomicBool,
    /// After a check that failed: when the next one may begin.
    pub(super) next_check_ms: AtomicU64,
}

/// One version of tables; freed when its last reader drops it.
pub(super) struct Version {
    /// No other version of this process has it.
    pub(super) number: u64,
    pub(super) loaded: Loaded,
    pub(super) stores: Arc<dyn StoreResolver>,
    pub(super) checked_at_ms: AtomicU64,
}

impl Entry {
    pub(super) fn version(&self) -> Option<Arc<Version>> {
        lock(&self.version).clone()
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Version")
            .field("loaded", &self.loaded)
            .finish_non_exhaustive()
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
