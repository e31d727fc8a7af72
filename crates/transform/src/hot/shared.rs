//! What all handles of the same hot tables share: the entries, the memory budget, and which entry goes when there is no room.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    budget::{Budget, Room},
    entry::{Entry, Version, lock},
    frequency::RequestFrequency,
    settings::HotSettings,
    source::HotClock,
    status::Counts,
    view::HotView,
};
use crate::Transform;

/// Entries that are kept, those without tables included, until the latter are cleared out.
const MOST_ENTRIES: usize = 50_000;

pub(super) struct Shared {
    pub(super) engine: Transform,
    pub(super) settings: HotSettings,
    pub(super) clock: Arc<dyn HotClock>,
    pub(super) runtime: Option<Handle>,
    pub(super) budget: Arc<Budget>,
    pub(super) entries: Mutex<HashMap<String, Arc<Entry>>>,
    pub(super) frequency: Mutex<RequestFrequency>,
    pub(super) counts: Counts,
}

impl Shared {
    /// Starts what may outlast the request that needs it.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.runtime {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn age(&self, version: &Version) -> Duration {
        let checked_at = version.checked_at_ms.load(Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(checked_at))
    }

    /// The moment when the freshness has passed once more.
    pub(super) fn after_freshness_ms(&self) -> u64 {
        let pause = u64::try_from(self.settings.freshness.as_millis()).unwrap_or(u64::MAX);
        self.now_ms().saturating_add(pause)
    }

    pub(super) fn note_use(&self, entry: &Entry) {
        entry.used_at_ms.store(self.now_ms(), Relaxed);
        lock(&self.frequency).note(&entry.key);
    }

    /// The entry of a key, if there is one.
    pub(super) fn known(&self, key: &str) -> Option<Arc<Entry>> {
        lock(&self.entries).get(key).map(Arc::clone)
    }

    /// The entry of a key; a new one if there is none.
    pub(super) fn entry(&self, key: &str) -> Arc<Entry> {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.get(key) {
            return Arc::clone(entry);
        }
        if entries.len() >= MOST_ENTRIES {
            entries.retain(|_, entry| entry.version().is_some());
        }
        let entry = Arc::new(Entry {
            key: key.to_owned(),
            ..Entry::default()
        });
        entries.insert(key.to_owned(), Arc::clone(&entry));
        entry
    }

    pub(super) fn view(&self, entry: &Entry, version: Arc<Version>) -> HotView {
        let age = self.age(&version);
        HotView::new(entry, version, age)
    }
}

impl Room for Shared {
    fn make_room(&self, asked_for: Option<u8>) -> bool {
        let frequency = lock(&self.frequency);
        let mut entries = lock(&self.entries);
        let resident = entries.values().filter(|entry| entry.version().is_some());
        let coldest = resident
            .map(|entry| {
                (
                    frequency.count(&entry.key),
                    entry.used_at_ms.load(Relaxed),
                    entry,
                )
            })
            .min_by_key(|(asked, used_at, _)| (*asked, *used_at))
            // What is asked for more often stays: that keeps one huge scan of names from flushing the rest.
            .filter(|(asked, _, _)| asked_for.is_none_or(|asked_for| *asked <= asked_for))
            .map(|(_, _, entry)| Arc::clone(entry));
        let Some(coldest) = coldest else {
            return false;
        };
        entries.remove(&coldest.key);
        drop((entries, frequency));
        *lock(&coldest.version) = None;
        self.counts.evictions.fetch_add(1, Relaxed);
        true
    }
}
