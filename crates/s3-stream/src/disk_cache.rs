//! Pieces of objects on a disk of this machine, for reads of the same version.
//!
//! An object is cut into pieces at multiples of 2 MiB, and so is each range that is read of it. A piece is one file, named
//! after the version of its object and its first and last byte, so that processes can share a folder without knowing of each
//! other: a file appears whole, under its name, by a rename, and its bytes are always those of its name.
//!
//! S3 is asked for the metadata of an object as without the cache, or for its first bytes where a listing named it. Bytes come from
//! the disk only for the version that S3 names in that answer: they are never older than what S3 would give, and a principal that
//! may not read the object does not get them.

mod cache_space;
mod piece;
mod through;

use std::{
    fs::{self, DirBuilder},
    ops::Range,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use chrono::DateTime;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use self::cache_space::CacheSpace;
use crate::{Error, ErrorKind, ObjectMetadata};

/// Pieces that are written at the same time. A piece that finds as many under way is not kept: a reader does not wait for a disk.
const WRITES: u32 = 8;
/// How long a reader waits for a piece from the disk before it asks S3.
const PATIENCE: Duration = Duration::from_secs(1);
/// The smallest cache that is of use.
const SMALLEST_BYTES: u64 = 16 << 20;

/// Pieces of objects in a folder, which all processes of one user may share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DiskCache {
    shared: Arc<Shared>,
}

/// Where a [`DiskCache`] is, and what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskCacheSettings {
    /// Its folder, on a disk of this machine.
    pub folder: PathBuf,
    /// The bytes that its files may take. Processes that share a folder look at it now and then: together they may take a
    /// sixteenth more for each of them, for a while.
    pub max_bytes: u64,
    /// Keep objects too that are encrypted with a KMS key. Their bytes then lie on the disk without that key.
    pub kms: bool,
}

#[derive(Debug)]
struct Shared {
    settings: DiskCacheSettings,
    space: CacheSpace,
    writes: Arc<Semaphore>,
    /// Names of files that are not complete yet are made unique with it.
    files: AtomicU64,
}

/// One version of an object in a cache.
#[derive(Debug, Clone)]
pub(crate) struct CachedVersion {
    cache: DiskCache,
    /// What its pieces are named after: SHA-256 in hexadecimal digits.
    id: Arc<str>,
    size: u64,
}

impl DiskCache {
    /// A cache in a folder, which is made if it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSetting`] for less than 16 MiB, and for a folder that cannot be made, that belongs to another user,
    /// or that others may enter: it has the bytes of objects.
    pub fn open(settings: DiskCacheSettings) -> Result<Self, Error> {
        if settings.max_bytes < SMALLEST_BYTES {
            let bytes = settings.max_bytes;
            return Err(Error::new(
                ErrorKind::InvalidSetting,
                format!(
                    "the cache of objects has {bytes} bytes, and needs {SMALLEST_BYTES} (16 MiB) at least"
                ),
            ));
        }
        make_private(&settings.folder)?;
        Ok(Self {
            shared: Arc::new(Shared {
                space: CacheSpace::new(settings.folder.clone(), settings.max_bytes),
                settings,
                writes: Arc::new(Semaphore::new(WRITES as usize)),
                files: AtomicU64::new(0),
            }),
        })
    }

    /// Waits until what was read is written, at most as long as `limit`. Without it, a process that ends may keep less.
    pub async fn settle(&self, limit: Duration) {
        let all = self.shared.writes.acquire_many(WRITES);
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("the cache of objects was not written in time");
        }
    }

    /// The version of `metadata` in this cache. `None` when nothing distinguishes it from other versions, when it is not to be
    /// kept, or when it would leave no room for anything else.
    pub(crate) fn version(&self, bucket: &str, metadata: &ObjectMetadata) -> Option<CachedVersion> {
        let shared = &self.shared;
        let etag = metadata.etag.as_deref()?;
        // For an object that only a listing named, S3 has not said yet whether it may be read, nor how it is encrypted.
        let is_only_listed = metadata.last_modified == DateTime::UNIX_EPOCH;
        let is_kms = metadata.kms_key_id.is_some()
            || metadata
                .server_side_encryption
                .as_deref()
                .is_some_and(|kind| kind.starts_with("aws:kms"));
        if is_only_listed
            || (is_kms && !shared.settings.kms)
            || metadata.size > shared.settings.max_bytes / 2
        {
            return None;
        }
        let mut hash = Sha256::new();
        let version = metadata.version_id.as_deref().unwrap_or_default();
        for part in [bucket, metadata.location.as_ref(), etag, version] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(metadata.size.to_le_bytes());
        hash.update(metadata.last_modified.timestamp().to_le_bytes());
        let id = hash.finalize();
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(CachedVersion {
            cache: self.clone(),
            id: id.into(),
            size: metadata.size,
        })
    }
}

impl CachedVersion {
    /// The bytes of a piece, when they are there and whole.
    async fn load(&self, range: Range<u64>) -> Option<Bytes> {
        let kept = self.clone();
        let load = tokio::task::spawn_blocking(move || kept.load_now(&range));
        match tokio::time::timeout(PATIENCE, load).await {
            Ok(loaded) => loaded.ok().flatten(),
            Err(_elapsed) => {
                tracing::warn!("the cache of objects did not answer within a second; S3 is asked");
                None
            }
        }
    }

    /// What begins or ends within a piece is kept as it was asked for, or is a part of the whole piece.
    fn load_now(&self, range: &Range<u64>) -> Option<Bytes> {
        if let Some(bytes) = piece::read(&self.path(range), &self.id, range) {
            return Some(bytes);
        }
        let whole = piece::around(range.start, self.size);
        if whole == *range {
            return None;
        }
        let bytes = piece::read(&self.path(&whole), &self.id, &whole)?;
        let at = |place: u64| usize::try_from(place - whole.start).ok();
        Some(bytes.slice(at(range.start)?..at(range.end)?))
    }

