//! The Python side: boto3 as another S3 and IAM client, DuckDB as another SQL engine.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::piped;

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
        let mut command = Command::new(&self.program);
        let printed = piped(command.arg(tool).arg(function), &arguments.to_string())
            .with_context(|| format!("{function} failed"))?;
        Ok(serde_json::from_str(&printed)?)
    }
}
