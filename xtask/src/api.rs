//! `cargo xtask api`: what each published crate shows to others, kept in its `public-api.txt`.

mod listing;

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result, bail};
use cargo_metadata::Package;
use clap::Args;
use xshell::cmd;

use self::listing::Listing;
use crate::workspace::{self, Workspace};

/// The file of a crate's folder that lists its public API.
const FILE: &str = "public-api.txt";

/// Compares the public API of each published crate with its public-api.txt, and the other crates whose types are part of it with
/// `allowed_external_types` in its Cargo.toml.
#[derive(Debug, Default, Args)]
pub(crate) struct Api {
    /// Writes public-api.txt instead of comparing.
    #[arg(long)]
    update: bool,
}

impl Api {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        self.document(workspace)?;
        workspace::step("public APIs", || self.compare(workspace))
    }

    /// Makes rustdoc's JSON of every library.
    #[expect(clippy::unused_self, reason = "a step of the chore")]
    fn document(&self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        // The JSON is not stable yet. Only rustdoc gets the variable that allows it: a build script that saw it would run again, and
        // everything that depends on it would be compiled again.
        let folder = workspace.target().join("api");
        shell.create_dir(&folder)?;
        let rustdoc = folder.join("rustdoc");
        shell.write_file(
            &rustdoc,
            "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n",
        )?;
        cmd!(shell, "chmod +x {rustdoc}").quiet().run()?;
        // The features of the whole workspace, so that nothing is built a second time.
        workspace::command(
            "rustdoc",
            cmd!(
                shell,
                "cargo doc --quiet --locked --workspace --no-deps --lib"
            )
            .env("RUSTDOC", &rustdoc)
            .env("RUSTDOCFLAGS", "-Z unstable-options --output-format json"),
        )
    }

    fn compare(&self, workspace: &Workspace) -> Result<()> {
        let mut problems = Vec::new();
        for package in workspace.libraries() {
            let library = library(package);
            let json = workspace
                .target()
                .join("doc")
                .join(format!("{library}.json"));
            let json = std::fs::read(&json)
                .with_context(|| format!("rustdoc wrote no {}", json.display()))?;
            let listing = listing::listing(&serde_json::from_slice(&json)?, workspace.root())?;
            let file = workspace.root().join(workspace.folder(package)).join(FILE);
            if self.update {
                workspace.shell.write_file(&file, text(&listing))?;
            } else {
                problems.extend(differences(package, &file, &listing));
            }
            problems.extend(strangers(package, &listing));
        }
        if problems.is_empty() {
            return Ok(());
        }
        for problem in &problems {
            println!("api: {problem}");
        }
        bail!(
            "{} differences: if they are meant, run `cargo xtask api --update` and name them in the CHANGELOG",
            problems.len()
        )
    }
}

/// The name that rustdoc has for the library of a package.
fn library(package: &Package) -> String {
    package.name.replace('-', "_")
}

fn text(listing: &Listing) -> String {
    let lines: Vec<_> = listing
        .lines
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    lines.concat()
}

/// Lines that the file has and the crate does not, and the other way round.
fn differences(package: &Package, file: &Path, listing: &Listing) -> Vec<String> {
    let Ok(kept) = std::fs::read_to_string(file) else {
        return vec![format!("{} has no {FILE}", package.name)];
    };
    let kept: BTreeSet<String> = kept.lines().map(str::to_owned).collect();
    let gone = kept.difference(&listing.lines).map(|line| ("gone", line));
    let new = listing.lines.difference(&kept).map(|line| ("new", line));
    gone.chain(new)
        .map(|(what, line)| format!("{what}: {line}"))
        .collect()
}

/// Crates in the API that Cargo.toml does not allow there, and those that it allows for nothing.
fn strangers(package: &Package, listing: &Listing) -> Vec<String> {
    let list = &package.metadata["cargo_check_external_types"]["allowed_external_types"];
    let allowed: BTreeSet<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pattern| pattern.as_str()?.split("::").next().map(str::to_owned))
        .collect();
    let name = &package.name;
    let beyond = listing.foreign.difference(&allowed).map(|one| {
        format!(
            "{name}: types of `{one}` are in its API, and allowed_external_types does not name it"
        )
    });
    let unused = allowed.difference(&listing.foreign).map(|one| {
        format!("{name}: allowed_external_types names `{one}`, which is not in its API")
    });
    beyond.chain(unused).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(lines: &[&str]) -> Listing {
        Listing {
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
            foreign: BTreeSet::new(),
        }
    }

    #[test]
    fn a_line_that_is_new_and_one_that_is_gone_are_differences() {
        let workspace = Workspace::load().unwrap();
        let package = workspace.libraries()[0];
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let has_none = differences(package, &file, &listing(&[]));
        assert!(
            has_none[0].ends_with("has no public-api.txt"),
            "{has_none:?}"
        );
        std::fs::write(&file, text(&listing(&["a", "b"]))).unwrap();
        assert_eq!(
            differences(package, &file, &listing(&["b", "c"])),
            ["gone: a", "new: c"]
        );
    }

    #[test]
    fn every_library_keeps_its_api_in_a_file() {
        let workspace = Workspace::load().unwrap();
        for package in workspace.libraries() {
            let file = workspace.root().join(workspace.folder(package)).join(FILE);
            assert!(file.is_file(), "{} is missing", file.display());
        }
    }
}
