//! Starting and stopping all the stand-ins together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use crate::aws::{AwsFront, CostTable};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind};
use crate::faults::Traffic;
use crate::genesys::{Genesys, GenesysSettings};
use crate::iam::{AccessKey, Directory, IamDocument};
use crate::s3::{ObjectState, ObjectStates};
use crate::{genesys, s3, secrets, server};

/// The stand-ins, running on free loopback ports until shut down or dropped.
#[derive(Debug)]
pub struct DevStack {
    root: PathBuf,
    directory: Arc<Directory>,
    states: ObjectStates,
    s3: Endpoint,
    aws: Endpoint,
    login: Endpoint,
    api: Endpoint,
    genesys: Genesys,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug, Clone)]
struct Endpoint {
    address: SocketAddr,
    traffic: Traffic,
}

impl Endpoint {
    fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("a socket address makes a URL")
    }
}

/// What a [`DevStack`] is to be.
#[derive(Debug)]
pub struct DevStackBuilder {
    root: PathBuf,
    iam: IamDocument,
    costs: CostTable,
    genesys: GenesysSettings,
    clock: Arc<dyn Clock>,
    simulation_page: usize,
    secure_transport: bool,
}

impl DevStackBuilder {
    /// Who exists and what they may do. Left out, one user `flowlake` may do everything.
    #[must_use]
    pub fn with_iam(mut self, document: IamDocument) -> Self {
        self.iam = document;
        self
    }

    /// What Cost Explorer tells.
    #[must_use]
    pub fn with_costs(mut self, costs: CostTable) -> Self {
        self.costs = costs;
        self
    }

    /// The OAuth client and the behaviour of Genesys Cloud.
    #[must_use]
    pub fn with_genesys(mut self, settings: GenesysSettings) -> Self {
        self.genesys = settings;
        self
    }

    /// The clock by which tokens and role sessions expire.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How many results a page of `SimulatePrincipalPolicy` has at most; small values make
    /// clients page.
    #[must_use]
    pub fn with_simulation_page(mut self, results: usize) -> Self {
        self.simulation_page = results.max(1);
        self
    }

    /// What policies on S3 see as `aws:SecureTransport`: true unless said otherwise, because the
    /// stand-in takes the place of an address with TLS.
    #[must_use]
    pub fn with_secure_transport(mut self, secure: bool) -> Self {
        self.secure_transport = secure;
        self
    }

    /// Starts everything.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSetting`] for a wrong IAM document, [`ErrorKind::Folder`] when the
    /// folder cannot be served, [`ErrorKind::Network`] when no port can be had.
    ///
    /// [`ErrorKind::InvalidSetting`]: crate::ErrorKind::InvalidSetting
    /// [`ErrorKind::Folder`]: crate::ErrorKind::Folder
    /// [`ErrorKind::Network`]: crate::ErrorKind::Network
    pub async fn start(self) -> Result<DevStack, Error> {
        secrets::log_everything();
        tokio::fs::create_dir_all(&self.root)
            .await
            .map_err(|source| {
                Error::new(
                    ErrorKind::Folder,
                    format!("the folder {} cannot be made", self.root.display()),
                )
                .with_source(source)
            })?;
        let directory = Arc::new(Directory::try_new(self.iam)?);
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();

        let states = ObjectStates::default();
        let (listener, s3) = endpoint().await?;
        let front = s3::build(s3::Parts {
            root: &self.root,
            directory: &directory,
            clock: Arc::clone(&self.clock),
            traffic: s3.traffic.clone(),
            states: states.clone(),
            secure_transport: self.secure_transport,
        })?;
        tasks.push(tokio::spawn(server::serve(
            listener,
            front,
            stopped.clone(),
        )));

        let (listener, aws) = endpoint().await?;
        let front = AwsFront {
            directory: Arc::clone(&directory),
            costs: Arc::new(self.costs),
            clock: Arc::clone(&self.clock),
            traffic: aws.traffic.clone(),
            simulation_page: self.simulation_page,
        };
        tasks.push(tokio::spawn(server::serve(
            listener,
            front,
            stopped.clone(),
        )));

        let genesys = Genesys::new(self.genesys, self.clock);
        let (listener, login) = endpoint().await?;
        let front = genesys::LoginFront(genesys.clone());
        tasks.push(tokio::spawn(server::serve(
            listener,
            front,
            stopped.clone(),
        )));
        let (listener, api) = endpoint().await?;
        let front = genesys::ApiFront(genesys.clone());
        tasks.push(tokio::spawn(server::serve(listener, front, stopped)));

        Ok(DevStack {
            root: self.root,
            directory,
            states,
            s3,
            aws,
            login,
            api,
            genesys,
            stop,
            tasks,
        })
    }
}

async fn endpoint() -> Result<(tokio::net::TcpListener, Endpoint), Error> {
    let (listener, address) = server::bind().await?;
    let traffic = Traffic::default();
    Ok((listener, Endpoint { address, traffic }))
}

impl DevStack {
    /// A stack over a folder; each folder in it is a bucket. The folder is made when it is
    /// missing.
    #[must_use]
    pub fn builder(root: impl Into<PathBuf>) -> DevStackBuilder {
        DevStackBuilder {
            root: root.into(),
            iam: IamDocument::single_administrator(),
            costs: CostTable::default(),
            genesys: GenesysSettings::default(),
            clock: Arc::new(SystemClock),
            simulation_page: 100,
            secure_transport: true,
        }
    }

    /// The folder of buckets.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// S3, path style.
    #[must_use]
    pub fn s3_url(&self) -> Url {
        self.s3.url()
    }

    /// STS, IAM and Cost Explorer.
    #[must_use]
    pub fn aws_url(&self) -> Url {
        self.aws.url()
    }

    /// The Genesys Cloud login: the token endpoint is `/oauth/token` under it.
    #[must_use]
    pub fn genesys_login_url(&self) -> Url {
        self.login.url()
    }

    /// The Genesys Cloud Platform API.
    #[must_use]
    pub fn genesys_api_url(&self) -> Url {
        self.api.url()
    }

    /// The access key of a principal, named by ARN or bare name. That of an unknown principal is
    /// well formed and opens nothing.
    #[must_use]
    pub fn access_key(&self, principal: &str) -> AccessKey {
        self.directory.key_of(principal)
    }

    /// Puts other identities and policies in place, at once.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSetting`] for a wrong document; the old one stays.
    pub fn set_iam(&self, document: IamDocument) -> Result<(), Error> {
        self.directory.replace(document)
    }

    /// Gives an object a storage class, a restore state or a KMS key.
    pub fn set_object_state(&self, bucket: &str, key: &str, state: ObjectState) {
        self.states.set(bucket, key, state);
    }

    /// Adds a key that no folder can hold, such as `a//b` or one that ends in `/`: it is listed, and a read of it
    /// finds nothing.
    pub fn list_key(&self, bucket: &str, key: &str, size: u64) {
        self.states.list_key(bucket, key, size);
    }

    /// Failures and counts of S3, by operation name such as `GetObject`.
    #[must_use]
    pub fn s3(&self) -> &Traffic {
        &self.s3.traffic
    }

    /// Failures and counts of STS, IAM and Cost Explorer, by operation name.
    #[must_use]
    pub fn aws(&self) -> &Traffic {
        &self.aws.traffic
    }

    /// Failures, counts and state of Genesys Cloud.
    #[must_use]
    pub fn genesys(&self) -> &Genesys {
        &self.genesys
    }

    /// Stops accepting, closes every connection, and waits until that is done.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}
