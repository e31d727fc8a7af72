//! A query over files in memory, and everything that comes of it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

pub(crate) mod counting;
#[cfg(feature = "cluster")]
pub(crate) mod workers;

use std::{collections::BTreeMap, sync::Arc};

use chrono::{DateTime, TimeZone, Utc};
use datafusion::arrow::array::RecordBatch;
#[cfg(feature = "cluster")]
use flowlake_transform::ErrorKind;
use flowlake_transform::{
    BoundParams, BoxError, Error, Limits, Prepared, Run, RunStats, StoreResolver, Transform,
    TransformSpec, json::JsonRows,
};
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, memory::InMemory};
use serde_json::{Value, json};

/// One store, whatever the bucket.
#[derive(Clone)]
pub(crate) struct Lake(pub(crate) Arc<dyn ObjectStore>);

impl StoreResolver for Lake {
    fn store(&self, _bucket: &str) -> Result<Arc<dyn ObjectStore>, BoxError> {
        Ok(Arc::clone(&self.0))
    }
}

/// An action in the making.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) lake: Lake,
    pub(crate) tables: Value,
    pub(crate) params: Value,
    pub(crate) values: Value,
    pub(crate) limits: Limits,
}

impl Question {
    /// Over one table `t`.
    pub(crate) async fn of(key: &str, content: impl Into<PutPayload>) -> Self {
        let question = Self::over(Arc::new(InMemory::new()), key);
        question.put(key, content).await;
        question
    }

    pub(crate) fn over(store: Arc<dyn ObjectStore>, key: &str) -> Self {
        Self {
            lake: Lake(store),
            tables: json!({ "t": { "uri": format!("s3://lake/{key}") } }),
            params: json!({}),
            values: json!({}),
            limits: Limits::default(),
        }
    }

    pub(crate) async fn put(&self, key: &str, content: impl Into<PutPayload>) {
        self.lake.0.put(&key.into(), content.into()).await.unwrap();
    }

    pub(crate) fn with(mut self, params: Value, values: Value) -> Self {
        (self.params, self.values) = (params, values);
        self
    }

    pub(crate) fn prepare(&self, sql: &str) -> Result<(Prepared, BoundParams), Error> {
        let prepared = Prepared::try_new(TransformSpec {
            sql: sql.to_owned(),
            tables: serde_json::from_value(self.tables.clone()).unwrap(),
            params: serde_json::from_value::<BTreeMap<_, _>>(self.params.clone()).unwrap(),
            limits: self.limits.clone(),
        })?;
        let bound = prepared.bind(self.values.as_object().unwrap(), now())?;
        Ok((prepared, bound))
    }

    /// The rows; those of whole files where parts of files do not begin with records, as an attempt asks.
    pub(crate) async fn batches(
        &self,
        transform: &Transform,
        sql: &str,
    ) -> Result<(Vec<RecordBatch>, RunStats), Error> {
        match self.batches_once(transform, sql).await {
            #[cfg(feature = "cluster")]
            Err(error) if error.kind() == ErrorKind::FilesDivided => {
                self.batches_once(&transform.with_whole_files(), sql).await
            }
            answered => answered,
        }
    }

    pub(crate) async fn batches_once(
        &self,
        transform: &Transform,
        sql: &str,
    ) -> Result<(Vec<RecordBatch>, RunStats), Error> {
        let (prepared, bound) = self.prepare(sql)?;
        let files = transform.find(&prepared, &bound, &self.lake).await?;
        let run = Run {
            prepared: &prepared,
            bound: &bound,
            files: &files,
            stores: &self.lake,
        };
        let mut stream = transform.run(&run).await?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            batches.push(batch?);
        }
        Ok((batches, stream.stats()))
    }

    pub(crate) async fn run_in(
        &self,
        transform: &Transform,
        sql: &str,
    ) -> Result<(Value, RunStats), Error> {
        let (batches, stats) = self.batches(transform, sql).await?;
        let mut rows = JsonRows::new();
        batches.iter().try_for_each(|batch| rows.push(batch))?;
        Ok((serde_json::from_str(rows.finish()?.get()).unwrap(), stats))
    }

    pub(crate) async fn run(&self, sql: &str) -> Result<(Value, RunStats), Error> {
        self.run_in(&Transform::builder().build()?, sql).await
    }

    pub(crate) async fn rows(&self, sql: &str) -> Value {
        match self.run(sql).await {
            Ok((rows, _)) => rows,
            Err(error) => panic!("{sql}: {error} ({:?})", error.kind()),
        }
    }
}

/// Friday, 2026-01-02, 03:04:05 UTC.
pub(crate) fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, 5).unwrap()
}
