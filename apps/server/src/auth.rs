//! Authentication of requests: API keys, HTTP Basic, tokens of this server and of other issuers, and client certificates.
//!
//! Secrets are known by their SHA-256 only, and compared in a time that tells nothing. Each caller is a client of the
//! configuration; what it may do is decided by [`ClientSettings`].

mod certificate;
mod client;
mod issuers;
mod jwt;
mod own_tokens;
mod secrets;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use base64::{Engine, engine::general_purpose::STANDARD};
use flowlake_data_action::{
    Action, ActionError, CALLER_PARAM, ClientSettings, Clock, Environment, ErrorCode, Gauge,
    ServerKey, ServerSettings, SystemClock, TokenMatch,
};
use serde_json::{Map, Value};

use self::{
    client::Client,
    issuers::{Issuer, PAUSE},
    jwt::{Rejected, Token},
    own_tokens::{IssuedToken, OwnTokens},
    secrets::{SecretDigest, Secrets, is_long},
};
use crate::{failures::Reason, peer::Peer};

/// The caller's name in records where no credentials are required and none were sent.
const ANONYMOUS: &str = "anonymous";

/// Everybody who may call.
#[derive(Debug)]
pub struct Callers {
    required: bool,
    anonymous: Arc<Client>,
    clients: Vec<Arc<Client>>,
    keys: Secrets<Arc<Client>>,
    basic: HashMap<String, (SecretDigest, Arc<Client>)>,
    oauth: HashMap<String, (SecretDigest, Arc<Client>)>,
    own_tokens: OwnTokens,
    issuers: Vec<Arc<Issuer>>,
    clock: Arc<dyn Clock>,
    /// Those from before a reload, while it is made.
    known_clients: Vec<Arc<Client>>,
    /// Secrets and files that the configuration names, by the keys that name them.
    named: BTreeMap<String, SecretDigest>,
}

/// The client that sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Identified {
    pub(crate) client: Arc<Client>,
    /// What the parameter `caller` is, in actions that have it.
    pub(crate) caller: String,
}

/// Nobody of them sent a request.
#[derive(Debug)]
pub(crate) struct Unidentified {
    pub(crate) reason: Reason,
    pub(crate) error: ActionError,
}

impl Callers {
    /// Reads whom the configuration names.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when a secret is missing, two are the same, a client cannot prove itself or has a name of another
    /// or of ours, or when credentials are required and nobody has any.
    pub fn load(
        settings: &ServerSettings,
        environment: &dyn Environment,
    ) -> Result<Self, ActionError> {
        Self::load_after(None, settings, environment)
    }

    /// The same in place of others. Clients that did not change keep what they have used of their rate and room, tokens that were
    /// given stay valid, and keys of issuers that are known are not asked for again.
    ///
    /// # Errors
    /// Those of [`Self::load`].
    pub(crate) fn reloaded(
        &self,
        settings: &ServerSettings,
        environment: &dyn Environment,
    ) -> Result<Self, ActionError> {
        Self::load_after(Some(self), settings, environment)
    }

