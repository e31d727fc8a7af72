//! A table in a lake, and answers to questions about it: cold, and from tables in memory.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::DateTime;
use flowlake_data_action::{Action, ActionDefinition};
use flowlake_transform::{
    BoundParams, BoxError, Error, ErrorKind, HotClock, HotQuery, HotSettings, HotSource, HotTables,
    Prepared, Reload, Run, RunStats, StoreResolver, TableLocation, Transform, TransformSettings,
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    json::JsonRows,
};
use futures::StreamExt;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde_json::{Map, Value as Json, value::RawValue};

use crate::{
    action,
    files::{Object, objects},
    lake::{Lake, Pieces},
    table::Table,
    value::{Value, canonical},
    way::{ENGINES, Way},
};

/// Rows as canonical cells, with the counts of what did not fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) skipped: u64,
    pub(crate) nulled: u64,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) kind: Option<ErrorKind>,
    pub(crate) message: String,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let mut message = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            let _ = write!(message, ": {cause}");
            source = cause.source();
        }
        Self {
            kind: Some(error.kind()),
            message,
        }
    }
}

/// The engines, and how often they were asked.
#[derive(Debug)]
pub(crate) struct Engines {
    all: Vec<Transform>,
    folders: AtomicU64,
    pub(crate) runs: AtomicU64,
    /// Runs over tables in memory that needed no planning.
    pub(crate) direct: AtomicU64,
}

impl Engines {
    pub(crate) fn new() -> Result<Self, Error> {
        let engines = ENGINES.iter().map(|&(threads, batch_rows)| {
            let settings = TransformSettings {
                threads: Some(threads),
                batch_rows,
                ..TransformSettings::default()
            };
            Transform::builder().with_settings(settings).build()
        });
        Ok(Self {
            all: engines.collect::<Result<_, _>>()?,
            folders: AtomicU64::new(0),
            runs: AtomicU64::new(0),
            direct: AtomicU64::new(0),
        })
    }

    /// The table, written as the way says.
    pub(crate) async fn place<'a>(&'a self, table: &'a Table, way: &'a Way) -> Placed<'a> {
        // What was detected in a file is cached by its key, so no two tables share one.
        let folder = format!("t{}", self.folders.fetch_add(1, Relaxed));
        self.place_in(table, way, folder).await
    }

    /// The table, in a folder of that name.
    pub(crate) async fn place_in<'a>(
        &'a self,
        table: &'a Table,
        way: &'a Way,
        folder: String,
    ) -> Placed<'a> {
        Placed::new(self, table, way, folder, objects(table, way).await).await
    }

    /// Files that were written otherwise.
    pub(crate) async fn place_objects<'a>(
        &'a self,
        table: &'a Table,
        way: &'a Way,
        objects: Vec<Object>,
    ) -> Placed<'a> {
        let folder = format!("t{}", self.folders.fetch_add(1, Relaxed));
        Placed::new(self, table, way, folder, objects).await
    }
}

/// A table in a lake.
#[derive(Debug)]
pub(crate) struct Placed<'a> {
    engines: &'a Engines,
    table: &'a Table,
    way: &'a Way,
    folder: String,
    objects: Vec<Object>,
    lake: Lake,
    hot: HotTables,
    /// By the text of their actions, so that plans that are kept are met again with other values.
    hot_queries: Mutex<HashMap<String, Arc<HotQuery>>>,
}

impl<'a> Placed<'a> {
    async fn new(
        engines: &'a Engines,
        table: &'a Table,
        way: &'a Way,
        folder: String,
        objects: Vec<Object>,
    ) -> Self {
        let lake = Lake(Arc::new(Pieces::new(way.piece_bytes)));
        for object in &objects {
            let key = object_store::path::Path::parse(format!("{folder}/{}", object.key));
            let key = key.expect("keys are made of names and numbers");
            let bytes = object.bytes.clone();
            let put = lake.0.put(&key, bytes.into()).await;
            put.expect("memory takes all objects");
        }
        let hot = HotTables::builder(engines.all[way.engine].clone(), Arc::new(Still))
            .with_settings(HotSettings::default())
            .build()
            .expect("the default settings are valid");
        Self {
            engines,
            table,
            way,
            folder,
            objects,
            lake,
            hot,
            hot_queries: Mutex::default(),
        }
    }

    /// Its files by their whole keys.
    pub(crate) fn into_objects(self) -> impl Iterator<Item = (String, Vec<u8>)> {
        let folder = self.folder;
        let objects = self.objects.into_iter();
        objects.map(move |object| (format!("{folder}/{}", object.key), object.bytes))
    }

    /// The action that asks so.
    pub(crate) fn toml(&self, sql: &str, params: &[Value]) -> String {
        let place = (self.folder.as_str(), self.objects.as_slice());
        action::toml(self.table, self.way, place, sql, params)
    }

    /// The action that asks so, its values, and the files that it reads.
    pub(crate) fn shown(&self, sql: &str, params: &[Value]) -> String {
        let mut shown = self.toml(sql, params);
        for (number, value) in params.iter().enumerate() {
            let _ = writeln!(shown, "p{number} = {}", value.sent());
        }
        for object in &self.objects {
            let _ = writeln!(shown, "--- {}, {} bytes", object.key, object.bytes.len());
            if let Ok(text) = std::str::from_utf8(&object.bytes) {
                let _ = writeln!(shown, "{text}");
            }
        }
        shown
    }

