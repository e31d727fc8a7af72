//! The logs of several servers, side by side: which there are below a folder, and that each is there once.

use std::fs;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::log_id;
use super::seal::Seal;
use super::segment::{self, Line};
use crate::error::{Error, ErrorKind};

/// The logs of a folder: itself, when it holds segments, and each of its folders that does. A server's logs lie in folders of their
/// own, and so do those that were shipped.
///
/// # Errors
/// [`ErrorKind::Unreadable`] when the folder cannot be read.
pub fn logs(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |error| Error::unreadable(folder, error);
    let mut below = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() && holds_log(&path)? {
            below.push(path);
        }
    }
    below.sort_by_key(|path| in_order(path));
    let mut found = Vec::new();
    if holds_log(folder)? {
        found.push(folder.to_owned());
    }
    found.append(&mut below);
    Ok(found)
}

fn holds_log(folder: &Path) -> Result<bool, Error> {
    Ok(!segment::list(folder)?.is_empty() || !segment::sealed(folder)?.is_empty())
}

/// Numbered folders by their numbers, then the others by name.
fn in_order(path: &Path) -> (u64, PathBuf) {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.and_then(|name| name.parse().ok());
    (number.unwrap_or(u64::MAX), path.to_owned())
}

/// What tells a log from all others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogName {
    /// Its id, where a file, the folder or a seal says it.
    pub id: Option<String>,
    /// The hash of its first record, when that is there; it contains the id of an attempt.
    pub first_hash: Option<String>,
}

impl LogName {
    /// Reads what tells the log in `directory` from others; its chain is not verified.
    ///
    /// # Errors
    /// [`ErrorKind::Unreadable`] when the files cannot be read, [`ErrorKind::Broken`] when the file of its id holds none.
    pub fn read(directory: &Path) -> Result<Self, Error> {
        Ok(Self {
            id: stated_id(directory)?.or(sealed_id(directory)?),
            first_hash: first_hash(directory)?,
        })
    }

    fn is_of_same_log(&self, other: &Self) -> bool {
        let is_same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
        is_same(&self.id, &other.id) || is_same(&self.first_hash, &other.first_hash)
    }
}

/// The id that the folder says the log has: in its file, or by the folder's own name where segments were shipped to.
pub(super) fn stated_id(directory: &Path) -> Result<Option<String>, Error> {
    if let Some(id) = log_id::find(directory)? {
        return Ok(Some(id));
    }
    let name = directory.file_name().and_then(|name| name.to_str());
    let id = name.and_then(|name| Uuid::parse_str(name).ok());
    Ok(id.map(|id| id.to_string()))
}

fn sealed_id(directory: &Path) -> Result<Option<String>, Error> {
    for segment in segment::sealed(directory)? {
        if let Some(Ok(seal)) = Seal::read(&segment)?
            && seal.body.log_id.is_some()
        {
            return Ok(seal.body.log_id);
        }
    }
    Ok(None)
}

fn first_hash(directory: &Path) -> Result<Option<String>, Error> {
    let segments = segment::list(directory)?;
    let Some(first) = segments.first().filter(|segment| segment.first == 1) else {
        return Ok(None);
    };
    let mut lines = first.lines()?;
    let line = lines.next()?;
    let line = line.and_then(|line| {
        let line: Line<'_> = serde_json::from_slice(line.bytes).ok()?;
        Some(line.hash.to_owned())
    });
    Ok(line)
}

/// Proves that none of these folders holds the same log as another: each record would be there twice.
///
/// # Errors
/// [`ErrorKind::Doubled`] naming the first two that do, and those of [`LogName::read`].
pub fn distinct(logs: &[PathBuf]) -> Result<(), Error> {
    let mut names: Vec<(&PathBuf, LogName)> = Vec::with_capacity(logs.len());
    for log in logs {
        let name = LogName::read(log)?;
        if let Some((same, _)) = names.iter().find(|(_, known)| known.is_of_same_log(&name)) {
            return Err(Error::new(
                ErrorKind::Doubled,
                format!(
                    "{} and {} are the same log, or one began as a copy of the other",
                    same.display(),
                    log.display()
                ),
            ));
        }
        names.push((log, name));
    }
    Ok(())
}
