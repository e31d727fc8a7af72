//! What the Platform API says about the organisation: limits, and which objects use an action.

use serde_json::{Value, json};

use super::paging::{self, field};
use super::reply::{self, Reply};
use super::state::Genesys;

/// `GET /api/v2/organizations/limits/namespaces/{name}`.
pub(crate) fn limits(genesys: &Genesys, namespace: &str) -> Option<Reply> {
    let limits = genesys.shared.settings.limits.get(namespace)?;
    let entities: Vec<Value> = limits
        .iter()
        .map(|(key, value)| json!({ "key": key, "namespace": namespace, "value": value }))
        .collect();
    Some(reply::json(200, &json!({ "entities": entities })))
}

/// `GET /api/v2/architect/dependencytracking/consumingresources`, with `id`, `objectType`, `pageSize`, `pageNumber`.
pub(crate) fn consumers(genesys: &Genesys, query: &str) -> Reply {
    let (Some(id), Some(kind)) = (field(query, "id"), field(query, "objectType")) else {
        return reply::error(400, "bad.request", "id and objectType are required.");
    };
    let state = genesys.state();
    let published = state
        .actions
        .get(&id)
        .and_then(|stored| stored.published.as_ref());
    let is_secure = published.is_some_and(|action| action["secure"] == true);
    let kind_of_action = if is_secure {
        "SECUREACTION"
    } else {
        "DATAACTION"
    };
    let all: Vec<Value> = match state.consumers.get(&id) {
        // An action is tracked under its own type only.
        Some(consumers) if kind == kind_of_action => consumers.clone(),
        _ => Vec::new(),
    };
    let status = if state.tracking_is_rebuilt { 206 } else { 200 };
    paging::page(status, &all, query, &state.left_out_of_lists)
}
