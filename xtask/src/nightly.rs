//! `cargo xtask nightly`: what takes too long for every change, one check each.

mod features;
mod fuzz;
mod mutants;
mod versions;

use anyhow::Result;
use clap::{Args, Subcommand};
use xshell::cmd;

use crate::{
    differential::Differential,
    soak::Soak,
    workspace::{self, Workspace},
};

/// Checks that take too long for every change. Without a name, all of them but `mutants` and `semver`, one after the other.
#[derive(Debug, Args)]
pub(crate) struct Nightly {
    #[command(subcommand)]
    check: Option<Check>,
}

#[derive(Debug, Subcommand)]
enum Check {
    Bounds(BoundsCheck),
    Differential(DifferentialCheck),
    Features(features::Features),
    Fuzz(fuzz::Fuzz),
    MinimalVersions(versions::MinimalVersions),
    Mutants(mutants::Mutants),
    Semver(versions::Semver),
    Soak(Soak),
}

/// Files that ask for more memory and time than they may have, in an optimised build: no worker is kept for more than 10 ms.
#[derive(Debug, Args)]
struct BoundsCheck {}

/// A million generated queries, answered in many ways that must agree (`cargo xtask differential`).
#[derive(Debug, Args)]
struct DifferentialCheck {}

impl Nightly {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        if let Some(check) = &self.check {
            return check.run(workspace);
        }
        for check in [
            Check::Features(features::Features::default()),
            Check::MinimalVersions(versions::MinimalVersions::default()),
            Check::Fuzz(fuzz::Fuzz::default()),
            Check::Differential(DifferentialCheck {}),
            Check::Soak(Soak::nightly()),
            Check::Bounds(BoundsCheck {}),
        ] {
            check.run(workspace)?;
        }
        Ok(())
    }
}

impl Check {
    fn run(&self, workspace: &Workspace) -> Result<()> {
        match self {
            Self::Bounds(_) => {
                let shell = &workspace.shell;
                workspace::command(
                    "bounds",
                    cmd!(
                        shell,
                        "cargo test --locked --workspace --release --test suite -- --nocapture --test-threads 1 bounds::"
                    ),
                )
            }
            Self::Differential(_) => Differential::nightly().run(workspace),
            Self::Features(check) => check.run(workspace),
            Self::Fuzz(check) => check.run(workspace),
            Self::MinimalVersions(check) => check.run(workspace),
            Self::Mutants(check) => check.run(workspace),
            Self::Semver(check) => check.run(workspace),
            Self::Soak(check) => check.run(workspace),
        }
    }
}
