//! `cargo xtask deny`: what the dependencies are allowed to be.

use anyhow::Result;
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// The version this project was last checked with. A newer one may read deny.toml differently.
const VERSION: &str = "0.20.2";

/// Checks licences, bans and sources of all dependencies, and advisories where their database can be fetched.
#[derive(Debug, Default, Args)]
pub(crate) struct Deny {}

impl Deny {
    #[expect(clippy::unused_self, reason = "every chore is run in the same way")]
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        let deny = workspace::step("install cargo-deny", || {
            workspace.tool("cargo-deny", VERSION)
        })?;
        workspace::command(
            "deny",
            cmd!(
                shell,
                "{deny} --locked --workspace check --hide-inclusion-graph bans licenses sources"
            ),
        )?;
        // The advisory database is a git repository on a host that closed networks do not reach.
        let fetch = cmd!(shell, "{deny} --locked --workspace fetch db")
            .quiet()
            .ignore_stdout()
            .ignore_stderr();
        if fetch.run().is_err() {
            println!(
                "--- advisories: NOT RUN, because the advisory database cannot be fetched from here"
            );
            return Ok(());
        }
        workspace::command(
            "advisories",
            cmd!(
                shell,
                "{deny} --locked --workspace check --disable-fetch advisories"
            ),
        )
    }
}
