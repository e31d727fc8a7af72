//! A worker: takes parts of plans from coordinators that know the secret and are of its build, and runs them with its own
//! stores, memory and spill space.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use datafusion::{
    common::{DataFusionError, Result as EngineResult},
    execution::{FunctionRegistry, SessionState},
};
use datafusion_distributed::{
    DistributedExt, Worker, WorkerPlanRewriteEvent, WorkerPlanRewriteEventResponse,
    WorkerQueryContext, WorkerSessionBuilder,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use object_store::{ObjectMeta, ObjectStore};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Identity, Server, ServerTlsConfig},
};

use super::{
    BUILD, StoreUsage,
    carried::{Carrying, carried},
    channel::{Channels, ClusterTls},
    codec::PlanCodec,
    sealed::SealedServer,
    secret::{ClusterSecret, Gate},
};
use crate::{Error, ErrorKind, Transform, error::BoxError, functions, stop::StopSwitch};

/// A connection without a request is asked for a sign of life this often, and is closed without one.
const SILENCE: Duration = Duration::from_secs(10);

/// What a store moved so far.
pub(super) type Usage = Arc<dyn Fn() -> StoreUsage + Send + Sync>;

/// The store of one scan.
pub struct OpenStore {
    /// Gives the files of the scan, of the versions that were named.
    pub store: Arc<dyn ObjectStore>,
    /// What it moved so far.
    pub usage: Arc<dyn Fn() -> StoreUsage + Send + Sync>,
}

/// Gives a worker the stores that it reads from.
pub trait WorkerStores: Send + Sync + 'static {
    /// A store for one scan of these files.
    ///
    /// # Errors
    /// Whatever keeps the store from being used.
    fn open(&self, bucket: &str, files: &[ObjectMeta]) -> Result<OpenStore, BoxError>;
}

/// The TLS of a worker.
#[derive(Clone)]
pub struct WorkerTls {
    /// Its certificate and those between it and the authority, as PEM.
    pub certificate: Vec<u8>,
    /// Its key, as PEM.
    pub key: Vec<u8>,
    /// How it talks to other workers.
    pub workers: ClusterTls,
}

/// A worker.
pub struct ClusterWorker {
    /// Memory, spill space and threads.
    pub transform: Transform,
    /// What it reads from.
    pub stores: Arc<dyn WorkerStores>,
    /// The secret of the cluster.
    pub secret: ClusterSecret,
    /// Left out: without TLS.
    pub tls: Option<WorkerTls>,
}

/// What a coordinator says of a run, with each part of its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) time_left_ms: u64,
    /// Bytes that the whole run may still read.
    pub(super) max_scan_bytes: Option<u64>,
    /// Bytes of all files of the run, as far as tasks read them.
    pub(super) planned_bytes: u64,
}

impl Asked {
    /// How much of a run's bytes a scan of so large files may read. Where more is planned than may be read, some files may be
    /// skipped or read in part: a scan then has twice its share, so that no more than twice the limit is read.
    pub(super) fn share(self, own: u64) -> Option<u64> {
        let limit = self.max_scan_bytes?;
        if self.planned_bytes <= limit {
            return Some(limit);
        }
        let share = u128::from(limit) * u128::from(own) / u128::from(self.planned_bytes);
        Some(limit.min(u64::try_from(2 * share).unwrap_or(u64::MAX)))
    }
}

/// What a task decodes and runs its scans with.
#[derive(Clone)]
pub(super) struct TaskSide {
    pub(super) stores: Arc<dyn WorkerStores>,
    pub(super) stop: StopSwitch,
    pub(super) asked: Asked,
}

impl Asked {
    pub(super) const BUILD: HeaderName = HeaderName::from_static("x-flowlake-build");
    const TIME_LEFT: HeaderName = HeaderName::from_static("x-flowlake-time-left-ms");
    const SCAN_BYTES: HeaderName = HeaderName::from_static("x-flowlake-scan-bytes");
    const PLANNED_BYTES: HeaderName = HeaderName::from_static("x-flowlake-planned-bytes");

    pub(super) fn write(self, headers: &mut HeaderMap) {
        headers.insert(Self::TIME_LEFT, HeaderValue::from(self.time_left_ms));
        headers.insert(Self::PLANNED_BYTES, HeaderValue::from(self.planned_bytes));
        if let Some(bytes) = self.max_scan_bytes {
            headers.insert(Self::SCAN_BYTES, HeaderValue::from(bytes));
        }
    }

