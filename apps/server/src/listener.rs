//! Accepting connections, within the limits of all and of each network, and ending them.
//!
//! `listener/connection.rs` serves one connection, `listener/activity.rs` tracks what its peer does, and `connection_slots.rs` limits how many
//! are open.

mod activity;
mod connection;
mod counters;
mod limits;
mod log_throttle;
mod open_files;
mod shutdown;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use flowlake_data_action::{Clock, Gauge, ServerSettings};
use tokio::{
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::task::TaskTracker;

pub(crate) use self::connection::Routes;
use self::{
    connection::Connection, counters::Counters, limits::Limits, log_throttle::LogThrottle,
    shutdown::Shutdown,
};
use crate::{connection_slots::ConnectionSlots, network::Network, tls::Tls};

/// The pause after an accept that failed because file handles or memory ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The shortest time between two log lines about failed accepts.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The open connections of one listening socket.
#[derive(Debug)]
pub(crate) struct Connections {
    slots: Arc<ConnectionSlots>,
    tls: Option<Arc<Tls>>,
    limits: RwLock<Limits>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
    tasks: TaskTracker,
    shutdown: Shutdown,
}

impl Connections {
    pub(crate) fn new(
        settings: &ServerSettings,
        tls: Option<Arc<Tls>>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            slots: ConnectionSlots::new(
                settings.max_connections,
                settings.max_connections_per_address,
            ),
            tls,
            limits: RwLock::new(Limits::of(settings)),
            clock,
            counters: Arc::default(),
            tasks: TaskTracker::new(),
            shutdown: Shutdown::default(),
        })
    }

    /// Changes the limits for connections that are accepted from now on.
    pub(crate) fn set_limits(&self, settings: &ServerSettings) {
        self.slots.resize(
            settings.max_connections,
            settings.max_connections_per_address,
        );
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Limits::of(settings);
    }

    fn limits(&self) -> Limits {
        let limits = self.limits.read();
        limits.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Accepts connections until the server stops.
    pub(crate) async fn accept(self: Arc<Self>, listener: TcpListener, routes: Routes) {
        let mut throttle = LogThrottle::new(ACCEPT_LOG_INTERVAL);
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.closing() => break,
                accepted = listener.accept() => accepted,
            };
            self.handle(accepted, &routes, &mut throttle).await;
        }
        // Dropping the listener resets the connections in its queue: they are accepted first.
        while let Ok(accepted) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            self.handle(accepted, &routes, &mut throttle).await;
        }
        self.tasks.close();
    }

    /// Starts an accepted connection. After an error that concerns all connections, waits before the next accept.
    async fn handle(
        &self,
        accepted: io::Result<(TcpStream, SocketAddr)>,
        routes: &Routes,
        throttle: &mut LogThrottle,
    ) {
        match accepted {
            Ok((stream, address)) => self.start(stream, address, routes),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                self.counters.accept_failed();
                // File handles or memory ran out: until a connection ends, each accept fails, many times a second.
                if let Some(times) = throttle.count(self.clock.instant()) {
                    tracing::error!(%error, times, "cannot accept connections");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Starts the task of a connection, or closes it if too many are open.
    fn start(&self, stream: TcpStream, address: SocketAddr, routes: &Routes) {
        let (address, limits) = (address.ip(), self.limits());
        let network = Network::from(address);
        // All callers behind a trusted proxy have its address: its network has no limit of its own.
        let limited_network = (!limits.proxies.trusts(address)).then_some(network);
        let abort = self.shutdown.abort_token();
        let (slot, has_evicted) = match self.slots.acquire(limited_network, &abort) {
            Ok(acquired) => acquired,
            Err(full) => return self.counters.refused(full, network),
        };
        if has_evicted {
            self.counters.evicted(network);
        }
        // Responses are small and complete: Nagle's algorithm would only delay them.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            address,
            slot,
            abort,
            limits,
            routes: Arc::clone(routes),
            shutdown: self.shutdown.clone(),
            counters: Arc::clone(&self.counters),
            clock: Arc::clone(&self.clock),
        };
        let tls = self.tls.clone();
        self.tasks.spawn(connection.run(stream, tls));
    }

    /// From now on each HTTP/1.1 response asks the caller to open another connection, which may lead to another server.
    pub(crate) fn drain(&self) {
        self.shutdown.drain();
    }

    /// Asks every connection to close after the responses to its running requests, waits up to `grace` until all have closed, and
    /// then ends the others at once. Returns whether all closed in time.
    pub(crate) async fn stop(&self, grace: Duration) -> bool {
        self.shutdown.close();
        let closed = tokio::time::timeout(grace, self.tasks.wait()).await.is_ok();
        self.shutdown.abort();
        closed
    }

    /// What operators should do about the certificate, and about the limit of open files.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let certificate = self.tls.as_ref().and_then(|tls| tls.warning());
        let open_files = self.limits().open_files_warning;
        let open_files = open_files.map(|warning| warning.to_string());
        certificate.into_iter().chain(open_files)
    }

    /// Number of open connections.
    pub(crate) fn open(&self) -> usize {
        self.slots.taken()
    }

    /// Whether a new connection is refused, whatever its network.
    pub(crate) fn is_full(&self) -> bool {
        self.slots.is_full()
    }

    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        let connections = self.counters.gauges(&self.slots).into_iter();
        let tls = self.tls.iter().flat_map(|tls| tls.gauges());
        connections.chain(tls).collect()
    }
}

/// Whether an accept failed because of the connection that it would have returned, and not for want of resources.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
