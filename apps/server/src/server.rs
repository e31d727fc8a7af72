//! Listening, and stopping cleanly.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flowlake_data_action::{Pipeline, ServerSettings};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{Keys, Telemetry, routes::router, state::AppState};

/// Longest wait for the records of attempts whose callers hung up, once no request runs.
const RECORD_LIMIT: Duration = Duration::from_secs(5);

/// A server that is configured but not yet listening.
#[derive(Debug)]
pub struct Server {
    state: AppState,
    settings: ServerSettings,
}

/// A server that answers.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    pipeline: Pipeline,
    stop: CancellationToken,
    stopping: Arc<AtomicBool>,
    grace: Duration,
    task: JoinHandle<io::Result<()>>,
}

/// The server could not listen, or stopped unasked.
#[derive(Debug)]
pub struct ServerError {
    what: String,
    source: io::Error,
}

impl Server {
    /// A server for `pipeline` that lets in whom `keys` names.
    #[must_use]
    pub fn new(pipeline: Pipeline, keys: Keys, settings: ServerSettings) -> Self {
        let state = AppState {
            pipeline,
            keys: Arc::new(keys),
            slots: Arc::new(Semaphore::new(settings.max_concurrent_requests)),
            stopping: Arc::default(),
            telemetry: Telemetry::disabled(),
        };
        Self { state, settings }
    }

    /// Makes a trace of every attempt.
    #[must_use]
    pub fn with_telemetry(mut self, telemetry: Telemetry) -> Self {
        self.state.telemetry = telemetry;
        self
    }

    /// Starts to listen; the server runs in tasks of its own until [`RunningServer::stop`].
    ///
    /// # Errors
    /// [`ServerError`] when the address cannot be bound.
    pub async fn start(self) -> Result<RunningServer, ServerError> {
        let listen = &self.settings.listen;
        let error = |source| ServerError {
            what: format!("cannot listen on {listen}"),
            source,
        };
        let listener = TcpListener::bind(listen).await.map_err(error)?;
        let address = listener.local_addr().map_err(error)?;
        let stop = CancellationToken::new();
        let stopping = Arc::clone(&self.state.stopping);
        let pipeline = self.state.pipeline.clone();
        let router = router(self.state, self.settings.max_body_bytes);
        let signal = stop.clone();
        let serve = axum::serve(listener, router)
            .with_graceful_shutdown(async move { signal.cancelled().await });
        let task = tokio::spawn(async move { serve.await });
        tracing::info!(%address, "listening");
        Ok(RunningServer {
            address,
            pipeline,
            stop,
            stopping,
            grace: Duration::from_secs(self.settings.shutdown_grace_seconds),
            task,
        })
    }
}

impl RunningServer {
    /// The address that the server listens on, with the port that was really taken.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says `503` on `/readyz`, takes no new connections, and waits for running requests as long as the grace time. What still runs
    /// then is cancelled. Every attempt has its audit record afterwards, also those whose callers hung up.
    ///
    /// # Errors
    /// [`ServerError`] when the server had failed before, or when requests were still running after the grace time.
    pub async fn stop(self) -> Result<(), ServerError> {
        self.stopping.store(true, Ordering::Relaxed);
        self.stop.cancel();
        let abort = self.task.abort_handle();
        let error = |source| ServerError {
            what: "the server stopped with requests unfinished".to_owned(),
            source,
        };
        let (stopped, grace) = match tokio::time::timeout(self.grace, self.task).await {
            // Attempts without a caller are cancelled already: they only write their records.
            Ok(Ok(result)) => (result.map_err(error), RECORD_LIMIT),
            Ok(Err(failed)) => (Err(error(io::Error::other(failed))), RECORD_LIMIT),
            Err(_elapsed) => {
                abort.abort();
                let unfinished = error(io::ErrorKind::TimedOut.into());
                (Err(unfinished), Duration::ZERO)
            }
        };
        let cancelled = self.pipeline.close(grace).await;
        if cancelled > 0 {
            tracing::warn!(cancelled, "requests were cancelled to stop");
        }
        stopped
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for ServerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
