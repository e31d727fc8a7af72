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
use http::HeaderMap;
use object_store::{ObjectMeta, ObjectStore};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Identity, Server, ServerTlsConfig},
};

use super::{
    StoreUsage,
    carried::{Carrying, carried, lost},
    channel::{Channels, ClusterTls},
    codec::PlanCodec,
    run_messages::RUN_HEADER,
    sealed::SealedServer,
    secret::{ClusterSecret, Gate},
    worker_runs::{RunService, Runs, WorkerRun},
};
use crate::{Error, ErrorKind, Transform, error::BoxError, functions};

/// A connection without a request is asked for a sign of life this often, and is closed without one.
const SILENCE: Duration = Duration::from_secs(10);

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
    /// Queries that it takes part in at a time. Further ones are refused.
    pub max_queries: usize,
}

/// What a task decodes and runs its scans with.
#[derive(Clone)]
pub(super) struct TaskSide {
    pub(super) stores: Arc<dyn WorkerStores>,
    pub(super) run: Arc<WorkerRun>,
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
            max_queries,
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
        let runs = Runs::new(max_queries);
        let sessions = Sessions {
            runs: Arc::clone(&runs),
            channels: Channels::new(secret.clone(), workers),
            transform,
            stores,
        };
        let worker = Worker::from_session_builder(sessions).into_worker_server();
        server
            .add_service(guarded(worker, &secret))
            .add_service(guarded(RunService(runs), &secret))
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop)
            .await
            .map_err(|error| {
                Error::new(ErrorKind::Internal, "a worker cannot serve").with_source(error)
            })
    }
}

/// Nothing is answered without the secret, and nothing is decoded whose code does not fit.
fn guarded<S>(inner: S, secret: &ClusterSecret) -> InterceptedService<SealedServer<S>, Gate> {
    let sealed = SealedServer {
        inner,
        secret: secret.clone(),
    };
    InterceptedService::new(sealed, Gate(secret.clone()))
}

/// Makes the session of each task.
struct Sessions {
    runs: Arc<Runs>,
    transform: Transform,
    stores: Arc<dyn WorkerStores>,
    channels: Channels,
}

#[async_trait]
impl WorkerSessionBuilder for Sessions {
    async fn build_session_state(&self, context: WorkerQueryContext) -> EngineResult<SessionState> {
        let WorkerQueryContext { builder, headers } = context;
        let name = headers.get(RUN_HEADER);
        let run = name.and_then(|name| self.runs.get(name.to_str().ok()?));
        let (Some(name), Some(run)) = (name, run) else {
            let error =
                lost("a worker does not know of the query: it was restarted, or the time was up");
            return Err(carried(DataFusionError::External(Box::new(error))));
        };
        let passed = HeaderMap::from_iter([(RUN_HEADER, name.clone())]);
        let stop = run.stop.clone();
        let side = TaskSide {
            stores: Arc::clone(&self.stores),
            run,
        };
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
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}
