//! The server over HTTP, without AWS: what it says to requests that never become an attempt.

use flowlake_data_action::{Environment, Pipeline, Project};
use flowlake_server::{Callers, RunningServer, Server};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
require_key = false
max_body_bytes = 100
[aws]
region = "us-east-1"
[policy]
allow = ["s3://lake/*"]
"#;

#[derive(Debug)]
struct NoVariables;

impl Environment for NoVariables {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }
}

/// A server of a project without actions; it stops with the runtime.
struct Setting {
    server: RunningServer,
    _folder: tempfile::TempDir,
}

impl Setting {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("flowlake.toml"), CONFIG).unwrap();
        let project = Project::load(folder.path()).unwrap();
        let settings = project.config.server.clone();
        let callers = Callers::load(&settings, &NoVariables).unwrap();
        let pipeline = Box::pin(Pipeline::builder(project).build(&NoVariables))
            .await
            .unwrap();
        Self {
            server: Server::try_new(pipeline, callers, settings)
                .unwrap()
                .start()
                .await
                .unwrap(),
            _folder: folder,
        }
    }

    async fn ask(&self, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.server.address());
        let client = Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, url).body(body.to_owned());
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let kind = if status.is_success() {
            "application/json"
        } else {
            "application/problem+json"
        };
        assert_eq!(headers["content-type"], kind, "{path}");
        assert_eq!(
            headers.contains_key("allow"),
            status == StatusCode::METHOD_NOT_ALLOWED,
            "{path}"
        );
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap())
    }
}

#[tokio::test]
async fn every_refusal_is_json_with_a_code() {
    let setting = Setting::start().await;
    let large = format!("{{\"x\": \"{}\"}}", "x".repeat(200));
    for (method, path, body, status, code) in [
        (Method::GET, "/", "", 404, "request.not_found"),
        (Method::POST, "/v1/action/x", "{}", 404, "request.not_found"),
        (Method::GET, "/v1/actions/x", "", 404, "action.unknown"),
        (Method::PUT, "/v1/actions/x", "", 405, "request.invalid"),
        (Method::DELETE, "/v1/actions", "", 405, "request.invalid"),
        (Method::POST, "/livez", "", 405, "request.invalid"),
        (
            Method::POST,
            "/v1/actions/%FF",
            "{}",
            400,
            "request.invalid",
        ),
        (
            Method::POST,
            "/v1/actions/x?envelope=y",
            "{}",
            400,
            "request.invalid",
        ),
        (
            Method::POST,
            "/v1/actions/x?other=y",
            "{}",
            400,
            "request.invalid",
        ),
        (Method::POST, "/v1/actions/x", "[", 400, "request.invalid"),
        (
            Method::POST,
            "/v1/actions/x",
            large.as_str(),
            413,
            "request.invalid",
        ),
        (Method::POST, "/v1/actions/x", "{}", 404, "action.unknown"),
    ] {
        let (found, answer) = setting.ask(method.clone(), path, body).await;
        assert_eq!(found.as_u16(), status, "{method} {path}: {answer}");
        assert_eq!(answer["error"]["code"], code, "{method} {path}");
        assert!(answer["error"]["advice"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn advice_is_about_what_was_wrong() {
    let setting = Setting::start().await;
    for (path, body, part) in [
        ("/v1/actions/x?envelope=row", "{}", "?envelope=flow"),
        ("/v1/actions/x?envelop=rows", "{}", "?envelope=flow"),
        ("/v1/actions/x", "[]", "JSON object"),
        ("/v1/actions/x/batch", "{}", "JSON array of 1 to 100"),
        ("/v1/actions/x/batch", "[]", "JSON array of 1 to 100"),
        (
            "/v1/actions/x/batch?envelope=rows",
            "[{}]",
            "another `envelope`",
        ),
        ("/v1/actions/%ff", "{}", "in UTF-8"),
    ] {
        let (_, answer) = setting.ask(Method::POST, path, body).await;
        let advice = answer["error"]["advice"].as_str().unwrap();
        assert!(advice.contains(part), "{path}: {answer}");
    }
}

#[tokio::test]
async fn readiness_names_every_part() {
    let setting = Setting::start().await;
    let (status, answer) = setting.ask(Method::GET, "/readyz", "").await;
    assert_eq!(
        (status.as_u16(), &answer),
        (200, &json!({ "status": "ready" }))
    );
    let url = format!("http://{}/readyz", setting.server.admin_address().unwrap());
    let client = Client::builder().no_proxy().build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let parts = answer["parts"].as_array().unwrap();
    let parts: Vec<_> = parts
        .iter()
        .map(|part| (&part["part"], &part["up"]))
        .collect();
    // Neither hot actions, nor shipping, nor Genesys Cloud are configured.
    let expected = ["audit", "access", "s3"].map(Value::from);
    let up = Value::from(true);
    assert_eq!(
        parts,
        expected.iter().map(|part| (part, &up)).collect::<Vec<_>>()
    );
}

#[test]
fn a_log_filter_that_cannot_be_read_is_an_error() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_flowlake-server"))
        .env("FLOWLAKE_LOG", "flowlake=loud")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("flowlake=loud"), "{said}");
}
