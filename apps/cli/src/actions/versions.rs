//! Which file of a project answers which published version: the file of a version answers that and the later ones, up to
//! the next version with a file of its own.

use flowlake_data_action::{ActionDefinition, Project};
use flowlake_genesys_publish::split_version;

/// The versions of an action that have a file, lowest first, with the names of the files' actions.
fn files<'a>(project: &'a Project, base: &str) -> Vec<(u32, &'a str)> {
    let names = project.actions.keys().chain(project.broken.keys());
    let of_base = names.filter_map(|name| {
        let (own, version) = split_version(name);
        (own == base).then_some((version, name.as_str()))
    });
    let mut files: Vec<_> = of_base.collect();
    files.sort_unstable();
    files
}

/// The action whose file answers a published version.
pub(super) fn answering<'a>(project: &'a Project, published: &str) -> Option<&'a str> {
    let (base, version) = split_version(published);
    let files = files(project, base);
    let file = files.iter().rev().find(|(first, _)| *first <= version);
    file.map(|(_, name)| *name)
}

/// The version from which on another file answers.
pub(super) fn until(project: &Project, name: &str) -> Option<u32> {
    let (base, version) = split_version(name);
    let files = files(project, base);
    files
        .iter()
        .map(|(first, _)| *first)
        .find(|first| *first > version)
}

/// Whether the project publishes an action: its file has a `[genesys]` section, or no file has one.
pub(super) fn is_published(project: &Project, name: &str) -> bool {
    let has_section = |action: &ActionDefinition| action.genesys.is_some();
    match project.actions.get(name) {
        Some(action) => has_section(action) || !project.actions.values().any(has_section),
        // What cannot be read may have one.
        None => project.broken.contains_key(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_answers_its_version_and_later_ones_up_to_the_next_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        std::fs::write(
            path.join("flowlake.toml"),
            "[policy]\nallow = [\"s3://b/*\"]\n",
        )
        .unwrap();
        std::fs::create_dir(path.join("actions")).unwrap();
        for (name, section) in [("a", "[genesys]\n"), ("a@3", ""), ("b@2", "[genesys]\n")] {
            let text = format!(
                "name = \"{name}\"\n{section}[tables.t]\nuri = \"s3://b/k\"\n[query]\nsql = \"SELECT 1 AS x FROM t\"\n"
            );
            std::fs::write(path.join(format!("actions/{name}.toml")), text).unwrap();
        }
        let project = Project::load(path).unwrap();
        assert!(project.broken.is_empty(), "{:?}", project.broken);
        for (published, file) in [
            ("a", Some("a")),
            ("a@2", Some("a")),
            ("a@3", Some("a@3")),
            ("a@12", Some("a@3")),
            ("b", None),
            ("b@2", Some("b@2")),
            ("c", None),
        ] {
            assert_eq!(answering(&project, published), file, "{published}");
        }
        for (name, version) in [("a", Some(3)), ("a@3", None), ("b@2", None)] {
            assert_eq!(until(&project, name), version, "{name}");
        }
        for name in ["a@1", "a@02", "a@x", "a@", "@2", "a@2@3"] {
            let path = path.join(format!("actions/{name}.toml"));
            let text = format!("name = \"{name}\"\n[query]\nsql = \"SELECT 1\"\n");
            std::fs::write(path, text).unwrap();
        }
        assert_eq!(Project::load(path).unwrap().broken.len(), 6);
        assert!(is_published(&project, "a") && !is_published(&project, "a@3"));
    }
}
