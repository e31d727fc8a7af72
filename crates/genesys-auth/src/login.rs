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
    pub(crate) timeout: Duration,
}

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
}

impl Login {
    pub(crate) async fn request(&self) -> Result<Granted, Error> {
        let response = self
            .client
            .post(self.url.clone())
            .basic_auth(&self.client_id, Some(self.client_secret.expose()))
            .form(&[("grant_type", "client_credentials")])
            .timeout(self.timeout)
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
            status if status.is_client_error() => Err(self.refused(status, response).await),
            status => Err(Error::new(
                ErrorKind::Unavailable,
                format!("Genesys Cloud login answered {status}"),
            )
            .with_retry_after(retry_after(&response))),
        }
    }

    async fn granted(&self, response: Response) -> Result<Granted, Error> {
        let body: TokenResponse = response.json().await.map_err(|error| {
            if error.is_timeout() || error.is_body() {
                return self.unreachable(error);
            }
            Error::new(
                ErrorKind::InvalidResponse,
                format!(
                    "{} did not answer with a token; is it a Genesys Cloud login host?",
                    self.host()
                ),
            )
            .with_source(error)
        })?;
        Ok(Granted {
            token: AccessToken::new(body.access_token),
            lifetime: Duration::from_secs(body.expires_in),
        })
    }

    /// RFC 6749, section 5.2, names the errors; which part of the configuration each points to is ours to say.
    async fn refused(&self, status: StatusCode, response: Response) -> Error {
        let refusal: Option<Refusal> = response.json().await.ok();
        let code = refusal
            .and_then(|refusal| refusal.error)
            .unwrap_or_default();
        let likely = match code.as_str() {
            "invalid_client" => {
                "the client id or the secret is wrong, or the client belongs to another region"
            }
            "unauthorized_client" | "unsupported_grant_type" => {
                "the OAuth client does not use the Client Credentials grant"
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
        let how = if error.is_timeout() {
            format!("did not answer within {} s", self.timeout.as_secs())
        } else {
            "could not be reached".to_owned()
        };
        Error::new(ErrorKind::Unavailable, format!("{} {how}", self.host())).with_source(error)
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
        .map(Duration::from_secs)
}
