//! Actions over objects that a test gives, in place of those on S3.
//!
//! Parameters, locations, policy, the tables' options, types, the guard and the limits are those of an attempt, by the same code.
//! Nothing is asked of AWS or Genesys Cloud, and nothing is recorded or paid.

use std::{collections::BTreeMap, fmt, ops::Range, sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use flowlake_s3_stream::{ListedObject, ObjectMetadata};
use flowlake_transform::{BoxError, Location, RowFormat, StoreResolver, TableLocation, Transform};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    Attributes, Error as StoreError, GetOptions, GetResult, GetResultPayload, ObjectMeta,
    ObjectStore, path::Path,
};
use serde_json::{Map, Value, value::RawValue};
use sha2::{Digest, Sha256};

use crate::{
    Action, ActionError, ActionRequest, Clock, ErrorCode, ReadPolicy, RowOutput, SystemClock,
    admit::Admitted,
    attempt::Attempt,
    find::{Bucket, find},
    pipeline::column_names,
    plan::ReadPlan,
    read::rows as cold_rows,
    read_only::{Objects, ReadOnlyStore},
    services::find_action,
};

/// Runs actions over [`TestObjects`]; made by [`crate::PipelineBuilder::bench`].
#[derive(Debug)]
pub struct TestBench {
    pub(crate) actions: BTreeMap<String, Arc<Action>>,
    pub(crate) broken: BTreeMap<String, ActionError>,
    pub(crate) policy: ReadPolicy,
    pub(crate) engine: Transform,
}

/// What lies in the buckets of one test. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct TestObjects(Arc<BTreeMap<(String, String), Bytes>>);

/// What an action answered in a test.
#[derive(Debug, Clone)]
pub struct TestRun {
    /// The rows, where they were wanted as JSON: an array of objects.
    pub data: Box<RawValue>,
    /// The rows in any other format.
    pub encoded: Vec<u8>,
    /// The names of the columns, in order.
    pub columns: Vec<String>,
    /// Whether the action's row limit cut rows off.
    pub truncated: bool,
    /// Rows of files that did not fit and were left out.
    pub skipped_rows: u64,
    /// Values of files that did not fit and were made null.
    pub nulled_values: u64,
}

impl TestBench {
    /// The configured actions, in order of name.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.actions.values().map(AsRef::as_ref)
    }

    /// The action of that name.
    ///
    /// # Errors
    /// Why it cannot be run, or [`ErrorCode::ActionUnknown`] with the nearest name that exists.
    pub fn action(&self, name: &str) -> Result<&Arc<Action>, ActionError> {
        find_action(&self.actions, &self.broken, name)
    }

    /// Where the objects of each table are looked for.
    ///
    /// # Errors
    /// [`ErrorCode::ParamInvalid`].
    pub fn locations(
        action: &Action,
        params: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Vec<TableLocation>, ActionError> {
        let bound = action.prepared.bind(params, now)?;
        Ok(action.prepared.locations(&bound)?)
    }

    /// Runs an action as if these objects lay on S3, at the time `now`.
    ///
    /// # Errors
    /// What an attempt fails with that may read all objects and finds these.
    pub async fn run(
        &self,
        action: &Arc<Action>,
        params: &Map<String, Value>,
        now: DateTime<Utc>,
        objects: &TestObjects,
        format: RowFormat,
    ) -> Result<TestRun, ActionError> {
        let clock: Arc<dyn Clock> = Arc::new(TestClock(now));
        let request = ActionRequest {
            output: RowOutput {
                format,
                ..RowOutput::default()
            },
            ..ActionRequest::default()
        };
        let attempt = Attempt::new(&clock, &request, action.name().to_owned());
        let prepared = &action.prepared;
        let bound = prepared.bind(params, now)?;
        let locations = prepared.locations(&bound)?;
        for table in &locations {
            self.policy.check(&table.location)?;
        }
        let mut found = Vec::with_capacity(locations.len());
        for table in &locations {
            let bucket = objects.bucket(table.location.bucket());
            found.push(find(&self.policy, prepared, table, &bucket).await?);
        }
        let plan = ReadPlan::try_new(prepared, found)?;
        let admitted = Admitted {
            action: Arc::clone(action),
            bound,
            locations,
        };
        let rows = cold_rows(
            &self.engine,
            &attempt,
            &admitted,
            &plan.files,
            objects,
            &request,
        );
        let located = |error| action.definition.locate(error);
        let rows = rows.await.map_err(located)?;
        Ok(TestRun {
            columns: column_names(&rows.schema),
            data: rows.data,
            encoded: rows.encoded,
            truncated: rows.stats.truncated,
            skipped_rows: rows.stats.skipped_rows,
            nulled_values: rows.stats.nulled_values,
        })
    }
}

