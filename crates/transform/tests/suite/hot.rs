//! Hot tables: the answers of cold runs, versions, memory, and how often the store is asked.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytesize::ByteSize;
use flowlake_transform::{
    BoundParams, BoxError, FileCollector, Files, HotClock, HotQuery, HotRows, HotSettings,
    HotSource, HotTables, HotView, Prepared, Reload, Run, StoreResolver, TableLocation, Transform,
    json::JsonRows,
};
use object_store::{ObjectMeta, ObjectStoreExt};
use serde_json::{Value, json};

use crate::support::{Lake, Question, counting::Counting};

#[derive(Debug, Default)]
struct Hand(AtomicU64);

impl Hand {
    fn pass(&self, seconds: u64) {
        self.0.fetch_add(seconds, SeqCst);
    }
}

impl HotClock for Hand {
    fn elapsed(&self) -> Duration {
        Duration::from_secs(self.0.load(SeqCst))
    }
}

/// The lake as a source.
struct Watched {
    lake: Lake,
    heads: AtomicU64,
    /// Reloads that were asked for.
    asked: AtomicU64,
    /// The query that is reloaded.
    prepared: std::sync::Mutex<Option<Prepared>>,
    refusing: std::sync::atomic::AtomicBool,
    /// Versions that were reported as read, and those that could not be.
    reloaded: AtomicU64,
    unread: AtomicU64,
    broken: std::sync::atomic::AtomicBool,
    unwritable: std::sync::atomic::AtomicBool,
}

/// The read of a new version.
struct Reading {
    watched: Arc<Watched>,
    files: Files,
}

#[async_trait]
impl Reload for Reading {
    fn files(&self) -> Files {
        self.files.clone()
    }

    fn stores(&self) -> Arc<dyn StoreResolver> {
        Arc::new(self.watched.lake.clone())
    }

    async fn ended(
        self: Box<Self>,
        failure: Option<&flowlake_transform::Error>,
    ) -> Result<(), BoxError> {
        let count = if failure.is_none() {
            &self.watched.reloaded
        } else {
            &self.watched.unread
        };
        count.fetch_add(1, SeqCst);
        if self.watched.unwritable.load(SeqCst) {
            return Err("the disk is full".into());
        }
        Ok(())
    }
}

/// As a source.
struct Source(Arc<Watched>);

#[async_trait]
impl HotSource for Source {
    async fn head(&self, table: &TableLocation) -> Result<ObjectMeta, BoxError> {
        let watched = &self.0;
        watched.heads.fetch_add(1, SeqCst);
        if watched.broken.load(SeqCst) {
            return Err("the store is down".into());
        }
        let path = table.location.path().unwrap();
        Ok(watched.lake.0.head(path).await?)
    }

    async fn reload(&self, locations: &[TableLocation]) -> Result<Box<dyn Reload>, BoxError> {
        let watched = &self.0;
        watched.asked.fetch_add(1, SeqCst);
        if watched.refusing.load(SeqCst) {
            return Err("the budget is spent".into());
        }
        let prepared = watched.prepared.lock().unwrap().clone().unwrap();
        let mut found = Vec::new();
        for table in locations {
            let path = table.location.path().unwrap();
            let mut files = FileCollector::new(&prepared, table.clone());
            files.take(watched.lake.0.head(path).await?);
            found.push(files.finish());
        }
        Ok(Box::new(Reading {
            watched: Arc::clone(watched),
            files: Files::try_new(&prepared, found)?,
        }))
    }
}

struct House {
    question: Question,
    tables: HotTables,
    clock: Arc<Hand>,
    watched: Arc<Watched>,
}

impl House {
    fn new(question: Question, settings: HotSettings) -> Self {
        let clock = Arc::new(Hand::default());
        let engine = Transform::builder().build().unwrap();
        let tables = HotTables::builder(engine, Arc::clone(&clock) as _)
            .with_settings(settings)
            .build()
            .unwrap();
        let watched = Arc::new(Watched {
            lake: question.lake.clone(),
            heads: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            prepared: std::sync::Mutex::default(),
            refusing: std::sync::atomic::AtomicBool::new(false),
            reloaded: AtomicU64::new(0),
            unread: AtomicU64::new(0),
            broken: std::sync::atomic::AtomicBool::new(false),
            unwritable: std::sync::atomic::AtomicBool::new(false),
        });
        Self {
            question,
            tables,
            clock,
            watched,
        }
    }

