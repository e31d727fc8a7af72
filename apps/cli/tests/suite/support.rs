//! A house to test in: the embedded stack, a project, and its server.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use flowlake_data_action::{Environment, Pipeline, Project};
use flowlake_dev_stack::{DevStack, GenesysSettings, IamDocument, Identity, note_secret};
use flowlake_server::{Callers, RunningServer, Server};
use serde_json::{Value, json};

pub(crate) const READER: &str = "arn:aws:iam::123456789012:user/reader";
pub(crate) const KEY: &str = "the-servers-key-of-these-tests";

/// Values that templates and JSON could trip over.
const CUSTOMERS: &str = "ani,name,tier,calls,spent\n\
    +12025550142,Ana,gold,3,12.5\n\
    +12025550143,\"Bo \"\"B\"\" \\ $x ${y} #if #end\",,0,\n\
    +12025550144,\"two\nlines 😀\",\"\",7,0.25\n";

pub(crate) const LOOK_UP: &str = r#"
name = "look-up"
description = "Who is calling"
[genesys]
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.ani]
type = "phone"
description = "The caller's number"
[limits]
timeout = "5s"
[query]
sql = "SELECT name, tier, calls, spent FROM customers WHERE ani = $ani LIMIT 1"
"#;

pub(crate) const ALL: &str = r#"
name = "all"
[genesys]
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.least]
type = "integer"
default = 0
[params.tier]
type = "string"
default = ""
[query]
sql = "SELECT name, tier, calls, spent FROM customers WHERE calls >= $least AND ($tier = '' OR tier = $tier) ORDER BY calls"
"#;

pub(crate) const LISTS: &str = r#"
name = "lists"
[genesys]
shape = "columns"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[query]
sql = "SELECT coalesce(name, '') AS name, coalesce(tier, 'none') AS tier, coalesce(calls, 0) AS calls FROM customers ORDER BY calls"
"#;

#[derive(Debug)]
struct Variables(HashMap<String, String>);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// Runs a program; what it printed and logged becomes part of this test's output, which is searched for secrets.
pub(crate) async fn output_of(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    let mut seen = std::io::stderr();
    seen.write_all(&output.stdout).unwrap();
    seen.write_all(&output.stderr).unwrap();
    output
}

/// What reads the exports.
fn reading() -> Value {
    json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] },
        { "Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy", "iam:GetRole", "s3:GetBucketPolicy"], "Resource": "*" },
    ] })
}

/// What reads the exports, and may do something with other objects of the bucket.
pub(crate) fn reading_and(action: &str, keys: &str) -> Value {
    let mut policy = reading();
    let more = json!({ "Effect": "Allow", "Action": action, "Resource": format!("arn:aws:s3:::lake/{keys}") });
    policy["Statement"].as_array_mut().unwrap().push(more);
    policy
}

