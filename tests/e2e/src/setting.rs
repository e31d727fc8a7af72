//! The example project on the embedded stack, over sample data.

use std::path::PathBuf;

use anyhow::Result;
use flowlake_dev_stack::sample::{self, SampleFiles, SampleSettings};

use crate::{EmbeddedStack, Environment, Project, ProjectSettings};

/// What most tests start from. Dropping it ends the stack.
#[derive(Debug)]
pub struct Setting {
    /// What `cargo xtask e2e` prepared.
    pub environment: Environment,
    /// The test's own folder.
    pub folder: PathBuf,
    /// The sample data.
    pub files: SampleFiles,
    /// S3, STS, IAM and Cost Explorer.
    pub stack: EmbeddedStack,
}

impl Setting {
    /// Sample data of this many conversations, served.
    ///
    /// # Errors
    /// When nothing was prepared, or the stack does not come up.
    pub fn start(test: &str, rows: u64) -> Result<Self> {
        let environment = Environment::load()?;
        let folder = environment.folder(test)?;
        let root = folder.join("buckets");
        let settings = SampleSettings {
            rows,
            ..SampleSettings::default()
        };
        let files = sample::write(&root, &settings)?;
        let stack = EmbeddedStack::start(&root)?;
        Ok(Self {
            environment,
            folder,
            files,
            stack,
        })
    }

    /// The examples as `principal` runs them; `more` goes behind `[audit.log]`, the last section of the configuration.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn examples(&self, principal: &str, more: &str) -> Result<Project> {
        let settings = ProjectSettings {
            actions: "examples/contact-centre/actions",
            more: format!("{more}{}", self.stack.genesys_section(&self.folder)?),
            ..ProjectSettings::new(
                self.stack.aws_url(),
                self.stack.s3_url(),
                self.stack.keys(principal)?,
            )
        };
        Project::create(&self.environment, &self.folder.join(principal), &settings)
    }
}
