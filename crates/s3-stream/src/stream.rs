//! The store itself: a bucket, its client, and what its reads share.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_s3::{
    Client,
    operation::get_object::GetObjectOutput,
    types::{ChecksumMode, RequestPayer},
};
use object_store::{Attributes, path::Path};

use crate::{
    Clock, DiskCache, Error, ErrorKind, ListedObject, MetadataCache, Meter, ObjectMetadata,
    ReadBudget, S3StreamSettings, SystemClock, client::CurrentClient, disk_cache::CachedVersion,
    key, metadata::Archived, meter::Operation, retry_budget::RetryBudget,
};

/// One bucket as an [`object_store::ObjectStore`]. Cheap to clone; clones share meter and pins.
#[derive(Clone)]
pub struct S3Stream {
    shared: Arc<Shared>,
    meter: Arc<Meter>,
    pins: Option<Pins>,
}

/// The versions that one request reads, by key.
type Pins = Arc<Mutex<BTreeMap<Path, Pin>>>;

/// What is known of the version that a request reads.
#[derive(Debug, Clone)]
enum Pin {
    /// It was in a listing.
    Listed(ListedVersion),
    /// Its metadata was asked for.
    Known(Arc<ObjectMetadata>),
}

/// What a listing says of a version.
#[derive(Debug, Clone)]
struct ListedVersion {
    etag: Option<String>,
    size: u64,
    is_read_at_once: bool,
}

impl ListedVersion {
    fn is_of(&self, metadata: &ObjectMetadata) -> bool {
        match (&self.etag, &metadata.etag) {
            (Some(listed), Some(found)) => listed == found,
            _ => self.size == metadata.size,
        }
    }
}

struct Shared {
    client: CurrentClient,
    bucket: String,
    settings: S3StreamSettings,
    cache: MetadataCache,
    budget: ReadBudget,
    retry_budget: RetryBudget,
    disk: Option<DiskCache>,
    clock: Arc<dyn Clock>,
    /// The ones of the last GET: those of most objects are equal, and are kept once.
    attributes: Mutex<Arc<Attributes>>,
}

