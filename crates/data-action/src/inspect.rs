//! A look at a project that changes nothing: no audit log is opened, nothing is shipped, no budget is touched.
//!
//! So it can be taken beside a running server, and leaves no folder behind.

use std::sync::Arc;

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

    /// The action of that name.
    ///
    /// # Errors
    /// [`crate::ErrorCode::ActionUnknown`], with the nearest name that exists.
    pub fn action(&self, name: &str) -> Result<&Arc<Action>, ActionError> {
        self.services.action(name)
    }

    pub(crate) fn services(&self) -> &Services {
        &self.services
    }
}
