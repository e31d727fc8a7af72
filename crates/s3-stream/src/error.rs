//! The crate's error: failures of S3, and what a caller can do about each.

use std::{error::Error as StdError, fmt, sync::Arc};

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::{
    orchestrator::HttpResponse,
    result::{DispatchFailure, SdkError},
};

/// Why a request to S3 gave no answer.
///
/// Cheap to clone, since callers that share one request share its failure.
///
/// # Example
///
/// Reads through [`object_store::ObjectStore`], or through an engine above it, give errors of theirs, with this one in the chain of
/// sources:
///
/// ```
/// use flowlake_s3_stream::{Error, ErrorKind};
///
/// fn http_status(error: &(dyn std::error::Error + 'static)) -> u16 {
///     let Some(error) = Error::find(error) else {
///         return 500;
///     };
///     match error.kind() {
///         ErrorKind::NoSuchKey | ErrorKind::NoSuchBucket => 404,
///         ErrorKind::AccessDenied | ErrorKind::KmsDenied => 403,
///         _ if error.is_retryable() => 503,
///         _ => 502,
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// The region in which S3 says that the bucket is.
    region: Option<String>,
    /// An answer without a body, as HEAD gives: its status alone says what is wrong.
    status_alone: Option<u16>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What a caller can do about an [`Error`].
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The object does not exist: check the key.
    NoSuchKey,
    /// The bucket does not exist: check its name.
    NoSuchBucket,
    /// S3 refused: allow the principal, or look for an explicit deny.
    AccessDenied,
    /// The object was replaced since its metadata was read: read it again, from the start.
    ObjectChanged,
    /// A condition that the caller set does not hold.
    Precondition,
    /// The object is as the caller has it.
    NotModified,
    /// The object is archived: restore it first.
    Archived,
    /// The principal may not use the object's KMS key: allow `kms:Decrypt`.
    KmsDenied,
    /// The bucket is in another region: configure that one.
    WrongRegion,
    /// S3 asked to slow down for longer than the retries lasted: send less, or try again later.
    Throttled,
    /// S3 could not be reached or failed: try again later.
    Unavailable,
    /// S3 stopped sending: try again later.
    Stalled,
    /// The credentials have expired or are not known: renew them.
    ExpiredCredentials,
    /// This machine's clock is off: correct it.
    ClockSkew,
    /// The range lies outside the object.
    InvalidRange,
    /// The body is not what its head announced.
    Corrupt,
    /// A setting is wrong: correct it.
    InvalidSetting,
    /// Anything else.
    Other,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            region: None,
            status_alone: None,
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The failure of one SDK call on `what`, such as `s3://bucket/key`.
    pub(crate) fn from_sdk<E>(what: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let status = error
            .raw_response()
            .map(|response| response.status().as_u16());
        let code = error.code().unwrap_or_default();
        let text = error.message().unwrap_or_default();
        let region = error.raw_response().and_then(bucket_region);
        let kind = match &error {
            SdkError::ConstructionFailure(_) => ErrorKind::InvalidSetting,
            SdkError::DispatchFailure(_) if is_without_region(&error) => ErrorKind::InvalidSetting,
            SdkError::TimeoutError(_) => ErrorKind::Stalled,
            SdkError::DispatchFailure(failure)
                if (failure.is_other() || failure.is_user()) && !is_no_http(failure) =>
            {
                ErrorKind::ExpiredCredentials
            }
            SdkError::DispatchFailure(_) => ErrorKind::Unavailable,
            // A HEAD in the wrong region is a bad request with the right region in its head.
            SdkError::ServiceError(_)
                if status == Some(400) && code.is_empty() && region.is_some() =>
            {
                ErrorKind::WrongRegion
            }
            _ => classify(status, code, text),
        };
        let mut detail = if code.is_empty() {
            status.map_or_else(String::new, |status| format!(" (HTTP {status})"))
        } else {
            format!(" ({code})")
        };
        if kind == ErrorKind::InvalidSetting && is_without_region(&error) {
            ": no AWS region is set".clone_into(&mut detail);
        }
        if let (ErrorKind::WrongRegion, Some(region)) = (kind, &region) {
            detail = format!(": {region}{detail}");
        }
        // `NotFound` is what the SDK makes of a 404 without a body.
        let status_alone = status.filter(|_| matches!(code, "" | "NotFound"));
        let mut made = Self::new(kind, format!("{what}: {}{detail}", kind.description()));
        (made.region, made.status_alone) = (region, status_alone);
        made.with_source(error)
    }

    /// The region in which S3 says that the bucket is.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The status of an answer that had nothing else to say.
    pub(crate) const fn status_alone(&self) -> Option<u16> {
        self.status_alone
    }

    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same request may succeed later.
    ///
    /// The store has used up its own tries (`attempts` of the settings) by then: a caller that tries again at once multiplies them.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Throttled | ErrorKind::Unavailable | ErrorKind::Stalled | ErrorKind::Corrupt
        )
    }

    /// A sentence on what to do. It names no setting of an application, which can say more by [`Self::kind`].
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self.kind {
            ErrorKind::NoSuchKey => "Check the key.",
            ErrorKind::NoSuchBucket => "Check the bucket's name.",
            ErrorKind::AccessDenied => {
                "Allow s3:GetObject to this principal, and look for a Deny in the bucket policy. Without s3:ListBucket, S3 refuses what does not exist in the same way."
            }
            ErrorKind::ObjectChanged => {
                "Try again; if it lasts, write new versions under new keys."
            }
            ErrorKind::Precondition | ErrorKind::NotModified => {
                "Compare the object's ETag with the one expected."
            }
            ErrorKind::Archived => {
                "Restore the object (s3 restore-object) or copy it to another storage class."
            }
            ErrorKind::KmsDenied => {
                "Allow kms:Decrypt on the object's key to this principal, in the key policy too."
            }
            ErrorKind::WrongRegion => "Give the client the bucket's region.",
            ErrorKind::Throttled => {
                "Try again later; spread hot objects over prefixes or lower the concurrency."
            }
            ErrorKind::Unavailable | ErrorKind::Stalled => {
                "Check that S3 can be reached from here, then try again."
            }
            ErrorKind::ExpiredCredentials => "Renew the AWS credentials of this process.",
            ErrorKind::ClockSkew => "Set this machine's clock (NTP).",
            ErrorKind::InvalidRange => "Read the object again: it is shorter than it was.",
            ErrorKind::Corrupt => {
                "Try again; if it lasts, look at what stands between this machine and S3."
            }
            ErrorKind::InvalidSetting => "Correct the settings of the store or of its client.",
            ErrorKind::Other => "Look at the log for what S3 answered.",
        }
    }

    /// The first error of this crate in a source chain, through `object_store`, Arrow and `DataFusion` alike.
    #[must_use]
    pub fn find<'error>(error: &'error (dyn StdError + 'static)) -> Option<&'error Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref::<Self>() {
                return Some(found);
            }
            next = error.source();
        }
        None
    }

    /// The same failure as `object_store` names it, with this error as its source.
    pub(crate) fn into_object_store(self, path: &str) -> object_store::Error {
        let path = path.to_owned();
        let kind = self.kind;
        let source: Box<dyn StdError + Send + Sync> = Box::new(self);
        match kind {
            ErrorKind::NoSuchKey | ErrorKind::NoSuchBucket => {
                object_store::Error::NotFound { path, source }
            }
            ErrorKind::AccessDenied | ErrorKind::KmsDenied => {
                object_store::Error::PermissionDenied { path, source }
            }
            ErrorKind::ExpiredCredentials => object_store::Error::Unauthenticated { path, source },
            ErrorKind::ObjectChanged | ErrorKind::Precondition => {
                object_store::Error::Precondition { path, source }
            }
            ErrorKind::NotModified => object_store::Error::NotModified { path, source },
            _ => object_store::Error::Generic {
                store: "S3",
                source,
            },
        }
    }
}

