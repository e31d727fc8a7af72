//! Which objects lie at a location.

use flowlake_s3_stream::S3Stream;
use flowlake_transform::{FileCollector, Prepared, TableFiles, TableLocation};
use futures::TryStreamExt;

use super::PlannedObject;
use crate::ActionError;

/// Keys of one page of `ListObjectsV2`.
const KEYS_PER_LIST: u64 = 1000;

/// What was found at one location.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: TableFiles,
    pub(super) objects: Vec<PlannedObject>,
    pub(super) list_requests: u64,
}

/// One HEAD, or one listing with the location's own prefix. What was listed is read in that version or not at all.
pub(super) async fn find(
    prepared: &Prepared,
    table: &TableLocation,
    view: &S3Stream,
) -> Result<Found, ActionError> {
    let location = &table.location;
    let mut files = FileCollector::new(prepared, table.clone());
    let mut objects = Vec::new();
    if let Some(path) = location.path() {
        let object = view.metadata(path).await?;
        files.take(object.to_object_meta());
        objects.push(PlannedObject {
            size: object.size,
            storage_class: object.storage_class.clone(),
        });
        return Ok(Found {
            files: files.finish(),
            objects,
            list_requests: 0,
        });
    }
    let mut listing = view.list_objects(location.list_prefix().unwrap_or_default());
    let mut listed: u64 = 0;
    while let Some(object) = listing.try_next().await? {
        listed += 1;
        let is_file = files.offer(&object.key, object.size, |path| {
            view.expect(&path, &object);
            object.to_object_meta(path)
        })?;
        if is_file {
            objects.push(PlannedObject {
                size: object.size,
                storage_class: object.storage_class,
            });
        }
    }
    Ok(Found {
        files: files.finish(),
        objects,
        list_requests: listed.div_ceil(KEYS_PER_LIST).max(1),
    })
}
