//! wrk with the script of look-ups: numbers that vary, and figures as JSON.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// How long.
    pub seconds: usize,
    /// Mean milliseconds between an answer and the next request of its connection; without it, none.
    pub pause_ms: Option<f64>,
}

/// What wrk counted.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Answered {
    /// Requests that were answered.
    pub requests: u64,
    /// In so much time.
    pub microseconds: u64,
    /// Median of their times in microseconds.
    pub p50: u64,
    /// The time in microseconds that 99 of 100 stayed below.
    pub p99: u64,
    /// Requests without an answer, or with one that is not 2xx.
    pub errors: u64,
}

impl Answered {
    /// Requests a second.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of one run stay far below 2^53"
    )]
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / (self.microseconds as f64 / 1e6)
    }
}

/// Asks `url` with POST, with `%s` in the body as one number after the other of the file.
///
/// # Errors
/// When wrk is not installed (on Debian: `apt-get install wrk`) or fails.
pub fn wrk(
    script: &Path,
    numbers: &Path,
    url: &str,
    body: &str,
    headers: &[&str],
    load: Load,
) -> Result<Answered> {
    let (host, path) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
        .context("a url of http")?;
    let mut wrk = Command::new("wrk");
    wrk.args([
        "--threads",
        "1",
        "--connections",
        &load.connections.to_string(),
    ])
    .args([
        "--duration",
        &format!("{}s", load.seconds),
        "--timeout",
        "10s",
        "--script",
    ])
    .arg(script)
    .args([&format!("http://{host}"), "--"])
    .arg(numbers)
    .args(["POST", &format!("/{path}"), body])
    .args(headers);
    if let Some(pause) = load.pause_ms {
        wrk.env("LOOKUP_PAUSE_MS", pause.to_string());
    }
    let output = wrk
        .output()
        .context("wrk cannot be started; on Debian: apt-get install wrk")?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(output.status.success(), "wrk failed: {text}");
    let last = text.lines().last().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("wrk said {text}"))
}
