//! One connection, from the TLS handshake to its end.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    http::{HeaderValue, Version, header::CONNECTION},
    response::Response,
};
use flowlake_data_action::Clock;
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
use rustls::pki_types::CertificateDer;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{
    activity::{Activity, Overdue, TrackedStream},
    counters::Counters,
    limits::Limits,
    shutdown::Shutdown,
};
use crate::{connection_slots::ConnectionSlot, peer::Peer, proxies::Proxies, tls::Tls};

/// How long a connection that was asked to close may take before it is dropped.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Requests that one HTTP/2 connection may run at a time.
const MAX_STREAMS: u32 = 64;

/// HTTP/2 streams that a peer may reset before they are handled, and streams that may fail, before its connection is closed.
const MAX_RESET_STREAMS: usize = 20;

/// Returns the router that answers a request whose head is complete now. A reload replaces the router.
pub(crate) type Routes = Arc<dyn Fn() -> Router + Send + Sync>;

/// A connection that has a slot and is not served yet.
pub(super) struct Connection {
    pub(super) address: IpAddr,
    pub(super) slot: ConnectionSlot,
    /// Ends the connection at once: its slot is needed, or the server is out of time.
    pub(super) abort: CancellationToken,
    pub(super) limits: Limits,
    pub(super) routes: Routes,
    pub(super) shutdown: Shutdown,
    pub(super) counters: Arc<Counters>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Connection {
    /// Serves the connection, after a handshake if `tls` is set.
    pub(super) async fn run(self, stream: TcpStream, tls: Option<Arc<Tls>>) {
        let Some(tls) = tls else {
            return Box::pin(self.serve(stream, None)).await;
        };
        let handshake = tls.acceptor().accept(stream);
        let handshake = tokio::time::timeout(self.limits.timeouts.header, handshake);
        let handshake = tokio::select! {
            handshake = handshake => handshake,
            () = self.shutdown.closing_after_first_request(|| false) => return,
            () = self.abort.cancelled() => return,
        };
        match handshake {
            Ok(Ok(stream)) => {
                let certificates = stream.get_ref().1.peer_certificates();
                let certificate = certificates.and_then(<[_]>::first).cloned();
                Box::pin(self.serve(stream, certificate)).await;
            }
            Ok(Err(error)) => {
                tls.note_failed_handshake();
                tracing::debug!(address = %self.address, %error, "a handshake failed");
            }
            Err(_elapsed) => {
                tls.note_failed_handshake();
                self.counters.closed(Overdue::Header);
            }
        }
    }

    /// Answers requests until the peer or the server closes the connection.
    async fn serve<S>(self, stream: S, certificate: Option<CertificateDer<'static>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            address,
            slot,
            abort,
            limits,
            routes,
            shutdown,
            counters,
            clock,
        } = self;
        let activity = Activity::new(clock);
        let service = ConnectionService {
            peer: Peer::new(address, certificate, slot),
            proxies: Arc::clone(&limits.proxies),
            activity: Arc::clone(&activity),
            shutdown: shutdown.clone(),
            routes,
        };
        let service = service_fn(move |request| service.call(request));
        let io = TokioIo::new(TrackedStream::new(stream, Arc::clone(&activity)));
        let builder = builder(limits.max_header_bytes);
        let mut connection = pin!(builder.serve_connection(io, service));
        let mut signals = Signals::new();
        signals.push(Box::pin(abort.cancelled().map(|()| Signal::Abort)));
        let closing = shutdown.closing_after_first_request(|| activity.had_request());
        signals.push(Box::pin(closing.map(|()| Signal::Close)));
        signals.push(check_after(limits.check_interval()));
        let mut is_closing = false;
        loop {
            let signal = tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection broke");
                    }
                    return;
                }
                Some(signal) = signals.next() => signal,
            };
            match (signal, activity.overdue(limits.timeouts)) {
                (Signal::Abort, _) => return,
                (Signal::Close, _) => {}
                // It may still answer a request that runs.
                (Signal::Check, None) if is_closing => {
                    signals.push(check_after(CLOSE_LIMIT));
                    continue;
                }
                (Signal::Check, None) => {
                    signals.push(check_after(limits.check_interval()));
                    continue;
                }
                (Signal::Check, Some(_)) if is_closing => return,
                (Signal::Check, Some(overdue)) => counters.closed(overdue),
            }
            is_closing = true;
            signals.clear();
            signals.push(Box::pin(abort.cancelled().map(|()| Signal::Abort)));
            signals.push(check_after(CLOSE_LIMIT));
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// Answers the requests of one connection.
struct ConnectionService {
    peer: Peer,
    proxies: Arc<Proxies>,
    activity: Arc<Activity>,
    shutdown: Shutdown,
    routes: Routes,
}

impl ConnectionService {
    fn call(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let is_http1 = request.version() < Version::HTTP_2;
        let running = self.activity.request_started(is_http1);
        let peer = self.peer.forwarded(&self.proxies, request.headers());
        request.extensions_mut().insert(peer);
        let response = TowerToHyperService::new((self.routes)()).call(request);
        let shutdown = self.shutdown.clone();
        async move {
            let mut response = response.await;
            if let Ok(response) = &mut response
                && is_http1
                && shutdown.is_draining()
            {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            drop(running);
            response
        }
    }
}

/// What a connection has to do apart from answering requests.
#[derive(Debug, Clone, Copy)]
enum Signal {
    /// End at once.
    Abort,
    /// End after the responses to running requests.
    Close,
    /// Check the timeouts of the peer.
    Check,
}

/// The pending signals. `FuturesUnordered` gives each its own waker, so progress of a request does not poll them:
/// polling a token that all connections share takes its lock.
type Signals<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = Signal> + Send + 'a>>>;

fn check_after<'a>(pause: Duration) -> Pin<Box<dyn Future<Output = Signal> + Send + 'a>> {
    Box::pin(sleep(pause).map(|()| Signal::Check))
}

fn builder(max_header_bytes: usize) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `Activity` has a header timeout that also covers silent connections and HTTP/2.
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
