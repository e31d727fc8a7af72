//! The response to a request that gets no answer.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use flowlake_data_action::{ActionError, Failure};

/// A request that was turned away before an attempt began: nothing was read, and nothing is recorded.
pub(crate) fn refuse(error: ActionError) -> Response {
    fail(&Failure {
        error,
        audit_id: None,
    })
}

/// The same with a status that tells more than the code's own.
pub(crate) fn refuse_with(status: StatusCode, error: ActionError) -> Response {
    let mut response = refuse(error);
    *response.status_mut() = status;
    response
}

/// The answer of every request that failed: JSON with the error's code.
pub(crate) fn fail(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.error.code().http_status())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(failure.to_json())).into_response();
    if let Some(wait) = failure.error.retry_after() {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    response
}
