//! `[server]`: how requests come in.

use serde::Deserialize;

use super::secret::SecretSource;

/// `[server]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// Whether requests need a key. Switch it off only behind a gateway that checks callers itself.
    pub require_key: bool,
    /// The keys that callers send as `Authorization: Bearer KEY`.
    pub keys: Vec<ServerKey>,
    /// Requests that run at the same time; more are refused with `server.overloaded`.
    pub max_concurrent_requests: usize,
    /// Largest request body in bytes.
    pub max_body_bytes: usize,
    /// Seconds that running requests get to finish after SIGTERM.
    pub shutdown_grace_seconds: u64,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            require_key: true,
            keys: Vec::new(),
            max_concurrent_requests: 64,
            max_body_bytes: 64 << 10,
            shutdown_grace_seconds: 20,
        }
    }
}

/// One caller's key: a name for the audit, and where the key is kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerKey {
    /// Who holds the key, such as `genesys-production`; written into audit records.
    pub name: String,
    /// Where the key is.
    pub secret: SecretSource,
}
