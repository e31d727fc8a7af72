//! Searching everything that was put out for what must never be put out.

use std::{fs, path::Path};

use anyhow::{Result, ensure};

/// Texts that runs produced, each with where it came from.
#[derive(Debug, Default)]
pub struct Outputs {
    texts: Vec<(String, String)>,
}

impl Outputs {
    /// Adds one text.
    pub fn add(&mut self, origin: impl Into<String>, text: impl Into<String>) {
        self.texts.push((origin.into(), text.into()));
    }

    /// Adds every file below a folder.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn add_folder(&mut self, folder: &Path) -> Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.add_folder(&path)?;
            } else {
                self.add(
                    path.display().to_string(),
                    String::from_utf8_lossy(&fs::read(&path)?),
                );
            }
        }
        Ok(())
    }

    /// Checks that none of the texts holds any of these.
    ///
    /// # Errors
    /// Names where it was found, and shows only the start of what was found.
    pub fn assert_free_of(&self, forbidden: &[&str]) -> Result<()> {
        ensure!(!self.texts.is_empty(), "nothing was searched");
        for (origin, text) in &self.texts {
            for secret in forbidden {
                let start = secret.get(..4).unwrap_or("****");
                ensure!(
                    !text.contains(secret),
                    "{origin} holds the secret that starts with {start}"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_and_named_by_its_place() {
        let mut outputs = Outputs::default();
        assert!(
            outputs.assert_free_of(&["hunter22"]).is_err(),
            "searching nothing is no proof"
        );
        outputs.add("stdout", "all is well");
        assert!(outputs.assert_free_of(&["hunter22"]).is_ok());
        outputs.add("log", "password=hunter22");
        let error = outputs
            .assert_free_of(&["hunter22"])
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("log ") && !error.contains("hunter22"),
            "{error}"
        );
    }
}
