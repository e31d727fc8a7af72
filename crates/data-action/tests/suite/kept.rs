//! Answers that are kept, and tags of answers that the caller has: what is read again, and that each is allowed and recorded.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use flowlake_data_action::{
    Action, ActionDefinition, ActionRequest, Answer, CacheServed, Clock, ErrorCode, JsonReader,
    RowFormat, SystemClock,
};
use flowlake_dev_stack::Failure;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::House;

const KEPT: &str = r#"
name = "kept"
cache = "60s"
[tables.t]
uri = "s3://lake/exports/t.csv"
[params.a]
type = "string"
default = "1"
[query]
sql = "SELECT b FROM t WHERE a = $a"
"#;

const RIGHTS: &str = "[access]\nttl = \"1ms\"\n";

fn rights() -> Value {
    json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] }])
}

/// A clock that is moved by hand.
#[derive(Debug)]
struct Moved(Mutex<Duration>);

impl Clock for Moved {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now()
    }

    fn instant(&self) -> Instant {
        SystemClock.instant() + *self.0.lock().unwrap()
    }
}

struct Setting {
    house: House,
    clock: Arc<Moved>,
}

impl Setting {
    async fn build(more_config: &str, actions: &[&str]) -> Self {
        let clock = Arc::new(Moved(Mutex::default()));
        let files = [("exports/t.csv", "a,b\n1,one\n2,two\n")];
        let now = |config: &mut flowlake_data_action::Config| config.s3.metadata_ttl_ms = 0;
        let time = Arc::clone(&clock);
        let config = format!("{RIGHTS}{more_config}");
        let house = House::at(time, &files, rights(), &config, actions, now).await;
        Self { house, clock }
    }

    fn wait(&self, seconds: u64) {
        *self.clock.0.lock().unwrap() += Duration::from_secs(seconds);
    }

    async fn ask(&self, action: &str, params: Value) -> Answer {
        self.house.ask(action, params).await.unwrap()
    }

    async fn request(&self, request: ActionRequest) -> Answer {
        self.house.pipeline.run(request).await.unwrap()
    }

    fn reads(&self) -> u64 {
        self.house.stack.s3().count("GetObject")
    }

    fn write(&self, content: &str) {
        let path = self
            .house
            .folder
            .path()
            .join("lake-root/lake/exports/t.csv");
        std::fs::write(path, content).unwrap();
    }

    /// The last record.
    fn record(&self) -> Value {
        let lines = self.house.audit();
        let records = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        let last = records.max_by_key(|line: &Value| line["sequence"].as_u64());
        last.unwrap()["record"].clone()
    }
}

fn is_hit(answer: &Answer) -> bool {
    matches!(answer.cache, Some(CacheServed::Hit { .. }))
}

