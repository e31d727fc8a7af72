//! The product: a folder with its configuration, the command line, the server.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use flowlake_dev_stack::{LambdaRuntime, note_secret};
use serde_json::Value;

use crate::{Answer, Environment, Keys, Process, audit_records, free_ports, http, process};

/// Where the server's key is, as the configuration names it.
const SERVER_KEY_VARIABLE: &str = "FLOWLAKE_E2E_SERVER_KEY";

/// The server's key in all tests.
const SERVER_KEY: &str = "server-key-1d7e3a90b44f";

/// How many runs there were in this process.
static RUNS: AtomicUsize = AtomicUsize::new(0);

/// Longest time that one run may take.
const LIMIT: Duration = Duration::from_secs(120);

/// What differs between the configurations of the tests.
#[derive(Debug, Clone)]
pub struct ProjectSettings {
    /// Where STS and IAM are.
    pub aws_url: String,
    /// Where S3 is.
    pub s3_url: String,
    /// Who runs it.
    pub keys: Keys,
    /// `[access] mode`.
    pub access_mode: &'static str,
    /// `[transform] memory`.
    pub memory: &'static str,
    /// The folder of the actions, from the workspace's root.
    pub actions: &'static str,
    /// More sections of the configuration.
    pub more: String,
}

impl ProjectSettings {
    /// The actions of the tests, with IAM enforced.
    #[must_use]
    pub fn new(aws_url: impl Into<String>, s3_url: impl Into<String>, keys: Keys) -> Self {
        Self {
            aws_url: aws_url.into(),
            s3_url: s3_url.into(),
            keys,
            access_mode: "enforce",
            memory: "64MiB",
            actions: "tests/e2e/actions",
            more: String::new(),
        }
    }
}

/// A configuration folder with its actions, and the binaries to run it with.
#[derive(Debug)]
pub struct Project {
    environment: Environment,
    folder: PathBuf,
    keys: Keys,
    variables: Vec<(&'static str, String)>,
}

/// A run of the command line that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed for the caller.
    pub stdout: String,
    /// What it printed for the person.
    pub stderr: String,
    /// The largest resident memory it had, pages of its own program included.
    pub peak_memory_kib: u64,
    /// The largest resident memory it had taken for itself, looked at every 2 ms.
    pub peak_own_memory_kib: u64,
    /// How long it took.
    pub duration: Duration,
}

impl Finished {
    /// What it printed for the caller, as JSON.
    ///
    /// # Errors
    /// When it is something else.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| {
            format!(
                "{}, not JSON: {}\n{}",
                self.status, self.stdout, self.stderr
            )
        })
    }
}

