//! What operators see, on an address of its own.

use flowlake_data_action::ClientSettings;
use serde_json::{Value, json};

use crate::support::{KEY, Setting, call, look_up, post};

#[tokio::test]
async fn operators_see_everything_without_a_key_and_nobody_else_does() {
    let setting = Setting::start(|_| {}).await;
    setting.answers("the start").await;
    for (path, status, part) in [
        ("/livez", 200, "ok"),
        ("/readyz", 200, "\"part\":\"audit\""),
        ("/metrics", 200, "flowlake_connections_open"),
        ("/v1/profiler", 200, "\"total_requests\":1"),
        ("/v1/config", 200, "\"listen\":\"127.0.0.1:0\""),
        ("/v1/status", 200, "\"total_requests\":1"),
        ("/", 200, "<title>"),
        ("/dashboard.js", 200, "EventSource"),
        ("/dashboard.css", 200, "prefers-color-scheme"),
        ("/v1/actions", 404, "request.not_found"),
        ("/nothing", 404, "request.not_found"),
    ] {
        let reply = setting.operators(path).await;
        assert_eq!(reply.status, status, "{path}: {reply:?}");
        assert!(reply.body.contains(part), "{path}: {reply:?}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        if status == 200 && !["/livez", "/readyz"].contains(&path) {
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n");
            let public = setting.send(request).await.unwrap();
            assert_eq!(public.status, 404, "{path} on the public address");
        }
    }
    let run = setting.send_to_operators(look_up(KEY).replace("Host: flowlake", "Host: [::1]:9"));
    assert_eq!(run.await.status, 404, "an action is run here");
}

#[tokio::test]
async fn a_page_of_elsewhere_cannot_look() {
    let setting = Setting::start(|_| {}).await;
    for (headers, status) in [
        ("Host: localhost:9090\r\n", 200),
        ("Host: 127.0.0.1\r\n", 200),
        ("Host: [::1]:9090\r\n", 200),
        // DNS rebinding: the name of a page that was made to point here.
        ("Host: rebound.example\r\n", 403),
        ("Host: 127.0.0.1.rebound.example\r\n", 403),
        ("Host: \r\n", 403),
        (
            "Host: localhost\r\nOrigin: https://elsewhere.example\r\n",
            403,
        ),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", 403),
    ] {
        let request = format!("GET /v1/status HTTP/1.1\r\n{headers}\r\n");
        let reply = setting.send_to_operators(request).await;
        assert_eq!(reply.status, status, "{headers:?}: {reply:?}");
    }
}

#[tokio::test]
async fn the_address_is_of_this_machine_unless_told_otherwise() {
    let remote = |allowed| {
        Setting::try_start(move |config| {
            config.server.admin = Some("0.0.0.0:0".to_owned());
            config.server.allow_remote_admin = allowed;
        })
    };
    let error = remote(false).await.map(drop).unwrap_err();
    assert!(error.advice().contains("allow_remote_admin"), "{error}");
    let setting = remote(true).await.unwrap();
    assert_eq!(setting.operators("/livez").await.status, 200);
    // Left out, there is none.
    let setting = Setting::start(|config| config.server.admin = None).await;
    assert_eq!(setting.server.admin_address(), None);
    setting.answers("no address for operators").await;
}

#[tokio::test]
async fn the_configuration_is_shown_without_what_is_nobodys_business() {
    let setting = Setting::start(|_| {}).await;
    let mut text =
        crate::support::CONFIG.replacen("keys = [", "max_body_bytes = 4096\nkeys = [", 1);
    let digest = "ab".repeat(32);
    text.push_str(&format!(
        "[[server.clients]]\nname = \"flows\"\nkeys_sha256 = [\"{digest}\"]\nparams = {{ ani = \"5550100-private\" }}\n"
    ));
    std::fs::write(setting.folder.path().join("flowlake.toml"), text).unwrap();
    setting.reload(|_| {}).unwrap();
    let reply = setting.operators("/v1/config").await;
    assert!(!reply.body.contains("private") && !reply.body.contains(&digest));
    let shown = reply.json();
    let server = &shown["config"]["server"];
    assert_eq!(server["max_body_bytes"], 4096, "{shown}");
    assert_eq!(server["keys"][0]["secret"], json!({ "env": "KEY" }));
    assert_eq!(server["clients"][0]["params"], json!({ "ani": "******" }));
    assert_eq!(shown["actions"]["hot-look-up"]["hot"], true);
    assert_eq!(shown["state"]["last_failure"], Value::Null);
}

#[tokio::test]
async fn the_status_has_the_figures_of_the_other_pages() {
    let setting = Setting::start(|config| {
        let mut client = ClientSettings::unbound("flows");
        client.keys_sha256 = Vec::new();
        config.budget.total.daily_usd = Some("1".parse().unwrap());
    })
    .await;
    for action in ["look-up", "hot-look-up", "hot-look-up"] {
        assert_eq!(setting.send(call(action)).await.unwrap().status, 200);
    }
    let wrong = post(
        "/v1/actions/look-up",
        &format!("Authorization: Bearer {KEY}\r\n"),
        "{\"telephone\": \"1\"}",
    );
    assert_eq!(setting.send(wrong).await.unwrap().status, 400);
    let status = setting.operators("/v1/status").await.json();
    let profile = setting.operators("/v1/profiler").await.json();
    assert_eq!(status["profile"]["total_requests"], 4);
    for key in ["total_requests", "errors", "recent_entries"] {
        assert_eq!(status["profile"][key], profile[key], "{key}");
    }
    assert_eq!(status["profile"]["errors"]["param.invalid"], 1);
    let pipeline = &status["pipeline"];
    assert_eq!(
        pipeline["audit"]["last_record"]["sequence"], 4,
        "{pipeline}"
    );
    assert_eq!(pipeline["hot"]["hot-look-up"]["resident"], 1, "{pipeline}");
    let bytes = pipeline["hot"]["hot-look-up"]["bytes"].as_f64().unwrap();
    assert_eq!(setting.metric("flowlake_hot_bytes").await, bytes);
    assert_eq!(pipeline["budgets"][0]["action"], Value::Null);
    assert_eq!(pipeline["budgets"][0]["limits"]["daily_usd"], "1");
    let spent = pipeline["budgets"][0]["day_usd"].as_str().unwrap();
    let metric = "flowlake_spent_usd{action=\"*\",period=\"day\"}";
    assert_eq!(setting.metric(metric).await, spent.parse::<f64>().unwrap());
    assert_eq!(status["load"]["reads"]["room"], 64);
    assert_eq!(status["genesys"]["limit"], 15);
    assert_eq!(status["verified"], Value::Null);
    // The chain is verified when somebody wants to know.
    let verify = "POST /v1/audit/verify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";
    let verified = setting.send_to_operators(verify).await.json();
    assert_eq!(
        (&verified["intact"], &verified["records"]),
        (&json!(true), &json!(4))
    );
    let status = setting.operators("/v1/status").await.json();
    assert_eq!(status["verified"], verified);
}
