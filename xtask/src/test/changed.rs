//! Which tests a change can break: those of the changed crates and of every crate that depends on them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use xshell::cmd;

use crate::workspace::Workspace;

/// Reads the sources of all crates in its tests.
const READS_ALL: &str = "xtask";

/// The nextest expression of the tests that files changed since `revision` can break, or none where that is all of them: a file
/// outside every crate may be read by any test.
pub(super) fn nextest_set(workspace: &Workspace, revision: &str) -> Result<Option<String>> {
    let shell = &workspace.shell;
    let differing = cmd!(shell, "git diff --name-only --no-renames {revision} --").quiet();
    let differing = differing
        .read()
        .with_context(|| format!("git cannot compare the files with {revision}"))?;
    let new = cmd!(shell, "git ls-files --others --exclude-standard").quiet();
    let new = new.read().context("git cannot list the new files")?;
    let folders: Vec<_> = workspace
        .members()
        .into_iter()
        .map(|package| (workspace.folder(package), package.name.as_str()))
        .collect();
    Ok(set_of(differing.lines().chain(new.lines()), &folders))
}

/// The expression for changed files, of members in these folders.
fn set_of<'a>(files: impl Iterator<Item = &'a str>, members: &[(PathBuf, &str)]) -> Option<String> {
    let mut packages = BTreeSet::from([READS_ALL]);
    for file in files {
        let owner = members
            .iter()
            .find(|(folder, _)| Path::new(file).starts_with(folder));
        packages.insert(owner?.1);
    }
    let sets: Vec<_> = packages
        .iter()
        .map(|package| format!("rdeps(={package})"))
        .collect();
    Some(sets.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[&str]) -> Option<String> {
        let members = [
            (PathBuf::from("crates/cost-audit"), "flowlake-cost-audit"),
            (PathBuf::from("crates/gunzip"), "flowlake-gunzip"),
            (PathBuf::from("xtask"), "xtask"),
        ];
        set_of(files.iter().copied(), &members)
    }

    #[test]
    fn a_changed_crate_is_tested_with_all_that_depend_on_it() {
        assert_eq!(
            set(&["crates/cost-audit/src/lib.rs", "crates/gunzip/README.md"]).unwrap(),
            "rdeps(=flowlake-cost-audit) | rdeps(=flowlake-gunzip) | rdeps(=xtask)"
        );
        assert_eq!(set(&[]).unwrap(), "rdeps(=xtask)");
    }

    #[test]
    fn a_file_outside_every_crate_can_break_any_test() {
        for file in [
            "Cargo.lock",
            "docs/functions.md",
            "crates/cost-audit-2/src/lib.rs",
        ] {
            assert_eq!(set(&["crates/gunzip/src/lib.rs", file]), None, "{file}");
        }
    }
}
