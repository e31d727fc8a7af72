//! Who may run what: the clients of `[[server.clients]]`, their actions, and the parameters that they cannot choose.
//!
//! How a client proves itself is the application's matter; what it may do then is decided here, for the server and for
//! `flowlake access explain`.

use std::{collections::BTreeMap, fmt::Write as _, num::NonZero, path::PathBuf, sync::Arc};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Action, ActionDefinition, ActionError, ErrorCode};

/// The parameter that holds who asks, in every action that declares it: no request can set it.
pub const CALLER_PARAM: &str = "caller";

/// One `[[server.clients]]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientSettings {
    /// Who it is, such as `genesys-production`; written into audit records.
    pub name: String,
    /// API keys, each as the SHA-256 of its text in hexadecimal; sent as `Authorization: Bearer KEY`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub keys_sha256: Vec<Sha256Hex>,
    /// A user and password of HTTP Basic.
    #[serde(default)]
    pub basic: Option<BasicSettings>,
    /// The id and secret that tokens of this server's own are given for, at `/oauth/token`.
    #[serde(default)]
    pub oauth: Option<OAuthClientSettings>,
    /// Tokens of other issuers that stand for the client.
    #[serde(default)]
    pub tokens: Vec<TokenMatch>,
    /// Certificates that stand for the client.
    #[serde(default)]
    pub certificates: Vec<CertificateMatch>,
    /// The actions that it may run; `*` at the end of a name stands for any rest. Left out: all.
    #[serde(default)]
    pub actions: Option<Vec<String>>,
    /// Parameters that are set for it, whatever it sends. An action that does not have all of them is not for this client.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// How many requests it may send.
    #[serde(default)]
    pub rate: Option<RateSettings>,
    /// How many of its requests may run at a time. Left out: as many as of all clients.
    #[serde(default)]
    pub max_concurrent_requests: Option<usize>,
    /// Its share of the queue for reads, compared with those of other clients that wait. Left out: 1.
    #[serde(default)]
    pub weight: Option<NonZero<u32>>,
}

/// The SHA-256 of a secret, as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Sha256Hex(pub [u8; 32]);

/// `basic = { user = "…", password_sha256 = "…" }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicSettings {
    /// The user.
    pub user: String,
    /// The password.
    #[schemars(with = "String")]
    pub password_sha256: Sha256Hex,
}

/// `oauth = { client_id = "…", secret_sha256 = "…" }`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuthClientSettings {
    /// The client id.
    pub client_id: String,
    /// The client secret.
    #[schemars(with = "String")]
    pub secret_sha256: Sha256Hex,
}

/// A token of one of `[[server.issuers]]` whose claims have these values.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenMatch {
    /// The issuer.
    pub issuer: String,
    /// Claims and the text that each has to have; at least one.
    pub claims: Map<String, Value>,
}

/// A certificate that one of the roots of `[server.tls]` vouches for.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum CertificateMatch {
    /// A DNS name or an IP address of its alternative names.
    San(String),
    /// Its subject, such as `O=Contact Centre,CN=flows`: every part, in the order of the certificate.
    Subject(String),
}

/// `rate = { per_minute = 300, burst = 50 }`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateSettings {
    /// Requests in a minute, evenly.
    pub per_minute: u32,
    /// Requests at once, after a pause.
    pub burst: u32,
}

/// `[[server.issuers]]`: who makes tokens that are taken.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// What `iss` says.
    pub issuer: String,
    /// What `aud` has to say, or to contain.
    pub audience: String,
    /// Where its public keys are; left out: those of `jwks_file`.
    #[serde(default)]
    pub jwks_url: Option<String>,
    /// A file of its public keys.
    #[serde(default)]
    pub jwks_file: Option<PathBuf>,
    /// The claim that becomes the parameter `caller`; left out: the client's name does.
    #[serde(default)]
    pub caller_claim: Option<String>,
}

