//! Hot tables: which are in memory, how old they are, and when they are read and checked.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
};

use tokio::runtime::Handle;

use super::{
    budget::Budget,
    entry::lock,
    frequency::RequestFrequency,
    load::NotLoaded,
    query::HotQuery,
    refresh::{Task, locations},
    settings::HotSettings,
    shared::Shared,
    source::{HotClock, HotSource},
    status::{Counts, HotQueryStatus, HotStatus},
    view::HotView,
};
use crate::{BoundParams, Error, ErrorKind, Files, StoreResolver, TableLocation, Transform};

/// Hot tables in bounded memory. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct HotTables(Arc<Shared>);

/// Builds [`HotTables`].
#[derive(Debug)]
pub struct HotTablesBuilder {
    engine: Transform,
    settings: HotSettings,
    clock: Arc<dyn HotClock>,
    runtime: Option<Handle>,
}

impl HotTables {
    /// The runtime that tables are read and checked on, where it is another than that of the requests.
    #[must_use]
    pub fn runtime(&self) -> Option<&Handle> {
        self.0.runtime.as_ref()
    }

    /// Starts from default settings.
    #[must_use]
    pub fn builder(engine: Transform, clock: Arc<dyn HotClock>) -> HotTablesBuilder {
        HotTablesBuilder {
            engine,
            settings: HotSettings::default(),
            clock,
            runtime: None,
        }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &HotSettings {
        &self.0.settings
    }

    pub(crate) fn engine(&self) -> &Transform {
        &self.0.engine
    }

    /// The tables of a query, if they are in memory and younger than the bound on staleness.
    ///
    /// Tables that are older than the freshness are given as they are, and checked in the background through `source`. After
    /// a check that failed, the next one begins when the freshness has passed once more.
    #[must_use]
    pub fn resident(
        &self,
        query: &Arc<HotQuery>,
        bound: &BoundParams,
        locations: &[TableLocation],
        source: &Arc<dyn HotSource>,
    ) -> Option<HotView> {
        let shared = &self.0;
        let entry = shared.known(&key(query, locations))?;
        let version = entry.version()?;
        let (age, settings) = (shared.age(&version), &shared.settings);
        if age >= settings.freshness && age >= settings.max_staleness {
            return None;
        }
        shared.note_use(&entry);
        if age >= settings.freshness
            && shared.now_ms() >= entry.next_check_ms.load(Relaxed)
            && !entry.checking.swap(true, Relaxed)
        {
            let (task, source) = (Task::new(shared, &entry, query, bound), Arc::clone(source));
            shared.spawn(async move {
                // A failure is counted and seen in the view; a later request tries again.
                let _ = task.check(&source).await;
                task.entry.checking.store(false, Relaxed);
            });
        }
        shared.counts.hits.fetch_add(1, Relaxed);
        Some(shared.view(&entry, version))
    }

    /// The tables of a query that are in memory and too old: they are checked first, and read through `source` where their
    /// objects changed. `None` when there are none, or there is no room for the new version.
    ///
    /// Requests that come while a check is under way share its outcome, a failure too.
    ///
    /// # Errors
    /// Those of the check.
    pub async fn checked(
        &self,
        query: &Arc<HotQuery>,
        bound: &BoundParams,
        locations: &[TableLocation],
        source: &Arc<dyn HotSource>,
    ) -> Result<Option<HotView>, Error> {
        let shared = &self.0;
        let entry = shared.known(&key(query, locations));
        let Some(entry) = entry.filter(|entry| entry.version().is_some()) else {
            return Ok(None);
        };
        shared.note_use(&entry);
        let (task, source) = (Task::new(shared, &entry, query, bound), Arc::clone(source));
        let checked = shared.spawn(async move { task.check(&source).await });
        match checked.await.map_err(lost)? {
            Ok(()) => Ok(entry.version().map(|version| shared.view(&entry, version))),
            Err(NotLoaded::NoRoom) => Ok(None),
            Err(NotLoaded::Failed(error)) => Err(error),
        }
    }

    /// Reads the tables of a query from these files; `None` when there is no room.
    ///
    /// A load goes on when the returned future is dropped. Requests that come while it is under way share its outcome, a
    /// failure too: of their files nothing is read.
    ///
    /// # Errors
    /// As [`Transform::run`].
    pub async fn load(
        &self,
        query: &Arc<HotQuery>,
        bound: &BoundParams,
        files: &Files,
        stores: &Arc<dyn StoreResolver>,
    ) -> Result<Option<HotView>, Error> {
        let shared = &self.0;
        let locations: Vec<_> = locations(files).collect();
        let entry = shared.entry(&key(query, &locations));
        shared.note_use(&entry);
        if shared.now_ms() < entry.no_room_until_ms.load(Relaxed) {
            return Ok(None);
        }
        let (files, stores) = (files.clone(), Arc::clone(stores));
        let task = Task::new(shared, &entry, query, bound);
        let loaded = shared.spawn(async move { task.load(files, stores).await });
        match loaded.await.map_err(lost)? {
            Ok(version) => Ok(Some(shared.view(&entry, version))),
            Err(NotLoaded::NoRoom) => Ok(None),
            Err(NotLoaded::Failed(error)) => Err(error),
        }
    }

    /// Gives up the tables of a query that is not asked any more. Requests that answer from them keep them until they end.
    pub fn forget(&self, query: &HotQuery) {
        let start = key_start(query);
        let mut entries = lock(&self.0.entries);
        let forgotten = entries.extract_if(|key, _| key.starts_with(&start));
        for (_, entry) in forgotten {
            *lock(&entry.version) = None;
        }
    }

    /// The tables of each query that are in memory.
    #[must_use]
    pub fn status_by_query(&self) -> BTreeMap<String, HotQueryStatus> {
        let shared = &self.0;
        let mut by_query: BTreeMap<String, HotQueryStatus> = BTreeMap::new();
        for entry in lock(&shared.entries).values() {
            let Some(version) = entry.version() else {
                continue;
            };
            let name = entry.key.split('#').next().unwrap_or_default();
            let status = by_query.entry(name.to_owned()).or_default();
            status.resident += 1;
            status.bytes += version.loaded.bytes();
            status.oldest = status.oldest.max(shared.age(&version));
            status.stale += u64::from(entry.failing.load(Relaxed));
        }
        by_query
    }

    /// What is held, and what was done.
    #[must_use]
    pub fn status(&self) -> HotStatus {
        let shared = &self.0;
        let entries = lock(&shared.entries);
        let resident = entries.values().filter(|entry| entry.version().is_some());
        let counts = &shared.counts;
        HotStatus {
            resident: resident.count() as u64,
            bytes: shared.budget.used(),
            most_bytes: shared.budget.most(),
            hits: counts.hits.load(Relaxed),
            loads: counts.loads.load(Relaxed),
            checks: counts.checks.load(Relaxed),
            failed_checks: counts.failed_checks.load(Relaxed),
            evictions: counts.evictions.load(Relaxed),
            refusals: counts.refusals.load(Relaxed),
            stale: entries
                .values()
                .filter(|entry| entry.failing.load(Relaxed) && entry.version().is_some())
                .count() as u64,
        }
    }
}

/// What the keys of a query begin with. Another query of the same name has other tables.
fn key_start(query: &HotQuery) -> String {
    format!("{}#{}\n", query.name(), query.number())
}

fn key(query: &HotQuery, locations: &[TableLocation]) -> String {
    let mut key = key_start(query);
    for location in locations {
        // No key of a location holds a line end, so two lists of locations never make one text.
        key.push_str(location.location.bucket());
        key.push('/');
        key.push_str(location.location.as_written());
        key.push('\n');
    }
    key
}

fn lost(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "reading a hot table failed").with_source(error)
}

