//! A source of valid tokens: cached, refreshed before expiry, one login at a time for any number of callers.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rand::Rng;
use reqwest::{Client, redirect::Policy};
use tokio::sync::watch;
use url::Url;

use crate::{
    AccessToken, Clock, Error, ErrorKind, RateLimiter, Secret, SystemClock, TokenSettings,
    login::Login,
};

/// First wait between two tries; it doubles, within the caller's whole wait.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// Longest wait between two tries for a caller.
const LONGEST_BACKOFF: Duration = Duration::from_secs(3);

/// Longest wait between two early refreshes that fail.
const LONGEST_REFRESH_BACKOFF: Duration = Duration::from_secs(60);

/// How long a refusal of the client's credentials is passed on without asking again: a wrong secret must not become a flood.
const REFUSAL_HOLDS: Duration = Duration::from_secs(10);

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
    limiter: RateLimiter,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// The login under way, whose outcome all who wait share.
    login: Option<watch::Receiver<Option<Outcome>>>,
    /// Whether that login only refreshes a token that is valid still.
    refreshing: bool,
    /// The error that callers get without another login, and until when.
    refused: Option<(Error, Instant)>,
}

type Outcome = Result<AccessToken, Error>;

#[derive(Debug, Clone)]
struct Held {
    token: AccessToken,
    refresh_at: Instant,
    expires_at: Instant,
    refresh_backoff: Duration,
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
    /// From the cache when there is one; near its expiry it is refreshed in the background while it is still handed out,
    /// and a refresh that fails leaves it in use. However many callers wait, one login is under way.
    ///
    /// # Errors
    /// [`ErrorKind::RejectedCredentials`] at once; [`ErrorKind::RateLimited`], [`ErrorKind::Unavailable`] and
    /// [`ErrorKind::InvalidResponse`] when retries within the settings' wait did not help.
    pub async fn token(&self) -> Result<AccessToken, Error> {
        loop {
            let (mut login, is_refresh) = match self.token_or_login() {
                Found::Token(token) => return Ok(token),
                Found::Refusal(error) => return Err(error),
                Found::Login { login, is_refresh } => (login, is_refresh),
            };
            let outcome = login.wait_for(Option::is_some).await;
            match outcome.ok().and_then(|outcome| outcome.clone()) {
                // An early refresh gives up at its first failure: the next caller without a token logs in with all retries.
                Some(Err(error)) if is_refresh && error.is_retryable() => {}
                Some(outcome) => return outcome,
                // The runtime is shutting down, and the login with it.
                None => {
                    return Err(Error::new(
                        ErrorKind::Unavailable,
                        "the login was broken off",
                    ));
                }
            }
        }
    }

    /// A valid token for one API request, after waiting for the platform's limit of requests per token.
    ///
    /// # Errors
    /// Those of [`Self::token`]; [`ErrorKind::RateLimited`] when the turn would come later than the settings' wait, login included.
    pub async fn token_for_request(&self) -> Result<AccessToken, Error> {
        self.token_for_request_telling(|_| ()).await
    }

    /// As [`Self::token_for_request`]; `tell` is called with the length of a wait for the limit before it begins.
    ///
    /// # Errors
    /// As for [`Self::token_for_request`].
    pub async fn token_for_request_telling(
        &self,
        tell: impl Fn(Duration),
    ) -> Result<AccessToken, Error> {
        let deadline = self.shared.clock.now() + self.shared.settings.wait();
        let token = self.token().await?;
        let left = deadline.saturating_duration_since(self.shared.clock.now());
        self.shared.limiter.acquire_telling(left, tell).await?;
        Ok(token)
    }

    /// Forgets `token`, after the API refused it; a token that has been replaced since is left alone.
    pub fn invalidate(&self, token: &AccessToken) {
        let mut state = self.shared.state();
        if state.held.as_ref().is_some_and(|held| held.token == *token) {
            state.held = None;
        }
    }

    /// The present state. The lock is held from finding no token to starting a login.
    fn token_or_login(&self) -> Found {
        let now = self.shared.clock.now();
        let mut state = self.shared.state();
        let valid = state.held.as_ref().filter(|held| now < held.expires_at);
        if let Some(held) = valid {
            let token = held.token.clone();
            if now >= held.refresh_at && state.login.is_none() {
                self.start_login(&mut state, true);
            }
            return Found::Token(token);
        }
        if let Some(login) = state.login.clone() {
            let is_refresh = state.refreshing;
            return Found::Login { login, is_refresh };
        }
        if let Some((error, until)) = &state.refused
            && now < *until
        {
            return Found::Refusal(error.clone().until(*until - now));
        }
        Found::Login {
            login: self.start_login(&mut state, false),
            is_refresh: false,
        }
    }

