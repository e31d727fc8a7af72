//! Which handler answers which path.

use axum::{
    Router, middleware,
    routing::{get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{actions, headers, oauth, operations, state::AppState};

/// Actions behind a key; health open; metrics and profiler behind a key as they tell action names.
pub(crate) fn router(state: AppState) -> Router {
    Router::new()
        .route("/v1/actions", get(actions::list))
        .route("/v1/actions/{name}", post(actions::run))
        .route("/oauth/token", post(oauth::token))
        .route("/v1/profiler", get(operations::profiler))
        .route("/metrics", get(operations::metrics))
        .route("/healthz", get(operations::health))
        .route("/readyz", get(operations::ready))
        .fallback(operations::not_found)
        .method_not_allowed_fallback(operations::method_not_allowed)
        .layer(CatchPanicLayer::custom(operations::panicked))
        .layer(middleware::from_fn(headers::guard))
        .with_state(state)
}
