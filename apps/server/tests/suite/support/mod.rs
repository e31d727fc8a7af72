//! A server over a project on the embedded stack, and a peer that writes bytes of its own choice.

pub(crate) mod program;

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use flowlake_aws_access::StaticCredentials;
use flowlake_cost_audit::AuditRecord;
use flowlake_data_action::{ActionError, Config, Environment, Pipeline, PipelineBuilder, Project};
use flowlake_dev_stack::{DevStack, IamDocument, Identity};
use flowlake_server::{Callers, RunningServer, Server};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

pub(crate) const KEY: &str = "key-of-the-tests-8c1f20";
const READER: &str = "arn:aws:iam::123456789012:user/reader";

pub(crate) const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
keys = [{ name = "tests", secret = { env = "KEY" } }]
[policy]
allow = ["s3://lake/exports/*"]
[audit.log]
directory = "audit"
"#;

pub(crate) const LOOK_UP: &str = r#"
name = "look-up"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.ani]
type = "string"
[query]
sql = "SELECT name FROM customers WHERE ani = $ani"
"#;

const WHO_ASKS: &str = r#"
name = "who-asks"
cache = "60s"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.caller]
type = "string"
[query]
sql = "SELECT name FROM customers WHERE CAST(ani AS VARCHAR) = $caller"
"#;

/// The same as `look-up`, in memory.
pub(crate) const HOT: &str = r#"
name = "hot-look-up"
hot = true
index = ["ani"]
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.ani]
type = "string"
[query]
sql = "SELECT name FROM customers WHERE ani = $ani"
"#;

/// The same with a short time limit.
const SHORT: &str = r#"
name = "short-look-up"
[limits]
timeout = "2s"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.ani]
type = "string"
[query]
sql = "SELECT name FROM customers WHERE ani = $ani"
"#;

/// Rows that tell what was sent.
const ECHO: &str = r#"
name = "echo"
cache = "60s"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.number]
type = "decimal"
[params.secret]
type = "string"
default = "none"
sensitive = true
[query]
sql = "SELECT name, CAST($number AS VARCHAR) AS number FROM customers WHERE $secret = 'none' ORDER BY name"
"#;

const CUSTOMERS: &str = "ani,name\n100,Ana\n101,Bo\n";

#[derive(Debug)]
pub(crate) struct Variables(pub(crate) HashMap<&'static str, String>);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

fn variables() -> Variables {
    Variables(HashMap::from([("KEY", KEY.to_owned())]))
}

/// A running server with the actions above.
pub(crate) struct Setting {
    pub(crate) server: RunningServer,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) stack: DevStack,
}

impl Setting {
    pub(crate) async fn start(change: impl FnOnce(&mut Config)) -> Self {
        Self::try_start(change).await.unwrap()
    }

    pub(crate) async fn try_start(change: impl FnOnce(&mut Config)) -> Result<Self, ActionError> {
        Self::furnished(change, |builder| builder).await
    }

