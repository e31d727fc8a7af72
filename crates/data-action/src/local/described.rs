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
    let changed = changed(found);
    ObjectMetadata {
        location,
        size,
        etag: Some(format!(
            "\"{number:x}-{nanoseconds:x}-{changed:x}-{size:x}\""
        )),
        last_modified: DateTime::<Utc>::from(modified),
        ..ObjectMetadata::default()
    }
}

/// The number of the file in its file system: a file that was put in the place of another has its own.
#[cfg(unix)]
fn number(found: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(found)
}

/// When the system has noted a change, which no program can set back, in nanoseconds.
#[cfg(unix)]
fn changed(found: &fs::Metadata) -> i128 {
    use std::os::unix::fs::MetadataExt;

    i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec())
}

#[cfg(not(unix))]
fn changed(_found: &fs::Metadata) -> i128 {
    0
}

#[cfg(not(unix))]
fn number(_found: &fs::Metadata) -> u64 {
    0
}
