//! `cargo xtask e2e`: the programs against servers that are not ours.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use xshell::cmd;

use crate::{
    dist::{Dist, PROGRAMS},
    outside,
    secrets::{self, SecretSearch},
    workspace::{self, E2E_PACKAGE, Workspace},
};

/// The Python packages that the end-to-end tests need, by pinned version.
const REQUIREMENTS: &str = "tests/e2e/requirements.txt";

/// The packages of the other policy evaluator, by pinned version.
const NODE_LOCK: &str = "tests/e2e/node/package-lock.json";

/// Builds the programs, installs pinned servers into target/, and runs tests/e2e.
#[derive(Debug, Default, Args)]
pub(crate) struct E2e {
    /// The nextest profile.
    #[arg(long, default_value = "default")]
    profile: String,
    /// Tests the programs as they are shipped, instead of those that `cargo run` builds; building them takes long.
    #[arg(long)]
    dist: bool,
    /// Fails when a tool is missing that only some tests need, instead of leaving those out.
    #[arg(long)]
    strict: bool,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

impl E2e {
    /// As CI runs it.
    pub(crate) fn ci() -> Self {
        Self {
            profile: "ci".to_owned(),
            dist: false,
            strict: true,
            filter: None,
        }
    }

    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        let target = workspace.target();
        let outside_modules = outside::met_modules(workspace, self.strict)?;
        let binaries = self.binaries(workspace)?;
        let python = workspace::step("servers from PyPI", || virtual_environment(workspace))?;
        let node = workspace::step("evaluator from npm", || node_packages(workspace))?;
        // These names are read in tests/e2e/src/environment.rs.
        let _node = shell.push_env("FLOWLAKE_E2E_NODE", &node);
        let _python = shell.push_env("FLOWLAKE_E2E_PYTHON", &python);
        let _binaries = shell.push_env("FLOWLAKE_E2E_BINARIES", binaries);
        let _work = shell.push_env("FLOWLAKE_E2E_WORK", target.join("e2e-work"));
        let search = SecretSearch::begin(workspace, "e2e")?;
        let _used = shell.push_env(secrets::VARIABLE, search.used());
        let mut outputs = vec![target.join("e2e-work")];
        let filter = &self.filter;
        if workspace.has_cargo_command("nextest") {
            let profile = &self.profile;
            let set = outside::nextest_set(outside_modules);
            workspace::command(
                "e2e tests",
                cmd!(
                    shell,
                    "cargo nextest run --locked --workspace --profile {profile} -E {set} {filter...}"
                ),
            )?;
            outputs.push(workspace.nextest_report(profile));
        } else {
            let serial = "--test-threads=1";
            workspace::command(
                "e2e tests",
                cmd!(
                    shell,
                    "cargo test --locked -p {E2E_PACKAGE} {filter...} -- {serial}"
                ),
            )?;
            // Of several names, libtest runs what has any one of them.
            if filter.is_none() && !outside_modules.is_empty() {
                let names: Vec<_> = outside_modules
                    .iter()
                    .map(|module| format!("{module}::"))
                    .collect();
                workspace::command(
                    "tests that need tools",
                    cmd!(
                        shell,
                        "cargo test --locked --workspace --tests -- {names...}"
                    ),
                )?;
            }
        }
        // A single test may use no secret at all.
        if filter.is_none() {
            workspace::step("no secret in any output", || search.run(&outputs))?;
        }
        Ok(())
    }

    /// Builds the programs; returns their folder.
    fn binaries(&self, workspace: &Workspace) -> Result<PathBuf> {
        if self.dist {
            return Dist::default().run(workspace);
        }
        let shell = &workspace.shell;
        let programs = PROGRAMS.iter().flat_map(|program| ["--bin", program]);
        workspace::command(
            "programs",
            cmd!(shell, "cargo build --locked {programs...}"),
        )?;
        Ok(workspace.target().join("debug"))
    }
}

/// The folder with the packages of tests/e2e/node, exactly as its lock file has them. Nothing of them is run at installation.
fn node_packages(workspace: &Workspace) -> Result<PathBuf> {
    let shell = &workspace.shell;
    let folder = workspace.target().join("e2e-node");
    let wanted = shell.read_file(NODE_LOCK)?;
    let stamp = folder.join("installed.json");
    if shell
        .read_file(&stamp)
        .is_ok_and(|installed| installed == wanted)
    {
        return Ok(folder);
    }
    shell.remove_path(&folder)?;
    shell.create_dir(&folder)?;
    for file in ["package.json", "package-lock.json"] {
        shell.copy_file(Path::new("tests/e2e/node").join(file), &folder)?;
    }
    cmd!(
        shell,
        "npm ci --prefix {folder} --ignore-scripts --no-audit --no-fund --silent"
    )
    .run()
    .context("Node.js with npm is needed; on Debian: apt-get install nodejs npm")?;
    shell.write_file(&stamp, wanted)?;
    Ok(folder)
}

/// The Python of a virtual environment that holds exactly the pinned packages.
fn virtual_environment(workspace: &Workspace) -> Result<PathBuf> {
    let shell = &workspace.shell;
    let folder = workspace.target().join("e2e-venv");
    let python = folder.join("bin").join("python");
    let wanted = shell.read_file(REQUIREMENTS)?;
    let stamp = folder.join("installed.txt");
    if python.exists()
        && shell
            .read_file(&stamp)
            .is_ok_and(|installed| installed == wanted)
    {
        return Ok(python);
    }
    shell.remove_path(&folder)?;
    make_environment(workspace, &folder)?;
    cmd!(
        shell,
        "{python} -m pip install --quiet --disable-pip-version-check --requirement {REQUIREMENTS}"
    )
    .run()?;
    shell.write_file(&stamp, wanted)?;
    Ok(python)
}

fn make_environment(workspace: &Workspace, folder: &Path) -> Result<()> {
    let shell = &workspace.shell;
    cmd!(shell, "python3 -m venv {folder}")
        .run()
        .context("python3 with its venv module is needed; on Debian: apt-get install python3-venv")
}
