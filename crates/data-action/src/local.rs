//! Files of this machine as the bucket [`LOCAL_FILES`](flowlake_transform::LOCAL_FILES): read as objects of S3 are, one version
//! of each in one attempt.

mod described;
mod error;
mod stdin;
mod walk;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    io::{Read, Seek, SeekFrom},
    ops::Range,
    path::{Path as FilePath, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use flowlake_s3_stream::{ListedObject, ObjectMetadata};
use flowlake_transform::{LOCAL_FILES, Location, TableFiles};
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    Attributes, Error as StoreError, GetOptions, GetResult, GetResultPayload, ObjectMeta,
    path::Path,
};
use tokio::{sync::mpsc, task::spawn_blocking};

pub(crate) use self::error::{LocalError, LocalErrorKind};
use self::{described::described, walk::Walk};
use crate::read_only::Objects;

/// Bytes that are read from a file at a time.
const PIECE_BYTES: u64 = 1 << 20;
/// Pieces that are read before they are asked for.
const PIECES_AHEAD: usize = 4;
/// Files of a listing that are found before they are asked for.
const LISTED_AHEAD: usize = 1000;

/// The files that one attempt reads. Clones share the versions.
#[derive(Debug, Clone, Default)]
pub(crate) struct LocalFiles {
    pins: Arc<Mutex<BTreeMap<Path, Arc<ObjectMetadata>>>>,
}

impl LocalFiles {
    /// What is known of a file; the attempt reads this version of it.
    pub(crate) async fn metadata(&self, path: &Path) -> Result<Arc<ObjectMetadata>, LocalError> {
        let (files, path) = (self.clone(), path.clone());
        let asked = spawn_blocking(move || {
            let file = file_path(&path);
            let found = stdin::place_of(&file).and_then(fs::metadata);
            let found = found.map_err(|error| LocalError::failed(&file, error))?;
            files.pin(&path, &found)
        });
        asked.await.unwrap_or_else(|ended| {
            Err(LocalError::failed(
                FilePath::new("/"),
                io::Error::other(ended),
            ))
        })
    }

    /// The files of a location, by their keys.
    pub(crate) fn list_files(
        location: &Location,
    ) -> BoxStream<'static, Result<ListedObject, LocalError>> {
        let folder = file_path(location.folder());
        let prefix = location.list_prefix().unwrap_or_default().to_owned();
        let slashes = location.slashes().unwrap_or(usize::MAX);
        let (found, mut files) = mpsc::channel(LISTED_AHEAD);
        spawn_blocking(move || {
            let walk = Walk {
                prefix: &prefix,
                slashes,
                found: &found,
            };
            walk.folder(&folder);
        });
        futures::stream::poll_fn(move |context| files.poll_recv(context)).boxed()
    }

    /// The file that has a pattern as its name, where no file matches the pattern.
    pub(crate) async fn meant(found: &TableFiles) -> Option<PathBuf> {
        let location = &found.table.location;
        let is_other = location.path().is_some() || !found.objects.is_empty();
        if is_other || location.as_written().ends_with('/') {
            return None;
        }
        let path = file_path(location.as_written());
        let asked = spawn_blocking(move || path.is_file().then_some(path));
        asked.await.ok().flatten()
    }

    /// The versions that were read or asked about.
    pub(crate) fn pinned(&self) -> Vec<Arc<ObjectMetadata>> {
        let pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.values().map(Arc::clone).collect()
    }

    /// Makes this version the one that is read, or fails where another one is already.
    fn pin(&self, path: &Path, found: &fs::Metadata) -> Result<Arc<ObjectMetadata>, LocalError> {
        let failed = |kind| Err(LocalError::new(&file_path(path), kind));
        if found.is_dir() {
            return failed(LocalErrorKind::Folder);
        }
        if !found.is_file() {
            return failed(LocalErrorKind::Special);
        }
        let present = Arc::new(described(path.clone(), found));
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        let pinned = pins.entry(path.clone());
        let pinned = pinned.or_insert_with(|| Arc::clone(&present));
        if pinned.etag == present.etag {
            Ok(Arc::clone(pinned))
        } else {
            failed(LocalErrorKind::Changed)
        }
    }

    /// Makes a listed version the one that is read.
    pub(crate) fn expect(&self, path: &Path, listed: &ListedObject) {
        let metadata = ObjectMetadata {
            location: path.clone(),
            size: listed.size,
            etag: listed.etag.clone(),
            last_modified: listed.last_modified,
            ..ObjectMetadata::default()
        };
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        pins.insert(path.clone(), Arc::new(metadata));
    }

    /// Opens the version that is read, at the begin of the range that is asked for.
    fn open(
        &self,
        path: &Path,
        options: &GetOptions,
    ) -> Result<(fs::File, ObjectMeta, Range<u64>), StoreError> {
        let name = file_path(path);
        let failed = |error| LocalError::failed(&name, error).into_store(path);
        let mut file = stdin::place_of(&name)
            .and_then(fs::File::open)
            .map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        let pinned = self.pin(path, &found);
        let meta = pinned
            .map_err(|error| error.into_store(path))?
            .to_object_meta();
        options.check_preconditions(&meta)?;
        let range = match &options.range {
            Some(range) => {
                let range = range.as_range(meta.size);
                range.map_err(|error| StoreError::Generic {
                    store: LOCAL_FILES,
                    source: error.to_string().into(),
                })?
            }
            None => 0..meta.size,
        };
        file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
        Ok((file, meta, range))
    }
}

