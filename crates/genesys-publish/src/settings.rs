//! Where and how patiently actions are published.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How actions are published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlatformSettings {
    /// The Web Services Data Actions integration that actions belong to.
    pub integration_id: String,
    /// The category that they are shown under.
    pub category: String,
    /// How long one request may take. A test waits for the action's own timeout.
    pub timeout_seconds: u64,
    /// How often a 429, or a failure of a request that changes nothing, is waited out.
    pub max_waits: u32,
    /// The longest wait that is sat out; a longer one is an error with that wait.
    pub max_wait_seconds: u64,
    /// Whether a draft that somebody else wrote is overwritten.
    pub overwrite_drafts: bool,
}

impl Default for PlatformSettings {
    fn default() -> Self {
        Self {
            integration_id: String::new(),
            category: "flowlake".to_owned(),
            timeout_seconds: 65,
            max_waits: 3,
            max_wait_seconds: 60,
            overwrite_drafts: false,
        }
    }
}

impl PlatformSettings {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}
