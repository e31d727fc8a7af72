//! One login request: `POST https://login.{domain}/oauth/token`, HTTP Basic, `grant_type=client_credentials`.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use url::Url;

use crate::{AccessToken, Error, ErrorKind, Secret};

/// What a login needs.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) client: Client,
    pub(crate) url: Url,
    pub(crate) client_id: String,
    pub(crate) client_secret: Secret,
}

/// Upper bounds of a token's life and of a wait: a larger value is an error of the server.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// A token and how long it lasts.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) token: AccessToken,
    pub(crate) lifetime: Duration,
}

#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Refusal {
    error: Option<String>,
    description: Option<String>,
}

impl Login {
    pub(crate) async fn request(&self) -> Result<Granted, Error> {
        let response = self
            .client
            .post(self.url.clone())
            .basic_auth(&self.client_id, Some(self.client_secret.expose()))
            .form(&[("grant_type", "client_credentials")])
            .send()
            .await
            .map_err(|error| self.unreachable(error))?;
        match response.status() {
            StatusCode::OK => self.granted(response).await,
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = retry_after(&response);
                let asked =
                    wait.map_or_else(String::new, |wait| format!(" for {} s", wait.as_secs()));
                Err(Error::new(
                    ErrorKind::RateLimited,
                    format!("Genesys Cloud asked to slow down{asked}"),
                )
                .with_retry_after(wait))
            }
            status if status.is_redirection() => Err(self.no_login_host(status)),
            StatusCode::REQUEST_TIMEOUT => Err(Error::new(
                ErrorKind::Unavailable,
                format!("Genesys Cloud login answered {}", response.status()),
            )),
            status if status.is_client_error() => Err(self.refused(status, response).await),
            status => Err(Error::new(
                ErrorKind::Unavailable,
                format!("Genesys Cloud login answered {status}"),
            )
            .with_retry_after(retry_after(&response))),
        }
    }

    async fn granted(&self, response: Response) -> Result<Granted, Error> {
        let status = response.status();
        let bytes = response
            .bytes()
            .await
            .map_err(|error| self.unreachable(error))?;
        // The token is taken over into memory that is zeroed; nothing of the body goes into an error.
        let body: TokenResponse =
            serde_json::from_slice(&bytes).map_err(|_| self.no_login_host(status))?;
        if body.access_token.is_empty() || body.expires_in == 0 {
            return Err(self.no_login_host(status));
        }
        Ok(Granted {
            token: AccessToken::new(body.access_token),
            lifetime: Duration::from_secs(body.expires_in).min(LONGEST),
        })
    }

    fn no_login_host(&self, status: StatusCode) -> Error {
        Error::new(
            ErrorKind::InvalidResponse,
            format!(
                "{} did not answer with a token ({status}); is it a Genesys Cloud login host?",
                self.host()
            ),
        )
    }

    /// RFC 6749, section 5.2, names the errors. The part of the configuration that each points to is our own reading.
    async fn refused(&self, status: StatusCode, response: Response) -> Error {
        let refusal: Option<Refusal> = response.json().await.ok();
        let (code, description) = match refusal {
            Some(refusal) => (
                refusal.error.unwrap_or_default(),
                refusal.description.unwrap_or_default(),
            ),
            None => Default::default(),
        };
        // The login host answers 400 for a client that it does not know, and 401 for a secret that does not fit.
        let likely = match code.as_str() {
            "invalid_client" if description.contains("client not found") => {
                "it does not know the client id: check client_id, and the region, since a client exists in one region only"
            }
            "invalid_client" if status == StatusCode::UNAUTHORIZED => {
                "it knows the client id, and the secret is wrong: check the secret"
            }
            "invalid_client" => {
                "the client id or the secret is wrong, or the client belongs to another region"
            }
            "unauthorized_client" | "unsupported_grant_type" => {
                "the OAuth client does not use the grant type Client Credentials"
            }
            _ if status == StatusCode::NOT_FOUND => {
                "the address is no Genesys Cloud login host: check the region"
            }
            _ => "check client id, secret, grant type and region",
        };
        Error::new(
            ErrorKind::RejectedCredentials,
            format!(
                "Genesys Cloud refused the login at {} ({status}): {likely}",
                self.host()
            ),
        )
    }

    fn unreachable(&self, error: reqwest::Error) -> Error {
        Error::new(
            ErrorKind::Unavailable,
            format!("{} could not be reached", self.host()),
        )
        .with_source(error)
    }

    /// The error of a request that took too long.
    pub(crate) fn too_slow(&self, limit: Duration) -> Error {
        Error::new(
            ErrorKind::Unavailable,
            format!(
                "{} did not answer within {:.1} s",
                self.host(),
                limit.as_secs_f64()
            ),
        )
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or("the login host")
    }
}

/// `Retry-After` in seconds, which is the form that Genesys Cloud sends.
fn retry_after(response: &Response) -> Option<Duration> {
    response
        .headers()
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(|seconds| Duration::from_secs(seconds).min(LONGEST))
}
