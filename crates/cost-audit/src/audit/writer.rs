//! The thread that owns the file: takes what has queued up, writes it at once, fsyncs once, answers all.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::oneshot;

use super::log::AuditReceipt;
use super::store::Store;
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
