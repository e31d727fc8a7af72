//! `cargo xtask dist`: the programs as they are shipped.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// The shipped programs.
pub(crate) const PROGRAMS: [&str; 3] = ["flowlake", "flowlake-server", "flowlake-lambda"];

/// The size that no program may exceed: a larger one is a dependency or a feature that nobody decided on.
const MOST_BYTES: u64 = 90_000_000;

/// Identical functions are kept once. rustc marks no address of a function as significant, so all may be folded.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const RUSTFLAGS: &str = "-Clink-arg=-Wl,--icf=all";
/// Elsewhere the linker may be one that cannot fold.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
const RUSTFLAGS: &str = "";

/// Builds the programs with the profile `dist`, without the features that only tests need, and prints their sizes.
#[derive(Debug, Default, Args)]
pub(crate) struct Dist {}

impl Dist {
    /// Builds; returns the folder of the programs.
    #[expect(clippy::unused_self, reason = "every chore is run in the same way")]
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<PathBuf> {
        let shell = &workspace.shell;
        // RUSTFLAGS replace those in .cargo/config.toml, and with them the features that only tests need.
        workspace::command(
            "shipped programs",
            cmd!(
                shell,
                "cargo build --locked --profile dist -p flowlake-cli -p flowlake-server -p flowlake-lambda --bins"
            )
            .env("RUSTFLAGS", RUSTFLAGS),
        )?;
        let folder = workspace.target().join("dist");
        for program in PROGRAMS {
            let bytes = std::fs::metadata(folder.join(program))?.len();
            println!("{program}: {} MB", bytes / 1_000_000);
            ensure!(
                bytes <= MOST_BYTES,
                "{program} is larger than {MOST_BYTES} bytes: see what it is made of with `cargo bloat --profile dist`"
            );
        }
        Ok(folder)
    }
}
