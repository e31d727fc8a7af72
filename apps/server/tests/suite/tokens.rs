//! Tokens of another issuer: taken when they are right, and every known way to forge one.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use axum::{Json, Router, extract::State, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use flowlake_data_action::{ClientSettings, Clock, IssuerSettings, SystemClock, TokenMatch};
use serde_json::{Value, json};

use crate::support::{Setting, post};

const ISSUER: &str = "https://login.example";

/// A key of an issuer.
struct Signer {
    id: &'static str,
    pair: EcdsaKeyPair,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { id, pair }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id,
            "x": encode(&point[1..33]), "y": encode(&point[33..]),
        })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = signed(header, claims);
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "JWT", "kid": self.id })
    }
}

fn signed(header: &Value, claims: &Value) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The claims of a token that is right.
fn claims() -> Value {
    let now = SystemClock.now().timestamp();
    json!({ "iss": ISSUER, "aud": "flowlake", "sub": "100", "azp": "flows", "iat": now, "nbf": now, "exp": now + 300 })
}

/// The claims of a right token with one changed; `null` takes it out.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    let object = claims.as_object_mut().unwrap();
    if value.is_null() {
        object.remove(name);
    } else {
        object.insert(name.to_owned(), value);
    }
    claims
}

/// An issuer's address with its keys, and how often it was asked.
#[derive(Clone, Default)]
struct Published {
    keys: Arc<Mutex<Vec<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Published {
    async fn serve(&self) -> String {
        let answer = async |State(published): State<Self>| {
            published.asked.fetch_add(1, Relaxed);
            Json(json!({ "keys": *published.keys.lock().unwrap() }))
        };
        let router = Router::new()
            .route("/keys", get(answer))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/keys")
    }
}

async fn with_issuer(published: &Published) -> Setting {
    let url = published.serve().await;
    Setting::start(|config| {
        config.server.issuers = vec![IssuerSettings {
            issuer: ISSUER.to_owned(),
            audience: "flowlake".to_owned(),
            jwks_url: Some(url),
            jwks_file: None,
            caller_claim: Some("sub".to_owned()),
        }];
        let mut client = ClientSettings::unbound("flows");
        client.tokens = vec![TokenMatch {
            issuer: ISSUER.to_owned(),
            claims: json!({ "azp": "flows" }).as_object().unwrap().clone(),
        }];
        config.server.clients = vec![client];
    })
    .await
}

async fn status(setting: &Setting, token: &str) -> u16 {
    let headers = format!("Authorization: Bearer {token}\r\n");
    let request = post("/v1/actions/look-up", &headers, "{\"ani\": \"100\"}");
    setting.send(request).await.unwrap().status
}

#[tokio::test]
async fn a_right_token_is_taken_and_says_who_asks() {
    let (published, signer) = (Published::default(), Signer::new("one"));
    published.keys.lock().unwrap().push(signer.jwk());
    let setting = with_issuer(&published).await;
    for claims in [
        claims(),
        with("aud", json!(["other", "flowlake"])),
        with("nbf", Value::Null),
        with("extra", json!({ "a": [1] })),
    ] {
        let token = signer.sign(&signer.header(), &claims);
        assert_eq!(status(&setting, &token).await, 200, "{claims}");
    }
    let token = signer.sign(&signer.header(), &claims());
    let headers = format!("Authorization: Bearer {token}\r\n");
    let reply = setting
        .send(post("/v1/actions/who-asks", &headers, "{}"))
        .await
        .unwrap();
    assert_eq!(reply.json()["data"][0]["name"], "Ana", "{reply:?}");
    assert_eq!(published.asked.load(Relaxed), 1);
}

/// Tokens that are signed otherwise than the issuer signs them.
fn by_signature(signer: &Signer, stranger: &Signer) -> Vec<(&'static str, String)> {
    let right = signer.sign(&signer.header(), &claims());
    let (unsigned, signature) = right.rsplit_once('.').unwrap();
    let hmac_with = |key: &[u8], header: &Value| {
        let signed = signed(header, &claims());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    let symmetric = json!({ "alg": "HS256", "kid": "one" });
    let header = |alg: &str| json!({ "alg": alg, "kid": "one" });
    let by = |header: &Value| signer.sign(header, &claims());
    vec![
        (
            "no algorithm",
            format!("{}.", signed(&json!({ "alg": "none" }), &claims())),
        ),
        (
            "no algorithm, in capitals",
            format!(
                "{}.",
                signed(&json!({ "alg": "NONE", "kid": "one" }), &claims())
            ),
        ),
        ("no signature", format!("{unsigned}.")),
        ("two parts", unsigned.to_owned()),
        ("four parts", format!("{right}.{signature}")),
        (
            "the signature of another",
            format!(
                "{}.{signature}",
                signed(&signer.header(), &with("sub", json!("101")))
            ),
        ),
        (
            "a signature of zeros",
            format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
        ),
        ("a padded signature", format!("{right}==")),
        (
            "a key of somebody else by the same id",
            stranger.sign(&signer.header(), &claims()),
        ),
        (
            "an unknown key",
            by(&json!({ "alg": "ES256", "kid": "two" })),
        ),
        (
            "a path as key",
            by(&json!({ "alg": "ES256", "kid": "../../dev/null" })),
        ),
        (
            "a key of its own",
            stranger.sign(
                &json!({ "alg": "ES256", "jwk": stranger.jwk(), "kid": "mine" }),
                &claims(),
            ),
        ),
        (
            "an address of its own",
            stranger.sign(
                &json!({ "alg": "ES256", "jku": "http://evil.example", "kid": "mine" }),
                &claims(),
            ),
        ),
        (
            "the public point as a secret",
            hmac_with(signer.pair.public_key().as_ref(), &symmetric),
        ),
        (
            "the published key as a secret",
            hmac_with(signer.jwk().to_string().as_bytes(), &symmetric),
        ),
        ("an empty secret", hmac_with(b"", &symmetric)),
        ("another curve", by(&header("ES384"))),
        ("RSA with a key that is none", by(&header("RS256"))),
        ("an algorithm that nobody has", by(&header("XX999"))),
        (
            "an extension",
            by(&json!({ "alg": "ES256", "kid": "one", "crit": ["b64"], "b64": false })),
        ),
        (
            "a header that is a list",
            format!(
                "{}.{}.{signature}",
                URL_SAFE_NO_PAD.encode("[]"),
                URL_SAFE_NO_PAD.encode(claims().to_string())
            ),
        ),
    ]
}

/// Tokens of the issuer that are for somebody else or another time.
fn by_claims(signer: &Signer) -> Vec<(&'static str, String)> {
    let now = SystemClock.now().timestamp();
    let of = |claims: &Value| signer.sign(&signer.header(), claims);
    let twice = {
        let claims = claims().to_string().replacen('{', "{\"sub\":\"101\",", 1);
        let header = URL_SAFE_NO_PAD.encode(signer.header().to_string());
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
        let tag = signer
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
    };
    vec![
        ("expired", of(&with("exp", json!(now - 60)))),
        ("without an end", of(&with("exp", Value::Null))),
        (
            "an end as text",
            of(&with("exp", json!((now + 300).to_string()))),
        ),
        ("not valid yet", of(&with("nbf", json!(now + 120)))),
        ("another audience", of(&with("aud", json!("other")))),
        ("no audience", of(&with("aud", Value::Null))),
        (
            "another issuer",
            of(&with("iss", json!("https://evil.example"))),
        ),
        (
            "an issuer with more",
            of(&with("iss", json!(format!("{ISSUER}/")))),
        ),
        ("this server as issuer", of(&with("iss", json!("flowlake")))),
        ("no issuer", of(&with("iss", Value::Null))),
        ("another client", of(&with("azp", json!("other")))),
        ("no client", of(&with("azp", Value::Null))),
        ("nobody who asks", of(&with("sub", Value::Null))),
        ("a number that asks", of(&with("sub", json!(100)))),
        ("a claim twice", twice),
        ("large", of(&with("more", json!("x".repeat(9_000))))),
    ]
}

#[tokio::test]
async fn no_forged_token_is_taken() {
    let (published, signer) = (Published::default(), Signer::new("one"));
    let stranger = Signer::new("one");
    published.keys.lock().unwrap().push(signer.jwk());
    let setting = with_issuer(&published).await;
    let right = signer.sign(&signer.header(), &claims());
    let mut forged = by_signature(&signer, &stranger);
    forged.extend(by_claims(&signer));
    let statuses = forged.iter().map(|(_, token)| status(&setting, token));
    let statuses = futures::future::join_all(statuses).await;
    let taken: Vec<_> = forged
        .iter()
        .zip(statuses)
        .filter(|(_, status)| ![401, 429, 431].contains(status))
        .map(|((name, _), status)| format!("{name}: {status}"))
        .collect();
    assert!(taken.is_empty(), "{taken:?}");
    assert_eq!(status(&setting, &right).await, 200);
    // Made-up keys do not make the server a flood for the issuer.
    assert!(
        published.asked.load(Relaxed) <= 12,
        "{}",
        published.asked.load(Relaxed)
    );
}

#[tokio::test]
async fn a_token_of_an_issuer_that_does_not_answer_is_not_called_wrong() {
    // It gives no keys, which is no answer.
    let (published, signer) = (Published::default(), Signer::new("one"));
    let setting = with_issuer(&published).await;
    let token = signer.sign(&signer.header(), &claims());
    let headers = format!("Authorization: Bearer {token}\r\n");
    let request = post("/v1/actions/look-up", &headers, "{\"ani\": \"100\"}");
    let reply = setting.send(request).await.unwrap();
    assert_eq!(reply.status, 503, "{reply:?}");
    let error = &reply.json()["error"];
    assert_eq!(error["code"], "request.issuer_unavailable", "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("10"));
    assert_eq!(reply.header("www-authenticate"), None);
    assert_eq!(
        reply.header("proxy-status"),
        Some(
            "flowlake; error=destination_unavailable; next-hop=issuer; details=\"request.issuer_unavailable\""
        )
    );
    let ready = setting.operators("/readyz").await;
    assert_eq!(ready.status, 200, "{ready:?}");
    let warning = ready.json()["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.contains(ISSUER), "{warning}");
    let failing = "flowlake_issuer_failing{issuer=\"https://login.example\"}";
    assert_eq!(setting.metric(failing).await, 1.0);
    // It is no attempt to guess a key, and other callers are answered.
    let wrong = "flowlake_unauthorized_requests{credentials=\"wrong\"}";
    assert_eq!(setting.metric(wrong).await, 0.0);
    setting.answers("an issuer that does not answer").await;
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_needs_it() {
    let (published, old, new) = (Published::default(), Signer::new("old"), Signer::new("new"));
    published.keys.lock().unwrap().push(old.jwk());
    let setting = with_issuer(&published).await;
    let by_old = old.sign(&old.header(), &claims());
    let by_new = new.sign(&new.header(), &claims());
    assert_eq!(status(&setting, &by_old).await, 200);
    *published.keys.lock().unwrap() = vec![new.jwk()];
    // Asked once in ten seconds at most.
    let mut tries = 0;
    while status(&setting, &by_new).await != 200 {
        tries += 1;
        assert!(tries < 60, "the new key is not fetched");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert_eq!(status(&setting, &by_old).await, 401);
}
