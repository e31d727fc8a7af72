//! Tail, follow, search and export.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::{reopen, settings};
use flowlake_cost_audit::audit::{
    AuditQuery, ExportFormat, Follower, entries, export, search, tail,
};
use flowlake_cost_audit::{AuditLog, AuditObject, AuditRecord, AuditSettings, AuditStatus};
use serde_json::Value;

async fn fill(directory: &std::path::Path, count: u64) {
    let log = reopen(|| {
        AuditLog::open(AuditSettings {
            max_segment_bytes: 3_000,
            ..settings(directory)
        })
    });
    for number in 0..count {
        let record = AuditRecord {
            id: format!("id-{number}"),
            action: if number % 2 == 0 {
                "even"
            } else {
                "=odd,\"x\""
            }
            .to_owned(),
            caller: "desk".to_owned(),
            code: if number == 3 { "s3.no_such_key" } else { "ok" }.to_owned(),
            status: if number == 3 {
                AuditStatus::Failed
            } else {
                AuditStatus::Success
            },
            conversation_id: (number == 5).then(|| "conversation".to_owned()),
            cost_usd: Some("0.0000004".parse().unwrap()),
            objects: vec![AuditObject {
                bucket: "lake".to_owned(),
                key: format!("exports/{number}.csv"),
                size: Some(10),
                ..AuditObject::default()
            }],
            request_ids: vec![format!("R{number}")],
            params: [("agent".to_owned(), "7".to_owned())].into(),
            skipped_rows: number,
            nulled_values: number * 10,
            time: format!("2026-11-23T10:00:{number:02}Z").parse().unwrap(),
            ..AuditRecord::default()
        };
        log.append(&record).await.unwrap();
    }
}

fn ids(found: impl IntoIterator<Item = flowlake_cost_audit::audit::AuditEntry>) -> Vec<u64> {
    found.into_iter().map(|entry| entry.sequence).collect()
}

#[tokio::test]
async fn tail_gives_the_last_ones_across_segments() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20).await;
    assert_eq!(
        ids(tail(folder.path(), 9).unwrap()),
        (12..=20).collect::<Vec<u64>>()
    );
    assert_eq!(tail(folder.path(), 100).unwrap().len(), 20);
    assert_eq!(entries(folder.path()).unwrap().count(), 20);
}

#[tokio::test]
async fn a_follower_sees_each_record_once() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 7).await;
    let mut follower = Follower::after(folder.path(), 5);
    assert_eq!(ids(follower.poll().unwrap()), [6, 7]);
    assert!(follower.poll().unwrap().is_empty());
    fill(folder.path(), 12).await;
    assert_eq!(
        ids(follower.poll().unwrap()),
        (8..=19).collect::<Vec<u64>>()
    );
}

#[tokio::test]
async fn search_meets_every_condition() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 10).await;
    let find = |query: AuditQuery| ids(search(folder.path(), query).unwrap().map(Result::unwrap));
    let all = AuditQuery::default;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        find(AuditQuery {
            action: text("even"),
            limit: Some(2),
            ..all()
        }),
        [1, 3]
    );
    assert_eq!(
        find(AuditQuery {
            status: Some(AuditStatus::Failed),
            ..all()
        }),
        [4]
    );
    assert_eq!(
        find(AuditQuery {
            code: text("s3.no_such_key"),
            ..all()
        }),
        [4]
    );
    assert_eq!(
        find(AuditQuery {
            conversation_id: text("conversation"),
            ..all()
        }),
        [6]
    );
    assert_eq!(
        find(AuditQuery {
            request_id: text("R8"),
            ..all()
        }),
        [9]
    );
    assert_eq!(
        find(AuditQuery {
            key_prefix: text("exports/2"),
            bucket: text("lake"),
            ..all()
        }),
        [3]
    );
    assert_eq!(
        find(AuditQuery {
            bucket: text("other"),
            ..all()
        }),
        [0; 0]
    );
    let time = |text: &str| Some(text.parse().unwrap());
    let query = AuditQuery {
        since: time("2026-11-23T10:00:02Z"),
        until: time("2026-11-23T10:00:04Z"),
        ..all()
    };
    assert_eq!(find(query), [3, 4]);
}

#[tokio::test]
async fn exports_can_be_read_by_others() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 6).await;
    let get = |format| {
        let mut out = Vec::new();
        assert_eq!(
            export(folder.path(), AuditQuery::default(), format, &mut out).unwrap(),
            6
        );
        out
    };
    let out = get(ExportFormat::Csv);
    let mut csv = csv::Reader::from_reader(out.as_slice());
    let headers = csv.headers().unwrap().clone();
    let column = |name| headers.iter().position(|header| header == name).unwrap();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 6);
    assert_eq!(
        &rows[1][column("action")],
        "'=odd,\"x\"",
        "no formula may reach a spreadsheet"
    );
    assert_eq!(&rows[0][column("cost_usd")], "0.0000004");
    assert_eq!(&rows[0][column("objects")], "s3://lake/exports/0.csv");
    assert_eq!(
        (
            &rows[0][column("objects_count")],
            &rows[0][column("objects_digest")]
        ),
        ("1", "")
    );
    assert_eq!(
        (
            &rows[2][column("skipped_rows")],
            &rows[2][column("nulled_values")]
        ),
        ("2", "20")
    );

    let lines = get(ExportFormat::JsonLines);
    let first: Value =
        serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
    assert_eq!(first["record"]["id"], "id-0");

    let events: Vec<Value> = String::from_utf8(get(ExportFormat::Ocsf))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let failed = &events[3];
    assert_eq!(
        (failed["class_uid"].as_u64(), failed["type_uid"].as_u64()),
        (Some(6003), Some(600_302))
    );
    assert_eq!(
        (
            failed["category_uid"].as_u64(),
            failed["activity_id"].as_u64()
        ),
        (Some(6), Some(2))
    );
    assert_eq!(
        (failed["status_id"].as_u64(), failed["status_code"].as_str()),
        (Some(2), Some("s3.no_such_key"))
    );
    assert_eq!(failed["api"]["response"]["error"], "s3.no_such_key");
    assert_eq!(failed["time"], 1_795_428_003_000_u64);
    assert_eq!(
        failed["resources"][0]["uid"],
        "arn:aws:s3:::lake/exports/3.csv"
    );
    assert_eq!(
        (
            &events[2]["unmapped"]["skipped_rows"],
            &events[2]["unmapped"]["nulled_values"]
        ),
        (&Value::from(2), &Value::from(20))
    );
    for event in &events {
        for required in [
            "actor",
            "api",
            "metadata",
            "severity_id",
            "src_endpoint",
            "time",
            "cloud",
        ] {
            assert!(!event[required].is_null(), "OCSF requires {required}");
        }
        assert!(!event.to_string().contains(":null"));
    }
}
