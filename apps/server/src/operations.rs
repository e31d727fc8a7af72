//! What load balancers look at, and the answers of paths that there are not.

use std::{any::Any, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method, StatusCode, header::ACCESS_CONTROL_REQUEST_METHOD},
    response::{IntoResponse, Response},
};
use flowlake_data_action::{ActionError, ErrorCode};
use serde_json::json;

use crate::{
    refusal::{refuse, refuse_with},
    state::AppState,
};

/// `GET /livez`: the process answers.
pub(crate) async fn live() -> Json<serde_json::Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: whether requests will be taken. Why not is for operators.
pub(crate) async fn ready(State(state): State<Arc<AppState>>) -> Response {
    match state.unready_reason() {
        None => Json(json!({ "status": "ready" })).into_response(),
        Some(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "not ready" })),
        )
            .into_response(),
    }
}

const ADVICE: &str = "Actions are run with POST /v1/actions/NAME.";

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
