//! `cargo xtask check`: everything that can be said of the code without running it.

use anyhow::Result;
use clap::Args;
use xshell::cmd;

use crate::{
    api::Api,
    deny::Deny,
    tidy::Tidy,
    workspace::{self, Workspace},
};

/// Checks formatting, tidiness, lints, documentation, public APIs and dependencies.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Leaves out the step that needs crates.io.
    #[arg(long)]
    offline: bool,
}

impl Check {
    /// Everything, as CI runs it.
    pub(crate) const ALL: Self = Self { offline: false };

    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        workspace::command("fmt", cmd!(shell, "cargo fmt --all --check"))?;
        workspace::command(
            "fmt of the comparisons",
            cmd!(
                shell,
                "cargo fmt --manifest-path benches/Cargo.toml --check"
            ),
        )?;
        workspace::step("tidy", || Tidy::default().run(workspace))?;
        workspace::command(
            "clippy",
            cmd!(
                shell,
                "cargo clippy --workspace --all-targets --locked -- -D warnings"
            ),
        )?;
        workspace::command(
            "doc",
            cmd!(shell, "cargo doc --workspace --no-deps --locked")
                .env("RUSTDOCFLAGS", "-D warnings"),
        )?;
        Api::default().run(workspace)?;
        if self.offline {
            println!("--- deny: NOT RUN, because of --offline");
            return Ok(());
        }
        Deny::default().run(workspace)
    }
}
