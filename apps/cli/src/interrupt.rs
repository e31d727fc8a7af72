//! Signals that stop a command: it ends what it does, and leaves nothing half done.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio_util::sync::CancellationToken;

/// Listens for Ctrl-C, SIGTERM and SIGHUP from its making on. The first one cancels the work; the second one, or one that comes while
/// there is nothing to cancel, ends the process.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    work: CancellationToken,
    is_working: Arc<AtomicBool>,
    unfinished: Arc<Mutex<Option<PathBuf>>>,
}

impl Interrupt {
    pub(crate) fn listen() -> io::Result<Self> {
        let interrupt = Self {
            work: CancellationToken::new(),
            is_working: Arc::default(),
            unfinished: Arc::default(),
        };
        let mut signals = Signals::new()?;
        let listener = interrupt.clone();
        tokio::spawn(async move {
            let mut code = signals.next().await;
            if listener.is_working.load(Relaxed) {
                listener.work.cancel();
                code = signals.next().await;
            }
            listener.remove_unfinished();
            exit(code)
        });
        Ok(interrupt)
    }

    /// Cancelled by the first signal.
    pub(crate) fn work(&self) -> &CancellationToken {
        &self.work
    }

    /// From here on a signal cancels the work first.
    pub(crate) fn work_begins(&self) {
        self.is_working.store(true, Relaxed);
    }

    /// From here on a signal ends the process.
    pub(crate) fn work_is_done(&self) {
        self.is_working.store(false, Relaxed);
    }

    /// A file that is removed when a signal ends the process; it has another name once it is whole.
    pub(crate) fn removes(&self, unfinished: Option<&Path>) {
        let mut guarded = self
            .unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *guarded = unfinished.map(Path::to_owned);
    }

    fn remove_unfinished(&self) {
        let guarded = self
            .unfinished
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = guarded.as_deref() {
            drop(fs::remove_file(path));
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what runs may wait for a reader that never reads, and cannot be asked to end"
)]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

#[cfg(unix)]
struct Signals([(i32, tokio::signal::unix::Signal); 3]);

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        let listened = |kind: SignalKind| {
            let signals = signal(kind);
            signals.map(|signals| (128 + kind.as_raw_value(), signals))
        };
        Ok(Self([
            listened(SignalKind::interrupt())?,
            listened(SignalKind::terminate())?,
            listened(SignalKind::hangup())?,
        ]))
    }

    /// The exit code that tells of the next signal.
    async fn next(&mut self) -> i32 {
        let Self([interrupt, terminate, hang_up]) = self;
        tokio::select! {
            _ = interrupt.1.recv() => interrupt.0,
            _ = terminate.1.recv() => terminate.0,
            _ = hang_up.1.recv() => hang_up.0,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> i32 {
        let _ = tokio::signal::ctrl_c().await;
        130
    }
}
