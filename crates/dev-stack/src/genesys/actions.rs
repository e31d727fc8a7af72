//! Data actions: the resource behind `/api/v2/integrations/actions`.

use serde_json::{Map, Value, json};

use super::reply::{self, Reply};
use super::state::{Genesys, Stored};

/// The longest name of an action.
const MAX_NAME_CHARS: usize = 256;

/// `GET …/actions` and `GET …/actions/drafts`, with `name`, `category`, `pageSize`, `pageNumber`.
pub(crate) fn list(genesys: &Genesys, drafts: bool, query: &str) -> Reply {
    let field = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    let number = |name: &str, default: usize| {
        field(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
            .max(1)
    };
    let (size, page) = (number("pageSize", 25).min(100), number("pageNumber", 1));
    let contains = |action: &Value, name: &str| {
        field(name).is_none_or(|wanted| {
            action[name]
                .as_str()
                .is_some_and(|value| value.to_lowercase().contains(&wanted.to_lowercase()))
        })
    };
    let state = genesys.state();
    let all: Vec<Value> = state
        .actions
        .values()
        .filter_map(|stored| {
            if drafts {
                stored.draft.as_ref()
            } else {
                stored.published.as_ref()
            }
        })
        .filter(|action| contains(action, "name") && contains(action, "category"))
        .map(summary)
        .collect();
    let pages = all.len().div_ceil(size).max(1);
    let entities: Vec<&Value> = all.iter().skip((page - 1) * size).take(size).collect();
    reply::json(
        200,
        &json!({
            "entities": entities,
            "pageSize": size,
            "pageNumber": page,
            "pageCount": pages,
            "total": all.len(),
            "selfUri": "/api/v2/integrations/actions",
        }),
    )
}

/// What a list shows of an action.
fn summary(action: &Value) -> Value {
    let mut action = action.clone();
    if let Some(object) = action.as_object_mut() {
        object.remove("config");
        object.remove("contract");
    }
    action
}

/// `POST …/actions` (published at once) and `POST …/actions/drafts`.
pub(crate) fn create(genesys: &Genesys, draft: bool, body: &Value) -> Reply {
    if let Some(refusal) = incomplete(genesys, body) {
        return refusal;
    }
    let id = format!("custom_-_{}", uuid::Uuid::new_v4());
    let mut action = json!({ "id": id, "version": 1, "secure": false });
    merge(
        &mut action,
        body,
        &[
            "name",
            "category",
            "integrationId",
            "config",
            "contract",
            "secure",
        ],
    );
    action["selfUri"] = json!(format!("/api/v2/integrations/actions/{id}"));
    if !draft {
        let errors = problems(&action);
        if !errors.is_empty() {
            return reply::error(400, "bad.request", &errors.join("; "));
        }
    }
    let answer = reply::json(200, &action);
    if std::mem::take(&mut genesys.state().next_has_a_twin) {
        genesys.add_action(&action);
    }
    let stored = if draft {
        Stored {
            draft: Some(action),
            ..Stored::default()
        }
    } else {
        Stored {
            published: Some(action),
            ..Stored::default()
        }
    };
    genesys.state().actions.insert(id, stored);
    answer
}

fn incomplete(genesys: &Genesys, body: &Value) -> Option<Reply> {
    for name in ["name", "category", "integrationId"] {
        if body[name].as_str().is_none_or(str::is_empty) {
            let message = format!("{name} is required.");
            return Some(reply::error(400, "bad.request", &message));
        }
    }
    if body["name"]
        .as_str()
        .is_some_and(|name| name.chars().count() > MAX_NAME_CHARS)
    {
        return Some(reply::error(
            400,
            "bad.request",
            "name is longer than 256 characters.",
        ));
    }
    (body["integrationId"].as_str() != Some(genesys.shared.settings.integration_id.as_str()))
        .then(|| reply::error(404, "not.found", "The integration was not found."))
}

fn merge(into: &mut Value, from: &Value, names: &[&str]) {
    for name in names {
        if let Some(value) = from.get(name).filter(|value| !value.is_null()) {
            into[*name] = value.clone();
        }
    }
}

/// One action's own resources, by the path after its id.
pub(crate) fn one(
    genesys: &Genesys,
    method: &str,
    id: &str,
    rest: &[&str],
    query: &str,
    body: &Value,
) -> Option<Reply> {
    let mut state = genesys.state();
    let Some(stored) = state.actions.get_mut(id) else {
        return Some(reply::error(404, "not.found", "The action was not found."));
    };
    let (reply, gone) = match (method, rest) {
        ("GET", []) => (read(stored.published.as_ref(), query), false),
        ("GET", ["templates", file]) => (template(stored.published.as_ref(), file), false),
        ("PATCH", []) => (patch_published(stored, body), false),
        ("DELETE", []) => (Some(reply::gone()), true),
        ("GET", ["draft"]) => (read(stored.draft.as_ref(), query), false),
        ("GET", ["draft", "templates", file]) => (template(stored.draft.as_ref(), file), false),
        ("POST", ["draft"]) => (open_draft(stored), false),
        ("PATCH", ["draft"]) => (patch(&mut stored.draft, body), false),
        ("DELETE", ["draft"]) => {
            stored.draft = None;
            let gone = stored.published.is_none();
            (Some(reply::gone()), gone)
        }
        ("GET", ["draft", "validation"]) => (validation(stored), false),
        ("POST", ["draft", "publish"]) => (publish(stored, body), false),
        _ => (None, false),
    };
    if gone {
        state.actions.remove(id);
    }
    reply
}

/// The templates of an action, with the files that the platform gives them in.
const TEMPLATES: [(&str, &str, &str); 2] = [
    ("request", "requestTemplate", "requesttemplate.vm"),
    ("response", "successTemplate", "successtemplate.vm"),
];

/// What reading an action gives: its contract with `expand=contract`, its configuration with `includeConfig=true`, where
/// templates are named by their address.
fn read(action: Option<&Value>, query: &str) -> Option<Reply> {
    let mut action = action?.clone();
    let asked = |name: &str, value: &str| {
        url::form_urlencoded::parse(query.as_bytes())
            .any(|(key, found)| key == name && found == value)
    };
    let id = action["id"].as_str().unwrap_or_default().to_owned();
    let Some(members) = action.as_object_mut() else {
        return Some(missing());
    };
    if !asked("expand", "contract") {
        members.remove("contract");
    }
    if !asked("includeConfig", "true") {
        members.remove("config");
    }
    for (part, name, file) in TEMPLATES {
        let Some(part) = action.pointer_mut(&format!("/config/{part}")) else {
            continue;
        };
        if let Some(part) = part.as_object_mut()
            && part.remove(name).is_some()
        {
            let uri = format!("/api/v2/integrations/actions/{id}/templates/{file}");
            part.insert(format!("{name}Uri"), json!(uri));
        }
    }
    Some(reply::json(200, &action))
}

/// One template of an action, as text.
fn template(action: Option<&Value>, file: &str) -> Option<Reply> {
    let (part, name, _) = TEMPLATES.iter().find(|(_, _, known)| *known == file)?;
    let text = action?["config"][part][name].as_str()?;
    Some(reply::text(text))
}

fn show(action: Option<&Value>) -> Option<Reply> {
    Some(match action {
        Some(action) => reply::json(200, action),
        None => missing(),
    })
}

fn missing() -> Reply {
    reply::error(404, "not.found", "The requested resource was not found.")
}

fn open_draft(stored: &mut Stored) -> Option<Reply> {
    let Some(published) = &stored.published else {
        return Some(missing());
    };
    if stored.draft.is_some() {
        return Some(reply::error(
            409,
            "conflict",
            "A draft of this action is open already.",
        ));
    }
    stored.draft = Some(published.clone());
    show(stored.draft.as_ref())
}

/// Contract and secrecy of a published action stay as they are.
fn patch_published(stored: &mut Stored, body: &Value) -> Option<Reply> {
    let changes = |name: &str| {
        let (wanted, published) = (body.get(name), stored.published.as_ref());
        wanted.is_some_and(|wanted| published.is_some_and(|action| action[name] != *wanted))
    };
    if changes("contract") || changes("secure") {
        return Some(reply::error(
            400,
            "bad.request",
            "The contract of a published action cannot change.",
        ));
    }
    patch(&mut stored.published, body)
}

/// A change must name the version that it was made from.
fn patch(action: &mut Option<Value>, body: &Value) -> Option<Reply> {
    let Some(action) = action else {
        return Some(missing());
    };
    if body["version"].as_u64() != action["version"].as_u64() {
        return Some(stale());
    }
    merge(
        action,
        body,
        &["name", "category", "config", "contract", "secure"],
    );
    action["version"] = json!(action["version"].as_u64().unwrap_or(0) + 1);
    show(Some(action))
}

fn stale() -> Reply {
    reply::error(
        409,
        "version.conflict",
        "The version is not the current one.",
    )
}

/// What of a published action cannot change, and does.
fn changed_for_good(published: Option<&Value>, draft: &Value) -> Vec<String> {
    let changes = |name: &&str| published.is_some_and(|action| action[*name] != draft[*name]);
    let changed = ["contract", "secure"].into_iter().filter(changes);
    changed
        .map(|name| format!("the {name} of a published action cannot change"))
        .collect()
}

fn validation(stored: &Stored) -> Option<Reply> {
    let Some(draft) = &stored.draft else {
        return Some(missing());
    };
    let errors: Vec<Value> = problems(draft)
        .into_iter()
        .chain(changed_for_good(stored.published.as_ref(), draft))
        .map(|message| json!({ "message": message, "code": "validation.error", "status": 400 }))
        .collect();
    Some(reply::json(
        200,
        &json!({ "valid": errors.is_empty(), "errors": errors }),
    ))
}

fn publish(stored: &mut Stored, body: &Value) -> Option<Reply> {
    let Some(draft) = &stored.draft else {
        return Some(missing());
    };
    if body["version"].as_u64() != draft["version"].as_u64() {
        return Some(stale());
    }
    let mut errors = problems(draft);
    errors.extend(changed_for_good(stored.published.as_ref(), draft));
    if !errors.is_empty() {
        return Some(reply::error(400, "bad.request", &errors.join("; ")));
    }
    let mut action = draft.clone();
    action["version"] = json!(action["version"].as_u64().unwrap_or(0) + 1);
    stored.draft = None;
    stored.published = Some(action);
    show(stored.published.as_ref())
}

/// What the platform would find wrong with an action.
fn problems(action: &Value) -> Vec<String> {
    let mut all = Vec::new();
    let input = &action["contract"]["input"]["inputSchema"];
    let output = &action["contract"]["output"]["successSchema"];
    match input["properties"].as_object() {
        None => all.push("the input schema must be an object with properties".to_owned()),
        Some(properties) => flat(properties, &mut all),
    }
    if !output.is_object() {
        all.push("the success schema is missing".to_owned());
    }
    if [input, output]
        .iter()
        .any(|schema| schema.to_string().contains("\"$ref\""))
    {
        all.push("$ref is not supported in a contract".to_owned());
    }
    if nested_array(output, false) {
        all.push("nested arrays are not supported in the success schema".to_owned());
    }
    let request = &action["config"]["request"];
    if request["requestUrlTemplate"]
        .as_str()
        .is_none_or(str::is_empty)
    {
        all.push("requestUrlTemplate is missing".to_owned());
    }
    if !["GET", "PUT", "POST", "PATCH", "DELETE"]
        .contains(&request["requestType"].as_str().unwrap_or_default())
    {
        all.push("requestType must be GET, PUT, POST, PATCH or DELETE".to_owned());
    }
    if let Some(seconds) = action["config"]["timeoutSeconds"].as_u64()
        && !(1..=60).contains(&seconds)
    {
        all.push("timeoutSeconds must be from 1 to 60".to_owned());
    }
    all
}

fn flat(properties: &Map<String, Value>, problems: &mut Vec<String>) {
    for (name, property) in properties {
        let simple = property["type"]
            .as_str()
            .is_some_and(|kind| ["string", "integer", "number", "boolean", "null"].contains(&kind));
        if !simple {
            problems.push(format!("the input {name:?} must be of a simple type"));
        }
        let well_named = name.starts_with(|char: char| char.is_ascii_alphabetic())
            && name
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || "-_".contains(char));
        if !well_named || ["orgId", "integrationId", "rawRequest"].contains(&name.as_str()) {
            problems.push(format!("the input name {name:?} is not permitted"));
        }
    }
}

fn nested_array(schema: &Value, inside: bool) -> bool {
    let is_array = schema["type"] == "array";
    if is_array && inside {
        return true;
    }
    let inside = inside || is_array;
    nested_array_of(&schema["items"], inside)
        || schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .any(|(_, property)| nested_array(property, inside))
}

fn nested_array_of(items: &Value, inside: bool) -> bool {
    items.is_object() && nested_array(items, inside)
}
