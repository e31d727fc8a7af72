//! `POST /mcp`: the actions as tools of the Model Context Protocol, over its streamable HTTP without streams or sessions.
//!
//! A call of a tool is a question as any other: the same client, policy, IAM, budget, and audit record.

use std::sync::Arc;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use flowlake_data_action::sent_name;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    action_call::{ActionCall, ClientRequest},
    actions::offered,
    body::{self, invalid_with},
    endpoint::Endpoint,
    peer::Peer,
    refusal::{problem, refuse_with},
    state::AppState,
};

/// The versions of the protocol that are spoken, the newest first.
const VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

/// The header that names one of them.
const VERSION: &str = "mcp-protocol-version";

/// The only one with batches.
const BATCHES: &str = VERSIONS[2];

const INITIALIZE: &str = "initialize";

/// The answers of one batch together, in bytes, before no further question is asked.
const MOST_BYTES: usize = 16 << 20;

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const METHOD_NOT_FOUND: i32 = -32_601;
const INVALID_PARAMS: i32 = -32_602;
const SERVER_ERROR: i32 = -32_000;

/// One message of JSON-RPC 2.0; one without an id is a notification.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    jsonrpc: String,
    #[serde(default)]
    id: Option<Value>,
    method: String,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// What `tools/call` is given.
#[derive(Debug, Deserialize)]
struct Call<'a> {
    name: String,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
}

/// What `initialize` is given, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialize {
    protocol_version: String,
}

/// A message that gets an error of JSON-RPC.
type Wrong = (i32, String);

pub(crate) async fn message(
    State(state): State<Arc<AppState>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let endpoint = Endpoint {
        method: "POST",
        route: "/mcp",
    };
    let client_request = match state.client_request(endpoint, &head.headers, &peer).await {
        Ok(client_request) => client_request,
        Err(refusal) => return refusal,
    };
    let body = match body::json(&head.headers, body, state.body_limits).await {
        Ok(body) => body,
        Err((status, error)) => return refuse_with(status, error),
    };
    if !speaks(&head.headers) {
        let advice = format!("Send one of {}, or leave it out.", VERSIONS.join(", "));
        let what = "MCP-Protocol-Version is none that is spoken here";
        let (status, error) = invalid_with(what, &advice);
        return refuse_with(status, error);
    }
    if body.trim_ascii_start().starts_with(b"[") {
        return match Box::pin(batch(&state, &client_request, &head.headers, &body)).await {
            Ok(answers) if answers.is_empty() => StatusCode::ACCEPTED.into_response(),
            Ok(answers) => Json(answers).into_response(),
            Err(wrong) => refused(wrong),
        };
    }
    let message = match read(&body) {
        Ok(message) => message,
        Err(wrong) => return refused(wrong),
    };
    match Box::pin(reply(&state, &client_request, &message)).await {
        Some(reply) => Json(reply).into_response(),
        None => StatusCode::ACCEPTED.into_response(),
    }
}

/// Answers the messages of a batch one after the other, as version 2025-03-26 has them and later ones have not.
async fn batch(
    state: &AppState,
    client_request: &ClientRequest<'_>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Vec<Value>, Wrong> {
    let invalid = |what: String| Err((INVALID_REQUEST, what));
    let mut named = headers.get_all(VERSION).iter();
    if named.any(|version| version != BATCHES) {
        return invalid(format!("batches are of version {BATCHES} alone"));
    }
    let messages: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| unread(&error))?;
    let most = state.most_in_batch;
    if !(1..=most).contains(&messages.len()) {
        return invalid(format!("a batch has 1 to {most} messages"));
    }
    let (mut answers, mut bytes) = (Vec::new(), 0);
    for (number, message) in messages.into_iter().enumerate() {
        let message = match read(message.get().as_bytes()) {
            Ok(message) => message,
            Err(wrong) => {
                answers.push(failed(&Value::Null, wrong));
                continue;
            }
        };
        // The request itself was counted for the first call.
        let turn = match number {
            0 => Ok(()),
            _ => client_request
                .check_rate()
                .map_err(|error| error.message().to_owned()),
        };
        let refusal = match turn {
            Err(refusal) => Some((SERVER_ERROR, refusal)),
            Ok(()) if bytes > MOST_BYTES => {
                let what = "the answers before this one fill the batch";
                Some((SERVER_ERROR, what.to_owned()))
            }
            Ok(()) if message.method == INITIALIZE => {
                Some((INVALID_REQUEST, "initialize stands in no batch".to_owned()))
            }
            Ok(()) => None,
        };
        let answer = match (refusal, &message.id) {
            (None, _) => Box::pin(reply(state, client_request, &message)).await,
            (Some(wrong), Some(id)) => Some(failed(id, wrong)),
            (Some(_), None) => None,
        };
        if let Some(answer) = answer {
            bytes += answer.to_string().len();
            answers.push(answer);
        }
    }
    Ok(answers)
}

