//! moto: STS, IAM, S3 and Cost Explorer as another project understands them.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{Environment, Keys, Process, Python, free_ports, http};

/// A running server.
#[derive(Debug)]
pub struct Moto {
    process: Process,
    python: Python,
    url: String,
}

impl Moto {
    /// Starts it on a free port. It answers everybody until [`Moto::enforce`].
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(environment: &Environment, folder: &Path) -> Result<Self> {
        let [port] = free_ports()?;
        let mut command = Command::new(environment.tool("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let mut process = Process::start("moto", folder, &mut command)?;
        let url = format!("http://127.0.0.1:{port}");
        process.wait_until(Duration::from_secs(60), || {
            http::status(&format!("{url}/moto-api/")).is_some()
        })?;
        Ok(Self {
            process,
            python: environment.python(),
            url,
        })
    }

    /// The address of all of its services.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes a user with an inline policy of these statements, and an access key of his.
    ///
    /// # Errors
    /// When moto refuses.
    pub fn user(&self, name: &str, statements: &Value) -> Result<Keys> {
        let made = self.python.call(
            "users",
            &json!({ "endpoint": self.url, "statements": { name: statements } }),
        )?;
        let part = |part: &str| {
            made[name][part]
                .as_str()
                .with_context(|| format!("moto gave no {part}"))
        };
        Ok(Keys::new(part("id")?, part("secret")?))
    }

    /// From now on signatures and policies are checked.
    ///
    /// # Errors
    /// When moto refuses.
    pub fn enforce(&self) -> Result<()> {
        self.python
            .call("enforce", &json!({ "endpoint": self.url }))
            .map(drop)
    }

    /// The requests it has logged.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }
}