    /// The answer to SQL with parameters `$p0`, `$p1` and so on.
    pub(crate) async fn ask(&self, sql: &str, params: &[Value]) -> Result<Answer, Refusal> {
        self.ask_as(&self.toml(sql, params), params).await
    }

    /// The answer to an action.
    pub(crate) async fn ask_as(&self, toml: &str, params: &[Value]) -> Result<Answer, Refusal> {
        self.engines.runs.fetch_add(1, Relaxed);
        let refused = |error: flowlake_data_action::ActionError| Refusal {
            kind: None,
            message: error.message().to_owned(),
        };
        let definition =
            ActionDefinition::parse(Path::new("actions/question.toml"), toml).map_err(refused)?;
        let index = definition.index.clone();
        let action = Action::try_new(definition).map_err(refused)?;
        let prepared = action.prepared();
        let sent: Map<String, Json> = params
            .iter()
            .enumerate()
            .map(|(number, value)| (format!("p{number}"), value.sent()))
            .collect();
        let bound = prepared.bind(&sent, DateTime::UNIX_EPOCH)?;
        if self.way.hot.is_some() {
            let query = self.hot_query(toml, prepared, index)?;
            return self.hot(&query, &bound).await;
        }
        let engine = &self.engines.all[self.way.engine];
        let files = engine.find(prepared, &bound, &self.lake).await?;
        let run = Run {
            prepared,
            bound: &bound,
            files: &files,
            stores: &self.lake,
        };
        let mut stream = engine.run(&run).await?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            batches.push(batch?);
        }
        answer(&stream.schema(), &batches, &stream.stats())
    }

    fn hot_query(
        &self,
        toml: &str,
        prepared: &Prepared,
        index: Vec<String>,
    ) -> Result<Arc<HotQuery>, Error> {
        let mut queries = self
            .hot_queries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = queries.get(toml) {
            return Ok(Arc::clone(known));
        }
        // Only columns that the SQL names are there to be indexed.
        let sql = prepared_sql(toml);
        let index = index.into_iter().filter(|name| sql.contains(name.as_str()));
        let query = Arc::new(HotQuery::try_new(toml, prepared.clone(), index)?);
        queries.insert(toml.to_owned(), Arc::clone(&query));
        Ok(query)
    }

    async fn hot(&self, query: &Arc<HotQuery>, bound: &BoundParams) -> Result<Answer, Refusal> {
        let prepared = query.prepared();
        let locations = prepared.locations(bound)?;
        let source: Arc<dyn HotSource> = Arc::new(Source);
        let view = match self.hot.resident(query, bound, &locations, &source) {
            Some(view) => Some(view),
            None => {
                let stores: Arc<dyn StoreResolver> = Arc::new(self.lake.clone());
                let engine = &self.engines.all[self.way.engine];
                let files = engine.find(prepared, bound, &self.lake).await?;
                self.hot.load(query, bound, &files, &stores).await?
            }
        };
        let view = view.ok_or_else(|| Refusal {
            kind: None,
            message: "the table has no room in memory".to_owned(),
        })?;
        let mut rows = self.hot.run(query, bound, &view).await?;
        let direct = &self.engines.direct;
        direct.fetch_add(rows.is_direct().into(), Relaxed);
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            batches.push(batch?);
        }
        answer(&rows.schema(), &batches, &rows.stats())
    }
}

/// The SQL of an action, which is its last line.
fn prepared_sql(toml: &str) -> &str {
    toml.rsplit_once("\nsql = ").map_or("", |(_, sql)| sql)
}

fn answer(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    stats: &RunStats,
) -> Result<Answer, Refusal> {
    let mut json = JsonRows::new();
    for batch in batches {
        json.push(batch)?;
    }
    let text = json.finish()?;
    let rows: Vec<BTreeMap<&str, &RawValue>> =
        serde_json::from_str(text.get()).map_err(|error| Refusal {
            kind: None,
            message: format!("the answer is not JSON: {error}"),
        })?;
    let names: Vec<&str> = schema
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let cells = |row: &BTreeMap<&str, &RawValue>| {
        let cells = names
            .iter()
            .map(|name| row.get(name).map_or("(none)", |cell| cell.get()));
        cells.map(canonical).collect()
    };
    Ok(Answer {
        rows: rows.iter().map(cells).collect(),
        skipped: stats.skipped_rows,
        nulled: stats.nulled_values,
    })
}

/// A clock that stands still, so that no table grows old.
#[derive(Debug)]
struct Still;

impl HotClock for Still {
    fn elapsed(&self) -> Duration {
        Duration::ZERO
    }
}

/// Nobody asks it, since no table grows old.
#[derive(Debug)]
struct Source;

#[async_trait]
impl HotSource for Source {
    async fn head(&self, _table: &TableLocation) -> Result<ObjectMeta, BoxError> {
        Err("no table grows old".into())
    }

    async fn reload(&self, _locations: &[TableLocation]) -> Result<Box<dyn Reload>, BoxError> {
        Err("no table grows old".into())
    }
}
