//! `cargo xtask bench NAME`: one benchmark, always built for release.

use anyhow::{Context, Result, bail};
use cargo_metadata::{Package, TargetKind};
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// Runs a crate's benchmarks (`cargo xtask bench s3-stream`); without a name, lists what there is.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The crate's folder name, or the name of one benchmark.
    name: Option<String>,
    /// Handed to the benchmark.
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// One `[[bench]]` of one crate.
struct Found<'a> {
    package: &'a Package,
    folder: String,
    bench: &'a str,
}

impl Bench {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let all = find(workspace);
        let Some(name) = &self.name else {
            for found in &all {
                println!("{:<20} {}", found.folder, found.bench);
            }
            return Ok(());
        };
        let chosen: Vec<_> = all
            .iter()
            .filter(|found| found.folder == *name || found.bench == name)
            .collect();
        if chosen.is_empty() {
            let known: Vec<_> = all
                .iter()
                .map(|found| format!("{}/{}", found.folder, found.bench))
                .collect();
            bail!(
                "no benchmark is called {name}; there are: {}",
                known.join(", ")
            );
        }
        for found in chosen {
            let (shell, arguments) = (&workspace.shell, &self.arguments);
            let (package, bench) = (found.package.name.as_str(), found.bench);
            workspace::command(
                &format!("bench {}/{bench}", found.folder),
                cmd!(
                    shell,
                    "cargo bench --locked -p {package} --bench {bench} -- {arguments...}"
                ),
            )
            .with_context(|| format!("benchmark {bench} of {package}"))?;
        }
        Ok(())
    }
}

/// Every benchmark of the workspace.
fn find(workspace: &Workspace) -> Vec<Found<'_>> {
    let mut all = Vec::new();
    for package in workspace.members() {
        let folder = workspace
            .folder(package)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for target in package
            .targets
            .iter()
            .filter(|target| target.kind.contains(&TargetKind::Bench))
        {
            all.push(Found {
                package,
                folder: folder.clone(),
                bench: &target.name,
            });
        }
    }
    all
}
