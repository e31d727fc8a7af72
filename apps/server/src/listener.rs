//! Accepting connections and serving each within its bounds.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::{Pin, pin},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderValue, Version, header::CONNECTION},
};
use flowlake_data_action::{Clock, Gauge, ServerSettings};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use hyper::{
    Request,
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    activity::{Activity, Noted, Overdue, PeerLimits},
    open_files,
    peer::Peer,
    proxies::Proxies,
    seats::{Full, Network, Seat, Seats},
    seldom::Seldom,
    tls::Tls,
};

/// The wait after an accept that failed for want of file handles or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often it is logged that connections cannot be accepted.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// How long a connection that was asked to close may take before it is cut.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// How long a new connection may take to send its first request when the server stops.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// Requests that one HTTP/2 connection may run at a time.
const MAX_STREAMS: u32 = 64;

/// Streams that a peer may open and reset before they were looked at, and that may be in error, before its connection is closed.
const MAX_RESET_STREAMS: usize = 20;

/// Takes connections, and ends them.
#[derive(Debug)]
pub(crate) struct Connections {
    seats: Arc<Seats>,
    tls: Option<Arc<Tls>>,
    limits: RwLock<Limits>,
    clock: Arc<dyn Clock>,
    counts: Counts,
    /// Connections that are served.
    served: TaskTracker,
    /// Tells callers with each answer to begin another connection.
    leaving: Arc<AtomicBool>,
    /// Asks all to close when they have answered.
    stop: CancellationToken,
    /// Cuts all.
    cut: CancellationToken,
}

/// The router of now: each request is answered by that of the moment when its head was complete.
pub(crate) type Routes = Arc<dyn Fn() -> Router + Send + Sync>;

/// The bounds of one connection, as it began with them.
#[derive(Debug, Clone)]
struct Limits {
    peer: PeerLimits,
    max_header_bytes: usize,
    proxies: Arc<Proxies>,
    /// Why not all connections that may be open can be.
    shortage: Option<Arc<str>>,
}

impl Limits {
    fn of(settings: &ServerSettings) -> Self {
        let shortage = open_files::shortage(settings.max_connections);
        if let Some(shortage) = &shortage {
            tracing::warn!("{shortage}");
        }
        Self {
            shortage: shortage.map(Arc::from),
            peer: PeerLimits {
                header: settings.header_timeout,
                idle: settings.idle_timeout,
            },
            max_header_bytes: settings.max_header_bytes,
            proxies: Arc::new(Proxies::of(settings)),
        }
    }

    /// How often a connection is looked at: a limit is passed by a quarter of the shorter one at most.
    fn look_again(&self) -> Duration {
        self.peer.header.min(self.peer.idle) / 4
    }
}

/// What was refused or closed since the start.
#[derive(Debug, Default)]
struct Counts {
    refused_total: AtomicU64,
    refused_network: AtomicU64,
    closed_header: AtomicU64,
    closed_idle: AtomicU64,
    closed_displaced: AtomicU64,
    failed_accepts: AtomicU64,
}

