//! `cargo xtask test`: every test that needs nothing but Rust and a C compiler.

mod changed;

use anyhow::{Result, ensure};
use clap::Args;
use xshell::cmd;

use crate::{
    outside,
    secrets::{self, SecretSearch},
    workspace::{self, E2E_PACKAGE, Workspace},
};

/// Runs the unit, crate and doc tests; `cargo xtask e2e` runs the rest.
#[derive(Debug, Default, Args)]
pub(crate) struct Test {
    /// The nextest profile; `ci` stops hanging tests sooner and shows all failures.
    #[arg(long, default_value = "default")]
    profile: String,
    /// Only the tests of the crates with files that differ from this revision, `HEAD` where none is given, and of the crates that
    /// depend on them. A change outside every crate, such as in docs/ or Cargo.lock, runs all tests. Needs cargo-nextest.
    #[arg(long, value_name = "REVISION", num_args = 0..=1, default_missing_value = "HEAD")]
    changed: Option<String>,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

impl Test {
    /// As CI runs it.
    pub(crate) fn ci() -> Self {
        Self {
            profile: "ci".to_owned(),
            changed: None,
            filter: None,
        }
    }

    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        let filter = &self.filter;
        let has_nextest = workspace.has_cargo_command("nextest");
        ensure!(
            has_nextest || self.changed.is_none(),
            "--changed needs cargo-nextest: `cargo install --locked cargo-nextest`"
        );
        let dependents = match &self.changed {
            Some(revision) => changed::nextest_set(workspace, revision)?,
            None => None,
        };
        let search = SecretSearch::begin(workspace, "test")?;
        let _used = shell.push_env(secrets::VARIABLE, search.used());
        let output;
        if has_nextest {
            let profile = &self.profile;
            // Not --exclude: so `test` and `e2e` build every dependency with the same features, and only once.
            let mut set = format!("not ({})", outside::nextest_set(outside::outside_modules()));
            if let Some(dependents) = &dependents {
                println!("only the tests of {dependents}");
                set = format!("({dependents}) & {set}");
            }
            workspace::command(
                "tests",
                cmd!(
                    shell,
                    "cargo nextest run --locked --workspace --profile {profile} -E {set} {filter...}"
                ),
            )?;
            output = workspace.nextest_report(profile);
        } else {
            println!(
                "cargo-nextest is not installed: `cargo test` runs the same tests, without their time limits"
            );
            let skipped: Vec<_> = outside::outside_modules()
                .flat_map(|module| ["--skip".to_owned(), format!("{module}::")])
                .collect();
            output = workspace.target().join("secrets-used").join("output.txt");
            workspace::recorded(
                "tests",
                cmd!(
                    shell,
                    "cargo test --locked --workspace --exclude {E2E_PACKAGE} --tests --examples -- --show-output {skipped...} {filter...}"
                ),
                &output,
            )?;
        }
        let documented = workspace
            .target()
            .join("secrets-used")
            .join("doc-tests.txt");
        workspace::recorded(
            "doc tests",
            cmd!(
                shell,
                "cargo test --locked --workspace --doc {filter...} -- --show-output"
            ),
            &documented,
        )?;
        // A single test, or those of one crate, may use no secret at all.
        if filter.is_none() && dependents.is_none() {
            workspace::step("no secret in any output", || {
                search.run(&[output, documented])
            })?;
        }
        Ok(())
    }
}
