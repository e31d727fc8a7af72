//! `/v1/actions`: list and run.

use std::time::Duration;

use axum::{
    Extension, Json,
    extract::{
        Path, Query, Request, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use flowlake_data_action::{ActionError, ActionRequest, Caller, ErrorCode, RowFormat, RowOutput};
use serde::Deserialize;
use serde_json::{Map, json};
use tokio_util::sync::CancellationToken;

use crate::{
    body::{self, Refusal, invalid},
    load::overloaded,
    negotiation,
    peer::Peer,
    rate::Rate,
    refusal::{fail, refuse, refuse_with},
    state::AppState,
};

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

/// `GET /v1/actions`: names, descriptions and parameters of what the caller may run, and may choose.
pub(crate) async fn list(
    State(state): State<AppState>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let client = match state.authenticate(&headers, &peer).await {
        Ok(identified) => identified.client,
        Err(refusal) => return refusal,
    };
    let settings = &client.settings;
    let actions = state.pipeline.actions();
    let actions = actions.filter(|action| settings.may_run(action.definition()).is_ok());
    let actions: Vec<_> = actions
        .map(|action| {
            let definition = action.definition();
            let params = definition.params.keys();
            let params = params.filter(|name| settings.may_choose(name));
            json!({
                "name": definition.name,
                "description": definition.description,
                "params": params.collect::<Vec<_>>(),
            })
        })
        .collect();
    Json(json!({ "actions": actions })).into_response()
}

/// `POST /v1/actions/{name}` with a JSON object of parameters.
pub(crate) async fn run(
    State(state): State<AppState>,
    Extension(peer): Extension<Peer>,
    name: Result<Path<String>, PathRejection>,
    query: Result<Query<RunQuery>, QueryRejection>,
    request: Request,
) -> Response {
    let clock = state.pipeline.clock();
    let (arrived, arrived_at) = (clock.instant(), clock.now());
    let (head, body) = request.into_parts();
    let headers = head.headers;
    let identified = match state.authenticate(&headers, &peer).await {
        Ok(identified) => identified,
        Err(refusal) => {
            body::drain(&headers, body, state.body_limits).await;
            return refusal;
        }
    };
    let authenticated_in = clock.instant().saturating_duration_since(arrived);
    let client = &identified.client;
    if let Some(Err(wait)) = client.rate.as_ref().map(Rate::take) {
        body::drain(&headers, body, state.body_limits).await;
        return refuse(too_often(wait));
    }
    let parsed = name
        .map_err(|error| invalid(&error.body_text()))
        .and_then(|name| {
            let query = query.map_err(|error| invalid_query(&error.body_text()))?;
            Ok((name, query))
        });
    let parameters = body::parameters(&headers, body, state.body_limits).await;
    let parsed = parsed.and_then(|(name, query)| Ok((name, query, parameters?)));
    let (Path(name), Query(RunQuery { envelope }), params) = match parsed {
        Ok(parsed) => parsed,
        Err((status, error)) => return refuse_with(status, error),
    };
    let own_slot = client.slots.as_ref().map(|slots| slots.try_acquire());
    let Ok(_own_slot) = own_slot.transpose() else {
        let what = "the client runs as many requests as it may";
        return refuse(overloaded(what, Duration::ZERO));
    };
    let room = match state.load.take(&name).await {
        Ok(room) => room,
        Err(refused) => return refuse(refused),
    };
    let (params, denied) =
        match identified.bind(state.pipeline.action(&name).ok().map(AsRef::as_ref), params) {
            Ok(params) => (params, None),
            Err(denied) => (Map::new(), Some(denied)),
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
        denied,
        caller: caller(client.settings.name.clone(), &headers),
        cancellation: CancellationToken::new(),
        authenticated_in,
        queued_for: room.waited,
        observer: state.telemetry.begin(&headers, arrived_at),
    };
    let answered = state.pipeline.run(request).await;
    room.answered();
    match (answered, envelope) {
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

fn invalid_query(what: &str) -> Refusal {
    let error = ActionError::new(
        ErrorCode::RequestInvalid,
        format!("the query of the address cannot be read: {what}"),
        "Append `?envelope=flow`, `full`, `rows` or `data-action`, or nothing.",
    );
    (StatusCode::BAD_REQUEST, error)
}

fn too_often(wait: Duration) -> ActionError {
    ActionError::new(
        ErrorCode::RateLimited,
        "the client sends more requests than its rate allows",
        "Send fewer, or ask for a higher `rate` in [[server.clients]].",
    )
    .with_retry_after(Some(wait))
}
