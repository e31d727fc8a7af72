//! Connections to workers: opened at the first request and kept, over TLS where that is configured, and each request with the
//! secret of the cluster.

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use datafusion::common::DataFusionError;
use datafusion_distributed::{
    ChannelResolver, WorkerChannel,
    grpc::{BoxCloneSyncChannel, create_worker_client},
};
use http::{HeaderValue, Request};
use tonic::{
    Status,
    body::Body,
    service::Interceptor,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};
use tower::ServiceBuilder;
use url::{Host, Url};

use crate::{Error, ErrorKind};

/// The header with the secret.
const SECRET: &str = "x-flowlake-secret";
/// Until a connection is there.
const CONNECT: Duration = Duration::from_secs(3);
/// A worker with requests that does not answer a ping for this long, after as long without one, is lost.
const SILENCE: Duration = Duration::from_secs(5);
/// Connections that are kept. Addresses of workers change; those of old ones are never asked for again.
const MOST_CONNECTIONS: usize = 512;
/// The name that certificates of workers are valid for.
const NAME: &str = "flowlake-worker";
const SHORTEST_SECRET: usize = 16;

/// What all nodes of a cluster know and nobody else does.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret(Arc<str>);

/// How workers are talked to over TLS.
#[derive(Debug, Clone)]
pub struct ClusterTls {
    /// The certificate authority of the workers' certificates, as PEM.
    pub ca: Vec<u8>,
    /// The name that the certificates of all workers are valid for; `flowlake-worker` when left out.
    pub name: Option<String>,
}

/// Where the workers are, and how they are talked to.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// `host:port` of each worker. A name with several addresses is as many workers.
    pub workers: Vec<String>,
    /// The secret of the cluster.
    pub secret: ClusterSecret,
    /// Left out: without TLS, which only workers on this machine may be.
    pub tls: Option<ClusterTls>,
    /// Bytes of files that one worker reads of a scan before a second one takes part.
    pub bytes_per_task: u64,
}

impl ClusterSecret {
    /// A secret of at least 16 characters, which are printable ASCII.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`].
    pub fn try_new(secret: &str) -> Result<Self, Error> {
        let secret = secret.trim();
        if secret.len() < SHORTEST_SECRET || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                "the secret of a cluster has at least 16 characters, all of them printable ASCII",
            ));
        }
        Ok(Self(secret.into()))
    }

    fn header(&self) -> HeaderValue {
        let mut value = HeaderValue::from_str(&self.0).expect("it is printable ASCII");
        value.set_sensitive(true);
        value
    }

    /// Whether this is the secret. Takes the same time wherever the first difference is.
    fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let pairs = own.iter().zip(given);
        let differences = pairs.fold(0, |found, (own, given)| found | (own ^ given));
        own.len() == given.len() && differences == 0
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("******")
    }
}

/// Lets nobody in without the secret.
#[derive(Debug, Clone)]
pub(super) struct Gate(pub(super) ClusterSecret);

impl Interceptor for Gate {
    fn call(&mut self, request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        let given = request.metadata().get(SECRET);
        if given.is_some_and(|given| self.0.is(given.as_bytes())) {
            return Ok(request);
        }
        Err(Status::unauthenticated(
            "the secret of the cluster is wrong",
        ))
    }
}

/// Connections to workers. Clones share them.
#[derive(Clone)]
pub(super) struct Channels(Arc<Inner>);

struct Inner {
    secret: ClusterSecret,
    tls: Option<ClientTlsConfig>,
    open: Mutex<HashMap<Url, BoxCloneSyncChannel>>,
}

impl Channels {
    pub(super) fn new(secret: ClusterSecret, tls: Option<&ClusterTls>) -> Self {
        let tls = tls.map(|tls| {
            ClientTlsConfig::new()
                .ca_certificate(Certificate::from_pem(&tls.ca))
                .domain_name(tls.name.as_deref().unwrap_or(NAME))
        });
        Self(Arc::new(Inner {
            secret,
            tls,
            open: Mutex::default(),
        }))
    }

    /// What urls of workers begin with.
    pub(super) fn scheme(&self) -> &'static str {
        match self.0.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    /// The client of a worker. Nothing is sent yet.
    pub(super) fn client(&self, url: &Url) -> Result<Box<dyn WorkerChannel>, Error> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = open.get(url) {
            return Ok(create_worker_client(channel.clone()));
        }
        let channel = self.opened(url)?;
        if open.len() >= MOST_CONNECTIONS {
            open.clear();
        }
        open.insert(url.clone(), channel.clone());
        Ok(create_worker_client(channel))
    }

    fn opened(&self, url: &Url) -> Result<BoxCloneSyncChannel, Error> {
        let invalid = |error: tonic::transport::Error| {
            let message = format!("`{url}` cannot be the address of a worker");
            Error::new(ErrorKind::InvalidSpec, message).with_source(error)
        };
        if self.0.tls.is_none() && !is_of_this_machine(url) {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                format!("{url}: only a worker on this machine may be talked to without TLS"),
            ));
        }
        let endpoint = Endpoint::from_shared(url.to_string()).map_err(invalid)?;
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(SILENCE)
            .keep_alive_timeout(SILENCE);
        let endpoint = match &self.0.tls {
            Some(tls) => endpoint.tls_config(tls.clone()).map_err(invalid)?,
            None => endpoint,
        };
        let secret = self.0.secret.header();
        let with_secret = move |mut request: Request<Body>| {
            request.headers_mut().insert(SECRET, secret.clone());
            request
        };
        let channel = ServiceBuilder::new()
            .map_request(with_secret)
            .service(endpoint.connect_lazy());
        Ok(BoxCloneSyncChannel::new(channel))
    }
}

fn is_of_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
        Some(Host::Domain(_)) | None => false,
    }
}

#[async_trait]
impl ChannelResolver for Channels {
    async fn get_worker_client_for_url(
        &self,
        url: &Url,
    ) -> Result<Box<dyn WorkerChannel>, DataFusionError> {
        self.client(url)
            .map_err(|error| DataFusionError::External(Box::new(error)))
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Channels").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tonic::service::Interceptor;

    use super::{Channels, ClusterSecret, Gate, SECRET};

    #[test]
    fn a_secret_is_long_and_never_shown() {
        assert!(ClusterSecret::try_new("short").is_err());
        assert!(ClusterSecret::try_new("one with blanks in it").is_err());
        let secret = ClusterSecret::try_new("0123456789abcdef\n").unwrap();
        assert_eq!(format!("{secret:?}"), "******");
        assert!(secret.is(b"0123456789abcdef"));
        assert!(!secret.is(b"0123456789abcdeF") && !secret.is(b"0123456789abcde"));
    }

    #[test]
    fn nobody_is_let_in_without_the_secret() {
        let mut gate = Gate(ClusterSecret::try_new("0123456789abcdef").unwrap());
        assert!(gate.call(tonic::Request::new(())).is_err());
        let mut request = tonic::Request::new(());
        let secret = "0123456789abcdef".parse().unwrap();
        request.metadata_mut().insert(SECRET, secret);
        assert!(gate.call(request).is_ok());
    }

    #[tokio::test]
    async fn without_tls_only_this_machine_is_talked_to() {
        let channels = Channels::new(ClusterSecret::try_new("0123456789abcdef").unwrap(), None);
        let client = |url: &str| channels.client(&url.parse().unwrap()).map(|_client| ());
        client("http://127.0.0.1:7400").unwrap();
        client("http://[::1]:7400").unwrap();
        let error = client("http://10.0.0.1:7400").unwrap_err();
        assert!(error.to_string().contains("without TLS"), "{error}");
    }
}
