//! Every proof of a client that the server takes, over TLS, as `curl` and as the official Genesys Cloud SDK send it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use flowlake_dev_stack::note_secret;
use flowlake_e2e::{BUCKET, EmbeddedStack, Environment, Project, ProjectSettings, Server, piped};
use serde_json::{Value, json};

const SECRET: &str = "a-secret-of-every-client-9c41";
const ISSUER: &str = "https://login.example";

/// How each client proves itself.
const CLIENTS: &str = r#"
[[server.clients]]
name = "by-key"
keys_sha256 = ["SHA256"]

[[server.clients]]
name = "by-password"
basic = { user = "genesys", password_sha256 = "SHA256" }

[[server.clients]]
name = "by-own-token"
oauth = { client_id = "flows", secret_sha256 = "SHA256" }

[[server.clients]]
name = "by-foreign-token"
tokens = [{ issuer = "https://login.example", claims = { azp = "flows" } }]

[[server.clients]]
name = "by-certificate"
certificates = [{ san = "flows.example" }]

[[server.issuers]]
issuer = "https://login.example"
audience = "flowlake"
jwks_file = "jwks.json"

[server.tls]
certificate = "CERTIFICATES/server.pem"
private_key = "CERTIFICATES/server.key"
client_roots = "CERTIFICATES/authority.pem"
"#;

/// The callers in the order in which both sides ask.
const CALLERS: [&str; 5] = [
    "by-key",
    "by-password",
    "by-own-token",
    "by-foreign-token",
    "by-certificate",
];

struct Setting {
    environment: Environment,
    project: Project,
    server: Server,
    /// A token of the issuer.
    token: String,
    rows: Value,
    // Ended when the setting goes.
    _stack: EmbeddedStack,
}

fn certificate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../apps/server/tests/suite/certificates")
        .join(name)
}

impl Setting {
    fn start(test: &str) -> Result<Self> {
        note_secret(SECRET);
        let environment = Environment::load()?;
        let folder = environment.folder(test)?;
        let root = folder.join("buckets");
        let day = root.join(BUCKET).join("exports").join("2026-01-31");
        std::fs::create_dir_all(&day)?;
        let python = environment.python();
        let csv = day.join("conversation_metrics.csv");
        python.call("generate", &json!({ "path": csv, "rows": 1000 }))?;
        let stack = EmbeddedStack::start(&root)?;
        let mut settings =
            ProjectSettings::new(stack.aws_url(), stack.s3_url(), stack.keys("reader")?);
        let digest = python.call("sha256", &json!({ "text": SECRET }))?;
        settings.more = CLIENTS
            .replace("SHA256", digest.as_str().context("no digest")?)
            .replace("CERTIFICATES", &certificate("").to_string_lossy());
        let project = Project::create(&environment, &folder.join("project"), &settings)?;
        let jwks = project.folder().join("jwks.json");
        let claims = json!({ "iss": ISSUER, "aud": "flowlake", "sub": "100", "azp": "flows" });
        let token = python.call("issue_token", &json!({ "jwks": jwks, "claims": claims }))?;
        let token = token.as_str().context("no token")?.to_owned();
        note_secret(&token);
        // What the server has to answer.
        let rows = project.run(&["run", "queue-summary", "--format", "json"])?;
        let server = project.serve_over_tls()?;
        Ok(Self {
            rows: rows.json()?["data"].take(),
            environment,
            project,
            server,
            token,
            _stack: stack,
        })
    }

    fn url(&self) -> String {
        format!("{}/v1/actions/queue-summary", self.server.url())
    }

    /// Who asked according to the audit log, since `before` records.
    fn callers(&self, before: usize) -> Result<Vec<Value>> {
        let records = self.project.audit_records()?;
        Ok(records[before..]
            .iter()
            .map(|record| record["record"]["caller"].clone())
            .collect())
    }
}

/// Runs curl; gives the status, the version of HTTP and the body. Its arguments come by standard input, where no other process of
/// the machine sees them.
fn curl(arguments: &[(&str, &str)]) -> Result<(u16, String, String)> {
    let mut config =
        String::from("silent\nshow-error\nwrite-out = \"\\n%{http_code} %{http_version}\"\n");
    for (name, value) in arguments {
        config += &format!("{name} = {}\n", Value::from(*value));
    }
    let printed = piped(Command::new("curl").args(["--config", "-"]), &config)?;
    let (body, last) = printed
        .rsplit_once('\n')
        .context("curl printed no status")?;
    let (status, version) = last.split_once(' ').context("curl printed no version")?;
    Ok((status.parse()?, version.to_owned(), body.to_owned()))
}

