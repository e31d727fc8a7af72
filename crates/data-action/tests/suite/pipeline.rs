//! The pipeline against the embedded stack: every attempt is answered or refused, and recorded exactly once.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    collections::HashMap,
    io::{Result, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::support::{CALLER, House, LOOK_UP, READER, Variables, project};
use flowlake_cost_audit::{AuditLog, AuditSettings};
use flowlake_data_action::{Action, ActionDefinition, ActionRequest, ErrorCode, Pipeline};
use flowlake_dev_stack::{Failure, ObjectState};
use serde_json::{Value, json};

#[tokio::test]
async fn a_look_up_is_answered_priced_recorded_and_profiled() {
    let house = House::build(&[]).await;
    let answer = house
        .run("look-up", json!({ "ani": CALLER }))
        .await
        .unwrap();
    assert_eq!(answer["data"], json!([{ "name": "Ana", "tier": "gold" }]));
    assert_eq!(answer["row_count"], 1);
    let entry = &answer["metadata"][0];
    let last_modified = entry["last_modified"].as_str().unwrap();
    assert!(last_modified.ends_with('Z'), "{last_modified}");
    assert_eq!(answer["metadata"].as_array().unwrap().len(), 1);
    assert_eq!(
        *entry,
        json!({
            "bucket": "lake",
            "key": "exports/customers.csv",
            "content_type": entry["content_type"],
            "content_length": std::fs::metadata(house.folder.path().join("lake-root/lake/exports/customers.csv")).unwrap().len(),
            "last_modified": last_modified,
            "etag": answer["audit_log"]["objects"][0]["etag"],
            "storage_class": "STANDARD",
        })
    );
    assert_eq!(answer["profiler_snapshot"]["total_requests"], 1);
    assert!(answer["cost_tracking"]["bytes"].as_u64().unwrap() > 0);
    assert_eq!(answer["audit_log"]["principal"], READER);
    let audit = house.audit();
    assert_eq!(audit.len(), 1);
    assert!(
        !audit[0].contains(CALLER),
        "the number is personal data: {}",
        audit[0]
    );
    assert!(flowlake_cost_audit::verify(&house.folder.path().join("audit")).is_ok());
}

#[tokio::test]
async fn every_refusal_has_its_code_and_one_record() {
    let action = |name: &str, key: &str, sql: &str| {
        format!(
            "name = \"{name}\"\n[tables.t]\nuri = \"s3://lake/{key}\"\n[query]\nsql = \"{sql}\"\n"
        )
    };
    let actions = [
        action("denied", "exports/denied.csv", "SELECT * FROM t"),
        action("outside", "payroll/salaries.csv", "SELECT * FROM t"),
        action("missing", "exports/none.csv", "SELECT * FROM t"),
        action("column", "exports/customers.csv", "SELECT nam FROM t"),
    ];
    let house = House::build(&actions.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let cases = [
        ("nothing", json!({}), ErrorCode::ActionUnknown),
        ("look-up", json!({}), ErrorCode::ParamInvalid),
        ("look-up", json!({ "ani": "12" }), ErrorCode::ParamInvalid),
        ("denied", json!({}), ErrorCode::AccessDenied),
        ("outside", json!({}), ErrorCode::PolicyDenied),
        ("missing", json!({}), ErrorCode::S3NoSuchKey),
        ("column", json!({}), ErrorCode::SqlUnknownColumn),
    ];
    for (done, (name, params, code)) in cases.into_iter().enumerate() {
        let (found, message) = house.run(name, params).await.unwrap_err();
        assert_eq!(found, code, "{name}: {message}");
        let audit = house.audit();
        assert_eq!(audit.len(), done + 1, "{name}");
        assert!(
            audit.iter().any(|record| record.contains(code.as_str())),
            "{name}"
        );
    }
    // Nothing was read for what was refused before S3.
    assert_eq!(
        house.stack.s3().count("GetObject"),
        1,
        "only `column` reads, and only the head that types are found from"
    );
}

#[tokio::test]
async fn numbers_in_place_of_names_are_not_shown() {
    let house = House::build(&[]).await;
    let number = "+49 170 1234567";
    let swapped = json!({ number: "ani" });
    for (name, params) in [(number, json!({})), ("look-up", swapped)] {
        let (_, message) = house.run(name, params).await.unwrap_err();
        let record = house.audit().pop().unwrap();
        for shown in [message, record] {
            assert!(shown.contains("`?##?###?#######`"), "{shown}");
            assert!(!shown.contains("1234567"), "{shown}");
        }
    }
}

#[test]
fn an_action_whose_table_function_would_take_gigabytes_to_plan_is_refused() {
    let action = r#"
name = "bomb"
[tables.t]
uri = "s3://lake/exports/customers.csv"
[query]
sql = "SELECT count(*) AS n FROM range(length(repeat('x', 2000000000)))"
"#;
    let definition = ActionDefinition::parse("bomb.toml".as_ref(), action).unwrap();
    let error = Action::try_new(definition).unwrap_err();
    assert_eq!(error.code(), ErrorCode::SqlNotAllowed, "{error}");
}

#[tokio::test]
async fn an_action_that_needs_a_token_fails_without_one() {
    let action = LOOK_UP.replace(
        "name = \"look-up\"",
        "name = \"gated\"\ngenesys_token = true",
    );
    let house = House::build(&[&action]).await;
    house.stack.genesys().login().fail_next(
        1,
        Failure::RateLimited {
            retry_after_seconds: 3600,
        },
    );
    for _ in 0..2 {
        let (code, _) = house
            .run("gated", json!({ "ani": CALLER }))
            .await
            .unwrap_err();
        assert_eq!(code, ErrorCode::GenesysRateLimited);
    }
    assert_eq!(house.stack.s3().total(), 0);
    assert_eq!(
        house.stack.genesys().login().total(),
        1,
        "nobody asks again before the time that was asked for"
    );
    assert_eq!(house.audit().len(), 2);
    let genesys = house.pipeline.health();
    let genesys = genesys.iter().find(|part| part.part == "genesys").unwrap();
    assert_eq!(genesys.detail.as_deref(), Some("genesys.rate_limited"));
    assert!(!genesys.up);
    let house = House::build(&[&action]).await;
    assert!(house.run("gated", json!({ "ani": CALLER })).await.is_ok());
}

#[tokio::test]
async fn an_object_whose_key_may_not_be_used_is_not_read() {
    let house = House::build(&[]).await;
    let key = "arn:aws:kms:us-east-1:123456789012:key/0123abcd".to_owned();
    let state = ObjectState {
        kms_key_arn: Some(key),
        ..ObjectState::default()
    };
    let object = "exports/customers.csv";
    house.stack.set_object_state("lake", object, state);
    let (code, message) = house
        .run("look-up", json!({ "ani": CALLER }))
        .await
        .unwrap_err();
    assert_eq!(code, ErrorCode::S3KmsDenied);
    assert!(message.contains("kms:Decrypt"), "{message}");
    // One byte was asked for, to let the key's own policy speak.
    assert_eq!(house.stack.s3().count("GetObject"), 1);
}

/// What was logged. Clones share it.
#[derive(Debug, Default, Clone)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> Result<usize> {
        self.0.lock().unwrap().extend(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_cause_of_a_failure_is_logged_once_with_the_id_of_its_record() {
    let house = House::build(&[]).await;
    std::fs::remove_file(
        house
            .folder
            .path()
            .join("lake-root/lake/exports/customers.csv"),
    )
    .unwrap();
    let log = Log::default();
    let writer = log.clone();
    // The server's default level.
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_env_filter("info")
        .with_writer(move || writer.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let request = ActionRequest {
        action: "look-up".to_owned(),
        params: json!({ "ani": CALLER }).as_object().unwrap().clone(),
        ..ActionRequest::default()
    };
    let failure = house.pipeline.run(request).await.unwrap_err();
    drop(guard);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["target"].as_str().unwrap().starts_with("flowlake"))
        .collect();
    assert_eq!(lines.len(), 1, "{text}");
    let fields = &lines[0]["fields"];
    assert_eq!(lines[0]["level"], "WARN");
    assert_eq!(fields["audit_id"], failure.audit_id.unwrap());
    assert_eq!(fields["code"], "s3.no_such_key");
    assert_eq!(fields["detail"], failure.error.log_detail());
    assert!(!failure.error.log_detail().is_empty());
    assert!(!text.contains(CALLER), "{text}");
}

#[tokio::test]
async fn a_caller_that_hangs_up_is_recorded() {
    let house = House::build(&[]).await;
    let request = ActionRequest {
        action: "look-up".to_owned(),
        params: json!({ "ani": CALLER }).as_object().unwrap().clone(),
        ..ActionRequest::default()
    };
    request.cancellation.cancel();
    let failure = house.pipeline.run(request).await.unwrap_err();
    assert_eq!(failure.error.code(), ErrorCode::Cancelled);
    assert_eq!(house.audit().len(), 1);
}

/// Asks, and stops waiting for the answer once the attempt has begun.
async fn hang_up(house: &House) {
    let request = ActionRequest {
        action: "look-up".to_owned(),
        params: json!({ "ani": CALLER }).as_object().unwrap().clone(),
        ..ActionRequest::default()
    };
    let attempt = std::pin::pin!(house.pipeline.run(request));
    assert!(futures::poll!(attempt).is_pending());
}

#[tokio::test]
async fn a_caller_that_hangs_up_in_the_middle_is_recorded() {
    let house = House::build(&[]).await;
    hang_up(&house).await;
    while house.audit().is_empty() {
        tokio::task::yield_now().await;
    }
    let audit = house.audit();
    assert_eq!(audit.len(), 1);
    assert!(audit[0].contains("request.cancelled"), "{}", audit[0]);
}

#[tokio::test]
async fn closing_waits_for_the_record_of_a_caller_that_hung_up() {
    let house = House::build(&[]).await;
    hang_up(&house).await;
    assert_eq!(house.pipeline.close(Duration::from_secs(20)).await, 0);
    let audit = house.audit();
    assert_eq!(audit.len(), 1);
    assert!(audit[0].contains("request.cancelled"), "{}", audit[0]);
    // Nothing holds the log any more.
    let settings = AuditSettings {
        directory: house.folder.path().join("audit"),
        ..AuditSettings::default()
    };
    drop(AuditLog::open(settings).unwrap());
}

#[tokio::test]
async fn closing_ends_attempts_that_take_too_long_and_records_them() {
    let house = House::build(&[]).await;
    house.stack.s3().fail_next(100, Failure::Hang);
    let run = house.run("look-up", json!({ "ani": CALLER }));
    let close = async {
        while house.stack.s3().total() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        house.pipeline.close(Duration::from_millis(50)).await
    };
    let (answer, cancelled) = futures::join!(run, close);
    assert_eq!(cancelled, 1);
    let (code, message) = answer.unwrap_err();
    assert_eq!(
        (code, message.as_str()),
        (ErrorCode::Overloaded, "the process is stopping")
    );
    let audit = house.audit();
    assert_eq!(audit.len(), 1);
    assert!(audit[0].contains("server.overloaded"), "{}", audit[0]);
    let late = house.pipeline.run(ActionRequest::default()).await;
    assert_eq!(late.unwrap_err().error.code(), ErrorCode::AuditUnavailable);
}

#[tokio::test]
async fn without_a_record_there_is_no_answer() {
    let house = House::build(&[]).await;
    house
        .run("look-up", json!({ "ani": CALLER }))
        .await
        .unwrap();
    // A configuration whose audit folder cannot be made does not start at all.
    let mut project = project(house.folder.path(), &house.stack, "", &[]);
    project.config.audit.log.directory = house.folder.path().join("flowlake.toml/audit");
    let environment = Variables(HashMap::from([("SECRET".to_owned(), "x".to_owned())]));
    let error = Pipeline::builder(project)
        .build(&environment)
        .await
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::AuditUnavailable);
}

#[tokio::test]
async fn an_attempt_ends_before_its_caller_goes_away() {
    let house = House::build(&[]).await;
    let request = |time_left| ActionRequest {
        action: "look-up".to_owned(),
        params: json!({ "ani": CALLER }).as_object().unwrap().clone(),
        time_left: Some(time_left),
        ..ActionRequest::default()
    };
    let failure = house
        .pipeline
        .run(request(Duration::ZERO))
        .await
        .unwrap_err();
    assert_eq!(failure.error.code(), ErrorCode::LimitTimeout);
    let told = failure.error.message();
    assert!(told.contains("that the caller had left"), "{told}");
    // More time than the action's own limit is no more than that limit.
    let given = house.pipeline.run(request(Duration::from_secs(3600))).await;
    given.unwrap();
    assert_eq!(house.audit().len(), 2);
}
