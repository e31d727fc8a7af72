//! Which tables are in memory, how old they are, and which go when there is no room.

use std::{
    any::Any,
    collections::{BTreeMap, HashMap},
    fmt,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use object_store::ObjectMeta;
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    budget::{Budget, Held, Room},
    load::{Loaded, NotLoaded},
    query::HotQuery,
    settings::HotSettings,
};
use crate::{
    BoundParams, Error, ErrorKind, Files, StoreResolver, TableLocation, Transform, error::BoxError,
};

/// Where hot tables take the time from.
pub trait HotClock: fmt::Debug + Send + Sync {
    /// Time since some fixed moment; never goes back.
    fn elapsed(&self) -> Duration;
}

/// Asks for versions, and begins the reads of new ones, which no request waits for.
#[async_trait]
pub trait HotSource: Send + Sync {
    /// The present version of an object, asked of the store itself and of no cache.
    ///
    /// # Errors
    /// Whatever the store says.
    async fn head(&self, table: &TableLocation) -> Result<ObjectMeta, BoxError>;

    /// Makes sure that a new version may be read, and finds its files.
    ///
    /// # Errors
    /// Whatever keeps it from being read.
    async fn reload(&self, locations: &[TableLocation]) -> Result<Box<dyn Reload>, BoxError>;
}

/// The read of a new version.
#[async_trait]
pub trait Reload: Send {
    /// The files to read.
    fn files(&self) -> Files;

    /// Where they are read from; whatever these stores read of an object must be one version of it.
    fn stores(&self) -> Arc<dyn StoreResolver>;

    /// The version has been read, or could not be read: the moment to write down what that took. Only then is it answered
    /// from.
    ///
    /// # Errors
    /// Whatever keeps the version from being used.
    async fn ended(self: Box<Self>, failure: Option<&Error>) -> Result<(), BoxError>;
}

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

struct Shared {
    engine: Transform,
    settings: HotSettings,
    clock: Arc<dyn HotClock>,
    runtime: Option<Handle>,
    budget: Arc<Budget>,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    asked: Mutex<Asked>,
    counts: Counts,
}

/// The tables of one query at one set of locations.
#[derive(Debug, Default)]
struct Entry {
    key: String,
    version: Mutex<Option<Arc<Version>>>,
    /// Held while tables are read: one at a time.
    loading: tokio::sync::Mutex<()>,
    /// Reads and checks that have ended.
    ended: AtomicU64,
    /// Why the last of them gave no tables.
    failure: Mutex<Option<NotLoaded>>,
    checking: AtomicBool,
    used_at_ms: AtomicU64,
    /// Until when not to try again for want of room.
    no_room_until_ms: AtomicU64,
    failing: AtomicBool,
    /// After a check that failed: when the next one may begin.
    next_check_ms: AtomicU64,
}

/// One version of tables; freed when its last reader drops it.
struct Version {
    /// No other version of this process has it.
    number: u64,
    loaded: Loaded,
    stores: Arc<dyn StoreResolver>,
    checked_at_ms: AtomicU64,
}

/// A version that one request answers from.
#[derive(Debug, Clone)]
pub struct HotView {
    version: Arc<Version>,
    age: Duration,
    failing: bool,
    failure: Option<Error>,
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    loads: AtomicU64,
    checks: AtomicU64,
    failed_checks: AtomicU64,
    evictions: AtomicU64,
    refusals: AtomicU64,
    versions: AtomicU64,
}

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
            let (task, source) = (shared.task(&entry, query, bound), Arc::clone(source));
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
        let (task, source) = (shared.task(&entry, query, bound), Arc::clone(source));
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
        let task = shared.task(&entry, query, bound);
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

fn locations(files: &Files) -> impl Iterator<Item = TableLocation> {
    files.found().iter().map(|found| found.table.clone())
}

fn lost(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "reading a hot table failed").with_source(error)
}

/// What a load or a check needs, which may outlast the request that began it.
struct Task {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
    query: Arc<HotQuery>,
    bound: BoundParams,
    /// Reads and checks that had ended when this was asked for.
    ended_before: u64,
}

