//! `/v1/actions`: list and run.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, Method, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use flowlake_data_action::{ActionDefinition, ActionError, ErrorCode, RowFormat, RowOutput};
use serde_json::{Map, Value, json};

use crate::{
    action_call::{ActionCall, ClientRequest},
    auth::Identified,
    body::{self, Refusal, invalid_with},
    endpoint::Endpoint,
    negotiation,
    peer::Peer,
    query::{Envelope, Query},
    refusal::{fail, refuse_with},
    state::AppState,
    validators::Shape,
};

const ROUTE: &str = "/v1/actions/{name}";

/// `GET /v1/actions`: names, descriptions and parameters of what the caller may run, and may choose.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let identified = match state.authenticate(&headers, &peer).await {
        Ok(identified) => identified,
        Err(refusal) => return refusal,
    };
    let settings = &identified.client.settings;
    let actions: Vec<_> = offered(&state, &identified)
        .map(|definition| {
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

/// The actions that a client may run.
pub(crate) fn offered<'a>(
    state: &'a AppState,
    identified: &'a Identified,
) -> impl Iterator<Item = &'a ActionDefinition> {
    let settings = &identified.client.settings;
    let definitions = state.pipeline.actions().map(|action| action.definition());
    definitions.filter(|definition| settings.may_run(definition).is_ok())
}

/// `POST /v1/actions/{name}` with a JSON object of parameters.
pub(crate) async fn run(
    State(state): State<Arc<AppState>>,
    Extension(peer): Extension<Peer>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let endpoint = Endpoint {
        method: "POST",
        route: ROUTE,
    };
    let client_request = match state.client_request(endpoint, &head.headers, &peer).await {
        Ok(client_request) => client_request,
        Err(refusal) => return refusal,
    };
    let target = Target::try_new(path, &head, Query::envelope_alone(head.uri.query()));
    let params = body::parameters(&head.headers, body, state.body_limits).await;
    match target.and_then(|target| Ok((target, params?))) {
        // The answer to a POST has no tag: it depends on the body, and not on the URL alone.
        Ok((target, params)) => answer(&state, &client_request, target, params, None).await,
        Err((status, error)) => refuse_with(status, error),
    }
}

/// `GET /v1/actions/{name}?name=value`, and `HEAD`.
pub(crate) async fn run_from_query(
    State(state): State<Arc<AppState>>,
    Extension(peer): Extension<Peer>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (head, _body) = request.into_parts();
    let endpoint = Endpoint {
        method: if head.method == Method::HEAD {
            "HEAD"
        } else {
            "GET"
        },
        route: ROUTE,
    };
    let client_request = match state.client_request(endpoint, &head.headers, &peer).await {
        Ok(client_request) => client_request,
        Err(refusal) => return refusal,
    };
    let target = || {
        let Query { envelope, params } = Query::parse(head.uri.query())?;
        let target = Target::try_new(path, &head, Ok(envelope))?;
        no_personal_data(&state, &client_request, &target.action, &params)?;
        Ok((target, params))
    };
    match target() {
        Ok((target, params)) => {
            let sent = Some(&head.headers);
            answer(&state, &client_request, target, params, sent).await
        }
        Err((status, error)) => refuse_with(status, error),
    }
}

/// The action that a request names, and the form that it wants the rows in.
struct Target {
    action: String,
    format: RowFormat,
    envelope: Envelope,
    is_negotiated: bool,
}

impl Target {
    /// By the path, whose end may name a format, as in `queue-summary.csv`; else `Accept` does.
    fn try_new(
        path: Result<Path<String>, PathRejection>,
        head: &Parts,
        envelope: Result<Envelope, Refusal>,
    ) -> Result<Self, Refusal> {
        let Path(name) = path.map_err(|error| {
            invalid_with(&error.body_text(), "Name an action in the path, in UTF-8.")
        })?;
        let envelope = envelope?;
        // No action's name has a dot.
        let ends = name.rsplit_once('.');
        let ends = ends.and_then(|(action, end)| Some((action, end.parse().ok()?)));
        let is_negotiated = ends.is_none();
        let (action, format) = match ends {
            Some((action, format)) => (action.to_owned(), format),
            None => {
                let format = negotiation::format(&head.headers)?;
                (name, format)
            }
        };
        Ok(Self {
            action,
            format,
            envelope,
            is_negotiated,
        })
    }
}

/// Runs the action. `conditions` are the headers of a GET, whose URL identifies the answer, so that `If-None-Match` applies.
async fn answer(
    state: &AppState,
    client_request: &ClientRequest<'_>,
    target: Target,
    params: Map<String, Value>,
    conditions: Option<&HeaderMap>,
) -> Response {
    let Target {
        action,
        format,
        envelope,
        is_negotiated,
    } = target;
    let shape = Shape {
        format,
        envelope,
        is_negotiated,
    };
    let if_none_match = conditions.map(|headers| shape.if_none_match(headers));
    let call = ActionCall {
        action,
        params,
        output: RowOutput {
            format,
            file: None,
            object: None,
            inspect: None,
            reader: envelope.reader(),
        },
        if_none_match,
    };
    let answer = match state.call_action(client_request, call).await {
        Ok(answer) => answer,
        Err(failure) => return fail(&failure),
    };
    let validators = shape.headers(&answer);
    if answer.not_modified {
        return (StatusCode::NOT_MODIFIED, validators).into_response();
    }
    let response = match envelope {
        // Only JSON has an envelope.
        Envelope::Rows => negotiation::rows(answer, format),
        _ if format != RowFormat::Json => negotiation::rows(answer, format),
        Envelope::Flow | Envelope::DataAction => Json(answer.to_flow()).into_response(),
        Envelope::Full => Json(answer).into_response(),
    };
    (validators, response).into_response()
}

/// Refuses values in the address that are personal: addresses are written into the logs of whatever lies between.
fn no_personal_data(
    state: &AppState,
    client_request: &ClientRequest<'_>,
    action: &str,
    params: &Map<String, Value>,
) -> Result<(), Refusal> {
    let mut offered = offered(state, &client_request.identified);
    let Some(definition) = offered.find(|definition| definition.name == action) else {
        return Ok(());
    };
    let mut sensitive = definition.sensitive_params();
    let Some(name) = sensitive.find(|name| params.contains_key(*name)) else {
        return Ok(());
    };
    let error = ActionError::new(
        ErrorCode::RequestInvalid,
        format!("the parameter `{name}` is sensitive, and addresses are logged on their way"),
        "Send it in the body of a POST.",
    );
    Err((StatusCode::BAD_REQUEST, error))
}
