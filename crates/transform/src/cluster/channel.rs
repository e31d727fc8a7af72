//! Connections to workers: opened at the first request and kept, over TLS where that is configured, and each request with the
//! secret of the cluster and codes for what is sent ([`sealed`](super::sealed)).

use std::{
    collections::HashMap,
    error::Error as StdError,
    fmt,
    future::poll_fn,
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
use http::{Request, StatusCode};
use tonic::{
    Code, Status,
    body::Body,
    transport::{Certificate, ClientTlsConfig, Endpoint},
};
use tower::Service;
use url::{Host, Url};

use super::{
    BUILD,
    carried::{lost, of_status},
    run_messages::{Ask, BUILD_HEADER, PATH, Tell, read_body},
    sealed::SealedClient,
    secret::ClusterSecret,
};
use crate::{Error, ErrorKind};

/// Until a connection is there.
const CONNECT: Duration = Duration::from_secs(3);
/// Until a worker has answered a request about a run, its connection included.
const ANSWER: Duration = Duration::from_secs(3);
/// A worker with requests that does not answer a ping for this long, after as long without one, is lost.
const SILENCE: Duration = Duration::from_secs(5);
/// Connections that are kept. Addresses of workers change; those of old ones are never asked for again.
const MOST_CONNECTIONS: usize = 512;
/// The name that certificates of workers are valid for.
const NAME: &str = "flowlake-worker";

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
        self.channel(url).map(create_worker_client)
    }

    /// Tells a worker of a run.
    pub(super) async fn tell(&self, url: &Url, ask: &Ask) -> Result<Tell, Error> {
        let told = tokio::time::timeout(ANSWER, self.told(url, ask));
        told.await
            .unwrap_or_else(|_elapsed| Err(lost(format!("worker {url} does not answer"))))
    }

    async fn told(&self, url: &Url, ask: &Ask) -> Result<Tell, Error> {
        let mut channel = self.channel(url)?;
        let text = serde_json::to_string(ask).map_err(|error| {
            Error::new(ErrorKind::Internal, "a request to a worker").with_source(error)
        })?;
        let request = Request::post(PATH).header(BUILD_HEADER, BUILD);
        let request = request.body(Body::new(text)).map_err(|error| {
            Error::new(ErrorKind::Internal, "a request to a worker").with_source(error)
        })?;
        let unreachable = |error: tonic::transport::Error| {
            let reason = innermost(&error);
            lost(format!("worker {url} cannot be reached: {reason}")).with_source(error)
        };
        poll_fn(|context| channel.poll_ready(context))
            .await
            .map_err(unreachable)?;
        let (head, body) = channel
            .call(request)
            .await
            .map_err(unreachable)?
            .into_parts();
        if let Some(status) = Status::from_header_map(&head.headers) {
            if status.code() == Code::Unimplemented {
                let error = not_a_worker(url);
                return Err(Error::new(ErrorKind::WorkerRefused, error.to_string()));
            }
            let error = of_status(&status);
            return Err(Error::new(error.kind(), format!("{url}: {error}")));
        }
        let answer = read_body(body).await.ok();
        let answer = answer.filter(|_| head.status == StatusCode::OK);
        let told = answer.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        told.ok_or_else(|| not_a_worker(url))
    }

    fn channel(&self, url: &Url) -> Result<BoxCloneSyncChannel, Error> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = open.get(url) {
            return Ok(channel.clone());
        }
        let channel = self.opened(url)?;
        if open.len() >= MOST_CONNECTIONS {
            open.clear();
        }
        open.insert(url.clone(), channel.clone());
        Ok(channel)
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
        let channel = SealedClient {
            inner: endpoint.connect_lazy(),
            secret: self.0.secret.clone(),
        };
        Ok(BoxCloneSyncChannel::new(channel))
    }
}

/// The first cause of an error, such as that of TLS.
fn innermost(error: &tonic::transport::Error) -> String {
    let mut error: &dyn StdError = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

pub(super) fn not_a_worker(url: &Url) -> Error {
    lost(format!("{url} does not answer as a worker of this build"))
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
    use super::{Channels, ClusterSecret};

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
