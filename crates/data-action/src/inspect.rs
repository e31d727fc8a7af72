//! A look at a project that changes nothing: no audit log is opened, nothing is shipped, no budget is touched.
//!
//! So it can be taken beside a running server, and leaves no folder behind.

mod check;
mod doctor;
mod explain;
mod keys;

use std::sync::Arc;

use serde_json::{Map, Value};

pub use self::{
    check::{ActionCheck, TableCheck},
    doctor::{Diagnosis, DoctorOptions, Finding, Topic, Verdict},
    explain::ActionExplanation,
};
use crate::{Action, ActionError, services::Services};

/// Checks, explains and diagnoses the actions of a project; made by [`crate::PipelineBuilder::inspect`].
#[derive(Debug, Clone)]
pub struct Inspector {
    services: Arc<Services>,
}

impl Inspector {
    pub(crate) fn new(services: Services) -> Self {
        Self {
            services: Arc::new(services),
        }
    }

    /// The configured actions, in order of name.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.services.actions.values().map(AsRef::as_ref)
    }

    /// Why other actions cannot be read, by name.
    pub fn broken(&self) -> impl Iterator<Item = (&str, &ActionError)> {
        let broken = self.services.broken.iter();
        broken.map(|(name, error)| (name.as_str(), error))
    }

    /// The action of that name.
    ///
    /// # Errors
    /// [`crate::ErrorCode::ActionUnknown`], with the nearest name that exists.
    pub fn action(&self, name: &str) -> Result<&Arc<Action>, ActionError> {
        self.services.action(name)
    }

    /// Checks one action: locations from `params` (defaults otherwise), policy, IAM, the objects' metadata, and the plan.
    /// A parameter without a default is needed only where a location has it.
    ///
    /// Reads metadata and the head of files, never whole files; writes no audit record since no row is read out.
    ///
    /// # Errors
    /// [`crate::ErrorCode::ActionUnknown`].
    pub async fn check(
        &self,
        action: &str,
        params: &Map<String, Value>,
    ) -> Result<ActionCheck, ActionError> {
        check::check(&self.services, action, params).await
    }

    /// Explains one action with these parameters, its defaults otherwise.
    ///
    /// Asks policy and IAM as an attempt does, and reads what is read before the first row: metadata, heads and footers of
    /// files. Writes no audit record since no row is read out.
    ///
    /// # Errors
    /// What [`crate::Pipeline::run`] would fail with before it reads rows.
    pub async fn explain(
        &self,
        action: &str,
        params: &Map<String, Value>,
    ) -> Result<ActionExplanation, ActionError> {
        explain::explain(&self.services, action, params).await
    }

    /// One level of the keys of a bucket that begin with `prefix`, for completion in an editor. Policy and IAM have to allow listing all
    /// of them; no object is read.
    ///
    /// # Errors
    /// What listing them fails with.
    pub async fn keys(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, ActionError> {
        keys::keys(&self.services, bucket, prefix).await
    }

    /// Looks at everything that actions need. Asks AWS and Genesys Cloud, and reads no row.
    pub async fn diagnose(&self, options: &DoctorOptions) -> Diagnosis {
        doctor::diagnose(&self.services, options).await
    }
}