    fn read(headers: &HeaderMap) -> Option<Self> {
        let number = |name: &HeaderName| headers.get(name)?.to_str().ok()?.parse().ok();
        Some(Self {
            time_left_ms: number(&Self::TIME_LEFT)?,
            max_scan_bytes: number(&Self::SCAN_BYTES),
            planned_bytes: number(&Self::PLANNED_BYTES)?,
        })
    }
}

impl ClusterWorker {
    /// Serves coordinators and other workers until `stop` is there; then what is being run is finished.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`] for a certificate or key that cannot be used, [`ErrorKind::Internal`] when serving fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), Error> {
        let Self {
            transform,
            stores,
            secret,
            tls,
        } = self;
        let mut server = Server::builder()
            .tcp_nodelay(true)
            .http2_keepalive_interval(Some(SILENCE))
            .http2_keepalive_timeout(Some(SILENCE));
        if let Some(tls) = &tls {
            let identity = Identity::from_pem(&tls.certificate, &tls.key);
            let config = ServerTlsConfig::new().identity(identity);
            server = server.tls_config(config).map_err(|error| {
                let message = "the certificate or the key of this worker cannot be used";
                Error::new(ErrorKind::InvalidSpec, message).with_source(error)
            })?;
        }
        let workers = tls.as_ref().map(|tls| &tls.workers);
        let sessions = Sessions {
            channels: Channels::new(secret.clone(), workers),
            transform,
            stores,
        };
        let worker = Worker::from_session_builder(sessions).with_version(BUILD);
        let sealed = SealedServer {
            inner: worker.into_worker_server(),
            secret: secret.clone(),
        };
        let service = InterceptedService::new(sealed, Gate(secret));
        server
            .add_service(service)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop)
            .await
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "a worker cannot serve").with_source(error)
            })
    }
}

/// Makes the session of each task.
struct Sessions {
    transform: Transform,
    stores: Arc<dyn WorkerStores>,
    channels: Channels,
}

#[async_trait]
impl WorkerSessionBuilder for Sessions {
    async fn build_session_state(&self, context: WorkerQueryContext) -> EngineResult<SessionState> {
        let WorkerQueryContext { builder, headers } = context;
        let refused = |message: String| {
            let error = Error::new(ErrorKind::WorkerRefused, message);
            carried(DataFusionError::External(Box::new(error)))
        };
        let build = headers.get(Asked::BUILD);
        let build = build.and_then(|build| build.to_str().ok());
        if build != Some(BUILD) {
            let build = build.unwrap_or("no build");
            return Err(refused(format!(
                "a worker is of build {BUILD}, and the coordinator of {build}"
            )));
        }
        let asked = Asked::read(&headers)
            .ok_or_else(|| refused("a part of a plan came without its time".to_owned()))?;
        let side = TaskSide {
            stores: Arc::clone(&self.stores),
            stop: StopSwitch::after(Duration::from_millis(asked.time_left_ms)),
            asked,
        };
        let stop = side.stop.clone();
        let mut passed = HeaderMap::new();
        asked.write(&mut passed);
        passed.insert(Asked::BUILD, HeaderValue::from_static(BUILD));
        let builder = self
            .transform
            .for_task(builder)?
            .with_distributed_channel_resolver(self.channels.clone())
            .with_distributed_passthrough_headers(passed)?
            .with_distributed_user_codec(PlanCodec::worker(side))
            .with_distributed_worker_plan_rewrite_handler(
                move |event: WorkerPlanRewriteEvent<'_>| {
                    let plan = stop.clone().into_joins(event.plan)?;
                    Ok(WorkerPlanRewriteEventResponse::new(Carrying::within(plan)?))
                },
            );
        let mut state = builder.build();
        for function in functions::in_plans(state.scalar_functions()) {
            state.register_udf(function)?;
        }
        Ok(state)
    }
}

impl fmt::Debug for OpenStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenStore")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WorkerTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WorkerTls")
            .field("key", &"******")
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ClusterWorker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClusterWorker")
            .field("transform", &self.transform)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for TaskSide {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TaskSide")
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Asked;

    #[test]
    fn tasks_share_what_a_run_may_read() {
        let asked = |max_scan_bytes, planned_bytes| Asked {
            time_left_ms: 1,
            max_scan_bytes,
            planned_bytes,
        };
        assert_eq!(asked(None, 100).share(10), None);
        assert_eq!(asked(Some(100), 100).share(10), Some(100));
        assert_eq!(asked(Some(50), 100).share(10), Some(10));
        assert_eq!(asked(Some(50), 100).share(90), Some(50));
        assert_eq!(
            asked(Some(u64::MAX - 1), u64::MAX).share(u64::MAX),
            Some(u64::MAX - 1)
        );
    }
}
