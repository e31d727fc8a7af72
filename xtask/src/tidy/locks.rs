//! The lock files of workspaces beside ours (comparisons, fuzz targets): they have what our crates depend on now.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result};
use cargo_metadata::DependencyKind;

use crate::workspace::Workspace;

/// The workspaces, by folder.
const OTHERS: [&str; 3] = ["benches", "crates/gunzip/fuzz", "crates/transform/fuzz"];

/// Dependencies of our crates that a lock file lacks: with `--locked`, nothing of that workspace could be built.
pub(super) fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for folder in OTHERS {
        let path = workspace.root().join(folder).join("Cargo.lock");
        let lock = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        for package in workspace.members() {
            let Some(locked) = dependencies(&lock, &package.name) else {
                continue;
            };
            let wanted = package.dependencies.iter().filter(|dependency| {
                dependency.kind == DependencyKind::Normal
                    && !dependency.optional
                    && dependency.target.is_none()
            });
            for dependency in wanted {
                if !locked.contains(dependency.name.as_str()) {
                    problems.push(format!(
                        "{}: {} depends on {} now, run `cargo metadata --manifest-path {folder}/Cargo.toml`",
                        Path::new(folder).join("Cargo.lock").display(),
                        package.name,
                        dependency.name
                    ));
                }
            }
        }
    }
    Ok(problems)
}

/// The names of what a package depends on, as a lock file has them; `None` of a package that is not in it.
fn dependencies<'a>(lock: &'a str, package: &str) -> Option<BTreeSet<&'a str>> {
    let name = format!("name = \"{package}\"");
    let mut entries = lock.split("[[package]]");
    let entry = entries.find(|entry| entry.lines().any(|line| line == name))?;
    let listed = entry.lines().filter_map(|line| line.strip_prefix(" \""));
    // A version follows the name where there are several.
    Some(
        listed
            .filter_map(|line| line.split(['"', ' ']).next())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::dependencies;

    #[test]
    fn the_dependencies_of_one_package() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"0.1.0\"\ndependencies = [\n \"b\",\n \"c 1.0.0\",\n]\n\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\n";
        let found: Vec<_> = dependencies(lock, "a").unwrap().into_iter().collect();
        assert_eq!(found, ["b", "c"]);
        assert_eq!(dependencies(lock, "b").unwrap().len(), 0);
        assert_eq!(dependencies(lock, "c"), None);
    }
}
