//! Where things are, and how a step is run and timed.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand, Package};
use xshell::{Cmd, Shell, cmd};

/// Binaries and tests that need tools from outside, kept out of `cargo xtask test`.
pub(crate) const E2E_PACKAGE: &str = "flowlake-e2e";

/// The workspace that the chores work on.
#[derive(Debug)]
pub(crate) struct Workspace {
    /// Runs commands in the workspace's root.
    pub(crate) shell: Shell,
    /// What cargo knows of the workspace, dependencies included.
    pub(crate) metadata: Metadata,
}

impl Workspace {
    /// Finds the workspace that the current folder is in; a target directory may be shared by several clones.
    pub(crate) fn load() -> Result<Self> {
        let metadata = MetadataCommand::new()
            .features(CargoOpt::AllFeatures)
            .exec()
            .context("cargo metadata cannot read the workspace")?;
        let shell = Shell::new()?;
        shell.change_dir(&metadata.workspace_root);
        Ok(Self { shell, metadata })
    }

    /// The folder of the workspace's Cargo.toml.
    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// The target directory, wherever it was set.
    pub(crate) fn target(&self) -> &Path {
        self.metadata.target_directory.as_std_path()
    }

    /// The members of the workspace.
    pub(crate) fn members(&self) -> Vec<&Package> {
        self.metadata.workspace_packages()
    }

    /// The members that go to crates.io.
    pub(crate) fn published(&self) -> Vec<&Package> {
        let mut members = self.members();
        members.retain(|package| package.publish.is_none());
        members
    }

    /// The published members that others use as libraries: all but the apps, whose libraries are for our programs alone.
    pub(crate) fn libraries(&self) -> Vec<&Package> {
        let mut members = self.published();
        members.retain(|package| self.folder(package).starts_with("crates"));
        members
    }

    /// The folder of a member relative to the root, such as `crates/transform`.
    pub(crate) fn folder(&self, package: &Package) -> PathBuf {
        let folder = package
            .manifest_path
            .parent()
            .unwrap_or(&self.metadata.workspace_root);
        folder
            .strip_prefix(&self.metadata.workspace_root)
            .unwrap_or(folder)
            .into()
    }

    /// What the tests of the last nextest run printed, passed or failed.
    pub(crate) fn nextest_report(&self, profile: &str) -> PathBuf {
        // Below the workspace, wherever the target directory is: nextest's `store.dir`.
        let store = self.root().join("target").join("nextest");
        store.join(profile).join("junit.xml")
    }

    /// The path of a tool in just this version, built into the target directory when it is not there yet.
    pub(crate) fn tool(&self, name: &str, version: &str) -> Result<PathBuf> {
        let tools = self.target().join("tools");
        let program = tools.join("bin").join(name);
        let shell = &self.shell;
        // Some of cargo's subcommands answer only under the name that cargo calls them by.
        let subcommand = name.trim_start_matches("cargo-");
        let questions: [&[&str]; 2] = [&["--version"], &[subcommand, "--version"]];
        for candidate in [program.clone(), PathBuf::from(name)] {
            let answers = questions.map(|question| {
                cmd!(shell, "{candidate} {question...}")
                    .quiet()
                    .ignore_stderr()
                    .read()
            });
            let is_it = |found: &String| found.trim_end().ends_with(version);
            if answers.iter().flatten().any(is_it) {
                return Ok(candidate);
            }
        }
        let build = tools.join("build");
        // Unoptimised: it is built once and runs for a second.
        cmd!(shell, "cargo install --quiet --locked --debug --root {tools} --target-dir {build} {name}@{version}").run()?;
        shell.remove_path(&build)?;
        Ok(program)
    }

    /// Whether `cargo NAME` is installed.
    pub(crate) fn has_cargo_command(&self, name: &str) -> bool {
        self.shell
            .cmd("cargo")
            .args([name, "--version"])
            .quiet()
            .ignore_stdout()
            .ignore_stderr()
            .run()
            .is_ok()
    }
}

/// Runs one named step and prints how long it took.
pub(crate) fn step<T>(name: &str, run: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("--- {name}");
    let started = now();
    let result = run();
    let seconds = started.elapsed().as_secs_f64();
    match &result {
        Ok(_) => println!("--- {name}: ok, {seconds:.1} s"),
        Err(_) => println!("--- {name}: FAILED after {seconds:.1} s"),
    }
    result.with_context(|| format!("step `{name}` failed"))
}

/// Runs one command as a step.
#[expect(
    clippy::needless_pass_by_value,
    reason = "every caller makes the command in the call"
)]
pub(crate) fn command(name: &str, command: Cmd<'_>) -> Result<()> {
    step(name, || Ok(command.run()?))
}

/// Runs one command as a step and keeps what it prints, which is shown when it has ended.
pub(crate) fn recorded(name: &str, command: Cmd<'_>, output: &Path) -> Result<()> {
    step(name, || {
        let ran = command.ignore_status().output()?;
        let text = [ran.stdout.as_slice(), ran.stderr.as_slice()].concat();
        println!("{}", String::from_utf8_lossy(&text));
        std::fs::write(output, text)?;
        ensure!(ran.status.success(), "{name} ended with {}", ran.status);
        Ok(())
    })
}

/// The present moment, from which a duration is measured.
#[expect(
    clippy::disallowed_methods,
    reason = "a chore only measures how long it took"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
