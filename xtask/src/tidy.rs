//! `cargo xtask tidy`: house rules that neither rustfmt nor clippy knows. Also a test, so that `cargo test` finds the same.

mod circles;
mod dependencies;
mod edges;
mod features;
mod locks;
mod manifests;
mod named;
mod pages;
mod sizes;
pub(crate) mod sources;
mod words;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace::Workspace;

/// Checks sources, imports, manifests, words, links of pages, lock files, and the crate table and the names of ARCHITECTURE.md, and reports long files and functions.
#[derive(Debug, Default, Args)]
pub(crate) struct Tidy {
    /// Lists every file and function that is longer than the style aims at, not only those beyond all reason.
    #[arg(long)]
    sizes: bool,
}

impl Tidy {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let files = sources::rust_files(workspace.root())?;
        let limits = if self.sizes { sizes::AIM } else { sizes::SMELL };
        for long in files.iter().flat_map(|file| sizes::beyond(file, limits)) {
            println!("long: {long}");
        }
        let problems = problems(workspace, &files)?;
        if problems.is_empty() {
            return Ok(());
        }
        for problem in &problems {
            println!("tidy: {problem}");
        }
        bail!("{} untidy places", problems.len())
    }
}

/// Every broken rule, as `path: what is wrong and what to do`.
fn problems(workspace: &Workspace, files: &[sources::SourceFile]) -> Result<Vec<String>> {
    let architecture = std::fs::read_to_string(workspace.root().join("ARCHITECTURE.md"))
        .context("ARCHITECTURE.md holds the crate table and cannot be read")?;
    let table = edges::Table::parse(&architecture)?;
    let mut problems: Vec<_> = files.iter().flat_map(sources::problems).collect();
    problems.extend(circles::problems(workspace));
    problems.extend(manifests::problems(workspace));
    problems.extend(dependencies::problems(workspace)?);
    problems.extend(edges::problems(workspace, &table));
    problems.extend(features::problems(workspace)?);
    problems.extend(locks::problems(workspace)?);
    problems.extend(named::problems(workspace.root(), files, &architecture));
    problems.extend(pages::problems(workspace.root())?);
    problems.extend(words::problems(workspace, files)?);
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let workspace = Workspace::load().unwrap();
        let files = sources::rust_files(workspace.root()).unwrap();
        let problems = problems(&workspace, &files).unwrap();
        assert!(problems.is_empty(), "untidy:\n{}", problems.join("\n"));
    }
}
