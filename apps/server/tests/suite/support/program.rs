//! The program itself, started on the stack of a [`Setting`].

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::Client;
use tokio::time::sleep;

use super::{CONFIG, KEY, LOOK_UP, Setting, now};

/// The program with a configuration on the stack of a [`Setting`], and what it logs.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) folder: PathBuf,
    pub(crate) url: String,
    pub(crate) operators: String,
    pub(crate) log: Arc<Mutex<String>>,
}

impl Program {
    pub(crate) fn start(setting: &Setting) -> Self {
        Self::start_with(setting, &program_config(setting))
    }

    pub(crate) fn start_with(setting: &Setting, config: &str) -> Self {
        Self::start_within("", setting, config)
    }

    /// The same within limits of the system, as commands of a shell that end in `;`.
    pub(crate) fn start_within(limits: &str, setting: &Setting, config: &str) -> Self {
        let folder = setting.folder.path().join("program");
        fs::create_dir_all(folder.join("actions")).unwrap();
        fs::write(folder.join("flowlake.toml"), config).unwrap();
        fs::write(folder.join("key"), KEY).unwrap();
        fs::write(folder.join("actions/look-up.toml"), LOOK_UP).unwrap();
        let key = setting
            .stack
            .access_key("arn:aws:iam::123456789012:user/reader");
        let mut child = Command::new("sh")
            .args(["-c", &format!("{limits} exec \"$0\" --config \"$1\"")])
            .arg(env!("CARGO_BIN_EXE_flowlake-server"))
            .arg(&folder)
            .env("AWS_ACCESS_KEY_ID", key.id)
            .env("AWS_SECRET_ACCESS_KEY", key.secret)
            .env("KEY", KEY)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut url = |start: &str| {
            let line = said.next().unwrap().unwrap();
            line.strip_prefix(start).unwrap().to_owned()
        };
        let (address, operators) = (url("listening on "), url("operators: "));
        let log = Arc::new(Mutex::new(String::new()));
        let (kept, lines) = (Arc::clone(&log), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        Self {
            child,
            folder,
            url: format!("{address}/v1/actions/look-up"),
            operators,
            log,
        }
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.folder.join(file), text).unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    pub(crate) async fn operators(&self, path: &str) -> String {
        let client = Client::builder().no_proxy().build().unwrap();
        let url = format!("{}{path}", self.operators);
        client.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// Waits until a line of `/metrics` is there.
    pub(crate) async fn counts(&self, line: &str) {
        let start = now();
        loop {
            let metrics = self.operators("metrics").await;
            if metrics.lines().any(|found| found == line) {
                return;
            }
            let waited = start.elapsed();
            let log = self.log.lock().unwrap().clone();
            assert!(
                waited < Duration::from_secs(10),
                "no {line}: {metrics} {log}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn program_config(setting: &Setting) -> String {
    let server = CONFIG.replacen("[server]", "[server]\nreload_every = \"100ms\"", 1);
    format!(
        "{server}[aws]\nregion = \"us-east-1\"\nendpoint_url = \"{}\"\ns3_endpoint_url = \"{}\"\npath_style = true\n",
        setting.stack.aws_url(),
        setting.stack.s3_url()
    )
}
