//! `[server]`: where the HTTP server listens, who may call it, and what a connection may take.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;

use super::secret::SecretSource;
use crate::{ClientSettings, IssuerSettings};

/// `[server]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// Address and port of what operators look at: health, metrics, profile, configuration, dashboard. A
    /// request to it needs no key. Left out: there is none of it.
    pub admin: Option<String>,
    /// Whether `admin` may be another address than loopback: only where a network keeps strangers from it.
    pub allow_remote_admin: bool,
    /// How often the configuration is looked at for changes, which are taken when they have been the same at two looks; `0s` for
    /// never. SIGHUP takes them at once.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub reload_every: Duration,
    /// How many data actions the organisation may run at a time (`actions.concurrent.executions.max`): what the dashboard compares
    /// the load with.
    pub genesys_concurrent_executions: u32,
    /// How TLS is spoken; without it, HTTP is plain.
    pub tls: Option<TlsSettings>,
    /// Whether plain HTTP may be spoken on another address than loopback: only behind something that speaks TLS itself.
    pub allow_plain_http: bool,
    /// The proxies in front of the server, such as `["10.0.0.0/8"]`. What they say of where a request comes from is believed, in
    /// `forwarded_header`; what anybody else says there is not. Their connections are not bounded by `max_connections_per_address`.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNetwork>,
    /// The header in which trusted proxies say it. The other is ignored, since a proxy may hand on what its caller made up there.
    pub forwarded_header: ForwardedHeader,
    /// Whether requests need a key. Switch it off only behind a gateway that checks callers itself.
    pub require_key: bool,
    /// The keys that callers send as `Authorization: Bearer KEY`.
    pub keys: Vec<ServerKey>,
    /// Callers that are known by more than a key, or may not do everything.
    pub clients: Vec<ClientSettings>,
    /// Others whose tokens are taken.
    pub issuers: Vec<IssuerSettings>,
    /// The tokens that this server gives at `/oauth/token`.
    pub tokens: OwnTokenSettings,
    /// Requests that may read S3 at the same time.
    pub max_concurrent_requests: usize,
    /// Requests of actions with `hot = true` that run at the same time; more are refused with `server.overloaded`. They have room
    /// of their own: reads do not take it.
    pub max_concurrent_lookups: usize,
    /// Requests of actions with `hot = true` that run at the same time and compute over rows that no index names, such as sums;
    /// more wait as reads do. Look-ups do not wait for them.
    pub max_concurrent_aggregates: usize,
    /// Requests that wait while as many read S3 as may; more are refused with `server.overloaded`, and so is one that could not be
    /// answered within its action's time limit.
    pub max_queued_requests: usize,
    /// Questions of one batch.
    pub max_batch_requests: usize,
    /// Largest request body in bytes.
    pub max_body_bytes: usize,
    /// Largest request head (request line and headers) in bytes.
    pub max_header_bytes: usize,
    /// Open connections. Where all are open, a new one takes the place of one over which no request with valid credentials has
    /// come; where there is none of these, it is closed as soon as it is accepted.
    pub max_connections: usize,
    /// Open connections from one address, or from one /64 network of IPv6: fewer than `max_connections`, so that others have
    /// room. Raise it behind a load balancer, whose connections all come from its own addresses.
    pub max_connections_per_address: usize,
    /// Longest time from the first byte of a request head to its last, and from a connection's start to its first request.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub header_timeout: Duration,
    /// Longest time to receive a request body.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub body_timeout: Duration,
    /// Longest time that a connection stays open without a request. A load balancer in front has to close its idle connections
    /// earlier (AWS's after 60 s), or it sends requests into closed ones.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub idle_timeout: Duration,
    /// Whether another server may listen on the same address: a new one is started beside the old one, which then is stopped.
    pub reuse_port: bool,
    /// Seconds from SIGTERM in which new requests are still taken: as long as it takes a load balancer to send them elsewhere.
    pub shutdown_drain_seconds: u64,
    /// Seconds that running requests get to finish after that.
    pub shutdown_grace_seconds: u64,
    /// Whether the server starts although an action file cannot be read. Requests for that action then get its error.
    pub start_with_broken_actions: bool,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            admin: None,
            allow_remote_admin: false,
            reload_every: Duration::from_secs(5),
            genesys_concurrent_executions: 15,
            tls: None,
            allow_plain_http: false,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            require_key: true,
            keys: Vec::new(),
            clients: Vec::new(),
            issuers: Vec::new(),
            tokens: OwnTokenSettings::default(),
            max_concurrent_requests: 64,
            max_concurrent_lookups: 512,
            max_concurrent_aggregates: 16,
            max_queued_requests: 64,
            max_batch_requests: 100,
            max_body_bytes: 64 << 10,
            max_header_bytes: 16 << 10,
            max_connections: 512,
            max_connections_per_address: 256,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            reuse_port: false,
            shutdown_drain_seconds: 0,
            shutdown_grace_seconds: 20,
            start_with_broken_actions: false,
        }
    }
}