    /// Whether the bytes of a piece seem to be there.
    fn is_there(&self, range: &Range<u64>) -> bool {
        let whole = piece::around(range.start, self.size);
        self.path(range).exists() || (whole != *range && self.path(&whole).exists())
    }

    /// Keeps a piece, unless as many are being written as may be, or there is no room for it.
    fn keep(&self, range: Range<u64>, bytes: Vec<Bytes>) {
        let writes = Arc::clone(&self.cache.shared.writes);
        let Ok(permit) = writes.try_acquire_owned() else {
            return;
        };
        let kept = self.clone();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            if let Err(error) = kept.keep_now(&range, &bytes) {
                kept.cache.shared.space.failed(&error);
            }
        });
    }

    fn keep_now(&self, range: &Range<u64>, bytes: &[Bytes]) -> std::io::Result<()> {
        let shared = &self.cache.shared;
        let path = self.path(range);
        if path.exists() || !shared.space.admits(&self.id, range.end - range.start)? {
            return Ok(());
        }
        let number = shared.files.fetch_add(1, Relaxed);
        let part = path.with_extension(format!("{}-{number}.part", std::process::id()));
        let written = piece::write(&part, &path, &self.id, range, bytes);
        if written.is_err() {
            // It may not be there.
            fs::remove_file(&part).ok();
        }
        written
    }

    fn path(&self, range: &Range<u64>) -> PathBuf {
        let folder = self.cache.shared.settings.folder.join(&self.id[..2]);
        folder.join(format!("{}-{}-{}", self.id, range.start, range.end))
    }
}

/// Makes a folder that nobody else may enter, or checks that it is one.
fn make_private(folder: &Path) -> Result<(), Error> {
    let wrong = |why: String| {
        let folder = folder.display();
        Error::new(
            ErrorKind::InvalidSetting,
            format!("the folder of the cache of objects, {folder}, {why}"),
        )
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| wrong(format!("cannot be made: {error}")).with_source(error))?;
    let found = fs::metadata(folder)
        .map_err(|error| wrong(format!("cannot be looked at: {error}")).with_source(error))?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(wrong(
            "may be entered by others: `chmod 700` it, since it has the bytes of objects"
                .to_owned(),
        ));
    }
    // A file that this process makes in it belongs to the user of this process.
    let probe = folder.join(format!("{}.probe", std::process::id()));
    fs::write(&probe, b"")
        .map_err(|error| wrong(format!("cannot be written: {error}")).with_source(error))?;
    let owner = fs::metadata(&probe).map(|probe| probe.uid());
    // Another start of this process would make it once more.
    fs::remove_file(&probe).ok();
    if owner.is_ok_and(|owner| owner != found.uid()) {
        return Err(wrong("belongs to another user".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::{DiskCache, DiskCacheSettings};
    use crate::{ErrorKind, ObjectMetadata};

    fn metadata() -> ObjectMetadata {
        ObjectMetadata {
            location: Path::from("a.csv"),
            size: 5,
            etag: Some("\"1\"".to_owned()),
            last_modified: chrono::DateTime::from_timestamp_nanos(1_767_605_400_000_000_000),
            ..ObjectMetadata::default()
        }
    }

    #[test]
    fn what_is_kept_and_under_which_name() {
        let folder = tempfile::tempdir().unwrap();
        let open = |max_bytes, kms| {
            let folder = folder.path().join("cache");
            DiskCache::open(DiskCacheSettings {
                folder,
                max_bytes,
                kms,
            })
        };
        let small = open(1 << 20, false).unwrap_err();
        assert_eq!(small.kind(), ErrorKind::InvalidSetting);

        let cache = open(16 << 20, false).unwrap();
        let id = |bucket, metadata: &ObjectMetadata| {
            cache
                .version(bucket, metadata)
                .map(|kept| kept.id.to_string())
        };
        let first = id("lake", &metadata()).unwrap();
        assert_eq!(Some(&first), id("lake", &metadata()).as_ref());
        assert!(!first.contains("a.csv"), "names are personal data at times");
        let etag = Some("\"2\"".to_owned());
        let others = [
            id("pond", &metadata()),
            id("lake", &ObjectMetadata { etag, ..metadata() }),
            id(
                "lake",
                &ObjectMetadata {
                    size: 6,
                    ..metadata()
                },
            ),
            id(
                "lake",
                &ObjectMetadata {
                    location: Path::from("b.csv"),
                    ..metadata()
                },
            ),
            id(
                "lake",
                &ObjectMetadata {
                    version_id: Some("v".to_owned()),
                    ..metadata()
                },
            ),
        ];
        for other in others {
            assert!(other.is_some_and(|other| other != first));
        }

        let unnamed = ObjectMetadata {
            etag: None,
            ..metadata()
        };
        let large = ObjectMetadata {
            size: 9 << 20,
            ..metadata()
        };
        let encrypted = ObjectMetadata {
            server_side_encryption: Some("aws:kms".to_owned()),
            ..metadata()
        };
        let listed = ObjectMetadata {
            last_modified: chrono::DateTime::UNIX_EPOCH,
            ..metadata()
        };
        for left_out in [&unnamed, &large, &encrypted, &listed] {
            assert_eq!(id("lake", left_out), None);
        }
        let with_kms = open(16 << 20, true).unwrap();
        assert!(with_kms.version("lake", &encrypted).is_some());
    }
}
