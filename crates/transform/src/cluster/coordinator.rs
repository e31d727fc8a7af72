//! The coordinator: finds the workers, makes the plan for them, and takes their figures when the rows have ended.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use datafusion::{
    common::DataFusionError,
    execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder},
    physical_plan::{ExecutionPlan, stream::RecordBatchStreamAdapter},
    prelude::SessionConfig,
};
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DesiredTaskCountHandler, DistributedExec,
    DistributedExt, DistributedGetterExt, DistributedMetricsFormat, ScaleUpLeafNodeEvent,
    SessionStateBuilderExt, WorkerResolver, rewrite_distributed_plan_with_metrics,
};
use futures::{
    FutureExt, StreamExt,
    future::{self, join_all},
    stream,
};
use http::{HeaderMap, HeaderValue};
use tokio::net::lookup_host;
use url::Url;

use super::{
    BUILD,
    carried::lost,
    channel::{Channels, ClusterSettings, not_a_worker},
    codec::PlanCodec,
    run_messages::{Ask, RUN_HEADER, Refusal, Tell},
    sealed::random_name,
    split::{self, Division, Parts, Undivided},
    watched_run::{MovedByWorkers, Participant, WatchedRun},
};
use crate::{Error, ErrorKind, Limits, scan::part::not_divisible, scan_store::ScanMeter};

/// Until workers have sent the figures of their parts of a plan, when all rows are there.
const FIGURES: Duration = Duration::from_secs(10);

/// The workers that queries are divided among. Clones share connections.
#[derive(Clone)]
pub struct Cluster {
    settings: Arc<ClusterSettings>,
    channels: Channels,
    division: Division,
}

