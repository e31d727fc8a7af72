//! A function's folder, its execution environment, and the services around it.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use flowlake_dev_stack::{DevStack, IamDocument, Identity, LambdaRuntime};
use serde_json::json;

pub(crate) const ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:flowlake:live";

/// The audit log that a function can have without a file system.
pub(crate) const SHIPPED: &str =
    "[audit.ship]\nuri = \"s3://archive/flowlake\"\nbefore_answer = true\n";

const ROLE: &str = "arn:aws:iam::123456789012:user/function";

const CUSTOMERS: &str =
    "ani,name,tier,calls\n+12025550142,Ana,,3\n+12025550143,\"Bo \"\"B\"\" \\ $x\",,0\n";

const LOOK_UP: &str = r#"
name = "look-up"
hot = true
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.ani]
type = "phone"
sensitive = true
[limits]
timeout = "30s"
[query]
sql = "SELECT name, tier, calls FROM customers WHERE ani = $ani LIMIT 1"
"#;

const COLD: &str = r#"
name = "cold"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[limits]
timeout = "30s"
[query]
sql = "SELECT name FROM customers"
"#;

const OWN: &str = r#"
name = "own"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.caller]
type = "string"
[limits]
timeout = "30s"
[query]
sql = "SELECT $caller AS caller FROM customers LIMIT 1"
"#;

pub(crate) struct House {
    pub(crate) stack: DevStack,
    pub(crate) runtime: LambdaRuntime,
    folder: tempfile::TempDir,
}

/// The running program.
pub(crate) struct Function {
    child: Child,
    log: PathBuf,
}

impl House {
    /// A function whose configuration goes on so.
    pub(crate) async fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (buckets, task) = (folder.path().join("buckets"), folder.path().join("task"));
        for made in [
            buckets.join("lake/exports"),
            buckets.join("archive"),
            task.join("actions"),
            folder.path().join("tmp"),
        ] {
            fs::create_dir_all(made).unwrap();
        }
        fs::write(buckets.join("lake/exports/customers.csv"), CUSTOMERS).unwrap();
        for (name, text) in [("look-up", LOOK_UP), ("cold", COLD), ("own", OWN)] {
            fs::write(task.join(format!("actions/{name}.toml")), text).unwrap();
        }
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/exports/customers.csv" },
            { "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::archive/flowlake/*" },
            { "Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy", "iam:GetRole", "s3:GetBucketPolicy"], "Resource": "*" },
        ] });
        let document =
            IamDocument::default().with_identity(Identity::new(ROLE).with_policy("run", policy));
        let stack = DevStack::builder(buckets)
            .with_iam(document)
            .start()
            .await
            .unwrap();
        let text = format!(
            "[aws]\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\ns3_endpoint_url = \"{}\"\npath_style = true\n[policy]\nallow = [\"s3://lake/exports/*\"]\n{config}",
            stack.aws_url(),
            stack.s3_url(),
        );
        fs::write(task.join("flowlake.toml"), text).unwrap();
        Self {
            stack,
            runtime: LambdaRuntime::start(ARN).await.unwrap(),
            folder,
        }
    }

    /// Where records are shipped to.
    pub(crate) fn archive(&self) -> PathBuf {
        self.folder.path().join("buckets/archive/flowlake")
    }

    /// The disk of the execution environment.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    pub(crate) fn start(&self) -> Function {
        self.start_without("")
    }

    /// Starts the program as AWS Lambda does, but for one variable.
    pub(crate) fn start_without(&self, missing: &str) -> Function {
        let key = self.stack.access_key(ROLE);
        let log = self.folder.path().join("log");
        let task = self.folder.path().join("task").display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowlake-lambda"));
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", self.runtime.address().to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "flowlake")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "7")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/30/[7]0f3a")
            .env("LAMBDA_TASK_ROOT", task)
            .env("TMPDIR", self.scratch())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", key.id)
            .env("AWS_SECRET_ACCESS_KEY", key.secret)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap());
        if !missing.is_empty() {
            command.env_remove(missing);
        }
        Function {
            child: command.spawn().unwrap(),
            log,
        }
    }
}

impl Function {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Its resident memory.
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(Path::new(&status)).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let figure = line.unwrap().trim().trim_end_matches(" kB");
        figure.parse().unwrap()
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -TERM \"$1\"", "sh", &id])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Its exit code, once it has ended by itself.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        for _ in 0..2000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it still runs: {}", self.log());
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It becomes part of this test's output, which is searched for secrets.
        let _ = std::io::stderr().write_all(self.log().as_bytes());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
