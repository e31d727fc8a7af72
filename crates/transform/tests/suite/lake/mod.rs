//! A lake in memory whose requests are counted, and queries over it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{TimeZone, Utc};
use flowlake_transform::{
    BoxError, Error, Limits, Prepared, Run, RunStats, StoreResolver, TableInfo, Transform,
    TransformSpec, json::JsonRows,
};
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    memory::InMemory, path::Path,
};
use serde_json::{Value, json};

/// Counts what is asked of it.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    inner: InMemory,
    gets: Mutex<Vec<(String, Range<u64>)>>,
}

/// Files, and an engine that stays over queries.
pub(crate) struct Lake {
    store: Arc<Counting>,
    engine: Transform,
    pub(crate) tables: Value,
}

impl StoreResolver for Lake {
    fn store(&self, _bucket: &str) -> std::result::Result<Arc<dyn ObjectStore>, BoxError> {
        Ok(Arc::clone(&self.store) as Arc<dyn ObjectStore>)
    }
}

impl Lake {
    /// A lake whose table `t` lies at `key`.
    pub(crate) fn at(key: &str) -> Self {
        Self {
            store: Arc::default(),
            engine: Transform::builder().build().unwrap(),
            tables: json!({ "t": { "uri": format!("s3://lake/{key}") } }),
        }
    }

    /// A lake with one file, which is the table `t`.
    pub(crate) async fn of(key: &str, content: impl Into<PutPayload>) -> Self {
        Self::at(key).file(key, content).await
    }

    pub(crate) async fn file(self, key: &str, content: impl Into<PutPayload>) -> Self {
        self.store
            .inner
            .put(&Path::parse(key).unwrap(), content.into())
            .await
            .unwrap();
        self
    }

    /// Sets a key of table `t`.
    pub(crate) fn with(mut self, key: &str, value: Value) -> Self {
        self.tables["t"][key] = value;
        self
    }

    /// The GETs since it was asked last.
    pub(crate) fn gets(&self) -> Vec<String> {
        self.gets_with_ranges()
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    }

    pub(crate) fn gets_with_ranges(&self) -> Vec<(String, Range<u64>)> {
        std::mem::take(&mut *self.store.gets.lock().unwrap())
    }

    fn prepared(&self, sql: &str) -> std::result::Result<Prepared, Error> {
        Prepared::try_new(TransformSpec {
            sql: sql.to_owned(),
            tables: serde_json::from_value(self.tables.clone()).unwrap(),
            params: serde_json::from_value(json!({})).unwrap(),
            limits: Limits {
                max_rows: 1_000_000,
                // These tests are about rows; without optimisation, and beside other tests, they take their time.
                timeout: Duration::from_secs(50),
                ..Limits::default()
            },
        })
    }

    pub(crate) async fn run(&self, sql: &str) -> std::result::Result<(Value, RunStats), Error> {
        let prepared = self.prepared(sql)?;
        let now = Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, 5).unwrap();
        let bound = prepared.bind(json!({}).as_object().unwrap(), now)?;
        let files = self.engine.find(&prepared, &bound, self).await?;
        let run = Run {
            prepared: &prepared,
            bound: &bound,
            files: &files,
            stores: self,
        };
        let mut stream = self.engine.run(&run).await?;
        let mut rows = JsonRows::new();
        while let Some(batch) = stream.next().await {
            rows.push(&batch?)?;
        }
        let text = rows.finish()?;
        Ok((serde_json::from_str(text.get()).unwrap(), stream.stats()))
    }

    pub(crate) async fn rows(&self, sql: &str) -> Value {
        match self.run(sql).await {
            Ok((rows, _)) => rows,
            Err(error) => panic!("{sql}: {error} ({:?})", error.kind()),
        }
    }

    pub(crate) async fn error(&self, sql: &str) -> Error {
        match self.run(sql).await {
            Ok((rows, _)) => panic!("{sql}: {rows}"),
            Err(error) => error,
        }
    }

    pub(crate) async fn info(&self) -> std::result::Result<TableInfo, Error> {
        let prepared = self.prepared("SELECT 1 FROM t")?;
        let bound = prepared.bind(json!({}).as_object().unwrap(), Utc.timestamp_nanos(0))?;
        let files = self.engine.find(&prepared, &bound, self).await?;
        let run = Run {
            prepared: &prepared,
            bound: &bound,
            files: &files,
            stores: self,
        };
        let mut tables = self.engine.tables(&run).await?;
        Ok(tables.remove(0))
    }

    /// Names and types of the columns of `t`.
    pub(crate) async fn columns(&self) -> Vec<(String, String)> {
        self.info().await.unwrap().columns
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Counting")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Counting {
    async fn put_opts(
        &self,
        at: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(at, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let result = self.inner.get_opts(at, options).await?;
        if !head {
            self.gets
                .lock()
                .unwrap()
                .push((at.to_string(), result.range.clone()));
        }
        Ok(result)
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        for range in ranges {
            self.gets
                .lock()
                .unwrap()
                .push((at.to_string(), range.clone()));
        }
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
