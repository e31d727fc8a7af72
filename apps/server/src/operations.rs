//! What operators look at: health, readiness, metrics, profile.

use std::{any::Any, sync::atomic::Ordering};

use axum::{
    Extension, Json,
    extract::State,
    http::{
        HeaderMap, Method, StatusCode,
        header::{ACCEPT, ACCESS_CONTROL_REQUEST_METHOD, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use flowlake_data_action::{ActionError, ErrorCode};
use serde_json::json;

use crate::{
    peer::Peer,
    refusal::{refuse, refuse_with},
    state::AppState,
};

/// `GET /healthz`: the process answers.
pub(crate) async fn health() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: requests will be taken.
pub(crate) async fn ready(State(state): State<AppState>) -> Response {
    let reason = if state.stopping.load(Ordering::Relaxed) {
        Some("the server is stopping".to_owned())
    } else {
        state.pipeline.unready_reason()
    };
    let parts = state.pipeline.health();
    match reason {
        // Warnings are for people: requests are answered all the same.
        None => match state.pipeline.warnings() {
            none if none.is_empty() => Json(json!({ "status": "ready", "parts": parts })),
            warnings => Json(json!({ "status": "ready", "parts": parts, "warnings": warnings })),
        }
        .into_response(),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "not ready", "reason": reason, "parts": parts })),
        )
            .into_response(),
    }
}

const ADVICE: &str = "Actions are run with POST /v1/actions/NAME.";

/// What a scraper that can read OpenMetrics names in its `Accept`.
const OPENMETRICS: &str = "application/openmetrics-text";

/// `GET /metrics`: Prometheus text, or OpenMetrics for who asks for it. Behind the key, since it tells the names of actions.
pub(crate) async fn metrics(
    State(state): State<AppState>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match state.observe(&headers, &peer).await {
        Ok(()) if accepts_openmetrics(&headers) => (
            [(
                CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            state.pipeline.openmetrics_with(state.gauges()),
        )
            .into_response(),
        Ok(()) => (
            [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            state.pipeline.prometheus_with(state.gauges()),
        )
            .into_response(),
        Err(refusal) => refusal,
    }
}

fn accepts_openmetrics(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT).iter();
    accepted.any(|value| value.to_str().is_ok_and(|text| text.contains(OPENMETRICS)))
}

/// `GET /v1/profiler`: the profile as JSON.
pub(crate) async fn profiler(
    State(state): State<AppState>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    match state.observe(&headers, &peer).await {
        Ok(()) => Json(
            state
                .pipeline
                .profiler()
                .snapshot(state.pipeline.now_unix_ms()),
        )
        .into_response(),
        Err(refusal) => refusal,
    }
}

/// Any other path.
pub(crate) async fn not_found() -> Response {
    refuse(ActionError::new(
        ErrorCode::RequestNotFound,
        "there is nothing at this path",
        ADVICE,
    ))
}

/// A path that is there, with another method; axum adds those that it takes as `Allow`. `OPTIONS` asks for just them; what a browser
/// asks before it lets a page of another origin send something is refused.
pub(crate) async fn method_not_allowed(method: Method, headers: HeaderMap) -> Response {
    if method == Method::OPTIONS && !headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        return StatusCode::NO_CONTENT.into_response();
    }
    let error = ActionError::new(
        ErrorCode::RequestInvalid,
        "this path takes another method",
        ADVICE,
    );
    refuse_with(StatusCode::METHOD_NOT_ALLOWED, error)
}

/// A request whose handler panicked. What it says may hold data of the request, and is not repeated.
pub(crate) fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    refuse(ActionError::new(
        ErrorCode::Internal,
        "the request panicked",
        "Report this.",
    ))
}
