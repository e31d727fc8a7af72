//! The pages of the book: each is in its contents, and their links lead somewhere.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result};

/// The contents of the book, relative to the root of the workspace.
const CONTENTS: &str = "docs/SUMMARY.md";

/// Pages that the contents lack, entries without a page, and links between files of the workspace that lead nowhere.
pub(super) fn problems(root: &Path) -> Result<Vec<String>> {
    let docs = root.join("docs");
    let mut pages = BTreeSet::new();
    for entry in std::fs::read_dir(&docs)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "md") {
            pages.insert(path);
        }
    }
    let contents = root.join(CONTENTS);
    let listed: BTreeSet<_> = targets(&read(&contents)?)
        .iter()
        .map(|target| docs.join(target))
        .collect();
    let missing = pages
        .iter()
        .filter(|page| **page != contents && !listed.contains(*page))
        .map(|page| format!("{CONTENTS}: {} is not in the contents", shown(root, page)));
    let mut problems: Vec<_> = missing.collect();
    let others = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ];
    for page in pages
        .into_iter()
        .chain(others.map(|other| root.join(other)))
    {
        let folder = page.parent().unwrap_or(root);
        for target in targets(&read(&page)?) {
            if !folder.join(&target).exists() {
                let page = shown(root, &page);
                problems.push(format!("{page}: the link to {target} leads nowhere"));
            }
        }
    }
    Ok(problems)
}

/// The files that a page links to, without their anchors; what is elsewhere is left out.
fn targets(page: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let mut in_code = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for link in line.split("](").skip(1) {
            let target = link.split([')', ' ']).next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if !file.is_empty() && !file.contains(':') {
                targets.push(file.to_owned());
            }
        }
    }
    targets
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::{problems, targets};

    #[test]
    fn links_to_files() {
        let page = "[a](a.md#x) and [b](https://b) [c](#c)\n```\n[d](d.md)\n```\n[e](../e.md)";
        assert_eq!(targets(page), ["a.md", "../e.md"]);
    }

    #[test]
    fn a_page_without_a_place_and_a_link_to_nothing_are_found() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(root.path().join(name), text).unwrap();
        std::fs::create_dir(root.path().join("docs")).unwrap();
        for name in [
            "README.md",
            "ARCHITECTURE.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
        ] {
            write(name, "");
        }
        write("docs/SUMMARY.md", "- [One](one.md)\n- [Three](three.md)\n");
        write("docs/one.md", "[two](two.md) [four](../four.md)");
        write("docs/two.md", "");
        let found = problems(root.path()).unwrap();
        assert_eq!(
            found,
            [
                "docs/SUMMARY.md: docs/two.md is not in the contents",
                "docs/SUMMARY.md: the link to three.md leads nowhere",
                "docs/one.md: the link to ../four.md leads nowhere",
            ]
        );
    }
}
