//! A bucket on the embedded stack, workers that are processes, and a pipeline in this one that asks them.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use flowlake_aws_access::StaticCredentials;
use flowlake_data_action::{
    ActionExplanation, ActionRequest, Answer, Environment, ErrorCode, Pipeline, Project,
};
use flowlake_dev_stack::{DevStack, IamDocument, Identity};
use serde_json::{Value, json};
use tempfile::TempDir;

const READER: &str = "arn:aws:iam::123456789012:user/reader";
const SECRET: &str = "only-nodes-of-this-test-know-it";
/// Made for the tests of the server, for `localhost`.
const CERTIFICATES: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../server/tests/suite/certificates"
);
/// Files of the table, each with [`ROWS`] rows.
pub(crate) const FILES: usize = 24;
const ROWS: usize = 2000;

pub(crate) struct House {
    pub(crate) stack: DevStack,
    pub(crate) folder: TempDir,
}

/// A worker. It is killed when it is dropped.
pub(crate) struct WorkerProcess {
    child: Child,
    pub(crate) address: String,
    folder: PathBuf,
    key: (String, String),
    more_arguments: Vec<String>,
}

#[derive(Debug)]
struct Variables(HashMap<String, String>);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// Where the workers listen.
pub(crate) fn addresses(workers: &[WorkerProcess]) -> Vec<&str> {
    let all = workers.iter().map(|worker| worker.address.as_str());
    all.collect()
}