impl Project {
    /// Writes the configuration.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn create(
        environment: &Environment,
        folder: &Path,
        settings: &ProjectSettings,
    ) -> Result<Self> {
        let actions = folder.join("actions");
        fs::create_dir_all(&actions)?;
        for entry in fs::read_dir(workspace_folder(settings.actions))? {
            let entry = entry?;
            fs::copy(entry.path(), actions.join(entry.file_name()))?;
        }
        fs::write(folder.join("flowlake.toml"), configuration(settings))?;
        Ok(Self::open(environment, folder, settings.keys.clone()))
    }

    /// Takes a folder as it is.
    #[must_use]
    pub fn open(environment: &Environment, folder: &Path, keys: Keys) -> Self {
        Self {
            environment: environment.clone(),
            folder: folder.to_owned(),
            keys,
            variables: Vec::new(),
        }
    }

    /// Sets an environment variable of the binaries.
    #[must_use]
    pub fn with_variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Runs the command line in this configuration.
    ///
    /// # Errors
    /// When it cannot be started or does not end.
    pub fn run(&self, arguments: &[&str]) -> Result<Finished> {
        // Each run's own files: all of them are searched for secrets at the end.
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let (out, err) = (
            self.folder.join(format!("stdout-{run}.txt")),
            self.folder.join(format!("stderr-{run}.txt")),
        );
        let started = process::now();
        let mut child = self
            .command("flowlake")
            .arg("--config")
            .arg(&self.folder)
            .args(arguments)
            .stdout(fs::File::create(&out)?)
            .stderr(fs::File::create(&err)?)
            .spawn()
            .context("cannot start flowlake")?;
        let (mut peak_memory_kib, mut peak_own_memory_kib) = (0, 0);
        let status = loop {
            // The mark only rises and vanishes with the process, so the last one read is the peak but for milliseconds.
            peak_memory_kib = process::peak_memory_kib(child.id())
                .unwrap_or_default()
                .max(peak_memory_kib);
            peak_own_memory_kib = process::own_memory_kib(child.id())
                .unwrap_or_default()
                .max(peak_own_memory_kib);
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if started.elapsed() > LIMIT {
                child.kill()?;
                break child.wait()?;
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        Ok(Finished {
            status,
            stdout: fs::read_to_string(out)?,
            stderr: fs::read_to_string(err)?,
            peak_memory_kib,
            peak_own_memory_kib,
            duration: started.elapsed(),
        })
    }

    /// Starts the server in this configuration, on a free port.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve(&self) -> Result<Server> {
        // All that it could log is searched for secrets.
        self.serve_with_log("info,flowlake=trace")
    }

    /// [`Project::serve`] where the configuration has `[server.tls]`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve_over_tls(&self) -> Result<Server> {
        let mut server = self.serve()?;
        server.url = server.url.replacen("http:", "https:", 1);
        Ok(server)
    }

    /// [`Project::serve`] with another filter of its log.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve_with_log(&self, filter: &str) -> Result<Server> {
        self.serve_by(self.command("flowlake-server"), filter)
    }

    /// [`Project::serve`] where no file may grow beyond this many KiB: to the server, the disk is full from there on.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve_with_small_files(&self, limit_kib: u32) -> Result<Server> {
        let server = self.command("flowlake-server");
        let mut command = Command::new("/bin/sh");
        // POSIX counts in blocks of 512 bytes; with the signal ignored, a write beyond the limit fails and nothing is killed.
        command
            .args([
                "-c",
                "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"",
                "sh",
            ])
            .arg((limit_kib * 2).to_string())
            .arg(server.get_program())
            .env_clear()
            .envs(
                server
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            )
            .current_dir(&self.folder);
        self.serve_by(command, "info,flowlake=trace")
    }

    /// Starts the function in this configuration, as AWS Lambda does; it takes its events from this runtime API.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn function(&self, runtime: &LambdaRuntime) -> Result<Process> {
        let mut command = self.command("flowlake-lambda");
        command
            .arg("--config")
            .arg(self.folder.join("flowlake.toml"))
            .env("FLOWLAKE_LOG", "info,flowlake=trace")
            .env("AWS_LAMBDA_RUNTIME_API", runtime.address().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "flowlake")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/30/[1]e2e")
            .env("TMPDIR", &self.folder);
        Process::start("function", &self.folder, &mut command)
    }

    /// Starts the server, and ends it once it says where it listens; how long that took.
    ///
    /// # Errors
    /// When it ends before.
    pub fn time_to_listen(&self) -> Result<Duration> {
        let mut command = self.command("flowlake-server");
        command
            .arg("--config")
            .arg(self.folder.join("flowlake.toml"))
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .env("FLOWLAKE_LOG", "error")
            .stdout(Stdio::piped());
        let start = process::now();
        let mut server = command.spawn().context("the server cannot be started")?;
        let said = server.stdout.take().context("its output is piped")?;
        let mut line = String::new();
        let read = BufReader::new(said).read_line(&mut line);
        let took = start.elapsed();
        server.kill()?;
        server.wait()?;
        read?;
        ensure!(line.starts_with("listening"), "the server said {line:?}");
        Ok(took)
    }

    fn serve_by(&self, command: Command, log: &str) -> Result<Server> {
        let [port] = free_ports()?;
        self.serve_at(port, "server", command, log)
    }

    /// [`Project::serve`] as one of several nodes, on a port of its own. Its records are in a folder of its name.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn serve_node(&self, node: &str, port: u16) -> Result<Server> {
        let mut command = self.command("flowlake-server");
        command.args(["--node", node]);
        let name = format!("server-{node}");
        self.serve_at(port, &name, command, "info,flowlake=debug")
    }

    fn serve_at(&self, port: u16, name: &str, mut command: Command, log: &str) -> Result<Server> {
        let [admin] = free_ports()?;
        let admin = format!("127.0.0.1:{admin}");
        let address = format!("127.0.0.1:{port}");
        command
            .arg("--config")
            .arg(self.folder.join("flowlake.toml"))
            .args(["--listen", &address, "--admin", &admin])
            .env("FLOWLAKE_LOG", log);
        let mut process = Process::start(name, &self.folder, &mut command)?;
        let operators = format!("http://{admin}");
        process.wait_until(Duration::from_secs(30), || {
            http::status(&format!("{operators}/livez")) == Some(200)
        })?;
        Ok(Server {
            process,
            url: format!("http://{address}"),
            operators,
        })
    }

    /// The audit records so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit_records(&self) -> Result<Vec<Value>> {
        audit_records(&self.audit_folder())
    }

    /// Where the audit log is.
    #[must_use]
    pub fn audit_folder(&self) -> PathBuf {
        self.folder.join("audit")
    }

    /// The definition of an action.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn action(&self, name: &str) -> Result<toml::Table> {
        Ok(
            fs::read_to_string(self.folder.join("actions").join(format!("{name}.toml")))?
                .parse()?,
        )
    }

    /// The folder of the configuration.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One of the binaries, with an environment that holds nothing of the machine's.
    fn command(&self, binary: &str) -> Command {
        note_secret(SERVER_KEY);
        let mut command = Command::new(self.environment.binary(binary));
        command
            .env_clear()
            .env("AWS_ACCESS_KEY_ID", &self.keys.id)
            .env("AWS_SECRET_ACCESS_KEY", &self.keys.secret)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env(SERVER_KEY_VARIABLE, SERVER_KEY)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder);
        command
    }
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Process,
    url: String,
    operators: String,
}

