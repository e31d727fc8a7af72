//! The configuration is replaced while requests go on: all of it, or nothing.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use flowlake_data_action::ErrorCode;
use flowlake_dev_stack::Failure;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{
    CONFIG, HOT, KEY, LOOK_UP, Setting, call, look_up,
    program::{Program, program_config},
    records,
};

const RELOADED: &str = "flowlake_config_reloads{result=\"ok\"}";
const FAILED: &str = "flowlake_config_reloads{result=\"failed\"}";

#[tokio::test]
async fn actions_and_policy_are_those_of_the_files() {
    let setting = Setting::start(|_| {}).await;
    assert_eq!(
        setting.send(call("hot-look-up")).await.unwrap().json()["data"][0]["name"],
        "Ana"
    );
    assert_eq!(setting.send(call("new-look-up")).await.unwrap().status, 404);
    setting.write_action("new-look-up", &LOOK_UP.replace("look-up", "new-look-up"));
    // The same name with another answer: the tables in memory are not those of the action before.
    let other = HOT.replace("SELECT name", "SELECT concat(name, '!') AS name");
    setting.write_action("hot-look-up", &other);
    fs::remove_file(setting.folder.path().join("actions/who-asks.toml")).unwrap();
    setting.reload(|_| {}).unwrap();
    assert_eq!(setting.send(call("new-look-up")).await.unwrap().status, 200);
    assert_eq!(setting.send(call("who-asks")).await.unwrap().status, 404);
    for _ in 0..2 {
        let answer = setting.send(call("hot-look-up")).await.unwrap().json();
        assert_eq!(answer["data"][0]["name"], "Ana!", "{answer}");
    }
    let status = setting.operators("/v1/status").await.json();
    assert_eq!(status["pipeline"]["hot"]["hot-look-up"]["resident"], 1);
    assert_eq!(setting.metric("flowlake_hot_resident").await, 1.0);
    setting
        .reload(|config| config.policy.allow = vec!["s3://elsewhere/*".to_owned()])
        .unwrap();
    for action in ["look-up", "hot-look-up"] {
        let denied = setting.send(call(action)).await.unwrap();
        assert_eq!(
            denied.json()["error"]["code"],
            "policy.denied",
            "{denied:?}"
        );
    }
    // One chain and one profile over all of it.
    let attempts = records(&setting.audit_folder()).len();
    assert_eq!(setting.metric(RELOADED).await, 2.0);
    let status = setting.operators("/v1/status").await.json();
    assert_eq!(status["profile"]["total_requests"], attempts);
}

#[tokio::test]
async fn what_cannot_be_taken_changes_nothing_and_is_reported() {
    let setting = Setting::start(|_| {}).await;
    let before = fs::read_to_string(setting.folder.path().join("flowlake.toml")).unwrap();
    let write = |text: &str| fs::write(setting.folder.path().join("flowlake.toml"), text).unwrap();
    setting.write_action(
        "look-up",
        &LOOK_UP.replace("SELECT name", "SELECT ani AS name"),
    );
    for broken in [
        "[server".to_owned(),
        before.replace("env = \"KEY\"", "env = \"NOWHERE\""),
        before.replace("s3://lake/exports/*", "lake"),
        format!("{before}[budget.actions.nobody]\ndaily_usd = \"1\"\n"),
        format!(
            "{before}[[server.clients]]\nname = \"flows\"\nkeys_sha256 = [\"{}\"]\nactions = [\"nothing\"]\n",
            "ab".repeat(32)
        ),
    ] {
        write(&broken);
        let error = setting.reload(|_| {}).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid, "{broken}");
        setting.answers("a reload that failed").await;
        let ready = setting.operators("/readyz").await.json();
        let warning = ready["warnings"][0].as_str().unwrap();
        assert!(warning.contains(error.message()), "{ready}");
    }
    assert_eq!(setting.metric(FAILED).await, 5.0);
    assert_eq!(setting.metric("flowlake_config_failed").await, 1.0);
    write(&before);
    setting.write_action("look-up", "name = ");
    assert!(setting.reload(|_| {}).is_err());
    setting.answers("an action that cannot be read").await;
    setting.write_action("look-up", LOOK_UP);
    setting.reload(|_| {}).unwrap();
    assert_eq!(setting.metric("flowlake_config_failed").await, 0.0);
    assert_eq!(
        setting.operators("/readyz").await.json()["warnings"],
        Value::Null
    );
}