    fn query(&self, sql: &str, index: &[&str]) -> Arc<HotQuery> {
        let (prepared, _) = self.question.prepare(sql).unwrap();
        let index = index.iter().map(|&name| name.to_owned());
        Arc::new(HotQuery::try_new(sql, prepared, index).unwrap())
    }

    async fn view(
        &self,
        query: &Arc<HotQuery>,
        values: &Value,
    ) -> Result<Option<HotView>, flowlake_transform::Error> {
        let prepared = query.prepared();
        let bound = prepared.bind(values.as_object().unwrap(), crate::support::now())?;
        let locations = prepared.locations(&bound)?;
        *self.watched.prepared.lock().unwrap() = Some(prepared.clone());
        let source: Arc<dyn HotSource> = Arc::new(Source(Arc::clone(&self.watched)));
        if let Some(view) = self.tables.resident(query, &bound, &locations, &source) {
            return Ok(Some(view));
        }
        let checked = self.tables.checked(query, &bound, &locations, &source);
        if let Some(view) = checked.await? {
            return Ok(Some(view));
        }
        let lake = &self.question.lake;
        let files = Transform::builder()
            .build()?
            .find(prepared, &bound, lake)
            .await?;
        self.load(query, &bound, &files).await
    }

    async fn load(
        &self,
        query: &Arc<HotQuery>,
        bound: &BoundParams,
        files: &Files,
    ) -> Result<Option<HotView>, flowlake_transform::Error> {
        let stores: Arc<dyn StoreResolver> = Arc::new(self.question.lake.clone());
        self.tables.load(query, bound, files, &stores).await
    }

    async fn ask(&self, query: &Arc<HotQuery>, values: &Value) -> (Value, bool) {
        let view = self.view(query, values).await.unwrap().unwrap();
        let prepared = query.prepared();
        let bound = prepared
            .bind(values.as_object().unwrap(), crate::support::now())
            .unwrap();
        let mut rows = self.tables.run(query, &bound, &view).await.unwrap();
        let direct = rows.is_direct();
        (json_of(&mut rows).await, direct)
    }

    /// Lets spawned checks come to their end.
    async fn settle(&self) {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
    }
}

async fn json_of(rows: &mut HotRows) -> Value {
    let mut json = JsonRows::new();
    while let Some(batch) = rows.next().await {
        json.push(&batch.unwrap()).unwrap();
    }
    serde_json::from_str(json.finish().unwrap().get()).unwrap()
}

/// A number that the environment may set, for a longer run.
#[expect(
    clippy::disallowed_methods,
    reason = "how long to go on is asked for from outside"
)]
fn from_outside(name: &str, usually: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(usually, |text| text.parse().unwrap())
}

async fn customers() -> House {
    let question = Question::of("t.csv", "ani,name\n1,Ana\n2,Bo\n")
        .await
        .with(json!({ "ani": { "type": "integer" } }), json!({ "ani": 1 }));
    let settings = HotSettings {
        freshness: Duration::from_secs(10),
        max_staleness: Duration::from_secs(60),
        ..HotSettings::default()
    };
    House::new(question, settings)
}

const LOOK_UP: &str = "SELECT name FROM t WHERE ani = $ani";

