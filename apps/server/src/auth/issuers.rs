//! Issuers of tokens: their public keys, cached for a time and then fetched again.

use std::{
    fmt, fs,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use flowlake_data_action::{ActionError, Clock, ErrorCode, IssuerSettings};
use reqwest::{Client, Url};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::{
    jwt::{PublicKey, Rejected, Token},
    secrets::SecretDigest,
};

/// How long keys are used before they are asked for again.
const FRESH: Duration = Duration::from_secs(300);

/// How long they are used when the issuer does not answer.
const USABLE: Duration = Duration::from_secs(24 * 3600);

/// The wait before an issuer is asked again, whether or not it answered: tokens with made-up key ids must not make a flood.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// The longest wait for an issuer.
const FETCH_LIMIT: Duration = Duration::from_secs(5);

/// The largest set of keys.
const LARGEST: usize = 256 << 10;

/// One issuer.
pub(super) struct Issuer {
    settings: IssuerSettings,
    source: Source,
    clock: Arc<dyn Clock>,
    keys: RwLock<CachedKeys>,
    /// When the issuer was asked last; held while it is asked.
    asked: Mutex<Option<Instant>>,
    /// Whether it gave no keys when it was asked last.
    is_failing: AtomicBool,
}

enum Source {
    File(SecretDigest),
    Url(Client, Url),
}

#[derive(Default)]
struct CachedKeys {
    keys: Arc<[Key]>,
    fetched: Option<Instant>,
}

/// A key of a set.
#[derive(Debug, Clone)]
struct Key {
    id: Option<String>,
    algorithm: Option<String>,
    key: PublicKey,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    crv: Option<String>,
    alg: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Issuer {
    /// Whether it is one of these settings, with keys that were asked for and need not be asked for again.
    pub(super) fn is_current(&self, settings: &IssuerSettings) -> bool {
        matches!(self.source, Source::Url(..)) && self.settings == *settings
    }

    /// An issuer whose keys come from a file, which is read here, or from an address, which is asked when a token needs it.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`].
    pub(super) fn try_new(
        settings: IssuerSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ActionError> {
        let invalid = |what: String| {
            ActionError::new(
                ErrorCode::ConfigInvalid,
                format!(
                    "the issuer {} in [[server.issuers]] {what}",
                    settings.issuer
                ),
                "Name its keys by `jwks_url`, an https address, or by `jwks_file`, and its tokens' `audience`.",
            )
        };
        if settings.issuer.is_empty() || settings.audience.is_empty() {
            return Err(invalid("lacks `issuer` or `audience`".to_owned()));
        }
        let mut cached = CachedKeys::default();
        let source = match (&settings.jwks_url, &settings.jwks_file) {
            (Some(url), None) => {
                let url =
                    Url::parse(url).map_err(|error| invalid(format!("has no URL: {error}")))?;
                let is_loopback =
                    matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
                if url.scheme() != "https" && !is_loopback {
                    return Err(invalid("would be asked in the clear".to_owned()));
                }
                let client = Client::builder()
                    .timeout(FETCH_LIMIT)
                    .redirect(reqwest::redirect::Policy::none())
                    .build()
                    .map_err(|error| invalid(format!("cannot be asked: {error}")))?;
                Source::Url(client, url)
            }
            (None, Some(path)) => {
                let content = fs::read(path).map_err(|error| {
                    invalid(format!("has a `jwks_file` that cannot be read: {error}"))
                })?;
                cached.keys = parse(&content).ok_or_else(|| {
                    invalid("has a `jwks_file` that is no set of keys".to_owned())
                })?;
                Source::File(SecretDigest::of(&content))
            }
            _ => {
                return Err(invalid(
                    "has not one of `jwks_url` and `jwks_file`".to_owned(),
                ));
            }
        };
        Ok(Self {
            settings,
            source,
            clock,
            keys: RwLock::new(cached),
            asked: Mutex::new(None),
            is_failing: AtomicBool::new(false),
        })
    }

    /// What its tokens name it.
    pub(super) fn name(&self) -> &str {
        &self.settings.issuer
    }

    /// The digest of the file with its keys, if it has one.
    pub(super) const fn file(&self) -> Option<&SecretDigest> {
        match &self.source {
            Source::File(digest) => Some(digest),
            Source::Url(..) => None,
        }
    }

    /// The claim that says who asks.
    pub(super) fn caller_claim(&self) -> Option<&str> {
        self.settings.caller_claim.as_deref()
    }

    /// The claims of a token of this issuer.
    pub(super) async fn claims(
        &self,
        token: Token<'_>,
        now: DateTime<Utc>,
    ) -> Result<Map<String, Value>, Rejected> {
        if self.verify(&token).is_err() {
            // The issuer may have a new key.
            self.fetch().await;
            // While it does not answer, a token of a key that is not known may be right.
            let is_known = |key: &Key| key.id.as_deref() == token.key_id();
            self.verify(&token).map_err(|wrong| {
                if self.is_failing() && !self.usable().iter().any(is_known) {
                    Rejected::Unavailable
                } else {
                    wrong
                }
            })?;
        }
        token.claims(&self.settings.issuer, &self.settings.audience, now)
    }

    /// Whether it gave no keys when it was asked last.
    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Relaxed)
    }

    /// Whether tokens can be verified: keys are known that are not too old.
    pub(super) fn has_keys(&self) -> bool {
        !self.usable().is_empty()
    }

    fn verify(&self, token: &Token<'_>) -> Result<(), Rejected> {
        let keys = self.usable();
        let named = keys.iter().filter(|key| match token.key_id() {
            Some(id) => key.id.as_deref() == Some(id),
            None => keys.len() == 1,
        });
        let fitting = named.filter(|key| {
            key.algorithm
                .as_deref()
                .is_none_or(|algorithm| token.has_algorithm(algorithm))
        });
        for key in fitting {
            if token.verify(&key.key).is_ok() {
                return Ok(());
            }
        }
        Err(Rejected::Signature)
    }

    fn usable(&self) -> Arc<[Key]> {
        let cached = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let is_old = cached.fetched.is_some_and(|fetched| {
            self.clock.instant().saturating_duration_since(fetched) > USABLE
        });
        if is_old {
            Arc::default()
        } else {
            Arc::clone(&cached.keys)
        }
    }

    /// Asks for the keys when they are not fresh.
    pub(super) async fn refresh(&self) {
        let fetched = self
            .keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .fetched;
        let is_fresh = fetched
            .is_some_and(|fetched| self.clock.instant().saturating_duration_since(fetched) < FRESH);
        if !is_fresh {
            self.fetch().await;
        }
    }

    /// Asks for the keys, at most once in a while. Requests that come meanwhile wait for them.
    async fn fetch(&self) {
        let Source::Url(client, url) = &self.source else {
            return;
        };
        let mut asked = self.asked.lock().await;
        let now = self.clock.instant();
        if asked.is_some_and(|asked| now.saturating_duration_since(asked) < PAUSE) {
            return;
        }
        *asked = Some(now);
        let downloaded = download(client, url).await;
        self.is_failing.store(downloaded.is_none(), Relaxed);
        match downloaded {
            Some(keys) => {
                let mut cached = self.keys.write().unwrap_or_else(PoisonError::into_inner);
                *cached = CachedKeys {
                    keys,
                    fetched: Some(now),
                };
            }
            None => {
                tracing::warn!(
                    issuer = self.settings.issuer,
                    "the keys of an issuer cannot be had: those of before stay"
                );
            }
        }
    }
}

async fn download(client: &Client, url: &Url) -> Option<Arc<[Key]>> {
    let mut response = client
        .get(url.clone())
        .send()
        .await
        .ok()?
        .error_for_status()
        .ok()?;
    let mut content = Vec::new();
    while let Some(part) = response.chunk().await.ok()? {
        if content.len() + part.len() > LARGEST {
            return None;
        }
        content.extend_from_slice(&part);
    }
    parse(&content)
}

/// The keys of a set that can verify tokens; what is for something else is left out, as RFC 7517 says. A set without any is taken for
/// a failure of the issuer: with none, each token would be refused as if it were forged.
fn parse(content: &[u8]) -> Option<Arc<[Key]>> {
    let set: KeySet = serde_json::from_slice(content).ok()?;
    let keys = set.keys.into_iter().filter_map(|key| {
        let jwk: Jwk = serde_json::from_value(key).ok()?;
        if jwk
            .purpose
            .as_deref()
            .is_some_and(|purpose| purpose != "sig")
        {
            return None;
        }
        let decode = |part: &Option<String>| URL_SAFE_NO_PAD.decode(part.as_ref()?).ok();
        let point = |length: usize| {
            let (x, y) = (decode(&jwk.x)?, decode(&jwk.y)?);
            (x.len() == length && y.len() == length).then(|| [&[4][..], &x, &y].concat())
        };
        let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => PublicKey::Rsa {
                n: decode(&jwk.n)?,
                e: decode(&jwk.e)?,
            },
            ("EC", Some("P-256")) => PublicKey::P256(point(32)?),
            ("EC", Some("P-384")) => PublicKey::P384(point(48)?),
            ("OKP", Some("Ed25519")) => PublicKey::Ed25519(decode(&jwk.x)?),
            _ => return None,
        };
        Some(Key {
            id: jwk.kid,
            algorithm: jwk.alg,
            key,
        })
    });
    let keys: Arc<[Key]> = keys.collect();
    (!keys.is_empty()).then_some(keys)
}

impl fmt::Debug for Issuer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Issuer")
            .field("issuer", &self.settings.issuer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_set_without_a_key_to_verify_with_is_none() {
        let key = |purpose: &str| {
            format!(r#"{{"kty":"RSA","kid":"1","use":"{purpose}","n":"AQAB","e":"AQAB"}}"#)
        };
        let set = |keys: &str| format!(r#"{{"keys":[{keys}]}}"#);
        assert_eq!(parse(set(&key("sig")).as_bytes()).unwrap().len(), 1);
        for none in [
            set(""),
            set(&key("enc")),
            "{}".to_owned(),
            "<html>".to_owned(),
        ] {
            assert!(parse(none.as_bytes()).is_none(), "{none}");
        }
    }
}
