//! Signals that stop a command: it ends what it does, and leaves nothing half done.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// Listens for Ctrl-C, SIGTERM and SIGHUP from its making on.
///
/// For a command, the first signal cancels the work; the second one, or one that comes while nothing runs, ends the process.
/// In a session, Ctrl-C cancels the work and never ends the process; the other signals act as for a command.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt {
    work: Arc<Mutex<Work>>,
    unfinished: Arc<Mutex<Option<PathBuf>>>,
    keyboard: Arc<Keyboard>,
}

#[derive(Debug, Default)]
struct Work {
    cancellation: CancellationToken,
    is_under_way: bool,
    /// The exit code of a signal that ends the process once the work is done.
    last: Option<i32>,
}

impl Interrupt {
    /// Listens for a command.
    pub(crate) fn listen() -> io::Result<Self> {
        Self::new(false)
    }

    /// Listens for a session at a terminal.
    pub(crate) fn listen_in_session() -> io::Result<Self> {
        Self::new(true)
    }

    fn new(is_session: bool) -> io::Result<Self> {
        let interrupt = Self {
            work: Arc::default(),
            unfinished: Arc::default(),
            keyboard: Arc::new(Keyboard::new()),
        };
        let mut signals = Signals::new()?;
        let listener = interrupt.clone();
        tokio::spawn(async move {
            loop {
                let code = signals.next().await;
                let ends = !(is_session && code == CTRL_C);
                if let Some(code) = listener.signalled(code, ends) {
                    listener.end(code);
                }
            }
        });
        Ok(interrupt)
    }

    /// Cancels the work. Returns the exit code when the process has to end now.
    fn signalled(&self, code: i32, ends: bool) -> Option<i32> {
        let mut work = self.lock();
        let is_last = ends && (work.last.is_some() || !work.is_under_way);
        work.cancellation.cancel();
        if ends {
            work.last = Some(code);
        }
        is_last.then_some(code)
    }

    /// Cancelled by the first signal.
    pub(crate) fn work(&self) -> CancellationToken {
        self.lock().cancellation.clone()
    }

    /// Starts over with a token that is not cancelled, for the next line of a session.
    pub(crate) fn renew(&self) {
        self.lock().cancellation = CancellationToken::new();
    }

    /// From here on a signal cancels the work first.
    pub(crate) fn work_begins(&self) {
        self.lock().is_under_way = true;
    }

    /// From here on a signal ends the process.
    pub(crate) fn work_is_done(&self) {
        self.lock().is_under_way = false;
    }

    /// The exit code of the signal that has asked the process to end.
    pub(crate) fn is_ending(&self) -> Option<i32> {
        self.lock().last
    }

    /// A file that is removed when a signal ends the process; it has another name once it is whole.
    pub(crate) fn removes(&self, unfinished: Option<&Path>) {
        *self.lock_unfinished() = unfinished.map(Path::to_owned);
    }

    /// Ends the process, and leaves nothing half done.
    pub(crate) fn end(&self, code: i32) -> ! {
        if let Some(path) = self.lock_unfinished().as_deref() {
            drop(fs::remove_file(path));
        }
        self.keyboard.restore();
        exit(code)
    }

    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_unfinished(&self) -> MutexGuard<'_, Option<PathBuf>> {
        let unfinished = self.unfinished.lock();
        unfinished.unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the terminal was set before a line editor changed it.
#[cfg(unix)]
#[derive(Debug)]
struct Keyboard(Mutex<Option<nix::sys::termios::Termios>>);

#[cfg(unix)]
impl Keyboard {
    fn new() -> Self {
        Self(Mutex::new(nix::sys::termios::tcgetattr(io::stdin()).ok()))
    }

    fn restore(&self) {
        use nix::sys::termios::{SetArg, tcsetattr};

        let settings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(settings) = &*settings {
            // The process ends: nobody is left to say it to.
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, settings);
        }
    }
}

#[cfg(not(unix))]
#[derive(Debug)]
struct Keyboard;

#[cfg(not(unix))]
impl Keyboard {
    const fn new() -> Self {
        Self
    }

    const fn restore(&self) {}
}

#[expect(
    clippy::disallowed_methods,
    reason = "what runs may wait for a reader that never reads, and cannot be asked to end"
)]
fn exit(code: i32) -> ! {
    std::process::exit(code)
}

/// The exit code of Ctrl-C.
const CTRL_C: i32 = 130;

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
        CTRL_C
    }
}
