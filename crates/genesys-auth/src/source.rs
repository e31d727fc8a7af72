//! A source of valid tokens: cached, refreshed before expiry, one login at a time for any number of callers.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use reqwest::Client;
use url::Url;

use crate::{
    AccessToken, Clock, Error, ErrorKind, Secret, SystemClock, TokenSettings, login::Login,
};

/// First wait between two tries; it doubles, within the caller's whole wait.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// Hands out a valid token. Cheap to clone; clones share the token.
#[derive(Debug, Clone)]
pub struct TokenSource {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    login: Login,
    settings: TokenSettings,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Held>>,
    /// Held while a login is under way: the others wait for it and then find its token.
    logging_in: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Held {
    token: AccessToken,
    refresh_at: Instant,
    expires_at: Instant,
}

/// Builds a [`TokenSource`].
#[derive(Debug)]
pub struct TokenSourceBuilder {
    client_id: String,
    client_secret: Secret,
    login_url: Url,
    settings: TokenSettings,
    client: Option<Client>,
    clock: Arc<dyn Clock>,
}

impl TokenSource {
    /// Starts from an OAuth client and a login host, such as [`crate::Region::login_url`].
    pub fn builder(
        client_id: impl Into<String>,
        client_secret: Secret,
        login_url: Url,
    ) -> TokenSourceBuilder {
        TokenSourceBuilder {
            client_id: client_id.into(),
            client_secret,
            login_url,
            settings: TokenSettings::default(),
            client: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// A token that is valid now.
    ///
    /// From the cache when there is one; near its expiry it is refreshed in the background while it is still handed out.
    ///
    /// # Errors
    /// [`ErrorKind::RejectedCredentials`] at once; [`ErrorKind::RateLimited`], [`ErrorKind::Unavailable`] and
    /// [`ErrorKind::InvalidResponse`] when retries within the settings' wait did not help.
    pub async fn token(&self) -> Result<AccessToken, Error> {
        let now = self.shared.clock.now();
        if let Some(held) = self.shared.held().filter(|held| now < held.expires_at) {
            if now >= held.refresh_at {
                self.refresh_in_background();
            }
            return Ok(held.token);
        }
        let _turn = self.shared.logging_in.lock().await;
        let now = self.shared.clock.now();
        match self.shared.held().filter(|held| now < held.expires_at) {
            Some(held) => Ok(held.token),
            None => self.shared.login_with_retries().await,
        }
    }

    /// Forgets `token`, after the API refused it; a token that has been replaced since is left alone.
    pub fn invalidate(&self, token: &AccessToken) {
        let mut held = self
            .shared
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|held| held.token == *token) {
            *held = None;
        }
    }

    fn refresh_in_background(&self) {
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let Ok(_turn) = shared.logging_in.try_lock() else {
                return;
            };
            // A failure keeps the old token, which is valid still; the next caller tries again.
            if let Err(error) = shared.login_once().await {
                tracing::warn!(%error, "a token could not be refreshed early");
            }
        });
    }
}

impl Shared {
    fn held(&self) -> Option<Held> {
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn login_with_retries(&self) -> Result<AccessToken, Error> {
        let deadline = self.clock.now() + self.settings.wait();
        let mut backoff = FIRST_BACKOFF;
        loop {
            let error = match self.login_once().await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            let wait = error.retry_after().unwrap_or(backoff);
            if !error.is_retryable() || self.clock.now() + wait > deadline {
                return Err(error);
            }
            self.clock.sleep(wait).await;
            backoff *= 2;
        }
    }

    async fn login_once(&self) -> Result<AccessToken, Error> {
        let granted = self.login.request().await?;
        let now = self.clock.now();
        // A short-lived token is refreshed at half its life, so that the margin never exceeds it.
        let margin = self.settings.refresh_margin().min(granted.lifetime / 2);
        let held = Held {
            token: granted.token.clone(),
            refresh_at: now + granted.lifetime - margin,
            expires_at: now + granted.lifetime,
        };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(granted.token)
    }
}

impl TokenSourceBuilder {
    /// How tokens are kept and how long a login may take.
    #[must_use]
    pub fn with_settings(mut self, settings: TokenSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Sends logins through `client`.
    #[must_use]
    pub fn with_http_client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings. Sends nothing yet.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSetting`].
    pub fn build(self) -> Result<TokenSource, Error> {
        if self.client_id.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidSetting,
                "the client id is empty",
            ));
        }
        let url = self.login_url.join("/oauth/token").map_err(|error| {
            Error::new(
                ErrorKind::InvalidSetting,
                format!("the login address cannot be used: {error}"),
            )
        })?;
        let client = match self.client {
            Some(client) => client,
            None => Client::builder().build().map_err(|error| {
                Error::new(ErrorKind::InvalidSetting, "no HTTP client could be made")
                    .with_source(error)
            })?,
        };
        let login = Login {
            client,
            url,
            client_id: self.client_id,
            client_secret: self.client_secret,
            timeout: self.settings.request_timeout(),
        };
        Ok(TokenSource {
            shared: Arc::new(Shared {
                login,
                settings: self.settings,
                clock: self.clock,
                held: Mutex::default(),
                logging_in: tokio::sync::Mutex::default(),
            }),
        })
    }
}
