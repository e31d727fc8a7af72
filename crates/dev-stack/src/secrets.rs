//! A list of every secret that a test used, for the search of all outputs that `cargo xtask test` and `e2e` make.
//!
//! Only where the variable names a file; everywhere else nothing is written down.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;

/// Names the file; `xtask/src/secrets.rs` sets it.
const VARIABLE: &str = "FLOWLAKE_SECRETS_USED";

/// What is shorter would be found in many a harmless text.
const SHORTEST: usize = 8;

static FILE: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    #[expect(
        clippy::disallowed_methods,
        reason = "only the project's own chores set it, and only for tests"
    )]
    let path = std::env::var_os(VARIABLE);
    path.map(PathBuf::from)
});

static NOTED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// Puts a secret on the list: it must not be seen in any output of the test.
///
/// # Panics
///
/// When the list cannot be written: a search without it would prove nothing.
pub fn note_secret(secret: &str) {
    let Some(path) = FILE.as_ref().filter(|_| secret.len() >= SHORTEST) else {
        return;
    };
    let mut noted = NOTED.lock().unwrap_or_else(PoisonError::into_inner);
    if !noted.insert(secret.to_owned()) {
        return;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("the chore that names the list has made its folder");
    // One write, so that the lines of several processes do not mix.
    file.write_all(format!("{secret}\n").as_bytes())
        .expect("the list of secrets is on a disk with space");
}

/// Lets flowlake's own crates log everything into the test's output, where the search is on: what is never logged in a
/// test has not been searched.
pub(crate) fn log_everything() {
    if FILE.is_some() {
        let filter = EnvFilter::new("warn,flowlake=trace,s3s=off,s3s_fs=off");
        // A program that has set up logs of its own keeps them.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(std::io::stderr)
            .try_init();
    }
}
