//! `cargo xtask differential`: many generated queries, answered in many ways that must agree.

use anyhow::{Result, bail};
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// Says how many queries the test asks.
pub(crate) const QUERIES: &str = "FLOWLAKE_DIFFERENTIAL_QUERIES";

/// Runs tests/differential for longer than the everyday tests do; `-- queries=1000000 seed=7 threads=8 seconds=3600`.
#[derive(Debug, Args)]
pub(crate) struct Differential {
    /// Optimised, which answers several times as fast; the first build takes long.
    #[arg(long)]
    release: bool,
    /// `queries=` (a million when left out), `seed=` of the first table, `tables=` from it on, `threads=` (2), `seconds=` and
    /// `findings=` (5) after which it stops. It also stops at Ctrl-C, and prints its figures and the seed to go on with.
    #[arg(last = true)]
    settings: Vec<String>,
}

impl Differential {
    /// As `cargo xtask nightly` runs it.
    pub(crate) fn nightly() -> Self {
        Self {
            release: false,
            settings: Vec::new(),
        }
    }

    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        // With `tables=`, it is done when they are.
        let has_tables = self.settings.iter().any(|set| set.starts_with("tables="));
        let queries = if has_tables { u64::MAX } else { 1_000_000 };
        let mut variables = vec![shell.push_env(QUERIES, queries.to_string())];
        for setting in &self.settings {
            let Some((
                name @ ("queries" | "seed" | "tables" | "findings" | "threads" | "seconds"),
                value,
            )) = setting.split_once('=')
            else {
                bail!(
                    "`{setting}` is no setting: there are queries=, seed=, tables=, threads=, seconds= and findings="
                );
            };
            let name = format!("FLOWLAKE_DIFFERENTIAL_{}", name.to_uppercase());
            variables.push(shell.push_env(name, value));
        }
        let profile = self.release.then_some("--release");
        // Not --package: so it is built with the features that everything else is built with.
        workspace::command(
            "differential",
            cmd!(
                shell,
                "cargo test --locked --workspace {profile...} --test differential -- --nocapture all_ways_answer_alike"
            ),
        )
    }
}
