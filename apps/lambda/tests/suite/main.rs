//! The function as AWS Lambda runs it: the program itself, the runtime API on loopback, S3 and IAM of the embedded stack.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod house;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use flowlake_cost_audit::{AuditStatus, audit::entries, verify};
use flowlake_dev_stack::{Failure, Invocation, Invoked, generated_cases};
use serde_json::{Value, json};

use crate::house::{ARN, House, SHIPPED};

/// How many events one environment is sent in a row; every day one in forty of them.
const EVENTS: u64 = 1000;

/// What memory may grow by between the first quarter of the events and the last, in KiB.
const GROWTH_KIB: u64 = 16 * 1024;

fn look_up(ani: &str) -> Value {
    json!({ "action": "look-up", "params": { "ani": ani } })
}

/// The answer, as a translation map reads it.
fn answered(invoked: Invoked) -> Value {
    match invoked {
        Invoked::Answered(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// The stable code of a failure, and what it says.
fn failed(invoked: Invoked) -> (String, String) {
    match invoked {
        Invoked::Failed {
            error_type,
            error_message,
        } => (error_type, error_message),
        other => panic!("{other:?}"),
    }
}

/// Every record that was shipped, over all environments.
fn shipped(house: &House) -> Vec<flowlake_cost_audit::AuditRecord> {
    let mut records = Vec::new();
    for log in fs::read_dir(house.archive()).unwrap() {
        let folder = log.unwrap().path();
        assert!(verify(&folder).unwrap().is_intact(), "{}", folder.display());
        for entry in entries(&folder).unwrap() {
            records.push(entry.unwrap().record);
        }
    }
    records
}

#[tokio::test]
async fn an_event_is_answered_and_recorded_with_who_asked() {
    let house = House::new(SHIPPED).await;
    let function = house.start();
    let answer = answered(
        house
            .runtime
            .invoke(Invocation::of(&look_up("+12025550142")))
            .await,
    );
    assert_eq!(answer["data"], json!([{ "name": "Ana", "calls": 3 }]));
    assert_eq!(
        (&answer["row_count"], &answer["truncated"]),
        (&json!(1), &json!(false))
    );
    // A null is left out, as the contract of a data action needs it.
    let answer = answered(
        house
            .runtime
            .invoke(Invocation::of(&look_up("+12025550143")))
            .await,
    );
    assert_eq!(
        answer["data"],
        json!([{ "name": "Bo \"B\" \\ $x", "calls": 0 }])
    );

    let mut event = look_up("+12025550144");
    event["conversation_id"] = json!("a-conversation");
    event["organization"] = json!("what the event says");
    let mut invocation = Invocation::of(&event);
    invocation.client_context = Some(json!({ "custom": {
        "ININ-Organization-Id": "an-organisation", "inin-correlation-id": "a-correlation", "ININ-User-Id": "a-user",
    } }));
    let answer = answered(house.runtime.invoke(invocation).await);
    assert_eq!(answer["row_count"], 0);

    let records = shipped(&house);
    assert_eq!(records.len(), 3, "each is in the bucket before its answer");
    for record in &records {
        assert_eq!(
            (record.caller.as_str(), record.status),
            (ARN, AuditStatus::Success)
        );
        assert!(!record.params["ani"].contains("+1202"), "{record:?}");
        assert!(record.correlation_id.is_some());
    }
    let last = &records[2];
    assert_eq!(last.id, answer["audit_id"].as_str().unwrap());
    assert_eq!(
        [
            &last.organization,
            &last.conversation_id,
            &last.correlation_id,
            &last.user
        ],
        [
            &Some("an-organisation".to_owned()),
            &Some("a-conversation".to_owned()),
            &Some("a-correlation".to_owned()),
            &Some("a-user".to_owned())
        ]
    );
    assert!(!function.log().contains("+1202"), "{}", function.log());
}

#[tokio::test]
async fn failures_have_the_form_of_the_runtime_api() {
    let house = House::new(SHIPPED).await;
    let function = house.start();
    for (event, code, is_recorded) in [
        (json!([1]), "request.invalid", false),
        (json!({ "params": {} }), "request.invalid", false),
        (json!({ "action": "nothing" }), "action.unknown", true),
        (json!({ "action": "look-up" }), "param.invalid", true),
        (look_up("what is no number"), "param.invalid", true),
        // The event does not decide who the caller is.
        (
            json!({ "action": "own", "params": { "caller": "somebody" } }),
            "request.forbidden",
            true,
        ),
    ] {
        let (found, told) = failed(house.runtime.invoke(Invocation::of(&event)).await);
        assert_eq!(found, code, "{event}: {told}");
        assert_eq!(
            told.contains("Audit record: "),
            is_recorded,
            "{event}: {told}"
        );
        assert!(!told.contains("what is no number"), "{told}");
    }
    let own = json!({ "action": "own" });
    let answer = answered(house.runtime.invoke(Invocation::of(&own)).await);
    assert_eq!(answer["data"], json!([{ "caller": ARN }]));
    // A failure does not end the environment.
    house.stack.s3().fail_next_of(
        "GetObject",
        100,
        Failure::Code {
            status: 403,
            code: "AccessDenied".to_owned(),
        },
    );
    let (code, _) = failed(
        house
            .runtime
            .invoke(Invocation::of(&json!({ "action": "cold" })))
            .await,
    );
    assert_eq!(code, "s3.access_denied");
    house.stack.s3().clear_failures();
    answered(
        house
            .runtime
            .invoke(Invocation::of(&json!({ "action": "cold" })))
            .await,
    );
    // A refusal is one line, and no error of the function.
    let log = function.log();
    assert!(!log.contains("what is no number"));
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of_level = |level: &'static str| lines.iter().filter(move |line| line["level"] == level);
    assert_eq!(of_level("ERROR").count(), 0, "{log}");
    let codes: Vec<&str> = of_level("WARN")
        .filter_map(|line| line["fields"]["code"].as_str())
        .collect();
    assert_eq!(
        codes,
        [
            "request.invalid",
            "request.invalid",
            "action.unknown",
            "param.invalid",
            "param.invalid",
            "request.forbidden",
            "s3.access_denied"
        ],
        "{log}"
    );
}

#[tokio::test]
async fn an_attempt_ends_before_the_invocation_does() {
    let house = House::new(SHIPPED).await;
    let _function = house.start();
    // The environment is up.
    answered(
        house
            .runtime
            .invoke(Invocation::of(&look_up("+12025550142")))
            .await,
    );
    house
        .stack
        .s3()
        .fail_next_of("GetObject", 100, Failure::Slow(Duration::from_secs(20)));
    let invocation = Invocation {
        timeout: Duration::from_secs(3),
        ..Invocation::of(&json!({ "action": "cold" }))
    };
    let (code, told) = failed(house.runtime.invoke(invocation).await);
    assert_eq!(code, "limit.timeout");
    assert!(told.contains("that the caller had left"), "{told}");
    house.stack.s3().clear_failures();
    let records = shipped(&house);
    assert_eq!(records.last().unwrap().code, "limit.timeout");
}

#[tokio::test]
async fn without_a_record_in_the_bucket_there_is_no_answer() {
    let house = House::new(&SHIPPED.replace("s3://archive/", "s3://nowhere/")).await;
    let _function = house.start();
    let (code, told) = failed(
        house
            .runtime
            .invoke(Invocation::of(&look_up("+12025550142")))
            .await,
    );
    assert_eq!(code, "audit.unavailable", "{told}");
    assert!(!told.contains("Ana"), "{told}");
}

#[tokio::test]
async fn what_cannot_start_says_so_with_a_code() {
    for (config, why) in [
        ("", "goes with the execution environment"),
        (
            "[audit.ship]\nuri = \"s3://archive/flowlake\"\n",
            "goes with the execution environment",
        ),
        (
            "[audit.log]\ndirectory = \"/tmp/audit\"\n",
            "goes with the execution environment",
        ),
        (
            &format!("{SHIPPED}[budget.total]\ndaily_usd = 1\n"),
            "a function cannot keep",
        ),
        ("[audit.shipp]\n", "unknown"),
    ] {
        let house = House::new(config).await;
        let mut function = house.start();
        let (code, told) = house.runtime.failed_start().await;
        assert_eq!(code, "config.invalid", "{told}");
        assert!(told.contains(why), "{told}");
        assert_eq!(function.ended(), Some(2));
    }
    // Outside of AWS Lambda it says what it is for.
    let house = House::new(SHIPPED).await;
    let mut function = house.start_without("AWS_LAMBDA_RUNTIME_API");
    assert_eq!(function.ended(), Some(2));
    assert!(
        function.log().contains("started by AWS Lambda"),
        "{}",
        function.log()
    );
}

#[tokio::test]
async fn sigterm_ends_it() {
    let house = House::new(SHIPPED).await;
    let mut function = house.start();
    answered(
        house
            .runtime
            .invoke(Invocation::of(&look_up("+12025550142")))
            .await,
    );
    function.terminate();
    assert_eq!(function.ended(), Some(0), "{}", function.log());
}

/// Prints the time from the start of the process to the first answer, which the documentation has for a shipped program.
#[tokio::test]
async fn events_in_a_row_are_answered_in_flat_memory() {
    let house = House::new(SHIPPED).await;
    let started = now();
    let function = house.start();
    answered(
        house
            .runtime
            .invoke(Invocation::of(&look_up("+12025550142")))
            .await,
    );
    println!("cold start: {} ms", started.elapsed().as_millis());
    let count = usize::try_from(generated_cases(EVENTS)).unwrap();
    let (mut early, mut late) = (0, 0);
    let started = now();
    for number in 0..count {
        let (event, rows) = match number % 3 {
            0 => (look_up("+12025550142"), 1),
            1 => (look_up("+12025550199"), 0),
            _ => (json!({ "action": "cold" }), 2),
        };
        let answer = answered(house.runtime.invoke(Invocation::of(&event)).await);
        assert_eq!(answer["row_count"], rows, "{event}: {answer}");
        let memory = function.memory_kib();
        if number < count.div_ceil(4) {
            early = memory.max(early);
        } else if number >= count - count.div_ceil(4) {
            late = memory.max(late);
        }
    }
    let each = started.elapsed() / u32::try_from(count).unwrap();
    println!("{count} events, {each:?} each, memory {early} and {late} KiB");
    assert!(
        late <= early + GROWTH_KIB,
        "memory grew from {early} to {late} KiB"
    );
    assert_eq!(shipped(&house).len(), count + 1);
    // The disk of the environment does not fill up either.
    assert!(
        files(&house.scratch()) < 16,
        "{} files",
        files(&house.scratch())
    );
}

fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}

#[expect(clippy::disallowed_methods, reason = "a figure for the documentation")]
fn now() -> Instant {
    Instant::now()
}
