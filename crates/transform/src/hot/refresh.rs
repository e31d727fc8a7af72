//! Reading tables into memory, and checking that they are of the present version: one at a time for each entry.

use std::sync::{
    Arc,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use super::{
    budget::{Held, Room},
    entry::{Entry, Version, lock},
    load::NotLoaded,
    query::HotQuery,
    shared::Shared,
    source::HotSource,
};
use crate::{BoundParams, Error, ErrorKind, Files, StoreResolver, TableLocation};

/// One load or check of an entry. It may outlast the request that began it.
pub(super) struct Task {
    shared: Arc<Shared>,
    pub(super) entry: Arc<Entry>,
    query: Arc<HotQuery>,
    bound: BoundParams,
    /// Reads and checks that had ended when this was asked for.
    ended_before: u64,
}

impl Task {
    pub(super) fn new(
        shared: &Arc<Shared>,
        entry: &Arc<Entry>,
        query: &Arc<HotQuery>,
        bound: &BoundParams,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            entry: Arc::clone(entry),
            query: Arc::clone(query),
            bound: bound.clone(),
            ended_before: entry.ended.load(Acquire),
        }
    }

    /// The version that is there when it is this one's turn, or a new one.
    pub(super) async fn load(
        &self,
        files: Files,
        stores: Arc<dyn StoreResolver>,
    ) -> Result<Arc<Version>, NotLoaded> {
        let _turn = self.entry.loading.lock().await;
        let max_staleness = self.shared.settings.max_staleness;
        if let Some(version) = self.entry.version()
            && self.shared.age(&version) <= max_staleness
        {
            return Ok(version);
        }
        self.shared_failure()?;
        if self.shared.now_ms() < self.entry.no_room_until_ms.load(Relaxed) {
            return Err(NotLoaded::NoRoom);
        }
        let result = self.loaded(files, &stores).await;
        let result = result.map(|version| self.put(version));
        self.end(result.as_ref().err());
        result
    }

    /// The failure of a read or check that ended while this one waited for its turn: asking again at once would let as many
    /// questions fail, one after the other, as there are requests.
    fn shared_failure(&self) -> Result<(), NotLoaded> {
        if self.entry.ended.load(Acquire) == self.ended_before {
            return Ok(());
        }
        lock(&self.entry.failure).clone().map_or(Ok(()), Err)
    }

    /// Passes the outcome of this turn to those that wait for one.
    fn end(&self, failure: Option<&NotLoaded>) {
        *lock(&self.entry.failure) = failure.cloned();
        self.entry.ended.fetch_add(1, Release);
    }

    /// Makes sure that the version is the present one.
    pub(super) async fn check(&self, source: &Arc<dyn HotSource>) -> Result<(), NotLoaded> {
        let _turn = self.entry.loading.lock().await;
        let Some(version) = self.entry.version() else {
            return Ok(());
        };
        // Another caller has done the same check meanwhile.
        if self.shared.age(&version) < self.shared.settings.freshness {
            return Ok(());
        }
        self.shared_failure()?;
        let result = self.checked(source, &version).await;
        self.end(result.as_ref().err());
        let failed = result.is_err();
        self.entry.failing.store(failed, Relaxed);
        if failed {
            self.shared.counts.failed_checks.fetch_add(1, Relaxed);
            let next = self.shared.after_freshness_ms();
            self.entry.next_check_ms.store(next, Relaxed);
        }
        result
    }

    async fn checked(
        &self,
        source: &Arc<dyn HotSource>,
        version: &Arc<Version>,
    ) -> Result<(), NotLoaded> {
        // The answer tells how things were when the question was asked, not when it came.
        let asked_at = self.shared.now_ms();
        for (table, known) in version.loaded.objects() {
            self.shared.counts.checks.fetch_add(1, Relaxed);
            let found = source.head(table).await.map_err(|error| {
                let message = format!("the object of table `{}` cannot be checked", table.table);
                NotLoaded::Failed(Error::new(ErrorKind::Store, message).with_source(error))
            })?;
            let same = match (&found.e_tag, &known.e_tag) {
                (Some(found), Some(known)) => found == known,
                _ => (found.size, found.last_modified) == (known.size, known.last_modified),
            };
            if !same {
                return self.reload(source, version).await;
            }
        }
        version.checked_at_ms.store(asked_at, Relaxed);
        Ok(())
    }

    async fn reload(
        &self,
        source: &Arc<dyn HotSource>,
        version: &Version,
    ) -> Result<(), NotLoaded> {
        let locations: Vec<_> = locations(&version.loaded.files).collect();
        let reload = source.reload(&locations).await.map_err(|error| {
            // What keeps it from being read is the whole message: it comes from policy, IAM or budget.
            NotLoaded::Failed(Error::new(ErrorKind::Store, error.to_string()).with_source(error))
        })?;
        let result = self.loaded(reload.files(), &reload.stores()).await;
        let failure = match &result {
            Err(NotLoaded::Failed(error)) => Some(error),
            _ => None,
        };
        let noted = reload.ended(failure).await;
        let loaded = result?;
        noted.map_err(|error| {
            let message = "the read of a hot table cannot be recorded";
            NotLoaded::Failed(Error::new(ErrorKind::Store, message).with_source(error))
        })?;
        self.put(loaded);
        Ok(())
    }

    /// Makes a version the one that is answered from.
    fn put(&self, version: Version) -> Arc<Version> {
        let version = Arc::new(version);
        *lock(&self.entry.version) = Some(Arc::clone(&version));
        self.entry.failing.store(false, Relaxed);
        // It may have been taken out of the map while it was being read.
        lock(&self.shared.entries).insert(self.entry.key.clone(), Arc::clone(&self.entry));
        version
    }

    /// Reads a version, which nobody is answered from yet.
    async fn loaded(
        &self,
        files: Files,
        stores: &Arc<dyn StoreResolver>,
    ) -> Result<Version, NotLoaded> {
        let shared = &self.shared;
        shared.counts.loads.fetch_add(1, Relaxed);
        let began_at = shared.now_ms();
        let asked_for = lock(&shared.frequency).count(&self.entry.key);
        let share = shared.settings.memory.as_u64() / 2;
        let room: Arc<dyn Room> = Arc::clone(shared) as _;
        let held = || Held::new(&shared.budget, Arc::clone(&room), share, asked_for);
        let loading = shared.engine.load(
            &self.query,
            &self.bound,
            files,
            stores.as_ref(),
            held,
            4 * share,
        );
        match loading.await {
            Ok(loaded) => Ok(Version {
                number: shared.counts.versions.fetch_add(1, Relaxed),
                loaded,
                stores: Arc::clone(stores),
                checked_at_ms: AtomicU64::new(began_at),
            }),
            Err(NotLoaded::NoRoom) => {
                shared.counts.refusals.fetch_add(1, Relaxed);
                let until = shared.after_freshness_ms();
                self.entry.no_room_until_ms.store(until, Relaxed);
                Err(NotLoaded::NoRoom)
            }
            Err(error) => Err(error),
        }
    }
}

pub(super) fn locations(files: &Files) -> impl Iterator<Item = TableLocation> {
    files.found().iter().map(|found| found.table.clone())
}