#[tokio::test]
async fn a_new_version_comes_in_the_background_and_the_old_one_answers_until_then() {
    let house = customers().await;
    let query = house.query(LOOK_UP, &["ani"]);
    let one = json!({ "ani": 1 });
    assert_eq!(
        house.ask(&query, &one).await,
        (json!([{ "name": "Ana" }]), true)
    );
    house.question.put("t.csv", "ani,name\n1,Eva\n").await;
    house.clock.pass(9);
    assert_eq!(house.ask(&query, &one).await.0, json!([{ "name": "Ana" }]));
    assert_eq!(house.watched.heads.load(SeqCst), 0);
    house.clock.pass(1);
    assert_eq!(house.ask(&query, &one).await.0, json!([{ "name": "Ana" }]));
    house.settle().await;
    while house.tables.status().loads < 2 {
        tokio::task::yield_now().await;
    }
    let view = loop {
        let view = house.view(&query, &one).await.unwrap().unwrap();
        if view.age() < Duration::from_secs(10) {
            break view;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(house.ask(&query, &one).await.0, json!([{ "name": "Eva" }]));
    assert_eq!(house.watched.heads.load(SeqCst), 1);
    let before = house.tables.status();
    assert_eq!(before.resident, 1);
    assert_eq!(house.watched.reloaded.load(SeqCst), 1);
    drop(view);
}

#[tokio::test]
async fn a_version_whose_read_cannot_be_recorded_is_not_answered_from() {
    let house = customers().await;
    let query = house.query(LOOK_UP, &["ani"]);
    let one = json!({ "ani": 1 });
    house.ask(&query, &one).await;
    house.question.put("t.csv", "ani,name\n1,Eva\n").await;
    house.watched.unwritable.store(true, SeqCst);
    house.clock.pass(10);
    house.ask(&query, &one).await;
    while house.tables.status().failed_checks == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.ask(&query, &one).await.0, json!([{ "name": "Ana" }]));
    house.watched.unwritable.store(false, SeqCst);
    house.clock.pass(50);
    assert_eq!(house.ask(&query, &one).await.0, json!([{ "name": "Eva" }]));
    house.question.put("t.csv", "\"ani,name\n").await;
    house.clock.pass(60);
    house.view(&query, &one).await.unwrap_err();
    assert_eq!(house.watched.unread.load(SeqCst), 1);
}

#[tokio::test]
async fn a_store_that_is_down_is_answered_around_until_the_bound() {
    let house = customers().await;
    let query = house.query(LOOK_UP, &["ani"]);
    let one = json!({ "ani": 1 });
    house.ask(&query, &one).await;
    house.watched.broken.store(true, SeqCst);
    house.clock.pass(59);
    assert_eq!(house.ask(&query, &one).await.0, json!([{ "name": "Ana" }]));
    while house.tables.status().failed_checks == 0 {
        tokio::task::yield_now().await;
    }
    let view = house.view(&query, &one).await.unwrap().unwrap();
    assert!(view.is_failing());
    assert_eq!(
        (view.age(), house.tables.status().stale),
        (Duration::from_secs(59), 1)
    );
    house.clock.pass(1);
    let error = house.view(&query, &one).await.unwrap_err();
    assert_eq!(error.kind(), flowlake_transform::ErrorKind::Store);
    house.watched.broken.store(false, SeqCst);
    let view = house.view(&query, &one).await.unwrap().unwrap();
    assert!(!view.is_failing());
}

/// A check that fails is not begun again by each request, and the view says why it failed.
#[tokio::test]
async fn a_reload_that_is_refused_leaves_the_old_version_and_waits_before_it_asks_again() {
    let house = customers().await;
    let query = house.query(LOOK_UP, &["ani"]);
    let one = json!({ "ani": 1 });
    house.ask(&query, &one).await;
    house.question.put("t.csv", "ani,name\n1,Eva\n").await;
    house.watched.refusing.store(true, SeqCst);
    house.clock.pass(10);
    for _ in 0..50 {
        assert_eq!(house.ask(&query, &one).await.0, json!([{ "name": "Ana" }]));
        house.settle().await;
    }
    assert_eq!(house.watched.heads.load(SeqCst), 1);
    assert_eq!(house.watched.asked.load(SeqCst), 1);
    let view = house.view(&query, &one).await.unwrap().unwrap();
    let failure = view.failure().unwrap().to_string();
    assert_eq!(failure, "the budget is spent");
    assert_eq!(house.tables.status().loads, 1, "nothing was read");
    house.watched.refusing.store(false, SeqCst);
    house.clock.pass(10);
    while house.ask(&query, &one).await.0 != json!([{ "name": "Eva" }]) {
        house.settle().await;
    }
    assert_eq!(house.watched.heads.load(SeqCst), 2);
    let view = house.view(&query, &one).await.unwrap().unwrap();
    assert!(view.failure().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_cause_one_load() {
    let house = Arc::new(customers().await);
    let query = house.query(LOOK_UP, &["ani"]);
    let asking = (0..64).map(|_| {
        let (house, query) = (Arc::clone(&house), Arc::clone(&query));
        tokio::spawn(async move { house.ask(&query, &json!({ "ani": 2 })).await.0 })
    });
    for answer in futures::future::join_all(asking).await {
        assert_eq!(answer.unwrap(), json!([{ "name": "Bo" }]));
    }
    assert_eq!(house.tables.status().loads, 1);
}

/// All callers that wait for a first load get its error; the next caller starts another load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_ask_at_once_share_a_load_that_fails() {
    let store = Arc::new(Counting::default());
    let question = Question::over(Arc::clone(&store) as _, "t.csv")
        .with(json!({ "ani": { "type": "integer" } }), json!({ "ani": 1 }));
    question.put("t.csv", "ani,name\n1,Ana\n").await;
    let house = Arc::new(House::new(question, HotSettings::default()));
    let query = house.query(LOOK_UP, &["ani"]);
    let one = json!({ "ani": 1 });
    let (prepared, bound) = house.question.prepare(LOOK_UP).unwrap();
    let engine = Transform::builder().build().unwrap();
    let files = engine.find(&prepared, &bound, &house.question.lake).await;
    let files = Arc::new(files.unwrap());
    store.is_down.store(true, SeqCst);
    let before = store.total();
    let alone = house.load(&query, &bound, &files).await.unwrap_err();
    assert_eq!(alone.kind(), flowlake_transform::ErrorKind::Store);
    let requests_of_one = store.total() - before;
    store.is_slow.store(true, SeqCst);
    let asking = (0..64).map(|_| {
        let (house, query, files) = (Arc::clone(&house), Arc::clone(&query), Arc::clone(&files));
        let bound = bound.clone();
        tokio::spawn(async move { house.load(&query, &bound, &files).await.unwrap_err() })
    });
    for error in futures::future::join_all(asking).await {
        assert_eq!(error.unwrap().kind(), flowlake_transform::ErrorKind::Store);
    }
    assert_eq!(store.total() - before, 2 * requests_of_one);
    store.is_down.store(false, SeqCst);
    assert_eq!(house.ask(&query, &one).await.0, json!([{ "name": "Ana" }]));
}

/// Objects of some 100 KiB in memory, for a budget of half of them: each is read once, however many ask for it, and what is
/// held stays within the budget. `FLOWLAKE_HOT_OBJECTS=10000` offers 10,000 objects to 512 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_objects_stay_within_the_budget_and_each_is_read_once() {
    let objects = from_outside("FLOWLAKE_HOT_OBJECTS", 200);
    let store = Arc::new(Counting::default());
    let mut rows = "ani,name\n".to_owned();
    for row in 0..1200 {
        let _ = writeln!(
            rows,
            "{row},a name of some length that belongs to row {row}"
        );
    }
    // One text in memory, whatever the number of objects.
    let rows = bytes::Bytes::from(rows);
    for object in 0..objects {
        let key = format!("{object}.csv").into();
        store.put(&key, rows.clone().into()).await.unwrap();
    }
    let mut question = Question::over(Arc::clone(&store) as _, "{object}.csv");
    question.params = json!({ "object": { "type": "integer" }, "ani": { "type": "integer" } });
    question.values = json!({ "object": 0, "ani": 0 });
    let budget = 512 * 1024 * 1024 / 10_000 * objects;
    let settings = HotSettings {
        memory: ByteSize::b(budget),
        ..HotSettings::default()
    };
    let house = Arc::new(House::new(question, settings));
    let query = house.query(LOOK_UP, &["ani"]);
    let ask = async |object: u64| {
        let asking = (0..3).map(|ani| {
            let (house, query) = (Arc::clone(&house), Arc::clone(&query));
            let values = json!({ "object": object, "ani": ani });
            tokio::spawn(async move { house.ask(&query, &values).await.0 })
        });
        for answer in futures::future::join_all(asking).await {
            assert_eq!(answer.unwrap().as_array().unwrap().len(), 1);
        }
    };
    ask(0).await;
    let requests_of_one = store.total();
    for _ in 0..10 {
        ask(0).await;
    }
    for object in 0..objects {
        ask(object).await;
    }
    let status = house.tables.status();
    assert!(status.most_bytes <= budget, "{status:?}");
    assert_eq!((status.loads, status.refusals), (objects, 0));
    assert!(
        status.evictions > objects / 10 && status.resident > objects / 10,
        "{status:?}"
    );
    let requests = store.requests();
    assert_eq!(requests.len() as u64, objects);
    assert!(
        requests.values().all(|count| *count == requests_of_one),
        "an object was read more than once"
    );
    // What is asked for often was not flushed by what was asked for once.
    ask(0).await;
    assert_eq!(house.tables.status().loads, objects);
    println!(
        "{objects} objects, {} requests of the store, {} bytes of {budget} at most, {} resident",
        store.total(),
        status.most_bytes,
        status.resident
    );
}

#[tokio::test]
async fn a_table_that_is_too_large_has_no_room_and_flushes_nothing() {
    let mut large = "ani,name\n".to_owned();
    for row in 0..60_000 {
        writeln!(
            large,
            "{row},a name of some length that belongs to row {row}"
        )
        .unwrap();
    }
    let question = Question::of("1.csv", "ani,name\n1,Ana\n").await;
    question.put("2.csv", large).await;
    let question = Question {
        tables: json!({ "t": { "uri": "s3://lake/{object}.csv" } }),
        params: json!({ "object": { "type": "integer" }, "ani": { "type": "integer" } }),
        values: json!({ "object": 1, "ani": 1 }),
        ..question
    };
    let settings = HotSettings {
        memory: ByteSize::mib(2),
        ..HotSettings::default()
    };
    let house = House::new(question, settings);
    let query = house.query(LOOK_UP, &["ani"]);
    house.ask(&query, &json!({ "object": 1, "ani": 1 })).await;
    let large = json!({ "object": 2, "ani": 1 });
    for _ in 0..3 {
        assert!(house.view(&query, &large).await.unwrap().is_none());
    }
    let status = house.tables.status();
    assert_eq!(
        (
            status.resident,
            status.refusals,
            status.loads,
            status.evictions
        ),
        (1, 1, 2, 0)
    );
    house.ask(&query, &json!({ "object": 1, "ani": 1 })).await;
    assert_eq!(house.tables.status().loads, 2);
}

#[tokio::test]
async fn an_index_is_proposed_where_the_conditions_have_none() {
    let question = Question::of("t.csv", "ani,name,tier,score\n1,Ana,gold,1.5\n")
        .await
        .with(json!({ "ani": { "type": "integer" } }), json!({ "ani": 1 }));
    let house = House::new(question, HotSettings::default());
    let engine = Transform::builder().build().unwrap();
    let (_, bound) = house.question.prepare(LOOK_UP).unwrap();
    let propose = async |sql: &str, index: &[&str]| {
        let query = house.query(sql, index);
        let (prepared, stores) = (query.prepared(), &house.question.lake);
        let files = engine.find(prepared, &bound, stores).await?;
        let run = Run {
            prepared,
            bound: &bound,
            files: &files,
            stores,
        };
        engine.propose_index(&query, &run).await
    };
    for (conditions, index, proposed) in [
        ("ani = $ani", vec![], vec!["ani"]),
        ("ani = $ani", vec!["ani"], vec![]),
        ("tier = 'gold' AND ani = $ani", vec!["ani"], vec![]),
        ("name LIKE 'A%' AND ani = $ani", vec![], vec!["ani"]),
        ("ani > $ani", vec![], vec!["ani"]),
        ("name LIKE 'A%' AND $ani = 1", vec![], vec!["name"]),
        // No index is made of floats, and none helps with what is not equal.
        ("score = 1.5 AND $ani = 1", vec![], vec![]),
        ("ani <> $ani", vec![], vec![]),
    ] {
        let sql = format!("SELECT name FROM t WHERE {conditions}");
        assert_eq!(propose(&sql, &index).await.unwrap(), proposed, "{sql}");
    }
    let error = propose(LOOK_UP, &["number"]).await.unwrap_err();
    assert_eq!(error.kind(), flowlake_transform::ErrorKind::UnknownColumn);
}
