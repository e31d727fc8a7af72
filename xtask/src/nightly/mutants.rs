//! `cargo xtask nightly mutants`: do the tests notice a change in the code that decides what is allowed, paid and recorded?

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// The version that is built when none is installed.
const VERSION: &str = "27.1.0";

/// The modules whose every line has to be noticed, with the crate whose tests do that.
const MODULES: &[Module] = &[
    Module {
        name: "guard",
        package: "flowlake-transform",
        files: &[
            "crates/transform/src/guard.rs",
            "crates/transform/src/guard/*.rs",
        ],
    },
    Module {
        name: "policy",
        package: "flowlake-data-action",
        files: &["crates/data-action/src/policy.rs"],
    },
    Module {
        name: "budget",
        package: "flowlake-cost-audit",
        files: &[
            "crates/cost-audit/src/budget.rs",
            "crates/cost-audit/src/budget/*.rs",
        ],
    },
    Module {
        name: "audit",
        package: "flowlake-cost-audit",
        files: &[
            "crates/cost-audit/src/audit.rs",
            "crates/cost-audit/src/audit/*.rs",
        ],
    },
];

struct Module {
    name: &'static str,
    package: &'static str,
    /// Relative to the root; cargo-mutants takes `*` for any part of a name.
    files: &'static [&'static str],
}

/// Changes the guard, the policy, the budgets and the audit log line by line, and runs their tests on each change; takes hours.
///
/// A change that no test notices is listed in target/mutants/mutants.out/missed.txt: write the test, or exclude it in
/// .cargo/mutants.toml with the reason.
#[derive(Debug, Args)]
pub(crate) struct Mutants {
    /// Only these: guard, policy, budget, audit.
    modules: Vec<String>,
    /// Lists the changes without running any test.
    #[arg(long)]
    list: bool,
}

impl Mutants {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let modules: Vec<_> = if self.modules.is_empty() {
            MODULES.iter().collect()
        } else {
            let wanted = self.modules.iter().map(|name| module(name));
            wanted.collect::<Result<_>>()?
        };
        let tool = workspace::step("install cargo-mutants", || {
            workspace.tool("cargo-mutants", VERSION)
        })?;
        let shell = &workspace.shell;
        let out = workspace.target().join("mutants");
        shell.create_dir(&out)?;
        // The changed copy of the workspace is built in one place, so that dependencies are built once for all changes.
        let build = format!("--target-dir={}", out.join("build").display());
        for Module {
            name,
            package,
            files,
        } in modules
        {
            let files = files.iter().flat_map(|file| ["--file", *file]);
            let run: &[&str] = if self.list {
                &["--list"]
            } else {
                &["--test-package", package, "--cargo-arg", &build]
            };
            workspace::command(
                &format!("mutants of {name}"),
                cmd!(
                    shell,
                    "{tool} mutants --package {package} {files...} --output {out} {run...}"
                ),
            )?;
        }
        Ok(())
    }
}

fn module(name: &str) -> Result<&'static Module> {
    let mut modules = MODULES.iter();
    modules
        .find(|module| module.name == name)
        .with_context(|| format!("there is no module `{name}`: guard, policy, budget or audit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_names_files_of_its_package() {
        let workspace = Workspace::load().unwrap();
        for Module { package, files, .. } in MODULES {
            let members = workspace.members();
            let package = members.iter().find(|one| one.name == *package).unwrap();
            let folder = workspace.folder(package);
            for pattern in *files {
                assert!(pattern.starts_with(folder.to_str().unwrap()), "{pattern}");
                let path = workspace.root().join(pattern.trim_end_matches("*.rs"));
                assert!(path.exists(), "{pattern}");
                let below = pattern.replace(".rs", "/*.rs");
                let has_below = workspace
                    .root()
                    .join(pattern.trim_end_matches(".rs"))
                    .is_dir();
                assert!(
                    !has_below || pattern.ends_with('*') || files.contains(&below.as_str()),
                    "{below} is left out"
                );
            }
        }
    }

    #[test]
    fn an_unknown_module_is_an_error() {
        assert!(module("guard").is_ok());
        assert!(module("gard").is_err());
    }
}
