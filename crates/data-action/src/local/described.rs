//! What the file system says of a file.

use std::{fs, time::SystemTime};

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
        location,
        size,
        etag: Some(format!("\"{number:x}-{nanoseconds:x}-{size:x}\"")),
        last_modified: DateTime::<Utc>::from(modified),
        ..ObjectMetadata::default()
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