impl TryFrom<String> for Sha256Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let mut digest = [0; 32];
        let digits = text.as_bytes();
        let is_hex = digits.len() == 64 && digits.iter().all(u8::is_ascii_hexdigit);
        if !is_hex {
            // It is not repeated: it may be the secret itself.
            return Err("a SHA-256 has 64 hexadecimal digits");
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let value = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
            *byte = u8::try_from(value(pair[0]) << 4 | value(pair[1])).unwrap_or_default();
        }
        Ok(Self(digest))
    }
}

impl ClientSettings {
    /// A client that may run every action with any parameters.
    #[must_use]
    pub fn unbound(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// Its share of the queue for reads.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight.map_or(1, NonZero::get)
    }

    /// Whether it may run the action.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], with the reason.
    pub fn may_run(&self, action: &ActionDefinition) -> Result<(), ActionError> {
        self.may_name(&action.name)?;
        if let Some(missing) = self
            .params
            .keys()
            .find(|name| !action.params.contains_key(*name))
        {
            return Err(self.forbidden(
&format!(
                    "is bound to a value of the parameter `{missing}`, which the action `{}` does not have",
                    action.name
                ),
                "Declare the parameter in the action and use it in its SQL, or list other actions for the client.",
            ));
        }
        Ok(())
    }

    fn may_name(&self, action: &str) -> Result<(), ActionError> {
        match self.pattern(action) {
            Some(_) => Ok(()),
            None => Err(self.forbidden(
                "may not run this action",
                "Ask for it to be listed in `actions` of the client in [[server.clients]].",
            )),
        }
    }

    /// Whether it may know which actions there are, and what all callers do.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`] when it may run some actions only.
    pub fn may_know_all(&self) -> Result<(), ActionError> {
        if self.actions.is_none() {
            return Ok(());
        }
        Err(self.forbidden(
            "may not see this, or it does not exist",
            "Ask with the credentials of a client that may run all actions.",
        ))
    }

    /// Checks what it says about actions: each that it lists exists, and its fixed parameters are such as its actions have.
    /// Of an action in `broken` nothing is known but its name.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] for what can never be meant.
    pub(crate) fn check(
        &self,
        actions: &BTreeMap<String, Arc<Action>>,
        broken: &BTreeMap<String, ActionError>,
        now: DateTime<Utc>,
    ) -> Result<(), ActionError> {
        let invalid = |what: String, advice: &str| {
            let message = format!("the client `{}` {what}", self.name);
            ActionError::new(ErrorCode::ConfigInvalid, message, advice)
        };
        let at = |error: ActionError, key: &str| {
            Err(error.at_key(["server", "clients", &self.name, key]))
        };
        for listed in self.actions.iter().flatten() {
            if listed == "*" {
                continue;
            }
            let is_listed = |name: &String| names(listed, name);
            if !actions.keys().chain(broken.keys()).any(is_listed) {
                let unknown = invalid(
                    format!("lists `{listed}`, which is no action"),
                    "Use the `name` of an action file, or its begin and `*`.",
                );
                return at(unknown, "actions");
            }
            if let Some(action) = actions.get(listed)
                && let Err(error) = self.may_run(&action.definition)
            {
                let unusable =
                    ActionError::new(ErrorCode::ConfigInvalid, error.message(), error.advice());
                return at(unusable, "actions");
            }
        }
        let own = actions
            .values()
            .filter(|action| self.pattern(action.name()).is_some());
        let own: Vec<_> = own.collect();
        let (usable, others): (Vec<&Arc<Action>>, Vec<&Arc<Action>>) = own
            .iter()
            .copied()
            .partition(|action| self.may_run(&action.definition).is_ok());
        let may_run_broken = broken.keys().any(|name| self.pattern(name).is_some());
        if usable.is_empty() && !others.is_empty() && !may_run_broken {
            let has = |name: &&String| {
                let mut own = own.iter();
                own.any(|action| action.definition.params.contains_key(*name))
            };
            let stray = self.params.keys().find(|name| !has(name));
            let what = stray.map_or_else(
                || "may run no action: none has all of its fixed parameters".to_owned(),
                |stray| format!("has the fixed parameter `{stray}`, which none of its actions has"),
            );
            let stray = invalid(
                what,
                "Correct `params`, or declare the parameter in the actions.",
            );
            return at(stray, "params");
        }
        for action in usable {
            if let Err(error) = action.prepared.check_values(&self.params, now) {
                let unfit = invalid(
                    format!("can never run the action `{}`: {error}", action.name()),
                    "Correct `params`, or list other actions for the client.",
                );
                return at(unfit, "params");
            }
        }
        Ok(())
    }

