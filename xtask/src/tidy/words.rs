//! Words that the Voice section of CONTRIBUTING.md bans, in sources and in pages.
//!
//! They are looked for in comments, texts and names alike: what reads as a riddle in a comment reads as one in an error message.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::cmd;

use super::sources::SourceFile;
use crate::workspace::Workspace;

/// What is not written, with what is written instead.
const BANNED: &[(&str, &str)] = &[
    ("anew", "again"),
    ("are told", "get, are reported, are detected"),
    ("be told", "be reported, be detected, be distinguished"),
    ("been told", "been reported"),
    ("being told", "getting, being reported"),
    ("for who", "name the caller, the reader, the client"),
    ("found out", "detected, determined"),
    ("gives out", "returns"),
    ("in vain", "say what happens"),
    ("is told", "gets, is reported, is detected"),
    ("its like", "name the others, or the kind"),
    ("mend", "fix, repair"),
    ("mended", "fixed, repaired"),
    ("mends", "fixes, repairs"),
    ("of late", "recently"),
    ("so many", "this many, or the parameter's name"),
    ("their like", "name the others, or the kind"),
    ("told apart", "distinguished"),
    ("was told", "got, was reported"),
    ("were told", "got, were reported"),
    ("what becomes of", "say what happens to it"),
    ("whoever", "name the caller, the reader, the client"),
];

/// After a banned word, what makes it another one.
const UNLESS_BEFORE: &[(&str, &str)] = &[("so many", " that ")];

/// The files that have to name the words.
const NAMES_THEM: [&str; 2] = ["CONTRIBUTING.md", "xtask/src/tidy/words.rs"];

/// The banned words of the sources and of every page and other text that is in the repository.
pub(super) fn problems(workspace: &Workspace, files: &[SourceFile]) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for file in files {
        problems.extend(in_text(&file.path, &file.text));
    }
    for page in pages(workspace)? {
        let path = workspace.root().join(&page);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        problems.extend(in_text(&page, &text));
    }
    Ok(problems)
}

/// Pages, cases and manifests: all text of the repository that is no source.
fn pages(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let shell = &workspace.shell;
    let listed = cmd!(
        shell,
        "git ls-files --cached --others --exclude-standard *.md *.slt *.toml"
    )
    .quiet()
    .read()
    .context("git names the pages")?;
    let paths = listed.lines().map(PathBuf::from);
    Ok(paths
        .filter(|path| workspace.root().join(path).is_file())
        .collect())
}

/// Every banned word of one file, as `path:line: what to write instead`.
fn in_text(path: &Path, text: &str) -> Vec<String> {
    if NAMES_THEM.iter().any(|named| path == Path::new(named)) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        // A name is words too.
        let line = line.to_ascii_lowercase().replace('_', " ");
        let found = BANNED.iter().filter(|(word, _)| has_word(&line, word));
        problems.extend(found.map(|(word, instead)| {
            let (path, line) = (path.display(), index + 1);
            format!("{path}:{line}: \"{word}\": write instead: {instead}")
        }));
    }
    problems
}

/// Whether a line in lower case has the word, whole.
fn has_word(line: &str, word: &str) -> bool {
    let unless = UNLESS_BEFORE.iter().find(|(before, _)| *before == word);
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        !before.ends_with(char::is_alphanumeric)
            && !after.starts_with(char::is_alphanumeric)
            && !unless.is_some_and(|(_, other)| after.starts_with(other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banned_word_is_found_whole_and_in_any_case() {
        let found = in_text(
            Path::new("a.md"),
            "A window anew.\nRenewed, and anewly.\nSo many rows.\nSo many that it fails.\nfn mend_it, amend\n",
        );
        assert_eq!(
            found,
            [
                "a.md:1: \"anew\": write instead: again",
                "a.md:3: \"so many\": write instead: this many, or the parameter's name",
                "a.md:5: \"mend\": write instead: fix, repair",
            ]
        );
    }

    #[test]
    fn the_page_that_sets_the_words_may_name_them() {
        assert!(in_text(Path::new("CONTRIBUTING.md"), "| anew |").is_empty());
        assert_eq!(in_text(Path::new("docs/CONTRIBUTING.md"), "anew").len(), 1);
    }

    /// A word that the page does not name would be news to its reader.
    #[test]
    fn the_page_names_every_banned_word() {
        let workspace = Workspace::load().unwrap();
        let page = std::fs::read_to_string(workspace.root().join("CONTRIBUTING.md")).unwrap();
        let page = page.to_ascii_lowercase();
        let missing: Vec<_> = BANNED
            .iter()
            .filter(|(word, _)| !page.contains(word))
            .collect();
        assert!(missing.is_empty(), "CONTRIBUTING.md lacks {missing:?}");
    }
}
