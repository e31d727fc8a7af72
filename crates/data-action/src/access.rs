//! The one place that asks IAM: the requests that a location and its objects need, and the decision over all of them.

use std::sync::Arc;

use flowlake_aws_access::{
    Access, AccessRequest, DecidedBy, Decision, Effect, Error as AccessError, ObjectsRequest,
};
use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::Location;

use crate::{ActionError, ErrorCode, find::Found};

/// Answers whether the principal may read; IAM, or a stand-in for it in tests.
pub(crate) trait AccessChecker: Sync {
    /// Whether one read may be made.
    fn check(
        &self,
        request: &AccessRequest,
    ) -> impl Future<Output = Result<Arc<Decision>, AccessError>> + Send;

    /// Whether the objects of a listing may be read.
    fn check_objects(
        &self,
        request: &ObjectsRequest<'_>,
    ) -> impl Future<Output = Result<Option<Arc<Decision>>, AccessError>> + Send;
}

impl AccessChecker for Access {
    async fn check(&self, request: &AccessRequest) -> Result<Arc<Decision>, AccessError> {
        Self::check(self, request).await
    }

    async fn check_objects(
        &self,
        request: &ObjectsRequest<'_>,
    ) -> Result<Option<Arc<Decision>>, AccessError> {
        Self::check_objects(self, request).await
    }
}

/// The decisions of IAM in one attempt.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    decisions: Vec<Arc<Decision>>,
}

impl Decisions {
    pub(crate) fn note(&mut self, decision: Arc<Decision>) {
        self.decisions.push(decision);
    }

    /// One text for all answers: `allowed`, or the answer that decided, with what it is about. `None` when nothing was asked.
    pub(crate) fn summary(&self) -> Option<String> {
        let mut worst = self.decisions.first()?;
        for decision in &self.decisions {
            if decision.is_worse_than(worst) {
                worst = decision;
            }
        }
        Some(described(worst))
    }
}

fn described(decision: &Decision) -> String {
    let what = match (decision.effect, decision.decided_by) {
        (Effect::Allowed, DecidedBy::S3) => "allowed by S3 itself".to_owned(),
        (Effect::Allowed, DecidedBy::WhenRead) => "left to S3".to_owned(),
        (Effect::Allowed, DecidedBy::Simulation) => "allowed".to_owned(),
        (effect, _) => {
            let statements: Vec<_> = decision.matched.iter().map(ToString::to_string).collect();
            let by = if statements.is_empty() {
                String::new()
            } else {
                format!(" by {}", statements.join(", "))
            };
            format!("{effect}: {} on {}{by}", decision.action, decision.resource)
        }
    };
    let advisory = if decision.advisory { " (advisory)" } else { "" };
    format!("{what}{advisory}")
}

/// Asks what can be asked before anything is found: reading the object, or listing the prefix. `note` is given each answer.
///
/// # Errors
/// The denial.
pub(crate) async fn location(
    access: &impl AccessChecker,
    location: &Location,
    note: impl FnMut(Arc<Decision>),
) -> Result<(), ActionError> {
    ask(access, [location_request(location)], note).await
}

/// Asks about what was found: the objects of a listing, or the version and the key of the object that a HEAD was of.
///
/// # Errors
/// The denial.
pub(crate) async fn found(
    access: &impl AccessChecker,
    found: &Found,
    mut note: impl FnMut(Arc<Decision>),
) -> Result<(), ActionError> {
    let location = &found.files.table.location;
    if location.is_local() {
        return Ok(());
    }
    if let Some(named) = &found.named {
        return object(access, location.bucket(), named, note).await;
    }
    let keys = found.files.objects.iter();
    let keys: Vec<&str> = keys.map(|object| object.location.as_ref()).collect();
    let request = ObjectsRequest {
        bucket: location.bucket(),
        keys: &keys,
        pattern: &location.as_wildcards(),
    };
    match Box::pin(access.check_objects(&request)).await? {
        Some(decision) => passed(&decision, &mut note),
        None => Ok(()),
    }
}

/// Asks what only the metadata of an object shows to be needed: the rights to its version and to its key.
///
/// # Errors
/// The denial.
pub(crate) async fn object(
    access: &impl AccessChecker,
    bucket: &str,
    object: &ObjectMetadata,
    note: impl FnMut(Arc<Decision>),
) -> Result<(), ActionError> {
    let (version, key) = (object.version_id.as_deref(), object.kms_key_id.as_deref());
    let requests = object_requests(bucket, object.location.as_ref(), version, key);
    ask(access, requests, note).await
}

async fn ask(
    access: &impl AccessChecker,
    requests: impl IntoIterator<Item = AccessRequest>,
    mut note: impl FnMut(Arc<Decision>),
) -> Result<(), ActionError> {
    for request in requests {
        passed(&access.check(&request).await?, &mut note)?;
    }
    Ok(())
}

fn passed(
    decision: &Arc<Decision>,
    note: &mut impl FnMut(Arc<Decision>),
) -> Result<(), ActionError> {
    note(Arc::clone(decision));
    if decision.allowed {
        Ok(())
    } else {
        Err(denied(decision))
    }
}

fn location_request(location: &Location) -> AccessRequest {
    let bucket = location.bucket();
    match location.key() {
        Some(key) => AccessRequest::read(bucket, key),
        None => AccessRequest::list(bucket, location.list_prefix().unwrap_or_default()),
    }
}

/// Reading by version where the bucket keeps versions, and decrypting where a KMS key encrypts the object.
fn object_requests(
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

pub(crate) fn denied(decision: &Decision) -> ActionError {
    let advice = decision
        .advice
        .clone()
        .unwrap_or_else(|| "Ask the owner of the bucket to allow the read.".to_owned());
    ActionError::new(denied_code(decision), decision.reason.clone(), advice)
}

/// The code of a denial. That of a KMS key has its own: a key administrator has to fix it.
pub(crate) fn denied_code(decision: &Decision) -> ErrorCode {
    if decision.action == "kms:Decrypt" {
        ErrorCode::S3KmsDenied
    } else {
        ErrorCode::AccessDenied
    }
}

#[cfg(test)]
mod tests {
    use super::object_requests;

    #[test]
    fn a_version_and_a_key_are_asked_about_when_the_metadata_names_them() {
        let arn = "arn:aws:kms:us-east-1:123456789012:key/0123";
        let asked = |version, key| {
            let requests = object_requests("lake", "calls.csv", version, key);
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