impl Task {
    /// The version that is there when it is this one's turn, or a new one.
    async fn load(
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
    async fn check(&self, source: &Arc<dyn HotSource>) -> Result<(), NotLoaded> {
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
        let asked_for = lock(&shared.asked).count(&self.entry.key);
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

impl Entry {
    fn version(&self) -> Option<Arc<Version>> {
        lock(&self.version).clone()
    }
}

impl Shared {
    /// Starts what may outlast the request that needs it.
    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.runtime {
            Some(runtime) => runtime.spawn(work),
            None => tokio::spawn(work),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn age(&self, version: &Version) -> Duration {
        let checked_at = version.checked_at_ms.load(Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(checked_at))
    }

    /// The moment when the freshness has passed once more.
    fn after_freshness_ms(&self) -> u64 {
        let pause = u64::try_from(self.settings.freshness.as_millis()).unwrap_or(u64::MAX);
        self.now_ms().saturating_add(pause)
    }

    fn note_use(&self, entry: &Entry) {
        entry.used_at_ms.store(self.now_ms(), Relaxed);
        lock(&self.asked).note(&entry.key);
    }

    fn task(
        self: &Arc<Self>,
        entry: &Arc<Entry>,
        query: &Arc<HotQuery>,
        bound: &BoundParams,
    ) -> Task {
        Task {
            shared: Arc::clone(self),
            entry: Arc::clone(entry),
            query: Arc::clone(query),
            bound: bound.clone(),
            ended_before: entry.ended.load(Acquire),
        }
    }

    fn known(&self, key: &str) -> Option<Arc<Entry>> {
        lock(&self.entries).get(key).map(Arc::clone)
    }

    fn entry(&self, key: &str) -> Arc<Entry> {
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

    fn view(&self, entry: &Entry, version: Arc<Version>) -> HotView {
        let failing = entry.failing.load(Relaxed);
        let failure = failing.then(|| lock(&entry.failure).clone());
        let failure = match failure.flatten() {
            Some(NotLoaded::Failed(error)) => Some(error),
            _ => None,
        };
        HotView {
            age: self.age(&version),
            failing,
            failure,
            version,
        }
    }
}

/// Entries that are kept, those without tables included, until the latter are cleared out.
const MOST_ENTRIES: usize = 50_000;

impl Room for Shared {
    fn make_room(&self, asked_for: Option<u8>) -> bool {
        let asked = lock(&self.asked);
        let mut entries = lock(&self.entries);
        let resident = entries.values().filter(|entry| entry.version().is_some());
        let coldest = resident
            .map(|entry| {
                (
                    asked.count(&entry.key),
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
        drop((entries, asked));
        *lock(&coldest.version) = None;
        self.counts.evictions.fetch_add(1, Relaxed);
        true
    }
}

/// How often keys were asked for recently, in fixed memory: the smallest of four counters, all halved from time to time.
struct Asked {
    counters: Vec<u8>,
    notes: usize,
}

const COUNTERS: usize = 1 << 14;

impl Asked {
    fn new() -> Self {
        Self {
            counters: vec![0; 4 * COUNTERS],
            notes: 0,
        }
    }

    fn places(key: &str) -> [usize; 4] {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
        [0, 1, 2, 3].map(|row| {
            let part = usize::try_from((hash >> (16 * row)) & (COUNTERS as u64 - 1)).unwrap_or(0);
            usize::try_from(row).unwrap_or(0) * COUNTERS + part
        })
    }

    fn note(&mut self, key: &str) {
        for place in Self::places(key) {
            self.counters[place] = self.counters[place].saturating_add(1);
        }
        self.notes += 1;
        if self.notes >= 10 * COUNTERS {
            self.notes = 0;
            self.counters.iter_mut().for_each(|counter| *counter /= 2);
        }
    }

    fn count(&self, key: &str) -> u8 {
        let counters = Self::places(key).map(|place| self.counters[place]);
        counters.into_iter().min().unwrap_or(0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl HotView {
    /// The object of each location, in the version that the tables were read from.
    pub fn objects(&self) -> impl Iterator<Item = (&TableLocation, &ObjectMeta)> {
        self.version.loaded.objects()
    }

    /// Time since the version was last known to be the present one.
    #[must_use]
    pub const fn age(&self) -> Duration {
        self.age
    }

    /// A number that tells this version from all others of the same [`HotTables`].
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.number
    }

    /// Whether the last try to check it failed.
    #[must_use]
    pub const fn is_failing(&self) -> bool {
        self.failing
    }

    /// Why the last try to check it failed.
    #[must_use]
    pub const fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// The stores that the tables were read through, as what they really are.
    #[must_use]
    pub fn read_through<S: StoreResolver>(&self) -> Option<&S> {
        let stores: &dyn Any = self.version.stores.as_ref();
        stores.downcast_ref()
    }

    pub(crate) fn loaded(&self) -> &Loaded {
        &self.version.loaded
    }

    pub(crate) fn schemas(&self) -> Vec<SchemaRef> {
        let tables = self.version.loaded.tables.values();
        tables.map(|table| Arc::clone(&table.schema)).collect()
    }
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
            asked: Mutex::new(Asked::new()),
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

impl fmt::Debug for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Version")
            .field("loaded", &self.loaded)
            .finish_non_exhaustive()
    }
}
