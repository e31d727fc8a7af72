//! What attempts and inspections work with: the configured actions, and the parts that ask AWS and Genesys Cloud.
//!
//! Nothing here writes, or has to be opened.

use std::{collections::BTreeMap, sync::Arc};

use flowlake_aws_access::Access;
use flowlake_genesys_auth::TokenSource;
use flowlake_transform::{Transform, sent_name};

use crate::{Action, ActionError, ActionRequest, Clock, ErrorCode, ReadPolicy, stores::S3};

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
        if let Some(error) = self.broken.get(name) {
            return Err(error.clone());
        }
        self.actions.get(name).ok_or_else(|| {
            let nearest = self.actions.keys().max_by(|a, b| {
                strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name))
            });
            let advice = match nearest {
                Some(nearest) if strsim::jaro_winkler(nearest, name) > 0.7 => {
                    format!("Did you mean `{nearest}`?")
                }
                _ => format!(
                    "Configured actions: {}.",
                    self.actions.keys().cloned().collect::<Vec<_>>().join(", ")
                ),
            };
            ActionError::new(
                ErrorCode::ActionUnknown,
                format!("there is no action `{}`", sent_name(name)),
                advice,
            )
        })
    }
}
