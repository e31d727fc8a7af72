//! `cargo xtask bench NAME`: one benchmark, always built for release.

use anyhow::{Context, Result, bail};
use cargo_metadata::{MetadataCommand, Package, TargetKind};
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// The comparisons with other tools: a workspace of its own.
const COMPARISONS: &str = "benches/Cargo.toml";

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
        let comparisons = MetadataCommand::new()
            .manifest_path(workspace.root().join(COMPARISONS))
            .no_deps()
            .exec()
            .with_context(|| format!("cargo metadata cannot read {COMPARISONS}"))?;
        let mut all = find(workspace);
        all.extend(of_package(comparisons.workspace_packages(), "benches"));
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
            let (manifest, target) = (&found.package.manifest_path, workspace.target());
            workspace::command(
                &format!("bench {}/{bench}", found.folder),
                cmd!(
                    shell,
                    "cargo bench --locked --manifest-path {manifest} --target-dir {target} --bench {bench} -- {arguments...}"
                ),
            )
            .with_context(|| format!("benchmark {bench} of {package}"))?;
        }
        Ok(())
    }
}

/// Every benchmark of the workspace's members.
fn find(workspace: &Workspace) -> Vec<Found<'_>> {
    let members = workspace.members().into_iter().flat_map(|package| {
        let folder = workspace.folder(package);
        let folder = folder.file_name().unwrap_or_default().to_string_lossy();
        of_package([package], &folder)
    });
    members.collect()
}

fn of_package<'a>(packages: impl IntoIterator<Item = &'a Package>, folder: &str) -> Vec<Found<'a>> {
    let mut all = Vec::new();
    for package in packages {
        let benches = package
            .targets
            .iter()
            .filter(|target| target.kind.contains(&TargetKind::Bench));
        all.extend(benches.map(|target| Found {
            package,
            folder: folder.to_owned(),
            bench: &target.name,
        }));
    }
    all
}