impl Cluster {
    /// Checks the settings. Nobody is asked yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`].
    pub fn try_new(settings: ClusterSettings) -> Result<Self, Error> {
        if settings.workers.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                "a cluster has at least one worker",
            ));
        }
        Ok(Self {
            channels: Channels::new(settings.secret.clone(), settings.tls.as_ref()),
            division: Division {
                bytes_per_task: settings.bytes_per_task,
                whole_files: false,
                undivided: Undivided::default(),
            },
            settings: Arc::new(settings),
        })
    }

    /// The configuration of a run that workers take part in, with what was learned of files.
    pub(crate) fn config_of(&self, config: SessionConfig, run: WatchedRun) -> SessionConfig {
        let undivided = Arc::new(self.division.undivided.clone());
        config
            .with_extension(undivided)
            .with_extension(Arc::new(run))
    }

    /// The same workers, each of which reads files of text from start to end.
    pub(crate) fn with_whole_files(&self) -> Self {
        let mut cluster = self.clone();
        cluster.division.whole_files = true;
        cluster
    }

    /// Begins a run at the workers that answer, are of this build and take another query. Those that do not are left out, by name,
    /// in the log.
    ///
    /// # Errors
    /// Of a worker that is left out, if none takes part: [`ErrorKind::WorkerBusy`] if one is busy, else
    /// [`ErrorKind::WorkerRefused`] if one is of another build or has another secret, else [`ErrorKind::WorkerLost`].
    pub(crate) async fn begin(
        &self,
        limits: &Limits,
        hearer: MovedByWorkers,
    ) -> Result<WatchedRun, Error> {
        let name = random_name();
        let ask = Ask::Begin {
            run: name.clone(),
            time_left_ms: u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX),
            max_scan_bytes: limits.max_scan_bytes.map(|limit| limit.as_u64()),
        };
        let (addresses, mut left_out) = self.addresses().await?;
        let asked = addresses.into_iter().map(|url| async {
            let begun = self.begun(&url, &ask).await;
            (url, begun)
        });
        let mut taking_part = Vec::<Participant>::new();
        for (url, begun) in join_all(asked).await {
            match begun {
                // Another address of a worker that takes part already.
                Ok(worker) if taking_part.iter().any(|other| other.worker == worker) => {}
                Ok(worker) => taking_part.push(Participant { worker, url }),
                Err(reason) => {
                    tracing::warn!(worker = %url, %reason, "a worker is left out");
                    left_out.push(reason);
                }
            }
        }
        if taking_part.is_empty() {
            let urgency = |error: &Error| match error.kind() {
                ErrorKind::WorkerBusy => 2,
                ErrorKind::WorkerRefused => 1,
                _ => 0,
            };
            let reason = left_out.into_iter().max_by_key(urgency);
            return Err(reason.unwrap_or_else(|| lost("no worker has an address")));
        }
        let channels = self.channels.clone();
        Ok(WatchedRun::new(name, channels, taking_part, hearer))
    }

    /// The name of a worker that takes part in a run.
    async fn begun(&self, url: &Url, ask: &Ask) -> Result<String, Error> {
        match self.channels.tell(url, ask).await? {
            Tell::Begun { worker } => Ok(worker),
            Tell::Refused(Refusal::Build(build)) => Err(Error::new(
                ErrorKind::WorkerRefused,
                format!("worker {url} is of build {build}, and this is {BUILD}"),
            )),
            Tell::Refused(Refusal::Busy(most)) => Err(Error::new(
                ErrorKind::WorkerBusy,
                format!("worker {url} takes part in {most} queries, which is its `max_queries`"),
            )),
            _ => Err(not_a_worker(url)),
        }
    }

    /// The addresses of all workers, and why a name has none: such a worker is left out.
    async fn addresses(&self) -> Result<(Vec<Url>, Vec<Error>), Error> {
        let (mut urls, mut unknown) = (Vec::new(), Vec::new());
        for worker in &self.settings.workers {
            let found = match lookup_host(worker.as_str()).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%worker, reason = %error, "a worker is left out: its name has no address");
                    let reason = format!("worker `{worker}` has no address: {error}");
                    unknown.push(lost(reason).with_source(error));
                    continue;
                }
            };
            for address in found {
                let url = format!("{}://{address}", self.channels.scheme());
                urls.push(Url::parse(&url).map_err(|error| {
                    Error::new(ErrorKind::InvalidSpec, "an address of a worker").with_source(error)
                })?);
            }
        }
        urls.sort();
        urls.dedup();
        Ok((urls, unknown))
    }

    /// A session whose plans are divided among workers.
    pub(crate) fn divides(
        &self,
        mut builder: SessionStateBuilder,
    ) -> Result<SessionStateBuilder, DataFusionError> {
        let run: Option<Arc<WatchedRun>> = builder.config().get_or_insert_default().get_extension();
        let run =
            run.ok_or_else(|| DataFusionError::Internal("a run that was not begun".to_owned()))?;
        let mut workers: Vec<Url> = run.workers().cloned().collect();
        let name = HeaderValue::from_str(run.name()).expect("digits are visible");
        if let [only] = workers.as_slice() {
            // A plan of one task would be run here.
            workers.push(only.clone());
        }
        let division = self.division.clone();
        Ok(builder
            .with_distributed_passthrough_headers(HeaderMap::from_iter([(RUN_HEADER, name)]))?
            .with_distributed_worker_resolver(Workers(workers))
            .with_distributed_channel_resolver(self.channels.clone())
            .with_distributed_user_codec(PlanCodec::coordinator())
            .with_distributed_desired_task_count_handler(Tasks(self.division.clone()))
            .with_distributed_scale_up_leaf_node_handler(move |event: ScaleUpLeafNodeEvent<'_>| {
                division.divided(&event)
            })
            .with_distributed_planner())
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Whether the plans of a session are divided among workers.
pub(crate) fn divides(state: &SessionState) -> bool {
    state.config().get_distributed_worker_resolver().is_ok()
}

struct Workers(Vec<Url>);

impl WorkerResolver for Workers {
    fn get_urls(&self) -> Result<Vec<Url>, DataFusionError> {
        Ok(self.0.clone())
    }
}

struct Tasks(Division);

#[async_trait]
impl DesiredTaskCountHandler for Tasks {
    async fn handle(
        &self,
        event: DesiredTaskCountEvent<'_>,
    ) -> Option<Result<DesiredTaskCountEventResponse, DataFusionError>> {
        Some(Ok(self.0.tasks(&event)?))
    }
}

