//! `cargo xtask nightly fuzz`: every fuzz target for a while.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// The version that is built when none is installed.
const VERSION: &str = "0.13.2";

/// Runs each fuzz target of `crates/*/fuzz`, with the inputs that earlier runs kept; needs a nightly toolchain.
///
/// What it finds is written to `crates/CRATE/fuzz/artifacts`. The input becomes a test with the fix.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// How long each target runs.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Only these targets, such as `guard`; left out, all.
    targets: Vec<String>,
}

impl Default for Fuzz {
    fn default() -> Self {
        Self {
            minutes: 10,
            targets: Vec::new(),
        }
    }
}

impl Fuzz {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let cargo_fuzz = workspace::step("install cargo-fuzz", || {
            workspace.tool("cargo-fuzz", VERSION)
        })?;
        let shell = &workspace.shell;
        let most = format!("-max_total_time={}", self.minutes * 60);
        let mut ran = 0;
        for (folder, target) in targets(workspace)? {
            if !self.targets.is_empty() && !self.targets.contains(&target) {
                continue;
            }
            ran += 1;
            let _folder = shell.push_dir(&folder);
            // rustup chooses the toolchain by this variable, as with `cargo +nightly`.
            let _toolchain = shell.push_env("RUSTUP_TOOLCHAIN", "nightly");
            let dictionary = folder.join("fuzz").join("sql.dict");
            let words = (target == "guard" && dictionary.is_file())
                .then(|| format!("-dict={}", dictionary.display()));
            workspace::command(
                &format!("fuzz {target}"),
                cmd!(shell, "{cargo_fuzz} fuzz run {target} -- {most} {words...}"),
            )?;
        }
        ensure!(ran > 0, "there is no such target");
        Ok(())
    }
}

/// Every fuzz target, with the folder of its crate.
fn targets(workspace: &Workspace) -> Result<Vec<(PathBuf, String)>> {
    let mut targets = Vec::new();
    for package in workspace.members() {
        let folder = workspace.root().join(workspace.folder(package));
        let Ok(entries) = std::fs::read_dir(folder.join("fuzz").join("fuzz_targets")) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            let name = path.file_stem().context("a target has a name")?;
            targets.push((folder.clone(), name.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_every_crate_is_run() {
        let workspace = Workspace::load().unwrap();
        let names: Vec<_> = targets(&workspace)
            .unwrap()
            .into_iter()
            .map(|(_, target)| target)
            .collect();
        assert_eq!(names, ["gzip", "csv", "guard", "json", "params", "uri"]);
    }
}
