//! What workers moved for one attempt, and the objects that they read.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

use flowlake_s3_stream::{MeterSnapshot, ObjectMetadata};
use flowlake_transform::Files;
#[cfg(feature = "cluster")]
use flowlake_transform::cluster::StoreUsage;
use object_store::{Attributes, ObjectMeta};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ByWorkers(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    moved: Vec<(String, MeterSnapshot)>,
    objects: Vec<(String, Arc<ObjectMetadata>)>,
}

impl ByWorkers {
    fn locked(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "cluster")]
    pub(super) fn moved(&self, bucket: &str, usage: &StoreUsage) {
        let moved = MeterSnapshot {
            get_requests: usage.get_requests,
            head_requests: usage.head_requests,
            bytes_received: usage.bytes_received,
            retries: usage.retries,
            throttles: usage.throttles,
            bytes_from_disk: usage.bytes_from_disk,
            ..MeterSnapshot::default()
        };
        self.locked().moved.push((bucket.to_owned(), moved));
    }

    /// What was moved, per bucket.
    pub(super) fn usage(&self) -> Vec<(String, MeterSnapshot)> {
        self.locked().moved.clone()
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
