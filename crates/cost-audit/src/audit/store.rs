//! The open segment: appends to it, repairs it, seals it and starts the next one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::{Batch, Place};
use super::end::{End, contradiction};
use super::journal::{self, Journal, JournalRecord};
use super::log_id;
use super::seal::{Seal, SealBody, SealingKey};
use super::segment::{self, LOCK_FILE, Segment};
use super::settings::AuditSettings;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};

/// The open segment and the end of its chain.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    /// The folder itself, to make new names in it durable.
    folder: File,
    /// Whether the names in it are durable.
    folder_synced: bool,
    log_id: String,
    max_segment_bytes: u64,
    rotate_daily: bool,
    clock: Arc<dyn Clock>,
    sealing_key: Option<SealingKey>,
    segment: Segment,
    file: File,
    /// Where batches are made durable; none where there was no room for it.
    journal: Option<Journal>,
    /// Whether the segment itself is on disk up to its end.
    settled: bool,
    end: End,
    /// Memory for the next batch's lines.
    lines: Vec<u8>,
    /// Whether the file may hold more than the durable bytes, after a failed write.
    dirty: bool,
    _lock: File,
}

impl Store {
    pub(super) fn open(
        settings: &AuditSettings,
        clock: Arc<dyn Clock>,
        sealing_key: Option<SealingKey>,
    ) -> Result<Self, Error> {
        let directory = settings.directory.clone();
        let fail = |error| Error::unwritable(&settings.directory, error);
        fs::create_dir_all(&directory).map_err(fail)?;
        let lock = lock(&directory)?;
        let log_id = log_id::open(&directory)?;
        let segments = segment::list(&directory)?;
        let kept = journal::read(&directory)?;
        let mut end = End::read(&segments, &kept, End::after_deleted(&directory)?)?;
        let segment = match segments.last() {
            Some(last) if !last.seal_path().exists() => last.clone(),
            Some(_) => {
                end.start_segment();
                Segment::new(&directory, end.next)
            }
            None => Segment::new(&directory, end.next),
        };
        let mut store = Self {
            file: open_segment(&segment.path).map_err(fail)?,
            folder: File::open(&directory).map_err(fail)?,
            folder_synced: false,
            log_id,
            directory,
            max_segment_bytes: settings.max_segment_bytes,
            rotate_daily: settings.rotate_daily,
            clock,
            sealing_key,
            segment,
            journal: None,
            settled: true,
            end,
            lines: Vec::new(),
            dirty: true,
            _lock: lock,
        };
        store.repair().map_err(fail)?;
        store.restore(&kept)?;
        // The segment is on disk, name and all, before the journal gives up what it has of it.
        store.sync_folder().map_err(fail)?;
        store.journal = Journal::create(&store.directory);
        store.folder_synced = false;
        store.sync_folder().map_err(fail)?;
        Ok(store)
    }

    /// Writes what the journal has and the segment lost.
    fn restore(&mut self, kept: &[JournalRecord]) -> Result<(), Error> {
        let next = self.end.next;
        let mut lost = kept
            .iter()
            .skip_while(|kept| kept.sequence < next)
            .peekable();
        let Some(first) = lost.peek() else {
            return Ok(());
        };
        if (first.sequence, &first.previous) != (next, &self.end.previous) {
            return Err(contradiction(&self.segment, next));
        }
        let mut out = Vec::new();
        for kept in lost {
            self.end.take(&kept.line, &mut out);
            self.end.continue_after(&self.segment, &kept.line)?;
        }
        tracing::warn!(
            bytes = out.len(),
            "took from the journal what the last segment had lost"
        );
        self.file
            .write_all(&out)
            .and_then(|()| self.file.sync_all())
            .map_err(|error| Error::unwritable(&self.segment.path, error))
    }

    pub(super) fn log_id(&self) -> &str {
        &self.log_id
    }

    pub(super) fn path(&self) -> &Path {
        &self.segment.path
    }

    /// Writes the batch and makes it durable; on an error nothing of it stays in the log.
    pub(super) fn append(&mut self, batch: &Batch) -> Result<Vec<Place>, std::io::Error> {
        self.repair()?;
        self.rotate_if_due()?;
        let mut lines = std::mem::take(&mut self.lines);
        lines.clear();
        let mut end = self.end.clone();
        let places = batch
            .records()
            .map(|record| end.chain(record, &mut lines))
            .collect();
        let written = self.write(&lines);
        self.lines = lines;
        written?;
        self.end = end;
        Ok(places)
    }

    /// Writes lines to the segment, and makes them durable, or leaves nothing of them.
    fn write(&mut self, lines: &[u8]) -> Result<(), std::io::Error> {
        self.dirty = true;
        if let Err(error) = self.try_write(lines) {
            // At once, so that a crash now leaves no record of a request that was refused; if it fails, the next call repairs.
            let _ = self.repair();
            return Err(error);
        }
        self.dirty = false;
        Ok(())
    }

    fn try_write(&mut self, lines: &[u8]) -> Result<(), std::io::Error> {
        self.file.write_all(lines)?;
        if let Some(journal) = &mut self.journal
            && journal.has_room(lines)
        {
            self.settled = false;
            return journal.append(lines);
        }
        self.file.sync_data()?;
        self.restart_journal()
    }

