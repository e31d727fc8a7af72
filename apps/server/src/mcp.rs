//! `POST /mcp`: the actions as tools of the Model Context Protocol, over its streamable HTTP without streams or sessions.
//!
//! A call of a tool is a question as any other: the same client, policy, IAM, budget, and audit record.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use flowlake_data_action::sent_name;
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    actions::offered,
    ask::{Asker, Question},
    body::{self, invalid_with},
    door::Door,
    peer::Peer,
    refusal::{problem, refuse_with},
    state::AppState,
};

/// The versions of the protocol that are spoken, the newest first.
const VERSIONS: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

const PARSE_ERROR: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const METHOD_NOT_FOUND: i32 = -32_601;
const INVALID_PARAMS: i32 = -32_602;

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
    let door = Door {
        method: "POST",
        route: "/mcp",
    };
    let asked = state
        .asker_with_body(door, &head.headers, body, &peer)
        .await;
    let (asker, body) = match asked {
        Ok(asked) => asked,
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
    let message: Message<'_> = match serde_json::from_slice(&body) {
        Ok(message) => message,
        Err(error) => {
            // The position and not the content, which may hold personal data.
            let code = if error.is_data() {
                INVALID_REQUEST
            } else {
                PARSE_ERROR
            };
            let place = format!("line {}, column {}", error.line(), error.column());
            let error = (code, format!("not a message of JSON-RPC 2.0, at {place}"));
            return (StatusCode::BAD_REQUEST, Json(failed(&Value::Null, error))).into_response();
        }
    };
    let Some(id) = message.id.clone() else {
        return StatusCode::ACCEPTED.into_response();
    };
    let is_valid = message.jsonrpc == "2.0" && (id.is_string() || id.is_i64() || id.is_u64());
    let answered = if is_valid {
        Box::pin(answer(&state, &asker, &message)).await
    } else {
        Err((INVALID_REQUEST, "not a request of JSON-RPC 2.0".to_owned()))
    };
    Json(match answered {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(wrong) => failed(&id, wrong),
    })
    .into_response()
}

/// Whether the client goes on in a version that is spoken; before it knows of one, it names none.
fn speaks(headers: &HeaderMap) -> bool {
    let mut named = headers.get_all("mcp-protocol-version").iter();
    named.all(|version| VERSIONS.iter().any(|spoken| version == *spoken))
}

async fn answer(
    state: &AppState,
    asker: &Asker<'_>,
    message: &Message<'_>,
) -> Result<Value, Wrong> {
    match message.method.as_str() {
        "initialize" => initialize(message),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": tools(state, asker) })),
        "tools/call" => call(state, asker, message).await,
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

fn tools(state: &AppState, asker: &Asker<'_>) -> Vec<Value> {
    let settings = &asker.identified.client.settings;
    offered(state, &asker.identified)
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
async fn call(state: &AppState, asker: &Asker<'_>, message: &Message<'_>) -> Result<Value, Wrong> {
    let Call { name, arguments } = params(message)?;
    let arguments = arguments.map(|arguments| {
        let arguments = flowlake_data_action::parameters(arguments.get().as_bytes());
        arguments.map_err(|error| (INVALID_PARAMS, format!("arguments: {error}")))
    });
    let is_known = offered(state, &asker.identified).any(|definition| definition.name == name);
    let question = Question {
        action: name.clone(),
        params: arguments.transpose()?.unwrap_or_else(Map::new),
        ..Question::default()
    };
    let (content, is_error) = match state.ask(asker, question).await {
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
