//! The thread that owns the file: takes what has queued up, writes it at once, fsyncs once, answers all.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use chrono::NaiveDate;
use tokio::sync::oneshot;

use super::canonical;
use super::log::AuditReceipt;
use super::segment::{self, LOCK_FILE, Line, Segment};
use super::settings::AuditSettings;
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};

/// How long the writer waits before it tries an unwritable disk again by itself.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// A record on its way to the disk.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) id: String,
    pub(super) record: String,
    pub(super) reply: oneshot::Sender<Result<AuditReceipt, Error>>,
}

/// What the handle sees of the writer.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) healthy: AtomicBool,
}

/// Starts the writer thread; it ends when every handle is gone.
pub(super) fn start(
    store: Store,
    max_batch: usize,
    shared: Arc<Shared>,
) -> Result<SyncSender<Append>, Error> {
    let (sender, receiver) = sync_channel(max_batch.saturating_mul(4));
    std::thread::Builder::new()
        .name("flowlake-audit".to_owned())
        .spawn(move || run(store, max_batch, &shared, &receiver))
        .map_err(|error| {
            Error::new(ErrorKind::Unwritable, "cannot start the audit log's thread")
                .with_source(error)
        })?;
    Ok(sender)
}

fn run(mut store: Store, max_batch: usize, shared: &Shared, receiver: &Receiver<Append>) {
    let mut batch = Vec::new();
    loop {
        let first = if shared.healthy.load(Ordering::Acquire) {
            receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            receiver.recv_timeout(PROBE_INTERVAL)
        };
        match first {
            Ok(append) => batch.push(append),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if store.probe().is_ok() {
                    tracing::info!("the audit log can be written again");
                    shared.healthy.store(true, Ordering::Release);
                }
                continue;
            }
        }
        while batch.len() < max_batch {
            match receiver.try_recv() {
                Ok(append) => batch.push(append),
                Err(_) => break,
            }
        }
        let written = store.append(&batch);
        if shared.healthy.swap(written.is_ok(), Ordering::AcqRel) != written.is_ok() {
            match &written {
                Ok(_) => tracing::info!("the audit log can be written again"),
                Err(error) => tracing::error!(%error, "the audit log cannot be written"),
            }
        }
        answer(&mut batch, written, store.path());
    }
}

fn answer(
    batch: &mut Vec<Append>,
    written: Result<Vec<AuditReceipt>, std::io::Error>,
    path: &Path,
) {
    match written {
        Ok(receipts) => {
            for (append, receipt) in batch.drain(..).zip(receipts) {
                // A caller that no longer waits is no reason to stop.
                let _ = append.reply.send(Ok(receipt));
            }
        }
        Err(error) => {
            for append in batch.drain(..) {
                let copy = error
                    .raw_os_error()
                    .map_or_else(|| error.kind().into(), std::io::Error::from_raw_os_error);
                let _ = append.reply.send(Err(Error::unwritable(path, copy)));
            }
        }
    }
}

/// The open segment and the end of its chain.
#[derive(Debug)]
pub(super) struct Store {
    directory: PathBuf,
    max_segment_bytes: u64,
    rotate_daily: bool,
    clock: Arc<dyn Clock>,
    segment: Segment,
    file: File,
    /// Bytes of the segment that are known to be on disk.
    durable: u64,
    day: NaiveDate,
    /// Whether the file may hold more than `durable` bytes after a failed write.
    dirty: bool,
    previous: String,
    next: u64,
    _lock: File,
}

impl Store {
    pub(super) fn open(settings: &AuditSettings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let directory = settings.directory.clone();
        let fail = |error| Error::unwritable(&settings.directory, error);
        fs::create_dir_all(&directory).map_err(fail)?;
        let lock = lock(&directory)?;
        let segments = segment::list(&directory)?;
        let end = match segments.last() {
            Some(last) => End::read(last, &segments)?,
            None => End::start(),
        };
        let today = clock.now().date_naive();
        let segment = match segments.last() {
            Some(last) => last.clone(),
            None => Segment::new(&directory, 1),
        };
        let mut store = Self {
            file: open_segment(&segment.path).map_err(fail)?,
            directory: directory.clone(),
            max_segment_bytes: settings.max_segment_bytes,
            rotate_daily: settings.rotate_daily,
            clock,
            segment,
            durable: end.bytes,
            day: end.day.unwrap_or(today),
            dirty: true,
            previous: end.previous,
            next: end.next,
            _lock: lock,
        };
        store.mend().map_err(fail)?;
        sync_directory(&directory).map_err(fail)?;
        Ok(store)
    }

