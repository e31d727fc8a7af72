//! The store itself: a bucket, its client, and what its reads share.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_s3::{
    Client,
    types::{ChecksumMode, RequestPayer},
};
use object_store::path::Path;

use crate::{
    Clock, Error, ErrorKind, MetadataCache, Meter, ObjectMetadata, ReadBudget, S3StreamSettings,
    SystemClock, client::CurrentClient, key, metadata::Archived, meter::Operation,
    retry::RetryBudget,
};

/// One bucket as an [`object_store::ObjectStore`]. Cheap to clone; clones share meter and pins.
#[derive(Clone)]
pub struct S3Stream {
    shared: Arc<Shared>,
    meter: Arc<Meter>,
    pins: Option<Pins>,
}

/// The versions that one request reads, by key.
type Pins = Arc<Mutex<BTreeMap<Path, Arc<ObjectMetadata>>>>;

struct Shared {
    client: CurrentClient,
    bucket: String,
    settings: S3StreamSettings,
    cache: MetadataCache,
    budget: ReadBudget,
    retry_budget: RetryBudget,
    clock: Arc<dyn Clock>,
}

/// Builds an [`S3Stream`].
#[derive(Debug)]
pub struct S3StreamBuilder {
    client: Client,
    bucket: String,
    settings: S3StreamSettings,
    cache: Option<MetadataCache>,
    budget: Option<ReadBudget>,
    clock: Arc<dyn Clock>,
}

impl S3Stream {
    /// Starts from a client whose credentials, region and endpoint are set, and a bucket.
    pub fn builder(client: Client, bucket: impl Into<String>) -> S3StreamBuilder {
        S3StreamBuilder {
            client,
            bucket: bucket.into(),
            settings: S3StreamSettings::default(),
            cache: None,
            budget: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// A view for one request: with a meter of its own, and with every object pinned to the version that it first saw.
    #[must_use]
    pub fn request(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            meter: Arc::default(),
            pins: Some(Arc::default()),
        }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.shared.bucket
    }

    /// What this view moved.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// The versions that this view read or was asked about, in order of key; none for a store that is no request's view.
    #[must_use]
    pub fn pinned(&self) -> Vec<(Path, Arc<ObjectMetadata>)> {
        let Some(pins) = &self.pins else {
            return Vec::new();
        };
        let pins = pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.iter()
            .map(|(path, metadata)| (path.clone(), Arc::clone(metadata)))
            .collect()
    }

    /// The metadata of an object: what this view is pinned to, else from the cache, else from HEAD.
    ///
    /// # Errors
    /// [`ErrorKind::NoSuchKey`], [`ErrorKind::AccessDenied`] (also for a missing object, where listing is not allowed),
    /// [`ErrorKind::WrongRegion`], and the kinds of an S3 that does not answer.
    pub async fn metadata(&self, location: &Path) -> Result<Arc<ObjectMetadata>, Error> {
        if let Some(pinned) = self.pin_of(location) {
            return Ok(pinned);
        }
        let shared = &self.shared;
        let (found, hit) = shared
            .cache
            .get(
                &shared.bucket,
                location,
                shared.clock.now(),
                Box::pin(self.head(location, None)),
            )
            .await;
        if hit {
            self.meter.cache_hit();
        }
        Ok(self.pin(found?))
    }

    /// Metadata straight from S3, of a version when one is named. The cache learns the current one.
    pub(crate) async fn fresh_metadata(
        &self,
        location: &Path,
        version: Option<&str>,
    ) -> Result<Arc<ObjectMetadata>, Error> {
        let metadata = Arc::new(Box::pin(self.head(location, version)).await?);
        if version.is_none() {
            self.shared
                .cache
                .put(
                    &self.shared.bucket,
                    Arc::clone(&metadata),
                    self.shared.clock.now(),
                )
                .await;
        }
        Ok(metadata)
    }

    /// Forgets what is known of an object, here and in the cache.
    pub async fn invalidate(&self, location: &Path) {
        self.unpin(location);
        self.shared
            .cache
            .invalidate(&self.shared.bucket, location)
            .await;
    }

    async fn head(&self, location: &Path, version: Option<&str>) -> Result<ObjectMetadata, Error> {
        let what = key::display(self.bucket(), location);
        let request = |client: Client| {
            client
                .head_object()
                .bucket(self.bucket())
                .key(location.as_ref())
                .set_version_id(version.map(str::to_owned))
                .set_request_payer(self.request_payer())
                .checksum_mode(ChecksumMode::Enabled)
                .send()
        };
        match self.send(&what, Operation::Head, request).await {
            Ok(head) => {
                self.meter()
                    .answered(aws_sdk_s3::operation::RequestId::request_id(&head), None);
                ObjectMetadata::from_head(location, head).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Corrupt,
                        format!("{what}: the answer does not say how large the object is"),
                    )
                })
            }
            Err(error) => Err(Box::pin(self.explain(location, version, error)).await),
        }
    }

    /// What a refused HEAD is about. Its answer has no body, so S3 is asked once more in a way that has one.
    async fn explain(&self, location: &Path, version: Option<&str>, error: Error) -> Error {
        let what = key::display(self.bucket(), location);
        let asked = match error.status_alone() {
            Some(404) => {
                let request = |client: Client| client.head_bucket().bucket(self.bucket()).send();
                let bucket = self.send_once(&what, Operation::Head, request).await;
                return match bucket {
                    Err(bucket)
                        if bucket.status_alone() == Some(404)
                            || bucket.kind() == ErrorKind::NoSuchBucket =>
                    {
                        Error::new(
                            ErrorKind::NoSuchBucket,
                            format!("{what}: the bucket does not exist"),
                        )
                        .with_source(error)
                    }
                    _ => error,
                };
            }
            Some(400 | 403) => {
                let request = |client: Client| {
                    client
                        .get_object()
                        .bucket(self.bucket())
                        .key(location.as_ref())
                        .set_version_id(version.map(str::to_owned))
                        .set_request_payer(self.request_payer())
                        .range("bytes=0-0")
                        .send()
                };
                self.send_once(&what, Operation::Get, request).await
            }
            _ => return error,
        };
        match asked {
            Err(explained) if explained.status_alone().is_none() && !explained.is_retryable() => {
                explained
            }
            _ => error,
        }
    }

    /// Forgets a version that turned out not to be the present one.
    pub(crate) async fn forget(&self, outdated: &ObjectMetadata) {
        self.shared.cache.forget(self.bucket(), outdated).await;
    }

    /// Refuses what must be restored from its archive first, as S3 itself would.
    pub(crate) fn check_readable(&self, metadata: &ObjectMetadata) -> Result<(), Error> {
        let Some(archived) = metadata.archived() else {
            return Ok(());
        };
        let class = metadata.storage_class.as_deref().unwrap_or_default();
        let state = match archived {
            Archived::NotRestored => "is not restored",
            Archived::RestoreUnderWay => "is being restored",
        };
        let what = key::display(self.bucket(), &metadata.location);
        Err(Error::new(
            ErrorKind::Archived,
            format!("{what}: the object is archived in {class} and {state}"),
        ))
    }

    pub(crate) fn is_pinned(&self, location: &Path) -> bool {
        self.pin_of(location).is_some()
    }

    pub(crate) fn unpin(&self, location: &Path) {
        if let Some(pins) = &self.pins {
            pins.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(location);
        }
    }

    fn pin_of(&self, location: &Path) -> Option<Arc<ObjectMetadata>> {
        let pins = self
            .pins
            .as_ref()?
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        pins.get(location).cloned()
    }

    /// Pins an object unless it is pinned already; the pinned metadata.
    fn pin(&self, metadata: Arc<ObjectMetadata>) -> Arc<ObjectMetadata> {
        let Some(pins) = &self.pins else {
            return metadata;
        };
        let mut pins = pins.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(pins.entry(metadata.location.clone()).or_insert(metadata))
    }

    pub(crate) fn current_client(&self) -> &CurrentClient {
        &self.shared.client
    }

    pub(crate) fn retry_budget(&self) -> &RetryBudget {
        &self.shared.retry_budget
    }

    pub(crate) fn request_payer(&self) -> Option<RequestPayer> {
        self.settings()
            .requester_pays
            .then_some(RequestPayer::Requester)
    }

    pub(crate) fn settings(&self) -> &S3StreamSettings {
        &self.shared.settings
    }

    pub(crate) fn budget(&self) -> &ReadBudget {
        &self.shared.budget
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }
}

