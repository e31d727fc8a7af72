//! What three workers answer is what one machine answers, and is recorded as such.

use std::fs;

use flowlake_data_action::ErrorCode;
use serde_json::Value;

use crate::house::{FILES, House, addresses, ask, rows};

#[tokio::test(flavor = "multi_thread")]
async fn three_workers_answer_as_one_machine_and_their_bytes_are_paid_for() {
    let house = House::build().await;
    let workers = house.workers(3);
    let addresses = addresses(&workers);
    let pipeline = house.pipeline("desk", &addresses, "60s").await;
    let first = ask(&pipeline, "cluster", 100).await.unwrap();
    let local = ask(&pipeline, "local", 100).await.unwrap();
    let divided = ask(&pipeline, "cluster", 100).await.unwrap();
    assert_eq!(rows(&first), rows(&local));
    assert_eq!(rows(&divided), rows(&local));
    assert_eq!(divided.run.rows_scanned, local.run.rows_scanned);
    assert_eq!(divided.metadata.len(), FILES);
    // The first time, this process has read the files too that columns are found from, which are all of them here.
    assert_eq!(first.run.bytes_scanned, 2 * local.run.bytes_scanned);
    assert_eq!(divided.run.bytes_scanned, local.run.bytes_scanned);
    let records = records(&house, "desk");
    let record = records
        .lines()
        .find(|line| line.contains("\"cluster\"") && line.contains("bytes"))
        .unwrap();
    assert!(record.contains("exports/calls/23.csv"), "{record}");
}

/// The lines of an audit log.
fn records(house: &House, name: &str) -> String {
    let log = fs::read_dir(house.folder.path().join(name).join("audit"));
    let files = log.unwrap();
    files
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path()).ok())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_workers_read_for_a_query_that_fails_is_paid_for() {
    let house = House::build().await;
    let workers = house.workers(2);
    let pipeline = house.pipeline("desk", &addresses(&workers), "60s").await;
    // Afterwards this process knows the columns, and reads nothing itself.
    ask(&pipeline, "local", 0).await.unwrap();
    let (code, message) = ask(&pipeline, "cluster-failing", 0).await.unwrap_err();
    assert_eq!(code, ErrorCode::SqlNotComputable, "{message}");
    let records = records(&house, "desk");
    let last = records
        .lines()
        .rfind(|line| line.contains("cluster-failing"));
    let entry: Value = serde_json::from_str(last.unwrap()).unwrap();
    let record = &entry["record"];
    assert!(
        record["bytes_transferred"].as_u64().unwrap() > 0,
        "{record}"
    );
    assert_ne!(record["cost_usd"], "0", "{record}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_all_workers_are_limited_together() {
    let house = House::build().await;
    let workers = house.workers(2);
    let pipeline = house.pipeline("desk", &addresses(&workers), "60s").await;
    // Each file is read for its columns, and then for its rows. The limit allows one of both.
    for action in ["cluster-frugal", "local-frugal"] {
        let (code, message) = ask(&pipeline, action, 0).await.unwrap_err();
        assert_eq!(code, ErrorCode::LimitRequests, "{action}: {message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_refuses_queries_beyond_max_queries_by_name() {
    let house = House::build().await;
    let folder = "[policy]\nallow = [\"s3://lake/exports/*\"]\n";
    let worker = house.worker("small", &format!("max_queries = 1\n{folder}"));
    let pipeline = house.pipeline("desk", &[&worker.address], "60s").await;
    let once = || ask(&pipeline, "cluster", 0);
    let asked = <[_; 4]>::from(tokio::join!(once(), once(), once(), once()));
    let (answered, refused): (Vec<_>, Vec<_>) = asked.into_iter().partition(Result::is_ok);
    assert!(!answered.is_empty());
    for refused in refused {
        let (code, message) = refused.unwrap_err();
        assert_eq!(code, ErrorCode::ClusterWorkerBusy, "{message}");
        assert!(message.contains("max_queries"), "{message}");
    }
    ask(&pipeline, "cluster", 0).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_reads_only_what_its_own_policy_allows() {
    let house = House::build().await;
    let worker = house.worker("strict", "[policy]\nallow = [\"s3://lake/other/*\"]\n");
    let pipeline = house.pipeline("desk", &[&worker.address], "60s").await;
    let (code, message) = ask(&pipeline, "cluster", 0).await.unwrap_err();
    assert_eq!(code, ErrorCode::S3Unavailable, "{message}");
    assert!(message.contains("worker"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stops_at_a_signal() {
    let house = House::build().await;
    let mut workers = house.workers(1);
    let worker = workers.remove(0);
    let pipeline = house.pipeline("desk", &[&worker.address], "60s").await;
    ask(&pipeline, "cluster", 0).await.unwrap();
    pipeline.close(std::time::Duration::from_secs(1)).await;
    drop(pipeline);
    worker.signal("-TERM");
    assert!(worker.ended());
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_shows_stages_and_tasks() {
    let house = House::build().await;
    let workers = house.workers(2);
    let addresses = addresses(&workers);
    let told = house.explained(&addresses, "cluster").await;
    let reading = &told.stages[0];
    assert_eq!(reading.tasks, 2);
    assert_eq!(reading.files, [FILES / 2, FILES / 2]);
    assert!(house.explained(&addresses, "local").await.stages.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_are_talked_to_over_tls() {
    let house = House::build().await;
    let (one, tls) = house.tls_worker("one");
    let (other, _) = house.tls_worker("other");
    let addresses = [one.address.as_str(), other.address.as_str()];
    let pipeline = house.pipeline_with("desk", &addresses, "60s", &tls).await;
    let local = ask(&pipeline, "local", 100).await.unwrap();
    let divided = ask(&pipeline, "cluster", 100).await.unwrap();
    assert_eq!(rows(&divided), rows(&local));
    let without = house.pipeline("plain", &addresses, "60s").await;
    let (code, message) = ask(&without, "cluster", 100).await.unwrap_err();
    assert_eq!(code, ErrorCode::ClusterWorkerLost, "{message}");
    // Of another authority, and valid for another name.
    let wrongs = [
        (
            tls.replace("authority.pem", "stranger.pem"),
            "UnknownIssuer",
        ),
        (
            tls.replace("\"localhost\"", "\"elsewhere\""),
            "not valid for name",
        ),
    ];
    for (tls, reason) in wrongs {
        let pipeline = house.pipeline_with("wrong", &addresses, "60s", &tls).await;
        let (code, message) = ask(&pipeline, "cluster", 100).await.unwrap_err();
        assert_eq!(code, ErrorCode::ClusterWorkerLost, "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_parts_of_cannot_be_read_is_answered_from_whole() {
    let house = House::build().await;
    let workers = house.workers(2);
    let addresses = addresses(&workers);
    let explained = house.explained(&addresses, "cluster-notes").await;
    assert!(explained.stages[0].files.iter().sum::<usize>() > 2);
    let pipeline = house.pipeline("desk", &addresses, "60s").await;
    let local = ask(&pipeline, "local-notes", 0).await.unwrap();
    for _ in 0..2 {
        let divided = ask(&pipeline, "cluster-notes", 0).await.unwrap();
        assert_eq!(rows(&divided), rows(&local));
    }
}
