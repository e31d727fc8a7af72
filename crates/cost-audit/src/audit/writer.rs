//! The thread that owns the file: takes what has queued up, writes it at once, fsyncs once, answers all.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::batch::{Batch, Place, Reply, SealReply};
use super::gather::Callers;
use super::queue::{Closed, Empty, Queue};
use super::store::Store;
use crate::error::{Error, ErrorKind};

/// How long the writer waits before it tries an unwritable disk again by itself.
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// How long the writer waits for a record before it looks whether the segment's day is over.
pub(super) const IDLE_INTERVAL: Duration = Duration::from_secs(60);

/// How long the writer waits for a record before it syncs the segment, so that a log at rest needs no journal.
const SETTLE_INTERVAL: Duration = Duration::from_millis(100);

/// The writer, as the log's handles see it: with the last of them it ends.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// Closed when the thread has ended.
    ended: watch::Receiver<()>,
}

/// What the thread and the handles share.
#[derive(Debug)]
struct Shared {
    /// Whether the disk took the last write, and there is a writer for the next.
    healthy: AtomicBool,
    queue: Queue,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(store: Store, max_batch: usize, idle: Duration) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            healthy: AtomicBool::new(true),
            queue: Queue::new(max_batch),
        });
        let (running, ended) = watch::channel(());
        let writer = Self {
            shared: Arc::clone(&shared),
            ended,
        };
        std::thread::Builder::new()
            .name("flowlake-audit".to_owned())
            .spawn(move || {
                let _running = running;
                // Dropped after `_abandon`: callers learn that their records are lost when the log is known to be unhealthy.
                let mut batch = Batch::default();
                let _abandon = FailWaitersOnDrop(&shared);
                run(store, idle, &shared, &mut batch);
            })
            .map_err(|error| {
                Error::new(ErrorKind::Unwritable, "cannot start the audit log's thread")
                    .with_source(error)
            })?;
        Ok(writer)
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.shared.healthy.load(Ordering::Acquire)
    }

    /// Gives it a record to write.
    pub(super) async fn push(&self, record: &str, reply: Reply) -> Result<(), Closed> {
        self.shared.queue.push(record, reply).await
    }

    /// Asks it to seal the segment behind what is in the queue.
    pub(super) fn seal(&self, reply: SealReply) -> Result<(), Closed> {
        self.shared.queue.seal(reply)
    }

    /// Lets it write what is in the queue, and waits for its end.
    pub(super) async fn close(&self) {
        self.shared.queue.close();
        let mut ended = self.ended.clone();
        // Nothing is ever sent: it fails once the thread is gone.
        while ended.changed().await.is_ok() {}
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

/// When the writer ends, however that happens: fails all callers that wait for it, and marks the log as unhealthy.
struct FailWaitersOnDrop<'a>(&'a Shared);

impl Drop for FailWaitersOnDrop<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                "the audit log's writer has died: no request is answered until the process is started again"
            );
        }
        self.0.healthy.store(false, Ordering::Release);
        self.0.queue.abandon();
    }
}

fn run(mut store: Store, idle: Duration, shared: &Shared, batch: &mut Batch) {
    let mut callers = Callers::default();
    loop {
        let healthy = shared.healthy.load(Ordering::Acquire);
        let wait = match (healthy, store.is_settled()) {
            (false, _) => PROBE_INTERVAL,
            (true, false) => idle.min(SETTLE_INTERVAL),
            (true, true) => idle,
        };
        match shared.queue.take(callers.expected(), wait, batch) {
            Ok(()) => {}
            Err(Empty::Closed) => {
                // If it fails, the journal has what the segment may lose.
                let _ = store.settle();
                return;
            }
            Err(Empty::Idle) => {
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
        if batch.has_records() {
            let began = now();
            let written = store.append(batch);
            callers.note(batch.len(), shared.queue.len(), began.elapsed());
            note(shared, &written);
            answer(batch, written, store.path());
        }
        if batch.wants_seal() {
            let sealed = store.finish_segment();
            note(shared, &sealed);
            for reply in batch.drain_seals() {
                let sealed = sealed
                    .as_ref()
                    .map_err(|error| unwritable(error, store.path()));
                // A caller that no longer waits is no reason to stop.
                let _ = reply.send(sealed.copied());
            }
        }
    }
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

fn answer(batch: &mut Batch, written: Result<Vec<Place>, std::io::Error>, path: &Path) {
    match written {
        Ok(places) => {
            for (reply, place) in batch.drain().zip(places) {
                // A caller that no longer waits is no reason to stop.
                let _ = reply.send(Ok(place));
            }
        }
        Err(error) => {
            for reply in batch.drain() {
                let _ = reply.send(Err(unwritable(&error, path)));
            }
        }
    }
}

/// The error for one of several callers, who cannot share it.
fn unwritable(error: &std::io::Error, path: &Path) -> Error {
    let copy = error
        .raw_os_error()
        .map_or_else(|| error.kind().into(), std::io::Error::from_raw_os_error);
    Error::unwritable(path, copy)
}