impl Server {
    /// What operators get at a path.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn operators(&self, path: &str) -> Result<http::Answer> {
        http::request(&format!("{}{path}", self.operators), None, None)
    }

    /// The URL of what operators look at.
    #[must_use]
    pub fn operators_url(&self) -> &str {
        &self.operators
    }

    /// The key it knows.
    pub const KEY: &'static str = SERVER_KEY;

    /// Calls an action with its key.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn call(&self, action: &str, parameters: &Value) -> Result<Answer> {
        http::request(
            &format!("{}/v1/actions/{action}", self.url),
            Some(SERVER_KEY),
            Some(parameters),
        )
    }

    /// Gets a page with its key.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Result<Answer> {
        http::request(&format!("{}{path}", self.url), Some(SERVER_KEY), None)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its resident memory now, in KiB.
    ///
    /// # Errors
    /// When it has ended.
    pub fn resident_memory_kib(&self) -> Result<u64> {
        self.process.resident_memory_kib()
    }

    /// Its process.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A folder of the workspace.
fn workspace_folder(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(folder)
}

fn configuration(settings: &ProjectSettings) -> String {
    let ProjectSettings {
        aws_url,
        s3_url,
        access_mode,
        memory,
        more,
        ..
    } = settings;
    let bucket = crate::BUCKET;
    format!(
        r#"[server]
keys = [{{ name = "e2e", secret = {{ env = "{SERVER_KEY_VARIABLE}" }} }}]

[aws]
region = "us-east-1"
endpoint_url = "{aws_url}"
s3_endpoint_url = "{s3_url}"
path_style = true

[access]
mode = "{access_mode}"

[policy]
allow = ["s3://{bucket}/exports/*"]

[transform]
memory = "{memory}"

[audit.log]
directory = "audit"

{more}"#
    )
}
