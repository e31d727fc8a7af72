//! Which handler answers which path.

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};
use tower::ServiceBuilder;
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, DefaultPredicate, Predicate,
        predicate::{NotForContentType, SizeAbove},
    },
};

use crate::{actions, batch, describe, headers, mcp, oauth, operations, state::AppState};

/// Smaller responses are not compressed: they fit into one packet.
const LEAST_COMPRESSED_BYTES: u16 = 1400;

/// Actions behind credentials; health open, and no more than load balancers need. What operators look at is `admin`.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    Router::new()
        .route("/v1/actions", get(actions::list))
        .route(
            "/v1/actions/{name}",
            get(actions::run_from_query).post(actions::run),
        )
        .route("/v1/actions/{name}/batch", post(batch::run))
        .route("/mcp", post(mcp::message))
        .route("/openapi.json", get(describe::openapi))
        .route("/try", get(describe::page))
        .route("/try.js", get(describe::script))
        .route("/try.css", get(describe::style))
        .route("/oauth/token", post(oauth::token))
        .route("/livez", get(operations::live))
        .route("/readyz", get(operations::ready))
        .fallback(operations::not_found)
        .method_not_allowed_fallback(operations::method_not_allowed)
        .layer(
            // As one layer: each is a copy of the routes for every request.
            ServiceBuilder::new()
                .layer(middleware::from_fn_with_state(
                    state.body_limits,
                    headers::guard,
                ))
                .layer(compression())
                .layer(CatchPanicLayer::custom(operations::panicked)),
        )
        .with_state(state)
}

/// Compresses answers for callers that take it, but for tiny ones and for Parquet, which is compressed already.
fn compression() -> CompressionLayer<impl Predicate> {
    let predicate = DefaultPredicate::new()
        .and(SizeAbove::new(LEAST_COMPRESSED_BYTES))
        .and(NotForContentType::const_new(
            "application/vnd.apache.parquet",
        ));
    CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(predicate)
}