#[test]
fn curl_is_answered_with_each_proof() -> Result<()> {
    let setting = Setting::start("credentials-curl")?;
    let (url, authority) = (setting.url(), certificate("authority.pem"));
    let authority = authority.to_string_lossy();
    let call = |proof: &[(&str, &str)]| {
        let mut arguments = vec![
            ("url", url.as_str()),
            ("cacert", &authority),
            ("header", "Content-Type: application/json"),
            ("data", "{}"),
        ];
        arguments.extend_from_slice(proof);
        curl(&arguments)
    };
    let token_url = format!("{}/oauth/token", setting.server.url());
    let (status, _, given) = curl(&[
        ("url", &token_url),
        ("cacert", &authority),
        ("user", &format!("flows:{SECRET}")),
        ("data", "grant_type=client_credentials"),
    ])?;
    ensure!(status == 200, "{given}");
    let given: Value = serde_json::from_str(&given)?;
    let own_token = given["access_token"].as_str().context("no token")?;
    note_secret(own_token);
    let bearer = |secret: &str| format!("Authorization: Bearer {secret}");
    let (client, client_key) = (certificate("client.pem"), certificate("client.key"));
    let before = setting.project.audit_records()?.len();
    for proof in [
        &[("header", bearer(SECRET).as_str())][..],
        &[("user", &format!("genesys:{SECRET}"))],
        &[("header", &bearer(own_token))],
        &[("header", &bearer(&setting.token))],
        &[
            ("cert", &client.to_string_lossy()),
            ("key", &client_key.to_string_lossy()),
        ],
    ] {
        for version in ["1.1", "2"] {
            let chosen = if version == "2" {
                ("http2", "true")
            } else {
                ("http1.1", "true")
            };
            let (status, spoken, body) = call(&[proof, &[chosen]].concat())?;
            ensure!(
                status == 200 && spoken == version,
                "{status} {spoken} {body}"
            );
            let answer: Value = serde_json::from_str(&body)?;
            ensure!(answer["data"] == setting.rows, "{} other rows", body.len());
        }
    }
    let twice: Vec<_> = CALLERS.iter().flat_map(|caller| [caller, caller]).collect();
    ensure!(json!(setting.callers(before)?) == json!(twice));
    // None, a wrong one of each kind, and a server that cannot be trusted.
    let wrong = "a-wrong-secret-of-some-length";
    let (other, other_key) = (certificate("other.pem"), certificate("other.key"));
    for proof in [
        &[][..],
        &[("header", bearer(wrong).as_str())],
        &[("user", &format!("genesys:{wrong}"))],
        &[("header", &bearer(&format!("{}x", setting.token)))],
        &[
            ("cert", &other.to_string_lossy()),
            ("key", &other_key.to_string_lossy()),
        ],
    ] {
        let (status, _, body) = call(proof)?;
        ensure!(status == 401, "{status} {body}");
    }
    let distrusting = curl(&[("url", &url), ("header", &bearer(SECRET))]);
    ensure!(distrusting.is_err(), "{distrusting:?}");
    Ok(())
}

#[test]
fn the_official_sdk_is_answered_with_each_proof() -> Result<()> {
    let setting = Setting::start("credentials-sdk")?;
    let before = setting.project.audit_records()?.len();
    let arguments = json!({
        "host": setting.server.url(),
        "path": "/v1/actions/queue-summary",
        "authority": certificate("authority.pem"),
        "certificate": certificate("client.pem"),
        "private_key": certificate("client.key"),
        "secret": SECRET,
        "token": setting.token,
        "folder": setting.project.folder(),
    });
    let answers = setting.environment.python().call("sdk_calls", &arguments)?;
    let answers = answers.as_array().context("no answers")?;
    ensure!(answers.len() == CALLERS.len(), "{answers:?}");
    for answer in answers {
        ensure!(answer["data"] == setting.rows, "{answer:.300}");
    }
    ensure!(json!(setting.callers(before)?) == json!(CALLERS));
    Ok(())
}
