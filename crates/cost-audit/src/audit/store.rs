//! The open segment: appends to it, mends it, seals it and starts the next one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use super::canonical;
use super::log::AuditReceipt;
use super::record::AuditRecord;
use super::seal::{Seal, SealBody, SealingKey};
use super::segment::{self, LOCK_FILE, Line, Segment};
use super::settings::AuditSettings;
use super::writer::Append;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};

/// The open segment and the end of its chain.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    max_segment_bytes: u64,
    rotate_daily: bool,
    clock: Arc<dyn Clock>,
    sealing_key: Option<SealingKey>,
    segment: Segment,
    file: File,
    end: End,
    /// Whether the file may hold more than the durable bytes, after a failed write.
    dirty: bool,
    _lock: File,
}

/// What is known to be on disk, and where the chain goes on.
#[derive(Debug, Clone)]
struct End {
    /// Bytes of the open segment.
    bytes: u64,
    /// Running digest of those bytes.
    digest: Sha256,
    previous: String,
    next: u64,
    /// The day of the segment's records.
    day: Option<NaiveDate>,
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
        let segments = segment::list(&directory)?;
        let mut end = End::read(&segments)?;
        let segment = match segments.last() {
            Some(last) if !last.seal_path().exists() => last.clone(),
            Some(_) => {
                end.start_segment();
                Segment::new(&directory, end.next)
            }
            None => Segment::new(&directory, 1),
        };
        let mut store = Self {
            file: open_segment(&segment.path).map_err(fail)?,
            directory,
            max_segment_bytes: settings.max_segment_bytes,
            rotate_daily: settings.rotate_daily,
            clock,
            sealing_key,
            segment,
            end,
            dirty: true,
            _lock: lock,
        };
        store.mend().map_err(fail)?;
        sync_directory(&store.directory).map_err(fail)?;
        Ok(store)
    }

    pub(super) fn path(&self) -> &Path {
        &self.segment.path
    }

    /// Writes the batch and makes it durable; on an error nothing of it stays in the log.
    pub(super) fn append(&mut self, batch: &[Append]) -> Result<Vec<AuditReceipt>, std::io::Error> {
        self.mend()?;
        self.rotate_if_due()?;
        let size = batch.iter().map(|append| append.record.len() + 192).sum();
        let mut out = Vec::with_capacity(size);
        let mut receipts = Vec::with_capacity(batch.len());
        let (mut previous, mut next) = (self.end.previous.clone(), self.end.next);
        for append in batch {
            let hash = canonical::hash(&previous, &append.record, next);
            canonical::write_line(&mut out, &hash, &previous, &append.record, next);
            receipts.push(AuditReceipt {
                sequence: next,
                hash: hash.clone(),
                id: append.id.clone(),
            });
            previous = hash;
            next += 1;
        }
        self.dirty = true;
        if let Err(error) = self
            .file
            .write_all(&out)
            .and_then(|()| self.file.sync_data())
        {
            // At once, so that a crash now leaves no record of a request that was refused; if it fails, the next call mends.
            let _ = self.mend();
            return Err(error);
        }
        self.dirty = false;
        self.end.bytes += out.len() as u64;
        self.end.digest.update(&out);
        self.end.previous = previous;
        self.end.next = next;
        Ok(receipts)
    }

    /// Tries whether the disk takes a block, without leaving anything in the log.
    pub(super) fn probe(&mut self) -> Result<(), std::io::Error> {
        self.mend()?;
        self.dirty = true;
        // Spaces without a newline: if we are killed here, the next start cuts them off as a torn line.
        let written = self
            .file
            .write_all(&[b' '; 16 << 10])
            .and_then(|()| self.file.sync_data());
        self.mend()?;
        written
    }

    /// Seals the segment when its day is over, without waiting for the next record.
    pub(super) fn finish_day(&mut self) -> Result<(), std::io::Error> {
        self.mend()?;
        if self.end.bytes == 0 {
            return Ok(());
        }
        self.rotate_if_due()
    }

    /// Cuts off what a failed or torn write may have left behind the durable end.
    fn mend(&mut self) -> Result<(), std::io::Error> {
        if self.dirty {
            self.file.set_len(self.end.bytes)?;
            self.file.seek(SeekFrom::Start(self.end.bytes))?;
            self.file.sync_all()?;
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
        // The seal comes first: a crash between the two is seen at the next start, which then begins a new segment.
        let body = SealBody {
            bytes: self.end.bytes,
            first_sequence: self.segment.first,
            last_hash: self.end.previous.clone(),
            last_sequence: self.end.next - 1,
            sealed_at: now,
            segment: self.segment.name(),
            sha256: hex::encode(self.end.digest.clone().finalize()),
        };
        Seal::new(body, self.sealing_key.as_ref()).write(&self.segment)?;
        let segment = Segment::new(&self.directory, self.end.next);
        self.file = open_segment(&segment.path)?;
        self.segment = segment;
        self.end.start_segment();
        self.end.day = Some(today);
        sync_directory(&self.directory)
    }
}

impl End {
    /// Finds where the last whole line of the last segment ends.
    fn read(segments: &[Segment]) -> Result<Self, Error> {
        let mut end = Self {
            bytes: 0,
            digest: Sha256::new(),
            previous: canonical::GENESIS.to_owned(),
            next: 1,
            day: None,
        };
        let Some((last, earlier)) = segments.split_last() else {
            return Ok(end);
        };
        let mut found = None;
        let mut lines = last.lines()?;
        while let Some(line) = lines.next()? {
            if !line.complete {
                tracing::warn!(
                    segment = last.name(),
                    bytes = line.bytes.len(),
                    "cut off a torn last line: a write that was never acknowledged"
                );
                break;
            }
            end.digest.update(line.bytes);
            end.digest.update(b"\n");
            end.bytes = line.offset + line.bytes.len() as u64 + 1;
            found = Some(line.bytes.to_vec());
        }
        match found {
            Some(bytes) => end.continue_after(last, &bytes)?,
            // An empty segment goes on from the one before it.
            None if !earlier.is_empty() => {
                end = Self::read(earlier)?;
                end.start_segment();
            }
            None => {}
        }
        Ok(end)
    }

    fn continue_after(&mut self, last: &Segment, bytes: &[u8]) -> Result<(), Error> {
        let broken = || {
            Error::new(
                ErrorKind::Broken,
                format!(
                    "the last record of {} is damaged, verify the log and move it away",
                    last.name()
                ),
            )
        };
        let line: Line<'_> =
            serde_json::from_slice(bytes).map_err(|error| broken().with_source(error))?;
        if canonical::hash(line.previous, line.record.get(), line.sequence) != line.hash {
            return Err(broken());
        }
        line.hash.clone_into(&mut self.previous);
        self.next = line.sequence + 1;
        self.day = serde_json::from_str::<AuditRecord>(line.record.get())
            .ok()
            .map(|record| record.time.date_naive());
        Ok(())
    }

    fn start_segment(&mut self) {
        self.bytes = 0;
        self.digest = Sha256::new();
        self.day = None;
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

/// Makes new names in the folder durable.
fn sync_directory(directory: &Path) -> Result<(), std::io::Error> {
    File::open(directory)?.sync_all()
}
