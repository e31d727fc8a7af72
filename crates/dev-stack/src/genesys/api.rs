//! The Platform API: bearer token, rate limit, and the endpoints of data actions.

use std::future::Future;
use std::pin::Pin;

use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use serde_json::Value;

use super::reply::{self, Reply};
use super::state::Genesys;
use super::{actions, execute, organization};
use crate::faults::{Failure, ReceivedRequest};

/// No request is larger.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// What answers the API's port.
#[derive(Debug, Clone)]
pub(crate) struct ApiFront(pub(crate) Genesys);

impl hyper::service::Service<Request<Incoming>> for ApiFront {
    type Response = Reply;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, std::io::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let genesys = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = Limited::new(body, MAX_BODY_BYTES)
                .collect()
                .await
                .map_err(std::io::Error::other)?
                .to_bytes();
            let operation = format!("{} {}", parts.method, template(parts.uri.path()));
            let request = ReceivedRequest::new(&operation, &parts.uri, &parts.headers, &body);
            genesys.shared.api.remember(request);
            match genesys.shared.api.admit(&operation) {
                None => {}
                Some(Failure::Slow(time)) => tokio::time::sleep(time).await,
                Some(Failure::Hang) => std::future::pending().await,
                Some(Failure::Disconnect) => {
                    return Err(std::io::Error::other("disconnected on demand"));
                }
                Some(Failure::Lost) => {
                    answer(&genesys, &parts, &body).await;
                    return Err(std::io::Error::other("disconnected on demand"));
                }
                Some(Failure::Garbage) => return Ok(reply::garbage()),
                Some(Failure::RateLimited {
                    retry_after_seconds,
                }) => return Ok(reply::rate_limited(retry_after_seconds)),
                Some(Failure::Status(status)) => {
                    return Ok(reply::error(
                        status,
                        "internal.error",
                        "This failure was asked for.",
                    ));
                }
                Some(Failure::Code { status, code }) => {
                    return Ok(reply::error(status, &code, "This failure was asked for."));
                }
            }
            Ok(answer(&genesys, &parts, &body).await)
        })
    }
}

/// The path with its ids taken out.
fn template(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts.len() > 5
        && parts[3] == "integrations"
        && parts[4] == "actions"
        && parts[5] != "drafts"
    {
        parts[5] = "{id}";
    }
    parts.join("/")
}

async fn answer(genesys: &Genesys, parts: &Parts, body: &[u8]) -> Reply {
    if let Some(refusal) = refused(genesys, parts) {
        return refusal;
    }
    let body: Value = match serde_json::from_slice(body) {
        Ok(body) => body,
        Err(_) if body.is_empty() => Value::Null,
        Err(_) => return reply::error(400, "bad.request", "The request body is not JSON."),
    };
    route(genesys, parts, &body).await
}

/// The refusal of a request without a good token, or of one too many.
fn refused(genesys: &Genesys, parts: &Parts) -> Option<Reply> {
    let token = parts
        .headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let Some(token) = token else {
        return Some(reply::error(
            401,
            "authentication.required",
            "No authentication bearer token specified in authorization header.",
        ));
    };
    match genesys.spend(token) {
        Ok(()) => None,
        Err(Some(seconds)) => Some(reply::rate_limited(seconds)),
        Err(None) => Some(reply::error(
            401,
            "bad.credentials",
            "Invalid login credentials.",
        )),
    }
}

async fn route(genesys: &Genesys, parts: &Parts, body: &Value) -> Reply {
    let missing = || reply::error(404, "not.found", "The requested resource was not found.");
    let query = parts.uri.query().unwrap_or_default();
    if let Some(refusal) = forbidden(genesys, parts) {
        return refusal;
    }
    if let Some(namespace) = parts
        .uri
        .path()
        .strip_prefix("/api/v2/organizations/limits/namespaces/")
    {
        return organization::limits(genesys, namespace).unwrap_or_else(missing);
    }
    if parts.uri.path() == "/api/v2/architect/dependencytracking/consumingresources" {
        return organization::consumers(genesys, query);
    }
    let Some(path) = parts
        .uri
        .path()
        .strip_prefix("/api/v2/integrations/actions")
    else {
        return missing();
    };
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match (parts.method.as_str(), segments.as_slice()) {
        ("GET", []) => actions::list(genesys, false, query),
        ("GET", ["drafts"]) => actions::list(genesys, true, query),
        ("POST", []) => actions::create(genesys, false, body),
        ("POST", ["drafts"]) => actions::create(genesys, true, body),
        ("POST", [id, "test"]) => run(genesys, id, Run::Test, body).await,
        ("POST", [id, "execute"]) => run(genesys, id, Run::Execute, body).await,
        ("POST", [id, "draft", "test"]) => run(genesys, id, Run::TestDraft, body).await,
        (method, [id, rest @ ..]) => {
            actions::one(genesys, method, id, rest, query, body).unwrap_or_else(missing)
        }
        _ => missing(),
    }
}

/// The refusal of a client whose roles lack the permission of a request.
fn forbidden(genesys: &Genesys, parts: &Parts) -> Option<Reply> {
    let path = parts.uri.path();
    let is = |method: &str| parts.method.as_str() == method;
    let needed = if path.starts_with("/api/v2/architect/") {
        "architect:dependencyTracking:view"
    } else if path.starts_with("/api/v2/organizations/limits/") {
        "limits:organization:view"
    } else if path.ends_with("/test") || path.ends_with("/execute") {
        "integrations:action:execute"
    } else if is("GET") {
        "integrations:action:view"
    } else if is("DELETE") {
        "integrations:action:delete"
    } else if is("POST") && (path.ends_with("/actions") || path.ends_with("/actions/drafts")) {
        "integrations:action:add"
    } else {
        "integrations:action:edit"
    };
    let permitted = genesys.shared.settings.permissions.contains(needed);
    (!permitted).then(|| reply::forbidden(needed))
}

/// Which action is run, and how the outcome is reported.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    /// The published action, step by step.
    Test,
    /// The draft, step by step.
    TestDraft,
    /// The published action, as a flow would: the result alone.
    Execute,
}

/// Runs an action or its draft on an input.
async fn run(genesys: &Genesys, id: &str, how: Run, input: &Value) -> Reply {
    let action = genesys.state().actions.get(id).and_then(|stored| {
        if how == Run::TestDraft {
            stored.draft.clone()
        } else {
            stored.published.clone()
        }
    });
    let Some(action) = action else {
        return reply::error(404, "not.found", "The action was not found.");
    };
    let credentials = &genesys.shared.settings.integration_credentials;
    let outcome = execute::test(&action, input, credentials).await;
    if how != Run::Execute {
        return reply::json(200, &outcome);
    }
    match outcome.get("finalResult") {
        Some(result) => reply::json(200, result),
        None => reply::error(
            400,
            "action.failed",
            outcome["error"]["message"].as_str().unwrap_or_default(),
        ),
    }
}
