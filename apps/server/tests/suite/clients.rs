//! Clients of the configuration over real connections: how they prove themselves, and what each may do.

use base64::{Engine, engine::general_purpose::STANDARD};
use flowlake_data_action::{ClientSettings, Config, ErrorCode, TlsSettings};
use reqwest::{Certificate, Client, Identity};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{KEY, Setting, certificate, post, records};

const SECRET: &str = "secret-of-a-client-5d03";

fn sha256(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A server whose clients are those of the text, beside the key of the tests.
async fn with_clients(text: &str) -> Setting {
    Setting::start(clients(text)).await
}

fn clients(text: &str) -> impl FnOnce(&mut Config) + use<> {
    #[derive(Deserialize)]
    struct Clients {
        clients: Vec<ClientSettings>,
    }
    let text = text.replace("SHA256", &sha256(SECRET));
    let table: toml::Table = text.parse().unwrap();
    let Clients { clients } = Clients::deserialize(table).unwrap();
    move |config| config.server.clients = clients
}

/// Calls an action with this `Authorization`; the status, and the body.
async fn call(setting: &Setting, action: &str, authorization: &str, body: &Value) -> (u16, Value) {
    let headers = format!("Authorization: {authorization}\r\nContent-Type: application/json\r\n");
    let request = post(
        &format!("/v1/actions/{action}"),
        &headers,
        &body.to_string(),
    );
    let reply = setting.send(request).await.unwrap();
    (reply.status, reply.json())
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn ana() -> Value {
    json!({ "ani": "100" })
}

#[tokio::test]
async fn keys_and_passwords_are_known_by_their_digest() {
    let setting = with_clients(
        r#"
[[clients]]
name = "by-key"
keys_sha256 = ["SHA256"]
[[clients]]
name = "by-password"
basic = { user = "flows", password_sha256 = "SHA256" }
"#,
    )
    .await;
    for (authorization, caller) in [
        (format!("Bearer {SECRET}"), "by-key"),
        (basic("flows", SECRET), "by-password"),
        (format!("Bearer {KEY}"), "tests"),
    ] {
        let (status, answer) = call(&setting, "look-up", &authorization, &ana()).await;
        assert_eq!(
            (status, &answer["data"][0]["name"]),
            (200, &json!("Ana")),
            "{answer}"
        );
        let records = records(&setting.audit_folder());
        assert_eq!(records.last().unwrap().caller, caller);
    }
    for wrong in [
        format!("Bearer {}", sha256(SECRET)),
        basic("flows", &sha256(SECRET)),
        basic("flows", "another-secret-5d03"),
        basic("Flows", SECRET),
        basic("", SECRET),
        basic("flows", ""),
        format!("Basic {SECRET}"),
    ] {
        let headers = format!("Authorization: {wrong}\r\n");
        let reply = setting
            .send(post("/v1/actions/look-up", &headers, "{}"))
            .await
            .unwrap();
        assert!([401, 429].contains(&reply.status), "{wrong}: {reply:?}");
        assert!(
            reply.status == 429 || reply.head.contains("www-authenticate: basic realm"),
            "{reply:?}"
        );
    }
}

#[tokio::test]
async fn a_client_runs_its_own_actions_with_its_own_parameters() {
    let setting = with_clients(
        r#"
[[clients]]
name = "bound"
keys_sha256 = ["SHA256"]
actions = ["look-*"]
params = { ani = "101" }
"#,
    )
    .await;
    let bound = format!("Bearer {SECRET}");
    for sent in [json!({}), json!({ "ani": "101" })] {
        let (status, answer) = call(&setting, "look-up", &bound, &sent).await;
        assert_eq!(
            (status, &answer["data"][0]["name"]),
            (200, &json!("Bo")),
            "{sent}"
        );
    }
    // Another value, however it is written; another action; an action that nobody has.
    for (action, sent) in [
        ("look-up", json!({ "ani": "100" })),
        ("look-up", json!({ "ani": 101 })),
        ("look-up", json!({ "ani": null })),
        ("who-asks", json!({})),
        ("no-such-action", json!({})),
    ] {
        let (status, answer) = call(&setting, action, &bound, &sent).await;
        assert_eq!(status, 403, "{action} {sent}: {answer}");
        assert_eq!(answer["error"]["code"], "request.forbidden");
        let id = answer["audit_id"].as_str().unwrap().to_owned();
        let records = records(&setting.audit_folder());
        let record = records.iter().find(|record| record.id == id).unwrap();
        assert_eq!(
            (record.caller.as_str(), record.http_status),
            ("bound", Some(403))
        );
        assert!(
            record.objects.is_empty() && record.params.is_empty(),
            "{record:?}"
        );
    }
    // What it may not run it does not see, nor what others do.
    let get = |path: &str, authorization: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n")
    };
    let listed = setting
        .send(get("/v1/actions", &bound))
        .await
        .unwrap()
        .json();
    assert_eq!(listed["actions"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["actions"][0]["params"], json!([]), "{listed}");
}

#[tokio::test]
async fn the_caller_is_bound_by_the_server() {
    let setting = with_clients(
        r#"
[[clients]]
name = "100"
keys_sha256 = ["SHA256"]
"#,
    )
    .await;
    let bearer = format!("Bearer {SECRET}");
    let (status, answer) = call(&setting, "who-asks", &bearer, &json!({})).await;
    assert_eq!(
        (status, &answer["data"][0]["name"]),
        (200, &json!("Ana")),
        "{answer}"
    );
    let (status, answer) = call(&setting, "who-asks", &bearer, &json!({ "caller": "101" })).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (403, &json!("request.forbidden"))
    );
    let (_, answer) = call(&setting, "who-asks", &format!("Bearer {KEY}"), &json!({})).await;
    assert_eq!(answer["row_count"], 0, "{answer}");
}

#[tokio::test]
async fn a_client_that_sends_too_much_learns_when_to_come_again() {
    let setting = with_clients(
        r#"
[[clients]]
name = "slow"
keys_sha256 = ["SHA256"]
rate = { per_minute = 6, burst = 2 }
"#,
    )
    .await;
    let headers = format!("Authorization: Bearer {SECRET}\r\n");
    let request = post("/v1/actions/look-up", &headers, &ana().to_string());
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let reply = setting.send(&request).await.unwrap();
        statuses.push(reply.status);
        if reply.status == 429 {
            let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
            assert!((8..=10).contains(&wait), "{wait}");
            assert_eq!(reply.json()["error"]["code"], "request.rate_limited");
        }
    }
    assert_eq!(statuses, [200, 200, 429]);
    // Nobody else waits for it.
    setting.answers("a client that sends too much").await;
}

