//! What attempts and inspections work with: the configured actions, and the parts that ask AWS and Genesys Cloud.
//!
//! Nothing here writes, or has to be opened.

use std::{collections::BTreeMap, sync::Arc};

use flowlake_aws_access::Access;
use flowlake_genesys_auth::TokenSource;
use flowlake_transform::{Transform, sent_name};

use crate::{
    Action, ActionError, ActionRequest, Clock, ErrorCode, ReadPolicy, config::nearest, stores::S3,
    workers::Workers,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Services {
    pub(crate) actions: BTreeMap<String, Arc<Action>>,
    /// Why other actions cannot be run.
    pub(crate) broken: BTreeMap<String, ActionError>,
    pub(crate) policy: ReadPolicy,
    pub(crate) access: Access,
    pub(crate) s3: Arc<S3>,
    pub(crate) engine: Transform,
    pub(crate) workers: Workers,
    pub(crate) genesys: Option<TokenSource>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Services {
    /// The calendar time of the clock, in milliseconds since 1970.
    pub(crate) fn now_unix_ms(&self) -> u64 {
        u64::try_from(self.clock.now().timestamp_millis()).unwrap_or_default()
    }

    /// What is asked: the question of the request, else the configured action that it names.
    pub(crate) fn asked(&self, request: &ActionRequest) -> Result<Arc<Action>, ActionError> {
        let question = request.question.as_ref();
        question
            .map_or_else(|| self.action(&request.action), Ok)
            .cloned()
    }

    pub(crate) fn action(&self, name: &str) -> Result<&Arc<Action>, ActionError> {
        find_action(&self.actions, &self.broken, name)
    }
}

/// The action of that name.
///
/// # Errors
/// Why it cannot be run, or [`ErrorCode::ActionUnknown`] with the nearest name that exists.
pub(crate) fn find_action<'a>(
    actions: &'a BTreeMap<String, Arc<Action>>,
    broken: &BTreeMap<String, ActionError>,
    name: &str,
) -> Result<&'a Arc<Action>, ActionError> {
    if let Some(error) = broken.get(name) {
        return Err(error.clone());
    }
    actions.get(name).ok_or_else(|| {
        let advice = nearest(name, actions.keys()).map_or_else(
            || {
                let names: Vec<_> = actions.keys().cloned().collect();
                format!("Configured actions: {}.", names.join(", "))
            },
            |nearest| format!("Did you mean `{nearest}`?"),
        );
        ActionError::new(
            ErrorCode::ActionUnknown,
            format!("there is no action `{}`", sent_name(name)),
            advice,
        )
    })
}
