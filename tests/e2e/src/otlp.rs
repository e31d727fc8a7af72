//! An OTLP receiver that is not ours: spans over HTTP, read with the OpenTelemetry project's own messages.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{Environment, Process, free_ports, http};

/// A running receiver.
#[derive(Debug)]
pub struct OtlpReceiver {
    _process: Process,
    url: String,
    file: PathBuf,
}

impl OtlpReceiver {
    /// Starts it on a free port.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(environment: &Environment, folder: &Path) -> Result<Self> {
        let [port] = free_ports()?;
        let file = folder.join("spans.jsonl");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/otlp_receiver.py");
        let mut command = Command::new(environment.tool("python"));
        command.arg(script).arg(port.to_string()).arg(&file);
        let mut process = Process::start("otlp", folder, &mut command)?;
        let url = format!("http://127.0.0.1:{port}");
        process.wait_until(Duration::from_secs(30), || http::status(&url) == Some(405))?;
        Ok(Self {
            _process: process,
            url,
            file,
        })
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The spans so far.
    ///
    /// # Errors
    /// When a line is not JSON.
    pub fn spans(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("not a span: {line}")))
            .collect()
    }
}
