//! The three stages in which connections end when the server stops: drain, close, abort.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long a new connection may take to send its first request when the server stops.
const FIRST_REQUEST: Duration = Duration::from_millis(500);

/// The stage of the shutdown, shared by the accept loop and all connections; clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Shutdown {
    draining: Arc<AtomicBool>,
    close: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// From now on each HTTP/1.1 response asks the caller to open another connection, which may lead to another server.
    pub(super) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Stops accepting, and asks every connection to close after the responses to its running requests.
    pub(super) fn close(&self) {
        self.close.cancel();
    }

    pub(super) async fn closing(&self) {
        self.close.cancelled().await;
    }

    /// As [`Self::closing`], with some more time for a connection that has not had a request yet: its first may be on its way.
    pub(super) async fn closing_after_first_request(&self, had_request: impl Fn() -> bool) {
        self.closing().await;
        if !had_request() {
            sleep(FIRST_REQUEST).await;
        }
    }

    /// Ends every connection at once.
    pub(super) fn abort(&self) {
        self.abort.cancel();
    }

    /// A token for one connection, which is also cancelled with all others by [`Self::abort`].
    pub(super) fn abort_token(&self) -> CancellationToken {
        self.abort.child_token()
    }
}
