//! The Platform API: bearer token, rate limit, and the endpoints of data actions.

use std::future::Future;
use std::pin::Pin;

use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::reply::{self, Reply};
use super::state::Genesys;
use crate::faults::Failure;

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
            match genesys.shared.api.admit(&operation) {
                None => {}
                Some(Failure::Slow(time)) => tokio::time::sleep(time).await,
                Some(Failure::Hang) => std::future::pending().await,
                Some(Failure::Disconnect) => {
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
            Ok(answer(&genesys, &parts, &body))
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

fn answer(genesys: &Genesys, parts: &Parts, _body: &[u8]) -> Reply {
    let token = parts
        .headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let Some(token) = token else {
        return reply::error(
            401,
            "authentication.required",
            "No authentication bearer token specified in authorization header.",
        );
    };
    match genesys.spend(token) {
        Ok(()) => {}
        Err(Some(seconds)) => return reply::rate_limited(seconds),
        Err(None) => return reply::error(401, "bad.credentials", "Invalid login credentials."),
    }
    reply::error(404, "not.found", "The requested resource was not found.")
}
