//! What the file system says of a file.

use std::{fs, sync::Arc, time::SystemTime};

use chrono::{DateTime, Utc};
use flowlake_s3_stream::ObjectMetadata;
use object_store::path::Path;

/// What the file system says of a file, as S3 would. The tag changes with the file and whenever it is written.
pub(super) fn described(location: Path, found: &fs::Metadata) -> ObjectMetadata {
    let modified = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since = modified.duration_since(SystemTime::UNIX_EPOCH);
    let nanoseconds = since.map(|time| time.as_nanos()).unwrap_or_default();
    let (number, size) = (number(found), found.len());
    ObjectMetadata {
        size,
        etag: Some(format!("\"{number:x}-{nanoseconds:x}-{size:x}\"")),
        last_modified: DateTime::<Utc>::from(modified),
        ..unknown(location)
    }
}

/// An object of which nothing is known.
pub(crate) fn unknown(location: Path) -> ObjectMetadata {
    ObjectMetadata {
        location,
        size: 0,
        etag: None,
        version_id: None,
        content_type: None,
        content_encoding: None,
        last_modified: DateTime::UNIX_EPOCH,
        storage_class: None,
        server_side_encryption: None,
        kms_key_id: None,
        restore: None,
        archive_status: None,
        tag_count: None,
        checksum: None,
        attributes: Arc::default(),
    }
}

/// The number of the file in its file system: a file that was put in the place of another has its own.
#[cfg(unix)]
fn number(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

#[cfg(not(unix))]
fn number(_found: &fs::Metadata) -> u64 {
    0
}
