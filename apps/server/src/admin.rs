//! What operators look at, on an address of its own: health, metrics, profile, configuration, and a dashboard over them.
//!
//! Nobody proves who it is here: the address is loopback, or one that a network policy keeps strangers from. What can be seen is
//! therefore names and figures: no parameter, no row, no secret.

mod dashboard;
mod guard;
mod state;
mod status;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{ACCEPT, CONTENT_TYPE},
    },
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use flowlake_data_action::{ActionError, ErrorCode, ServerSettings};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinHandle};
use tower_http::catch_panic::CatchPanicLayer;

use self::state::AdminState;
use crate::{
    body::BodyLimits,
    headers,
    listener::{Connections, Routes},
    live::Live,
    operations,
    refusal::refuse,
};

/// Connections of operators and of monitoring: a few.
const MOST_CONNECTIONS: usize = 64;

/// How long an answer may take to be received when the server stops.
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// Listens for operators until it is stopped.
#[derive(Debug)]
pub(crate) struct Admin {
    address: SocketAddr,
    connections: Arc<Connections>,
    accepting: JoinHandle<()>,
}

impl Admin {
    pub(crate) fn start(
        listener: TcpListener,
        address: SocketAddr,
        live: &Arc<Live>,
        settings: &ServerSettings,
    ) -> Self {
        let clock = Arc::clone(live.state().pipeline.clock());
        let bounds = ServerSettings {
            max_connections: MOST_CONNECTIONS,
            max_connections_per_address: MOST_CONNECTIONS,
            ..settings.clone()
        };
        let connections = Connections::new(&bounds, None, clock);
        let router = router(live, settings);
        let routes: Routes = Arc::new(move || router.clone());
        let accepting = tokio::spawn(Arc::clone(&connections).accept(listener, routes));
        tracing::info!(%address, "listening for operators");
        Self {
            address,
            connections,
            accepting,
        }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn stop(self) {
        // A dashboard that is open never ends by itself, so whether all closed in time tells nothing.
        let (_closed, _accepted) = tokio::join!(self.connections.stop(STOP_LIMIT), self.accepting);
    }
}

fn router(live: &Arc<Live>, settings: &ServerSettings) -> Router {
    let names = guard::OwnNames::of(settings);
    Router::new()
        .route("/", get(dashboard::page))
        .route("/dashboard.css", get(dashboard::style))
        .route("/dashboard.js", get(dashboard::script))
        .route("/livez", get(operations::live))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/profiler", get(profiler))
        .route("/v1/config", get(config))
        .route("/v1/status", get(status::status))
        .route("/v1/events", get(status::events))
        .route("/v1/audit/verify", post(status::verify))
        .fallback(not_found)
        .method_not_allowed_fallback(operations::method_not_allowed)
        .layer(CatchPanicLayer::custom(operations::panicked))
        .layer(middleware::from_fn(move |request, next| {
            guard::guard(names.clone(), request, next)
        }))
        .layer(middleware::from_fn_with_state(
            BodyLimits::of(settings),
            headers::guard,
        ))
        .with_state(AdminState::new(live, settings))
}

/// `GET /readyz`: whether requests will be taken, every part, and what should be looked at.
async fn ready(State(state): State<AdminState>) -> Response {
    let status = state.live.state();
    let parts = status.pipeline.health();
    match status.unready_reason() {
        // Warnings are for people: requests are answered all the same.
        None => match state.live.warnings() {
            none if none.is_empty() => Json(json!({ "status": "ready", "parts": parts })),
            warnings => Json(json!({ "status": "ready", "parts": parts, "warnings": warnings })),
        }
        .into_response(),
        Some(error) => {
            let answer = json!({
                "status": "not ready",
                "reason": error.message(),
                "advice": error.advice(),
                "parts": parts,
            });
            (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
        }
    }
}

/// What a scraper that can read OpenMetrics names in its `Accept`.
const OPENMETRICS: &str = "application/openmetrics-text";

/// `GET /metrics`: Prometheus text, or OpenMetrics for scrapers that accept it.
async fn metrics(State(state): State<AdminState>, headers: HeaderMap) -> Response {
    let (gauges, pipeline) = (state.live.gauges(), state.live.state().pipeline.clone());
    let mut accepted = headers.get_all(ACCEPT).iter();
    let openmetrics =
        accepted.any(|value| value.to_str().is_ok_and(|text| text.contains(OPENMETRICS)));
    let (kind, text) = if openmetrics {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        (kind, pipeline.openmetrics_with(gauges))
    } else {
        let kind = "text/plain; version=0.0.4; charset=utf-8";
        (kind, pipeline.prometheus_with(gauges))
    };
    ([(CONTENT_TYPE, kind)], text).into_response()
}

/// `GET /v1/profiler`: the profile as JSON.
async fn profiler(State(state): State<AdminState>) -> Response {
    let pipeline = state.live.state().pipeline.clone();
    Json(pipeline.profiler().snapshot(pipeline.now_unix_ms())).into_response()
}

/// `GET /v1/config`: the files in effect as they are written. What they leave out has its default.
async fn config(State(state): State<AdminState>) -> Response {
    let mut shown = state.live.state().pipeline.documents().shown();
    shown["state"] = json!(state.live.notes());
    Json(shown).into_response()
}

async fn not_found() -> Response {
    refuse(ActionError::new(
        ErrorCode::RequestNotFound,
        "there is nothing at this path",
        "Operators find /, /livez, /readyz, /metrics, /v1/profiler, /v1/config and /v1/status here; actions are at the address of `listen`.",
    ))
}
