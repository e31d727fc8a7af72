//! What a configuration of callers has to be, and who is let in by a header.

use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use flowlake_data_action::{
    ActionError, Environment, ErrorCode, SecretSource, ServerKey, ServerSettings,
};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::Callers;
use crate::{connection_slots::ConnectionSlots, peer::Peer};

#[derive(Debug)]
struct Variables(HashMap<&'static str, &'static str>);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|&value| value.to_owned())
    }
}

const FIRST: &str = "first-key-of-the-tests";
const SECOND: &str = "second-key-of-the-tests";

fn variables() -> Variables {
    let secrets = [
        ("A", FIRST),
        ("B", SECOND),
        ("C", FIRST),
        ("SHORT", "fifteen-letters"),
    ];
    Variables(HashMap::from(secrets))
}

fn load(keys: &[(&str, &str)]) -> Result<Callers, ActionError> {
    let key = |(name, variable): &(&str, &str)| ServerKey {
        name: (*name).to_owned(),
        secret: SecretSource::Env((*variable).to_owned()),
    };
    let settings = ServerSettings {
        keys: keys.iter().map(key).collect(),
        ..ServerSettings::default()
    };
    Callers::load(&settings, &variables())
}

#[test]
fn names_and_keys_are_unique_long_and_none_of_ours() {
    for (keys, part) in [
        (&[("", "A")][..], "has no name"),
        (&[(" ", "A")], "has no name"),
        (&[("anonymous", "A")], "flowlake uses itself"),
        (&[("caller", "A")], "flowlake uses itself"),
        (&[("(hot tables)", "A")], "flowlake uses itself"),
        (&[("cli:root", "A")], "flowlake uses itself"),
        (&[("flows", "A"), ("flows", "B")], "are named `flows`"),
        (
            &[("flows", "A"), ("tests", "C")],
            "`flows` and `tests` are the same",
        ),
        (&[("flows", "SHORT")], "is too short"),
    ] {
        let error = load(keys).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        assert!(error.message().contains(part), "{error}");
        assert!(!error.message().contains(FIRST));
    }
}

/// The clients of a configuration, with one issuer.
fn clients(text: &str) -> Result<Callers, ActionError> {
    let text = format!(
        "{text}\n[[issuers]]\nissuer = \"https://login.example\"\naudience = \"flowlake\"\njwks_url = \"https://login.example/keys\"\n"
    );
    let settings: toml::Table = text.parse().unwrap();
    Callers::load(
        &ServerSettings::deserialize(settings).unwrap(),
        &variables(),
    )
}

#[test]
fn a_client_can_prove_itself_and_is_no_other() {
    let digest = "ab".repeat(32);
    let one = format!("[[clients]]\nname = \"one\"\nkeys_sha256 = [\"{digest}\"]\n");
    assert!(clients(&one).is_ok());
    for (more, part) in [
        ("[[clients]]\nname = \"two\"\n".to_owned(), "nothing to prove itself with"),
        (one.clone(), "are named `one`"),
        (one.replace("one", "two"), "are the same"),
        (
            "[[clients]]\nname = \"two\"\ntokens = [{ issuer = \"https://other.example\", claims = { sub = \"x\" } }]\n".to_owned(),
            "which is none",
        ),
        (
            "[[clients]]\nname = \"two\"\ntokens = [{ issuer = \"https://login.example\", claims = {} }]\n".to_owned(),
            "would be everybody",
        ),
        (
            "[[clients]]\nname = \"two\"\ncertificates = [{ san = \"flows.example\" }]\n".to_owned(),
            "no caller is asked for one",
        ),
    ] {
        let error = clients(&format!("{one}{more}")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        assert!(error.message().contains(part), "{error}");
    }
}

async fn identify(header: Option<&str>) -> Result<String, ErrorCode> {
    let mut headers = HeaderMap::new();
    if let Some(header) = header {
        headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
    }
    let callers = load(&[("flows", "A"), ("tests", "B")]).unwrap();
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    let (slot, _) = ConnectionSlots::new(1, 1)
        .acquire(None, &CancellationToken::new())
        .unwrap();
    let peer = Peer::new(address, None, slot);
    let found = callers.identify(&headers, &peer).await;
    found
        .map(|found| found.client.settings.name.clone())
        .map_err(|refused| refused.error.code())
}

#[tokio::test]
async fn a_known_key_gives_its_name() {
    let first = format!("Bearer {FIRST}");
    assert_eq!(identify(Some(&first)).await, Ok("flows".to_owned()));
    let second = format!("bearer {SECOND}");
    assert_eq!(identify(Some(&second)).await, Ok("tests".to_owned()));
}

#[tokio::test]
async fn anything_else_is_refused() {
    for header in [
        None,
        Some("Bearer ".to_owned()),
        Some("Bearer third-key-of-the-tests".to_owned()),
        Some(format!("Basic {FIRST}")),
        Some(FIRST.to_owned()),
        Some(format!("Bearer {FIRST}2")),
    ] {
        let found = identify(header.as_deref()).await;
        assert_eq!(found, Err(ErrorCode::Unauthorized), "{header:?}");
    }
}

#[test]
fn keys_do_not_show_in_debug() {
    let callers = load(&[("flows", "A")]).unwrap();
    assert!(!format!("{callers:?}").contains(FIRST));
}

#[test]
fn a_server_that_requires_credentials_does_not_start_without_a_client() {
    let error = load(&[]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConfigInvalid);
}