    /// Whether its requests choose the parameter.
    #[must_use]
    pub fn may_choose(&self, param: &str) -> bool {
        param != CALLER_PARAM && !self.params.contains_key(param)
    }

    /// Which of its patterns names the action; `*` when it may run all.
    #[must_use]
    pub fn pattern(&self, action: &str) -> Option<&str> {
        let Some(patterns) = &self.actions else {
            return Some("*");
        };
        let mut patterns = patterns.iter().map(String::as_str);
        patterns.find(|pattern| names(pattern, action))
    }

    /// The parameters of a request of this client, with those that it cannot choose.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`] when the action is not for it, or when the request sets a parameter that it cannot choose to
    /// another value.
    pub fn bind(
        &self,
        action: &ActionDefinition,
        caller: &str,
        mut params: Map<String, Value>,
    ) -> Result<Map<String, Value>, ActionError> {
        self.may_run(action)?;
        let caller = action
            .params
            .contains_key(CALLER_PARAM)
            .then(|| (CALLER_PARAM.to_owned(), Value::from(caller)));
        let fixed = self
            .params
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()));
        // Fixed last: a client may be bound to another name than its own.
        for (name, value) in caller
            .into_iter()
            .filter(|(name, _)| !self.params.contains_key(name))
            .chain(fixed)
        {
            if let Some(sent) = params.get(&name)
                && *sent != value
            {
                return Err(self.forbidden(
                    &format!("cannot choose the parameter `{name}`"),
                    "Leave it out: the server sets it.",
                ));
            }
            params.insert(name, value);
        }
        Ok(params)
    }

    /// Why the client may run the action, in sentences for people.
    ///
    /// # Errors
    /// Those of [`Self::may_run`].
    pub fn explain(&self, action: &ActionDefinition) -> Result<String, ActionError> {
        self.may_run(action)?;
        let mut text = format!("{} may run {}.\n", self.name, action.name);
        let pattern = self.pattern(&action.name).unwrap_or_default();
        let why = match &self.actions {
            None => "it lists no actions, and so may run all".to_owned(),
            Some(_) => format!("`{pattern}` is listed in its actions"),
        };
        let _ = writeln!(text, "  action: {why}");
        for (name, value) in &self.params {
            let _ = writeln!(text, "  parameter {name}: always {value}");
        }
        if action.params.contains_key(CALLER_PARAM) && !self.params.contains_key(CALLER_PARAM) {
            let _ = writeln!(
                text,
                "  parameter {CALLER_PARAM}: who asks, set by the server"
            );
        }
        let _ = writeln!(text, "  proves itself by: {}", self.proofs().join(", "));
        if let Some(rate) = self.rate {
            let _ = writeln!(
                text,
                "  rate: {} requests a minute, {} at once",
                rate.per_minute, rate.burst
            );
        }
        if let Some(most) = self.max_concurrent_requests {
            let _ = writeln!(text, "  at a time: {most} requests");
        }
        if let Some(weight) = self.weight {
            let _ = writeln!(text, "  weight in the queue for reads: {weight}");
        }
        Ok(text)
    }

    /// The ways in which it can prove itself.
    #[must_use]
    pub fn proofs(&self) -> Vec<String> {
        let keys = match self.keys_sha256.len() {
            0 => None,
            1 => Some("an API key".to_owned()),
            count => Some(format!("one of {count} API keys")),
        };
        let basic = self
            .basic
            .as_ref()
            .map(|basic| format!("HTTP Basic as {}", basic.user));
        let oauth = self
            .oauth
            .as_ref()
            .map(|oauth| format!("a token of /oauth/token for {}", oauth.client_id));
        let tokens = self
            .tokens
            .iter()
            .map(|token| format!("a token of {}", token.issuer));
        let certificates = self
            .certificates
            .iter()
            .map(|certificate| match certificate {
                CertificateMatch::San(name) => format!("a certificate for {name}"),
                CertificateMatch::Subject(subject) => format!("a certificate of {subject}"),
            });
        let proofs: Vec<_> = keys
            .into_iter()
            .chain(basic)
            .chain(oauth)
            .chain(tokens)
            .chain(certificates)
            .collect();
        if proofs.is_empty() {
            // One of [[server.keys]], whose key is elsewhere: a client of [[server.clients]] has a proof.
            return vec!["its key".to_owned()];
        }
        proofs
    }

    fn forbidden(&self, what: &str, advice: &str) -> ActionError {
        ActionError::new(
            ErrorCode::Forbidden,
            format!("the client `{}` {what}", self.name),
            advice,
        )
    }
}

