//! Where a secret is kept: an environment variable or a file, never the configuration itself.

use std::{
    fmt::Debug,
    fs, io,
    path::{Path, PathBuf},
};

use flowlake_genesys_auth::Secret;
use schemars::JsonSchema;
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
#[derive(Debug, Clone, Deserialize, JsonSchema)]
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

    /// Reads the secret; a byte order mark is none of it.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when the variable or file is missing, empty or cannot be read; the message names the place, never
    /// the content.
    pub fn read(&self, environment: &dyn Environment) -> Result<Secret, ActionError> {
        let missing = |place: &str, why: &str| {
            ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("the secret in {place} {why}"),
                format!("Set {place}, and see that this process may read it."),
            )
        };
        let (place, text) = match self {
            Self::Env(name) if is_name(name) => {
                let text = environment.get(name);
                (format!("the environment variable {name}"), text)
            }
            Self::Env(name) => {
                let place =
                    "an environment variable (its name is not shown: it may be the secret itself)";
                (place.to_owned(), environment.get(name))
            }
            Self::File(path) => {
                let place = path.display().to_string();
                match fs::read_to_string(path) {
                    Ok(text) => (place, Some(text)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => (place, None),
                    Err(error) => {
                        let why = format!("cannot be read: {}", error.kind());
                        return Err(missing(&place, &why).with_source(error));
                    }
                }
            }
        };
        let secret = text
            .as_deref()
            .map(|text| text.trim_start_matches('\u{feff}').trim_end());
        match secret {
            Some(text) if !text.is_empty() => Ok(Secret::new(text.to_owned())),
            _ => Err(missing(&place, "is missing or empty")),
        }
    }
}

/// Words of an environment variable's name are no longer.
const LONGEST_WORD: usize = 15;

/// Whether a text is surely the name of an environment variable, as most are spelt, and no secret that somebody put in its place.
fn is_name(text: &str) -> bool {
    let is_spelt = text
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    let words = text.split('_');
    is_spelt && !text.is_empty() && words.into_iter().all(|word| word.len() <= LONGEST_WORD)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Environment, SecretSource};

    #[derive(Debug)]
    struct Variables;

    impl Environment for Variables {
        fn get(&self, name: &str) -> Option<String> {
            (name == "lower_case").then(|| "a secret".to_owned())
        }
    }

    fn told(source: &SecretSource) -> String {
        source.read(&Variables).unwrap_err().message().to_owned()
    }

    #[test]
    fn a_secret_in_place_of_a_name_is_not_repeated() {
        let env = |name: &str| SecretSource::Env(name.to_owned());
        assert_eq!(
            told(&env("FLOWLAKE_SERVER_KEY")),
            "the secret in the environment variable FLOWLAKE_SERVER_KEY is missing or empty"
        );
        for secret in [
            "correct-horse-battery",
            "AKIAIOSFODNN7EXAMPLE",
            "0f1e2d3c4b5a",
        ] {
            assert!(!told(&env(secret)).contains(secret));
        }
        assert!(env("lower_case").read(&Variables).is_ok());
    }

    #[test]
    fn a_file_is_read_or_the_error_says_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            SecretSource::File(path)
        };
        let secret = write("secret", b"\xef\xbb\xbfword \n").read(&Variables);
        assert_eq!(secret.unwrap().expose(), "word");
        assert!(told(&write("bytes", b"\xff")).ends_with("cannot be read: invalid data"));
        assert!(told(&write("blank", b" \n")).ends_with("is missing or empty"));
        let file = |path: &Path| SecretSource::File(path.to_owned());
        assert!(told(&file(folder.path())).contains("cannot be read: is a directory"));
        assert!(told(&file(&folder.path().join("none"))).ends_with("is missing or empty"));
    }
}
