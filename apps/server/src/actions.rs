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
    ask::{Asker, Question},
    auth::Identified,
    body::{self, Refusal, invalid_with},
    door::Door,
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
    let door = Door {
        method: "POST",
        route: ROUTE,
    };
    let asker = match state.asker(door, &head.headers, &peer).await {
        Ok(asker) => asker,
        Err(refusal) => return refusal,
    };
    let wanted = Wanted::try_new(path, &head, Query::envelope_alone(head.uri.query()));
    let params = body::parameters(&head.headers, body, state.body_limits).await;
    match wanted.and_then(|wanted| Ok((wanted, params?))) {
        // A POST has no tag: it is its body that the answer belongs to, not its address.
        Ok((wanted, params)) => answer(&state, &asker, wanted, params, None).await,
        Err((status, error)) => refuse_with(status, error),
    }
}

/// `GET /v1/actions/{name}?name=value`, and `HEAD`.
pub(crate) async fn look(
    State(state): State<Arc<AppState>>,
    Extension(peer): Extension<Peer>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (head, _body) = request.into_parts();
    let door = Door {
        method: if head.method == Method::HEAD {
            "HEAD"
        } else {
            "GET"
        },
        route: ROUTE,
    };
    let asker = match state.asker(door, &head.headers, &peer).await {
        Ok(asker) => asker,
        Err(refusal) => return refusal,
    };
    let wanted = || {
        let Query { envelope, params } = Query::parse(head.uri.query())?;
        let wanted = Wanted::try_new(path, &head, Ok(envelope))?;
        no_personal_data(&state, &asker, &wanted.action, &params)?;
        Ok((wanted, params))
    };
    match wanted() {
        Ok((wanted, params)) => {
            let sent = Some(&head.headers);
            answer(&state, &asker, wanted, params, sent).await
        }
        Err((status, error)) => refuse_with(status, error),
    }
}

/// What a request asks for: an action, and how its rows are wanted.
struct Wanted {
    action: String,
    format: RowFormat,
    envelope: Envelope,
    is_negotiated: bool,
}

impl Wanted {
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

/// Answers; `conditions` are the headers of a request whose address stands for the answer.
async fn answer(
    state: &AppState,
    asker: &Asker<'_>,
    wanted: Wanted,
    params: Map<String, Value>,
    conditions: Option<&HeaderMap>,
) -> Response {
    let Wanted {
        action,
        format,
        envelope,
        is_negotiated,
    } = wanted;
    let shape = Shape {
        format,
        envelope,
        is_negotiated,
    };
    let if_none_match = conditions.map(|headers| shape.if_none_match(headers));
    let question = Question {
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
    let answer = match state.ask(asker, question).await {
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
    asker: &Asker<'_>,
    action: &str,
    params: &Map<String, Value>,
) -> Result<(), Refusal> {
    let mut offered = offered(state, &asker.identified);
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
