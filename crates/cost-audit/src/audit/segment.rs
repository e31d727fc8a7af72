//! The files of a log: `audit-<first sequence>.jsonl` in one folder.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::canonical;
use crate::error::Error;

const PREFIX: &str = "audit-";
const SUFFIX: &str = ".jsonl";
const SEAL_SUFFIX: &str = ".seal.json";

/// The file that the writer holds a lock on.
pub(crate) const LOCK_FILE: &str = "audit.lock";

/// One file of the log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    /// The sequence number of its first record, from its name.
    pub(crate) first: u64,
    pub(crate) path: PathBuf,
}

/// A line, taken apart; the record stays as it was written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line<'a> {
    pub(crate) hash: &'a str,
    pub(crate) previous: &'a str,
    #[serde(borrow)]
    pub(crate) record: &'a RawValue,
    pub(crate) sequence: u64,
}

impl Line<'_> {
    /// Whether its hash is that of the rest of it.
    pub(crate) fn proves_itself(&self) -> bool {
        canonical::hash(self.previous, self.record.get(), self.sequence).as_str() == self.hash
    }
}

impl Segment {
    pub(crate) fn new(directory: &Path, first: u64) -> Self {
        Self {
            first,
            path: directory.join(format!("{PREFIX}{first:020}{SUFFIX}")),
        }
    }

    /// Where its seal lies.
    pub(crate) fn seal_path(&self) -> PathBuf {
        self.path.with_extension("seal.json")
    }

    /// What is put beside it once it lies in the second place too.
    pub(crate) fn shipped_path(&self) -> PathBuf {
        self.path.with_extension("shipped")
    }

    /// Its name without the folder.
    pub(crate) fn name(&self) -> String {
        self.path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// When it was last written, if the file system says so.
    pub(crate) fn modified(&self) -> Option<DateTime<Utc>> {
        Some(fs::metadata(&self.path).ok()?.modified().ok()?.into())
    }

    pub(crate) fn lines(&self) -> Result<Lines, Error> {
        let file = File::open(&self.path).map_err(|error| Error::unreadable(&self.path, error))?;
        Ok(Lines {
            reader: BufReader::with_capacity(1 << 18, file),
            path: self.path.clone(),
            buffer: Vec::new(),
            offset: 0,
            number: 0,
        })
    }
}

/// The segments of a folder, oldest first.
pub(crate) fn list(directory: &Path) -> Result<Vec<Segment>, Error> {
    named(directory, SUFFIX)
}

/// The segments of a folder of which only the seals are left, oldest first: they were shipped, and deleted here.
pub(crate) fn deleted(directory: &Path) -> Result<Vec<Segment>, Error> {
    let mut segments = sealed(directory)?;
    segments.retain(|segment| !segment.path.exists() && segment.shipped_path().exists());
    Ok(segments)
}

/// The segments of a folder that have a seal, oldest first.
pub(crate) fn sealed(directory: &Path) -> Result<Vec<Segment>, Error> {
    named(directory, SEAL_SUFFIX)
}

/// The segments that have a file with this suffix.
fn named(directory: &Path, suffix: &str) -> Result<Vec<Segment>, Error> {
    let entries = fs::read_dir(directory).map_err(|error| Error::unreadable(directory, error))?;
    let mut segments = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::unreadable(directory, error))?;
        let name = entry.file_name();
        let first = name.to_str().and_then(|name| {
            name.strip_prefix(PREFIX)?
                .strip_suffix(suffix)?
                .parse()
                .ok()
        });
        if let Some(first) = first {
            segments.push(Segment::new(directory, first));
        }
    }
    segments.sort();
    Ok(segments)
}

/// Reads a segment line by line in constant memory.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: BufReader<File>,
    path: PathBuf,
    buffer: Vec<u8>,
    offset: u64,
    number: u64,
}

/// A line as found.
#[derive(Debug)]
pub(crate) struct RawLine<'a> {
    /// Without the newline.
    pub(crate) bytes: &'a [u8],
    /// Whether a newline ended it.
    pub(crate) complete: bool,
    /// Where it begins in the file.
    pub(crate) offset: u64,
    /// Counted from 1.
    pub(crate) number: u64,
}

impl Lines {
    pub(crate) fn next(&mut self) -> Result<Option<RawLine<'_>>, Error> {
        self.buffer.clear();
        let read = self
            .reader
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| Error::unreadable(&self.path, error))?;
        if read == 0 {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += read as u64;
        self.number += 1;
        let complete = self.buffer.last() == Some(&b'\n');
        let end = self.buffer.len() - usize::from(complete);
        Ok(Some(RawLine {
            bytes: &self.buffer[..end],
            complete,
            offset,
            number: self.number,
        }))
    }
}
