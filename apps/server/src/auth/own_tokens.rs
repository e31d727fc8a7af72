//! Tokens that this server issues to authenticated clients, and accepts for a short time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use aws_lc_rs::{
    hmac::{self, HMAC_SHA256},
    rand,
};
use chrono::{DateTime, Utc};
use flowlake_data_action::{ActionError, Environment, ErrorCode, OwnTokenSettings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    client::Client,
    jwt::{self, Rejected, Token},
    secrets::{SecretDigest, is_long},
};

/// The issuer and the audience of these tokens.
const SELF: &str = "flowlake";

/// A token that the token endpoint issued.
#[derive(Debug)]
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    pub(crate) lifetime_seconds: u64,
}

/// Makes and takes tokens.
pub(super) struct OwnTokens {
    key: hmac::Key,
    /// The digest of the configured key; `None` for a random key that lives as long as the process.
    pub(super) digest: Option<SecretDigest>,
    lifetime: Duration,
}

impl OwnTokens {
    /// With the key of the configuration, or the one that `previous` made, or a new one.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when the key is missing or short.
    pub(super) fn load(
        settings: &OwnTokenSettings,
        environment: &dyn Environment,
        previous: Option<&Self>,
    ) -> Result<Self, ActionError> {
        let generated = previous.filter(|previous| previous.digest.is_none());
        let mut digest = None;
        let key = match &settings.signing_key {
            Some(source) => {
                let secret = source.read(environment)?;
                if !is_long(secret.expose()) {
                    return Err(ActionError::new(
                        ErrorCode::ConfigInvalid,
                        "`signing_key` in [server.tokens] is too short",
                        "Make one with `openssl rand -hex 32`.",
                    ));
                }
                digest = Some(SecretDigest::of(secret.expose()));
                hmac::Key::new(HMAC_SHA256, secret.expose().as_bytes())
            }
            None if let Some(previous) = generated => previous.key.clone(),
            None => {
                let mut secret = [0; 32];
                rand::fill(&mut secret).map_err(|error| {
                    ActionError::new(
                        ErrorCode::Internal,
                        "there are no random numbers to make a key of",
                        "Set `signing_key` in [server.tokens].",
                    )
                    .with_source(error)
                })?;
                hmac::Key::new(HMAC_SHA256, &secret)
            }
        };
        Ok(Self {
            key,
            digest,
            lifetime: settings.lifetime,
        })
    }

    /// A token for a client with this secret.
    pub(super) fn make(
        &self,
        client_id: &str,
        secret: &SecretDigest,
        now: DateTime<Utc>,
    ) -> IssuedToken {
        let lifetime_seconds = self.lifetime.as_secs();
        let issued = now.timestamp();
        let claims = json!({
            "iss": SELF,
            "aud": SELF,
            "sub": client_id,
            "iat": issued,
            "exp": issued.saturating_add(i64::try_from(lifetime_seconds).unwrap_or(i64::MAX)),
            "sec": generation(secret),
        });
        IssuedToken {
            token: jwt::sign(&claims, &self.key),
            lifetime_seconds,
        }
    }

    /// The client that a token was given to, if it still has the secret that it had then.
    pub(super) fn client<'a>(
        &self,
        token: Token<'_>,
        clients: &'a HashMap<String, (SecretDigest, Arc<Client>)>,
        now: DateTime<Utc>,
    ) -> Result<&'a Arc<Client>, Rejected> {
        token.verify_hmac(&self.key)?;
        let claims = token.claims(SELF, SELF, now)?;
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        let known = text("sub").and_then(|id| clients.get(id));
        let (secret, client) = known.ok_or(Rejected::Signature)?;
        if text("sec") != Some(&generation(secret)) {
            return Err(Rejected::Signature);
        }
        Ok(client)
    }
}

/// Tells a secret from the one before it, and nothing about either.
fn generation(secret: &SecretDigest) -> String {
    let digest = Sha256::digest(secret.0);
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl std::fmt::Debug for OwnTokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OwnTokens").finish_non_exhaustive()
    }
}
