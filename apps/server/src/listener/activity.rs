//! What a connection is doing: whether a request runs, and since when the peer owes us something.
//!
//! The connection's own task reads it now and then and closes what takes too long. Requests only set a few atomic numbers.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use flowlake_data_action::Clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The slowest that a peer may take an answer: each KiB that it took adds a second to its time.
const SLOWEST_BYTES_PER_MS: u64 = 1;

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerLimits {
    /// From the first byte of a head to its last, and from the connection's start to its first request.
    pub(crate) header: Duration,
    /// Without a request, or taking an answer.
    pub(crate) idle: Duration,
}

/// Why a connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// The head of a request did not come in time.
    Header,
    /// No request came, or an answer was not taken.
    Idle,
}

/// The state of one connection. Times are milliseconds since it was opened.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Arc<dyn Clock>,
    opened: Instant,
    running: AtomicU32,
    /// Whether a request has come at all.
    served: AtomicBool,
    /// Whether requests come one after the other, so that a byte between two of them begins the next.
    sequential: AtomicBool,
    idle_since: AtomicU64,
    /// When the first byte after the last request came; 0 before that.
    head_since: AtomicU64,
    read: AtomicU64,
    read_when_idle: AtomicU64,
    written: AtomicU64,
    written_when_idle: AtomicU64,
}

/// A request that runs, until it is dropped.
#[derive(Debug)]
pub(crate) struct Running(Arc<Activity>);

impl Activity {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let opened = clock.instant();
        Arc::new(Self {
            clock,
            opened,
            running: AtomicU32::new(0),
            served: AtomicBool::new(false),
            sequential: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            read: AtomicU64::new(0),
            read_when_idle: AtomicU64::new(0),
            written: AtomicU64::new(0),
            written_when_idle: AtomicU64::new(0),
        })
    }

    /// Notes that the head of a request is complete.
    pub(crate) fn begin(self: &Arc<Self>, sequential: bool) -> Running {
        self.running.fetch_add(1, Relaxed);
        self.served.store(true, Relaxed);
        self.sequential.store(sequential, Relaxed);
        Running(Arc::clone(self))
    }

    /// Whether a request has come at all.
    pub(crate) fn is_served(&self) -> bool {
        self.served.load(Relaxed)
    }

    /// Why the connection has to be closed now, if it has to be.
    pub(crate) fn overdue(&self, limits: PeerLimits) -> Option<Overdue> {
        if self.running.load(Relaxed) > 0 {
            return None;
        }
        let now = self.now();
        let over = |since: u64, limit: Duration| {
            u128::from(now.saturating_sub(since)) >= limit.as_millis()
        };
        if !self.is_served() {
            return over(0, limits.header).then_some(Overdue::Header);
        }
        let head_since = self.head_since.load(Relaxed);
        if self.sequential.load(Relaxed) && head_since > 0 && over(head_since, limits.header) {
            return Some(Overdue::Header);
        }
        let more = |now: &AtomicU64, then: &AtomicU64| {
            now.load(Relaxed).saturating_sub(then.load(Relaxed))
        };
        // A peer that sends pings is sent as many bytes as it sends, and takes no answer by that.
        let taken = more(&self.written, &self.written_when_idle)
            .saturating_sub(more(&self.read, &self.read_when_idle));
        let since = self.idle_since.load(Relaxed) + taken / SLOWEST_BYTES_PER_MS;
        over(since, limits.idle).then_some(Overdue::Idle)
    }

    fn now(&self) -> u64 {
        let open = self.clock.instant().saturating_duration_since(self.opened);
        u64::try_from(open.as_millis()).unwrap_or(u64::MAX)
    }

    fn has_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
        if self.head_since.load(Relaxed) == 0 && self.running.load(Relaxed) == 0 {
            self.head_since.store(self.now().max(1), Relaxed);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.idle_since.store(activity.now(), Relaxed);
        activity.head_since.store(0, Relaxed);
        for (now, then) in [
            (&activity.read, &activity.read_when_idle),
            (&activity.written, &activity.written_when_idle),
        ] {
            then.store(now.load(Relaxed), Relaxed);
        }
        activity.running.fetch_sub(1, Relaxed);
    }
}

/// A stream whose bytes are noted.
#[derive(Debug)]
pub(crate) struct Noted<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> Noted<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Noted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            self.activity.has_read(bytes);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> Noted<S> {
    fn written(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        if let Ok(bytes) = written {
            self.activity.written.fetch_add(bytes as u64, Relaxed);
        }
        Poll::Ready(written)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Noted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices));
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
