//! Errors of finding the principal and of asking what it may read.

use std::fmt;

use aws_smithy_runtime_api::client::{
    orchestrator::HttpResponse,
    result::{DispatchFailure, SdkError},
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Why there is no decision.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    /// AWS's own code, such as `AccessDenied`.
    code: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller can do about an [`Error`].
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A setting is wrong: correct it.
    InvalidSetting,
    /// No region is known that requests could be signed for: set one.
    NoRegion,
    /// What answered is no STS of AWS: use the probe mode, in which S3 alone decides.
    NotAws,
    /// There are no credentials, or AWS does not accept them: renew them.
    Credentials,
    /// The principal may not simulate its own policies: allow `iam:SimulatePrincipalPolicy`, or use the probe mode.
    SimulationDenied,
    /// The kind of principal cannot be simulated: use a user or a role, or the probe mode.
    UnsupportedPrincipal,
    /// AWS asked to slow down: try again later.
    Throttled,
    /// AWS could not be reached or failed: try again later.
    Unavailable,
}

/// The call that says who we are.
pub(crate) const IDENTIFY: &str = "sts:GetCallerIdentity";

/// Whether a refusal may come from AWS: it has AWS's own code, or is a failure that may pass.
fn is_of_aws<E>(error: &SdkError<E, HttpResponse>, code: &str) -> bool {
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    let is_unknown = matches!(
        code,
        "" | "InvalidAction" | "NotImplemented" | "MethodNotAllowed" | "UnknownOperationException"
    );
    let may_pass = status.is_some_and(|status| status >= 500 && !matches!(status, 501 | 505));
    may_pass || !is_unknown
}

/// Whether a request could not be signed since no region is known.
fn is_without_region(error: &(dyn std::error::Error + 'static)) -> bool {
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

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            source: None,
        }
    }

    /// The error of one AWS call; `what` is the call, such as `sts:GetCallerIdentity`.
    pub(crate) fn from_sdk<E>(what: &str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let code = error.code().unwrap_or_default().to_owned();
        let (kind, message) = match (&error, code.as_str()) {
            (SdkError::ServiceError(_), "AccessDenied" | "AccessDeniedException")
                if what == "iam:SimulatePrincipalPolicy" =>
            {
                (
                    ErrorKind::SimulationDenied,
                    format!("this principal may not call {what}"),
                )
            }
            (
                SdkError::ServiceError(_),
                "ExpiredToken" | "ExpiredTokenException" | "RequestExpired",
            ) => (
                ErrorKind::Credentials,
                "the AWS credentials have expired".to_owned(),
            ),
            (
                SdkError::ServiceError(_),
                "InvalidClientTokenId"
                | "UnrecognizedClientException"
                | "SignatureDoesNotMatch"
                | "InvalidAccessKeyId"
                | "AuthFailure",
            ) => (
                ErrorKind::Credentials,
                format!("AWS does not accept the credentials ({code})"),
            ),
            (
                SdkError::ServiceError(_),
                "Throttling" | "ThrottlingException" | "TooManyRequestsException" | "SlowDown",
            ) => (
                ErrorKind::Throttled,
                format!("AWS asked to slow down at {what}"),
            ),
            (SdkError::ServiceError(_) | SdkError::ResponseError(_), _)
                if what == IDENTIFY && !is_of_aws(&error, &code) =>
            {
                let why = match code.as_str() {
                    "" => String::new(),
                    code => format!(" ({code})"),
                };
                (
                    ErrorKind::NotAws,
                    format!("{what} failed{why}: what answered is not STS as AWS has it"),
                )
            }
            (SdkError::ServiceError(failure), "") => {
                let status = failure.raw().status().as_u16();
                (
                    ErrorKind::Unavailable,
                    format!(
                        "{what} was answered with HTTP status {status} and no error code of AWS"
                    ),
                )
            }
            (SdkError::ServiceError(_), _) => {
                (ErrorKind::Unavailable, format!("{what} failed ({code})"))
            }
            (SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_), _)
                if is_without_region(&error) =>
            {
                (
                    ErrorKind::NoRegion,
                    format!("{what} could not be signed: no AWS region is set"),
                )
            }
            (SdkError::DispatchFailure(failure), _)
                if !failure.is_io() && !failure.is_timeout() && !is_no_http(failure) =>
            {
                (
                    ErrorKind::Credentials,
                    format!("{what} could not be signed: no usable AWS credentials were found"),
                )
            }
            (SdkError::ConstructionFailure(_), _) => (
                ErrorKind::InvalidSetting,
                format!("{what} could not be built from the settings"),
            ),
            _ => (
                ErrorKind::Unavailable,
                format!("{what} could not be reached"),
            ),
        };
        Self {
            kind,
            message,
            code: (!code.is_empty()).then_some(code),
            source: Some(error.into()),
        }
    }

    /// A second error of the same kind and message, for callers that shared one request.
    pub(crate) fn shared(error: &std::sync::Arc<Self>) -> Self {
        Self {
            kind: error.kind,
            message: error.message.clone(),
            code: error.code.clone(),
            source: Some(Box::new(SharedError(std::sync::Arc::clone(error)))),
        }
    }

    /// Whether AWS refused the call itself for lack of a permission.
    pub(crate) fn is_access_denied(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some("AccessDenied" | "AccessDeniedException")
        )
    }

    /// AWS's own code, such as `ExpiredToken`, when AWS answered with one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same question may be answered later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::Throttled | ErrorKind::Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Whether the answer could not be read as HTTP: the connection is to blame, not what signs the request.
fn is_no_http(failure: &DispatchFailure) -> bool {
    let mut next = failure
        .as_connector_error()
        .and_then(|error| std::error::Error::source(error));
    while let Some(error) = next {
        if error.is::<hyper::Error>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// Stands in a source chain for an error that several callers got.
#[derive(Debug)]
struct SharedError(std::sync::Arc<Error>);

impl fmt::Display for SharedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("in a request shared with other callers")
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_iam::{
        error::ErrorMetadata,
        operation::simulate_principal_policy::SimulatePrincipalPolicyError as Refused,
    };
    use aws_smithy_runtime_api::{
        client::result::SdkError,
        http::{Response, StatusCode},
    };
    use aws_smithy_types::body::SdkBody;

    use super::{Error, ErrorKind};

    #[test]
    fn an_answer_without_a_code_of_aws_is_named_by_its_status() {
        let of = |metadata: ErrorMetadata, status: u16| {
            let status = StatusCode::try_from(status).unwrap();
            let raw = Response::new(status, SdkBody::empty());
            let error = SdkError::service_error(Refused::generic(metadata), raw);
            Error::from_sdk("iam:SimulatePrincipalPolicy", error)
        };
        let without = of(ErrorMetadata::builder().build(), 405);
        assert_eq!(without.kind(), ErrorKind::Unavailable);
        assert_eq!(
            without.to_string(),
            "iam:SimulatePrincipalPolicy was answered with HTTP status 405 and no error code of AWS"
        );
        let with = of(ErrorMetadata::builder().code("ServiceFailure").build(), 500);
        assert_eq!(
            with.to_string(),
            "iam:SimulatePrincipalPolicy failed (ServiceFailure)"
        );
    }
}