/// Builds an [`S3Stream`].
#[derive(Debug)]
pub struct S3StreamBuilder {
    client: Client,
    bucket: String,
    settings: S3StreamSettings,
    cache: Option<MetadataCache>,
    budget: Option<ReadBudget>,
    disk: Option<DiskCache>,
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
            disk: None,
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
        let known = pins.iter().filter_map(|(path, pin)| match pin {
            Pin::Known(metadata) => Some((path.clone(), Arc::clone(metadata))),
            Pin::Listed(_) => None,
        });
        known.collect()
    }

    /// Makes this view read the version that a listing named: another version is an error of
    /// [`ErrorKind::ObjectChanged`]. It is read without asking for its metadata first, which the answer brings along. Without effect on a store that is no request's view, and on an object that this view
    /// has read already.
    pub fn expect(&self, location: &Path, listed: &ListedObject) {
        let Some(pins) = &self.pins else {
            return;
        };
        let version = ListedVersion {
            etag: listed.etag.clone(),
            size: listed.size,
            is_read_at_once: listed.is_read_at_once(),
        };
        let mut pins = pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.entry(location.clone()).or_insert(Pin::Listed(version));
    }

    /// The metadata of an object: what this view is pinned to, else from the cache, else from HEAD.
    ///
    /// # Errors
    /// [`ErrorKind::ObjectChanged`] when it is not the version of [`Self::expect`], [`ErrorKind::NoSuchKey`], [`ErrorKind::AccessDenied`] (also for a missing object, where listing is not allowed),
    /// [`ErrorKind::WrongRegion`], and the kinds of an S3 that does not answer.
    pub async fn metadata(&self, location: &Path) -> Result<Arc<ObjectMetadata>, Error> {
        match self.pin_of(location) {
            Some(Pin::Known(metadata)) => Ok(metadata),
            Some(Pin::Listed(listed)) => Box::pin(self.listed_metadata(location, &listed)).await,
            None => {
                let (found, hit) = self.cached_metadata(location).await;
                if hit {
                    self.meter.cache_hit();
                }
                Ok(self.pin(found?))
            }
        }
    }

    /// The metadata of the version that was listed. What the cache knows may be older than the listing.
    async fn listed_metadata(
        &self,
        location: &Path,
        listed: &ListedVersion,
    ) -> Result<Arc<ObjectMetadata>, Error> {
        let (mut found, hit) = self.cached_metadata(location).await;
        let is_listed = |found: &Result<Arc<ObjectMetadata>, Error>| {
            found.as_ref().is_ok_and(|found| listed.is_of(found))
        };
        if hit && is_listed(&found) {
            self.meter.cache_hit();
        } else if hit {
            let (cache, bucket) = (&self.shared.cache, &self.shared.bucket);
            cache.invalidate(bucket, location).await;
            found = self.cached_metadata(location).await.0;
        }
        match found {
            Ok(found) if listed.is_of(&found) => Ok(self.pin(found)),
            Err(error) if error.kind() != ErrorKind::NoSuchKey => Err(error),
            _ => Err(Error::new(
                ErrorKind::ObjectChanged,
                format!(
                    "{}: the object changed after it was listed",
                    key::display(self.bucket(), location)
                ),
            )),
        }
    }

    /// The metadata from the cache, else from HEAD; whether the cache had it.
    async fn cached_metadata(&self, location: &Path) -> (Result<Arc<ObjectMetadata>, Error>, bool) {
        let shared = &self.shared;
        shared
            .cache
            .get(
                &shared.bucket,
                location,
                shared.clock.now(),
                Box::pin(self.head(location, None)),
            )
            .await
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
                ObjectMetadata::from_head(location, &head).ok_or_else(|| {
                    Error::new(
                        ErrorKind::Corrupt,
                        format!("{what}: the answer does not say how large the object is"),
                    )
                })
            }
            Err(error) => Err(Box::pin(self.explain(location, version, error)).await),
        }
    }

    /// Why a HEAD was refused. Its answer has no body, so S3 is asked once more in a way that has one.
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

    /// What is known of an object whose version was listed, if a GET of that version needs to know no more.
    pub(crate) fn listed(&self, location: &Path) -> Option<ObjectMetadata> {
        match self.pin_of(location)? {
            Pin::Listed(listed) if listed.is_read_at_once => {
                let etag = listed.etag?;
                Some(ObjectMetadata::listed(location, listed.size, etag))
            }
            Pin::Listed(_) | Pin::Known(_) => None,
        }
    }

    /// Pins the metadata from a GET, for a version of which only the listing was known.
    pub(crate) fn learn(&self, listed: &ObjectMetadata, answer: &GetObjectOutput) {
        if matches!(self.pin_of(&listed.location), Some(Pin::Listed(_))) {
            let mut told = ObjectMetadata::from_get(&listed.location, listed.size, answer);
            let shared = &self.shared.attributes;
            let mut last = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if *last == told.attributes {
                told.attributes = Arc::clone(&last);
            } else {
                *last = Arc::clone(&told.attributes);
            }
            drop(last);
            self.pin(Arc::new(told));
        }
    }

    /// What this view is pinned to, once S3 was asked.
    pub(crate) fn known(&self, location: &Path) -> Option<Arc<ObjectMetadata>> {
        match self.pin_of(location)? {
            Pin::Known(metadata) => Some(metadata),
            Pin::Listed(_) => None,
        }
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

    fn pin_of(&self, location: &Path) -> Option<Pin> {
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
        if let Some(Pin::Known(pinned)) = pins.get(&metadata.location) {
            return Arc::clone(pinned);
        }
        pins.insert(metadata.location.clone(), Pin::Known(Arc::clone(&metadata)));
        metadata
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

    /// The version of `metadata` in the cache on disk, if there is one and it keeps such objects.
    pub(crate) fn kept(&self, metadata: &ObjectMetadata) -> Option<CachedVersion> {
        let disk = self.shared.disk.as_ref()?;
        disk.version(self.bucket(), metadata)
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

    /// Keeps what is read in a cache on disk, and reads what it has from there. Stores of other buckets may
    /// share it.
    #[must_use]
    pub fn with_disk_cache(mut self, cache: DiskCache) -> Self {
        self.disk = Some(cache);
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
                disk: self.disk,
                clock: self.clock,
                attributes: Mutex::default(),
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
