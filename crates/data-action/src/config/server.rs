//! `[server]`: where the HTTP server listens, who may call it, and what a connection may take.

use std::time::Duration;

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
    /// Largest request head (request line and headers) in bytes.
    pub max_header_bytes: usize,
    /// Open connections; more are closed as soon as they are accepted.
    pub max_connections: usize,
    /// Open connections from one address, or from one /64 network of IPv6. Raise it behind a load balancer, whose
    /// connections all come from its own addresses.
    pub max_connections_per_address: usize,
    /// Longest time from the first byte of a request head to its last, and from a connection's start to its first request.
    #[serde(with = "humantime_serde")]
    pub header_timeout: Duration,
    /// Longest time to receive a request body.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// Longest time that a connection stays open without a request. A load balancer in front has to close its idle connections
    /// earlier (AWS's after 60 s), or it sends requests into closed ones.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
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
            max_header_bytes: 16 << 10,
            max_connections: 512,
            max_connections_per_address: 256,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
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
