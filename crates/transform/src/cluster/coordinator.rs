//! The coordinator: finds the workers, makes the plan for them, and takes their figures when the rows have ended.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use datafusion::{
    common::DataFusionError,
    execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder, TaskContext},
    physical_plan::{ExecutionPlan, stream::RecordBatchStreamAdapter},
    prelude::SessionConfig,
};
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DesiredTaskCountHandler, DistributedExec,
    DistributedExt, DistributedGetterExt, DistributedMetricsFormat, GetWorkerInfoRequest,
    ScaleUpLeafNodeEvent, SessionStateBuilderExt, WorkerResolver,
    rewrite_distributed_plan_with_metrics,
};
use futures::{StreamExt, future::join_all};
use http::{HeaderMap, HeaderValue};
use tokio::net::lookup_host;
use url::Url;

use super::{
    BUILD, StoreUsage,
    carried::{arrived, lost},
    channel::{Channels, ClusterSettings},
    codec::PlanCodec,
    report::{Report, Usages},
    split::{self, Division, Parts, Undivided},
    worker::Asked,
};
use crate::{Error, ErrorKind, scan::part::not_divisible, scan_store::ScanMeter, stop::StopSwitch};

/// Until a worker says which build it is. One that does not is left out.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Until workers have said what they did, when all rows are there.
const REPORTS: Duration = Duration::from_secs(10);

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

    /// A configuration with what was learned of files.
    pub(crate) fn known_to(&self, config: SessionConfig) -> SessionConfig {
        config.with_extension(Arc::new(self.division.undivided.clone()))
    }

    /// The same workers, each of which reads files of text from start to end.
    pub(crate) fn with_whole_files(&self) -> Self {
        let mut cluster = self.clone();
        cluster.division.whole_files = true;
        cluster
    }

    /// The workers that answer and are of this build. Those that are not are left out, by name, in the log.
    ///
    /// # Errors
    /// [`ErrorKind::WorkerRefused`] if none is of this build or knows the secret, [`ErrorKind::WorkerLost`] if none answers.
    pub async fn ready(&self) -> Result<Vec<Url>, Error> {
        let addresses = self.addresses().await?;
        let asked = addresses.into_iter().map(|url| async move {
            let build = self.build_of(&url).await;
            (url, build)
        });
        let (mut ready, mut last) = (Vec::new(), None);
        for (url, build) in join_all(asked).await {
            let refused = match build {
                Ok(build) if build == BUILD => {
                    ready.push(url);
                    continue;
                }
                Ok(build) => Error::new(
                    ErrorKind::WorkerRefused,
                    format!("worker {url} is of build {build}, and this is {BUILD}"),
                ),
                Err(error) => error,
            };
            tracing::warn!(worker = %url, reason = %refused, "a worker is left out");
            let is_known = last
                .as_ref()
                .is_some_and(|last: &Error| last.kind() == ErrorKind::WorkerRefused);
            if !is_known {
                last = Some(refused);
            }
        }
        match last {
            Some(last) if ready.is_empty() => Err(last),
            _ => Ok(ready),
        }
    }

    async fn addresses(&self) -> Result<Vec<Url>, Error> {
        let mut urls = Vec::new();
        for worker in &self.settings.workers {
            let found = lookup_host(worker.as_str()).await.map_err(|error| {
                lost(format!("worker `{worker}` has no address")).with_source(error)
            })?;
            for address in found {
                let url = format!("{}://{address}", self.channels.scheme());
                urls.push(Url::parse(&url).map_err(|error| {
                    Error::new(ErrorKind::InvalidSpec, "an address of a worker").with_source(error)
                })?);
            }
        }
        urls.sort();
        urls.dedup();
        Ok(urls)
    }

    async fn build_of(&self, url: &Url) -> Result<String, Error> {
        let mut client = self.channels.client(url)?;
        let info = client.get_worker_info(GetWorkerInfoRequest {});
        let info = tokio::time::timeout(HANDSHAKE, info)
            .await
            .map_err(|_elapsed| lost(format!("worker {url} does not answer")))?;
        let info = info.map_err(|error| match arrived(&error) {
            Some(error) => Error::new(error.kind(), format!("{url}: {error}")),
            None => lost(format!("worker {url} does not answer as one")),
        })?;
        Ok(info.version)
    }

    /// A session whose plans are divided among workers.
    pub(crate) fn divides(
        &self,
        builder: SessionStateBuilder,
        mut workers: Vec<Url>,
    ) -> SessionStateBuilder {
        if let [only] = workers.as_slice() {
            // A plan of one task would be run here.
            workers.push(only.clone());
        }
        let division = self.division.clone();
        builder
            .with_distributed_worker_resolver(Workers(workers))
            .with_distributed_channel_resolver(self.channels.clone())
            .with_distributed_user_codec(PlanCodec::coordinator())
            .with_distributed_desired_task_count_handler(Tasks(self.division.clone()))
            .with_distributed_scale_up_leaf_node_handler(move |event: ScaleUpLeafNodeEvent<'_>| {
                division.divided(&event)
            })
            .with_distributed_planner()
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

