//! `cargo xtask nightly features`: each published crate by itself, with each set of its features.

use anyhow::Result;
use cargo_metadata::Package;
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// Checks each published crate alone: without features, with its default ones, with each one by itself, and with all.
///
/// Everything else is built with the features of the whole workspace, which hides one that a manifest forgot.
#[derive(Debug, Default, Args)]
pub(crate) struct Features {
    /// Only these crates, such as `flowlake-gunzip`; left out, all.
    packages: Vec<String>,
}

impl Features {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        for package in workspace.published() {
            let name = package.name.as_str();
            if !self.packages.is_empty() && !self.packages.iter().any(|wanted| wanted == name) {
                continue;
            }
            for flags in sets(package) {
                // Without what tests need, which may bring the features that are missing.
                workspace::command(
                    &format!("{name} {}", flags.join(" ")),
                    cmd!(
                        shell,
                        "cargo check --quiet --locked --package {name} {flags...}"
                    ),
                )?;
            }
        }
        Ok(())
    }
}

/// The flags of each set of features of a package.
fn sets(package: &Package) -> Vec<Vec<String>> {
    let flag = |text: &str| text.to_owned();
    let mut names: Vec<_> = package
        .features
        .keys()
        .filter(|name| *name != "default")
        .collect();
    names.sort();
    let mut sets = vec![vec![flag("--no-default-features")]];
    if package.features.contains_key("default") {
        sets.push(Vec::new());
    }
    let each = names
        .iter()
        .map(|name| vec![flag("--no-default-features"), format!("--features={name}")]);
    sets.extend(each);
    if names.len() > 1 {
        sets.push(vec![flag("--all-features")]);
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_checked_by_itself() {
        let workspace = Workspace::load().unwrap();
        let published = workspace.published();
        let package = |name: &str| *published.iter().find(|one| one.name == name).unwrap();
        assert_eq!(
            sets(package("flowlake-cost-audit")),
            [
                vec!["--no-default-features"],
                vec!["--no-default-features", "--features=cost-explorer"]
            ]
        );
        assert_eq!(
            sets(package("flowlake-gunzip")),
            [["--no-default-features"]]
        );
    }
}
