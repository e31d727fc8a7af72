//! A person at a shell, in a folder of files, with nothing configured.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{House, output_of, record};

const CALLS: &str = "id,ani,queue,ms\n\
    1,+12025550142,Sales,1200\n\
    2,+12025550143,Support,34000\n\
    3,+12025550144,Sales,900\n";

/// A person in a folder of files, with nothing configured.
pub(crate) struct Desk {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) variables: Vec<(String, String)>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        };
        desk.lay("data/calls.csv", CALLS);
        desk
    }

    /// The same, of a person who may read the house's exports.
    pub(crate) fn of(house: &House) -> Self {
        let mut desk = Self::new();
        desk.variables = house.variables.clone().into_iter().collect();
        for (name, url) in [
            ("AWS_ENDPOINT_URL", house.stack.aws_url()),
            ("AWS_ENDPOINT_URL_S3", house.stack.s3_url()),
        ] {
            desk.variables.push((name.to_owned(), url.to_string()));
        }
        desk
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn lay(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Puts a file in the place of another one at once, so that nobody reads half of it.
    pub(crate) fn replace(&self, name: &str, content: &str) {
        let beside = format!("{name}.new");
        self.lay(&beside, content);
        std::fs::rename(self.path(&beside), self.path(name)).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowlake"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path("home"))
            .env("USER", "tester")
            // What asks AWS for anything fails.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        output_of(self.command(arguments)).await
    }

    /// What it prints as rows and as remarks, once it has ended with this exit code.
    pub(crate) async fn asked(&self, arguments: &[&str], code: i32) -> (String, String) {
        let output = self.run(arguments).await;
        let out = String::from_utf8(output.stdout).unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}\n{out}\n{told}"
        );
        (out, told)
    }

    pub(crate) async fn rows(&self, sql: &str, more: &[&str]) -> Value {
        let arguments = [&["sql", sql, "--format", "json"], more].concat();
        let (out, _) = self.asked(&arguments, 0).await;
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    /// Why there are no rows.
    pub(crate) async fn refused(&self, arguments: &[&str], code: i32) -> String {
        let (out, told) = self.asked(arguments, code).await;
        assert_eq!(out, "", "{arguments:?}");
        told
    }

    /// The audit records, of a log that no other process wrote at the same time.
    pub(crate) async fn records(&self) -> Vec<Value> {
        let log = self.path("home/.local/state/flowlake/audit/1");
        let log = log.display().to_string();
        let all = [
            "audit",
            "tail",
            "-n",
            "1000",
            "--directory",
            &log,
            "--output",
            "jsonl",
        ];
        let (out, _) = self.asked(&all, 0).await;
        out.lines().map(record).collect()
    }
}
