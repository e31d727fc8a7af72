//! `POST /v1/actions/{name}/batch`: several questions of one action, each an attempt by itself.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use axum::{
    Extension,
    body::Bytes,
    extract::{Path, Request, State, rejection::PathRejection},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use flowlake_data_action::{ActionError, ErrorCode, Failure, RowOutput};
use futures::{StreamExt, stream};
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    action_call::{ActionCall, ClientRequest},
    body::{self, Refusal, invalid_with},
    endpoint::Endpoint,
    peer::Peer,
    query::{Envelope, Query},
    refusal::{problem, refuse_with},
    state::AppState,
};

/// Questions of one batch that are asked at a time: one batch takes no more room than a few callers.
const AT_A_TIME: usize = 4;

/// The rows that the answers of one batch hold together, in bytes, before no further question is asked.
const MOST_BYTES: usize = 16 << 20;

const PATH: &str = "Send the batch to /v1/actions/NAME/batch.";

pub(crate) async fn run(
    State(state): State<Arc<AppState>>,
    Extension(peer): Extension<Peer>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let endpoint = Endpoint {
        method: "POST",
        route: "/v1/actions/{name}/batch",
    };
    let client_request = match state.client_request(endpoint, &head.headers, &peer).await {
        Ok(client_request) => client_request,
        Err(refusal) => return refusal,
    };
    let envelope = Query::envelope_alone(head.uri.query());
    let body = body::json(&head.headers, body, state.body_limits).await;
    let wanted = body.and_then(|body| {
        let Path(name) = path.map_err(|error| invalid_with(&error.body_text(), PATH))?;
        let envelope = envelope?;
        if envelope == Envelope::Rows {
            return Err(invalid_with(
                "an answer of a batch has an envelope",
                "Ask with another `envelope`, or one question at a time.",
            ));
        }
        let questions = questions(&body, state.most_in_batch)?;
        Ok((name, envelope, questions))
    });
    let (name, envelope, questions) = match wanted {
        Ok(wanted) => wanted,
        Err((status, error)) => return refuse_with(status, error),
    };
    let room = AtomicUsize::new(MOST_BYTES);
    let own_room = client_request
        .identified
        .client
        .settings
        .max_concurrent_requests;
    let at_a_time = own_room.unwrap_or(AT_A_TIME).clamp(1, AT_A_TIME);
    let answers = stream::iter(questions.into_iter().enumerate())
        .map(|(place, params)| {
            let question = ActionCall {
                action: name.clone(),
                params,
                output: RowOutput {
                    reader: envelope.reader(),
                    ..RowOutput::default()
                },
                ..ActionCall::default()
            };
            answer(&state, &client_request, place, question, envelope, &room)
        })
        .buffered(at_a_time)
        .collect::<Vec<_>>();
    let answers = Box::pin(answers).await.join(",");
    let kind = HeaderValue::from_static("application/json");
    (
        [(CONTENT_TYPE, kind)],
        format!("{{\"answers\":[{answers}]}}"),
    )
        .into_response()
}

/// The parameters of each question.
fn questions(body: &Bytes, most: usize) -> Result<Vec<Map<String, Value>>, Refusal> {
    let list: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|_| invalid("not a JSON array of objects", most))?;
    if list.is_empty() {
        return Err(invalid("a batch has at least one question", most));
    }
    if list.len() > most {
        let what = format!("a batch has at most {most} questions");
        return Err(invalid(&what, most));
    }
    let questions = list.iter().enumerate().map(|(place, params)| {
        let params = flowlake_data_action::parameters(params.get().as_bytes());
        params.map_err(|error| invalid(&format!("question {}: {error}", place + 1), most))
    });
    questions.collect()
}

/// The refusal of a body that is no batch.
fn invalid(what: &str, most: usize) -> Refusal {
    let advice = format!(
        "Send a JSON array of 1 to {most} objects of parameters, such as [{{\"queue\": \"Support\"}}]."
    );
    invalid_with(what, &advice)
}

/// One member of `answers`, as text: a failure is one of its own question alone.
async fn answer(
    state: &AppState,
    client_request: &ClientRequest<'_>,
    place: usize,
    question: ActionCall,
    envelope: Envelope,
    room: &AtomicUsize,
) -> String {
    let refused = |error| Failure {
        error,
        audit_id: None,
    };
    let turn = if room.load(Relaxed) == 0 {
        Err(too_much())
    } else if place == 0 {
        // The request itself was counted for the first call.
        Ok(())
    } else {
        client_request.check_rate()
    };
    let answered = match turn {
        Ok(()) => Box::pin(state.call_action(client_request, question)).await,
        Err(error) => Err(refused(error)),
    };
    match answered {
        Ok(answer) => {
            let bytes = answer.data.get().len();
            // Always `Some`: it cannot fail.
            let _ = room.fetch_update(Relaxed, Relaxed, |room| Some(room.saturating_sub(bytes)));
            let text = if envelope == Envelope::Full {
                serde_json::to_string(&answer)
            } else {
                serde_json::to_string(&answer.to_flow())
            };
            let text = text.expect("an answer is maps with names as keys");
            format!("{{\"status\":200,\"answer\":{text}}}")
        }
        Err(failure) => {
            let problem = problem(&failure);
            json!({ "status": problem["status"], "problem": problem }).to_string()
        }
    }
}

fn too_much() -> ActionError {
    ActionError::new(
        ErrorCode::LimitOutput,
        "the answers before this one fill the batch",
        "Ask the questions that were not asked in a batch of their own.",
    )
}