    /// With another way to build the pipeline.
    pub(crate) async fn furnished(
        change: impl FnOnce(&mut Config),
        build: impl FnOnce(PipelineBuilder) -> PipelineBuilder,
    ) -> Result<Self, ActionError> {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake-root/lake/exports");
        std::fs::create_dir_all(&lake).unwrap();
        std::fs::write(lake.join("customers.csv"), CUSTOMERS).unwrap();
        std::fs::create_dir_all(folder.path().join("actions")).unwrap();
        std::fs::write(folder.path().join("actions/look-up.toml"), LOOK_UP).unwrap();
        std::fs::write(folder.path().join("actions/who-asks.toml"), WHO_ASKS).unwrap();
        std::fs::write(folder.path().join("actions/hot-look-up.toml"), HOT).unwrap();
        std::fs::write(folder.path().join("actions/short-look-up.toml"), SHORT).unwrap();
        std::fs::write(folder.path().join("actions/echo.toml"), ECHO).unwrap();
        std::fs::write(folder.path().join("flowlake.toml"), CONFIG).unwrap();
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket", "s3:GetBucketPolicy", "iam:*"], "Resource": "*" },
        ]});
        let identity = Identity::new(READER).with_policy("reading", policy);
        let stack = DevStack::builder(folder.path().join("lake-root"))
            .with_iam(IamDocument::default().with_identity(identity))
            .start()
            .await
            .unwrap();
        let mut project = Project::load(folder.path()).unwrap();
        let key = stack.access_key(READER);
        let aws = &mut project.config.aws;
        aws.region = Some("us-east-1".to_owned());
        aws.endpoint_url = Some(stack.aws_url().to_string());
        aws.s3_endpoint_url = Some(stack.s3_url().to_string());
        aws.path_style = true;
        aws.credentials = Some(StaticCredentials::new(key.id, key.secret));
        change(&mut project.config);
        let variables = variables();
        let settings = project.config.server.clone();
        let callers = Callers::load(&settings, &variables)?;
        let pipeline = Box::pin(build(Pipeline::builder(project)).build(&variables)).await?;
        let server = Server::try_new(pipeline, callers, settings)?;
        Ok(Self {
            server: server.start().await?,
            folder,
            stack,
        })
    }

    /// Takes the folder's configuration as it is now, with this change.
    pub(crate) fn reload(&self, change: impl FnOnce(&mut Config)) -> Result<(), ActionError> {
        let project = Project::load(self.folder.path()).map(|mut project| {
            change(&mut project.config);
            project
        });
        self.server.reload(project, &variables())
    }

    /// Writes an action file.
    pub(crate) fn write_action(&self, name: &str, text: &str) {
        let file = self.folder.path().join(format!("actions/{name}.toml"));
        std::fs::write(file, text).unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) async fn connect(&self) -> Peer {
        Peer::connect(self.address()).await
    }

    /// What operators get at a path.
    pub(crate) async fn operators(&self, path: &str) -> Reply {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        self.send_to_operators(request).await
    }

    pub(crate) async fn send_to_operators(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let address = self.server.admin_address().unwrap();
        let mut peer = Peer::connect(address).await;
        peer.write(bytes).await;
        peer.reply().await.unwrap()
    }

    /// What the server answers to these bytes on a connection of their own.
    pub(crate) async fn send(&self, bytes: impl AsRef<[u8]>) -> Option<Reply> {
        let mut peer = self.connect().await;
        peer.write(bytes).await;
        peer.reply().await
    }

    /// A URL of the server, by the name that its certificate has.
    pub(crate) fn url(&self, path: &str) -> String {
        let (scheme, port) = (self.server.scheme(), self.address().port());
        format!("{scheme}://localhost:{port}{path}")
    }

    /// Fails unless the server still answers a caller of its own, soon.
    pub(crate) async fn answers(&self, after: &str) {
        let answer = timeout(Duration::from_secs(5), self.send(look_up(KEY)));
        let answer = answer.await.unwrap_or_default();
        let answer = answer.unwrap_or_else(|| panic!("no answer after: {after}"));
        assert_eq!(answer.status, 200, "after {after}: {answer:?}");
        assert_eq!(answer.json()["data"][0]["name"], "Ana", "after {after}");
    }

    /// A figure of `/metrics`, by its name and labels as they are written.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.operators("/metrics").await.body;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        line.trim().parse().unwrap()
    }

    pub(crate) fn audit_folder(&self) -> PathBuf {
        self.folder.path().join("audit")
    }
}

/// A file of `tests/suite/certificates`.
pub(crate) fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/suite/certificates")
        .join(name)
}

/// The records of an audit log.
pub(crate) fn records(folder: &Path) -> Vec<AuditRecord> {
    let entries = flowlake_cost_audit::audit::tail(folder, 10_000).unwrap();
    entries.into_iter().map(|entry| entry.record).collect()
}

/// A GET with the key and these headers.
pub(crate) fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: flowlake\r\nAuthorization: Bearer {KEY}\r\n{headers}\r\n")
}

/// The same of another action.
pub(crate) fn call(action: &str) -> String {
    look_up(KEY).replacen("look-up", action, 1)
}

/// A request that is answered with `[{"name": "Ana"}]` where the key is right.
pub(crate) fn look_up(key: &str) -> String {
    post(
        "/v1/actions/look-up",
        &format!("Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"),
        "{\"ani\": \"100\"}",
    )
}

/// A POST with these headers and the length of its body.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: flowlake\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// A connection that writes whatever it wants.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    received: Vec<u8>,
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// The status line and the headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            received: Vec::new(),
        }
    }

    /// Writes, whether or not the server still listens.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// The next answer; nothing when the connection ends without one, or nothing comes for ten seconds.
    pub(crate) async fn reply(&mut self) -> Option<Reply> {
        timeout(Duration::from_secs(10), self.read_reply())
            .await
            .ok()?
    }

    async fn read_reply(&mut self) -> Option<Reply> {
        loop {
            if let Some((reply, length)) = parse(&self.received) {
                self.received.drain(..length);
                return Some(reply);
            }
            let mut part = vec![0; 16 << 10];
            match self.stream.read(&mut part).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.received.extend_from_slice(&part[..length]),
            }
        }
    }

    /// Everything until the server closes.
    pub(crate) async fn rest(&mut self, limit: Duration) -> String {
        let mut rest = Vec::new();
        let read = timeout(limit, self.stream.read_to_end(&mut rest)).await;
        read.expect("the server closes").unwrap();
        String::from_utf8(rest).unwrap()
    }

    /// How long it takes until the server closes, when it does within `limit`.
    pub(crate) async fn closed_within(&mut self, limit: Duration) -> Option<Duration> {
        let start = now();
        let end = async {
            let mut part = vec![0; 16 << 10];
            while !matches!(self.stream.read(&mut part).await, Ok(0) | Err(_)) {}
        };
        timeout(limit, end).await.ok()?;
        Some(start.elapsed())
    }
}

fn parse(bytes: &[u8]) -> Option<(Reply, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    let body = bytes.get(end..end + length)?;
    let body = String::from_utf8_lossy(body).into_owned();
    Some((Reply { status, head, body }, end + length))
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a real connection stays open is real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
