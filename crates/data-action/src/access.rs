//! The one place that asks IAM: which questions a location and its objects need, and what the answers come to.

use std::{cmp::Reverse, sync::Arc};

use flowlake_aws_access::{Access, AccessRequest, DecidedBy, Decision, Effect};
use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::Location;

use crate::{ActionError, ErrorCode};

/// What IAM answered in one attempt.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    decisions: Vec<Arc<Decision>>,
}

impl Asked {
    pub(crate) fn note(&mut self, decision: Arc<Decision>) {
        self.decisions.push(decision);
    }

    /// One text for all answers: `allowed`, or the answer that decided, with what it is about. `None` when nothing was asked.
    pub(crate) fn summary(&self) -> Option<String> {
        let weight = |decision: &Decision| {
            let effect = match decision.effect {
                Effect::ExplicitDeny => 2,
                Effect::ImplicitDeny => 1,
                Effect::Allowed => 0,
            };
            let by_s3 = decision.decided_by == DecidedBy::S3;
            (!decision.allowed, effect, decision.advisory, by_s3)
        };
        // Of equal answers, the first.
        let worst = self
            .decisions
            .iter()
            .enumerate()
            .max_by_key(|(place, decision)| (weight(decision), Reverse(*place)));
        worst.map(|(_, decision)| described(decision))
    }
}

fn described(decision: &Decision) -> String {
    let what = match (decision.effect, decision.decided_by) {
        (Effect::Allowed, DecidedBy::S3) => "allowed by S3 itself".to_owned(),
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

/// Asks whether a location may be read: the object, or a listing and what lies below its prefix. `note` is given each answer.
///
/// # Errors
/// The denial.
pub(crate) async fn location(
    access: &Access,
    location: &Location,
    note: impl FnMut(Arc<Decision>),
) -> Result<(), ActionError> {
    ask(access, location_requests(location), note).await
}

/// Asks what only the metadata of an object shows to be needed: the rights to its version and to its key.
///
/// # Errors
/// The denial.
pub(crate) async fn object(
    access: &Access,
    bucket: &str,
    object: &ObjectMetadata,
    note: impl FnMut(Arc<Decision>),
) -> Result<(), ActionError> {
    let (version, key) = (object.version_id.as_deref(), object.kms_key_id.as_deref());
    let requests = object_requests(bucket, object.location.as_ref(), version, key);
    ask(access, requests, note).await
}

async fn ask(
    access: &Access,
    requests: Vec<AccessRequest>,
    mut note: impl FnMut(Arc<Decision>),
) -> Result<(), ActionError> {
    for request in requests {
        let decision = access.check(&request).await?;
        note(Arc::clone(&decision));
        if !decision.allowed {
            return Err(denied(&decision));
        }
    }
    Ok(())
}

fn location_requests(location: &Location) -> Vec<AccessRequest> {
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
        .unwrap_or_else(|| "Ask whoever owns the bucket to allow the read.".to_owned());
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
