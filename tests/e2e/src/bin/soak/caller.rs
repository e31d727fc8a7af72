//! A caller with a connection that it keeps, and what it found.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use flowlake_e2e::Server;
use serde_json::Value;

/// One caller.
pub(crate) struct Caller {
    agent: ureq::Agent,
    url: String,
}

/// One answer.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) took: Duration,
}

impl Caller {
    pub(crate) fn new(server: &Server) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .proxy(None)
            .build()
            .into();
        Self {
            agent,
            url: server.url().to_owned(),
        }
    }

    /// Runs an action with this key.
    pub(crate) fn ask_as(&self, key: &str, action: &str, body: &Value) -> Result<Answered> {
        let start = now();
        let request = self
            .agent
            .post(format!("{}/v1/actions/{action}", self.url))
            .header("Authorization", format!("Bearer {key}"))
            .header("Content-Type", "application/json");
        let mut response = request
            .send(body.to_string())
            .with_context(|| format!("no answer to {action}"))?;
        let text = response.body_mut().read_to_vec()?;
        Ok(Answered {
            status: response.status().as_u16(),
            took: start.elapsed(),
            body: serde_json::from_slice(&text).unwrap_or_default(),
        })
    }

    pub(crate) fn ask(&self, action: &str, body: &Value) -> Result<Answered> {
        self.ask_as(Server::KEY, action, body)
    }
}

impl Answered {
    /// The id of its audit record, if it has one.
    pub(crate) fn audit_id(&self) -> Option<u128> {
        let id = self.body["audit_id"].as_str()?;
        parse_id(id)
    }

    /// The error's code.
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"]
            .as_str()
            .or_else(|| self.body["code"].as_str())
            .unwrap_or_default()
    }
}

/// A UUID as a number, of which millions take little memory.
pub(crate) fn parse_id(id: &str) -> Option<u128> {
    u128::from_str_radix(&id.replace('-', ""), 16).ok()
}

/// The value below which `share` of these lie, in milliseconds; sorts them.
pub(crate) fn percentile(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a place in a list"
    )]
    let place = (times.len() as f64 * share) as usize;
    let found = times.get(place.min(times.len().saturating_sub(1)));
    found.map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a real server takes is real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