fn read(message: &[u8]) -> Result<Message<'_>, Wrong> {
    serde_json::from_slice(message).map_err(|error| unread(&error))
}

/// The position and not the content, which may hold personal data.
fn unread(error: &serde_json::Error) -> Wrong {
    let code = if error.is_data() {
        INVALID_REQUEST
    } else {
        PARSE_ERROR
    };
    let (line, column) = (error.line().max(1), error.column().max(1));
    let what = format!("not a message of JSON-RPC 2.0, at line {line}, column {column}");
    (code, what)
}

/// The refusal of a body that is no message.
fn refused(wrong: Wrong) -> Response {
    (StatusCode::BAD_REQUEST, Json(failed(&Value::Null, wrong))).into_response()
}

/// The answer of one message; none of a notification.
async fn reply(
    state: &AppState,
    client_request: &ClientRequest<'_>,
    message: &Message<'_>,
) -> Option<Value> {
    let id = message.id.as_ref()?;
    let is_valid = message.jsonrpc == "2.0" && (id.is_string() || id.is_i64() || id.is_u64());
    let answered = if is_valid {
        answer(state, client_request, message).await
    } else {
        Err((INVALID_REQUEST, "not a request of JSON-RPC 2.0".to_owned()))
    };
    Some(match answered {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(wrong) => failed(id, wrong),
    })
}

/// Whether the client goes on in a version that is spoken; before it knows of one, it names none.
fn speaks(headers: &HeaderMap) -> bool {
    let mut named = headers.get_all(VERSION).iter();
    named.all(|version| VERSIONS.iter().any(|spoken| version == *spoken))
}

async fn answer(
    state: &AppState,
    client_request: &ClientRequest<'_>,
    message: &Message<'_>,
) -> Result<Value, Wrong> {
    match message.method.as_str() {
        INITIALIZE => initialize(message),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": tools(state, client_request) })),
        "tools/call" => call(state, client_request, message).await,
        _ => Err((METHOD_NOT_FOUND, "there is no such method here".to_owned())),
    }
}

fn initialize(message: &Message<'_>) -> Result<Value, Wrong> {
    let Initialize { protocol_version } = params(message)?;
    let mut versions = VERSIONS.iter();
    let version = versions.find(|version| **version == protocol_version);
    Ok(json!({
        "protocolVersion": version.unwrap_or(&VERSIONS[0]),
        "capabilities": { "tools": {} },
        "serverInfo": { "name": "flowlake", "version": env!("CARGO_PKG_VERSION") },
        "instructions": "Each tool asks one prepared question of files on S3. Each call costs what its answer says, and is recorded.",
    }))
}

fn tools(state: &AppState, client_request: &ClientRequest<'_>) -> Vec<Value> {
    let settings = &client_request.identified.client.settings;
    offered(state, &client_request.identified)
        .map(|definition| {
            json!({
                "name": definition.name,
                "description": definition.description,
                "inputSchema": definition.params_schema(|name| settings.may_choose(name)),
                "annotations": { "readOnlyHint": true, "openWorldHint": false },
            })
        })
        .collect()
}

/// A question that gets no answer is a result too: the model reads why, and what to do.
async fn call(
    state: &AppState,
    client_request: &ClientRequest<'_>,
    message: &Message<'_>,
) -> Result<Value, Wrong> {
    let Call { name, arguments } = params(message)?;
    let arguments = arguments.map(|arguments| {
        let arguments = flowlake_data_action::parameters(arguments.get().as_bytes());
        arguments.map_err(|error| (INVALID_PARAMS, format!("arguments: {error}")))
    });
    let is_known =
        offered(state, &client_request.identified).any(|definition| definition.name == name);
    let question = ActionCall {
        action: name.clone(),
        params: arguments.transpose()?.unwrap_or_else(Map::new),
        ..ActionCall::default()
    };
    let (content, is_error) = match state.call_action(client_request, question).await {
        Ok(answer) => (json!(answer.to_flow()), false),
        // It is refused as any other question, with its record; the client hears it in the protocol's own terms.
        Err(_refused) if !is_known => {
            return Err((
                INVALID_PARAMS,
                format!("Unknown tool: {}", sent_name(&name)),
            ));
        }
        Err(failure) => (problem(&failure), true),
    };
    Ok(json!({
        "content": [{ "type": "text", "text": content.to_string() }],
        "structuredContent": content,
        "isError": is_error,
    }))
}

fn params<'a, T: Deserialize<'a>>(message: &Message<'a>) -> Result<T, Wrong> {
    let params = message.params.map_or("{}", RawValue::get);
    serde_json::from_str(params).map_err(|_| {
        let what = format!(
            "the parameters of {} are not as they have to be",
            message.method
        );
        (INVALID_PARAMS, what)
    })
}

fn failed(id: &Value, (code, message): Wrong) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
}