/// Where a key lies.
fn file_path(key: impl AsRef<str>) -> PathBuf {
    FilePath::new("/").join(key.as_ref())
}

/// Reads a range piece by piece, as far as somebody takes the pieces.
fn send_pieces(
    file: &mut fs::File,
    path: &Path,
    range: &Range<u64>,
    pieces: &mpsc::Sender<Result<Bytes, StoreError>>,
) {
    let mut left = range.end - range.start;
    while left > 0 {
        let wanted = left.min(PIECE_BYTES);
        let piece = read_exactly(file, path, wanted);
        left -= wanted;
        let is_last = piece.is_err();
        if pieces.blocking_send(piece).is_err() || is_last {
            return;
        }
    }
}

fn read_exactly(file: &mut fs::File, path: &Path, bytes: u64) -> Result<Bytes, StoreError> {
    let mut piece = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    let read = file.take(bytes).read_to_end(&mut piece);
    let failed = match read {
        Ok(read) if read as u64 == bytes => return Ok(piece.into()),
        Ok(_) => LocalError::new(&file_path(path), LocalErrorKind::Changed),
        Err(error) => LocalError::failed(&file_path(path), error),
    };
    Err(failed.into_store(path))
}

#[async_trait]
impl Objects for LocalFiles {
    async fn object(&self, path: &Path, options: GetOptions) -> Result<GetResult, StoreError> {
        let (files, name) = (self.clone(), path.clone());
        let opened = spawn_blocking(move || files.open(&name, &options)).await;
        let (mut file, meta, range) = opened??;
        let (pieces, mut received) = mpsc::channel(PIECES_AHEAD);
        let (path, wanted) = (path.clone(), range.clone());
        spawn_blocking(move || send_pieces(&mut file, &path, &wanted, &pieces));
        let pieces = futures::stream::poll_fn(move |context| received.poll_recv(context));
        Ok(GetResult {
            payload: GetResultPayload::Stream(pieces.boxed()),
            meta,
            range,
            attributes: Attributes::new(),
        })
    }

    async fn ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let (files, path, ranges) = (self.clone(), path.clone(), ranges.to_vec());
        let read = spawn_blocking(move || {
            let (mut file, meta, _) = files.open(&path, &GetOptions::default())?;
            let failed = |error| LocalError::failed(&file_path(&path), error).into_store(&path);
            let mut pieces = Vec::with_capacity(ranges.len());
            for range in ranges {
                file.seek(SeekFrom::Start(range.start)).map_err(failed)?;
                let bytes = range.end.min(meta.size).saturating_sub(range.start);
                pieces.push(read_exactly(&mut file, &path, bytes)?);
            }
            Ok(pieces)
        });
        read.await?
    }
}

impl fmt::Display for LocalFiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(LOCAL_FILES)
    }
}
