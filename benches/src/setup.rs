//! What a comparison is made of before it begins: the peers from PyPI, and our own programs as they are shipped.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

/// Where things lie.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder of builds.
    pub target: PathBuf,
    /// The programs that call peers, and their pinned versions.
    pub peers: PathBuf,
    /// The page of results.
    pub page: PathBuf,
    root: PathBuf,
}

impl Places {
    /// Finds them from the running benchmark, which lies in `target/release/deps`.
    ///
    /// # Errors
    /// When it lies elsewhere.
    pub fn find() -> Result<Self> {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let executable = env::current_exe()?;
        let target = executable
            .ancestors()
            .nth(3)
            .context("this program lies in target/release/deps")?;
        let root = here.join("..");
        Ok(Self {
            target: target.to_owned(),
            peers: here.join("peers"),
            page: root.join("docs/benchmarks.md"),
            root,
        })
    }

    /// The Python of a virtual environment with the peers.
    ///
    /// # Errors
    /// When Python has no `venv`, or a package cannot be installed.
    pub fn python(&self) -> Result<PathBuf> {
        let folder = self.target.join("peers");
        let python = folder.join("bin/python");
        if !python.exists() {
            succeed(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
        }
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--requirement"]);
        succeed(pip.arg(self.peers.join("requirements.txt")))?;
        Ok(python)
    }

    /// Builds our programs as they are shipped; returns their folder.
    ///
    /// # Errors
    /// When the build fails.
    pub fn build(&self) -> Result<PathBuf> {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["xtask", "dist"])
            .env("CARGO_TARGET_DIR", &self.target)
            .current_dir(&self.root);
        succeed(&mut cargo)?;
        Ok(self.target.join("dist"))
    }
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started or fails.
pub fn succeed(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{command:?} cannot be started"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
