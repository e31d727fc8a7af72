//! A file of fixed size beside the segments, in which a batch of records is durable after one short write.
//!
//! A segment grows, so to sync it the disk has to write its bytes, its new length, and often a log of both, one after the other.
//! The journal is a file of fixed size, so a sync writes only its bytes and takes half the time. The segments are written at the same time, and
//! synced when the journal is full or nobody asks. After a power failure the next start takes from the journal what a segment
//! has lost; its lines are those of the segment, so each proves itself by the chain.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::segment::Line;
use crate::error::Error;

const NAME: &str = "audit.journal";

/// Small, so that the sync of the segment that it stands for stays short; large enough for a second or so of full load.
const BYTES: usize = 1 << 20;

/// What the file is made of, write by write. The page cache keeps together what one write brought, and walks through all of it at
/// each later write and sync: in one piece, the journal costs the writer a third more CPU (ext4 of Linux 6.18, 8 callers at once).
const PIECE: [u8; 4 << 10] = [0; 4 << 10];

/// Marks the end of the journal: no line begins with it.
const END: &[u8] = b"\0";

/// The journal of an open log.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) file: File,
    /// Where the next batch goes.
    pub(super) at: usize,
}

/// A record of the journal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct JournalRecord {
    pub(super) sequence: u64,
    pub(super) previous: String,
    hash: String,
    /// The segment's line, without its newline.
    pub(super) line: Vec<u8>,
}

impl Journal {
    /// An empty journal; none where there is no room for it, and every batch then syncs its segment.
    pub(super) fn create(directory: &Path) -> Option<Self> {
        let path = directory.join(NAME);
        let created = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .and_then(|mut file| {
                for _ in 0..BYTES / PIECE.len() {
                    file.write_all(&PIECE)?;
                }
                file.set_len(BYTES as u64)?;
                file.sync_all()?;
                Ok(file)
            });
        match created {
            Ok(file) => Some(Self { file, at: 0 }),
            Err(error) => {
                tracing::warn!(%error, "there is no room for the audit log's journal: each write syncs its segment");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    pub(super) const fn has_room(&self, lines: &[u8]) -> bool {
        lines.len() < BYTES - self.at
    }

    /// Makes lines durable, for which there is room.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.write(lines)?;
        self.at += lines.len();
        Ok(())
    }

    /// Everything that was appended since it was last cleared.
    pub(super) fn content(&mut self) -> io::Result<Vec<u8>> {
        let mut content = vec![0; self.at];
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_exact(&mut content)?;
        Ok(content)
    }

    /// Clears it, once the segments are known to be on disk.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        self.at = 0;
        self.write(END)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.at as u64))?;
        self.file.write_all(bytes)?;
        self.file.sync_data()
    }
}

/// The records of the journal in a folder: those from its beginning that are one chain.
pub(super) fn read(directory: &Path) -> Result<Vec<JournalRecord>, Error> {
    let path = directory.join(NAME);
    let content = match fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::unreadable(&path, error)),
    };
    let mut all: Vec<JournalRecord> = Vec::new();
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let kept = line.strip_suffix(b"\n").and_then(JournalRecord::of);
        match kept {
            Some(kept) if all.last().is_none_or(|last| kept.follows(last)) => all.push(kept),
            _ => break,
        }
    }
    Ok(all)
}

impl JournalRecord {
    /// The record of a line that gives its hash.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let line: Line<'_> = serde_json::from_slice(bytes).ok()?;
        line.proves_itself().then(|| Self {
            sequence: line.sequence,
            previous: line.previous.to_owned(),
            hash: line.hash.to_owned(),
            line: bytes.to_owned(),
        })
    }

    fn follows(&self, last: &Self) -> bool {
        self.sequence == last.sequence + 1 && self.previous == last.hash
    }
}
