//! `cargo xtask dist`: the programs as they are shipped.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use xshell::cmd;

use crate::workspace::{self, Workspace};

/// The shipped programs.
pub(crate) const PROGRAMS: [&str; 3] = ["flowlake", "flowlake-server", LAMBDA];
const LAMBDA: &str = "flowlake-lambda";

/// The size that no program may exceed: a larger one is a dependency or a feature that nobody decided on. The aim is 90 MB.
const MOST_BYTES: usize = 110_000_000;

/// The C library of `provided.al2023`, which runs the function: a program that needs a newer one does not start there.
const GLIBC_OF_LAMBDA: (u32, u32) = (2, 34);

/// Identical functions are kept once. rustc marks no address of a function as significant, so all may be folded.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const RUSTFLAGS: &str = "-Clink-arg=-Wl,--icf=all";
/// Elsewhere the linker may be one that cannot fold.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
const RUSTFLAGS: &str = "";

/// The version of cargo-auditable that is built when none is installed.
const AUDITABLE: &str = "0.7.7";

/// The section of a program that lists what it was built from.
const DEPENDENCIES: &[u8] = b".dep-v0";

/// Builds the programs with the profile `dist`, without the features that only tests need, and prints their sizes.
#[derive(Debug, Default, Args)]
pub(crate) struct Dist {
    /// Puts the list of dependencies into each program, for `cargo audit bin` and scanners of images.
    #[arg(long)]
    auditable: bool,
}

impl Dist {
    /// As a release needs them.
    pub(crate) fn auditable() -> Self {
        Self { auditable: true }
    }

    /// Builds; returns the folder of the programs.
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<PathBuf> {
        let shell = &workspace.shell;
        let cargo = if self.auditable {
            workspace::step("install cargo-auditable", || {
                workspace.tool("cargo-auditable", AUDITABLE)
            })?
        } else {
            PathBuf::from("cargo")
        };
        let auditable = self.auditable.then_some("auditable");
        // RUSTFLAGS replace those in .cargo/config.toml, and with them the features that only tests need.
        workspace::command(
            "shipped programs",
            cmd!(
                shell,
                "{cargo} {auditable...} build --locked --profile dist -p flowlake-cli -p flowlake-server -p flowlake-lambda --bins"
            )
            .env("RUSTFLAGS", RUSTFLAGS),
        )?;
        let folder = workspace.target().join("dist");
        for program in PROGRAMS {
            let bytes = std::fs::read(folder.join(program))?;
            print!("{program}: {} MB", bytes.len() / 1_000_000);
            let lists_dependencies = bytes
                .windows(DEPENDENCIES.len())
                .any(|part| part == DEPENDENCIES);
            ensure!(
                lists_dependencies || !self.auditable,
                "{program} does not list its dependencies"
            );
            let glibc = newest_glibc(&bytes);
            match glibc {
                Some((major, minor)) => println!(", for glibc {major}.{minor} and later"),
                None => println!(),
            }
            if program == LAMBDA && glibc > Some(GLIBC_OF_LAMBDA) {
                let (major, minor) = GLIBC_OF_LAMBDA;
                println!(
                    "  It does not start on provided.al2023, which has glibc {major}.{minor}: build it where the C library is no newer."
                );
            }
            ensure!(
                bytes.len() <= MOST_BYTES,
                "{program} is larger than {MOST_BYTES} bytes: see what it is made of with `cargo bloat --profile dist`"
            );
        }
        Ok(folder)
    }
}

/// The newest version of glibc whose symbols a program needs; `None` of one that needs none.
fn newest_glibc(program: &[u8]) -> Option<(u32, u32)> {
    const PREFIX: &[u8] = b"GLIBC_";
    let starts = program
        .windows(PREFIX.len())
        .enumerate()
        .filter(|(_, window)| *window == PREFIX)
        .map(|(start, _)| &program[start + PREFIX.len()..]);
    starts
        .filter_map(|rest| {
            let end = rest.iter().position(|&byte| byte == 0)?;
            let (major, minor) = std::str::from_utf8(&rest[..end]).ok()?.split_once('.')?;
            // Of a version such as 2.2.5, two numbers are enough.
            let minor = minor.split('.').next()?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::newest_glibc;

    #[test]
    fn the_newest_version_that_a_program_needs() {
        let names =
            b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_ABI_DT_RELR\0GLIBC_PRIVATE\0GLIBC_3";
        assert_eq!(newest_glibc(names), Some((2, 34)));
        assert_eq!(newest_glibc(b"GLIBC_2.36\0"), Some((2, 36)));
        assert_eq!(newest_glibc(b"no symbols"), None);
        if cfg!(target_env = "gnu") {
            let shell = std::fs::read("/bin/sh").unwrap();
            assert!(newest_glibc(&shell) >= Some((2, 2)));
        }
    }
}
