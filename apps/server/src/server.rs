//! Listening, and stopping cleanly.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use flowlake_data_action::{ActionError, Pipeline, ServerSettings};
use tokio::task::{JoinHandle, JoinSet};

use crate::{
    Callers, Telemetry,
    admin::Admin,
    bind,
    body::BodyLimits,
    failures::Failures,
    listener::{Connections, Routes},
    live::{Live, NO_ACTIONS},
    load::Load,
    state::AppState,
    tls::Tls,
};

/// Longest wait for the records of attempts whose callers hung up, once no request runs.
const RECORD_LIMIT: Duration = Duration::from_secs(5);

/// How often the keys of issuers are checked for their age.
const REFRESH_EVERY: Duration = Duration::from_secs(60);

/// A server that is configured but not yet listening.
#[derive(Debug)]
pub struct Server {
    state: AppState,
    settings: ServerSettings,
    tls: Option<Arc<Tls>>,
    listener: Option<TcpListener>,
}

/// A server that answers.
#[derive(Debug)]
pub struct RunningServer {
    address: SocketAddr,
    live: Arc<Live>,
    admin: Option<Admin>,
    stopping: Arc<AtomicBool>,
    drain: Duration,
    grace: Duration,
    failures: Failures,
    connections: Arc<Connections>,
    tls: Option<Arc<Tls>>,
    accepting: JoinHandle<()>,
    /// Periodic tasks, until the server stops.
    housekeeping: JoinSet<()>,
}

/// The server stopped with requests unfinished.
#[derive(Debug)]
pub struct ServerError {
    what: String,
    source: io::Error,
}

impl Server {
    /// A server for `pipeline` that lets in `callers`.
    ///
    /// # Errors
    /// `config.invalid` when the files of TLS cannot be used.
    pub fn try_new(
        pipeline: Pipeline,
        callers: Callers,
        settings: ServerSettings,
    ) -> Result<Self, ActionError> {
        let tls = settings.tls.clone();
        let tls = tls.map(|tls| Tls::load(tls, Arc::clone(pipeline.clock())));
        let tls = tls.transpose()?;
        let load = Load::new(&settings, pipeline.actions(), Arc::clone(pipeline.clock()));
        let state = AppState {
            body_limits: BodyLimits::of(&settings),
            most_in_batch: settings.max_batch_requests,
            failures: Failures::new(pipeline.clone()),
            connections: Connections::new(&settings, tls.clone(), Arc::clone(pipeline.clock())),
            pipeline,
            callers: Arc::new(callers),
            load: Arc::new(load),
            stopping: Arc::default(),
            telemetry: Telemetry::disabled(),
        };
        Ok(Self {
            state,
            settings,
            tls,
            listener: None,
        })
    }

    /// Makes a trace of every attempt.
    #[must_use]
    pub fn with_telemetry(mut self, telemetry: Telemetry) -> Self {
        self.state.telemetry = telemetry;
        self
    }

    /// Listens on this socket instead of the address of the settings.
    #[must_use]
    pub fn with_listener(mut self, listener: Option<TcpListener>) -> Self {
        self.listener = listener;
        self
    }

    /// Starts to listen; the server runs in tasks of its own until [`RunningServer::stop`].
    ///
    /// # Errors
    /// `config.invalid` when an address cannot be bound, or when it would send keys over a network without TLS.
    pub async fn start(self) -> Result<RunningServer, ActionError> {
        let (listener, address) = bind::listen(&self.settings, self.listener).await?;
        let admin = bind::listen_for_operators(&self.settings).await?;
        let stopping = Arc::clone(&self.state.stopping);
        let failures = self.state.failures.clone();
        let connections = Arc::clone(&self.state.connections);
        let recorded = failures.clone();
        let mut housekeeping = JoinSet::new();
        housekeeping.spawn(async move { recorded.keep_recording().await });
        if let Some(tls) = self.tls.clone() {
            housekeeping.spawn(async move { tls.watch().await });
        }
        let live = Arc::new(Live::new(self.state));
        let callers = Arc::clone(&live);
        housekeeping.spawn(async move {
            loop {
                callers.state().callers.refresh().await;
                tokio::time::sleep(REFRESH_EVERY).await;
            }
        });
        let admin =
            admin.map(|(listener, address)| Admin::start(listener, address, &live, &self.settings));
        let of_requests = Arc::clone(&live);
        let routes: Routes = Arc::new(move || of_requests.router());
        let accepting = tokio::spawn(Arc::clone(&connections).accept(listener, routes));
        if live.state().pipeline.actions().next().is_none() {
            tracing::warn!("{NO_ACTIONS}");
        }
        tracing::info!(%address, tls = self.tls.is_some(), "listening");
        Ok(RunningServer {
            address,
            live,
            admin,
            stopping,
            drain: Duration::from_secs(self.settings.shutdown_drain_seconds),
            grace: Duration::from_secs(self.settings.shutdown_grace_seconds),
            failures,
            connections,
            tls: self.tls,
            accepting,
            housekeeping,
        })
    }
}

impl RunningServer {
    /// The address that the server listens on, with the port that was really taken.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that operators look at, where there is one.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// The state of now.
    pub(crate) fn live(&self) -> &Live {
        &self.live
    }

    /// The scheme of its URLs.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// Takes a new certificate from the files, where TLS is spoken. Open connections keep theirs.
    ///
    /// # Errors
    /// `config.invalid` when it cannot be used; the one of before stays.
    pub fn reload_certificate(&self) -> Result<(), ActionError> {
        if let Some(tls) = &self.tls {
            tls.reload()?;
        }
        Ok(())
    }

    /// Says `503` on `/readyz` and asks callers to begin another connection, for the drain time. Then takes no new connections, and
    /// waits for running requests as long as the grace time. What still runs then is cancelled. Every attempt has its audit record afterwards, also those whose callers hung up.
    ///
    /// # Errors
    /// [`ServerError`] when the server had failed before, or when requests were still running after the grace time.
    pub async fn stop(mut self) -> Result<(), ServerError> {
        self.stopping.store(true, Ordering::Relaxed);
        self.connections.drain();
        tokio::time::sleep(self.drain).await;
        let error = |source| ServerError {
            what: "the server stopped with requests unfinished".to_owned(),
            source,
        };
        let (closed, accepted) = tokio::join!(self.connections.stop(self.grace), self.accepting);
        self.housekeeping.abort_all();
        self.failures.record_all().await;
        // Attempts without a caller are cancelled already: they only write their records.
        let (stopped, grace) = match (closed, accepted) {
            (true, Ok(())) => (Ok(()), RECORD_LIMIT),
            (true, Err(failed)) => (Err(error(io::Error::other(failed))), RECORD_LIMIT),
            (false, _) => (Err(error(io::ErrorKind::TimedOut.into())), Duration::ZERO),
        };
        let cancelled = self.live.state().pipeline.close(grace).await;
        if let Some(admin) = self.admin {
            admin.stop().await;
        }
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
