//! `/v1/actions`: list and run.

use axum::{
    Json,
    body::Bytes,
    extract::{
        Path, Query, State,
        rejection::{BytesRejection, PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use flowlake_data_action::{
    ActionError, ActionRequest, Caller, ErrorCode, Failure, RowFormat, RowOutput,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::{negotiation, state::AppState};

/// The headers that carry the caller's own identifier of a request. Genesys Cloud puts its own on every call of a data action.
const CORRELATION_ID: [&str; 2] = ["inin-correlation-id", "x-correlation-id"];
/// The header in which a flow sends its conversation.
const CONVERSATION_ID: [&str; 1] = ["x-genesys-conversation-id"];
/// The headers that name the organisation. The first is set by Genesys Cloud, and flows cannot change it.
const ORGANIZATION_ID: [&str; 2] = ["inin-organization-id", "x-genesys-organization-id"];
/// Longest text that is taken from such a header.
const LONGEST_ID: usize = 128;

/// `?envelope=`: which shape the answer has.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Envelope {
    /// Flat and small, for flows.
    #[default]
    Flow,
    /// The same, with rows as the contract of a data action allows them: without null, and without integers beyond 2^53 - 1.
    #[serde(rename = "data-action")]
    DataAction,
    /// Everything: metadata, cost, audit record, profile.
    Full,
    /// None: the rows alone.
    Rows,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunQuery {
    #[serde(default)]
    envelope: Envelope,
}

/// `GET /v1/actions`: names, descriptions and parameters.
pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Response {
    if let Err(error) = state.keys.authenticate(&headers) {
        return refuse(error);
    }
    let actions: Vec<_> = state
        .pipeline
        .actions()
        .map(|action| {
            let definition = action.definition();
            json!({
                "name": definition.name,
                "description": definition.description,
                "params": definition.params.keys().collect::<Vec<_>>(),
            })
        })
        .collect();
    Json(json!({ "actions": actions })).into_response()
}

/// `POST /v1/actions/{name}` with a JSON object of parameters.
pub(crate) async fn run(
    State(state): State<AppState>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<RunQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let clock = state.pipeline.clock();
    let (arrived, arrived_at) = (clock.instant(), clock.now());
    let caller_name = match state.keys.authenticate(&headers) {
        Ok(name) => name,
        Err(error) => return refuse(error),
    };
    let authenticated_in = clock.instant().saturating_duration_since(arrived);
    let Ok(_slot) = state.slots.try_acquire() else {
        return refuse(overloaded());
    };
    let parsed = name
        .map_err(|error| invalid(&error.body_text()))
        .and_then(|name| {
            let query = query.map_err(|error| invalid(&error.body_text()))?;
            Ok((name, query, parameters(body)?))
        });
    let (Path(name), Query(RunQuery { envelope }), params) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return refuse(error),
    };
    let format = negotiation::format(&headers);
    let request = ActionRequest {
        action: name,
        params,
        output: RowOutput {
            format,
            file: None,
            for_flows: matches!(envelope, Envelope::DataAction),
        },
        explain: false,
        caller: caller(caller_name, &headers),
        cancellation: CancellationToken::new(),
        authenticated_in,
        observer: state.telemetry.begin(&headers, arrived_at),
    };
    match (state.pipeline.run(request).await, envelope) {
        (Err(failure), _) => fail(&failure),
        // Only JSON has an envelope.
        (Ok(answer), Envelope::Rows) => negotiation::rows(answer, format),
        (Ok(answer), _) if format != RowFormat::Json => negotiation::rows(answer, format),
        (Ok(answer), Envelope::Flow | Envelope::DataAction) => {
            Json(answer.to_flow()).into_response()
        }
        (Ok(answer), Envelope::Full) => Json(answer).into_response(),
    }
}

/// The parameters of a body; an empty body has none.
fn parameters(body: Result<Bytes, BytesRejection>) -> Result<Map<String, Value>, ActionError> {
    let body = body.map_err(|error| invalid(&error.body_text()))?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    // The position is told, the content is not: it may hold personal data.
    serde_json::from_slice(&body).map_err(|error| {
        invalid(&format!(
            "not a JSON object, at line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

fn caller(name: String, headers: &HeaderMap) -> Caller {
    let text = |names: &[&str]| {
        let mut values = names.iter().filter_map(|name| headers.get(*name));
        let value = values.next()?.to_str().ok()?;
        Some(
            value
                .chars()
                .filter(|c| c.is_ascii_graphic())
                .take(LONGEST_ID)
                .collect(),
        )
    };
    Caller {
        name,
        organization: text(&ORGANIZATION_ID),
        conversation_id: text(&CONVERSATION_ID),
        correlation_id: text(&CORRELATION_ID),
    }
}

fn invalid(what: &str) -> ActionError {
    ActionError::new(
        ErrorCode::RequestInvalid,
        format!("the request cannot be read: {what}"),
        "Send a JSON object of parameters, such as {\"queue\": \"Support\"}.",
    )
}

fn overloaded() -> ActionError {
    ActionError::new(
        ErrorCode::Overloaded,
        "the server runs as many requests as it is configured to",
        "Try again in a second; raise `max_concurrent_requests` in [server] if this lasts.",
    )
    .with_retry_after(Some(std::time::Duration::from_secs(1)))
}

/// A request that was turned away before an attempt began: nothing was read, and nothing is recorded.
pub(crate) fn refuse(error: ActionError) -> Response {
    fail(&Failure {
        error,
        audit_id: None,
    })
}

/// The answer of every request that failed: JSON with the error's code.
fn fail(failure: &Failure) -> Response {
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
