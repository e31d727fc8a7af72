//! Why a file of this machine cannot be read.

use std::{
    error::Error as StdError,
    fmt, fs, io,
    path::{Path as FilePath, PathBuf},
};

use flowlake_transform::LOCAL_FILES;
use object_store::{Error as StoreError, path::Path};

use crate::config::nearest;

/// Names of a folder that are compared with one that is not there.
const MOST_NAMES: usize = 1000;

/// See the module.
#[derive(Debug)]
pub(crate) struct LocalError {
    path: PathBuf,
    kind: LocalErrorKind,
}

#[derive(Debug)]
pub(crate) enum LocalErrorKind {
    /// The file does not exist.
    Missing(io::Error),
    Failed(io::Error),
    /// A folder is named as a file.
    Folder,
    /// What is neither file nor folder, such as a device.
    Special,
    Changed,
}

impl LocalError {
    pub(super) fn new(path: &FilePath, kind: LocalErrorKind) -> Self {
        Self {
            path: path.to_owned(),
            kind,
        }
    }

    pub(super) fn failed(path: &FilePath, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => LocalErrorKind::Missing(error),
            _ => LocalErrorKind::Failed(error),
        };
        Self::new(path, kind)
    }

    /// The same failure as `object_store` names it, with this error as its source.
    pub(super) fn into_store(self, path: &Path) -> StoreError {
        let path = path.to_string();
        match self.kind {
            LocalErrorKind::Missing(_) => StoreError::NotFound {
                path,
                source: self.into(),
            },
            LocalErrorKind::Changed => StoreError::Precondition {
                path,
                source: self.into(),
            },
            _ => StoreError::Generic {
                store: LOCAL_FILES,
                source: self.into(),
            },
        }
    }

    /// The error of a file in a source chain.
    pub(crate) fn find<'error>(error: &'error (dyn StdError + 'static)) -> Option<&'error Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// The file of the same folder that was probably meant.
    pub(crate) fn meant(&self) -> Option<String> {
        if !matches!(self.kind, LocalErrorKind::Missing(_)) {
            return None;
        }
        let name = self.path.file_name()?.to_str()?;
        let there = fs::read_dir(self.path.parent()?).ok()?.take(MOST_NAMES);
        let there = there.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        nearest(name, there)
    }

    pub(crate) const fn kind(&self) -> &LocalErrorKind {
        &self.kind
    }
}

impl fmt::Display for LocalError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.kind {
            LocalErrorKind::Missing(_) => write!(formatter, "{path} does not exist"),
            LocalErrorKind::Failed(error) => {
                write!(formatter, "{path} cannot be read: {}", error.kind())
            }
            LocalErrorKind::Folder => write!(formatter, "{path} is a folder"),
            LocalErrorKind::Special => write!(formatter, "{path} is neither a file nor a folder"),
            LocalErrorKind::Changed => write!(formatter, "{path} changed while it was read"),
        }
    }
}

impl StdError for LocalError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.kind {
            LocalErrorKind::Missing(error) | LocalErrorKind::Failed(error) => Some(error),
            _ => None,
        }
    }
}
