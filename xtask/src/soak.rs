//! `cargo xtask soak`, `cargo xtask overload` and `cargo xtask start`: the server for a long time, under more than it can do, and at
//! its start.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, E2E_PACKAGE, Workspace};

/// Runs the server under everything at once (look-ups, scans, bad requests, hang-ups, reloads, replaced objects, faults of S3), and
/// compares its answers, records and memory with what they have to be; writes target/soak/soak.csv and soak.svg.
#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// How long.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    #[command(flatten)]
    programs: Programs,
}

/// Asks five times as much as the server can answer: it has to answer nine of ten of what it can, and to refuse the rest within 10 ms.
#[derive(Debug, Args)]
pub(crate) struct Overload {
    /// How long each of the two measurements takes.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    #[command(flatten)]
    programs: Programs,
}

/// Starts the server with 200 actions again and again, and says how long it takes until it listens: less than 300 ms. Of the command
/// line, the help has to be there within 30 ms, and the first row of a file of 1 MiB within 150 ms.
#[derive(Debug, Args)]
pub(crate) struct Start {
    /// For how long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    #[command(flatten)]
    programs: Programs,
}

#[derive(Debug, Args)]
struct Programs {
    /// A folder with `flowlake` and `flowlake-server`; left out, those of `cargo build`, whose times mean little.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

impl Soak {
    /// As `cargo xtask nightly` runs it.
    pub(crate) fn nightly() -> Self {
        Self {
            minutes: 30,
            programs: Programs { programs: None },
        }
    }

    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        self.programs.run(workspace, "soak", self.minutes * 60)
    }
}

impl Overload {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        self.programs.run(workspace, "overload", self.seconds)
    }
}

impl Start {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        self.programs.run(workspace, "start", self.seconds)
    }
}

impl Programs {
    fn run(&self, workspace: &Workspace, what: &str, seconds: u64) -> Result<()> {
        let shell = &workspace.shell;
        let built = if self.programs.is_some() {
            // The callers and their S3 share the processors with the server: unoptimised, they are half of what is measured.
            workspace::command(
                "callers",
                cmd!(
                    shell,
                    "cargo build --locked --release -p {E2E_PACKAGE} --bin flowlake-soak"
                ),
            )?;
            workspace.target().join("release")
        } else {
            // The features of the whole workspace, so that nothing is built a second time.
            workspace::command(
                "programs",
                cmd!(
                    shell,
                    "cargo build --locked --workspace --bin flowlake-soak --bin flowlake --bin flowlake-server"
                ),
            )?;
            workspace.target().join("debug")
        };
        let programs = self.programs.as_deref().unwrap_or(Path::new(&built));
        let (soak, folder) = (built.join("flowlake-soak"), workspace.target().join(what));
        let seconds = seconds.to_string();
        workspace::command(
            what,
            cmd!(shell, "{soak} {what} {programs} {folder} {seconds}"),
        )
    }
}
