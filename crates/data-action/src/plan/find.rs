//! Which objects lie at a location.

use std::sync::Arc;

use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::{FileCollector, Prepared, TableFiles, TableLocation};
use futures::TryStreamExt;

use super::PlannedObject;
use crate::{ActionError, ReadPolicy, stores::RequestStores};

/// Keys of one page of `ListObjectsV2`.
const KEYS_PER_LIST: u64 = 1000;

/// What was found at one location.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) files: TableFiles,
    /// What a HEAD said of the object, where the location names one.
    pub(crate) named: Option<Arc<ObjectMetadata>>,
    pub(super) objects: Vec<PlannedObject>,
    pub(super) list_requests: u64,
}

/// Finds the objects of one location: by a HEAD where it names one, by a listing with the location's own prefix where it
/// names more. What was listed is read in that version or not at all.
///
/// Each object must be allowed by itself too, though its location was: the two answers come from different code.
pub(crate) async fn find(
    policy: &ReadPolicy,
    prepared: &Prepared,
    table: &TableLocation,
    stores: &RequestStores,
) -> Result<Found, ActionError> {
    let location = &table.location;
    let bucket = location.bucket();
    let view = stores.view(bucket)?;
    let mut files = FileCollector::new(prepared, table.clone());
    if let Some(path) = location.path() {
        policy.check_key(bucket, path.as_ref())?;
        let object = view.metadata(path).await?;
        files.take(object.to_object_meta());
        let planned = PlannedObject {
            size: object.size,
            storage_class: object.storage_class.clone(),
        };
        return Ok(Found {
            files: files.finish(),
            named: Some(object),
            objects: vec![planned],
            list_requests: 0,
        });
    }
    let mut objects = Vec::new();
    let mut listing = view.list_objects(location.list_prefix().unwrap_or_default());
    let mut listed: u64 = 0;
    while let Some(object) = listing.try_next().await? {
        listed += 1;
        let is_file = files.offer(&object.key, object.size, |path| {
            view.expect(&path, &object);
            object.to_object_meta(path)
        })?;
        if is_file {
            policy.check_key(bucket, &object.key)?;
            objects.push(PlannedObject {
                size: object.size,
                storage_class: object.storage_class,
            });
        }
    }
    Ok(Found {
        files: files.finish(),
        named: None,
        objects,
        list_requests: listed.div_ceil(KEYS_PER_LIST).max(1),
    })
}

impl Found {
    /// What the reader of an answer should know: objects that are left out.
    pub(crate) fn warning(&self) -> Option<String> {
        let unnamed = self.files.unnamed;
        (unnamed > 0).then(|| {
            format!(
                "{unnamed} objects at {} are left out: their keys have empty, `.` or `..` segments, a final `/` or control characters",
                self.files.table.location
            )
        })
    }
}
