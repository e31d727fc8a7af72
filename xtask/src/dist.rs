//! `cargo xtask dist`: the programs as they are shipped.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// The shipped programs.
pub(crate) const PROGRAMS: [&str; 2] = ["flowlake", "flowlake-server"];

/// The size that no program may exceed: a larger one is a dependency or a feature that nobody decided on.
const MOST_BYTES: u64 = 90_000_000;

/// Builds both programs with the profile `dist`, without the features that only tests need, and prints their sizes.
#[derive(Debug, Default, Args)]
pub(crate) struct Dist {}

impl Dist {
    /// Builds; returns the folder of the programs.
    #[expect(clippy::unused_self, reason = "every chore is run in the same way")]
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<PathBuf> {
        let shell = &workspace.shell;
        // An empty RUSTFLAGS takes the place of those in .cargo/config.toml, and of the features that they switch on.
        workspace::command(
            "shipped programs",
            cmd!(
                shell,
                "cargo build --locked --profile dist -p flowlake-cli -p flowlake-server --bins"
            )
            .env("RUSTFLAGS", ""),
        )?;
        let folder = workspace.target().join("dist");
        for program in PROGRAMS {
            let bytes = std::fs::metadata(folder.join(program))?.len();
            println!("{program}: {:.1} MB", bytes as f64 / 1e6);
            ensure!(
                bytes <= MOST_BYTES,
                "{program} is larger than {MOST_BYTES} bytes: see what it is made of with `cargo bloat --profile dist`"
            );
        }
        Ok(folder)
    }
}