/// A stack, a project in a folder, and perhaps its server.
pub(crate) struct House {
    pub(crate) stack: DevStack,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) variables: HashMap<String, String>,
    pub(crate) server: Option<RunningServer>,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GenesysSettings)) -> Self {
        Self::build(&reading(), change).await
    }

    /// A house whose principal has this policy.
    pub(crate) async fn build(policy: &Value, change: impl FnOnce(&mut GenesysSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let exports = folder.path().join("buckets/lake/exports");
        std::fs::create_dir_all(&exports).unwrap();
        std::fs::write(exports.join("customers.csv"), CUSTOMERS).unwrap();
        let document = IamDocument::default()
            .with_identity(Identity::new(READER).with_policy("reading", policy.clone()));
        note_secret(KEY);
        let mut genesys = GenesysSettings {
            integration_credentials: BTreeMap::from([("apiKey".to_owned(), KEY.to_owned())]),
            ..GenesysSettings::default()
        };
        change(&mut genesys);
        let secret = genesys.client_secret.clone();
        let stack = DevStack::builder(folder.path().join("buckets"))
            .with_iam(document)
            .with_genesys(genesys)
            .start()
            .await
            .unwrap();
        let key = stack.access_key(READER);
        let variables = [
            ("AWS_ACCESS_KEY_ID", key.id),
            ("AWS_SECRET_ACCESS_KEY", key.secret),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("GENESYS_SECRET", secret),
            ("SERVER_KEY", KEY.to_owned()),
        ];
        let house = Self {
            stack,
            folder,
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            server: None,
        };
        house.configure("http://127.0.0.1:9");
        for text in [LOOK_UP, ALL, LISTS] {
            house.action(text);
        }
        house
    }

    /// The folder of what actions may read.
    pub(crate) fn exports(&self) -> PathBuf {
        self.path().join("buckets/lake/exports")
    }

    /// Lays an object.
    pub(crate) fn lay(&self, key: &str, content: &[u8]) {
        let path = self.exports().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn action(&self, text: &str) {
        let folder = self.path().join("actions");
        std::fs::create_dir_all(&folder).unwrap();
        let name = text
            .lines()
            .find_map(|line| line.strip_prefix("name = "))
            .unwrap();
        let name = name.trim_matches('"');
        std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    }

    pub(crate) fn configure(&self, url: &str) {
        let genesys = GenesysSettings::default();
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
keys = [{{ name = "genesys", secret = {{ env = "SERVER_KEY" }} }}]
[aws]
region = "us-east-1"
endpoint_url = "{}"
s3_endpoint_url = "{}"
path_style = true
[policy]
allow = ["s3://lake/exports/*"]
[audit.log]
directory = "audit"
[genesys]
region = "eu-west-1"
login_url = "{}"
api_url = "{}"
client_id = "{}"
client_secret = {{ env = "GENESYS_SECRET" }}
[publish]
url = "{url}"
integration_id = "{}"
"#,
            self.stack.aws_url(),
            self.stack.s3_url(),
            self.stack.genesys_login_url(),
            self.stack.genesys_api_url(),
            genesys.client_id,
            genesys.integration_id,
        );
        std::fs::write(self.path().join("flowlake.toml"), text).unwrap();
    }

    /// Lets actions read whatever the principal may.
    pub(crate) fn allow_all(&self) {
        let path = self.path().join("flowlake.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let allowed = "allow = [\"s3://lake/*\", \"s3://genesys-data-lake/*\"]";
        let config = config.replace("allow = [\"s3://lake/exports/*\"]", allowed);
        std::fs::write(path, config).unwrap();
    }

    /// Adds to the configuration.
    pub(crate) fn more_config(&self, text: &str) {
        let path = self.path().join("flowlake.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, format!("{config}\n{text}")).unwrap();
    }

    /// Starts the project's server, and makes its address that of the documents.
    pub(crate) async fn serve(&mut self) {
        let mut project = Project::load(self.path()).unwrap();
        let key = self.stack.access_key(READER);
        project.config.aws.credentials = Some(flowlake_aws_access::StaticCredentials::new(
            key.id, key.secret,
        ));
        let settings = project.config.server.clone();
        let variables = Variables(self.variables.clone());
        let callers = Callers::load(&settings, &variables).unwrap();
        let pipeline = Box::pin(Pipeline::builder(project).build(&variables))
            .await
            .unwrap();
        let server = Server::try_new(pipeline, callers, settings).unwrap();
        let server = server.start().await.unwrap();
        self.configure(&format!("http://{}", server.address()));
        self.server = Some(server);
    }

    /// Runs the binary with nothing of this machine's environment.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.command();
        command.args(arguments);
        output_of(command).await
    }

    /// The binary with this project.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowlake"));
        command
            .arg("--config")
            .arg(self.path())
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .env("USER", "tester")
            .envs(&self.variables)
            .current_dir(self.path());
        command
    }

    /// What it prints, once it has ended with this exit code.
    pub(crate) async fn told(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments).await;
        let told = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}\n{told}\n{error}"
        );
        told + &error
    }

    pub(crate) async fn json(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.run(arguments).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The records of publishing.
    pub(crate) async fn records(&self) -> Vec<Value> {
        let folder = self.path().join("audit-publish").display().to_string();
        let arguments = [
            "audit",
            "tail",
            "-n",
            "1000",
            "--directory",
            &folder,
            "--output",
            "jsonl",
        ];
        let output = self.run(&arguments).await;
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(record).collect()
    }

    pub(crate) fn published(&self, name: &str) -> Value {
        let all = self.stack.genesys().published_actions();
        let found = all.iter().find(|action| action["name"] == name);
        found.cloned().unwrap_or_default()
    }
}

/// The record on one line of a log.
pub(crate) fn record(line: &str) -> Value {
    let line: Value = serde_json::from_str(line).unwrap();
    match line.get("record") {
        Some(record) => record.clone(),
        None => line,
    }
}

/// A row as a flow sees it.
pub(crate) fn without_nulls(row: &Value) -> Value {
    let members = row.as_object().unwrap().clone().into_iter();
    Value::Object(members.filter(|(_, value)| !value.is_null()).collect())
}