    fn path(&self) -> &Path {
        &self.segment.path
    }

    /// Writes the batch and makes it durable; on an error nothing of it stays in the log.
    fn append(&mut self, batch: &[Append]) -> Result<Vec<AuditReceipt>, std::io::Error> {
        self.mend()?;
        self.rotate_if_due()?;
        let mut out =
            Vec::with_capacity(batch.iter().map(|append| append.record.len() + 192).sum());
        let mut receipts = Vec::with_capacity(batch.len());
        let (mut previous, mut next) = (self.previous.clone(), self.next);
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
        self.file.write_all(&out)?;
        self.file.sync_data()?;
        self.dirty = false;
        self.durable += out.len() as u64;
        self.previous = previous;
        self.next = next;
        Ok(receipts)
    }

    /// Cuts off what a failed or torn write may have left behind the durable end.
    fn mend(&mut self) -> Result<(), std::io::Error> {
        if self.dirty {
            self.file.set_len(self.durable)?;
            self.file.seek(SeekFrom::Start(self.durable))?;
            self.file.sync_all()?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Tries whether the disk takes a block, without leaving anything in the log.
    fn probe(&mut self) -> Result<(), std::io::Error> {
        self.mend()?;
        self.dirty = true;
        // Spaces without a newline: if we are killed here, the next start cuts them off as a torn line.
        self.file.write_all(&[b' '; 16 << 10])?;
        self.file.sync_data()?;
        self.mend()
    }

    fn rotate_if_due(&mut self) -> Result<(), std::io::Error> {
        let today = self.clock.now().date_naive();
        let day_over = self.rotate_daily && today != self.day;
        if self.durable == 0 {
            self.day = today;
            return Ok(());
        }
        if !day_over && self.durable < self.max_segment_bytes {
            return Ok(());
        }
        let segment = Segment::new(&self.directory, self.next);
        self.file = open_segment(&segment.path)?;
        self.segment = segment;
        self.durable = 0;
        self.day = today;
        sync_directory(&self.directory)
    }
}

/// Where the chain goes on.
#[derive(Debug)]
struct End {
    bytes: u64,
    previous: String,
    next: u64,
    day: Option<NaiveDate>,
}

impl End {
    fn start() -> Self {
        Self {
            bytes: 0,
            previous: canonical::GENESIS.to_owned(),
            next: 1,
            day: None,
        }
    }

    /// Reads the last segment and says where its last whole line ends.
    fn read(last: &Segment, segments: &[Segment]) -> Result<Self, Error> {
        let mut end = Self::start();
        end.next = last.first;
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
            end.bytes = line.offset + line.bytes.len() as u64 + 1;
            found = Some(line.bytes.to_vec());
        }
        let Some(bytes) = found else {
            // An empty segment goes on from the one before it.
            return match segments.iter().rev().nth(1) {
                Some(before) if last.first > 1 => {
                    let earlier = Self::read(before, &segments[..segments.len() - 1])?;
                    Ok(Self {
                        bytes: 0,
                        day: None,
                        ..earlier
                    })
                }
                _ => Ok(end),
            };
        };
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
            serde_json::from_slice(&bytes).map_err(|error| broken().with_source(error))?;
        if canonical::hash(line.previous, line.record.get(), line.sequence) != line.hash {
            return Err(broken());
        }
        line.hash.clone_into(&mut end.previous);
        end.next = line.sequence + 1;
        end.day = serde_json::from_str::<super::AuditRecord>(line.record.get())
            .ok()
            .map(|record| record.time.date_naive());
        Ok(end)
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