impl S3StreamBuilder {
    /// How S3 is read.
    #[must_use]
    pub fn with_settings(mut self, settings: S3StreamSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Shares a metadata cache with other stores.
    #[must_use]
    pub fn with_metadata_cache(mut self, cache: MetadataCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Shares a budget of bytes in flight with other stores.
    #[must_use]
    pub fn with_budget(mut self, budget: ReadBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings. Sends nothing.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSetting`] for an empty bucket name, or parts, concurrency or attempts of zero.
    pub fn build(self) -> Result<S3Stream, Error> {
        let settings = self.settings;
        let wrong = [
            (self.bucket.is_empty(), "the bucket's name is empty"),
            (settings.part_bytes == 0, "part_bytes must be at least 1"),
            (settings.concurrency == 0, "concurrency must be at least 1"),
            (settings.attempts == 0, "attempts must be at least 1"),
        ];
        if let Some((_, what)) = wrong.iter().find(|(is_wrong, _)| *is_wrong) {
            return Err(Error::new(ErrorKind::InvalidSetting, *what));
        }
        Ok(S3Stream {
            shared: Arc::new(Shared {
                client: CurrentClient::new(&self.client),
                bucket: self.bucket,
                cache: self.cache.unwrap_or_else(|| MetadataCache::new(&settings)),
                budget: self.budget.unwrap_or_else(|| ReadBudget::new(&settings)),
                retry_budget: RetryBudget::new(),
                clock: self.clock,
                settings,
            }),
            meter: Arc::default(),
            pins: None,
        })
    }
}

impl fmt::Debug for S3Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("S3Stream")
            .field("bucket", &self.shared.bucket)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for S3Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "S3Stream(s3://{})", self.shared.bucket)
    }
}