impl Connections {
    pub(crate) fn new(
        settings: &ServerSettings,
        tls: Option<Arc<Tls>>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            tls,
            seats: Seats::new(
                settings.max_connections,
                settings.max_connections_per_address,
            ),
            limits: RwLock::new(Limits::of(settings)),
            clock,
            counts: Counts::default(),
            served: TaskTracker::new(),
            leaving: Arc::default(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
        })
    }

    /// Other bounds, for connections that come from now on.
    pub(crate) fn set_limits(&self, settings: &ServerSettings) {
        self.seats.resize(
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
        let mut failures = Seldom::new(SAY_EVERY);
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            self.take(accepted, &routes, &mut failures).await;
        }
        // What has been connected already would be reset with the listener.
        while let Ok(accepted) = tokio::time::timeout(Duration::ZERO, listener.accept()).await {
            self.take(accepted, &routes, &mut failures).await;
        }
        self.served.close();
    }

    /// Takes one connection, or turns it away.
    async fn take(
        self: &Arc<Self>,
        accepted: io::Result<(TcpStream, SocketAddr)>,
        routes: &Routes,
        failures: &mut Seldom,
    ) {
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_one_connection(&error) {
                    self.counts.failed_accepts.fetch_add(1, Relaxed);
                    // A file handle more is missing until a connection ends: this comes many times a second.
                    if let Some(times) = failures.note(self.clock.instant()) {
                        tracing::error!(%error, times, "cannot accept connections");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
                return;
            }
        };
        let (address, limits) = (address.ip(), self.limits());
        let network = Network::from(address);
        let bounded = (!limits.proxies.trusts(address)).then_some(network);
        let end = self.cut.child_token();
        match self.seats.take(bounded, &end) {
            Ok((seat, displaces)) => {
                if displaces {
                    let what =
                        "a connection without credentials was closed: another needed its room";
                    note(&self.counts.closed_displaced, network, what);
                }
                // Answers are small and complete: waiting for more to send only delays them.
                let _ = stream.set_nodelay(true);
                let (connections, routes) = (Arc::clone(self), Arc::clone(routes));
                let guest = Guest { address, seat, end };
                self.served.spawn(async move {
                    connections.welcome(stream, guest, routes, limits).await;
                });
            }
            Err(full) => {
                let count = match full {
                    Full::Total => &self.counts.refused_total,
                    Full::Network => &self.counts.refused_network,
                };
                note(
                    count,
                    network,
                    "a connection was refused: too many are open",
                );
            }
        }
    }

    /// Tells every caller with its next answer to begin another connection, which may lead to another server.
    pub(crate) fn send_away(&self) {
        self.leaving.store(true, Relaxed);
    }

    /// Asks every connection to close when it has answered, and waits until they have or the time is over. Then cuts them.
    /// Returns whether all closed in time.
    pub(crate) async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        let closed = tokio::time::timeout(grace, self.served.wait())
            .await
            .is_ok();
        self.cut.cancel();
        closed
    }

    /// Serves a connection, behind a handshake where TLS is spoken.
    async fn welcome(&self, stream: TcpStream, guest: Guest, routes: Routes, limits: Limits) {
        let Guest { address, seat, end } = guest;
        let Some(tls) = &self.tls else {
            let peer = Peer::new(address, None, seat);
            return Box::pin(self.serve(stream, peer, end, routes, limits)).await;
        };
        let handshake = tokio::time::timeout(limits.peer.header, tls.acceptor().accept(stream));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = self.stopped(|| false) => return,
            () = end.cancelled() => return,
        };
        match shaken {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let certificate = certificates.and_then(<[_]>::first).cloned();
                let peer = Peer::new(address, certificate, seat);
                Box::pin(self.serve(stream, peer, end, routes, limits)).await;
            }
            Ok(Err(error)) => {
                tls.note_failed_handshake();
                tracing::debug!(%address, %error, "a handshake failed");
            }
            Err(_elapsed) => {
                tls.note_failed_handshake();
                self.counts.closed_header.fetch_add(1, Relaxed);
            }
        }
    }

    /// Answers until the peer or we close the connection, or `end` is cancelled.
    async fn serve<S>(
        &self,
        stream: S,
        peer: Peer,
        end: CancellationToken,
        routes: Routes,
        limits: Limits,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::new(Arc::clone(&self.clock));
        let io = TokioIo::new(Noted::new(stream, Arc::clone(&activity)));
        let requests = Arc::clone(&activity);
        let leaving = Arc::clone(&self.leaving);
        let proxies = Arc::clone(&limits.proxies);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let is_http1 = request.version() < Version::HTTP_2;
            let running = requests.begin(is_http1);
            let peer = peer.behind(&proxies, request.headers());
            request.extensions_mut().insert(peer);
            let answer = TowerToHyperService::new(routes()).call(request);
            let leaving = Arc::clone(&leaving);
            async move {
                let mut answer = answer.await;
                if let Ok(answer) = &mut answer
                    && is_http1
                    && leaving.load(Relaxed)
                {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(CONNECTION, close);
                }
                drop(running);
                answer
            }
        });
        let builder = builder(limits.max_header_bytes);
        let mut connection = pin!(builder.serve_connection(io, service));
        let mut calls = Calls::new();
        calls.push(Box::pin(end.cancelled().map(|()| Call::Cut)));
        let stopped = self.stopped(|| activity.is_served());
        calls.push(Box::pin(stopped.map(|()| Call::Close)));
        calls.push(look_after(limits.look_again()));
        let mut closing = false;
        loop {
            let call = tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error = %error, "a connection broke");
                    }
                    return;
                }
                Some(call) = calls.next() => call,
            };
            let overdue = activity.overdue(limits.peer);
            match (call, overdue) {
                (Call::Cut, _) => return,
                (Call::Close, _) => {}
                // A connection that is to close because all do may still answer.
                (Call::Look, None) if closing => {
                    calls.push(look_after(CLOSE_LIMIT));
                    continue;
                }
                (Call::Look, None) => {
                    calls.push(look_after(limits.look_again()));
                    continue;
                }
                (Call::Look, Some(_)) if closing => return,
                (Call::Look, Some(Overdue::Header)) => {
                    self.counts.closed_header.fetch_add(1, Relaxed);
                }
                (Call::Look, Some(Overdue::Idle)) => {
                    self.counts.closed_idle.fetch_add(1, Relaxed);
                }
            }
            closing = true;
            calls.clear();
            calls.push(Box::pin(end.cancelled().map(|()| Call::Cut)));
            calls.push(look_after(CLOSE_LIMIT));
            connection.as_mut().graceful_shutdown();
        }
    }

    /// Waits until all are asked to close; a connection whose first request may be on its way gets some time for it.
    async fn stopped(&self, is_served: impl Fn() -> bool) {
        self.stop.cancelled().await;
        if !is_served() {
            sleep(FIRST_REQUEST).await;
        }
    }

    /// What operators should do about the certificate, and about the limit of open files.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let certificate = self.tls.as_ref().and_then(|tls| tls.warning());
        let shortage = self.limits().shortage.map(|shortage| shortage.to_string());
        certificate.into_iter().chain(shortage)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.seats.taken()
    }

    /// Whether no further connection is taken, wherever it comes from.
    pub(crate) fn is_full(&self) -> bool {
        self.seats.is_full()
    }

    /// What monitoring reads.
    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        let count = |count: &AtomicU64| number(count.load(Relaxed));
        let labelled =
            |label: &'static str, value: &str, count: f64| (vec![(label, value.to_owned())], count);
        let counts = &self.counts;
        let single = |name, help, value| Gauge {
            name,
            help,
            values: vec![(Vec::new(), value)],
        };
        let connections = [
            single(
                "flowlake_connections_open",
                "Connections that are open.",
                number(self.seats.taken() as u64),
            ),
            single(
                "flowlake_connections_unproved",
                "Open connections over which no request with valid credentials came yet: they are closed where others need their room.",
                number(self.seats.unproved() as u64),
            ),
            single(
                "flowlake_accept_failures",
                "Connections that could not be accepted since the start, for want of file handles or memory; each is tried again.",
                count(&counts.failed_accepts),
            ),
            Gauge {
                name: "flowlake_connections_refused",
                help: "Connections that were closed at once since the start, because too many were open.",
                values: vec![
                    labelled("limit", "total", count(&counts.refused_total)),
                    labelled("limit", "address", count(&counts.refused_network)),
                ],
            },
            Gauge {
                name: "flowlake_connections_closed",
                help: "Connections that were closed since the start: the peer was too slow, or sent no credentials while another connection needed the room.",
                values: vec![
                    labelled("reason", "header", count(&counts.closed_header)),
                    labelled("reason", "idle", count(&counts.closed_idle)),
                    labelled("reason", "displaced", count(&counts.closed_displaced)),
                ],
            },
        ];
        let tls = self.tls.iter().flat_map(|tls| {
            let failures = tls.failures();
            let failures = failures.map(|(what, count)| labelled("what", what, number(count)));
            let end = u64::try_from(tls.end().timestamp()).unwrap_or_default();
            [
                Gauge {
                    name: "flowlake_tls_failures",
                    help: "Handshakes, and reloads of the certificate, that failed since the start.",
                    values: failures.into(),
                },
                single(
                    "flowlake_tls_certificate_end_seconds",
                    "When the certificate in use ends, in seconds since 1970.",
                    number(end),
                ),
            ]
        });
        connections.into_iter().chain(tls).collect()
    }
}