fn is_miss(answer: &Answer) -> bool {
    answer.cache == Some(CacheServed::Miss { kept: true })
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time_and_while_the_object_is_the_same() {
    let setting = Setting::build("", &[KEPT]).await;
    let first = setting.ask("kept", json!({})).await;
    assert!(is_miss(&first), "{:?}", first.cache);
    let (reads, read) = (setting.reads(), setting.record());
    setting.wait(42);
    let second = setting.ask("kept", json!({})).await;
    let Some(CacheServed::Hit { age_ms, left_ms }) = second.cache else {
        panic!("{:?}", second.cache)
    };
    assert!((42_000..50_000).contains(&age_ms), "{age_ms}");
    assert!((10_000..=18_000).contains(&left_ms), "{left_ms}");
    assert_eq!(second.data.get(), first.data.get());
    assert_eq!(second.tag, first.tag);
    assert_eq!(setting.reads(), reads);
    // It has a record like the first, which names what it was answered from, and cost nothing but the look for a new version.
    let record = setting.record();
    assert_ne!(record["id"], read["id"]);
    for same in [
        "action",
        "objects",
        "rows",
        "params",
        "code",
        "http_status",
        "principal",
    ] {
        assert_eq!(record[same], read[same], "{same}");
    }
    assert_eq!(
        (&record["bytes_transferred"], &record["bytes_scanned"]),
        (&json!(0), &json!(0))
    );
    setting.wait(20);
    assert!(is_miss(&setting.ask("kept", json!({})).await));
    assert!(setting.reads() > reads);
    assert!(is_hit(&setting.ask("kept", json!({})).await));
    setting.write("a,b\n1,new\n");
    let new = setting.ask("kept", json!({})).await;
    assert!(is_miss(&new), "{:?}", new.cache);
    assert_eq!(new.data.get(), "[{\"b\":\"new\"}]");
    assert_ne!(new.tag, first.tag);
    let metrics = setting.house.pipeline.prometheus();
    assert!(
        metrics.contains("flowlake_cache_answers{served=\"hit\"} 2"),
        "{metrics}"
    );
    assert!(
        metrics.contains("flowlake_cache_answers{served=\"miss\"} 3"),
        "{metrics}"
    );
}

#[tokio::test]
async fn another_question_is_another_answer() {
    let setting = Setting::build("", &[KEPT]).await;
    setting.ask("kept", json!({})).await;
    let other = setting.ask("kept", json!({ "a": "2" })).await;
    assert!(is_miss(&other));
    assert_eq!(other.data.get(), "[{\"b\":\"two\"}]");
    let formatted = |format| {
        let mut request = ActionRequest {
            action: "kept".to_owned(),
            ..ActionRequest::default()
        };
        request.output.format = format;
        request
    };
    let csv = setting.request(formatted(RowFormat::Csv)).await;
    assert!(is_miss(&csv));
    assert_eq!(csv.encoded, b"b\r\none\r\n");
    let mut for_flows = formatted(RowFormat::Json);
    for_flows.output.reader = JsonReader::Flow;
    assert!(is_miss(&setting.request(for_flows).await));
    assert!(is_hit(&setting.request(formatted(RowFormat::Csv)).await));
    assert!(is_hit(&setting.ask("kept", json!({ "a": "1" })).await));
}

#[tokio::test]
async fn the_same_question_at_the_same_time_is_read_once() {
    let setting = Setting::build("", &[KEPT]).await;
    setting.ask("kept", json!({ "a": "2" })).await;
    let alone = setting.reads();
    let slow = Failure::Slow(Duration::from_millis(300));
    setting.house.stack.s3().fail_next_of("GetObject", 1, slow);
    let answers = join_all((0..8).map(|_| setting.ask("kept", json!({})))).await;
    assert_eq!(setting.reads(), 2 * alone);
    let joined = answers
        .iter()
        .filter(|answer| answer.cache == Some(CacheServed::Joined));
    assert_eq!(joined.count(), 7);
    assert!(
        answers
            .iter()
            .all(|answer| answer.data.get() == "[{\"b\":\"one\"}]")
    );
    let paid = answers.iter().filter(|answer| answer.run.bytes_scanned > 0);
    assert_eq!(paid.count(), 1);
    assert_eq!(setting.house.audit().len(), 9);
}

#[tokio::test]
async fn who_may_not_read_gets_no_kept_answer() {
    let setting = Setting::build("", &[KEPT]).await;
    setting.ask("kept", json!({})).await;
    assert!(is_hit(&setting.ask("kept", json!({})).await));
    setting.house.change_rights(json!([]));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let (code, _) = setting.house.ask("kept", json!({})).await.unwrap_err();
    assert_eq!(code, ErrorCode::AccessDenied);
    assert_eq!(setting.record()["code"], "access.denied");
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_kept() {
    let setting = Setting::build("[cache]\nmemory = \"4KiB\"\n", &[KEPT]).await;
    for _ in 0..2 {
        let answer = setting.ask("kept", json!({})).await;
        assert_eq!(answer.cache, Some(CacheServed::Miss { kept: false }));
    }
    let metrics = setting.house.pipeline.prometheus();
    assert!(metrics.contains("flowlake_cache_bytes 0"), "{metrics}");
}

#[tokio::test]
async fn what_the_caller_has_is_not_read_again_and_recorded_all_the_same() {
    let plain = KEPT.replace("cache = \"60s\"", "").replace("kept", "plain");
    let hot = plain
        .replace("plain", "warm")
        .replace("[tables.t]", "hot = true\n[tables.t]");
    let clocked = plain
        .replace("plain", "clocked")
        .replace("WHERE", "WHERE now() IS NOT NULL AND");
    let listed = plain.replace("plain", "listed").replace("t.csv", "*.csv");
    let actions = [KEPT, &plain, &hot, &clocked, &listed];
    let setting = Setting::build("", &actions).await;
    let asked = |action: &str, tags: &[&str]| ActionRequest {
        action: action.to_owned(),
        if_none_match: Some(tags.iter().map(|&tag| tag.to_owned()).collect()),
        ..ActionRequest::default()
    };
    for action in ["kept", "plain", "warm", "listed"] {
        let first = setting.request(asked(action, &[])).await;
        let tag = first.tag.unwrap();
        let reads = setting.reads();
        for tags in [&["another", &*tag][..], &["*"]] {
            let again = setting.request(asked(action, tags)).await;
            assert!(again.not_modified, "{action}");
            assert_eq!((again.data.get(), again.row_count), ("[]", 0));
            assert_eq!(again.tag.as_ref(), Some(&tag));
            let record = setting.record();
            assert_eq!(record["http_status"], 304, "{record}");
            assert_eq!(
                (&record["code"], &record["rows"]),
                (&json!("ok"), &json!(0))
            );
        }
        assert_eq!(setting.reads(), reads, "{action}");
        let other = setting.request(asked(action, &["another"])).await;
        assert_eq!((other.not_modified, other.row_count), (false, 1));
    }
    let no_use = setting
        .request(ActionRequest {
            if_none_match: None,
            ..asked("warm", &[])
        })
        .await;
    assert_eq!((no_use.tag, no_use.row_count), (None, 1));
    // What tells the time has no tag: it is another answer each time.
    let clocked = setting.request(asked("clocked", &["*"])).await;
    assert_eq!((clocked.tag, clocked.not_modified), (None, false));
    // Tags of different questions differ.
    let mut tags = Vec::new();
    for (action, a) in [("kept", "1"), ("kept", "2"), ("plain", "1"), ("warm", "1")] {
        tags.extend(setting.ask(action, json!({ "a": a })).await.tag);
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 4);
}

#[test]
fn a_time_that_an_answer_cannot_be_kept_for_is_an_error() {
    for (lines, part) in [
        ("cache = \"0s\"", "or nothing"),
        ("cache = \"2h\"", "longer than an hour"),
        ("cache = \"60s\"\nhot = true", "no effect with `hot = true`"),
    ] {
        let text = KEPT.replace("cache = \"60s\"", lines);
        let definition = ActionDefinition::parse(Path::new("kept.toml"), &text).unwrap();
        let error = Action::try_new(definition).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        assert!(error.message().contains(part), "{error}");
    }
}
