//! All figures of the server as one document: what the dashboard shows.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use flowlake_data_action::{ActionError, ErrorCode};
use futures::stream;
use serde_json::{Value, json};

use super::state::{AdminState, Verified};
use crate::refusal::{fail, refuse};

/// How often an open dashboard gets new figures.
const SEND_EVERY: Duration = Duration::from_secs(1);

/// `GET /v1/status`.
pub(super) async fn status(State(state): State<AdminState>) -> Json<Value> {
    Json(document(&state).await)
}

/// `GET /v1/events`: the same whenever it is time, as server-sent events.
pub(super) async fn events(State(state): State<AdminState>) -> Response {
    let events = stream::unfold((state, true), |(state, is_first)| async move {
        if !is_first {
            tokio::time::sleep(SEND_EVERY).await;
        }
        // JSON has no line ends of its own, so it is one line of an event.
        let event = format!("data: {}\n\n", document(&state).await);
        Some((Ok::<_, Infallible>(Bytes::from(event)), (state, false)))
    });
    let kind = [(CONTENT_TYPE, "text/event-stream")];
    (kind, Body::from_stream(events)).into_response()
}

/// `POST /v1/audit/verify`: verifies the chain of the audit log, whole. One at a time.
pub(super) async fn verify(State(state): State<AdminState>) -> Response {
    let Ok(mut verified) = state.verified.try_lock() else {
        return refuse(ActionError::new(
            ErrorCode::Overloaded,
            "the audit log is being verified already",
            "Wait for its end: /v1/status has it.",
        ));
    };
    let pipeline = state.live.state().pipeline.clone();
    let at_unix_ms = pipeline.now_unix_ms();
    let verifying = tokio::task::spawn_blocking(move || pipeline.verify_audit());
    let report = verifying.await.unwrap_or_else(|error| {
        let message = "the verification was lost";
        Err(ActionError::new(ErrorCode::Internal, message, "Report this.").with_source(error))
    });
    match report {
        Ok(report) => {
            let found = Verified {
                at_unix_ms,
                intact: report.is_intact(),
                records: report.records,
                problem: report.problem.map(|problem| problem.message),
            };
            *verified = Some(found.clone());
            Json(found).into_response()
        }
        Err(error) => fail(&flowlake_data_action::Failure {
            error,
            audit_id: None,
        }),
    }
}

async fn document(state: &AdminState) -> Value {
    let live = &state.live;
    let app = live.state();
    let pipeline = &app.pipeline;
    let now = pipeline.now_unix_ms();
    let profile = pipeline.profiler().snapshot(now);
    let status = pipeline.status();
    // While one runs, the last result is not known here.
    let (verified, is_verifying) = match state.verified.try_lock() {
        Ok(verified) => (verified.clone(), false),
        Err(_locked) => (None, true),
    };
    let notes = live.notes();
    let [(_, reloads), (_, failed_reloads)] = live.reloads();
    let actions = pipeline.actions().map(|action| {
        let definition = action.definition();
        json!({ "name": definition.name, "description": definition.description, "hot": definition.hot })
    });
    let minute = &profile.windows.last_minute;
    let executions = minute.requests_per_second * minute.duration.mean_ms / 1000.0;
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "at_unix_ms": now,
        "unready_reason": app.unready_reason().map(|error| error.message().to_owned()),
        "warnings": live.warnings(),
        "parts": pipeline.health(),
        "config": {
            "state": notes,
            "reloads": reloads,
            "failed_reloads": failed_reloads,
        },
        "load": app.load.state(),
        "connections": app.connections.open(),
        "actions": actions.collect::<Vec<_>>(),
        "genesys": {
            "concurrent_executions": executions,
            "limit": state.concurrent_executions,
        },
        "verified": verified,
        "is_verifying": is_verifying,
        "pipeline": status,
        "profile": profile,
    })
}
