//! What every manifest and crate folder has to have.

use std::path::Path;

use cargo_metadata::{DependencyKind, Package};

use crate::workspace::Workspace;

/// The rules that manifests break.
pub(super) fn problems(workspace: &Workspace) -> Vec<String> {
    let members = workspace.members();
    let mut problems = Vec::new();
    for package in &members {
        let folder = workspace.folder(package);
        let manifest = folder.join("Cargo.toml");
        let manifest = manifest.display();
        for (field, missing) in [
            ("description", package.description.is_none()),
            ("license", package.license.is_none()),
            ("rust-version", package.rust_version.is_none()),
            ("repository", package.repository.is_none()),
        ] {
            if missing {
                problems.push(format!("{manifest}: has no {field}"));
            }
        }
        let text = std::fs::read_to_string(&package.manifest_path).unwrap_or_default();
        if !text.contains("[lints]\nworkspace = true") {
            problems.push(format!(
                "{manifest}: take the lints of the workspace with `[lints] workspace = true`"
            ));
        }
        let mut files = vec!["README.md"];
        if is_published(package) {
            files.extend(["CHANGELOG.md", "LICENSE"]);
            problems.extend(listing_problems(package, &workspace.root().join(&folder)));
        }
        for file in files {
            if !workspace.root().join(&folder).join(file).is_file() {
                problems.push(format!("{}: has no {file}", folder.display()));
            }
        }
        problems.extend(
            dependency_problems(package, &members)
                .iter()
                .map(|problem| format!("{manifest}: {problem}")),
        );
    }
    problems
}

/// Whether the package goes to crates.io.
fn is_published(package: &Package) -> bool {
    package.publish.is_none()
}

/// What the page of a published crate on crates.io is found by and has to show.
fn listing_problems(package: &Package, folder: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let mut need = |is_there: bool, what: &str| {
        if !is_there {
            problems.push(format!("{}: {what}", folder.display()));
        }
    };
    let keywords = package.keywords.len();
    need(
        (1..=5).contains(&keywords) && package.keywords.iter().all(|word| word.len() <= 20),
        "crates.io takes one to five keywords of at most 20 characters",
    );
    need(
        !package.categories.is_empty(),
        "name a category of https://crates.io/category_slugs",
    );
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    need(
        read("CHANGELOG.md").contains("## [Unreleased]"),
        "CHANGELOG.md has no `## [Unreleased]`",
    );
    // The apps' libraries are for our programs alone.
    let is_library = folder
        .parent()
        .is_some_and(|parent| parent.ends_with("crates"));
    if is_library {
        let readme = read("README.md");
        let examples = ["\n```\n", "\n```rust\n", "\n```no_run\n"];
        need(
            examples.iter().any(|start| readme.contains(start)),
            "README.md has no example, which a test compiles",
        );
        let version = package.rust_version.as_ref();
        let version = version.map(|version| format!("{}.{}", version.major, version.minor));
        need(
            version.is_some_and(|version| readme.contains(&version)),
            "README.md does not name the Rust version",
        );
    }
    problems
}

fn dependency_problems(package: &Package, members: &[&Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for dependency in &package.dependencies {
        let name = &dependency.name;
        if dependency.source.is_some() {
            let mut bounds = dependency.req.comparators.iter();
            if bounds.any(|bound| bound.patch.is_none()) {
                // `0.1` also allows the first 0.1.0, which nobody has built with and which may lack a feature.
                problems.push(format!(
                    "{name} = \"{}\" allows versions that are never built: write all three numbers, as Cargo.lock has them",
                    dependency.req
                ));
            }
            continue;
        }
        if !members.iter().any(|member| member.name.as_str() == name) {
            problems.push(format!(
                "{name} is taken from outside the workspace by path"
            ));
            continue;
        }
        let has_version = dependency.req.to_string() != "*";
        if dependency.kind == DependencyKind::Development && has_version {
            // With one, `cargo publish` wants the sibling on crates.io first, and two crates may want each other.
            problems.push(format!(
                "dev-dependency {name} has a version: name it by path alone"
            ));
        }
        if dependency.kind != DependencyKind::Development && !has_version && is_published(package) {
            problems.push(format!(
                "dependency {name} has no version: take it from [workspace.dependencies]"
            ));
        }
    }
    problems
}
