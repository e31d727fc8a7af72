//! The context keys of a request that are known before it is made.

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum};

use crate::{AccessRequest, Identity, PrincipalKind, request::Operation, tags::Tags};

/// What else is known when the context is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) region: Option<&'a str>,
    /// The account that owns the bucket.
    pub(crate) owner: Option<&'a str>,
    /// Read when a policy asks for one.
    pub(crate) tags: &'a Tags,
}

/// The entries for a simulation. Keys: "AWS global condition context keys" of the IAM user guide, and the S3 and KMS
/// pages of the service authorization reference.
pub(crate) fn entries(
    identity: &Identity,
    request: &AccessRequest,
    known: Known<'_>,
) -> Vec<ContextEntry> {
    let string = |key: &str, value: &str| entry(key, ContextKeyTypeEnum::String, value);
    let boolean = |key, value| entry(key, ContextKeyTypeEnum::Boolean, value);
    let is_session = matches!(
        identity.kind,
        PrincipalKind::AssumedRole | PrincipalKind::SsoRole
    );
    let kind = if is_session { "AssumedRole" } else { "User" };
    let mut entries = vec![
        boolean("aws:SecureTransport", "true"),
        boolean("aws:PrincipalIsAWSService", "false"),
        boolean("aws:ViaAWSService", "false"),
        string("aws:PrincipalArn", identity.principal_arn()),
        string("aws:PrincipalAccount", &identity.account),
        string("aws:PrincipalType", kind),
        string("aws:userid", &identity.user_id),
    ];
    if !is_session {
        entries.push(string("aws:username", identity.name()));
    }
    for (key, value) in identity.tags.iter().chain(&known.tags.user) {
        entries.push(string(&format!("aws:PrincipalTag/{key}"), value));
    }
    if let Some(region) = known.region {
        entries.push(string("aws:RequestedRegion", region));
    }
    let owner = known.owner.unwrap_or(&identity.account);
    let object_tags = known.tags.object.iter();
    let object_tags =
        object_tags.map(|(key, value)| string(&format!("s3:ExistingObjectTag/{key}"), value));
    match &request.operation {
        Operation::Read { version, .. } => {
            entries.extend(version.as_deref().map(|id| string("s3:VersionId", id)));
            entries.extend(object_tags);
        }
        Operation::ReadListed { .. } => entries.extend(object_tags),
        Operation::List { prefix } => entries.push(string("s3:prefix", prefix)),
        Operation::Decrypt { .. } => {
            let partition = identity.partition();
            let suffix = if partition == "aws-cn" {
                "amazonaws.com.cn"
            } else {
                "amazonaws.com"
            };
            if let Some(region) = known.region {
                entries.push(string("kms:ViaService", &format!("s3.{region}.{suffix}")));
            }
            entries.push(string("kms:CallerAccount", &identity.account));
        }
        Operation::Plain { .. } => {}
    }
    if !request.bucket.is_empty() && !matches!(request.operation, Operation::Decrypt { .. }) {
        entries.push(string("s3:signatureversion", "AWS4-HMAC-SHA256"));
        entries.push(string("s3:authType", "REST-HEADER"));
        // Without an owner in the settings the bucket is taken to be the caller's own.
        entries.push(string("aws:ResourceAccount", owner));
        entries.push(string("s3:ResourceAccount", owner));
    }
    entries
}

fn entry(key: &str, kind: ContextKeyTypeEnum, value: &str) -> ContextEntry {
    ContextEntry::builder()
        .context_key_name(key)
        .context_key_type(kind)
        .context_key_values(value)
        .build()
}