    fn load_after(
        previous: Option<&Self>,
        settings: &ServerSettings,
        environment: &dyn Environment,
    ) -> Result<Self, ActionError> {
        if settings.require_key && settings.keys.is_empty() && settings.clients.is_empty() {
            return Err(invalid(
                "the server requires credentials and no client is configured".to_owned(),
                "Add [[server.clients]], or set `require_key = false` behind a gateway.",
            )
            .at_key(["server"]));
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let issuers = settings.issuers.iter();
        let issuers = issuers.map(|issuer| {
            let mut known = previous.iter().flat_map(|previous| &previous.issuers);
            match known.find(|known| known.is_current(issuer)) {
                Some(known) => Ok(Arc::clone(known)),
                None => Issuer::try_new(issuer.clone(), Arc::clone(&clock)).map(Arc::new),
            }
            .map_err(|error: ActionError| error.at_key(["server", "issuers"]))
        });
        let known_clients = previous.map(|previous| previous.clients.clone());
        let mut callers = Self {
            required: settings.require_key,
            anonymous: Client::new(ClientSettings::unbound(ANONYMOUS), &clock),
            clients: Vec::new(),
            keys: Secrets::default(),
            basic: HashMap::new(),
            oauth: HashMap::new(),
            own_tokens: OwnTokens::load(
                &settings.tokens,
                environment,
                previous.map(|previous| &previous.own_tokens),
            )
            .map_err(|error| error.at_key(["server", "tokens", "signing_key"]))?,
            issuers: issuers.collect::<Result<_, _>>()?,
            clock,
            known_clients: known_clients.unwrap_or_default(),
            named: BTreeMap::new(),
        };
        for key in &settings.keys {
            let added = callers.add_server_key(key, environment);
            added.map_err(|error| error.at_key(["server", "keys", &key.name]))?;
        }
        if let Some(digest) = &callers.own_tokens.digest {
            let named = "server.tokens.signing_key".to_owned();
            callers.named.insert(named, digest.clone());
        }
        for issuer in &callers.issuers {
            if let Some(digest) = issuer.file() {
                let named = format!("server.issuers.{}.jwks_file", issuer.name());
                callers.named.insert(named, digest.clone());
            }
        }
        let certificates = settings
            .tls
            .as_ref()
            .is_some_and(|tls| tls.client_roots.is_some());
        for client in &settings.clients {
            let added = callers.add_client(client, certificates);
            added.map_err(|error| error.at_key(["server", "clients", &client.name]))?;
        }
        callers.known_clients.clear();
        Ok(callers)
    }

    /// The keys of the configuration that name a secret or a file whose content is another in `new`.
    pub(crate) fn renewed(&self, new: &Self) -> Vec<String> {
        let renewed = self.named.iter().filter(|(key, digest)| {
            let new = new.named.get(*key);
            new.is_some_and(|new| new != *digest)
        });
        renewed.map(|(key, _)| key.clone()).collect()
    }

    fn add_server_key(
        &mut self,
        key: &ServerKey,
        environment: &dyn Environment,
    ) -> Result<(), ActionError> {
        let secret = key.secret.read(environment)?;
        if !is_long(secret.expose()) {
            return Err(invalid(
                format!("the key `{}` in [[server.keys]] is too short", key.name),
                "Make one with `openssl rand -hex 32`: at least 16 characters are needed.",
            ));
        }
        let client = self.add(ClientSettings::unbound(&key.name))?;
        let digest = SecretDigest::of(secret.expose());
        let named = format!("server.keys.{}.secret", key.name);
        self.named.insert(named, digest.clone());
        self.add_key(digest, &client)
    }

    fn add_client(
        &mut self,
        settings: &ClientSettings,
        certificates: bool,
    ) -> Result<(), ActionError> {
        let name = &settings.name;
        let client = self.add(settings.clone())?;
        for key in &settings.keys_sha256 {
            self.add_key(SecretDigest(key.0), &client)?;
        }
        let taken = |what: &str| {
            let message = format!("{what} of the client `{name}` is another client's too");
            invalid(message, "Give each client its own.")
        };
        if let Some(basic) = &settings.basic {
            let entry = (SecretDigest(basic.password_sha256.0), Arc::clone(&client));
            if self.basic.insert(basic.user.clone(), entry).is_some() {
                return Err(taken("the user"));
            }
        }
        if let Some(oauth) = &settings.oauth {
            let entry = (SecretDigest(oauth.secret_sha256.0), Arc::clone(&client));
            if self.oauth.insert(oauth.client_id.clone(), entry).is_some() {
                return Err(taken("the client id"));
            }
        }
        for token in &settings.tokens {
            if !self
                .issuers
                .iter()
                .any(|issuer| issuer.name() == token.issuer)
            {
                return Err(invalid(
                    format!(
                        "the client `{name}` names the issuer {}, which is none",
                        token.issuer
                    ),
                    "Add it to [[server.issuers]].",
                ));
            }
            if token.claims.is_empty() {
                return Err(invalid(
                    format!(
                        "the client `{name}` would be everybody with a token of {}",
                        token.issuer
                    ),
                    "Name claims that only its tokens have, such as `claims = { sub = \"…\" }`.",
                ));
            }
        }
        if !settings.certificates.is_empty() && !certificates {
            return Err(invalid(
                format!("the client `{name}` has certificates, and no caller is asked for one"),
                "Set `client_roots` in [server.tls].",
            ));
        }
        let proofs =
            settings.keys_sha256.len() + settings.tokens.len() + settings.certificates.len();
        if proofs == 0 && settings.basic.is_none() && settings.oauth.is_none() {
            return Err(invalid(
                format!("the client `{name}` has nothing to prove itself with"),
                "Give it `keys_sha256`, `basic`, `oauth`, `tokens` or `certificates`.",
            ));
        }
        Ok(())
    }

    fn add(&mut self, settings: ClientSettings) -> Result<Arc<Client>, ActionError> {
        let name = &settings.name;
        check_name(name)?;
        if self
            .clients
            .iter()
            .any(|other| other.settings.name == *name)
        {
            return Err(invalid(
                format!("two clients in [server] are named `{name}`"),
                "Give each a name of its own: it tells callers apart in the audit log.",
            ));
        }
        let mut known = self.known_clients.iter();
        let client = match known.find(|known| known.settings == settings) {
            Some(known) => Arc::clone(known),
            None => Client::new(settings, &self.clock),
        };
        self.clients.push(Arc::clone(&client));
        Ok(client)
    }

    fn add_key(&mut self, digest: SecretDigest, client: &Arc<Client>) -> Result<(), ActionError> {
        match self.keys.add(digest, Arc::clone(client)) {
            None => Ok(()),
            Some(other) => Err(invalid(
                format!(
                    "the keys of `{}` and `{}` are the same",
                    other.settings.name, client.settings.name
                ),
                "Give each caller a key of its own, so that records name the right one.",
            )),
        }
    }

    /// Determines the client that sent a request with these headers over a connection of this peer.
    pub(crate) async fn identify(
        &self,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Identified, Unidentified> {
        let found = match headers.get(AUTHORIZATION) {
            Some(sent) => self.by_header(sent).await,
            None => self.by_certificate(peer),
        };
        match found {
            Err(_) if !self.required => Ok(Identified {
                client: Arc::clone(&self.anonymous),
                caller: ANONYMOUS.to_owned(),
            }),
            found => found,
        }
    }

    async fn by_header(&self, sent: &HeaderValue) -> Result<Identified, Unidentified> {
        let (scheme, sent) = sent
            .to_str()
            .ok()
            .and_then(|sent| sent.split_once(' '))
            .ok_or_else(unknown)?;
        let sent = sent.trim();
        // Schemes are compared without regard to case (RFC 9110, section 11.1).
        if scheme.eq_ignore_ascii_case("bearer") {
            if let Some(client) = self.keys.find(sent) {
                return Ok(identified(client));
            }
            return match Token::parse(sent) {
                Ok(token) => self.by_token(token).await,
                Err(_) => Err(unknown()),
            };
        }
        if scheme.eq_ignore_ascii_case("basic") {
            let (user, password) = user_and_password(sent).ok_or_else(unknown)?;
            return proved(&self.basic, &user, &password)
                .map(identified)
                .ok_or_else(unknown);
        }
        Err(unknown())
    }

    async fn by_token(&self, token: Token<'_>) -> Result<Identified, Unidentified> {
        let now = self.clock.now();
        if token.is_symmetric() {
            let client = self.own_tokens.client(token, &self.oauth, now);
            return client.map(identified).map_err(rejected);
        }
        let named = token.issuer();
        let issuer = self
            .issuers
            .iter()
            .find(|issuer| Some(issuer.name()) == named);
        let issuer = issuer.ok_or_else(|| rejected(Rejected::Audience))?;
        let claims = issuer.claims(token, now).await.map_err(rejected)?;
        let has = |wanted: &TokenMatch| {
            wanted.issuer == issuer.name()
                && wanted
                    .claims
                    .iter()
                    .all(|(name, value)| claims.get(name) == Some(value))
        };
        let mut clients = self.clients.iter();
        let client = clients.find(|client| client.settings.tokens.iter().any(has));
        let client = client.ok_or_else(unknown)?;
        let mut found = identified(client);
        if let Some(claim) = issuer.caller_claim() {
            // A token that does not say who asks must not be taken for one of somebody.
            let caller = claims.get(claim).and_then(Value::as_str);
            caller.ok_or_else(unknown)?.clone_into(&mut found.caller);
        }
        Ok(found)
    }

    fn by_certificate(&self, peer: &Peer) -> Result<Identified, Unidentified> {
        let Some(certificate) = peer.certificate() else {
            return Err(Unidentified {
                reason: Reason::None,
                error: unauthorized("the request carries no credentials"),
            });
        };
        let mut clients = self.clients.iter();
        let fits = |client: &&Arc<Client>| {
            let mut wanted = client.settings.certificates.iter();
            wanted.any(|wanted| certificate::fits(certificate, wanted))
        };
        clients.find(fits).map(identified).ok_or_else(unknown)
    }

    /// A token for the client with this id and secret.
    pub(crate) fn issue_token(&self, client_id: &str, secret: &str) -> Option<(IssuedToken, &str)> {
        let client = proved(&self.oauth, client_id, secret)?;
        let (digest, _) = self.oauth.get(client_id)?;
        let token = self.own_tokens.make(client_id, digest, self.clock.now());
        Some((token, &client.settings.name))
    }

    /// What a refusal tells in `WWW-Authenticate`: one header for each scheme that somebody could use.
    pub(crate) fn challenges(&self) -> impl Iterator<Item = HeaderValue> {
        let basic =
            (!self.basic.is_empty()).then_some("Basic realm=\"flowlake\", charset=\"UTF-8\"");
        [Some("Bearer realm=\"flowlake\""), basic]
            .into_iter()
            .flatten()
            .map(HeaderValue::from_static)
    }

    /// The issuers that did not give their keys when they were asked last, for operators.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let failing = self.issuers.iter().filter(|issuer| issuer.is_failing());
        failing.map(|issuer| {
            let name = issuer.name();
            if issuer.has_keys() {
                format!(
                    "the issuer {name} does not give its keys: those of before are used for a day"
                )
            } else {
                format!("the issuer {name} does not give its keys: its tokens are refused with 503")
            }
        })
    }

    /// What monitoring reads.
    pub(crate) fn gauges(&self) -> [Gauge; 1] {
        let values = self.issuers.iter().map(|issuer| {
            let labels = vec![("issuer", issuer.name().to_owned())];
            (labels, f64::from(u8::from(issuer.is_failing())))
        });
        [Gauge {
            name: "flowlake_issuer_failing",
            help: "Whether an issuer of tokens did not give its keys when it was asked last.",
            values: values.collect(),
        }]
    }

    /// Asks for the keys of issuers again, where it is time.
    pub(crate) async fn refresh(&self) {
        for issuer in &self.issuers {
            issuer.refresh().await;
        }
    }
}

impl Identified {
    /// The parameters of a request of this caller for an action; of one that does not exist, whether the caller may know that.
    pub(crate) fn bind(
        &self,
        action: Option<&Action>,
        params: Map<String, Value>,
    ) -> Result<Map<String, Value>, ActionError> {
        let settings = &self.client.settings;
        match action {
            Some(action) => settings.bind(action.definition(), &self.caller, params),
            None => settings.may_know_all().map(|()| params),
        }
    }
}

fn identified(client: &Arc<Client>) -> Identified {
    Identified {
        caller: client.settings.name.clone(),
        client: Arc::clone(client),
    }
}

/// The client with this id and secret. An unknown id takes as long as a known one, so that timing reveals no ids.
fn proved<'a>(
    known: &'a HashMap<String, (SecretDigest, Arc<Client>)>,
    id: &str,
    secret: &str,
) -> Option<&'a Arc<Client>> {
    let found = known.get(id);
    let nobody = SecretDigest([0; 32]);
    let digest = found.map_or(&nobody, |(digest, _)| digest);
    let is_right = digest.is_of(secret);
    found.filter(|_| is_right).map(|(_, client)| client)
}

