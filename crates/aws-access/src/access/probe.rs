//! Where simulating is not permitted: a signed request of the real kind, as small as it can be, decides.

use aws_sdk_s3::Client;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};

use crate::{AccessRequest, Decision, Effect, Error, Identity, request::Operation};

/// Asks S3 itself: a GET of one byte for an object, a listing of one key for a prefix.
pub(super) async fn probe(
    s3: &Client,
    identity: &Identity,
    request: &AccessRequest,
) -> Result<Decision, Error> {
    let status = match &request.operation {
        // Which objects are below a prefix is not known yet; S3 decides on each when it is read.
        Operation::Read(key) if key.ends_with('*') => None,
        Operation::Read(key) => status(
            s3.get_object()
                .bucket(&request.bucket)
                .key(key)
                .range("bytes=0-0")
                .send()
                .await
                .map(drop),
        ),
        Operation::List(prefix) => status(
            s3.list_objects_v2()
                .bucket(&request.bucket)
                .prefix(prefix)
                .max_keys(1)
                .send()
                .await
                .map(drop),
        ),
    };
    let effect = if status == Some(403) {
        Effect::ImplicitDeny
    } else {
        Effect::Allowed
    };
    let mut decision = undecided_fields(identity, request, effect).explained(request);
    decision.notes.push(
        "decided by a probe, not by simulation: which policy decided is not known".to_owned(),
    );
    Ok(decision)
}

/// The HTTP status of a refused request. What is no refusal (a missing object, an unreachable S3) shows when the object is read.
fn status<E>(result: Result<(), SdkError<E, HttpResponse>>) -> Option<u16> {
    result.err().and_then(|error| {
        error
            .raw_response()
            .map(|response| response.status().as_u16())
    })
}

/// A decision for what could not be simulated.
pub(super) fn undecided(identity: &Identity, request: &AccessRequest, why: &Error) -> Decision {
    let mut decision = undecided_fields(identity, request, Effect::ImplicitDeny);
    decision.reason = format!(
        "it is not known whether {} may {} on {}: {why}",
        identity.arn,
        request.action(),
        request.resource()
    );
    decision
}

fn undecided_fields(identity: &Identity, request: &AccessRequest, effect: Effect) -> Decision {
    Decision {
        allowed: effect == Effect::Allowed,
        effect,
        advisory: false,
        principal_arn: identity
            .policy_source_arn
            .clone()
            .unwrap_or_else(|| identity.arn.clone()),
        action: request.action().to_owned(),
        resource: request.resource(),
        matched: Vec::new(),
        missing_context_keys: Vec::new(),
        boundary: None,
        organizations: None,
        reason: String::new(),
        advice: None,
        policy: None,
        notes: Vec::new(),
    }
}
