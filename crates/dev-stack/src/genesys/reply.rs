//! Answers in Genesys Cloud's own form.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

/// An answer.
pub(crate) type Reply = Response<Full<Bytes>>;

/// A JSON answer with the correlation id that Genesys Cloud puts on each.
pub(crate) fn json(status: u16, body: &Value) -> Reply {
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        headers.insert("inin-correlation-id", id);
    }
    response
}

/// 204, as a deletion answers.
pub(crate) fn gone() -> Reply {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// An error of the Platform API.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Reply {
    json(
        status,
        &json!({
            "message": message,
            "code": code,
            "status": status,
            "contextId": uuid::Uuid::new_v4().to_string(),
            "details": [],
            "errors": [],
        }),
    )
}

/// 403 with the permission that is missing.
pub(crate) fn forbidden(permission: &str) -> Reply {
    json(
        403,
        &json!({
            "message": format!(
                "Unable to perform the requested action. You must have at least one of the following permissions assigned: [{permission}]"
            ),
            "code": "missing.any.permissions",
            "status": 403,
            "messageParams": { "permissions": format!("[{permission}]") },
            "contextId": uuid::Uuid::new_v4().to_string(),
            "details": [],
            "errors": [],
        }),
    )
}

/// Text that is no JSON.
pub(crate) fn text(body: &str) -> Reply {
    let mut response = Response::new(Full::from(body.to_owned()));
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain"),
    );
    response
}

/// 429 with the wait.
pub(crate) fn rate_limited(seconds: u64) -> Reply {
    let mut reply = error(
        429,
        "too.many.requests",
        &format!("Rate limit exceeded the maximum. Retry the request in [{seconds}] seconds"),
    );
    reply
        .headers_mut()
        .insert(http::header::RETRY_AFTER, HeaderValue::from(seconds));
    reply
}

/// 200 with no body that means anything.
pub(crate) fn garbage() -> Reply {
    Response::new(Full::from("<html>not json"))
}