impl ServerSettings {
    /// The files whose content a reload takes again: those of secrets, and of issuers' keys.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let keys = self.keys.iter().map(|key| &key.secret);
        let secrets = keys.chain(&self.tokens.signing_key);
        let secrets = secrets.filter_map(SecretSource::file);
        let issuers = self.issuers.iter();
        secrets.chain(issuers.filter_map(|issuer| issuer.jwks_file.as_deref()))
    }

    /// Makes every path relative to `folder` no longer.
    pub(super) fn resolve(&mut self, folder: &Path) {
        for key in &mut self.keys {
            key.secret.resolve(folder);
        }
        if let Some(key) = &mut self.tokens.signing_key {
            key.resolve(folder);
        }
        for file in self
            .issuers
            .iter_mut()
            .filter_map(|issuer| issuer.jwks_file.as_mut())
        {
            *file = folder.join(&*file);
        }
        if let Some(tls) = &mut self.tls {
            let files = [&mut tls.certificate, &mut tls.private_key];
            for path in files.into_iter().chain(&mut tls.client_roots) {
                *path = folder.join(&*path);
            }
        }
    }
}

/// A network, such as `10.0.0.0/8`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct IpNetwork(IpNet);

impl IpNetwork {
    /// Whether the address is one of it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl TryFrom<String> for IpNetwork {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let network = text.parse::<IpNet>().ok();
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        let found = network.or_else(address).map(Self);
        found.ok_or_else(|| format!("`{text}` is no network such as 10.0.0.0/8, and no address"))
    }
}

/// A header in which proxies say where a request comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`, which most proxies send.
    #[default]
    XForwardedFor,
    /// `Forwarded` of RFC 7239.
    Forwarded,
}

/// `[server.tls]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TlsSettings {
    /// A PEM file of the server's certificate and those of the authorities between it and its root, in this order.
    pub certificate: PathBuf,
    /// A PEM file of its private key.
    pub private_key: PathBuf,
    /// A PEM file of the roots that certificates of callers are verified with; without it, no caller is asked for one.
    #[serde(default)]
    pub client_roots: Option<PathBuf>,
    /// How often the files are looked at for new ones.
    #[serde(default = "ten_seconds", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub check_every: Duration,
}

const fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// `[server.tokens]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnTokenSettings {
    /// How long a token is valid.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub lifetime: Duration,
    /// What tokens are signed with; servers that take each other's tokens share it. Left out: a new one at each start, which ends
    /// the tokens of before.
    pub signing_key: Option<SecretSource>,
}

impl Default for OwnTokenSettings {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(3600),
            signing_key: None,
        }
    }
}

/// One caller's key: a name for the audit, and where the key is kept.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerKey {
    /// Who holds the key, such as `genesys-production`; written into audit records.
    pub name: String,
    /// Where the key is.
    pub secret: SecretSource,
}
