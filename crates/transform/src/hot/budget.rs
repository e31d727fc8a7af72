//! The bytes that all hot tables may take together, those of versions that only a reader still holds included.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Gives bytes of others back.
pub(crate) trait Room: Send + Sync {
    /// Drops what is asked for least; with `asked_for`, only what is asked for no more often than that. Returns false when there
    /// is nothing to drop.
    fn make_room(&self, asked_for: Option<u8>) -> bool;
}

/// A table that takes more than this part of all memory is large.
const LARGE: u64 = 8;

/// What is held of a limit.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    used: AtomicU64,
    most: AtomicU64,
}

/// Bytes of one table; given back when dropped.
pub(crate) struct Held {
    budget: Arc<Budget>,
    room: Arc<dyn Room>,
    bytes: u64,
    /// Most that one table may hold.
    share: u64,
    asked_for: u8,
}

impl Budget {
    pub(crate) const fn new(limit: u64) -> Self {
        Self {
            limit,
            used: AtomicU64::new(0),
            most: AtomicU64::new(0),
        }
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// The most that was ever held.
    pub(crate) fn most(&self) -> u64 {
        self.most.load(Relaxed)
    }

    fn try_take(&self, bytes: u64) -> bool {
        let taken = self.used.try_update(Relaxed, Relaxed, |used| {
            used.checked_add(bytes).filter(|used| *used <= self.limit)
        });
        if let Ok(before) = taken {
            self.most.fetch_max(before + bytes, Relaxed);
        }
        taken.is_ok()
    }
}

impl Held {
    pub(crate) fn new(
        budget: &Arc<Budget>,
        room: Arc<dyn Room>,
        share: u64,
        asked_for: u8,
    ) -> Self {
        Self {
            budget: Arc::clone(budget),
            room,
            bytes: 0,
            share,
            asked_for,
        }
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more; false when there is no room for it.
    pub(crate) fn grow(&mut self, bytes: u64) -> bool {
        if self.bytes + bytes > self.share {
            return false;
        }
        // What is large has to be asked for as often as what goes for it: it would flush many others.
        let is_large = self.bytes + bytes > self.budget.limit / LARGE;
        let asked_for = is_large.then_some(self.asked_for);
        while !self.budget.try_take(bytes) {
            if !self.room.make_room(asked_for) {
                return false;
            }
        }
        self.bytes += bytes;
        true
    }

    /// Gives back what was taken beyond `bytes`.
    pub(crate) fn settle(&mut self, bytes: u64) {
        let over = self.bytes.saturating_sub(bytes);
        self.budget.used.fetch_sub(over, Relaxed);
        self.bytes -= over;
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Held")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Relaxed);
    }
}
