//! `cargo xtask sbom`: what the shipped programs are made of, as `CycloneDX`.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use xshell::cmd;

use crate::{
    dist::PROGRAMS,
    workspace::{self, Workspace},
};

/// The version that is built when none is installed.
const VERSION: &str = "0.5.9";

/// Writes a bill of materials for each shipped program to target/sbom: every crate in it, with version, licence and origin.
#[derive(Debug, Args)]
pub(crate) struct Sbom {}

impl Sbom {
    #[expect(clippy::unused_self, reason = "every chore is run in the same way")]
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        write(workspace).map(drop)
    }
}

/// Writes the bills and returns their paths.
pub(crate) fn write(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let tool = workspace::step("install cargo-cyclonedx", || {
        workspace.tool("cargo-cyclonedx", VERSION)
    })?;
    let shell = &workspace.shell;
    let folder = workspace.target().join("sbom");
    shell.remove_path(&folder)?;
    shell.create_dir(&folder)?;
    // Of a commit, so that the same commit gives the same file.
    let committed = cmd!(shell, "git log -1 --format=%ct").quiet().read()?;
    workspace::command(
        "bills of materials",
        cmd!(
            shell,
            "{tool} cyclonedx --quiet --format json --describe binaries --spec-version 1.5"
        )
        .env("SOURCE_DATE_EPOCH", committed),
    )?;
    let mut written = Vec::new();
    for package in workspace.members() {
        let beside = workspace.root().join(workspace.folder(package));
        for target in package.targets.iter().filter(|target| target.is_bin()) {
            // The tool writes beside each manifest, also for programs that are not shipped.
            let bill = beside.join(format!("{}_bin.cdx.json", target.name));
            if !bill.is_file() {
                continue;
            }
            if PROGRAMS.contains(&target.name.as_str()) {
                let text = shell.read_file(&bill)?;
                check(&text).with_context(|| format!("the bill of {}", target.name))?;
                let kept = folder.join(format!("{}.cdx.json", target.name));
                shell.write_file(&kept, text)?;
                written.push(kept);
            }
            shell.remove_path(&bill)?;
        }
    }
    ensure!(
        written.len() == PROGRAMS.len(),
        "cargo-cyclonedx wrote bills for {written:?} alone"
    );
    Ok(written)
}

/// A bill is of use when it names what the program is known to contain, with a licence each.
fn check(text: &str) -> Result<()> {
    let bill: serde_json::Value = serde_json::from_str(text)?;
    let components = bill["components"].as_array().context("no components")?;
    ensure!(
        components.iter().any(|one| one["name"] == "tokio"),
        "it does not name tokio"
    );
    let without = components.iter().find(|one| one["licenses"].is_null());
    ensure!(without.is_none(), "it has no licence for {without:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_bill_names_what_is_there_with_its_licence() {
        let bill = |licence: &str| format!(r#"{{"components": [{{"name": "tokio"{licence}}}]}}"#);
        assert!(check(&bill(r#", "licenses": [{"expression": "MIT"}]"#)).is_ok());
        assert!(check(&bill("")).is_err());
        assert!(check(r#"{"components": []}"#).is_err());
    }
}