/// Whether a request could not be signed since no region is known.
fn is_without_region(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string().to_lowercase();
        if text.contains("missing signing region") || text.contains("missing region") {
            return true;
        }
        next = error.source();
    }
    false
}

/// Whether the answer could not be read as HTTP: the connection is to blame, not what signs the request.
fn is_no_http(failure: &DispatchFailure) -> bool {
    let mut next = failure
        .as_connector_error()
        .and_then(|error| StdError::source(error));
    while let Some(error) = next {
        if error.is::<hyper::Error>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// The bucket's region, out of the head or the body of a refusal.
///
/// It becomes a part of a host name: what could not be a region's name is left out.
fn bucket_region(response: &HttpResponse) -> Option<String> {
    let named = response.headers().get("x-amz-bucket-region");
    let body = || {
        let body = std::str::from_utf8(response.body().bytes()?).ok()?;
        let (_, rest) = body.split_once("<Region>")?;
        rest.split_once("</Region>").map(|(region, _)| region)
    };
    let letters = |region: &&str| {
        (1..=32).contains(&region.len())
            && region
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    named.or_else(body).filter(letters).map(str::to_owned)
}

/// The kind of an answer, by S3's error codes (Amazon S3 API Reference, "Error responses") and, for HEAD, which has no
/// body, by status alone.
fn classify(status: Option<u16>, code: &str, text: &str) -> ErrorKind {
    match (code, status) {
        ("NoSuchKey" | "NoSuchVersion", _) => ErrorKind::NoSuchKey,
        ("NoSuchBucket", _) => ErrorKind::NoSuchBucket,
        ("InvalidObjectState", _) => ErrorKind::Archived,
        (
            "ExpiredToken"
            | "InvalidToken"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "TokenRefreshRequired",
            _,
        ) => ErrorKind::ExpiredCredentials,
        ("RequestTimeTooSkewed", _) => ErrorKind::ClockSkew,
        ("InvalidRange", _) | (_, Some(416)) => ErrorKind::InvalidRange,
        (
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
            _,
        )
        | (_, Some(301 | 307)) => ErrorKind::WrongRegion,
        (
            "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "TooManyRequests",
            _,
        )
        | (_, Some(429 | 503)) => ErrorKind::Throttled,
        ("AccessDenied", _) if text.contains("kms") => ErrorKind::KmsDenied,
        (code, _) if code.starts_with("KMS.") && code.contains("Throttling") => {
            ErrorKind::Throttled
        }
        (code, _) if code.starts_with("KMS.") => ErrorKind::KmsDenied,
        ("AccessDenied" | "AllAccessDisabled", _) | (_, Some(401 | 403)) => ErrorKind::AccessDenied,
        ("PreconditionFailed" | "ConditionalRequestConflict", _) | (_, Some(412)) => {
            ErrorKind::Precondition
        }
        (_, Some(304)) => ErrorKind::NotModified,
        (_, Some(404)) => ErrorKind::NoSuchKey,
        ("RequestTimeout" | "InternalError", _) => ErrorKind::Unavailable,
        (_, Some(status)) if status >= 500 => ErrorKind::Unavailable,
        (_, Some(status)) if status < 300 => ErrorKind::Corrupt,
        (_, None) => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

impl ErrorKind {
    const fn description(self) -> &'static str {
        match self {
            Self::NoSuchKey => "the object does not exist",
            Self::NoSuchBucket => "the bucket does not exist",
            Self::AccessDenied => "S3 refuses the request",
            Self::ObjectChanged => "the object changed while it was read",
            Self::Precondition => "the condition does not hold",
            Self::NotModified => "the object is not modified",
            Self::Archived => "the object is archived",
            Self::KmsDenied => "the object's KMS key may not be used",
            Self::WrongRegion => "the bucket is in another region",
            Self::Throttled => "S3 asks to slow down",
            Self::Unavailable => "S3 cannot be reached or failed",
            Self::Stalled => "S3 stopped answering",
            Self::ExpiredCredentials => "the credentials are missing, expired or not known",
            Self::ClockSkew => "this machine's clock is too far off",
            Self::InvalidRange => "the range lies outside the object",
            Self::Corrupt => "the answer is not what was announced",
            Self::InvalidSetting => "the request cannot be built from the settings",
            Self::Other => "S3 refused the request",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, ErrorKind, classify};

    #[test]
    fn codes_win_over_statuses() {
        let cases = [
            (Some(404), "NoSuchBucket", "", ErrorKind::NoSuchBucket),
            (Some(404), "", "", ErrorKind::NoSuchKey),
            (Some(403), "InvalidObjectState", "", ErrorKind::Archived),
            (Some(403), "RequestTimeTooSkewed", "", ErrorKind::ClockSkew),
            (
                Some(403),
                "AccessDenied",
                "not authorized to perform: kms:Decrypt",
                ErrorKind::KmsDenied,
            ),
            (Some(403), "", "", ErrorKind::AccessDenied),
            (Some(412), "PreconditionFailed", "", ErrorKind::Precondition),
            (Some(416), "", "", ErrorKind::InvalidRange),
            (Some(301), "", "", ErrorKind::WrongRegion),
            (Some(503), "SlowDown", "", ErrorKind::Throttled),
            (Some(500), "InternalError", "", ErrorKind::Unavailable),
            (Some(200), "", "", ErrorKind::Corrupt),
            (None, "", "", ErrorKind::Unavailable),
        ];
        for (status, code, text, kind) in cases {
            assert_eq!(classify(status, code, text), kind, "{status:?} {code}");
        }
    }

    #[test]
    fn an_error_is_found_through_object_store() {
        let error = Error::new(ErrorKind::Archived, "s3://b/k: archived").into_object_store("k");
        assert_eq!(Error::find(&error).unwrap().kind(), ErrorKind::Archived);
    }
}
