//! IAM on every S3 request: which action an operation is, on which resource, in which context.

use std::sync::Arc;

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{CopyObjectInput, CopySource, DeleteObjectsInput, UploadPartCopyInput};
use s3s::path::S3Path;
use s3s::{S3Error, S3Request, S3Result, s3_error};

use super::object_state::ObjectStates;
use crate::clock::Clock;
use crate::faults::Traffic;
use crate::iam::{Context, Decision, Directory, Principal};

/// Gives `s3s` the secrets to check signatures with.
#[derive(Debug)]
pub(crate) struct Keys(pub(crate) Arc<Directory>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.0
            .secret(access_key)
            .map(SecretKey::from)
            .ok_or_else(|| {
                s3_error!(
                    InvalidAccessKeyId,
                    "The AWS Access Key Id you provided does not exist in our records."
                )
            })
    }
}

/// Asks IAM.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) operations: Traffic,
    pub(crate) states: ObjectStates,
    /// What policies see as `aws:SecureTransport`.
    pub(crate) secure_transport: bool,
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        self.operations.note(cx.s3_op().name());
        let principal = match cx.credentials() {
            Some(credentials) => Some(self.known(&credentials.access_key, cx)?),
            None => None,
        };
        let (action, resource) = question(cx);
        // The keys of a batch are looked at one by one, when they are known.
        if cx.s3_op().name() != "DeleteObjects" {
            self.allow(principal.as_ref(), &action, &resource, &self.context(cx))?;
        }
        if let Some(bucket) = cx.s3_path().get_bucket_name() {
            self.check_region(bucket, cx)?;
            let owner = self.directory.bucket_owner(bucket);
            let is_owner = |principal: &Principal| owner.as_ref() == Some(&principal.account);
            // Only the owner's account may read the policy, whatever the policy allows.
            if cx.s3_op().name() == "GetBucketPolicy"
                && owner.is_some()
                && !principal.as_ref().is_some_and(is_owner)
            {
                return Err(s3_error!(
                    MethodNotAllowed,
                    "The specified method is not allowed against this resource."
                ));
            }
        }
        Ok(())
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        let source = source_arn(&request.input.copy_source);
        self.allow_later(request, "s3:GetObject", source)
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        let source = source_arn(&request.input.copy_source);
        self.allow_later(request, "s3:GetObject", source)
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        let arns: Vec<String> = request
            .input
            .delete
            .objects
            .iter()
            .map(|object| format!("arn:aws:s3:::{}/{}", request.input.bucket, object.key))
            .collect();
        for arn in arns {
            self.allow_later(request, "s3:DeleteObject", Some(arn))?;
        }
        Ok(())
    }
}

impl Gate {
    /// The caller behind an access key whose signature was right.
    fn known(&self, access_key: &str, cx: &S3AccessContext<'_>) -> S3Result<Principal> {
        let principal = self
            .directory
            .principal(access_key)
            .ok_or_else(|| s3_error!(InvalidAccessKeyId))?;
        if let Some(session) = &principal.session {
            if self.clock.now() >= session.expires {
                return Err(s3_error!(ExpiredToken, "The provided token has expired."));
            }
            let token = header(cx, "x-amz-security-token").or_else(|| {
                url::form_urlencoded::parse(cx.uri().query().unwrap_or_default().as_bytes())
                    .find(|(name, _)| name == "X-Amz-Security-Token")
                    .map(|(_, value)| value.into_owned())
            });
            if token.as_deref() != Some(session.token.as_str()) {
                return Err(s3_error!(
                    InvalidToken,
                    "The provided token is malformed or otherwise invalid."
                ));
            }
        }
        Ok(principal)
    }

