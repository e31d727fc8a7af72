//! `cargo xtask release`: the crates as they would be published, what is shipped beside them, and the notes.

mod artifacts;
mod notes;

use anyhow::Result;
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// Prepares a release. Uploading is done by hand, after reading what this made.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Release {
    /// Packages every published crate, in publishing order.
    #[arg(long)]
    dry_run: bool,
    /// The same, and compiles each package from its archive; takes minutes.
    #[arg(long)]
    verify: bool,
    /// Prints the release notes: the CHANGELOGs since the last release, what asks most of users first.
    #[arg(long)]
    notes: bool,
    /// Builds what is shipped into target/artifacts: a reproducible archive of the programs, the package for Debian, the wheel, a
    /// bill of materials for each program, checksums.
    #[arg(long)]
    artifacts: bool,
}

impl Release {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        if self.notes {
            print!("{}", notes::notes(&changelogs(workspace)?));
            return Ok(());
        }
        if self.artifacts {
            return artifacts::build(workspace);
        }
        let shell = &workspace.shell;
        let verify = (!self.verify).then_some("--no-verify");
        workspace::command(
            "publish",
            cmd!(
                shell,
                "cargo publish --workspace --dry-run --locked --allow-dirty {verify...}"
            ),
        )
    }
}

/// The CHANGELOG of every member that has one, with the member's name: the programs first, since most users have nothing else.
fn changelogs(workspace: &Workspace) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for package in workspace.members() {
        let folder = workspace.folder(package);
        let path = workspace.root().join(&folder).join("CHANGELOG.md");
        if path.is_file() {
            let text = workspace.shell.read_file(path)?;
            found.push((folder, package.name.to_string(), text));
        }
    }
    found.sort();
    let named = found.into_iter().map(|(_, name, text)| (name, text));
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_notes_have_every_changelog_and_the_programs_first() {
        let workspace = Workspace::load().unwrap();
        let changelogs = changelogs(&workspace).unwrap();
        let names: Vec<_> = changelogs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names[..3],
            ["flowlake-cli", "flowlake-lambda", "flowlake-server"]
        );
        let published = workspace.published();
        assert!(
            published
                .iter()
                .all(|package| names.contains(&package.name.as_str()))
        );
        let notes = notes::notes(&changelogs);
        assert!(
            notes.starts_with("## Changed: read before you update\n"),
            "{notes}"
        );
    }
}
