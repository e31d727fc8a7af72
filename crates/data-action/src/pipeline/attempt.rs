//! The steps of one attempt, in order.

use std::{sync::Arc, time::Duration};

use flowlake_aws_access::Decision;
use flowlake_cost_audit::keyed_hash;
use flowlake_profiler::Phase;
use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::{BoundParams, TableLocation};

use super::{Shared, execute::Outcome, trace::Trace};
use crate::{Action, ActionError, ActionRequest, ErrorCode, access, stores::RequestStores};

/// How long an attempt may take whose action is not even known.
const UNKNOWN_ACTION_LIMIT: Duration = Duration::from_secs(10);

/// One attempt: what all attempts share, and the trace of this one.
#[derive(Debug)]
pub(crate) struct Attempt<'trace> {
    pub(super) shared: Arc<Shared>,
    pub(super) trace: &'trace Trace,
    pub(super) request: &'trace ActionRequest,
}

impl<'trace> Attempt<'trace> {
    pub(super) fn new(
        shared: Arc<Shared>,
        trace: &'trace Trace,
        request: &'trace ActionRequest,
    ) -> Self {
        Self {
            shared,
            trace,
            request,
        }
    }

    /// The wall-clock limit of the whole attempt.
    pub(super) fn time_limit(&self, request: &ActionRequest) -> Duration {
        let action = self.shared.actions.get(&request.action);
        action.map_or(UNKNOWN_ACTION_LIMIT, |action| {
            action.definition.limits.timeout
        })
    }

    /// All steps up to the rows.
    pub(super) async fn run(&self, request: &ActionRequest) -> Result<Outcome, ActionError> {
        let action = Arc::clone(self.shared.action(&request.action)?);
        let bound = self.bind(&action, request)?;
        let locations = action.prepared.locations(&bound)?;
        self.admit(&locations)?;
        if action.definition.genesys_token {
            self.trace
                .phase(Phase::Auth, Box::pin(self.hold_genesys_token()))
                .await?;
        }
        self.trace
            .phase(Phase::Access, self.check_access(&locations))
            .await?;
        match self.read(&action, &bound, &locations).await {
            Err(error) if error.code() == ErrorCode::S3ObjectChanged => {
                tracing::info!(
                    action = action.name(),
                    "an object changed while it was read: reading it again, whole"
                );
                self.read(&action, &bound, &locations).await
            }
            result => result,
        }
    }

    /// Notes what is to be read, and asks the policy about it.
    pub(super) fn admit(&self, locations: &[TableLocation]) -> Result<(), ActionError> {
        let wanted = locations.iter().map(|table| table.location.clone());
        self.trace.state().wanted = wanted.collect();
        locations
            .iter()
            .try_for_each(|table| self.shared.policy.check(&table.location))
    }

    /// Binds the parameters and notes them for the audit: sensitive ones as keyed hashes.
    fn bind(&self, action: &Action, request: &ActionRequest) -> Result<BoundParams, ActionError> {
        let bound = action
            .prepared
            .bind(&request.params, self.trace.started_at)?;
        let params = bound
            .entries()
            .map(|(name, value, sensitive)| {
                let text = value.to_string();
                let text = if sensitive {
                    keyed_hash(self.shared.hash_key.expose().as_bytes(), &text)
                } else {
                    text
                };
                (name.to_owned(), text)
            })
            .collect();
        self.trace.state().record.params = params;
        Ok(bound)
    }

    async fn hold_genesys_token(&self) -> Result<(), ActionError> {
        let source = self.shared.genesys.as_ref().ok_or_else(|| {
            ActionError::new(
                ErrorCode::ConfigInvalid,
                "the action needs a Genesys Cloud token, and [genesys] is not configured",
                "Add [genesys] with region, client_id and client_secret to flowlake.toml.",
            )
        })?;
        source.token().await?;
        Ok(())
    }

    /// Asks who we are and whether that principal may read each location.
    pub(super) async fn check_access(
        &self,
        locations: &[TableLocation],
    ) -> Result<(), ActionError> {
        let identity = self.shared.access.identity().await?;
        self.trace.state().record.principal = Some(identity.arn.clone());
        for table in locations {
            access::location(&self.shared.access, &table.location, self.note()).await?;
        }
        Ok(())
    }

    /// Asks about the version and the key of one object.
    pub(super) async fn check_object(
        &self,
        bucket: &str,
        object: &ObjectMetadata,
    ) -> Result<(), ActionError> {
        access::object(&self.shared.access, bucket, object, self.note()).await
    }

    /// Takes each answer down for the record.
    pub(super) fn note(&self) -> impl FnMut(Arc<Decision>) {
        move |decision| self.trace.state().asked.note(decision)
    }

    async fn read(
        &self,
        action: &Arc<Action>,
        bound: &BoundParams,
        locations: &[TableLocation],
    ) -> Result<Outcome, ActionError> {
        let stores = Arc::new(RequestStores::new(Arc::clone(&self.shared.s3)));
        self.trace.state().stores.push(Arc::clone(&stores));
        let result = self.execute(action, bound, locations, &stores).await;
        if result.is_err() {
            stores.forget().await;
        }
        result
    }
}

/// The error of an attempt that reached its time limit.
pub(super) fn timed_out(limit: Duration) -> ActionError {
    ActionError::new(
        ErrorCode::LimitTimeout,
        format!("the answer was not ready within {} ms", limit.as_millis()),
        "Read less (a smaller file, Parquet, a narrower uri), or raise `timeout` in [limits].",
    )
}
