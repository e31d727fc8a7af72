//! The response to a request that gets no answer: a problem document (RFC 9457) with two members of ours, `error` and `audit_id`.
//! docs/errors.md lists the codes.

use axum::{
    body::Body,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER},
    },
    response::Response,
};
use flowlake_data_action::{ActionError, ErrorCode, Failure};
use serde_json::{Value, json};

/// The page that lists every code.
const ERRORS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/errors.md");

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// A request that was turned away before an attempt began: nothing was read, and nothing is recorded.
pub(crate) fn refuse(error: ActionError) -> Response {
    fail(&Failure {
        error,
        audit_id: None,
    })
}

/// The same with a status that tells more than the code's own.
pub(crate) fn refuse_with(status: StatusCode, error: ActionError) -> Response {
    let failure = Failure {
        error,
        audit_id: None,
    };
    respond(status, &failure)
}

/// The answer of every request that failed.
pub(crate) fn fail(failure: &Failure) -> Response {
    respond(status(failure), failure)
}

/// The body of a request that failed.
pub(crate) fn problem(failure: &Failure) -> Value {
    problem_with(status(failure), failure)
}

fn status(failure: &Failure) -> StatusCode {
    StatusCode::from_u16(failure.error.code().http_status())
        .expect("each code has an HTTP status, which a test of `data-action` holds")
}

fn problem_with(status: StatusCode, failure: &Failure) -> Value {
    let Failure { error, audit_id } = failure;
    let code = error.code();
    json!({
        "type": format!("{ERRORS}#{code}"),
        "title": code.description().trim(),
        "status": status.as_u16(),
        "detail": error.message(),
        "error": error.to_json(),
        "audit_id": audit_id,
    })
}

fn respond(status: StatusCode, failure: &Failure) -> Response {
    let mut response = Response::new(Body::from(problem_with(status, failure).to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/problem+json");
    headers.insert(CONTENT_TYPE, kind);
    if let Some(wait) = failure.error.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    let code = failure.error.code();
    if let Some((error, next)) = upstream(code) {
        let text = format!("flowlake; error={error}; next-hop={next}; details=\"{code}\"");
        headers.extend(
            HeaderValue::try_from(text)
                .ok()
                .map(|text| (PROXY_STATUS, text)),
        );
    }
    response
}

/// What failed behind this server, as RFC 9209 names it, and where.
const fn upstream(code: ErrorCode) -> Option<(&'static str, &'static str)> {
    Some(match code {
        ErrorCode::S3Unavailable | ErrorCode::S3Throttled => ("destination_unavailable", "s3"),
        ErrorCode::S3Corrupt => ("http_protocol_error", "s3"),
        ErrorCode::S3WrongRegion => ("proxy_configuration_error", "s3"),
        ErrorCode::AccessUnavailable => ("destination_unavailable", "iam"),
        ErrorCode::IssuerUnavailable => ("destination_unavailable", "issuer"),
        ErrorCode::AwsCredentials => ("proxy_configuration_error", "aws"),
        ErrorCode::GenesysUnavailable | ErrorCode::GenesysRateLimited => {
            ("destination_unavailable", "genesys")
        }
        ErrorCode::GenesysCredentials | ErrorCode::GenesysForbidden => {
            ("proxy_configuration_error", "genesys")
        }
        ErrorCode::ClusterWorkerLost => ("connection_terminated", "worker"),
        ErrorCode::ClusterWorkerRefused => ("proxy_configuration_error", "worker"),
        ErrorCode::ClusterWorkerBusy => ("destination_unavailable", "worker"),
        // A test lists the codes that say 502 to 504 and are of this server itself.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use flowlake_data_action::ErrorCode;

    use super::upstream;

    /// Codes of this server itself, or of commands only.
    const NOT_BEHIND: [ErrorCode; 6] = [
        ErrorCode::LimitTimeout,
        ErrorCode::BudgetUnshared,
        ErrorCode::CostUnavailable,
        ErrorCode::GenesysRejected,
        ErrorCode::AuditUnavailable,
        ErrorCode::Overloaded,
    ];

    #[test]
    fn a_code_of_a_gateway_says_what_failed_behind_it() {
        let of_gateways = ErrorCode::ALL.iter();
        let of_gateways = of_gateways.filter(|code| (502..=504).contains(&code.http_status()));
        for code in of_gateways {
            let is_behind = !NOT_BEHIND.contains(code);
            assert_eq!(
                upstream(*code).is_some(),
                is_behind,
                "{code}: decide in `upstream`"
            );
        }
    }
}
