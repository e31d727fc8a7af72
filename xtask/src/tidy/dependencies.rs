//! docs/dependencies.md: every dependency with what it is for and which of our crates use it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use cargo_metadata::DependencyKind;

use crate::workspace::Workspace;

const PAGE: &str = "docs/dependencies.md";

/// Our crates that use a dependency; one that only tests need is marked.
type Users = BTreeMap<String, String>;

/// Lines that the page lacks, has in excess or has otherwise, and dependencies of the workspace that no crate uses.
pub(super) fn problems(workspace: &Workspace) -> Result<Vec<String>> {
    let read = |file: &str| {
        std::fs::read_to_string(workspace.root().join(file))
            .with_context(|| format!("cannot read {file}"))
    };
    let users = users(workspace);
    let mut problems = compared(&listed(&read(PAGE)?), &users);
    let declared = declared(&read("Cargo.toml")?);
    let unused = declared.iter().filter(|name| !users.contains_key(*name));
    problems.extend(unused.map(|name| {
        format!("Cargo.toml: no crate uses `{name}`: take it out of [workspace.dependencies]")
    }));
    Ok(problems)
}

/// Every external dependency of the members, with its users as the page writes them.
fn users(workspace: &Workspace) -> Users {
    let mut users: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
    for package in workspace.members() {
        let user = package.name.trim_start_matches("flowlake-");
        for dependency in package.dependencies.iter().filter(|one| one.path.is_none()) {
            let of_tests = dependency.kind == DependencyKind::Development;
            let known = users.entry(dependency.name.clone()).or_default();
            let only_tests = known.entry(user.to_owned()).or_insert(true);
            *only_tests &= of_tests;
        }
    }
    let written = |(user, only_tests): (String, bool)| {
        if only_tests {
            format!("{user} (tests)")
        } else {
            user
        }
    };
    users
        .into_iter()
        .map(|(name, users)| {
            let users: Vec<_> = users.into_iter().map(written).collect();
            (name, users.join(", "))
        })
        .collect()
}

/// The rows of the page: name, purpose and users.
fn listed(page: &str) -> BTreeMap<String, (String, String)> {
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.strip_suffix(" |")?.split(" | ");
        let name = cells.next()?.strip_suffix('`')?.to_owned();
        Some((name, (cells.next()?.to_owned(), cells.next()?.to_owned())))
    });
    rows.collect()
}

fn compared(listed: &BTreeMap<String, (String, String)>, users: &Users) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, used_by) in users {
        match listed.get(name) {
            None => problems.push(format!("{PAGE}: `{name}` is missing: say what it is for")),
            Some((purpose, _)) if purpose.trim().is_empty() => {
                problems.push(format!("{PAGE}: say what `{name}` is for"));
            }
            Some((_, listed)) if listed != used_by => problems.push(format!(
                "{PAGE}: `{name}` is used by {used_by}, and the page says {listed}"
            )),
            Some(_) => {}
        }
    }
    let gone = listed.keys().filter(|name| !users.contains_key(*name));
    problems.extend(gone.map(|name| format!("{PAGE}: no crate uses `{name}`: delete its line")));
    problems
}

/// The external crates of `[workspace.dependencies]`.
fn declared(manifest: &str) -> Vec<String> {
    let table = manifest
        .split_once("[workspace.dependencies]\n")
        .map_or("", |(_, rest)| rest);
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    let external = lines.filter_map(|line| line.split_once(" = "));
    external
        .filter(|(name, _)| !name.starts_with('#') && !name.starts_with("flowlake-"))
        .map(|(name, _)| name.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_between_page_and_manifests_is_found() {
        let page = listed(
            "| crate | what it is for | used by |\n|---|---|---|\n| `a` | it reads | cli |\n| `b` | it writes | cli |\n| `gone` | it was | cli |\n",
        );
        let users = [("a", "cli"), ("b", "cli, server (tests)"), ("c", "cli")]
            .map(|(name, users)| (name.to_owned(), users.to_owned()));
        assert_eq!(
            compared(&page, &users.into()),
            [
                "docs/dependencies.md: `b` is used by cli, server (tests), and the page says cli",
                "docs/dependencies.md: `c` is missing: say what it is for",
                "docs/dependencies.md: no crate uses `gone`: delete its line",
            ]
        );
    }

    #[test]
    fn the_declared_ones_are_the_external_ones() {
        let manifest = "[workspace]\nx = 1\n[workspace.dependencies]\n# a = 1\nflowlake-cli = { path = \"a\" }\nb = \"1\"\nc = { version = \"2\" }\n\n[workspace.lints.rust]\nd = \"warn\"\n";
        assert_eq!(declared(manifest), ["b", "c"]);
    }
}
