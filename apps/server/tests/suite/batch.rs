//! Several questions in one call: each answered or refused by itself, within bounds.

use std::time::Duration;

use flowlake_data_action::{ClientSettings, RateSettings, Sha256Hex};
use flowlake_dev_stack::Failure;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{KEY, Reply, Setting, now, post, records};

async fn ask_as(setting: &Setting, key: &str, path: &str, body: &str) -> Reply {
    let headers = format!("Authorization: Bearer {key}\r\nContent-Type: application/json\r\n");
    let request = post(&format!("/v1/actions/{path}"), &headers, body);
    setting.send(request).await.unwrap()
}

async fn ask(setting: &Setting, path: &str, body: &str) -> Reply {
    ask_as(setting, KEY, path, body).await
}

#[tokio::test]
async fn each_question_is_answered_in_its_place_and_recorded() {
    let setting = Setting::start(|_| {}).await;
    let body = r#"[{"ani": "101"}, {"ani": "100"}, {"admin": true}, {"ani": "999"}]"#;
    let reply = ask(&setting, "look-up/batch", body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let answers = reply.json()["answers"].as_array().unwrap().clone();
    let data: Vec<_> = answers
        .iter()
        .map(|answer| &answer["answer"]["data"])
        .collect();
    let (bo, ana, none) = (
        json!([{ "name": "Bo" }]),
        json!([{ "name": "Ana" }]),
        json!([]),
    );
    assert_eq!(data, [&bo, &ana, &Value::Null, &none]);
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer["status"].as_u64())
        .collect();
    assert_eq!(statuses, [200, 200, 400, 200].map(Some));
    assert_eq!(answers[2]["problem"]["error"]["code"], "param.invalid");
    let records = records(&setting.audit_folder());
    assert_eq!(records.len(), 4);
    for answer in &answers {
        let id = answer["answer"]["audit_id"].as_str();
        let id = id.or(answer["problem"]["audit_id"].as_str()).unwrap();
        assert!(records.iter().any(|record| record.id == id), "{answer}");
    }
    let full = ask(
        &setting,
        "look-up/batch?envelope=full",
        r#"[{"ani": "100"}]"#,
    )
    .await;
    assert!(
        full.json()["answers"][0]["answer"]["audit_log"].is_object(),
        "{full:?}"
    );
}

#[tokio::test]
async fn what_is_no_batch_asks_nothing() {
    let setting = Setting::start(|config| config.server.max_batch_requests = 3).await;
    let many = r#"[{"ani": "1"}, {"ani": "1"}, {"ani": "1"}, {"ani": "1"}]"#;
    let empties = format!("[{}{{}}]", "{},".repeat(30_000));
    let deep = format!(
        "[{{\"ani\": {}{}}}]",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    for (path, body, status) in [
        ("look-up/batch", many, 400),
        ("look-up/batch", &empties, 413),
        ("look-up/batch", &deep, 400),
        ("look-up/batch", "[]", 400),
        ("look-up/batch", "", 400),
        ("look-up/batch", "{\"ani\": \"100\"}", 400),
        ("look-up/batch", "[{\"ani\": \"100\"}, 7]", 400),
        (
            "look-up/batch",
            "[{\"ani\": \"100\"}, {\"ani\": \"1\", \"ani\": \"2\"}]",
            400,
        ),
        ("look-up/batch", "[{\"ani\": \"100\"}", 400),
        ("look-up/batch?envelope=rows", "[{\"ani\": \"100\"}]", 400),
        ("look-up/batch?ani=100", "[{}]", 400),
        ("look-up/batch/", "[{}]", 404),
    ] {
        let refused = ask(&setting, path, body).await;
        assert_eq!(refused.status, status, "{path} {body:.60}: {refused:?}");
        assert!(refused.json()["error"]["code"].is_string());
    }
    assert!(records(&setting.audit_folder()).is_empty());
    let bomb = post(
        "/v1/actions/look-up/batch",
        &format!("Authorization: Bearer {KEY}\r\nContent-Encoding: gzip\r\n"),
        "\u{1f}",
    );
    assert_eq!(setting.send(bomb).await.unwrap().status, 415);
    assert_eq!(
        ask_as(&setting, "another-key-0123456789", "look-up/batch", "[{}]")
            .await
            .status,
        401
    );
    setting.answers("batches").await;
}

#[tokio::test]
async fn a_batch_is_asked_a_few_at_a_time_and_one_failure_is_one() {
    let setting = Setting::start(|config| config.s3.attempts = 1).await;
    let body = format!("[{}]", [r#"{"ani": "100"}"#; 12].join(","));
    let slow = Failure::Slow(Duration::from_millis(300));
    setting.stack.s3().fail_next_of("GetObject", 3, slow);
    let start = now();
    let running = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        setting
            .metric("flowlake_requests_running{lane=\"reads\"}")
            .await
    };
    let (reply, running) = tokio::join!(ask(&setting, "look-up/batch", &body), running);
    assert!(running <= 4.0, "{running}");
    assert_eq!(reply.json()["answers"].as_array().unwrap().len(), 12);
    assert!(start.elapsed() < Duration::from_secs(5));
    setting
        .stack
        .s3()
        .fail_next_of("GetObject", 1, Failure::Status(503));
    let answers = ask(&setting, "look-up/batch", &body).await.json();
    let answers = answers["answers"].as_array().unwrap();
    let failed: Vec<_> = answers
        .iter()
        .filter(|answer| answer["status"] != 200)
        .collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["problem"]["status"], 503);
}

#[tokio::test]
async fn each_question_counts_for_the_clients_rate_and_rights() {
    let key = "key-of-a-client-0123456789";
    let setting = Setting::start(|config| {
        let mut client = ClientSettings::unbound("100");
        client.keys_sha256 = vec![Sha256Hex(Sha256::digest(key).into())];
        client.actions = Some(vec!["who-asks".to_owned()]);
        client.max_concurrent_requests = Some(1);
        client.rate = Some(RateSettings {
            per_minute: 1,
            burst: 3,
        });
        config.server.clients = vec![client];
    })
    .await;
    let body = r#"[{}, {"caller": "101"}, {}, {}, {}]"#;
    let reply = ask_as(&setting, key, "who-asks/batch", body).await.json();
    let answers = reply["answers"].as_array().unwrap();
    let found: Vec<_> = answers
        .iter()
        .map(|answer| {
            (
                answer["status"].as_u64(),
                answer["problem"]["error"]["code"].as_str(),
            )
        })
        .collect();
    let limited = (Some(429), Some("request.rate_limited"));
    let expected = [
        (Some(200), None),
        (Some(403), Some("request.forbidden")),
        (Some(200), None),
        limited,
        limited,
    ];
    assert_eq!(found, expected);
    assert_eq!(answers[0]["answer"]["data"], json!([{ "name": "Ana" }]));
}
