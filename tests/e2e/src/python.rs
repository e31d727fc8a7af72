//! The Python side: boto3 as another S3 and IAM client, DuckDB as another SQL engine.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Runs the functions of `python/tool.py`.
#[derive(Debug, Clone)]
pub struct Python {
    program: PathBuf,
}

impl Python {
    pub(crate) const fn new(program: PathBuf) -> Self {
        Self { program }
    }

    /// Calls one function with named arguments and gives what it returned.
    ///
    /// # Errors
    /// When it raised; with its traceback.
    pub fn call(&self, function: &str, arguments: &Value) -> Result<Value> {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("python")
            .join("tool.py");
        let mut child = Command::new(&self.program)
            .arg(tool)
            .arg(function)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start Python")?;
        let mut input = child.stdin.take().context("Python has no input")?;
        input.write_all(arguments.to_string().as_bytes())?;
        drop(input);
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "{function} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}
