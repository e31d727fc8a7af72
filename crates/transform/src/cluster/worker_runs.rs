//! The runs that a worker takes part in, from the request that begins one to the one that ends it.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tonic::{body::Body, server::NamedService};
use tower::Service;

use super::{
    BUILD,
    report::{Report, Usage},
    run_messages::{Ask, BUILD_HEADER, Progress, Refusal, SERVICE, Tell, read_body},
    sealed::random_name,
};
use crate::{scan_store::ScanMeter, stop::StopSwitch};

/// How long a run is kept after its time is up, for a coordinator that asks what was read.
const KEPT: Duration = Duration::from_secs(30);
/// How long the end of a run waits for its scans to stop.
const STOPPING: Duration = Duration::from_secs(1);

/// The runs of this process.
pub(super) struct Runs {
    /// A name that no other process has.
    worker: String,
    most: usize,
    all: Mutex<HashMap<String, Arc<WorkerRun>>>,
}

/// One run on this worker.
pub(super) struct WorkerRun {
    pub(super) stop: StopSwitch,
    /// Bytes that one scan may read.
    pub(super) max_scan_bytes: Option<u64>,
    /// Cancelled when the coordinator has ended the run.
    pub(super) ended: CancellationToken,
    scans: Mutex<Vec<Scan>>,
    reading: TaskTracker,
}

/// One scan of a run.
struct Scan {
    bucket: String,
    meter: Arc<ScanMeter>,
    usage: Usage,
}

impl Runs {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            worker: random_name(),
            most,
            all: Mutex::default(),
        })
    }

    /// A run that its coordinator has begun and not ended.
    pub(super) fn get(&self, run: &str) -> Option<Arc<WorkerRun>> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(run).map(Arc::clone)
    }

    fn begin(self: &Arc<Self>, run: &str, time_left: Duration, limit: Option<u64>) -> Tell {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // Another address of this worker may have had the same request.
        if !all.contains_key(run) {
            if all.len() >= self.most {
                return Tell::Refused(Refusal::Busy(self.most));
            }
            let begun = Arc::new(WorkerRun {
                stop: StopSwitch::after(time_left),
                max_scan_bytes: limit,
                ended: CancellationToken::new(),
                scans: Mutex::default(),
                reading: TaskTracker::new(),
            });
            all.insert(run.to_owned(), Arc::clone(&begun));
            let (runs, run) = (Arc::clone(self), run.to_owned());
            tokio::spawn(async move {
                let forgotten = tokio::time::sleep(time_left.saturating_add(KEPT));
                tokio::select! {
                    () = begun.ended.cancelled() => {}
                    () = forgotten => drop(runs.end(&run).await),
                }
            });
        }
        Tell::Begun {
            worker: self.worker.clone(),
        }
    }

    async fn end(&self, run: &str) -> Option<Vec<Report>> {
        let run = {
            let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            all.remove(run)
        }?;
        run.stop.throw();
        run.ended.cancel();
        run.reading.close();
        // A scan that does not stop in time is reported as far as it is.
        let _ = tokio::time::timeout(STOPPING, run.reading.wait()).await;
        Some(run.take_reports())
    }

    async fn tell(self: &Arc<Self>, ask: Ask) -> Tell {
        let told = match ask {
            Ask::Begin {
                run,
                time_left_ms,
                max_scan_bytes,
            } => {
                let time_left = Duration::from_millis(time_left_ms);
                return self.begin(&run, time_left, max_scan_bytes);
            }
            Ask::Progress { run } => self.get(&run).map(|run| Tell::Progress(run.progress())),
            Ask::End { run } => self.end(&run).await.map(Tell::Ended),
        };
        told.unwrap_or(Tell::Refused(Refusal::UnknownRun))
    }
}

impl WorkerRun {
    /// Adds a scan, whose figures are reported from now on.
    pub(super) fn add(&self, bucket: &str, meter: &Arc<ScanMeter>, usage: &Usage) {
        let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        scans.push(Scan {
            bucket: bucket.to_owned(),
            meter: Arc::clone(meter),
            usage: Arc::clone(usage),
        });
    }

