//! What an attempt moved, and the objects that its record names.

use std::sync::Arc;

use flowlake_cost_audit::AuditObject;
use flowlake_s3_stream::{MeterSnapshot, ObjectMetadata};
use flowlake_transform::Location;

use crate::attempt::Attempt;

/// What all tries of an attempt moved.
#[derive(Debug)]
pub(super) struct Transferred {
    /// By bucket.
    pub(super) usage: Vec<(String, MeterSnapshot)>,
    /// All together.
    pub(super) total: MeterSnapshot,
    /// The object versions that were answered from, with their buckets.
    pub(super) objects: Vec<(String, Arc<ObjectMetadata>)>,
}

impl Transferred {
    pub(super) fn by(attempt: &Attempt) -> Self {
        let draft = attempt.draft();
        let stores = || draft.stores.iter();
        let usage: Vec<_> = stores().flat_map(|stores| stores.usage()).collect();
        let total = usage
            .iter()
            .fold(MeterSnapshot::default(), |total, (_, meter)| {
                sum(total, meter)
            });
        let objects = if draft.hot.is_empty() {
            stores().flat_map(|stores| stores.objects()).collect()
        } else {
            // What was answered from is one version, whether this attempt read it or an earlier one.
            draft.hot.clone()
        };
        Self {
            usage,
            total,
            objects,
        }
    }

    /// The objects of the record.
    pub(super) fn recorded(&self, wanted: &[Location]) -> Vec<AuditObject> {
        let read = self.objects.iter().map(|(bucket, object)| AuditObject {
            bucket: bucket.clone(),
            key: object.location.to_string(),
            version_id: object.version_id.clone(),
            etag: object.etag.clone(),
            size: Some(object.size),
        });
        objects_of_record(read.collect(), wanted)
    }
}

/// The object versions that were read, and what should have been read and was not.
pub(crate) fn objects_of_record(
    mut read: Vec<AuditObject>,
    wanted: &[Location],
) -> Vec<AuditObject> {
    let is_unread = |location: &&Location| {
        let mut read = read.iter();
        !read.any(|object| object.bucket == location.bucket() && location.covers(&object.key))
    };
    let unread = wanted.iter().filter(is_unread).map(|location| AuditObject {
        bucket: location.bucket().to_owned(),
        key: location.as_written().to_owned(),
        ..AuditObject::default()
    });
    let unread: Vec<_> = unread.collect();
    read.extend(unread);
    read
}

/// Two meters as one.
fn sum(mut total: MeterSnapshot, other: &MeterSnapshot) -> MeterSnapshot {
    total.get_requests += other.get_requests;
    total.head_requests += other.head_requests;
    total.list_requests += other.list_requests;
    total.bytes_received += other.bytes_received;
    total.bytes_from_disk += other.bytes_from_disk;
    total.retries += other.retries;
    total.throttles += other.throttles;
    total.metadata_cache_hits += other.metadata_cache_hits;
    total.time_to_first_byte = total.time_to_first_byte.or(other.time_to_first_byte);
    total.request_ids.extend(other.request_ids.iter().cloned());
    total
}