    fn allow(
        &self,
        principal: Option<&Principal>,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> S3Result<()> {
        let outcome = self.directory.decide(principal, action, resource, context);
        if outcome.decision == Decision::Allowed {
            return Ok(());
        }
        let Some(principal) = principal else {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        };
        let because = match outcome.decision {
            Decision::ExplicitDeny => "with an explicit deny",
            _ => "because no policy allows the action",
        };
        Err(s3_error!(
            AccessDenied,
            "User: {} is not authorized to perform: {action} on resource: \"{resource}\" {because}",
            principal.arn
        ))
    }

    fn allow_later<T>(
        &self,
        request: &S3Request<T>,
        action: &str,
        resource: Option<String>,
    ) -> S3Result<()> {
        let Some(resource) = resource else {
            return Ok(());
        };
        let principal = request
            .credentials
            .as_ref()
            .and_then(|credentials| self.directory.principal(&credentials.access_key));
        self.allow(principal.as_ref(), action, &resource, &self.base_context())
    }

    /// What every request has in its context.
    fn base_context(&self) -> Context {
        Context::default()
            .with("aws:SecureTransport", [self.secure_transport.to_string()])
            .with("aws:SourceIp", ["127.0.0.1"])
    }

    fn context(&self, cx: &S3AccessContext<'_>) -> Context {
        let mut context = self.base_context();
        if let Some(agent) = header(cx, "user-agent") {
            context.insert("aws:UserAgent", vec![agent]);
        }
        if cx.s3_op().name().starts_with("ListObjects") {
            for (name, key) in [
                ("prefix", "s3:prefix"),
                ("delimiter", "s3:delimiter"),
                ("max-keys", "s3:max-keys"),
            ] {
                // An absent prefix is the empty one.
                match (query(cx, name), name) {
                    (Some(value), _) => context.insert(key, vec![value]),
                    (None, "prefix") => context.insert(key, vec![String::new()]),
                    (None, _) => {}
                }
            }
        }
        if let Some(id) = query(cx, "versionId") {
            context.insert("s3:VersionId", vec![id]);
        }
        if let S3Path::Object { bucket, key } = cx.s3_path() {
            for (name, value) in self.states.get(bucket, key).tags {
                context.insert(&format!("s3:ExistingObjectTag/{name}"), vec![value]);
            }
        }
        context
    }

    /// A bucket of another region sends the caller there.
    fn check_region(&self, bucket: &str, cx: &S3AccessContext<'_>) -> S3Result<()> {
        let Some(region) = self.directory.bucket_region(bucket) else {
            return Ok(());
        };
        let scope = header(cx, "authorization").unwrap_or_default();
        let signed_for = scope
            .split("Credential=")
            .nth(1)
            .and_then(|rest| rest.split('/').nth(2));
        match signed_for {
            Some(signed_for) if signed_for != region => Err(elsewhere(&region)),
            _ => Ok(()),
        }
    }
}

fn elsewhere(region: &str) -> S3Error {
    let mut error = s3_error!(
        PermanentRedirect,
        "The bucket you are attempting to access must be addressed using the specified endpoint. \
         Please send all future requests to this endpoint."
    );
    error.set_status_code(http::StatusCode::MOVED_PERMANENTLY);
    if let Ok(value) = http::HeaderValue::from_str(region) {
        let mut headers = http::HeaderMap::new();
        headers.insert("x-amz-bucket-region", value);
        error.set_headers(headers);
    }
    error
}

fn header(cx: &S3AccessContext<'_>, name: &str) -> Option<String> {
    Some(cx.headers().get(name)?.to_str().ok()?.to_owned())
}

fn source_arn(source: &CopySource) -> Option<String> {
    match source {
        CopySource::Bucket { bucket, key, .. } => Some(format!("arn:aws:s3:::{bucket}/{key}")),
        _ => None,
    }
}

/// The IAM action and resource of a request.
fn question(cx: &S3AccessContext<'_>) -> (String, String) {
    let resource = match cx.s3_path() {
        S3Path::Root => "*".to_owned(),
        S3Path::Bucket { bucket } => format!("arn:aws:s3:::{bucket}"),
        S3Path::Object { bucket, key } => format!("arn:aws:s3:::{bucket}/{key}"),
    };
    let has_version = query(cx, "versionId").is_some();
    let action = match cx.s3_op().name() {
        "GetObject" | "HeadObject" if has_version => "s3:GetObjectVersion",
        "GetObject" | "HeadObject" => "s3:GetObject",
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "s3:ListBucket",
        "ListBuckets" => "s3:ListAllMyBuckets",
        "PutObject"
        | "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload" => "s3:PutObject",
        "ListParts" => "s3:ListMultipartUploadParts",
        "DeleteObjects" => "s3:DeleteObject",
        other => return (format!("s3:{other}"), resource),
    };
    (action.to_owned(), resource)
}

fn query(cx: &S3AccessContext<'_>, name: &str) -> Option<String> {
    url::form_urlencoded::parse(cx.uri().query()?.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