/// The task of a run, which tells workers how long it may take and how much it may read.
pub(crate) fn with_run(
    task: Arc<TaskContext>,
    plan: &Arc<dyn ExecutionPlan>,
    meter: &ScanMeter,
    stop: &StopSwitch,
) -> Result<Arc<TaskContext>, DataFusionError> {
    if !plan.is::<DistributedExec>() {
        return Ok(task);
    }
    let asked = Asked {
        time_left_ms: u64::try_from(stop.time_left().as_millis()).unwrap_or(u64::MAX),
        max_scan_bytes: meter.is_limited().then(|| meter.room()),
        planned_bytes: split::planned_bytes(plan.as_ref()),
    };
    let mut headers = HeaderMap::new();
    asked.write(&mut headers);
    headers.insert(Asked::BUILD, HeaderValue::from_static(BUILD));
    let mut config = task.session_config().clone();
    config.set_distributed_passthrough_headers(headers)?;
    let task = Arc::into_inner(task).ok_or_else(|| {
        DataFusionError::Internal("the task of a run is not shared yet".to_owned())
    })?;
    Ok(Arc::new(task.with_session_config(config)))
}

/// What workers did, once all rows are there.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    plan: OnceLock<Arc<dyn ExecutionPlan>>,
    usages: Usages,
    parts: Parts,
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

    /// What the stores of workers moved, by bucket.
    pub(crate) fn usages(&self) -> BTreeMap<String, StoreUsage> {
        self.usages.all()
    }
}

/// The rows of a plan, which end when workers have said what they did.
pub(crate) fn settling(
    rows: SendableRecordBatchStream,
    plan: &Arc<dyn ExecutionPlan>,
    meter: &Arc<ScanMeter>,
    config: &SessionConfig,
) -> (SendableRecordBatchStream, Option<Arc<Settled>>) {
    if !plan.is::<DistributedExec>() {
        return (rows, None);
    }
    let settled = Arc::new(Settled {
        parts: Parts::of(plan.as_ref()),
        undivided: config.get_extension(),
        ..Settled::default()
    });
    let (plan, meter, own) = (Arc::clone(plan), Arc::clone(meter), Arc::clone(&settled));
    let end = futures::stream::once(async move { settle(plan, &meter, &own).await });
    let end = end.filter_map(|settled| futures::future::ready(settled.err().map(Err)));
    let schema = rows.schema();
    let rows = RecordBatchStreamAdapter::new(schema, rows.chain(end));
    (Box::pin(rows), Some(settled))
}

async fn settle(
    plan: Arc<dyn ExecutionPlan>,
    meter: &ScanMeter,
    settled: &Settled,
) -> Result<(), DataFusionError> {
    let reports = rewrite_distributed_plan_with_metrics(plan, DistributedMetricsFormat::PerTask);
    let plan = tokio::time::timeout(REPORTS, reports)
        .await
        .map_err(|_elapsed| {
            let error = lost("a worker did not say what it has read");
            DataFusionError::External(Box::new(error))
        })??;
    let mut proved = 0;
    for report in Report::all_of(plan.as_ref()) {
        proved += report.parts_proved;
        settled.usages.add(&report);
        meter.misfits().add_reported(
            report.skipped_rows,
            report.nulled_values,
            &report.unlisted,
            &report.declared,
        );
        meter.add_reported(report.bytes_scanned)?;
    }
    let _ = settled.plan.set(plan);
    if proved < settled.parts.to_prove {
        let _ = settled.ended_early.set(());
        return Err(DataFusionError::External(Box::new(not_divisible())));
    }
    Ok(())
}
