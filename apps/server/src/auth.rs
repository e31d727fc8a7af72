//! Who may call: bearer keys, compared by their SHA-256 so that neither time nor memory tells anything about a key.

use axum::http::{HeaderMap, header::AUTHORIZATION};
use flowlake_data_action::{ActionError, Environment, ErrorCode, ServerSettings};
use sha2::{Digest, Sha256};

/// The caller's name in records where no key is required and none was sent.
const ANONYMOUS: &str = "anonymous";

/// The keys that the server knows.
#[derive(Debug, Clone)]
pub struct Keys {
    required: bool,
    known: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    name: String,
    digest: [u8; 32],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Key")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Keys {
    /// Reads the keys that the configuration names.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when a key is missing, two keys or two names are the same, a name is empty or one of ours,
    /// or when keys are required and none is configured.
    pub fn load(
        settings: &ServerSettings,
        environment: &dyn Environment,
    ) -> Result<Self, ActionError> {
        if settings.require_key && settings.keys.is_empty() {
            return Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                "the server requires a key and none is configured",
                "Add [[server.keys]] with `name` and `secret = { env = \"…\" }`, or set `require_key = false` behind a gateway.",
            ));
        }
        let mut known: Vec<Key> = Vec::with_capacity(settings.keys.len());
        for key in &settings.keys {
            let name = key.name.clone();
            check_name(&name)?;
            let digest = digest(key.secret.read(environment)?.expose());
            if known.iter().any(|other| other.name == name) {
                return Err(invalid_key(
                    format!("two keys in [[server.keys]] are named `{name}`"),
                    "Give each key a name of its own: it tells callers apart in the audit log.",
                ));
            }
            if let Some(other) = known.iter().find(|other| other.digest == digest) {
                let message = format!("the keys `{}` and `{name}` are the same", other.name);
                return Err(invalid_key(
                    message,
                    "Give each caller a key of its own, so that records name the right one.",
                ));
            }
            known.push(Key { name, digest });
        }
        Ok(Self {
            required: settings.require_key,
            known,
        })
    }

    /// The name of the caller whose key the request carries; `anonymous` where no key is required.
    ///
    /// # Errors
    /// [`ErrorCode::Unauthorized`].
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<String, ActionError> {
        let sent = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(bearer);
        let digest = sent.map(digest);
        // Every key is compared, so that the time does not tell which one matched.
        let matched = self.known.iter().fold(None, |matched, key| {
            if Some(key.digest) == digest {
                Some(key)
            } else {
                matched
            }
        });
        match matched {
            Some(key) => Ok(key.name.clone()),
            None if !self.required => Ok(ANONYMOUS.to_owned()),
            None => Err(ActionError::new(
                ErrorCode::Unauthorized,
                if sent.is_some() {
                    "the key is not known here"
                } else {
                    "the request carries no key"
                },
                "Send `Authorization: Bearer KEY` with a key that [[server.keys]] names.",
            )),
        }
    }
}

/// Refuses a name that audit records could not tell from a caller of ours: without a key, from the command line, or flowlake itself.
fn check_name(name: &str) -> Result<(), ActionError> {
    if name.trim().is_empty() {
        return Err(invalid_key(
            "a key in [[server.keys]] has no name".to_owned(),
            "Name who holds the key, such as `genesys-production`.",
        ));
    }
    if name == ANONYMOUS || name.starts_with('(') || name.starts_with("cli:") {
        return Err(invalid_key(
            format!("`{name}` in [[server.keys]] is a name that flowlake uses itself"),
            "Choose another name: `anonymous`, and what begins with `cli:` or `(`, are taken.",
        ));
    }
    Ok(())
}

fn invalid_key(message: String, advice: &str) -> ActionError {
    ActionError::new(ErrorCode::ConfigInvalid, message, advice)
}

/// The token of `Bearer TOKEN`; the scheme is compared without regard to case (RFC 9110, section 11.1).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
    use flowlake_data_action::{
        ActionError, Environment, ErrorCode, SecretSource, ServerKey, ServerSettings,
    };

    use super::Keys;

    #[derive(Debug)]
    struct Variables(HashMap<&'static str, &'static str>);

    impl Environment for Variables {
        fn get(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|&value| value.to_owned())
        }
    }

    fn load(keys: &[(&str, &str)]) -> Result<Keys, ActionError> {
        let key = |(name, variable): &(&str, &str)| ServerKey {
            name: (*name).to_owned(),
            secret: SecretSource::Env((*variable).to_owned()),
        };
        let settings = ServerSettings {
            keys: keys.iter().map(key).collect(),
            ..ServerSettings::default()
        };
        let secrets = [("A", "first-key"), ("B", "second-key"), ("C", "first-key")];
        Keys::load(&settings, &Variables(HashMap::from(secrets)))
    }

    fn keys() -> Keys {
        load(&[("flows", "A"), ("tests", "B")]).unwrap()
    }

    #[test]
    fn names_and_keys_are_unique_and_none_of_ours() {
        for (keys, part) in [
            (&[("", "A")][..], "has no name"),
            (&[(" ", "A")], "has no name"),
            (&[("anonymous", "A")], "flowlake uses itself"),
            (&[("(hot tables)", "A")], "flowlake uses itself"),
            (&[("cli:root", "A")], "flowlake uses itself"),
            (&[("flows", "A"), ("flows", "B")], "are named `flows`"),
            (
                &[("flows", "A"), ("tests", "C")],
                "`flows` and `tests` are the same",
            ),
        ] {
            let error = load(keys).unwrap_err();
            assert_eq!(error.code(), ErrorCode::ConfigInvalid);
            assert!(error.message().contains(part), "{error}");
            assert!(!error.message().contains("first-key"));
        }
    }

    fn authenticate(header: Option<&str>) -> Result<String, ErrorCode> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        }
        keys().authenticate(&headers).map_err(|error| error.code())
    }

    #[test]
    fn a_known_key_gives_its_name() {
        assert_eq!(
            authenticate(Some("Bearer first-key")),
            Ok("flows".to_owned())
        );
        assert_eq!(
            authenticate(Some("bearer second-key")),
            Ok("tests".to_owned())
        );
    }

    #[test]
    fn anything_else_is_refused() {
        for header in [
            None,
            Some("Bearer "),
            Some("Bearer third-key"),
            Some("Basic first-key"),
            Some("first-key"),
            Some("Bearer first-key2"),
        ] {
            assert_eq!(
                authenticate(header),
                Err(ErrorCode::Unauthorized),
                "{header:?}"
            );
        }
    }

    #[test]
    fn keys_do_not_show_in_debug() {
        assert!(!format!("{:?}", keys()).contains("first-key"));
    }

    #[test]
    fn a_server_that_requires_keys_does_not_start_without_one() {
        let error = Keys::load(&ServerSettings::default(), &Variables(HashMap::new())).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
    }
}