    /// The segment is on disk: the journal need not repeat it any more.
    fn restart_journal(&mut self) -> Result<(), std::io::Error> {
        self.settled = true;
        match &mut self.journal {
            Some(journal) => journal.clear(),
            None => Ok(()),
        }
    }

    /// Whether the segment is on disk by itself, without the journal.
    pub(super) const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Makes the segment durable by itself.
    pub(super) fn settle(&mut self) -> Result<(), std::io::Error> {
        self.repair()?;
        if !self.settled {
            // If the sync fails, nobody knows what the disk has of the segment: the next call repairs it.
            self.dirty = true;
            self.file.sync_data()?;
            self.restart_journal()?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Tries whether the disk takes a block, without leaving anything in the log.
    pub(super) fn probe(&mut self) -> Result<(), std::io::Error> {
        self.repair()?;
        self.dirty = true;
        // Spaces without a newline: if we are killed here, the next start cuts them off as a torn line.
        let written = self
            .file
            .write_all(&[b' '; 16 << 10])
            .and_then(|()| self.file.sync_data());
        self.repair()?;
        written
    }

    /// Seals the segment when its day is over, without waiting for the next record.
    pub(super) fn finish_day(&mut self) -> Result<(), std::io::Error> {
        self.repair()?;
        if self.end.bytes == 0 {
            return Ok(());
        }
        self.rotate_if_due()
    }

    /// Seals the segment whatever its size and age. Without records there is nothing to seal.
    pub(super) fn finish_segment(&mut self) -> Result<(), std::io::Error> {
        self.repair()?;
        if self.end.bytes == 0 {
            return Ok(());
        }
        self.rotate()
    }

    /// Does what earlier calls could not: makes new names durable, and cuts off what a failed or torn write may have left behind
    /// the durable end.
    fn repair(&mut self) -> Result<(), std::io::Error> {
        self.sync_folder()?;
        if self.dirty {
            self.file.set_len(self.end.bytes)?;
            if !self.settled
                && let Some(journal) = &mut self.journal
            {
                // What a failed sync has lost, a later one does not write by itself.
                let content = journal.content()?;
                let from = self.end.bytes - content.len() as u64;
                self.file.seek(SeekFrom::Start(from))?;
                self.file.write_all(&content)?;
            }
            self.file.seek(SeekFrom::Start(self.end.bytes))?;
            self.file.sync_all()?;
            self.restart_journal()?;
            self.dirty = false;
        }
        Ok(())
    }

    fn rotate_if_due(&mut self) -> Result<(), std::io::Error> {
        let now = self.clock.now();
        let today = now.date_naive();
        let day_over = self.rotate_daily && self.end.day.is_some_and(|day| day != today);
        if self.end.bytes == 0 {
            self.end.day = Some(today);
            return Ok(());
        }
        if !day_over && self.end.bytes < self.max_segment_bytes {
            return Ok(());
        }
        self.rotate()
    }

    /// Seals the segment and starts the next one.
    fn rotate(&mut self) -> Result<(), std::io::Error> {
        let now = self.clock.now();
        self.settle()?;
        let body = SealBody {
            bytes: self.end.bytes,
            first_sequence: self.segment.first,
            last_hash: self.end.previous.clone(),
            last_sequence: self.end.next - 1,
            log_id: Some(self.log_id.clone()),
            sealed_at: now,
            segment: self.segment.name(),
        };
        // The seal comes first: a crash between the two is seen at the next start, which then begins a new segment.
        self.seal(body)?;
        let segment = Segment::new(&self.directory, self.end.next);
        self.file = open_segment(&segment.path)?;
        self.segment = segment;
        self.end.start_segment();
        self.end.day = Some(now.date_naive());
        self.sync_folder()
    }

    /// Seals the segment, unless an earlier try has done it and could not go on: that seal may have been shipped already, and must
    /// not be replaced by one of another time.
    fn seal(&mut self, body: SealBody) -> Result<(), std::io::Error> {
        self.folder_synced = false;
        let found = Seal::read(&self.segment).map_err(std::io::Error::other)?;
        if let Some(Ok(seal)) = found
            && seal.agrees_with(&body)
        {
            return Ok(());
        }
        Seal::new(body, self.sealing_key.as_ref()).write(&self.segment)
    }

    /// Makes new names in the folder durable; what fails is tried again by the next call.
    fn sync_folder(&mut self) -> Result<(), std::io::Error> {
        if !self.folder_synced {
            self.folder.sync_all()?;
            self.folder_synced = true;
        }
        Ok(())
    }
}

fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| Error::unwritable(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            ErrorKind::Locked,
            format!(
                "another process writes the audit log in {}, stop it or use another directory",
                directory.display()
            ),
        )),
        Err(TryLockError::Error(error)) => Err(Error::unwritable(&path, error)),
    }
}

fn open_segment(path: &Path) -> Result<File, std::io::Error> {
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
}

#[cfg(test)]
mod tests;
