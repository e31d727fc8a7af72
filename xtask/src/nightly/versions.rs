//! `cargo xtask nightly minimal-versions` and `semver`: do the versions in the manifests say what is true?

use anyhow::Result;
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// The version that is built when none is installed.
const SEMVER_CHECKS: &str = "0.51.0";

/// Checks the published crates with the oldest versions that their manifests allow; needs a nightly toolchain, which chooses them.
///
/// The committed state is checked, in a copy: Cargo.lock stays as it is.
#[derive(Debug, Default, Args)]
pub(crate) struct MinimalVersions {}

/// Compares the published crates with those of an earlier commit, and fails where a change needs a higher version.
#[derive(Debug, Args)]
pub(crate) struct Semver {
    /// The commit, branch or tag of the last release.
    #[arg(long)]
    against: String,
}

impl MinimalVersions {
    #[expect(clippy::unused_self, reason = "every chore is run in the same way")]
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let shell = &workspace.shell;
        let folder = workspace.target().join("minimal-versions");
        let (copy, build) = (folder.join("copy"), folder.join("build"));
        shell.remove_path(&copy)?;
        shell.create_dir(&copy)?;
        let archive = folder.join("copy.tar");
        cmd!(shell, "git archive --output={archive} HEAD").run()?;
        cmd!(shell, "tar --extract --file={archive} --directory={copy}").run()?;
        let packages: Vec<_> = workspace
            .published()
            .into_iter()
            .flat_map(|package| ["--package".to_owned(), package.name.to_string()])
            .collect();
        let _folder = shell.push_dir(&copy);
        workspace::command(
            "oldest versions",
            cmd!(shell, "cargo update --quiet -Z direct-minimal-versions")
                .env("RUSTUP_TOOLCHAIN", "nightly"),
        )?;
        // Checked with the toolchain of the project, which is also its oldest.
        workspace::command(
            "check",
            cmd!(
                shell,
                "cargo check --quiet --locked --all-features --target-dir {build} {packages...}"
            ),
        )
    }
}

impl Semver {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        let tool = workspace::step("install cargo-semver-checks", || {
            workspace.tool("cargo-semver-checks", SEMVER_CHECKS)
        })?;
        let shell = &workspace.shell;
        let against = &self.against;
        for package in workspace.libraries() {
            let name = package.name.as_str();
            workspace::command(
                &format!("semver of {name}"),
                cmd!(
                    shell,
                    "{tool} semver-checks --package {name} --all-features --baseline-rev {against}"
                ),
            )?;
        }
        Ok(())
    }
}
