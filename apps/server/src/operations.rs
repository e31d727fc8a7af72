//! What operators look at: health, readiness, metrics, profile.

use std::sync::atomic::Ordering;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use flowlake_data_action::{ActionError, ErrorCode};
use serde_json::json;

use crate::{actions::refuse, server::AppState};

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
    match reason {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "not ready", "reason": reason })),
        )
            .into_response(),
    }
}

/// `GET /metrics`: Prometheus text. Behind the key, since it tells the names of actions.
pub(crate) async fn metrics(State(state): State<AppState>, headers: HeaderMap) -> Response {
    match state.keys.authenticate(&headers) {
        Ok(_) => (
            [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            state.pipeline.profiler().prometheus(),
        )
            .into_response(),
        Err(error) => refuse(error),
    }
}

/// `GET /v1/profiler`: the profile as JSON.
pub(crate) async fn profiler(State(state): State<AppState>, headers: HeaderMap) -> Response {
    match state.keys.authenticate(&headers) {
        Ok(_) => Json(
            state
                .pipeline
                .profiler()
                .snapshot(state.pipeline.now_unix_ms()),
        )
        .into_response(),
        Err(error) => refuse(error),
    }
}

/// Any other path.
pub(crate) async fn not_found() -> Response {
    let error = ActionError::new(
        ErrorCode::RequestInvalid,
        "there is nothing at this path",
        "Actions are run with POST /v1/actions/NAME.",
    );
    (
        StatusCode::NOT_FOUND,
        Json(json!({ "error": error.to_json() })),
    )
        .into_response()
}
