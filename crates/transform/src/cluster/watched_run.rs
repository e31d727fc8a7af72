//! A run as its coordinator sees it: which workers take part, and what they have read so far.
//!
//! Each worker is asked a few times a second while rows come, so that limits hold for what all of them read together, and so that
//! what a run has read is known when it fails, is cancelled or loses a worker.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use datafusion::common::DataFusionError;
use futures::future::{join_all, select_all};
use object_store::Error as StoreError;
use tokio::runtime::Handle;
use url::Url;

use super::{
    StoreUsage,
    carried::lost,
    channel::Channels,
    report::Report,
    run_messages::{Ask, Progress, Tell},
};
use crate::{Error, error::BoxError, scan_store::ScanMeter};

/// Between two questions to a worker.
const EVERY: Duration = Duration::from_millis(100);
/// Until workers have said what they did, when all rows are there.
const REPORTS: Duration = Duration::from_secs(10);

/// Hears what the stores of workers have moved for a run, by bucket and from its beginning, while it goes on. An error ends the run.
/// It is dropped when there is no more to hear.
pub type MovedByWorkers =
    Box<dyn Fn(&BTreeMap<String, StoreUsage>) -> Result<(), BoxError> + Send + Sync>;

/// See the module. Dropping it ends the run on all workers.
pub(crate) struct WatchedRun(Arc<Inner>);

struct Inner {
    name: String,
    channels: Channels,
    workers: Vec<Participant>,
    /// By worker.
    heard: Mutex<BTreeMap<String, Progress>>,
    hearer: Mutex<Option<MovedByWorkers>>,
    is_ended: AtomicBool,
}

/// A worker that takes part.
#[derive(Debug, Clone)]
pub(super) struct Participant {
    /// The name of its process.
    pub(super) worker: String,
    pub(super) url: Url,
}

/// What workers said when a run had ended.
#[derive(Debug, Default)]
pub(super) struct Reports {
    pub(super) all: Vec<Report>,
    /// Why a worker did not say it.
    pub(super) missing: Option<Error>,
}

impl WatchedRun {
    pub(super) fn new(
        name: String,
        channels: Channels,
        workers: Vec<Participant>,
        hearer: MovedByWorkers,
    ) -> Self {
        Self(Arc::new(Inner {
            name,
            channels,
            workers,
            heard: Mutex::default(),
            hearer: Mutex::new(Some(hearer)),
            is_ended: AtomicBool::new(false),
        }))
    }

    pub(super) fn name(&self) -> &str {
        &self.0.name
    }

    pub(super) fn workers(&self) -> impl Iterator<Item = &Url> {
        self.0.workers.iter().map(|worker| &worker.url)
    }

    /// Asks all workers again and again, until a limit is met. A worker that does not answer is not missed here: its rows will be.
    pub(super) async fn follow(&self, meter: &ScanMeter) -> DataFusionError {
        let each = self.0.workers.iter().map(|participant| {
            let ask = Ask::Progress {
                run: self.0.name.clone(),
            };
            Box::pin(async move {
                loop {
                    tokio::time::sleep(EVERY).await;
                    let told = self.0.channels.tell(&participant.url, &ask).await;
                    if let Ok(Tell::Progress(progress)) = told
                        && let Err(error) = self.0.hear(participant, progress, Some(meter))
                    {
                        return error;
                    }
                }
            })
        });
        let (error, ..) = select_all(each).await;
        error
    }

    /// Ends the run on all workers, and takes what they did.
    pub(super) async fn end(&self, meter: &ScanMeter) -> Result<Reports, DataFusionError> {
        self.0.is_ended.store(true, Ordering::Relaxed);
        self.0.end(Some(meter)).await
    }

    /// The same for a run whose rows nobody waits for.
    pub(super) fn abandon(&self) {
        if self.0.is_ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let inner = Arc::clone(&self.0);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let _ = inner.end(None).await;
            });
        }
    }
}

impl Inner {
    async fn end(&self, meter: Option<&ScanMeter>) -> Result<Reports, DataFusionError> {
        let each = self.workers.iter().map(|participant| async move {
            let ask = Ask::End {
                run: self.name.clone(),
            };
            let told = self.channels.tell(&participant.url, &ask);
            let reports = match tokio::time::timeout(REPORTS, told).await {
                Ok(Ok(Tell::Ended(reports))) => reports,
                Ok(Err(error)) => return Ok(Err(error)),
                Ok(Ok(_)) | Err(_) => {
                    return Ok(Err(lost("a worker did not say what it has read")));
                }
            };
            self.hear(participant, Progress::of(&reports), meter)?;
            Ok::<_, DataFusionError>(Ok(reports))
        });
        let told = join_all(each).await;
        // There is no more to hear.
        let hearer = self.hearer.lock();
        hearer.unwrap_or_else(PoisonError::into_inner).take();
        let mut reports = Reports::default();
        for told in told {
            match told? {
                Ok(told) => reports.all.extend(told),
                Err(error) => reports.missing = Some(error),
            }
        }
        Ok(reports)
    }

    /// Takes what a worker says, and compares the sum over all workers with the limits.
    fn hear(
        &self,
        participant: &Participant,
        progress: Progress,
        meter: Option<&ScanMeter>,
    ) -> Result<(), DataFusionError> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.insert(participant.worker.clone(), progress);
        let mut sum = Progress::default();
        for progress in heard.values() {
            sum.bytes_scanned += progress.bytes_scanned;
            for (bucket, usage) in &progress.moved {
                sum.add(bucket, 0, usage);
            }
        }
        drop(heard);
        let hearer = self.hearer.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = hearer.as_ref().map_or(Ok(()), |hear| hear(&sum.moved));
        drop(hearer);
        if let Some(meter) = meter {
            meter.set_elsewhere(sum.bytes_scanned)?;
        }
        moved.map_err(|source| {
            DataFusionError::from(StoreError::Generic {
                store: "limits",
                source,
            })
        })
    }
}

impl Drop for WatchedRun {
    fn drop(&mut self) {
        self.abandon();
    }
}

impl fmt::Debug for WatchedRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WatchedRun")
            .field("name", &self.0.name)
            .field("workers", &self.0.workers)
            .finish_non_exhaustive()
    }
}