    /// A login in a task of its own: that a caller goes away does not end it for the others.
    fn start_login(&self, state: &mut State, refreshing: bool) -> watch::Receiver<Option<Outcome>> {
        let (done, login) = watch::channel(None);
        state.login = Some(login.clone());
        state.refreshing = refreshing;
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let outcome = if refreshing {
                shared.login_once(shared.settings.request_timeout()).await
            } else {
                shared.login_with_retries().await
            };
            {
                let mut state = shared.state();
                state.login = None;
                if let Err(error) = &outcome {
                    shared.note_failure(&mut state, error, refreshing);
                }
            }
            done.send_replace(Some(outcome));
        });
        login
    }
}

/// What a caller finds.
enum Found {
    Token(AccessToken),
    Refusal(Error),
    Login {
        login: watch::Receiver<Option<Outcome>>,
        is_refresh: bool,
    },
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn login_with_retries(&self) -> Outcome {
        let deadline = self.clock.now() + self.settings.wait();
        let mut backoff = FIRST_BACKOFF;
        loop {
            let left = deadline.saturating_duration_since(self.clock.now());
            let limit = self.settings.request_timeout().min(left);
            let error = match self.login_once(limit).await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            let wait = error.retry_after().unwrap_or_else(|| jittered(backoff));
            if !error.is_retryable() || self.clock.now() + wait >= deadline {
                return Err(error);
            }
            self.clock.sleep(wait).await;
            backoff = (backoff * 2).min(LONGEST_BACKOFF);
        }
    }

    /// One request, within `limit`.
    async fn login_once(&self, limit: Duration) -> Outcome {
        let granted = tokio::select! {
            granted = self.login.request() => granted?,
            () = self.clock.sleep(limit) => return Err(self.login.too_slow(limit)),
        };
        let now = self.clock.now();
        // A short-lived token is refreshed at half its life, so that the margin never exceeds it.
        let margin = self.settings.refresh_margin().min(granted.lifetime / 2);
        let held = Held {
            token: granted.token.clone(),
            refresh_at: now + granted.lifetime - margin,
            expires_at: now + granted.lifetime,
            refresh_backoff: FIRST_BACKOFF,
        };
        let mut state = self.state();
        state.held = Some(held);
        state.refused = None;
        self.limiter.reset();
        Ok(granted.token)
    }

    /// Sets the earliest time of the next login for all callers.
    fn note_failure(&self, state: &mut State, error: &Error, refreshing: bool) {
        let now = self.clock.now();
        let asked = error.retry_after();
        if let Some(held) = state.held.as_mut().filter(|_| refreshing) {
            tracing::warn!(%error, "a token could not be refreshed early and stays in use");
            held.refresh_backoff = (held.refresh_backoff * 2).min(LONGEST_REFRESH_BACKOFF);
            held.refresh_at = now + asked.unwrap_or_else(|| jittered(held.refresh_backoff));
            return;
        }
        let holds = match error.kind() {
            ErrorKind::RejectedCredentials => Some(REFUSAL_HOLDS),
            _ => asked,
        };
        state.refused = holds.map(|holds| (error.clone(), now + holds));
    }
}

/// Half of the wait to all of it, so that many processes do not ask in step.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(rand::rng().random_range(0.5..=1.0))
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
            // A login host does not redirect: credentials are not sent to another host.
            None => Client::builder()
                .redirect(Policy::none())
                .build()
                .map_err(|error| {
                    Error::new(ErrorKind::InvalidSetting, "no HTTP client could be made")
                        .with_source(error)
                })?,
        };
        let login = Login {
            client,
            url,
            client_id: self.client_id,
            client_secret: self.client_secret,
        };
        let clock = self.clock;
        let limiter = RateLimiter::new(self.settings.requests_per_minute, Arc::clone(&clock));
        Ok(TokenSource {
            shared: Arc::new(Shared {
                login,
                settings: self.settings,
                clock,
                limiter,
                state: Mutex::default(),
            }),
        })
    }
}
