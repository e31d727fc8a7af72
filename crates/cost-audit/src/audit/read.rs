//! Reads records back: all, the last few, or those that a search asks for.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use chrono::{NaiveDate, NaiveTime};
use serde::{Deserialize, Serialize};

use super::record::AuditRecord;
use super::search::AuditQuery;
use super::segment::{self, Line, Lines, Segment};
use crate::error::{Error, ErrorKind};

/// A record with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its hash.
    pub hash: String,
    /// The hash of the record before it.
    pub previous: String,
    /// What was recorded.
    pub record: AuditRecord,
    /// Its number, from 1.
    pub sequence: u64,
}

/// Reads every record of the log, oldest first, in constant memory.
///
/// # Errors
/// [`ErrorKind::Unreadable`] when the folder cannot be read.
pub fn entries(directory: &Path) -> Result<Entries, Error> {
    Ok(Entries {
        segments: segment::list(directory)?.into(),
        current: None,
    })
}

/// Reads the records from `day` on, and may skip whole segments that are older.
///
/// # Errors
/// [`ErrorKind::Unreadable`] when the folder cannot be read.
pub fn entries_since(
    directory: &Path,
    day: NaiveDate,
) -> Result<impl Iterator<Item = Result<AuditEntry, Error>>, Error> {
    let start = day.and_time(NaiveTime::MIN).and_utc();
    let mut segments = VecDeque::from(segment::list(directory)?);
    // A segment that was last written before that day has no record of it.
    segments.retain(|segment| segment.modified().is_none_or(|modified| modified >= start));
    let all = Entries {
        segments,
        current: None,
    };
    Ok(all.filter(move |entry| {
        entry
            .as_ref()
            .map_or(true, |entry| entry.record.time >= start)
    }))
}

/// Reads the records that `query` asks for, oldest first.
///
/// # Errors
/// [`ErrorKind::Unreadable`] when the folder cannot be read.
pub fn search(
    directory: &Path,
    query: AuditQuery,
) -> Result<impl Iterator<Item = Result<AuditEntry, Error>>, Error> {
    let limit = query.limit.unwrap_or(usize::MAX);
    Ok(entries(directory)?
        .filter(move |entry| {
            entry
                .as_ref()
                .map_or(true, |entry| query.matches(&entry.record))
        })
        .take(limit))
}

/// Reads the last `count` records, oldest first.
///
/// # Errors
/// [`ErrorKind::Unreadable`] when the files cannot be read, [`ErrorKind::Broken`] when one of the lines is no record.
pub fn tail(directory: &Path, count: usize) -> Result<Vec<AuditEntry>, Error> {
    let mut found = VecDeque::new();
    for segment in segment::list(directory)?.into_iter().rev() {
        let wanted = count - found.len();
        if wanted == 0 {
            break;
        }
        let mut last = VecDeque::new();
        for entry in Entries::of(segment) {
            if last.len() == wanted {
                last.pop_front();
            }
            last.push_back(entry?);
        }
        last.append(&mut found);
        found = last;
    }
    Ok(found.into())
}

/// The iterator of [`entries`].
#[derive(Debug)]
pub struct Entries {
    segments: VecDeque<Segment>,
    current: Option<(Segment, Lines)>,
}

impl Entries {
    fn of(segment: Segment) -> Self {
        Self {
            segments: [segment].into(),
            current: None,
        }
    }

    fn read(&mut self) -> Result<Option<AuditEntry>, Error> {
        loop {
            if self.current.is_none() {
                let Some(segment) = self.segments.pop_front() else {
                    return Ok(None);
                };
                let lines = segment.lines()?;
                self.current = Some((segment, lines));
            }
            let Some((segment, lines)) = &mut self.current else {
                continue;
            };
            match lines.next()? {
                // An incomplete line is a write under way.
                Some(line) if line.complete => {
                    return parse(segment, line.number, line.bytes).map(Some);
                }
                _ => self.current = None,
            }
        }
    }
}

impl Iterator for Entries {
    type Item = Result<AuditEntry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            // Nothing after a broken place can be trusted to be in order.
            self.segments.clear();
            self.current = None;
        }
        read.transpose()
    }
}

fn parse(segment: &Segment, number: u64, bytes: &[u8]) -> Result<AuditEntry, Error> {
    let broken = |error| {
        Error::new(
            ErrorKind::Broken,
            format!(
                "line {number} of {} is no audit record, verify the log",
                segment.name()
            ),
        )
        .with_source(error)
    };
    let line: Line<'_> = serde_json::from_slice(bytes).map_err(broken)?;
    Ok(AuditEntry {
        hash: line.hash.to_owned(),
        previous: line.previous.to_owned(),
        record: serde_json::from_str(line.record.get()).map_err(broken)?,
        sequence: line.sequence,
    })
}

/// Follows a log that is being written, as `tail -f` does.
#[derive(Debug)]
pub struct Follower {
    directory: PathBuf,
    next: u64,
}

impl Follower {
    /// Starts after the record numbered `sequence`; 0 starts at the beginning.
    #[must_use]
    pub fn after(directory: &Path, sequence: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            next: sequence + 1,
        }
    }

    /// The records that have come since the last call; call it every second or so.
    ///
    /// # Errors
    /// Those of [`tail`].
    pub fn poll(&mut self) -> Result<Vec<AuditEntry>, Error> {
        let segments = segment::list(&self.directory)?;
        let from = segments.partition_point(|segment| segment.first <= self.next);
        let mut found = Vec::new();
        let fresh = Entries {
            segments: segments.into_iter().skip(from.saturating_sub(1)).collect(),
            current: None,
        };
        for entry in fresh {
            let entry = entry?;
            if entry.sequence >= self.next {
                self.next = entry.sequence + 1;
                found.push(entry);
            }
        }
        Ok(found)
    }
}
