//! Data actions: the resource behind `/api/v2/integrations/actions`.

use serde_json::{Map, Value, json};

use super::inputs::{self, Member, POST_ACTION, PUBLISH_DRAFT, UPDATE_ACTION, UPDATE_DRAFT};
use super::paging::{self, field};
use super::reply::{self, Reply};
use super::settings::GenesysSettings;
use super::state::{Genesys, Stored};

/// The longest name of an action.
const MAX_NAME_CHARS: usize = 256;

/// `GET …/actions` and `GET …/actions/drafts`, with `name`, `category`, `pageSize`, `pageNumber`.
pub(crate) fn list(genesys: &Genesys, drafts: bool, query: &str) -> Reply {
    let contains = |action: &Value, name: &str| {
        field(query, name).is_none_or(|wanted| {
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
    paging::page(200, &all, query, &state.left_out_of_lists)
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
    let refusal = inputs::refused(POST_ACTION, body).or_else(|| misplaced(genesys, body));
    if let Some(refusal) = refusal {
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
        let errors = problems(&genesys.shared.settings, &action);
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

/// The refusal of an action whose name is too long, or whose integration does not exist.
fn misplaced(genesys: &Genesys, body: &Value) -> Option<Reply> {
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    if text("name").chars().count() > MAX_NAME_CHARS {
        return Some(reply::error(
            400,
            "bad.request",
            "name is longer than 256 characters.",
        ));
    }
    let settings = &genesys.shared.settings;
    let known = [&settings.integration_id, &settings.function_integration_id];
    (!known.iter().any(|id| *id == text("integrationId")))
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
    let settings = &genesys.shared.settings;
    let mut state = genesys.state();
    let is_outrun =
        method == "PATCH" && rest == ["draft"] && std::mem::take(&mut state.next_draft_is_outrun);
    let Some(stored) = state.actions.get_mut(id) else {
        return Some(reply::error(404, "not.found", "The action was not found."));
    };
    if is_outrun && stored.draft.is_some() {
        stored.published = stored.draft.take();
    }
    let (reply, gone) = match (method, rest) {
        ("GET", []) => (read(stored.published.as_ref(), query), false),
        ("GET", ["templates", file]) => (template(stored.published.as_ref(), file), false),
        // Its contract and its secrecy stay as they are: its model has neither.
        ("PATCH", []) => (patch(UPDATE_ACTION, &mut stored.published, body), false),
        ("DELETE", []) => (Some(reply::gone()), true),
        ("GET", ["draft"]) => (read(stored.draft.as_ref(), query), false),
        ("GET", ["draft", "templates", file]) => (template(stored.draft.as_ref(), file), false),
        ("POST", ["draft"]) => (open_draft(stored), false),
        ("PATCH", ["draft"]) => (patch(UPDATE_DRAFT, &mut stored.draft, body), false),
        ("DELETE", ["draft"]) => {
            stored.draft = None;
            let gone = stored.published.is_none();
            (Some(reply::gone()), gone)
        }
        ("GET", ["draft", "validation"]) => (validation(settings, stored), false),
        ("POST", ["draft", "publish"]) => (publish(settings, stored, body), false),
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

/// A change must name the version that it was made from.
fn patch(model: &[Member], action: &mut Option<Value>, body: &Value) -> Option<Reply> {
    let Some(action) = action else {
        return Some(missing());
    };
    if let Some(refusal) = inputs::refused(model, body) {
        return Some(refusal);
    }
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

fn validation(settings: &GenesysSettings, stored: &Stored) -> Option<Reply> {
    let Some(draft) = &stored.draft else {
        return Some(missing());
    };
    let errors: Vec<Value> = problems(settings, draft)
        .into_iter()
        .chain(changed_for_good(stored.published.as_ref(), draft))
        .map(|message| json!({ "message": message, "code": "validation.error", "status": 400 }))
        .collect();
    Some(reply::json(
        200,
        &json!({ "valid": errors.is_empty(), "errors": errors }),
    ))
}

fn publish(settings: &GenesysSettings, stored: &mut Stored, body: &Value) -> Option<Reply> {
    let Some(draft) = &stored.draft else {
        return Some(missing());
    };
    if let Some(refusal) = inputs::refused(PUBLISH_DRAFT, body) {
        return Some(refusal);
    }
    if body["version"].as_u64() != draft["version"].as_u64() {
        return Some(stale());
    }
    let mut errors = problems(settings, draft);
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
fn problems(settings: &GenesysSettings, action: &Value) -> Vec<String> {
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
    let url = request["requestUrlTemplate"].as_str().unwrap_or_default();
    let calls_function = url.starts_with("arn:");
    let is_of_functions = action["integrationId"] == settings.function_integration_id.as_str();
    if url.is_empty() {
        all.push("requestUrlTemplate is missing".to_owned());
    } else if calls_function != is_of_functions {
        all.push("requestUrlTemplate is not what the integration calls".to_owned());
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