#[tokio::test]
async fn hidden_files_beside_actions_are_no_actions() {
    let setting = Setting::start(|_| {}).await;
    let actions = setting.folder.path().join("actions");
    // What Emacs puts there while a changed buffer is not saved.
    let lock = actions.join(".#look-up.toml");
    std::os::unix::fs::symlink("somebody@a-machine.1234:1700000000", lock).unwrap();
    setting.write_action(".hidden", "name = ");
    fs::write(actions.join("look-up.toml~"), "name = ").unwrap();
    fs::write(actions.join("#look-up.toml#"), "name = ").unwrap();
    setting.write_action("new-look-up", &LOOK_UP.replace("look-up", "new-look-up"));
    setting.reload(|_| {}).unwrap();
    let answer = setting.send(call("new-look-up")).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn operators_see_which_actions_cannot_be_run() {
    let setting = Setting::start(|config| config.server.start_with_broken_actions = true).await;
    setting.write_action("broken", "name = 5");
    setting
        .reload(|config| config.server.start_with_broken_actions = true)
        .unwrap();
    let ready = setting.operators("/readyz").await.json();
    let warning = ready["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("the action `broken` cannot be run: "),
        "{ready}"
    );
}

#[tokio::test]
async fn a_request_keeps_what_it_began_with() {
    let setting = Setting::start(|_| {}).await;
    let slow = Failure::Slow(Duration::from_millis(600));
    setting.stack.s3().fail_next_of("GetObject", 1, slow);
    let question = look_up(KEY);
    let running = setting.send(&question);
    let reload = async {
        sleep(Duration::from_millis(200)).await;
        fs::remove_file(setting.folder.path().join("actions/look-up.toml")).unwrap();
        setting
            .reload(|config| config.policy.allow.clear())
            .unwrap();
        let gone = setting.send(look_up(KEY)).await.unwrap();
        assert_eq!(gone.status, 404, "{gone:?}");
    };
    let (running, ()) = tokio::join!(running, reload);
    let running = running.unwrap();
    assert_eq!(running.json()["data"][0]["name"], "Ana", "{running:?}");
}

#[tokio::test]
async fn callers_keep_their_tokens_and_what_they_have_used() {
    let digest = "39ad4d22c6026198b960836612ece7d6f9ab46db187228e47212dfcfc87680e5"; // of the secret below
    let clients = format!(
        "{CONFIG}[[server.clients]]\nname = \"flows\"\noauth = {{ client_id = \"flows\", secret_sha256 = \"{digest}\" }}\nrate = {{ per_minute = 1, burst = 2 }}\n"
    );
    let setting = Setting::start(|_| {}).await;
    let write = |text: &str| fs::write(setting.folder.path().join("flowlake.toml"), text).unwrap();
    write(&clients);
    setting.reload(|_| {}).unwrap();
    let form = "grant_type=client_credentials&client_id=flows&client_secret=secret-of-flows-0123";
    let request = crate::support::post(
        "/oauth/token",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        form,
    );
    let token = setting.send(request).await.unwrap().json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let ask = async || setting.send(look_up(&token)).await.unwrap().status;
    assert_eq!(ask().await, 200);
    setting.reload(|_| {}).unwrap();
    assert_eq!((ask().await, ask().await), (200, 429));
    setting.reload(|_| {}).unwrap();
    assert_eq!(ask().await, 429);
    // Another secret ends the token.
    write(&clients.replace(digest, &"cd".repeat(32)));
    setting.reload(|_| {}).unwrap();
    assert_eq!(ask().await, 401);
    write(CONFIG);
    setting.reload(|_| {}).unwrap();
    setting.answers("the client is gone").await;
}

#[tokio::test]
async fn bounds_are_those_of_the_files() {
    let setting = Setting::start(|_| {}).await;
    setting
        .reload(|config| {
            config.server.max_body_bytes = 4;
            config.server.max_concurrent_requests = 3;
            config.server.max_connections = 1;
        })
        .unwrap();
    let mut only = setting.connect().await;
    only.write(look_up(KEY)).await;
    assert_eq!(only.reply().await.unwrap().status, 413);
    let mut refused = setting.connect().await;
    assert!(
        refused
            .closed_within(Duration::from_secs(5))
            .await
            .is_some()
    );
    let status = setting.operators("/v1/status").await.json();
    assert_eq!(status["load"]["reads"]["room"], 3);
    drop(only);
    setting.reload(|_| {}).unwrap();
    setting.answers("the bounds of before").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_the_program_reloads() {
    let setting = Setting::start(|_| {}).await;
    let program = Program::start(&setting);
    let config = program_config(&setting);
    let done = Arc::new(AtomicBool::new(false));
    let callers = (0..4).map(|number| {
        let client = Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(number % 2);
        let (client, url, done) = (
            client.build().unwrap(),
            program.url.clone(),
            Arc::clone(&done),
        );
        tokio::spawn(async move {
            let mut requests = 0;
            while !done.load(Relaxed) {
                let question = client.post(&url).bearer_auth(KEY);
                let answer = question.json(&json!({ "ani": "100" })).send().await;
                let answer: Value = answer.unwrap().json().await.unwrap();
                assert_eq!(answer["data"][0]["name"], "Ana", "{answer}");
                requests += 1;
            }
            requests
        })
    });
    let callers: Vec<_> = callers.collect();
    // Told to, at once.
    let other = config.replacen("[server]", "[server]\nmax_body_bytes = 1000", 1);
    program.write("flowlake.toml", &other);
    program.signal("-HUP");
    program
        .counts("flowlake_config_reloads{result=\"ok\"} 1.0")
        .await;
    // By itself: a new action, then one that is broken, then none.
    program.write("actions/other.toml", &LOOK_UP.replace("look-up", "other"));
    program
        .counts("flowlake_config_reloads{result=\"ok\"} 2.0")
        .await;
    program.write("actions/other.toml", "name = 5");
    program
        .counts("flowlake_config_reloads{result=\"failed\"} 1.0")
        .await;
    fs::remove_file(program.folder.join("actions/other.toml")).unwrap();
    program
        .counts("flowlake_config_reloads{result=\"ok\"} 3.0")
        .await;
    // The log names what takes effect at the next start.
    let moved = other.replacen("127.0.0.1:0", "127.0.0.1:1", 1);
    program.write("flowlake.toml", &moved);
    program.counts("flowlake_config_pending_restart 1.0").await;
    done.store(true, Relaxed);
    let mut requests = 0;
    for caller in callers {
        requests += caller.await.unwrap();
    }
    program.signal("-TERM");
    let mut program = program;
    assert!(program.child.wait().unwrap().success());
    assert_eq!(records(&program.folder.join("audit")).len(), requests);
    let log = program.log.lock().unwrap().clone();
    for line in [
        r#""key":"server.max_body_bytes","new":"1000""#,
        r#""key":"actions.other""#,
        "the configuration cannot be taken",
        r#""key":"server.listen","old":"\"127.0.0.1:0\"","new":"\"127.0.0.1:1\"""#,
    ] {
        assert!(log.contains(line), "{line} is not in {log}");
    }
    assert!(!log.contains(KEY), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_in_a_file_is_taken_and_nobody_writes_into_the_log() {
    let setting = Setting::start(|_| {}).await;
    let config = program_config(&setting).replacen("{ env = \"KEY\" }", "{ file = \"key\" }", 1);
    let program = Program::start_with(&setting, &config);
    let client = Client::builder().no_proxy().build().unwrap();
    let ask = async |key: &str| {
        let question = client.post(&program.url).bearer_auth(key);
        let answer = question.json(&json!({ "ani": "100" })).send().await;
        answer.unwrap().status().as_u16()
    };
    assert_eq!(ask(KEY).await, 200);
    // What would be a line of its own, or a colour, where it were written as it is.
    let line = "x%0a%7b%22level%22%3a%22INFO%22%2c%22forged%22%3a1%7d%1b%5b31m";
    for end in [line, "%e2%80%a8forged", "look-up?envelope=%0aforged"] {
        let url = program.url.replace("look-up", end);
        let forged = client
            .post(url)
            .bearer_auth(KEY)
            .header("X-Request-Id", "a\tb");
        let refused = forged
            .json(&json!({ "ani\nforged": "\u{1b}[31m" }))
            .send()
            .await;
        assert!(refused.unwrap().status().is_client_error());
    }
    let new = "another-key-of-the-tests-5d21";
    program.write("key", new);
    program
        .counts("flowlake_config_reloads{result=\"ok\"} 1.0")
        .await;
    assert_eq!((ask(new).await, ask(KEY).await), (200, 401));
    let log = program.log.lock().unwrap().clone();
    for part in ["\"key\":\"server.keys.tests.secret\"", "\"changed\":1"] {
        assert!(log.contains(part), "{log}");
    }
    program.signal("-TERM");
    let mut program = program;
    assert!(program.child.wait().unwrap().success());
    let log = program.log.lock().unwrap().clone();
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(line.get("forged").is_none(), "{line}");
    }
    for part in ["\u{1b}", "\u{2028}", KEY, new] {
        assert!(!log.contains(part), "{log}");
    }
}
