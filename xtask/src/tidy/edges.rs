//! The crate table of ARCHITECTURE.md, held against what the manifests say.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, Package, PackageId, TargetKind};

use crate::workspace::Workspace;

/// The heading of the section whose first table is read.
const HEADING: &str = "## Crate table";

/// Which of our crates a crate may use, and which crates of anybody it must not reach.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// `None` when it may use any.
    uses: Option<BTreeSet<String>>,
    /// Names, with `*` at the end for a family; reached through normal dependencies, however far.
    must_not_reach: Vec<String>,
}

/// Rows by the name of the crate's folder.
#[derive(Debug)]
pub(super) struct Table(BTreeMap<String, Row>);

impl Table {
    /// Reads the table out of the page.
    pub(super) fn parse(page: &str) -> Result<Self> {
        let section = page.lines().skip_while(|line| *line != HEADING).skip(1);
        let lines = section
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .skip(2);
        let mut rows = BTreeMap::new();
        for line in lines {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(names).collect();
            let [name, uses, must_not_reach] = cells.as_slice() else {
                bail!("a row of the crate table does not have three cells: {line}");
            };
            let [name] = name.as_slice() else {
                bail!("a row of the crate table names no single crate: {line}")
            };
            let uses = if uses == &["any"] {
                None
            } else {
                Some(uses.iter().cloned().collect())
            };
            rows.insert(
                name.clone(),
                Row {
                    uses,
                    must_not_reach: must_not_reach.clone(),
                },
            );
        }
        if rows.is_empty() {
            bail!("ARCHITECTURE.md has no table under `{HEADING}`");
        }
        Ok(Self(rows))
    }
}

/// The names in one cell: words in backticks, or the single word `any`.
fn names(cell: &str) -> Vec<String> {
    if cell.trim() == "any" {
        return vec!["any".to_owned()];
    }
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Where the manifests and the table disagree.
pub(super) fn problems(workspace: &Workspace, table: &Table) -> Vec<String> {
    let members = workspace.members();
    let folders: BTreeMap<&str, String> = members
        .iter()
        .map(|package| {
            let folder = workspace.folder(package);
            (
                package.name.as_str(),
                folder
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
            )
        })
        .collect();
    let mut problems = Vec::new();
    for package in &members {
        let folder = &folders[package.name.as_str()];
        let Some(row) = table.0.get(folder) else {
            problems.push(format!(
                "ARCHITECTURE.md: the crate table has no row for `{folder}`"
            ));
            continue;
        };
        for used in used_members(package, &folders) {
            if row.uses.as_ref().is_some_and(|uses| !uses.contains(used)) {
                problems.push(format!("`{folder}` uses `{used}`, which the crate table of ARCHITECTURE.md does not allow"));
            }
        }
        let reached = reached_packages(workspace, &package.id);
        for forbidden in &row.must_not_reach {
            for name in reached.iter().filter(|name| matches(forbidden, name)) {
                problems.push(format!("`{folder}` reaches `{name}`; find the way with `cargo tree -p {} -e normal -i {name}`", package.name));
            }
        }
    }
    for folder in table
        .0
        .keys()
        .filter(|folder| !folders.values().any(|known| known == *folder))
    {
        problems.push(format!(
            "ARCHITECTURE.md: the crate table has a row for `{folder}`, which does not exist"
        ));
    }
    problems
}

/// Our crates that a crate names as dependencies, tests aside.
fn used_members<'a>(
    package: &Package,
    folders: &'a BTreeMap<&str, String>,
) -> BTreeSet<&'a String> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .filter_map(|dependency| folders.get(dependency.name.as_str()))
        .collect()
}

/// The names of everything that ends up in a build of the crate, with all features.
///
/// A procedural macro runs in the compiler: it is named, what it is made of is not.
fn reached_packages<'a>(workspace: &'a Workspace, start: &'a PackageId) -> BTreeSet<&'a str> {
    let Some(resolve) = &workspace.metadata.resolve else {
        return BTreeSet::new();
    };
    let is_macro = |id: &PackageId| {
        let mut targets = workspace.metadata[id].targets.iter();
        targets.any(|target| target.kind.contains(&TargetKind::ProcMacro))
    };
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut seen = BTreeSet::from([start]);
    let mut waiting = vec![start];
    while let Some(id) = waiting.pop() {
        for dependency in nodes.get(id).map_or(&[][..], |node| &node.deps) {
            let normal = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal);
            if normal && seen.insert(&dependency.pkg) && !is_macro(&dependency.pkg) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    seen.remove(start);
    seen.into_iter()
        .map(|id| workspace.metadata[id].name.as_str())
        .collect()
}

/// Whether a name is meant by a pattern, which may end in `*`.
fn matches(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\n| not | this | one |\n|---|---|---|\n| `x` | – | – |\n\n## Crate table\n\nText.\n\n| crate | may use | must not reach |\n|---|---|---|\n| `a` | – | `aws-*`, `axum` |\n| `b` | `a` | – |\n| `c` | any | – |\n";

    #[test]
    fn the_table_under_its_heading_is_read() {
        let table = Table::parse(PAGE).unwrap().0;
        assert_eq!(table.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(table["a"].must_not_reach, ["aws-*", "axum"]);
        assert_eq!(table["b"].uses, Some(BTreeSet::from(["a".to_owned()])));
        assert_eq!(table["c"].uses, None);
    }

    #[test]
    fn a_page_without_the_table_is_an_error() {
        assert!(Table::parse("# Page\n").is_err());
        assert!(
            Table::parse("## Crate table\n\n| a | b | c |\n|---|---|---|\n| `a` | – |\n").is_err()
        );
    }

    #[test]
    fn an_edge_that_the_table_lacks_is_found() {
        let workspace = Workspace::load().unwrap();
        let page = "## Crate table\n\n| c | u | n |\n|---|---|---|\n| `genesys-publish` | – | `serde*` |\n| `gone` | – | – |\n";
        let problems = problems(&workspace, &Table::parse(page).unwrap());
        let has = |part: &str| problems.iter().any(|problem| problem.contains(part));
        assert!(has("`genesys-publish` uses `genesys-auth`"), "{problems:?}");
        assert!(
            has("`genesys-publish` reaches `serde_json`"),
            "{problems:?}"
        );
        assert!(has("no row for `transform`"), "{problems:?}");
        assert!(has("a row for `gone`"), "{problems:?}");
    }

    #[test]
    fn a_star_means_a_family() {
        assert!(matches("aws-sdk-*", "aws-sdk-s3"));
        assert!(!matches("aws-sdk-*", "aws-config"));
        assert!(!matches("axum", "axum-core"));
    }
}