/// Whether an entry of `actions` stands for the action.
fn names(listed: &str, action: &str) -> bool {
    match listed.strip_suffix('*') {
        Some(begin) => action.starts_with(begin),
        None => listed == action,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::{ClientSettings, Sha256Hex};
    use crate::{ActionDefinition, ErrorCode};

    fn action(params: &[&str]) -> ActionDefinition {
        let params: String = params
            .iter()
            .map(|name| format!("[params.{name}]\ntype = \"string\"\n"))
            .collect();
        let text = format!(
            "name = \"look-up\"\n[tables.t]\nuri = \"s3://lake/t.csv\"\n{params}[query]\nsql = \"SELECT 1\"\n"
        );
        ActionDefinition::parse(Path::new("look-up.toml"), &text).unwrap()
    }

    fn client(actions: Option<&[&str]>) -> ClientSettings {
        let mut client = ClientSettings::unbound("flows");
        client.actions = actions.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        client
    }

    #[test]
    fn actions_are_named_whole_or_by_their_begin() {
        for (actions, may) in [
            (None, true),
            (Some(&["look-up"][..]), true),
            (Some(&["other", "look-*"]), true),
            (Some(&["*"]), true),
            (Some(&["look"]), false),
            (Some(&["look-up-all"]), false),
            (Some(&["*-up"]), false),
            (Some(&[]), false),
        ] {
            let found = client(actions).may_run(&action(&[]));
            assert_eq!(found.is_ok(), may, "{actions:?}");
        }
    }

    #[test]
    fn a_fixed_parameter_is_set_and_cannot_be_chosen() {
        let mut client = client(None);
        client.params = json!({ "account": "4711" }).as_object().unwrap().clone();
        let action = action(&["account", "ani", "caller"]);
        let bind = |sent: serde_json::Value| {
            client.bind(&action, "ana", sent.as_object().unwrap().clone())
        };
        let expected = json!({ "ani": "1", "caller": "ana", "account": "4711" });
        for sent in [
            json!({ "ani": "1" }),
            json!({ "ani": "1", "account": "4711", "caller": "ana" }),
        ] {
            assert_eq!(json!(bind(sent).unwrap()), expected);
        }
        for sent in [
            json!({ "ani": "1", "account": "4712" }),
            json!({ "ani": "1", "account": 4711 }),
            json!({ "ani": "1", "account": null }),
            json!({ "ani": "1", "account": ["4711"] }),
            json!({ "ani": "1", "caller": "bo" }),
        ] {
            assert_eq!(bind(sent).unwrap_err().code(), ErrorCode::Forbidden);
        }
    }

    #[test]
    fn an_action_without_the_fixed_parameter_would_show_everything_and_is_refused() {
        let mut client = client(None);
        client.params = json!({ "account": "4711" }).as_object().unwrap().clone();
        let error = client.bind(
            &action(&["ani"]),
            "ana",
            json!({}).as_object().unwrap().clone(),
        );
        assert_eq!(error.unwrap_err().code(), ErrorCode::Forbidden);
    }

    #[test]
    fn a_digest_is_read_and_what_is_none_is_not_repeated() {
        let digest = "00ff".repeat(16);
        let read = Sha256Hex::try_from(digest).unwrap();
        assert_eq!(read.0[..4], [0, 255, 0, 255]);
        let error = Sha256Hex::try_from("my-secret".to_owned()).unwrap_err();
        assert!(!error.contains("my-secret"));
    }
}
