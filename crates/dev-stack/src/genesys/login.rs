//! `POST /oauth/token`: client credentials by HTTP Basic.

use std::future::Future;
use std::pin::Pin;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;

use super::reply::{self, Reply};
use super::state::Genesys;
use crate::faults::Failure;

/// No login is larger.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What answers the login's port.
#[derive(Debug, Clone)]
pub(crate) struct LoginFront(pub(crate) Genesys);

impl hyper::service::Service<Request<Incoming>> for LoginFront {
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
            let operation = format!("{} {}", parts.method, parts.uri.path());
            match genesys.shared.login.admit(&operation) {
                None => {}
                Some(Failure::Slow(time)) => tokio::time::sleep(time).await,
                Some(Failure::Hang) => std::future::pending().await,
                Some(Failure::Disconnect | Failure::Lost) => {
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
                Some(Failure::Code { status, code }) => return Ok(refusal(status, &code, "")),
            }
            Ok(answer(&genesys, &parts, &body))
        })
    }
}

fn answer(genesys: &Genesys, parts: &Parts, body: &[u8]) -> Reply {
    if parts.uri.path() != "/oauth/token" {
        return reply::error(404, "not.found", "The requested resource was not found.");
    }
    if parts.method != http::Method::POST {
        return reply::error(405, "method.not.allowed", "HTTP method not allowed.");
    }
    let form: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let Some((id, secret)) = credentials(parts) else {
        return refusal(
            400,
            "invalid_client",
            "client credentials must be sent as HTTP Basic authentication",
        );
    };
    match field("grant_type") {
        Some("client_credentials") => {}
        Some(_) => return refusal(400, "unsupported_grant_type", "grant type not supported"),
        None => return refusal(400, "invalid_request", "grant_type is missing"),
    }
    let settings = &genesys.shared.settings;
    if id != settings.client_id {
        return refusal(400, "invalid_client", "client not found: invalid client id");
    }
    if secret != settings.client_secret {
        return refusal(401, "invalid_client", "authentication failed");
    }
    let (token, seconds) = genesys.issue();
    reply::json(
        200,
        &json!({
            "access_token": token,
            "token_type": "bearer",
            "expires_in": seconds,
        }),
    )
}

/// The error form of OAuth, as the login host has it.
fn refusal(status: u16, error: &str, description: &str) -> Reply {
    reply::json(
        status,
        &json!({
            "error": error,
            "description": description,
            "error_description": description,
        }),
    )
}

fn credentials(parts: &Parts) -> Option<(String, String)> {
    let header = parts
        .headers
        .get(http::header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}
