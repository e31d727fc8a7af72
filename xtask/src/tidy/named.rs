//! The files and functions that ARCHITECTURE.md names: each is in the tree.

use std::path::Path;

use super::sources::SourceFile;

/// Names of files and functions on the page that are not in the tree. A path may leave out `src/` and the folders before it, as in
/// `transform/functions.rs::own`.
pub(super) fn problems(root: &Path, files: &[SourceFile], page: &str) -> Vec<String> {
    let normal = |file: &SourceFile| format!("/{}", file.path.display()).replace("/src/", "/");
    let files: Vec<_> = files.iter().map(|file| (normal(file), file)).collect();
    let mut problems = Vec::new();
    for (index, line) in page.lines().enumerate() {
        for name in names(line) {
            let (path, function) = match name.split_once("::") {
                Some((path, function)) => (path, Some(function)),
                None => (name, None),
            };
            let end = format!("/{path}");
            let mut named = files.iter().filter(|(path, _)| path.ends_with(&end));
            let is_there = match function {
                Some(function) => {
                    let start = format!("fn {function}");
                    named.any(|(_, file)| has(&file.text, &start))
                }
                None if path.ends_with(".rs") => named.next().is_some(),
                None => ["", "crates", "apps"]
                    .iter()
                    .any(|folder| root.join(folder).join(path).exists()),
            };
            if !is_there {
                problems.push(format!(
                    "ARCHITECTURE.md:{}: {name} is not in the tree",
                    index + 1
                ));
            }
        }
    }
    problems
}

/// What looks like a file or a function in one, such as `docs/errors.md` and `engine.rs::run`.
fn names(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split(|letter: char| {
        !(letter.is_ascii_alphanumeric() || ['_', '-', '.', '/', ':'].contains(&letter))
    });
    let words = words.map(|word| word.trim_end_matches(['.', ':']));
    words.filter(|word| {
        let path = word.split("::").next().unwrap_or_default();
        [".rs", ".md", ".slt"].iter().any(|end| path.ends_with(end))
    })
}

/// Whether the text has the start of a function, and not only of one whose name goes on.
fn has(text: &str, start: &str) -> bool {
    text.match_indices(start).any(|(at, _)| {
        let next = text[at + start.len()..].chars().next();
        next.is_some_and(|next| !(next.is_alphanumeric() || next == '_'))
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{SourceFile, problems};

    #[test]
    fn a_file_or_function_that_is_gone_is_found() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("GUIDE.md"), "").unwrap();
        let files = [SourceFile {
            path: PathBuf::from("crates/lake/src/scan/opener.rs"),
            text: "pub(crate) fn open_all() {}\nfn close<T>() {}\n".to_owned(),
        }];
        let check = |page: &str| problems(root.path(), &files, page);
        let right =
            "`lake/scan/opener.rs` and\nopener.rs::close, opener.rs::open_all: GUIDE.md. a::b";
        assert!(check(right).is_empty(), "{:?}", check(right));
        let wrong = "`lake/opener.rs`,\nopener.rs::open; LOST.md";
        assert_eq!(
            check(wrong),
            [
                "ARCHITECTURE.md:1: lake/opener.rs is not in the tree",
                "ARCHITECTURE.md:2: opener.rs::open is not in the tree",
                "ARCHITECTURE.md:2: LOST.md is not in the tree",
            ]
        );
    }
}
