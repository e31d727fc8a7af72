//! No output of any test may hold a secret that the tests used.
//!
//! The stand-ins and the end-to-end tests write every secret down while they run, into a file that this chore names; when they
//! are done, everything that they put out is searched: what each test printed and logged, audit logs, logs of servers.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use crate::workspace::Workspace;

/// Names the file; `crates/dev-stack/src/secrets.rs` writes it.
pub(crate) const VARIABLE: &str = "FLOWLAKE_SECRETS_USED";

/// Folders of the end-to-end tests that are no output: given in secrets, generated data, and another server's own store.
const NO_OUTPUT: [&str; 3] = ["private", "shared", "seaweedfs"];

/// Longest part of a file that is looked at in one piece.
const WINDOW_BYTES: usize = 64 << 20;

/// The secrets of one run of tests.
#[derive(Debug)]
pub(crate) struct SecretSearch {
    used: PathBuf,
}

impl SecretSearch {
    /// Starts an empty list.
    pub(crate) fn begin(workspace: &Workspace, run: &str) -> Result<Self> {
        let used = workspace
            .target()
            .join("secrets-used")
            .join(format!("{run}.txt"));
        let folder = used.parent().context("the list has a folder")?;
        fs::create_dir_all(folder)?;
        fs::write(&used, "")?;
        Ok(Self { used })
    }

    /// The list, for the tests to write.
    pub(crate) fn used(&self) -> &Path {
        &self.used
    }

    /// Searches files, and all files below folders.
    ///
    /// # Errors
    /// When a secret is found; when there is nothing to search, or nothing to search for, since that would prove nothing.
    pub(crate) fn run(&self, outputs: &[PathBuf]) -> Result<()> {
        let list = fs::read_to_string(&self.used)?;
        let secrets: BTreeSet<&str> = list.lines().filter(|line| !line.is_empty()).collect();
        ensure!(
            !secrets.is_empty(),
            "the tests wrote down no secret to search for"
        );
        let spellings: BTreeSet<String> =
            secrets.iter().flat_map(|secret| spelled(secret)).collect();
        let mut files = Vec::new();
        for output in outputs {
            collect(output, &mut files)?;
        }
        ensure!(!files.is_empty(), "the tests left no output to search");
        let mut bytes = 0;
        for file in &files {
            let content =
                fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
            bytes += content.len();
            search(file, &content, &spellings)?;
        }
        println!(
            "    {} secrets, none found in {} files of {} MB",
            secrets.len(),
            files.len(),
            bytes / 1_000_000
        );
        Ok(())
    }
}

/// The files of an output.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let metadata = fs::symlink_metadata(path)
        .with_context(|| format!("there is no output {}", path.display()))?;
    if metadata.is_file() {
        files.push(path.to_owned());
    } else if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if !NO_OUTPUT.iter().any(|name| entry.file_name() == *name) {
                collect(&entry.path(), files)?;
            }
        }
    }
    Ok(())
}

/// A secret as it is, as XML writes it (test reports), and as JSON does (logs and audit records).
fn spelled(secret: &str) -> [String; 3] {
    let xml = [
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("\"", "&quot;"),
    ];
    let json = [("\\", "\\\\"), ("\"", "\\\"")];
    let replaced = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .fold(secret.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    [secret.to_owned(), replaced(&xml), replaced(&json)]
}

/// Says where a secret is, and shows no more than its beginning.
fn search(file: &Path, content: &[u8], secrets: &BTreeSet<String>) -> Result<()> {
    // Text that is not UTF-8 (a store, an archive) is searched just the same: only what matches exactly is found.
    for window in content.chunks(WINDOW_BYTES) {
        let text = String::from_utf8_lossy(window);
        if let Some(secret) = secrets.iter().find(|secret| text.contains(secret.as_str())) {
            let start = secret.get(..4).unwrap_or("****");
            let place = text.find(secret.as_str()).unwrap_or_default();
            let line = text[..place].matches('\n').count() + 1;
            bail!(
                "{} holds the secret that starts with {start}, at line {line}",
                file.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list with one secret and a folder of outputs.
    fn planted(name: &str) -> (SecretSearch, PathBuf) {
        let folder =
            std::env::temp_dir().join(format!("flowlake-secrets-{}-{name}", std::process::id()));
        let outputs = folder.join("outputs");
        fs::create_dir_all(outputs.join("deep/private")).unwrap();
        fs::write(folder.join("used.txt"), "a-planted-secret\n").unwrap();
        fs::write(outputs.join("test.log"), "all is well\n").unwrap();
        let search = SecretSearch {
            used: folder.join("used.txt"),
        };
        (search, outputs)
    }

    #[test]
    fn a_planted_secret_is_found_wherever_it_is() {
        let (search, outputs) = planted("found");
        search.run(std::slice::from_ref(&outputs)).unwrap();
        // What was given in is no output.
        fs::write(outputs.join("deep/private/key"), "a-planted-secret").unwrap();
        search.run(std::slice::from_ref(&outputs)).unwrap();
        fs::write(
            outputs.join("deep/audit.jsonl"),
            "{}\n{\"key\":\"a-planted-secret\"}\n",
        )
        .unwrap();
        let error = search.run(&[outputs]).unwrap_err().to_string();
        assert!(
            error.contains("audit.jsonl") && error.ends_with("line 2"),
            "{error}"
        );
        assert!(!error.contains("a-planted-secret"), "{error}");
    }

    #[test]
    fn escapes_hide_no_secret() {
        let secret = r#"a<b&"c\d"#;
        for (name, written) in [
            ("xml", "<out>a&lt;b&amp;&quot;c\\d</out>"),
            ("json", r#"{"key":"a<b&\"c\\d"}"#),
        ] {
            let (search, outputs) = planted(name);
            fs::write(search.used(), secret).unwrap();
            search.run(std::slice::from_ref(&outputs)).unwrap();
            fs::write(outputs.join("report"), written).unwrap();
            assert!(search.run(&[outputs]).is_err(), "{name}");
        }
    }

    #[test]
    fn searching_nothing_or_for_nothing_is_an_error() {
        let (search, outputs) = planted("nothing");
        assert!(search.run(&[]).is_err());
        assert!(search.run(&[outputs.join("missing")]).is_err());
        fs::write(search.used(), "").unwrap();
        assert!(search.run(&[outputs]).is_err());
    }
}