/// The two parts of the credentials of HTTP Basic (RFC 7617).
pub(crate) fn user_and_password(sent: &str) -> Option<(String, String)> {
    let text = String::from_utf8(STANDARD.decode(sent).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn unknown() -> Unidentified {
    Unidentified {
        reason: Reason::Wrong,
        error: unauthorized("the credentials are not known here"),
    }
}

fn rejected(why: Rejected) -> Unidentified {
    let message = match why {
        Rejected::Unavailable => return undecided(),
        Rejected::Time => "the token is not valid at this time",
        Rejected::Audience => "the token is of another issuer or for another audience",
        Rejected::Malformed | Rejected::Signature => "the credentials are not known here",
    };
    Unidentified {
        reason: Reason::Wrong,
        error: unauthorized(message),
    }
}

/// A token that may be right: nobody guesses credentials with it, so it is neither counted nor slowed.
fn undecided() -> Unidentified {
    let error = ActionError::new(
        ErrorCode::IssuerUnavailable,
        "the token cannot be verified: its issuer does not give its keys",
        "Try again; if it lasts, check that `jwks_url` of the issuer can be reached from the server.",
    );
    Unidentified {
        reason: Reason::Undecided,
        error: error.with_retry_after(Some(PAUSE)),
    }
}

fn unauthorized(message: &str) -> ActionError {
    ActionError::new(
        ErrorCode::Unauthorized,
        message,
        "Send credentials of a client that [[server.clients]] or [[server.keys]] names, such as `Authorization: Bearer KEY`.",
    )
}

/// Refuses a name that audit records could not tell from a caller of ours: without a key, from the command line, or flowlake itself.
fn check_name(name: &str) -> Result<(), ActionError> {
    if name.trim().is_empty() {
        return Err(invalid(
            "a client in [server] has no name".to_owned(),
            "Name who it is, such as `genesys-production`.",
        ));
    }
    if name == ANONYMOUS
        || name == CALLER_PARAM
        || name.starts_with('(')
        || name.starts_with("cli:")
    {
        return Err(invalid(
            format!("`{name}` in [server] is a name that flowlake uses itself"),
            "Choose another name: `anonymous`, `caller`, and what begins with `cli:` or `(`, are taken.",
        ));
    }
    Ok(())
}

fn invalid(message: String, advice: &str) -> ActionError {
    ActionError::new(ErrorCode::ConfigInvalid, message, advice)
}

#[cfg(test)]
mod tests;
