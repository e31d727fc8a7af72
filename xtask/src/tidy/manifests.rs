//! What every manifest and crate folder has to have.

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
            files.push("CHANGELOG.md");
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
    package
        .publish
        .as_ref()
        .is_none_or(|registries| !registries.is_empty())
}

fn dependency_problems(package: &Package, members: &[&Package]) -> Vec<String> {
    let mut problems = Vec::new();
    for dependency in &package.dependencies {
        let name = &dependency.name;
        if dependency.source.is_some() {
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