/// What workers did, once all rows are there.
#[derive(Debug)]
pub(crate) struct Settled {
    plan: OnceLock<Arc<dyn ExecutionPlan>>,
    run: Arc<WatchedRun>,
    parts: Parts,
    /// Scans of all tasks.
    scans: usize,
    undivided: Option<Arc<Undivided>>,
    /// Whether parts were left unread, so that not all could be proved.
    ended_early: OnceLock<()>,
}

impl Settled {
    /// The plan with the figures of all workers.
    pub(crate) fn plan(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        self.plan.get()
    }

    /// Why the run failed, where it read parts of files: as long as it is not known that each began with a record, what their rows
    /// are to blame for is not known either. The files are remembered where a part of one may not have.
    pub(crate) fn blamed(&self, error: Error) -> Error {
        if self.parts.files.is_empty() {
            return error;
        }
        let kind = error.kind();
        let is_of_a_part = match kind {
            ErrorKind::FilesDivided => self.ended_early.get().is_none(),
            kind => kind == ErrorKind::MalformedData,
        };
        if let Some(undivided) = self.undivided.as_ref().filter(|_| is_of_a_part) {
            undivided.add(&self.parts.files);
        }
        match kind {
            ErrorKind::MalformedData | ErrorKind::NotComputable | ErrorKind::OutputLimit => {
                not_divisible().with_source(error)
            }
            _ => error,
        }
    }

    /// Ends the run, unless it has ended.
    pub(crate) fn abandon(&self) {
        self.run.abandon();
    }
}

/// The rows of a plan, which end when workers have said what they did, and fail when a limit is met by what they read together.
pub(crate) fn settling(
    mut rows: SendableRecordBatchStream,
    plan: &Arc<dyn ExecutionPlan>,
    meter: &Arc<ScanMeter>,
    config: &SessionConfig,
) -> (SendableRecordBatchStream, Option<Arc<Settled>>) {
    let run = config.get_extension::<WatchedRun>();
    let Some(run) = run.filter(|_| plan.is::<DistributedExec>()) else {
        return (rows, None);
    };
    let settled = Arc::new(Settled {
        plan: OnceLock::new(),
        parts: Parts::of(plan.as_ref()),
        scans: split::scans(plan.as_ref()),
        undivided: config.get_extension(),
        ended_early: OnceLock::new(),
        run: Arc::clone(&run),
    });
    let (schema, limits) = (rows.schema(), Arc::clone(meter));
    let mut followed = Box::pin(async move { run.follow(&limits).await }.fuse());
    let rows = stream::poll_fn(move |context| match followed.poll_unpin(context) {
        Poll::Ready(error) => Poll::Ready(Some(Err(error))),
        Poll::Pending => rows.poll_next_unpin(context),
    });
    let (plan, meter, own) = (Arc::clone(plan), Arc::clone(meter), Arc::clone(&settled));
    let end = stream::once(async move { settle(plan, &meter, &own).await });
    let end = end.filter_map(|settled| future::ready(settled.err().map(Err)));
    let rows = RecordBatchStreamAdapter::new(schema, rows.chain(end));
    (Box::pin(rows), Some(settled))
}

async fn settle(
    plan: Arc<dyn ExecutionPlan>,
    meter: &ScanMeter,
    settled: &Settled,
) -> Result<(), DataFusionError> {
    let figures = rewrite_distributed_plan_with_metrics(plan, DistributedMetricsFormat::PerTask);
    let plan = tokio::time::timeout(FIGURES, figures)
        .await
        .map_err(|_elapsed| {
            let error = lost("a worker did not say what it has done");
            DataFusionError::External(Box::new(error))
        })??;
    let reports = settled.run.end(meter).await?;
    // A worker that is gone and had nothing to read is not missed.
    if let Some(missing) = reports.missing
        && reports.all.len() < settled.scans
    {
        return Err(DataFusionError::External(Box::new(missing)));
    }
    let mut proved = 0;
    for report in &reports.all {
        proved += report.parts_proved;
        meter.misfits().add_reported(
            report.skipped_rows,
            report.nulled_values,
            &report.unlisted,
            &report.declared,
        );
    }
    let _ = settled.plan.set(plan);
    if proved < settled.parts.to_prove {
        let _ = settled.ended_early.set(());
        return Err(DataFusionError::External(Box::new(not_divisible())));
    }
    Ok(())
}
