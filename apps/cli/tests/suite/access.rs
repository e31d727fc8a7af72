//! `flowlake access explain`: why a client may run an action, and why not.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::process::Command;

const CONFIG: &str = r#"
[server]
keys = [{ name = "operator", secret = { env = "KEY" } }]
[[server.clients]]
name = "genesys"
oauth = { client_id = "4d5e", secret_sha256 = "SHA256" }
certificates = [{ san = "flows.example" }]
actions = ["look-*"]
params = { account = "4711" }
rate = { per_minute = 300, burst = 50 }
max_concurrent_requests = 8
[[server.clients]]
name = "stranger"
keys_sha256 = ["SHA256"]
actions = ["other"]
[policy]
allow = ["s3://lake/*"]
"#;

const ACTION: &str = r#"
[tables.customers]
uri = "s3://lake/customers.csv"
[params.account]
type = "string"
[params.caller]
type = "string"
[query]
sql = "SELECT name FROM customers WHERE account = $account AND owner = $caller"
"#;

/// The exit code and both outputs.
fn explain(client: &str, action: &str) -> (Option<i32>, String, String) {
    flowlake(&["access", "explain", "--as", client, action])
}

fn flowlake(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let config = CONFIG.replace("SHA256", &"ab".repeat(32));
    std::fs::write(folder.path().join("flowlake.toml"), config).unwrap();
    std::fs::create_dir(folder.path().join("actions")).unwrap();
    let look_up = format!("name = \"look-up\"\n{ACTION}");
    std::fs::write(folder.path().join("actions/look-up.toml"), look_up).unwrap();
    let plain =
        "name = \"look-all\"\n[tables.t]\nuri = \"s3://lake/t.csv\"\n[query]\nsql = \"SELECT 1\"\n";
    std::fs::write(folder.path().join("actions/look-all.toml"), plain).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_flowlake"))
        .arg("--config")
        .arg(folder.path())
        .args(arguments)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn what_lets_a_client_run_an_action_is_listed() {
    let (code, said, _) = explain("genesys", "look-up");
    assert_eq!(code, Some(0));
    let expected = "genesys may run look-up.
  action: `look-*` is listed in its actions
  parameter account: always \"4711\"
  parameter caller: who asks, set by the server
  proves itself by: a token of /oauth/token for 4d5e, a certificate for flows.example
  rate: 300 requests a minute, 50 at once
  at a time: 8 requests
";
    assert_eq!(said, expected);
    let (code, said, _) = explain("operator", "look-up");
    assert_eq!(code, Some(0));
    assert!(
        said.contains("lists no actions, and so may run all"),
        "{said}"
    );
    assert!(said.contains("by: its key"), "{said}");
}

#[test]
fn what_keeps_a_client_from_an_action_is_said() {
    for (client, action, code, part) in [
        ("stranger", "look-up", 3, "may not run this action"),
        (
            "genesys",
            "look-all",
            3,
            "`account`, which the action `look-all` does not have",
        ),
        ("nobody", "look-up", 2, "no client is named `nobody`"),
        ("genesys", "nothing", 2, "no action is named `nothing`"),
    ] {
        let (found, _, said) = explain(client, action);
        assert_eq!(found, Some(code), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn check_finds_what_a_client_can_never_do() {
    let (code, _, said) = flowlake(&["check"]);
    assert_eq!(code, Some(2), "{said}");
    let expected = "the client `stranger` lists `other`, which is no action";
    assert!(said.contains(expected), "{said}");
}