impl House {
    pub(crate) async fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let calls = folder.path().join("lake-root/lake/exports/calls");
        fs::create_dir_all(&calls).unwrap();
        for file in 0..FILES {
            let mut text = "queue,seconds,file\n".to_owned();
            for row in 0..ROWS {
                let _ = writeln!(text, "q{},{},{file}", row % 13, row * 7 % 600);
            }
            fs::write(calls.join(format!("{file:02}.csv")), text).unwrap();
        }
        // Records of several lines.
        let notes = folder.path().join("lake-root/lake/exports/notes");
        fs::create_dir_all(&notes).unwrap();
        let mut text = "number,note\n".to_owned();
        for number in 0..20_000 {
            let _ = writeln!(text, "{number},\"one\ntwo, three\n{}\"", number * 31 % 1000);
        }
        fs::write(notes.join("all.csv"), text).unwrap();
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/*"] },
            { "Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy", "iam:GetRole", "s3:GetBucketPolicy"], "Resource": "*" },
        ]});
        let reader = Identity::new(READER).with_policy("reading", policy);
        let stack = DevStack::builder(folder.path().join("lake-root"))
            .with_iam(IamDocument::default().with_identity(reader))
            .start()
            .await
            .unwrap();
        fs::write(folder.path().join("secret"), SECRET).unwrap();
        Self { stack, folder }
    }

    /// A worker with more sections of its configuration.
    pub(crate) fn worker(&self, name: &str, more: &str) -> WorkerProcess {
        let folder = self.configure(name, more);
        let key = self.stack.access_key(READER);
        WorkerProcess::start(&folder, "127.0.0.1:0", (key.id, key.secret), Vec::new())
    }

    fn configure(&self, name: &str, more: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let config = format!(
            "[aws]\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\ns3_endpoint_url = \"{}\"\npath_style = true\n[cluster]\nsecret = {{ file = \"../secret\" }}\n{more}",
            self.stack.aws_url(),
            self.stack.s3_url(),
        );
        fs::write(folder.join("flowlake.toml"), config).unwrap();
        folder
    }

    /// A worker with TLS, and what others have to know of it in `[cluster]`.
    pub(crate) fn tls_worker(&self, name: &str) -> (WorkerProcess, String) {
        let file = |name: &str| format!("{CERTIFICATES}/{name}");
        let tls = format!(
            "tls_ca = \"{}\"\ntls_name = \"localhost\"\n",
            file("authority.pem")
        );
        let allowed = format!("{tls}[policy]\nallow = [\"s3://lake/exports/*\"]\n");
        let folder = self.configure(name, &allowed);
        let key = self.stack.access_key(READER);
        let arguments = [
            "--certificate",
            &file("server.pem"),
            "--key",
            &file("server.key"),
        ];
        let arguments = arguments.map(str::to_owned).to_vec();
        let worker = WorkerProcess::start(&folder, "127.0.0.1:0", (key.id, key.secret), arguments);
        (worker, tls)
    }

    pub(crate) fn workers(&self, count: usize) -> Vec<WorkerProcess> {
        let allowed = "[policy]\nallow = [\"s3://lake/exports/*\"]\n";
        (0..count)
            .map(|number| self.worker(&format!("worker-{number}"), allowed))
            .collect()
    }

    /// A pipeline that asks workers at these addresses.
    pub(crate) async fn pipeline(&self, name: &str, workers: &[&str], timeout: &str) -> Pipeline {
        self.pipeline_with(name, workers, timeout, "").await
    }

    /// The same with more in `[cluster]`.
    pub(crate) async fn pipeline_with(
        &self,
        name: &str,
        workers: &[&str],
        timeout: &str,
        more: &str,
    ) -> Pipeline {
        let builder = Pipeline::builder(self.project(name, workers, timeout, more));
        Box::pin(builder.build(&Variables(HashMap::new())))
            .await
            .unwrap()
    }

    /// What an action would do.
    pub(crate) async fn explained(&self, workers: &[&str], action: &str) -> ActionExplanation {
        let builder = Pipeline::builder(self.project("explained", workers, "60s", ""));
        let inspector = Box::pin(builder.inspect(&Variables(HashMap::new()))).await;
        let params = serde_json::Map::new();
        Box::pin(inspector.unwrap().explain(action, &params))
            .await
            .unwrap()
    }

    /// A project that asks workers at these addresses.
    fn project(&self, name: &str, workers: &[&str], timeout: &str, more: &str) -> Project {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(folder.join("actions")).unwrap();
        let config = format!(
            "[policy]\nallow = [\"s3://lake/exports/*\"]\n[audit.log]\ndirectory = \"audit\"\n[cluster]\nworkers = {workers:?}\nsecret = {{ file = \"../secret\" }}\nbytes_per_worker = \"64KiB\"\n{more}",
        );
        fs::write(folder.join("flowlake.toml"), config).unwrap();
        let queries = [
            (
                "-failing",
                "SELECT sum(seconds / (file - 23)) AS s FROM calls WHERE seconds >= $least",
            ),
            (
                "-frugal",
                "SELECT sum(seconds) AS s FROM calls WHERE seconds >= $least",
            ),
            (
                "",
                "SELECT queue, count(*) AS calls, sum(seconds) AS seconds, max(file) AS file FROM calls WHERE seconds >= $least GROUP BY queue ORDER BY queue",
            ),
            (
                "-notes",
                "SELECT count(*) AS notes, max(note) AS last, sum(number) AS numbers FROM notes WHERE number >= $least",
            ),
            (
                "-rows",
                "SELECT queue, seconds, file FROM calls WHERE seconds >= $least ORDER BY file, queue, seconds",
            ),
        ];
        for ((kind, sql), engine) in queries
            .into_iter()
            .flat_map(|query| ["local", "cluster"].map(|engine| (query, engine)))
        {
            let name = format!("{engine}{kind}");
            let table = if kind == "-notes" { "notes" } else { "calls" };
            // What listing the files and reading each once takes.
            let more = match kind {
                "-frugal" => format!("max_requests = {}\n", FILES + 2),
                _ => String::new(),
            };
            let action = format!(
                "name = \"{name}\"\nengine = \"{engine}\"\n[tables.{table}]\nuri = \"s3://lake/exports/{table}/*.csv\"\n[params.least]\ntype = \"integer\"\ndefault = 0\n[limits]\ntimeout = \"{timeout}\"\nmax_rows = 100000\nmax_output_bytes = \"64MiB\"\n{more}[query]\nsql = \"{sql}\"\n",
            );
            fs::write(folder.join(format!("actions/{name}.toml")), action).unwrap();
        }
        let mut project = Project::load(&folder).unwrap();
        let key = self.stack.access_key(READER);
        let aws = &mut project.config.aws;
        aws.region = Some("us-east-1".to_owned());
        aws.endpoint_url = Some(self.stack.aws_url().to_string());
        aws.s3_endpoint_url = Some(self.stack.s3_url().to_string());
        aws.path_style = true;
        aws.credentials = Some(StaticCredentials::new(key.id, key.secret));
        project
    }
}

pub(crate) async fn ask(
    pipeline: &Pipeline,
    action: &str,
    least: u32,
) -> Result<Answer, (ErrorCode, String)> {
    let params = json!({ "least": least });
    let request = ActionRequest {
        action: action.to_owned(),
        params: params.as_object().unwrap().clone(),
        ..ActionRequest::default()
    };
    let answer = pipeline.run(request).await;
    answer.map_err(|failure| (failure.error.code(), failure.error.message().to_owned()))
}

pub(crate) fn rows(answer: &Answer) -> Value {
    serde_json::from_str(answer.data.get()).unwrap()
}

impl WorkerProcess {
    fn start(
        folder: &Path,
        listen: &str,
        key: (String, String),
        more_arguments: Vec<String>,
    ) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_flowlake-worker"))
            .arg("--config")
            .arg(folder)
            .args(["--listen", listen, "--log", "warn"])
            .args(&more_arguments)
            .env("AWS_ACCESS_KEY_ID", &key.0)
            .env("AWS_SECRET_ACCESS_KEY", &key.1)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = said.next().unwrap().unwrap();
        let address = line.strip_prefix("flowlake-worker listens on ").unwrap();
        Self {
            child,
            address: address.to_owned(),
            folder: folder.to_owned(),
            key,
            more_arguments,
        }
    }

    /// Ends it without a word, and starts another at its address.
    pub(crate) fn replace(&mut self) {
        self.signal("-KILL");
        self.child.wait().unwrap();
        let arguments = self.more_arguments.clone();
        let other = Self::start(&self.folder, &self.address, self.key.clone(), arguments);
        *self = other;
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end; whether that was in order.
    pub(crate) fn ended(mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    /// Memory of the process, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        resident_kib(&self.child.id().to_string())
    }
}

/// Memory of a process, in KiB.
pub(crate) fn resident_kib(process: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let number = line.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
