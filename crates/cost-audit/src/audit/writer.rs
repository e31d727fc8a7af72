//! The thread that owns the file: takes what has queued up, writes it at once, fsyncs once, answers all.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::log::AuditReceipt;
use super::store::Store;
use crate::error::{Error, ErrorKind};

/// How long the writer waits before it tries an unwritable disk again by itself.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// How long the writer waits for a record before it looks whether the segment's day is over.
pub(super) const IDLE_INTERVAL: Duration = Duration::from_secs(60);

/// How long the writer waits for a record before it syncs the segment, so that a log at rest needs no journal.
const SETTLE_INTERVAL: Duration = Duration::from_millis(100);

/// Longest wait for the records of others, once several came together: who was answered with others asks again at about the same
/// time, and shares the next sync. Nobody who writes alone waits.
const GATHER_LIMIT: Duration = Duration::from_micros(200);

/// A disk that is done sooner is not worth waiting for: a sleep takes longer.
const QUICK_SYNC: Duration = Duration::from_micros(30);

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
    idle: Duration,
    shared: Arc<Shared>,
) -> Result<SyncSender<Append>, Error> {
    let (sender, receiver) = sync_channel(max_batch.saturating_mul(4));
    std::thread::Builder::new()
        .name("flowlake-audit".to_owned())
        .spawn(move || run(store, max_batch, idle, &shared, &receiver))
        .map_err(|error| {
            Error::new(ErrorKind::Unwritable, "cannot start the audit log's thread")
                .with_source(error)
        })?;
    Ok(sender)
}

fn run(
    mut store: Store,
    max_batch: usize,
    idle: Duration,
    shared: &Shared,
    receiver: &Receiver<Append>,
) {
    let mut batch = Vec::new();
    let mut gather = None;
    loop {
        let healthy = shared.healthy.load(Ordering::Acquire);
        let wait = match (healthy, store.is_settled()) {
            (false, _) => PROBE_INTERVAL,
            (true, false) => idle.min(SETTLE_INTERVAL),
            (true, true) => idle,
        };
        match receiver.recv_timeout(wait) {
            Ok(append) => batch.push(append),
            Err(RecvTimeoutError::Disconnected) => {
                // If it fails, the journal has what the segment may lose.
                let _ = store.settle();
                return;
            }
            Err(RecvTimeoutError::Timeout) => {
                // Without requests, yesterday's segment is finished all the same, and can be shipped.
                let written = if healthy {
                    store.settle().and_then(|()| store.finish_day())
                } else {
                    store.probe()
                };
                note(shared, &written);
                continue;
            }
        }
        if let Some(gather) = gather {
            std::thread::sleep(gather);
        }
        while batch.len() < max_batch {
            match receiver.try_recv() {
                Ok(append) => batch.push(append),
                Err(_) => break,
            }
        }
        let began = now();
        let written = store.append(&batch);
        gather = worth_gathering(batch.len(), began.elapsed());
        note(shared, &written);
        answer(&mut batch, written, store.path());
    }
}

/// How long to wait for the records of others, after a batch of so many that took so long: no longer than that, so that at worst an
/// answer takes twice the disk's time.
fn worth_gathering(records: usize, took: Duration) -> Option<Duration> {
    (records > 1 && took >= QUICK_SYNC).then(|| took.min(GATHER_LIMIT))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the disk takes its time whatever the log's clock says"
)]
fn now() -> Instant {
    Instant::now()
}

/// Tells everybody whether the disk takes writes, and the log when that has changed.
fn note<T>(shared: &Shared, written: &Result<T, std::io::Error>) {
    if shared.healthy.swap(written.is_ok(), Ordering::AcqRel) != written.is_ok() {
        match written {
            Ok(_) => tracing::info!("the audit log can be written again"),
            Err(error) => tracing::error!(%error, "the audit log cannot be written"),
        }
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
