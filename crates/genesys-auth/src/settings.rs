//! How tokens are kept and how long a login may take.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

/// Token cache and retry. Times are whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    /// A token is refreshed this long before it expires, while the old one is still handed out.
    pub refresh_margin_seconds: u64,
    /// Longest time that one login request may take.
    pub request_timeout_seconds: u64,
    /// Longest time that one caller waits for a token, over all retries. A longer `Retry-After` is an error at once.
    pub wait_seconds: u64,
    /// How many API requests one token may make in a minute; more wait for their turn. The platform's own default is 300.
    pub requests_per_minute: u32,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            refresh_margin_seconds: 300,
            request_timeout_seconds: 5,
            wait_seconds: 10,
            requests_per_minute: 300,
        }
    }
}

impl TokenSettings {
    pub(crate) const fn refresh_margin(&self) -> Duration {
        Duration::from_secs(self.refresh_margin_seconds)
    }

    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }

    pub(crate) const fn wait(&self) -> Duration {
        Duration::from_secs(self.wait_seconds)
    }
}
