//! `cargo xtask wheel`: the command line as a Python wheel, so that `pip install flowlake` brings the program.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// The version of maturin, from `PyPI`.
const MATURIN: &str = "maturin==1.16.0";

/// Builds the wheel of `flowlake` and installs it into a fresh virtual environment, in which the command then answers.
#[derive(Debug, Args)]
pub(crate) struct Wheel {
    /// The cargo profile: `dist` is what is shipped, `dev` tests the wheel alone.
    #[arg(long, default_value = "dist")]
    profile: String,
}

impl Wheel {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        build(workspace, &self.profile).map(drop)
    }
}

/// Builds and tests the wheel, and returns its path.
pub(crate) fn build(workspace: &Workspace, profile: &str) -> Result<PathBuf> {
    let shell = &workspace.shell;
    let folder = workspace.target().join("wheel");
    shell.remove_path(&folder)?;
    shell.create_dir(&folder)?;
    let tools = folder.join("tools");
    workspace::step("install maturin", || {
        environment(workspace, &tools)?;
        let pip = tools.join("bin").join("pip");
        Ok(cmd!(shell, "{pip} install --quiet {MATURIN}").run()?)
    })?;
    let maturin = tools.join("bin").join("maturin");
    let out = folder.join("dist");
    let manifest = workspace.root().join("apps/cli/Cargo.toml");
    workspace::command(
        "wheel",
        cmd!(
            shell,
            "{maturin} build --locked --profile {profile} --manifest-path {manifest} --out {out} --auditwheel skip"
        ),
    )?;
    let mut wheels = shell.read_dir(&out)?;
    ensure!(wheels.len() == 1, "maturin built {wheels:?}");
    let wheel = wheels.pop().context("there is one")?;
    workspace::step("installed", || {
        install(workspace, &wheel, &folder.join("fresh"))
    })?;
    Ok(wheel)
}

/// Installs the wheel where nothing else is, and asks the command for its version.
fn install(workspace: &Workspace, wheel: &Path, fresh: &Path) -> Result<()> {
    let shell = &workspace.shell;
    environment(workspace, fresh)?;
    let pip = fresh.join("bin").join("pip");
    cmd!(shell, "{pip} install --quiet --no-index {wheel}").run()?;
    let flowlake = fresh.join("bin").join("flowlake");
    let version = cmd!(shell, "{flowlake} --version").quiet().read()?;
    ensure!(version.starts_with("flowlake "), "it says {version}");
    Ok(())
}

fn environment(workspace: &Workspace, folder: &Path) -> Result<()> {
    let shell = &workspace.shell;
    cmd!(shell, "python3 -m venv {folder}")
        .run()
        .context("Python 3 with its venv module is needed")
}