impl TestObjects {
    /// These objects, by bucket and key.
    #[must_use]
    pub fn new(objects: BTreeMap<(String, String), Bytes>) -> Self {
        Self(Arc::new(objects))
    }

    /// The objects of one bucket.
    fn bucket(&self, name: &str) -> TestBucket {
        TestBucket {
            objects: self.clone(),
            name: name.to_owned(),
        }
    }
}

impl StoreResolver for TestObjects {
    fn store(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BoxError> {
        Ok(Arc::new(ReadOnlyStore(self.bucket(bucket))))
    }
}

/// One bucket of a test.
#[derive(Debug)]
struct TestBucket {
    objects: TestObjects,
    name: String,
}

impl TestBucket {
    fn content(&self, key: &str) -> Option<&Bytes> {
        self.objects.0.get(&(self.name.clone(), key.to_owned()))
    }

    /// An object and what S3 would say of it. Its tag is computed from its content: what is detected in files is cached by tag.
    fn get(&self, path: &Path) -> Result<(&Bytes, ObjectMeta), StoreError> {
        let content = self.content(path.as_ref());
        let content = content.ok_or_else(|| StoreError::NotFound {
            path: path.to_string(),
            source: "the test gives no such object".into(),
        })?;
        Ok((content, metadata(path.clone(), content).to_object_meta()))
    }
}

fn tag(content: &[u8]) -> String {
    let digest = Sha256::digest(content);
    let hexadecimal: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hexadecimal}\"")
}

fn metadata(path: Path, content: &Bytes) -> ObjectMetadata {
    ObjectMetadata {
        location: path,
        size: content.len() as u64,
        etag: Some(tag(content)),
        ..ObjectMetadata::default()
    }
}

impl Bucket for TestBucket {
    async fn head(&self, path: &Path) -> Result<Arc<ObjectMetadata>, ActionError> {
        let content = self.content(path.as_ref());
        let content = content.ok_or_else(|| {
            ActionError::new(
                ErrorCode::S3NoSuchKey,
                format!("s3://{}/{path} does not exist", self.name),
                "Give the table of the test its data.",
            )
        })?;
        Ok(Arc::new(metadata(path.clone(), content)))
    }

    fn list(&self, location: &Location) -> BoxStream<'static, Result<ListedObject, ActionError>> {
        let prefix = location.list_prefix().unwrap_or_default();
        let objects = self.objects.0.iter();
        let listed =
            objects.filter(|((bucket, key), _)| *bucket == self.name && key.starts_with(prefix));
        let listed: Vec<_> = listed
            .map(|((_, key), content)| {
                Ok(ListedObject {
                    key: key.clone(),
                    size: content.len() as u64,
                    etag: Some(tag(content)),
                    last_modified: DateTime::UNIX_EPOCH,
                    storage_class: None,
                })
            })
            .collect();
        stream::iter(listed).boxed()
    }

    fn expect(&self, _path: &Path, _listed: &ListedObject) {}
}

#[async_trait]
impl Objects for TestBucket {
    async fn object(&self, path: &Path, options: GetOptions) -> Result<GetResult, StoreError> {
        let (content, meta) = self.get(path)?;
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => range
                .as_range(meta.size)
                .map_err(|error| StoreError::Generic {
                    store: "a test",
                    source: error.to_string().into(),
                })?,
            None => 0..meta.size,
        };
        let piece = part(content, &range);
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream::iter([Ok(piece)]).boxed()),
            meta,
            range,
            attributes: Attributes::new(),
        })
    }

    async fn ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let (content, _) = self.get(path)?;
        let parts = ranges.iter().map(|range| part(content, range));
        Ok(parts.collect())
    }
}

/// A range of an object, as far as the object has it.
fn part(content: &Bytes, range: &Range<u64>) -> Bytes {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(content.len());
    let (begin, end) = (place(range.start), place(range.end));
    content.slice(begin.min(end)..end)
}

impl fmt::Display for TestBucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("objects of a test")
    }
}

/// Stands still by the calendar.
#[derive(Debug)]
struct TestClock(DateTime<Utc>);

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        self.0
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }
}
