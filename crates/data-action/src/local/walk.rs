//! The files below a folder, as a listing of S3 would give them.

use std::{
    fs, io,
    path::{Path as FilePath, PathBuf},
};

use flowlake_s3_stream::ListedObject;
use object_store::path::Path;
use tokio::sync::mpsc::Sender;

use super::{described::described, error::LocalError};

/// What a walk looks for, and where it gives it.
pub(super) struct Walk<'a> {
    /// What the keys begin with.
    pub(super) prefix: &'a str,
    /// The most slashes that keys have.
    pub(super) slashes: usize,
    pub(super) found: &'a Sender<Result<ListedObject, LocalError>>,
}

/// Why a walk ends early.
enum StopReason {
    Failed(LocalError),
    /// Nobody wants more files.
    Closed,
}

impl Walk<'_> {
    /// Gives the files below a folder. Folders that begin with `.`, and links to folders, are not looked into.
    pub(super) fn folder(&self, folder: &FilePath) {
        if let Err(StopReason::Failed(error)) = self.below(folder) {
            self.found.blocking_send(Err(error)).ok();
        }
    }

    fn below(&self, folder: &FilePath) -> Result<(), StopReason> {
        let failed = |error| StopReason::Failed(LocalError::failed(folder, error));
        let entries = match fs::read_dir(folder) {
            // No files are there, as in a prefix of S3.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            let key = key_of(&path);
            if !key.starts_with(self.prefix) && !self.prefix.starts_with(&key) {
                continue;
            }
            if !entry.file_type().map_err(failed)?.is_dir() {
                self.file(&path, key)?;
            } else if !entry.file_name().as_encoded_bytes().starts_with(b".")
                && key.matches('/').count() < self.slashes
            {
                self.below(&path)?;
            }
        }
        Ok(())
    }

    fn file(&self, path: &FilePath, key: String) -> Result<(), StopReason> {
        // A link to nothing is no file, and one to a folder neither.
        let Some(found) = fs::metadata(path).ok().filter(fs::Metadata::is_file) else {
            return Ok(());
        };
        let file = described(Path::default(), &found);
        let listed = ListedObject {
            key,
            size: file.size,
            etag: file.etag,
            last_modified: file.last_modified,
            storage_class: None,
        };
        let sent = self.found.blocking_send(Ok(listed));
        sent.map_err(|_closed| StopReason::Closed)
    }
}

/// A name that is no UTF-8 becomes one that no path of a store can have, so that it is counted and not read.
fn key_of(path: &FilePath) -> String {
    let path: PathBuf = path.components().skip(1).collect();
    match path.to_str() {
        Some(key) => key.to_owned(),
        None => format!("{}\u{0}", path.to_string_lossy()),
    }
}
