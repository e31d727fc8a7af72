//! The read of a new version of hot tables: an attempt that nobody waits for, with the policy, the IAM questions, the
//! reservation and the record of any other.

use std::sync::Arc;

use async_trait::async_trait;
use flowlake_transform::{BoxError, Error, Files, Reload, StoreResolver, TableLocation};

use super::{Shared, attempt::Attempt, record, trace::Trace};
use crate::{Action, ActionError, ActionRequest, Caller, stores::RequestStores};

/// The caller in the records of these attempts: no key has this name.
const RELOADER: &str = "(hot tables)";

/// An attempt whose read has been allowed and paid for.
#[derive(Debug)]
pub(crate) struct ReloadAttempt {
    shared: Arc<Shared>,
    trace: Trace,
    stores: Arc<RequestStores>,
    files: Files,
}

impl ReloadAttempt {
    /// Asks policy, IAM and budget, and finds the files. A refusal is recorded.
    pub(crate) async fn begin(
        shared: &Arc<Shared>,
        action: &Arc<Action>,
        locations: &[TableLocation],
    ) -> Result<Self, ActionError> {
        let request = ActionRequest {
            action: action.name().to_owned(),
            caller: Caller {
                name: RELOADER.to_owned(),
                ..Caller::default()
            },
            ..ActionRequest::default()
        };
        let trace = Trace::new(shared, &request);
        let stores = Arc::new(RequestStores::new(Arc::clone(&shared.s3)));
        trace.state().stores.push(Arc::clone(&stores));
        let attempt = Attempt::new(Arc::clone(shared), &trace, &request);
        match attempt.planned_reload(action, locations, &stores).await {
            Ok(files) => Ok(Self {
                shared: Arc::clone(shared),
                trace,
                stores,
                files,
            }),
            Err(error) => {
                stores.forget().await;
                record::finish_reload(shared, &trace, Some(&error)).await?;
                Err(error)
            }
        }
    }
}

impl Attempt<'_> {
    async fn planned_reload(
        &self,
        action: &Action,
        locations: &[TableLocation],
        stores: &Arc<RequestStores>,
    ) -> Result<Files, ActionError> {
        self.admit(locations)?;
        self.check_access(locations).await?;
        let plan = self.allowed_plan(action, locations, stores).await?;
        let estimate = self.shared.estimate_before(Some(&plan));
        self.reserve(action, estimate.as_ref())?;
        Ok(plan.files)
    }
}

#[async_trait]
impl Reload for ReloadAttempt {
    fn files(&self) -> Files {
        self.files.clone()
    }

    fn stores(&self) -> Arc<dyn StoreResolver> {
        Arc::clone(&self.stores) as _
    }

    async fn ended(self: Box<Self>, failure: Option<&Error>) -> Result<(), BoxError> {
        let failure = failure.map(|error| ActionError::from(error.clone()));
        if failure.is_some() {
            self.stores.forget().await;
        }
        record::finish_reload(&self.shared, &self.trace, failure.as_ref()).await?;
        Ok(())
    }
}