#[tokio::test]
async fn a_token_is_given_for_client_credentials_and_taken() {
    let setting = with_clients(
        r#"
[[clients]]
name = "genesys"
oauth = { client_id = "4d5e", secret_sha256 = "SHA256" }
actions = ["look-up"]
"#,
    )
    .await;
    let ask = async |headers: &str, form: &str| {
        let headers = format!("{headers}Content-Type: application/x-www-form-urlencoded\r\n");
        setting
            .send(post("/oauth/token", &headers, form))
            .await
            .unwrap()
    };
    let by_header = format!("Authorization: {}\r\n", basic("4d5e", SECRET));
    let in_form = format!("grant_type=client_credentials&client_id=4d5e&client_secret={SECRET}");
    for (headers, form) in [
        (by_header.as_str(), "grant_type=client_credentials"),
        (
            by_header.as_str(),
            "grant_type=client_credentials&scope=all&client_id=4d5e",
        ),
        ("", in_form.as_str()),
    ] {
        let reply = ask(headers, form).await;
        assert_eq!(reply.status, 200, "{form}: {reply:?}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        let given = reply.json();
        assert_eq!(
            (&given["token_type"], &given["expires_in"]),
            (&json!("Bearer"), &json!(3600))
        );
        let bearer = format!("Bearer {}", given["access_token"].as_str().unwrap());
        let (status, answer) = call(&setting, "look-up", &bearer, &ana()).await;
        assert_eq!(
            (status, &answer["data"][0]["name"]),
            (200, &json!("Ana")),
            "{answer}"
        );
        let (status, _) = call(&setting, "who-asks", &bearer, &json!({})).await;
        assert_eq!(status, 403);
    }
    for (headers, form, status, error) in [
        (
            by_header.as_str(),
            "grant_type=password",
            400,
            "unsupported_grant_type",
        ),
        (by_header.as_str(), "", 400, "invalid_request"),
        ("", "grant_type=client_credentials", 400, "invalid_request"),
        (by_header.as_str(), in_form.as_str(), 400, "invalid_request"),
        (
            "",
            &format!("{in_form}&client_id=4d5f"),
            400,
            "invalid_request",
        ),
        ("", &in_form.replace("4d5e", "4d5f"), 401, "invalid_client"),
        (
            "",
            &in_form.replace(SECRET, "another-secret-5d03"),
            401,
            "invalid_client",
        ),
    ] {
        let reply = ask(headers, form).await;
        assert_eq!(reply.status, status, "{form}: {reply:?}");
        assert_eq!(reply.json()["error"], error, "{form}");
        assert_eq!(reply.header("www-authenticate").is_some(), status == 401);
    }
    assert_eq!(
        setting
            .metric("flowlake_unauthorized_requests{credentials=\"wrong\"}")
            .await,
        2.0
    );
}

#[tokio::test]
async fn a_certificate_stands_for_a_client() {
    let setting = Setting::start(|config| {
        clients(
            r#"
[[clients]]
name = "by-certificate"
certificates = [{ subject = "O=Contact Centre,CN=flows" }, { san = "flows.example" }]
"#,
        )(config);
        config.server.tls = Some(TlsSettings {
            certificate: certificate("server.pem"),
            private_key: certificate("server.key"),
            client_roots: Some(certificate("authority.pem")),
            check_every: std::time::Duration::from_secs(10),
        });
    })
    .await;
    let url = setting.url("/v1/actions/look-up");
    let ask = async |name: Option<&str>, key: Option<&str>| {
        let root = std::fs::read(certificate("authority.pem")).unwrap();
        let root = Certificate::from_pem(&root).unwrap();
        let mut client = Client::builder().no_proxy().tls_certs_only([root]);
        if let Some(name) = name {
            let mut pem = std::fs::read(certificate(&format!("{name}.pem"))).unwrap();
            pem.extend(std::fs::read(certificate(&format!("{name}.key"))).unwrap());
            client = client.identity(Identity::from_pem(&pem).unwrap());
        }
        let request = client.build().unwrap().post(&url).json(&ana());
        let request = match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        request
            .send()
            .await
            .ok()
            .map(|answer| answer.status().as_u16())
    };
    assert_eq!(ask(Some("client"), None).await, Some(200));
    assert_eq!(
        records(&setting.audit_folder()).last().unwrap().caller,
        "by-certificate"
    );
    // Another name below the same root; none; a key instead; a wrong key beside a right certificate.
    assert_eq!(ask(Some("other"), None).await, Some(401));
    assert_eq!(ask(None, None).await, Some(401));
    assert_eq!(ask(None, Some(KEY)).await, Some(200));
    assert_eq!(ask(Some("other"), Some(KEY)).await, Some(200));
    assert_eq!(
        ask(Some("client"), Some("another-key-of-some-length")).await,
        Some(401)
    );
    // Another root, and a time that is over: not even a handshake.
    assert_eq!(ask(Some("forged"), None).await, None);
    assert_eq!(ask(Some("expired"), None).await, None);
}

#[tokio::test]
async fn a_client_that_lists_what_it_cannot_run_is_an_error() {
    for (lines, part) in [
        (
            "actions = [\"look-down\"]",
            "`look-down`, which is no action",
        ),
        (
            "actions = [\"look-up\"]\nparams = { account = \"1\" }",
            "`account`",
        ),
        (
            "actions = [\"look-up\", \"zzz*\"]",
            "lists `zzz*`, which is no action",
        ),
        (
            "params = { account = \"1\" }",
            "the fixed parameter `account`, which none of its actions has",
        ),
        (
            "actions = [\"*\"]\nparams = { ani = \"1\", number = \"1\" }",
            "may run no action: none has all of its fixed parameters",
        ),
        (
            "params = { number = \"one\" }",
            "can never run the action `echo`: the parameter `number` must be a decimal number",
        ),
        (
            "actions = [\"e*\"]\nparams = { secret = [\"a\"] }",
            "can never run the action `echo`: the parameter `secret` must be text",
        ),
    ] {
        let text = format!("[[clients]]\nname = \"one\"\nkeys_sha256 = [\"SHA256\"]\n{lines}\n");
        let error = Setting::try_start(clients(&text))
            .await
            .map(drop)
            .unwrap_err();
        assert!(error.message().contains(part), "{error}");
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        // Nor is it taken by a reload.
        let setting = Setting::start(|_| {}).await;
        let error = setting.reload(clients(&text)).unwrap_err();
        assert!(error.message().contains(part), "{error}");
    }
    let text = "[[clients]]\nname = \"one\"\nkeys_sha256 = [\"SHA256\"]\nactions = [\"*\"]\nparams = { ani = \"1\" }\n";
    assert!(Setting::try_start(clients(text)).await.is_ok());
}
