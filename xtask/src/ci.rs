//! `cargo xtask ci`: what has to pass before a change lands.

use anyhow::Result;
use clap::Args;

use crate::{
    check::Check,
    differential,
    e2e::E2e,
    test::Test,
    workspace::{self, Workspace},
};

/// Runs `check`, `test` with every generated case, of which the everyday run has one in forty, and `e2e`.
#[derive(Debug, Args)]
pub(crate) struct Ci {}

impl Ci {
    #[expect(clippy::unused_self, reason = "every chore is run in the same way")]
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let started = workspace::now();
        Check::ALL.run(workspace)?;
        let generated = [
            workspace.shell.push_env("FLOWLAKE_GENERATED", "whole"),
            workspace.shell.push_env(differential::QUERIES, "20000"),
        ];
        Test::ci().run(workspace)?;
        drop(generated);
        E2e::ci().run(workspace)?;
        println!("--- ci: ok, {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }
}
