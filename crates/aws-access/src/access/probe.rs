//! Where simulating is not permitted: a signed request of the real kind, as small as it can be, decides.

use aws_sdk_s3::{Client, error::ProvideErrorMetadata};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};

use crate::{
    AccessRequest, DecidedBy, Decision, Effect, Error, ErrorKind, Identity, request::Operation,
};

/// Asks S3 itself: a HEAD and a GET of one byte for an object, a listing of one key for a prefix.
pub(super) async fn probe(
    s3: &Client,
    identity: &Identity,
    request: &AccessRequest,
) -> Result<Decision, Error> {
    let refused = match &request.operation {
        Operation::Read { key, version } => {
            read(s3, &request.bucket, key, version.as_deref()).await
        }
        Operation::ReadListed { key } => read(s3, &request.bucket, key, None).await,
        // Asking would be charged for.
        Operation::Plain { .. } => None,
        Operation::Decrypt { key, .. } => read(s3, &request.bucket, key, None).await,
        Operation::List { prefix } => refusal(
            s3.list_objects_v2()
                .bucket(&request.bucket)
                .prefix(prefix)
                .max_keys(1)
                .send()
                .await
                .map(drop),
        ),
    };
    if refused == Some(Refusal::NotAccepted) {
        return Err(Error::new(
            ErrorKind::Credentials,
            "S3 does not accept the credentials: the key, its secret or the session's token is wrong",
        ));
    }
    let effect = match refused {
        Some(_) => Effect::ImplicitDeny,
        None => Effect::Allowed,
    };
    let mut decision = Decision::new(identity, request, effect).explained(request);
    decision.decided_by = DecidedBy::S3;
    decision.notes.push(
        "decided by a probe, not by simulation: which policy decided is not known".to_owned(),
    );
    match (&request.operation, refused) {
        (_, Some(Refusal::Kms)) => decision.notes.push(
            "S3 named the object's KMS key as the reason: kms:Decrypt is what lacks".to_owned(),
        ),
        // API reference of HeadObject: without s3:ListBucket a missing object is answered with 403.
        (Operation::Read { .. } | Operation::ReadListed { .. }, Some(Refusal::Plain)) => {
            decision.notes.push(
                "without s3:ListBucket, S3 answers the same when the object does not exist"
                    .to_owned(),
            )
        }
        _ => {}
    }
    Ok(decision)
}

/// Why S3 said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Plain,
    /// For want of `kms:Decrypt`.
    Kms,
    /// S3 does not know the key, or the signature is not its own: no policy is to blame.
    NotAccepted,
}

/// The HEAD needs no key and moves no byte; the GET needs `kms:Decrypt` too.
async fn read(s3: &Client, bucket: &str, key: &str, version: Option<&str>) -> Option<Refusal> {
    let version = version.map(str::to_owned);
    let head = s3
        .head_object()
        .bucket(bucket)
        .key(key)
        .set_version_id(version.clone());
    // A refused HEAD says no more than that.
    let of_head = refusal(head.send().await.map(drop));
    let get = s3
        .get_object()
        .bucket(bucket)
        .key(key)
        .set_version_id(version)
        .range("bytes=0-0");
    let of_get = refusal(get.send().await.map(drop));
    match of_get {
        Some(Refusal::NotAccepted) => of_get,
        _ => of_head.or(of_get),
    }
}

/// What is no refusal (a missing object, an unreachable S3) shows when the object is read.
fn refusal<E: ProvideErrorMetadata>(
    result: Result<(), SdkError<E, HttpResponse>>,
) -> Option<Refusal> {
    let error = result.err()?;
    if matches!(
        error.code(),
        Some("SignatureDoesNotMatch" | "InvalidAccessKeyId" | "InvalidToken" | "ExpiredToken")
    ) {
        return Some(Refusal::NotAccepted);
    }
    let status = error.raw_response()?.status().as_u16();
    let is_kms = error
        .message()
        .is_some_and(|message| message.to_ascii_lowercase().contains("kms"));
    (status == 403).then_some(if is_kms { Refusal::Kms } else { Refusal::Plain })
}

/// A decision for what could not be simulated.
pub(super) fn undecided(identity: &Identity, request: &AccessRequest, why: &Error) -> Decision {
    let mut decision = Decision::new(identity, request, Effect::ImplicitDeny);
    decision.reason = format!(
        "it is not known whether {} may {} on {}: {why}",
        identity.arn, decision.action, decision.resource
    );
    decision
}
