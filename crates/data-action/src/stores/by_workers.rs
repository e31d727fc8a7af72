//! What workers moved for one attempt, and the objects that they read.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use flowlake_s3_stream::{MeterSnapshot, ObjectMetadata};
use flowlake_transform::Files;
#[cfg(feature = "cluster")]
use flowlake_transform::cluster::{MovedByWorkers, StoreUsage};
use object_store::{Attributes, ObjectMeta};
use tokio_util::task::TaskTracker;

#[cfg(feature = "cluster")]
use crate::ActionError;

/// How long the record of an attempt waits for workers to say what they have read. Those that run answer at once.
const LAST_FIGURES: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ByWorkers {
    inner: Mutex<Inner>,
    /// Runs that there is more to hear of.
    heard_of: TaskTracker,
}

#[derive(Debug, Default)]
struct Inner {
    /// Per bucket, for each run: a query whose worker was lost has two.
    runs: Vec<Vec<(String, MeterSnapshot)>>,
    objects: Vec<(String, Arc<ObjectMetadata>)>,
}

impl ByWorkers {
    fn locked(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a run, and what takes its figures. `admit` compares them with the limits of the attempt.
    #[cfg(feature = "cluster")]
    pub(super) fn hearer(
        self: &Arc<Self>,
        admit: impl Fn() -> Result<(), ActionError> + Send + Sync + 'static,
    ) -> MovedByWorkers {
        let run = {
            let mut inner = self.locked();
            inner.runs.push(Vec::new());
            inner.runs.len() - 1
        };
        let (own, heard_of) = (Arc::clone(self), self.heard_of.token());
        Box::new(move |moved| {
            let _until_dropped = &heard_of;
            let moved = moved.iter();
            let moved = moved.map(|(bucket, usage)| (bucket.clone(), snapshot(usage)));
            own.locked().runs[run] = moved.collect();
            admit().map_err(Into::into)
        })
    }

    /// Waits until all runs have ended on their workers, for a while.
    pub(super) async fn last_figures(&self) {
        self.heard_of.close();
        let _ = tokio::time::timeout(LAST_FIGURES, self.heard_of.wait()).await;
    }

    /// What was moved, per bucket.
    pub(super) fn usage(&self) -> Vec<(String, MeterSnapshot)> {
        self.locked().runs.concat()
    }

    pub(super) fn read(&self, files: &Files) {
        let files = files.objects();
        let read = files.map(|(bucket, file)| (bucket.to_owned(), Arc::new(metadata(file))));
        self.locked().objects.extend(read);
    }

    /// Adds the objects that are not among those that were read here.
    pub(super) fn add_objects(&self, all: &mut Vec<(String, Arc<ObjectMetadata>)>) {
        let known: HashSet<_> = all
            .iter()
            .map(|(bucket, object)| (bucket.clone(), object.location.clone()))
            .collect();
        let inner = self.locked();
        let others = inner
            .objects
            .iter()
            .filter(|(bucket, object)| !known.contains(&(bucket.clone(), object.location.clone())));
        all.extend(others.cloned());
    }
}

#[cfg(feature = "cluster")]
fn snapshot(usage: &StoreUsage) -> MeterSnapshot {
    MeterSnapshot {
        get_requests: usage.get_requests,
        head_requests: usage.head_requests,
        bytes_received: usage.bytes_received,
        retries: usage.retries,
        throttles: usage.throttles,
        bytes_from_disk: usage.bytes_from_disk,
        ..MeterSnapshot::default()
    }
}

/// What was known of an object when its version was found: a worker reads that version, or fails.
fn metadata(file: &ObjectMeta) -> ObjectMetadata {
    ObjectMetadata {
        location: file.location.clone(),
        size: file.size,
        etag: file.e_tag.clone(),
        version_id: file.version.clone(),
        content_type: None,
        content_encoding: None,
        last_modified: file.last_modified,
        storage_class: None,
        server_side_encryption: None,
        kms_key_id: None,
        restore: None,
        archive_status: None,
        tag_count: None,
        checksum: None,
        attributes: Arc::new(Attributes::new()),
    }
}
