//! The steps of one attempt, in order.

use std::{sync::Arc, time::Duration};

use flowlake_aws_access::{AccessRequest, DecidedBy, Decision, Effect};
use flowlake_cost_audit::keyed_hash;
use flowlake_profiler::Phase;
use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::{BoundParams, Location, TableLocation};

use super::{Shared, execute::Outcome, trace::Trace};
use crate::{Action, ActionError, ActionRequest, ErrorCode, stores::RequestStores};

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
        self.trace.state().wanted = locations
            .iter()
            .map(|table| table.location.clone())
            .collect();
        for table in &locations {
            self.shared.policy.check(&table.location)?;
        }
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
    async fn check_access(&self, locations: &[TableLocation]) -> Result<(), ActionError> {
        let identity = self.shared.access.identity().await?;
        self.trace.state().record.principal = Some(identity.arn.clone());
        for table in locations {
            for request in access_requests(&table.location) {
                let decision = self.shared.access.check(&request).await?;
                self.trace.state().record.decision = Some(describe(&decision));
                if !decision.allowed {
                    return Err(denied(&decision));
                }
            }
        }
        Ok(())
    }

    /// Asks what only the metadata of an object tells to be needed: a right to its version, and to its key.
    pub(super) async fn check_objects(
        &self,
        locations: &[TableLocation],
        stores: &RequestStores,
    ) -> Result<(), ActionError> {
        for TableLocation { location, .. } in locations {
            let Some(path) = location.path() else {
                continue;
            };
            let object = stores.view(location.bucket())?.metadata(path).await?;
            for request in object_requests(location.bucket(), &object) {
                let decision = self.shared.access.check(&request).await?;
                if !decision.allowed {
                    self.trace.state().record.decision = Some(describe(&decision));
                    return Err(denied(&decision));
                }
            }
        }
        Ok(())
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

/// What must be allowed for a location: reading the object, or listing and reading what lies below a prefix.
pub(crate) fn access_requests(location: &Location) -> Vec<AccessRequest> {
    let bucket = location.bucket();
    match (location.key(), location.list_prefix()) {
        (Some(key), _) => vec![AccessRequest::read(bucket, key)],
        (None, prefix) => {
            let prefix = prefix.unwrap_or_default();
            vec![
                AccessRequest::list(bucket, prefix),
                AccessRequest::read(bucket, format!("{prefix}*")),
            ]
        }
    }
}

fn describe(decision: &Decision) -> String {
    let by = match (decision.effect, decision.decided_by) {
        (Effect::Allowed, DecidedBy::S3) => " by S3 itself",
        _ => "",
    };
    let advisory = if decision.advisory { " (advisory)" } else { "" };
    format!("{}{by}{advisory}", decision.effect)
}

pub(crate) fn denied(decision: &Decision) -> ActionError {
    let advice = decision
        .advice
        .clone()
        .unwrap_or_else(|| "Ask whoever owns the bucket to allow the read.".to_owned());
    ActionError::new(denied_code(decision), decision.reason.clone(), advice)
}

/// The code of a denial: a key's is told apart, because other people mend it.
pub(crate) fn denied_code(decision: &Decision) -> ErrorCode {
    if decision.action == "kms:Decrypt" {
        ErrorCode::S3KmsDenied
    } else {
        ErrorCode::AccessDenied
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

/// What must be allowed besides, once an object's metadata is known: reading by version where the bucket keeps versions, and
/// decrypting where a KMS key encrypts it.
pub(crate) fn object_requests(bucket: &str, object: &ObjectMetadata) -> Vec<AccessRequest> {
    let (version, key) = (object.version_id.as_deref(), object.kms_key_id.as_deref());
    requests_of(bucket, object.location.as_ref(), version, key)
}

fn requests_of(
    bucket: &str,
    key: &str,
    version: Option<&str>,
    kms_key: Option<&str>,
) -> Vec<AccessRequest> {
    let version = version.map(|id| AccessRequest::read_version(bucket, key, id));
    // What is no ARN (a key of the client's own) is no key of KMS.
    let kms_key = kms_key.filter(|kms_key| kms_key.starts_with("arn:"));
    let decrypt = kms_key.map(|kms_key| AccessRequest::decrypt(bucket, key, kms_key));
    version.into_iter().chain(decrypt).collect()
}

#[cfg(test)]
mod tests {
    use super::requests_of;

    #[test]
    fn a_version_and_a_key_are_asked_about_when_the_metadata_names_them() {
        let arn = "arn:aws:kms:us-east-1:123456789012:key/0123";
        let asked = |version, key| {
            let requests = requests_of("lake", "calls.csv", version, key);
            requests
                .iter()
                .map(|request| (request.action(), request.resource()))
                .collect::<Vec<_>>()
        };
        assert!(asked(None, None).is_empty());
        assert!(asked(None, Some("0123")).is_empty());
        let object = "arn:aws:s3:::lake/calls.csv".to_owned();
        assert_eq!(
            asked(Some("v7"), Some(arn)),
            [
                ("s3:GetObjectVersion", object),
                ("kms:Decrypt", arn.to_owned())
            ]
        );
    }
}