    /// Held by what reads for the run.
    pub(super) fn reading(&self) -> TaskTrackerToken {
        self.reading.token()
    }

    fn progress(&self) -> Progress {
        let scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = Progress::default();
        for scan in scans.iter() {
            all.add(&scan.bucket, scan.meter.taken(), &(scan.usage)());
        }
        all
    }

    /// The last figures. What the scans held is freed: the engine keeps a plan that nobody fetches for minutes.
    fn take_reports(&self) -> Vec<Report> {
        let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        let scans = std::mem::take(&mut *scans).into_iter();
        scans
            .map(|scan| Report::of(&scan.bucket, &scan.meter, (scan.usage)()))
            .collect()
    }
}

/// Answers coordinators.
#[derive(Clone)]
pub(super) struct RunService(pub(super) Arc<Runs>);

impl NamedService for RunService {
    const NAME: &'static str = SERVICE;
}

impl Service<Request<Body>> for RunService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let runs = Arc::clone(&self.0);
        Box::pin(async move {
            let mut response = Response::new(Body::empty());
            match answer(&runs, request).await {
                Some(told) => *response.body_mut() = Body::new(told),
                None => *response.status_mut() = StatusCode::BAD_REQUEST,
            }
            Ok(response)
        })
    }
}

/// The answer as JSON; none to what is no request of a coordinator.
async fn answer(runs: &Arc<Runs>, request: Request<Body>) -> Option<String> {
    let (head, body) = request.into_parts();
    let bytes = read_body(body).await.ok()?;
    let is_of_this_build = head.headers.get(BUILD_HEADER)?.as_bytes() == BUILD.as_bytes();
    let told = if is_of_this_build {
        runs.tell(serde_json::from_slice(&bytes).ok()?).await
    } else {
        Tell::Refused(Refusal::Build(BUILD.to_owned()))
    };
    serde_json::to_string(&told).ok()
}

impl fmt::Debug for Runs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Runs").finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkerRun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WorkerRun")
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(run: &str, time_left_ms: u64) -> Ask {
        Ask::Begin {
            run: run.to_owned(),
            time_left_ms,
            max_scan_bytes: None,
        }
    }

    fn end(run: &str) -> Ask {
        Ask::End {
            run: run.to_owned(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_counts_until_it_ends_or_its_time_is_up() {
        let runs = Runs::new(2);
        for run in ["a", "b", "b"] {
            let told = runs.tell(begin(run, 60_000)).await;
            assert!(matches!(told, Tell::Begun { .. }), "{told:?}");
        }
        let told = runs.tell(begin("c", 60_000)).await;
        assert!(matches!(told, Tell::Refused(Refusal::Busy(2))), "{told:?}");
        let told = runs.tell(end("a")).await;
        assert!(matches!(told, Tell::Ended(_)), "{told:?}");
        let told = runs.tell(end("a")).await;
        assert!(
            matches!(told, Tell::Refused(Refusal::UnknownRun)),
            "{told:?}"
        );
        runs.tell(begin("c", 1000)).await;
        tokio::time::sleep(Duration::from_secs(1) + KEPT + STOPPING).await;
        tokio::task::yield_now().await;
        assert!(runs.get("c").is_none() && runs.get("b").is_some());
    }

    #[tokio::test]
    async fn another_build_is_refused_before_its_request_is_decoded() {
        let request = |build: &str, body: &str| {
            Request::builder()
                .header(BUILD_HEADER, build)
                .body(Body::new(body.to_owned()))
                .unwrap()
        };
        let runs = Runs::new(1);
        let told = answer(&runs, request("0.0.1+0", "in words of its own")).await;
        assert!(told.unwrap().contains(BUILD));
        assert!(answer(&runs, request(BUILD, "garbage")).await.is_none());
    }
}
