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

/// How many inputs a simulated data action is tried with; read in apps/cli/tests/suite/generated.rs.
const SIMULATED_INPUTS: &str = "FLOWLAKE_SIMULATED_INPUTS";

/// Runs `check`, `test` with 20,000 generated queries and 1,000 inputs of each example action, and `e2e`.
#[derive(Debug, Args)]
pub(crate) struct Ci {}

impl Ci {
    #[expect(clippy::unused_self, reason = "every chore is run in the same way")]
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let started = workspace::now();
        Check::ALL.run(workspace)?;
        let queries = workspace.shell.push_env(differential::QUERIES, "20000");
        let inputs = workspace.shell.push_env(SIMULATED_INPUTS, "1000");
        Test::ci().run(workspace)?;
        drop((queries, inputs));
        E2e::ci().run(workspace)?;
        println!("--- ci: ok, {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }
}
