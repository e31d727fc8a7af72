//! One file as one version of an object: its `ETag`, and its bytes as a stream.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use s3s::dto::{ETag, Timestamp};
use sha2::{Digest, Sha256};

/// How much is read at once: large, because each read is a trip to the blocking pool.
const CHUNK_BYTES: u64 = 512 * 1024;
/// How many reads are ahead of the socket.
const READ_AHEAD: usize = 2;

/// What identifies one version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) size: u64,
    modified: Duration,
    file_number: u64,
}

impl Version {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: metadata
                .modified()
                .ok()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
                .unwrap_or_default(),
            file_number: file_number(metadata),
        }
    }

    /// An `ETag` that costs no read of the file. It changes with size, time or file.
    pub(crate) fn etag(&self) -> ETag {
        let text = format!(
            "{}:{}:{}",
            self.size,
            self.modified.as_nanos(),
            self.file_number
        );
        let mut digest = hex::encode(Sha256::digest(text));
        // As long as an MD5, which is what readers expect to see.
        digest.truncate(32);
        ETag::Strong(digest)
    }

    /// Whole seconds, as S3 has it.
    pub(crate) fn last_modified(&self) -> Timestamp {
        Timestamp::from(UNIX_EPOCH + Duration::from_secs(self.modified.as_secs()))
    }
}

#[cfg(unix)]
fn file_number(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn file_number(_: &Metadata) -> u64 {
    0
}

/// Gives a file just written a time of its own. File systems stamp in ticks of milliseconds and
/// reuse file numbers, so that without this two writes could have one `ETag`.
#[expect(
    clippy::disallowed_methods,
    reason = "file times are compared with the file system's own"
)]
pub(crate) fn stamp(path: &Path) -> io::Result<Version> {
    let file = File::options().write(true).open(path)?;
    file.set_modified(SystemTime::now())?;
    Ok(Version::of(&file.metadata()?))
}

/// The bytes of a range. Should the file change meanwhile, the stream breaks off: an S3 object
/// never mixes two versions.
pub(crate) fn stream(
    file: File,
    version: Version,
    range: std::ops::Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let file = Arc::new(file);
    let mut offset = range.start;
    let chunks = std::iter::from_fn(move || {
        let length = CHUNK_BYTES.min(range.end - offset);
        let start = offset;
        offset += length;
        (length > 0).then_some((start, length))
    });
    futures::stream::iter(chunks)
        .map(move |(start, length)| {
            let file = Arc::clone(&file);
            let version = version.clone();
            async move {
                tokio::task::spawn_blocking(move || read(&file, &version, start, length))
                    .await
                    .map_err(io::Error::other)?
            }
        })
        .buffered(READ_AHEAD)
}

fn read(file: &File, version: &Version, start: u64, length: u64) -> io::Result<Bytes> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    let mut buffer = vec![0; length];
    read_exact_at(file, &mut buffer, start)?;
    if Version::of(&file.metadata()?) != *version {
        return Err(io::Error::other("the file changed while it was sent"));
    }
    Ok(Bytes::from(buffer))
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, buffer, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[read..];
        offset += read as u64;
    }
    Ok(())
}
