//! Where a secret is kept: an environment variable or a file, never the configuration itself.

use std::{
    fmt::Debug,
    fs,
    path::{Path, PathBuf},
};

use flowlake_genesys_auth::Secret;
use serde::Deserialize;

use crate::{ActionError, ErrorCode};

/// The process environment, so that only applications read it.
pub trait Environment: Debug {
    /// The value of a variable, when it is set and is text.
    fn get(&self, name: &str) -> Option<String>;
}

/// The variables of this process: what applications hand to everything that takes an [`Environment`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    #[expect(
        clippy::disallowed_methods,
        reason = "applications read the environment, and do it here"
    )]
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

/// `{ env = "NAME" }` or `{ file = "/run/secrets/name" }`.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum SecretSource {
    /// The name of an environment variable.
    Env(String),
    /// The path of a file, relative to flowlake.toml; white space at its end is not part of the secret.
    File(PathBuf),
}

impl SecretSource {
    /// Makes the path relative to `folder` no longer.
    pub(super) fn resolve(&mut self, folder: &Path) {
        if let Self::File(path) = self {
            *path = folder.join(&*path);
        }
    }

    /// The file that it is in, if it is in one.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Env(_) => None,
            Self::File(path) => Some(path),
        }
    }

    /// Reads the secret.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when the variable or file is missing or empty; the message names the place, never the content.
    pub fn read(&self, environment: &dyn Environment) -> Result<Secret, ActionError> {
        let (place, text) = match self {
            Self::Env(name) => (
                format!("the environment variable {name}"),
                environment.get(name),
            ),
            Self::File(path) => (path.display().to_string(), fs::read_to_string(path).ok()),
        };
        match text.as_deref().map(str::trim_end) {
            Some(text) if !text.is_empty() => Ok(Secret::new(text.to_owned())),
            _ => Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("the secret in {place} is missing or empty"),
                format!("Set {place}, and see that this process may read it."),
            )),
        }
    }
}
