//! What `cargo xtask e2e` prepared: binaries, Python, a folder to work in.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::Python;

/// What the tests run with. The variables are set by `xtask/src/e2e.rs`.
#[derive(Debug, Clone)]
pub struct Environment {
    python: PathBuf,
    binaries: PathBuf,
    work: PathBuf,
}

impl Environment {
    /// Finds what `cargo xtask e2e` prepared.
    ///
    /// # Errors
    /// When it was not prepared; the message says how to do it.
    pub fn load() -> Result<Self> {
        let environment = Self {
            python: variable("FLOWLAKE_E2E_PYTHON")?,
            binaries: variable("FLOWLAKE_E2E_BINARIES")?,
            work: variable("FLOWLAKE_E2E_WORK")?,
        };
        for path in [
            &environment.python,
            &environment.binary("flowlake"),
            &environment.binary("flowlake-server"),
        ] {
            ensure!(
                path.is_file(),
                "{} does not exist: run `cargo xtask e2e`",
                path.display()
            );
        }
        Ok(environment)
    }

    /// Only programs and a folder: without what other tests need of Python and Node.js.
    #[must_use]
    pub fn of_programs(binaries: &Path, work: &Path) -> Self {
        Self {
            python: PathBuf::new(),
            binaries: binaries.to_owned(),
            work: work.to_owned(),
        }
    }

    /// The Python that has boto3 and DuckDB.
    #[must_use]
    pub fn python(&self) -> Python {
        Python::new(self.python.clone())
    }

    /// A program that came with a Python package, such as `weed`.
    #[must_use]
    pub fn tool(&self, name: &str) -> PathBuf {
        self.python.with_file_name(name)
    }

    /// The folder whose `node_modules` holds the packages of `node/package.json`.
    ///
    /// # Errors
    /// When they were not prepared.
    pub fn node_packages(&self) -> Result<PathBuf> {
        let folder = variable("FLOWLAKE_E2E_NODE")?;
        ensure!(
            folder.join("node_modules").is_dir(),
            "{} holds no packages: run `cargo xtask e2e`",
            folder.display()
        );
        Ok(folder)
    }

    /// One of our own programs.
    #[must_use]
    pub fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }

    /// An empty folder for one test. It stays after the test, so that a failure can be looked into.
    ///
    /// # Errors
    /// When it cannot be emptied or made.
    pub fn folder(&self, test: &str) -> Result<PathBuf> {
        let folder = self.work.join(test);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// A generated file that tests share: made by `make` into a path of its own, and kept.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn shared_file(
        &self,
        name: &str,
        make: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        let path = self.work.join("shared").join(name);
        if !path.exists() {
            let unfinished = path.with_extension("unfinished");
            fs::create_dir_all(self.work.join("shared"))?;
            make(&unfinished)?;
            fs::rename(&unfinished, &path)?;
        }
        Ok(path)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test crate is not read by anybody's configuration"
)]
fn variable(name: &str) -> Result<PathBuf> {
    let value = std::env::var_os(name);
    value.map(PathBuf::from).with_context(|| {
        format!(
            "{name} is not set: these tests need the programs and servers; run `cargo xtask e2e`"
        )
    })
}