impl HotTablesBuilder {
    /// Memory and freshness.
    #[must_use]
    pub fn with_settings(mut self, settings: HotSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Reads and checks tables on this runtime, not on the one of the request that needs them.
    #[must_use]
    pub fn with_runtime(mut self, runtime: Option<Handle>) -> Self {
        self.runtime = runtime;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`].
    pub fn build(self) -> Result<HotTables, Error> {
        let settings = &self.settings;
        if settings.memory.as_u64() < 1 << 20 {
            let message = "`memory` must be at least 1 MiB in [hot]";
            return Err(Error::new(ErrorKind::InvalidSpec, message));
        }
        if settings.max_staleness < settings.freshness {
            let message = "`max_staleness` must be at least freshness in [hot]";
            return Err(Error::new(ErrorKind::InvalidSpec, message));
        }
        let budget = Arc::new(Budget::new(settings.memory.as_u64()));
        Ok(HotTables(Arc::new(Shared {
            engine: self.engine,
            settings: self.settings,
            clock: self.clock,
            runtime: self.runtime,
            budget,
            entries: Mutex::default(),
            frequency: Mutex::new(RequestFrequency::new()),
            counts: Counts::default(),
        })))
    }
}

impl fmt::Debug for HotTables {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("HotTables")
            .field(&self.status())
            .finish()
    }
}
