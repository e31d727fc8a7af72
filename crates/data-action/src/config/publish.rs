//! `[publish]`: where Genesys Cloud reaches the server, and where its data actions belong.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// `[publish]`, for `flowlake actions`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishSettings {
    /// The address at which Genesys Cloud reaches flowlake-server, such as `https://flowlake.example.com`.
    pub url: String,
    /// The id of the Web Services Data Actions integration, from its page in Admin. Publishing needs it.
    #[serde(default)]
    pub integration_id: String,
    /// The category that the data actions are shown under.
    #[serde(default = "category")]
    pub category: String,
    /// The field of the integration's credentials that holds the server's key.
    #[serde(default = "credential")]
    pub credential: String,
    /// The folder of the log that publishing and retiring are recorded in, relative to flowlake.toml. It is a log of its
    /// own: a running server holds the lock of `[audit.log]`.
    #[serde(default = "audit")]
    pub audit: PathBuf,
}

impl PublishSettings {
    /// Makes the path relative to `folder` no longer.
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.audit = folder.join(&self.audit);
    }
}

fn audit() -> PathBuf {
    PathBuf::from("audit-publish")
}

fn category() -> String {
    "flowlake".to_owned()
}

fn credential() -> String {
    "apiKey".to_owned()
}
