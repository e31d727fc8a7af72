//! One request to the Platform API: token, one renewed attempt after a 401, waits after a 429.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flowlake_genesys_auth::TokenSource;
use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::error::{Error, ErrorKind};
use crate::settings::PlatformSettings;

/// A wait before a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wait {
    /// The platform asks for it.
    Asked(Duration),
    /// As many requests were made in the last minute as the settings allow.
    OwnLimit(Duration),
}

/// Called before each wait.
#[derive(Clone)]
pub(crate) struct OnWait(pub(crate) Arc<dyn Fn(Wait) + Send + Sync>);

impl fmt::Debug for OnWait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OnWait")
    }
}

/// A successful answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|source| {
            Error::new(
                ErrorKind::InvalidResponse,
                "the platform's answer is not what its API documents",
            )
            .with_source(source)
        })
    }
}

/// Sends requests for the client. Paths are the segments below `/api/v2`.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    pub(crate) http: reqwest::Client,
    pub(crate) api_url: Url,
    pub(crate) tokens: TokenSource,
    pub(crate) settings: PlatformSettings,
    pub(crate) on_wait: Option<OnWait>,
}

impl Transport {
    /// Sends a request and reads its JSON answer.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<T, Error> {
        self.send(method, segments, query, body).await?.json()
    }

    /// Sends a request and gives the answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        segments: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer, Error> {
        let url = self.url(segments, query)?;
        let mut renewed = false;
        let mut waits = 0;
        loop {
            let tell = |wait| self.tell(Wait::OwnLimit(wait));
            let token = self.tokens.token_for_request_telling(tell).await;
            let token = token.map_err(unauthorized)?;
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .timeout(self.settings.timeout())
                .bearer_auth(token.expose());
            if let Some(body) = body {
                request = request.json(body);
            }
            let outcome = match request.send().await {
                Ok(response) => read(response, permission(&method, segments)).await,
                Err(error) => Err(unreachable(error)),
            };
            let error = match outcome {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match error.kind() {
                ErrorKind::Unauthorized if !renewed => {
                    renewed = true;
                    self.tokens.invalidate(&token);
                }
                ErrorKind::RateLimited if waits < self.settings.max_waits => {
                    waits += 1;
                    self.wait(error).await?;
                }
                // Only a request that changes nothing may be sent again when its outcome is unknown.
                ErrorKind::Unavailable
                    if method == Method::GET && waits < self.settings.max_waits =>
                {
                    waits += 1;
                    tokio::time::sleep(Duration::from_millis(200 << waits)).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// Waits as long as the platform asks, or gives the error back when that is too long.
    async fn wait(&self, error: Error) -> Result<(), Error> {
        let wait = error.retry_after().unwrap_or(Duration::from_secs(1));
        if wait > Duration::from_secs(self.settings.max_wait_seconds) {
            return Err(error);
        }
        tracing::debug!(?wait, "the platform asks to wait");
        self.tell(Wait::Asked(wait));
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn tell(&self, wait: Wait) {
        if let Some(OnWait(tell)) = &self.on_wait {
            tell(wait);
        }
    }

    fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Url, Error> {
        let mut url = self.api_url.clone();
        url.path_segments_mut()
            .map_err(|()| {
                Error::new(
                    ErrorKind::InvalidSetting,
                    "the API's URL must be an http or https address",
                )
            })?
            .pop_if_empty()
            .extend(["api", "v2"])
            .extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}

fn unauthorized(source: flowlake_genesys_auth::Error) -> Error {
    let kind = match source.kind() {
        flowlake_genesys_auth::ErrorKind::RateLimited => ErrorKind::RateLimited,
        flowlake_genesys_auth::ErrorKind::Unavailable => ErrorKind::Unavailable,
        flowlake_genesys_auth::ErrorKind::InvalidResponse => ErrorKind::InvalidResponse,
        flowlake_genesys_auth::ErrorKind::InvalidSetting => ErrorKind::InvalidSetting,
        _ => ErrorKind::Unauthorized,
    };
    let wait = source.retry_after();
    Error::new(kind, "no access token could be had for the Platform API")
        .with_retry_after(wait)
        .with_source(source)
}

fn unreachable(error: reqwest::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the Platform API cannot be reached, look at the region and the network",
    )
    .with_source(error.without_url())
}

/// The permission that a request needs, for the error of a client whose roles lack it.
fn permission(method: &Method, segments: &[&str]) -> &'static str {
    match segments {
        ["architect", ..] => "architect:dependencyTracking:view",
        ["organizations", "limits", ..] => "limits:organization:view",
        [.., "test"] => "integrations:action:execute",
        [_, _] | [_, _, "drafts"] if method == Method::POST => "integrations:action:add",
        _ if method == Method::GET => "integrations:action:view",
        _ if method == Method::DELETE => "integrations:action:delete",
        _ => "integrations:action:edit",
    }
}

async fn read(response: Response, permission: &str) -> Result<Answer, Error> {
    let status = response.status();
    let wait = response
        .headers()
        .get(reqwest::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok())
        .map(Duration::from_secs);
    let bytes = response.bytes().await.map_err(unreachable)?;
    if status.is_success() {
        return Ok(Answer {
            status,
            body: bytes.to_vec(),
        });
    }
    let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let message = told["message"].as_str().unwrap_or("no further message");
    let (kind, what) = match status {
        StatusCode::UNAUTHORIZED => (
            ErrorKind::Unauthorized,
            "the platform refused the access token".to_owned(),
        ),
        StatusCode::FORBIDDEN => {
            // The platform's own list comes first: it knows which of several would do.
            let named = told["messageParams"]["permissions"].as_str();
            let named = named.map_or(permission, |list| list.trim_matches(['[', ']']));
            (
                ErrorKind::Forbidden,
                format!("no role of the OAuth client has the permission {named}"),
            )
        }
        StatusCode::NOT_FOUND => (
            ErrorKind::NotFound,
            "the platform knows no such thing".to_owned(),
        ),
        StatusCode::CONFLICT => (
            ErrorKind::Conflict,
            "the action was changed meanwhile, read it again".to_owned(),
        ),
        StatusCode::TOO_MANY_REQUESTS => (
            ErrorKind::RateLimited,
            match wait {
                Some(wait) => format!(
                    "the platform's rate limit is reached, and it asks to wait {} s",
                    wait.as_secs()
                ),
                None => "the platform's rate limit is reached".to_owned(),
            },
        ),
        status if status.is_server_error() => (
            ErrorKind::Unavailable,
            "the platform failed, try again later".to_owned(),
        ),
        _ => (
            ErrorKind::Rejected,
            "the platform refused the request".to_owned(),
        ),
    };
    Err(Error::new(kind, format!("{what} ({}: {message})", status.as_u16())).with_retry_after(wait))
}
