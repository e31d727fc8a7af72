//! Tracks what the peer of a connection does, so that a peer that is too slow is closed.
//!
//! Requests and the stream set a few atomic numbers; the connection's own task compares them with the timeouts now and then.

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

/// The slowest rate at which a peer may receive a response, 1 KB/s: each KB that it received extends its idle timeout by a second.
const SLOWEST_BYTES_PER_MS: u64 = 1;

/// How long a peer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// From the first byte of a request's head to its last, and from the connection's start to its first request.
    pub(crate) header: Duration,
    /// Without a request, or receiving a response.
    pub(crate) idle: Duration,
}

/// The timeout that a peer has exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// [`Timeouts::header`].
    Header,
    /// [`Timeouts::idle`].
    Idle,
}

/// The activity of one connection. Times are milliseconds since it was opened.
#[derive(Debug)]
pub(crate) struct Activity {
    clock: Arc<dyn Clock>,
    opened: Instant,
    running: AtomicU32,
    had_request: AtomicBool,
    /// HTTP/1: requests come one after the other, so the first byte after one begins the head of the next.
    is_http1: AtomicBool,
    idle_since: AtomicU64,
    /// When the first byte after the last request came; 0 if none has.
    head_since: AtomicU64,
    bytes_read: AtomicU64,
    bytes_read_when_idle: AtomicU64,
    bytes_written: AtomicU64,
    bytes_written_when_idle: AtomicU64,
}

/// A running request. Dropping it marks the request as ended.
#[derive(Debug)]
pub(crate) struct RunningRequest(Arc<Activity>);

impl Activity {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let opened = clock.instant();
        Arc::new(Self {
            clock,
            opened,
            running: AtomicU32::new(0),
            had_request: AtomicBool::new(false),
            is_http1: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            bytes_read_when_idle: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            bytes_written_when_idle: AtomicU64::new(0),
        })
    }

    /// Called when the head of a request is complete.
    pub(crate) fn request_started(self: &Arc<Self>, is_http1: bool) -> RunningRequest {
        self.running.fetch_add(1, Relaxed);
        self.had_request.store(true, Relaxed);
        self.is_http1.store(is_http1, Relaxed);
        RunningRequest(Arc::clone(self))
    }

    /// Whether the connection has had a request.
    pub(crate) fn had_request(&self) -> bool {
        self.had_request.load(Relaxed)
    }

    /// The timeout that the peer has exceeded, if any.
    pub(crate) fn overdue(&self, timeouts: Timeouts) -> Option<Overdue> {
        if self.running.load(Relaxed) > 0 {
            return None;
        }
        let now = self.now();
        let over = |since: u64, limit: Duration| {
            u128::from(now.saturating_sub(since)) >= limit.as_millis()
        };
        if !self.had_request() {
            return over(0, timeouts.header).then_some(Overdue::Header);
        }
        let head_since = self.head_since.load(Relaxed);
        if self.is_http1.load(Relaxed) && head_since > 0 && over(head_since, timeouts.header) {
            return Some(Overdue::Header);
        }
        let more = |now: &AtomicU64, then: &AtomicU64| {
            now.load(Relaxed).saturating_sub(then.load(Relaxed))
        };
        // Each HTTP/2 ping of a peer is answered with as many bytes, which are no part of a response.
        let received = more(&self.bytes_written, &self.bytes_written_when_idle)
            .saturating_sub(more(&self.bytes_read, &self.bytes_read_when_idle));
        let since = self.idle_since.load(Relaxed) + received / SLOWEST_BYTES_PER_MS;
        over(since, timeouts.idle).then_some(Overdue::Idle)
    }

    fn now(&self) -> u64 {
        let open = self.clock.instant().saturating_duration_since(self.opened);
        u64::try_from(open.as_millis()).unwrap_or(u64::MAX)
    }

    fn bytes_arrived(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Relaxed);
        if self.head_since.load(Relaxed) == 0 && self.running.load(Relaxed) == 0 {
            self.head_since.store(self.now().max(1), Relaxed);
        }
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.idle_since.store(activity.now(), Relaxed);
        activity.head_since.store(0, Relaxed);
        for (now, then) in [
            (&activity.bytes_read, &activity.bytes_read_when_idle),
            (&activity.bytes_written, &activity.bytes_written_when_idle),
        ] {
            then.store(now.load(Relaxed), Relaxed);
        }
        activity.running.fetch_sub(1, Relaxed);
    }
}

/// A stream that reports the bytes that it moves.
#[derive(Debug)]
pub(crate) struct TrackedStream<S> {
    stream: S,
    activity: Arc<Activity>,
}

impl<S> TrackedStream<S> {
    pub(crate) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TrackedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        let bytes = buffer.filled().len() - before;
        if bytes > 0 {
            self.activity.bytes_arrived(bytes);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> TrackedStream<S> {
    fn written(&self, written: io::Result<usize>) -> Poll<io::Result<usize>> {
        if let Ok(bytes) = written {
            self.activity.bytes_written.fetch_add(bytes as u64, Relaxed);
        }
        Poll::Ready(written)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TrackedStream<S> {
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
