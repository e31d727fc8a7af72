//! The stores of one request: one view per bucket of S3, each with its own meter and its own pinned versions, and the files of this
//! machine.

mod by_workers;
mod guarded;
mod views;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use flowlake_s3_stream::{
    DiskCache, MetadataCache, MeterSnapshot, ObjectMetadata, ReadBudget, S3Stream, S3StreamSettings,
};
#[cfg(feature = "cluster")]
use flowlake_transform::cluster::MovedByWorkers;
use flowlake_transform::{BoxError, Files, LOCAL_FILES, StoreResolver};
use object_store::ObjectStore;

use self::guarded::Admit;
use self::{
    by_workers::ByWorkers,
    guarded::{Guarded, Limits},
    views::Views,
};
use crate::{ActionError, local::LocalFiles, read_only::ReadOnlyStore};

/// What all requests of a process share: the client, the metadata cache and the budget of bytes in flight.
#[derive(Debug)]
pub(crate) struct S3 {
    client: aws_sdk_s3::Client,
    settings: S3StreamSettings,
    cache: MetadataCache,
    budget: ReadBudget,
    disk: Option<DiskCache>,
    buckets: Mutex<BTreeMap<String, S3Stream>>,
}

impl S3 {
    pub(crate) fn new(
        client: aws_sdk_s3::Client,
        settings: S3StreamSettings,
        disk: Option<DiskCache>,
    ) -> Self {
        let cache = MetadataCache::new(&settings);
        let budget = ReadBudget::new(&settings);
        Self {
            client,
            settings,
            cache,
            budget,
            disk,
            buckets: Mutex::default(),
        }
    }

    /// The client that all stores read through.
    pub(crate) fn client(&self) -> &aws_sdk_s3::Client {
        &self.client
    }

    /// How S3 is read.
    pub(crate) const fn settings(&self) -> &S3StreamSettings {
        &self.settings
    }

    /// Waits until what was read is in the cache on disk, for a while.
    pub(crate) async fn settle(&self, limit: Duration) {
        if let Some(disk) = &self.disk {
            disk.settle(limit).await;
        }
    }

    /// The store of a bucket, made at its first use.
    pub(crate) fn bucket(&self, name: &str) -> Result<S3Stream, ActionError> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stream) = buckets.get(name) {
            return Ok(stream.clone());
        }
        let mut stream = S3Stream::builder(self.client.clone(), name)
            .with_settings(self.settings.clone())
            .with_metadata_cache(self.cache.clone())
            .with_budget(self.budget.clone());
        if let Some(disk) = &self.disk {
            stream = stream.with_disk_cache(disk.clone());
        }
        let stream = stream.build()?;
        buckets.insert(name.to_owned(), stream.clone());
        Ok(stream)
    }
}

/// The stores that one attempt reads from.
#[derive(Debug)]
pub(crate) struct RequestStores {
    shared: Arc<S3>,
    views: Arc<Views>,
    /// What workers moved and read.
    workers: Arc<ByWorkers>,
    /// The limits that hold while the rows are read.
    limits: OnceLock<Arc<Limits>>,
    pub(crate) local: LocalFiles,
}

impl RequestStores {
    pub(crate) fn new(shared: Arc<S3>) -> Self {
        Self {
            shared,
            views: Arc::default(),
            workers: Arc::default(),
            limits: OnceLock::new(),
            local: LocalFiles::default(),
        }
    }

    /// This request's view of a bucket.
    pub(crate) fn view(&self, bucket: &str) -> Result<S3Stream, ActionError> {
        let mut views = self.views.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(view) = views.get(bucket) {
            return Ok(view.clone());
        }
        let view = self.shared.bucket(bucket)?.request();
        views.insert(bucket.to_owned(), view.clone());
        Ok(view)
    }

    /// Asks `admit` before each request from now on.
    pub(crate) fn limit(&self, admit: Box<Admit>) {
        let limits = Limits::new(admit, Arc::clone(&self.views), Arc::clone(&self.workers));
        // A read that is planned a second time has the same limits.
        let _ = self.limits.set(Arc::new(limits));
    }

    /// What was moved, over all buckets of S3, per bucket.
    pub(crate) fn usage(&self) -> Vec<(String, MeterSnapshot)> {
        let mut usage = self.views.usage();
        usage.extend(self.workers.usage());
        usage
    }

    /// Waits until workers have said what they have moved, for a while.
    pub(crate) async fn last_figures(&self) {
        self.workers.last_figures().await;
    }

    /// Remembers the files of a plan as read: by workers, where not here.
    pub(crate) fn read_by_workers(&self, files: &Files) {
        self.workers.read(files);
    }

    /// The object versions that this request read, with their buckets.
    pub(crate) fn objects(&self) -> Vec<(String, Arc<ObjectMetadata>)> {
        let views = self.views.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_s3 = views.iter().flat_map(|(bucket, view)| {
            view.pinned()
                .into_iter()
                .map(|(_, metadata)| (bucket.clone(), metadata))
        });
        let local = self.local.pinned().into_iter();
        let local = local.map(|metadata| (LOCAL_FILES.to_owned(), metadata));
        let mut all: Vec<_> = of_s3.chain(local).collect();
        self.workers.add_objects(&mut all);
        all
    }

    /// Forgets the cached metadata of everything this request has seen, so that a retry sees the present versions.
    pub(crate) async fn forget(&self) {
        let views: Vec<_> = self
            .views
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect();
        for view in views {
            for (path, _) in view.pinned() {
                view.invalidate(&path).await;
            }
        }
    }
}

impl StoreResolver for RequestStores {
    fn store(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, BoxError> {
        if bucket == LOCAL_FILES {
            return Ok(Arc::new(ReadOnlyStore(self.local.clone())));
        }
        let view = self.view(bucket)?;
        Ok(match self.limits.get() {
            Some(limits) => Arc::new(ReadOnlyStore(Guarded {
                bucket: bucket.to_owned(),
                view,
                limits: Arc::clone(limits),
            })),
            None => Arc::new(view),
        })
    }

    #[cfg(feature = "cluster")]
    fn moved_by_workers(&self) -> MovedByWorkers {
        let limits = self.limits.get().cloned();
        let admit = move || limits.as_ref().map_or(Ok(()), |limits| limits.check());
        self.workers.hearer(admit)
    }
}
