//! What every Rust file has to be: opened by its purpose, and free of silently skipped tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Folders with Rust code of ours.
const FOLDERS: &[&str] = &["apps", "benches", "crates", "examples", "tests", "xtask"];

/// Folders that hold what tools made.
const GENERATED: &[&str] = &["artifacts", "corpus", "flowlake-data", "target"];

/// Starts of lines that may not be in a Rust file, each with what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    (
        "#[ignore",
        "a skipped test is a test nobody runs: assert what happens today, with a comment, or delete it",
    ),
    (
        "#[should_panic",
        "assert the error, so that a panic for another reason cannot pass",
    ),
    (
        "#[allow(",
        "use #[expect(.., reason = \"..\")]: it goes away with its cause",
    ),
    (
        "#![allow(",
        "use #![expect(.., reason = \"..\")]: it goes away with its cause",
    ),
];

/// One Rust file of the workspace.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Relative to the root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// Every Rust file of ours, in the order of paths.
pub(crate) fn rust_files(root: &Path) -> Result<Vec<SourceFile>> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut paths)?;
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let path = path.strip_prefix(root).unwrap_or(&path).to_owned();
        Ok(SourceFile { path, text })
    };
    paths.into_iter().map(read).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?
    {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if entry.file_type()?.is_dir() {
            if !name.starts_with('.') && !GENERATED.contains(&name.as_ref()) {
                collect(&path, paths)?;
            }
        } else if name.ends_with(".rs") {
            paths.push(path);
        }
    }
    Ok(())
}

/// The rules that one file breaks.
pub(super) fn problems(file: &SourceFile) -> Vec<String> {
    let path = file.path.display();
    let mut problems = Vec::new();
    let first = file
        .text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    if !(first.starts_with("//!") || first.starts_with("#![doc")) {
        problems.push(format!(
            "{path}: open it with a `//!` line that says what the file is for"
        ));
    }
    for (index, line) in file.text.lines().enumerate() {
        let code = line.trim_start();
        for (start, instead) in FORBIDDEN {
            if code.starts_with(start) {
                problems.push(format!("{path}:{}: `{start}`: {instead}", index + 1));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Vec<String> {
        problems(&SourceFile {
            path: PathBuf::from("a.rs"),
            text: text.to_owned(),
        })
    }

    #[test]
    fn a_file_is_opened_by_its_purpose() {
        assert!(check("//! What this is for.\nfn main() {}\n").is_empty());
        assert!(check("#![doc = include_str!(\"../README.md\")]\n").is_empty());
        assert_eq!(check("use std::fs;\n").len(), 1);
        assert_eq!(check("").len(), 1);
    }

    #[test]
    fn a_skipped_test_is_found_and_a_mention_of_it_is_not() {
        let skipped = check("//! X\n    #[ignore = \"slow\"]\n    fn a() {}\n");
        assert_eq!(skipped.len(), 1);
        assert!(skipped[0].starts_with("a.rs:2:"), "{skipped:?}");
        assert!(check("//! X\nconst A: &str = \"#[ignore\";\n").is_empty());
        assert_eq!(check("//! X\n#![allow(dead_code)]\n").len(), 1);
    }
}