/// What is known of a connection that was accepted.
struct Guest {
    address: IpAddr,
    seat: Seat,
    /// Cancelled when it has to end at once.
    end: CancellationToken,
}

/// Counts what happens to connections, and logs the first, the second, the fourth: a flood of them must not be one of log lines.
fn note(count: &AtomicU64, network: Network, what: &str) {
    let times = count.fetch_add(1, Relaxed) + 1;
    if times.is_power_of_two() {
        tracing::warn!(%network, times, "{what}");
    }
}

/// What a connection is to do beside answering.
#[derive(Debug, Clone, Copy)]
enum Call {
    /// End at once.
    Cut,
    /// End when it has answered.
    Close,
    /// See whether its peer takes too long.
    Look,
}

/// The calls that may come. Each has a waker of its own, so that the many times when a request or an answer goes on do not poll them:
/// a poll of a token that all connections share takes its lock.
type Calls<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Call> + Send + 'a>>>;

fn look_after<'a>(pause: Duration) -> Pin<Box<dyn Future<Output = Call> + Send + 'a>> {
    Box::pin(sleep(pause).map(|()| Call::Look))
}

fn builder(max_header_bytes: usize) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Ours holds for silent connections and HTTP/2 too.
        .header_read_timeout(None)
        .max_buf_size(max_header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(max_header_bytes).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_RESET_STREAMS);
    builder
}

/// Whether an accept failed because of the one connection that it would have given.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}
