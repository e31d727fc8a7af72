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
    split,
    worker::Asked,
};
use crate::{Error, ErrorKind, Limits, scan_store::ScanMeter, stop::StopSwitch};

/// Until a worker says which build it is. One that does not is left out.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Until workers have said what they did, when all rows are there.
const REPORTS: Duration = Duration::from_secs(10);

/// The workers that queries are divided among. Clones share connections.
#[derive(Clone)]
pub struct Cluster {
    settings: Arc<ClusterSettings>,
    channels: Channels,
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
            settings: Arc::new(settings),
        })
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
        builder
            .with_distributed_worker_resolver(Workers(workers))
            .with_distributed_channel_resolver(self.channels.clone())
            .with_distributed_user_codec(PlanCodec::coordinator())
            .with_distributed_desired_task_count_handler(Tasks(self.settings.bytes_per_task))
            .with_distributed_scale_up_leaf_node_handler(|event: ScaleUpLeafNodeEvent<'_>| {
                split::divided(&event)
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

struct Tasks(u64);

#[async_trait]
impl DesiredTaskCountHandler for Tasks {
    async fn handle(
        &self,
        event: DesiredTaskCountEvent<'_>,
    ) -> Option<Result<DesiredTaskCountEventResponse, DataFusionError>> {
        Some(Ok(split::tasks(&event, self.0)?))
    }
}

/// The task of a run, which tells workers how long it may take and how much it may read.
pub(crate) fn with_run(
    task: Arc<TaskContext>,
    plan: &Arc<dyn ExecutionPlan>,
    limits: &Limits,
    stop: &StopSwitch,
) -> Result<Arc<TaskContext>, DataFusionError> {
    if !plan.is::<DistributedExec>() {
        return Ok(task);
    }
    let asked = Asked {
        time_left_ms: u64::try_from(stop.time_left().as_millis()).unwrap_or(u64::MAX),
        max_scan_bytes: limits.max_scan_bytes.map(|bytes| bytes.as_u64()),
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
}

impl Settled {
    /// The plan with the figures of all workers.
    pub(crate) fn plan(&self) -> Option<&Arc<dyn ExecutionPlan>> {
        self.plan.get()
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
) -> (SendableRecordBatchStream, Option<Arc<Settled>>) {
    if !plan.is::<DistributedExec>() {
        return (rows, None);
    }
    let settled = Arc::new(Settled::default());
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
    for report in Report::all_of(plan.as_ref()) {
        settled.usages.add(&report);
        meter
            .misfits()
            .add_reported(report.skipped_rows, report.nulled_values, &report.unlisted);
        meter.add_reported(report.bytes_scanned)?;
    }
    let _ = settled.plan.set(plan);
    Ok(())
}
