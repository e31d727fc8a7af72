//! `cargo xtask release --dry-run`: what would be published, in which order.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Package};
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// Packages every published crate in publishing order.
#[derive(Debug, Args)]
pub(crate) struct Release {
    /// Packages without uploading. Uploading is done by hand, crate by crate, after reading the list.
    #[arg(long)]
    dry_run: bool,
    /// Also compiles each package from its archive, as `cargo publish` would; takes minutes.
    #[arg(long)]
    verify: bool,
}

impl Release {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        if !self.dry_run {
            bail!(
                "only --dry-run exists: publish by hand with `cargo publish -p NAME`, in the order it prints"
            );
        }
        let order = publishing_order(&workspace.members())?;
        let shell = &workspace.shell;
        for (position, package) in order.iter().enumerate() {
            println!("{}. {} {}", position + 1, package.name, package.version);
            let name = package.name.as_str();
            cmd!(
                shell,
                "cargo package --locked --allow-dirty --list -p {name}"
            )
            .quiet()
            .run()?;
        }
        // All in one call: cargo then resolves the crates that are not published yet from each other.
        let names: Vec<_> = order
            .iter()
            .flat_map(|package| ["-p", package.name.as_str()])
            .collect();
        let verify = if self.verify {
            None
        } else {
            Some("--no-verify")
        };
        workspace::command(
            "package",
            cmd!(
                shell,
                "cargo package --locked --allow-dirty {verify...} {names...}"
            ),
        )
    }
}

/// The published members, each after those it depends on.
fn publishing_order<'a>(members: &[&'a Package]) -> Result<Vec<&'a Package>> {
    let mut waiting: Vec<&Package> = members
        .iter()
        .copied()
        .filter(|package| package.publish.is_none())
        .collect();
    waiting.sort_by_key(|package| package.name.to_string());
    let names: BTreeSet<String> = waiting
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let mut done = BTreeSet::new();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        let (ready, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|package| {
            package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .all(|dependency| {
                    !names.contains(&dependency.name) || done.contains(&dependency.name)
                })
        });
        if ready.is_empty() {
            bail!(
                "these crates depend on each other in a circle: {:?}",
                later.iter().map(|p| &p.name).collect::<Vec<_>>()
            );
        }
        done.extend(ready.iter().map(|package| package.name.to_string()));
        order.extend(ready);
        waiting = later;
    }
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_published_after_those_it_depends_on() {
        let workspace = Workspace::load().unwrap();
        let order: Vec<_> = publishing_order(&workspace.members())
            .unwrap()
            .iter()
            .map(|package| package.name.to_string())
            .collect();
        let position = |name: &str| order.iter().position(|known| known == name).unwrap();
        assert!(position("flowlake-genesys-auth") < position("flowlake-genesys-publish"));
        assert!(position("flowlake-transform") < position("flowlake-data-action"));
        assert!(position("flowlake-data-action") < position("flowlake-server"));
        assert!(!order.iter().any(|name| name == "xtask"));
    }
}
