//! `flowlake sql --watch`.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::desk::Desk;

#[tokio::test]
async fn a_watched_question_is_answered_again_when_its_files_have_changed() {
    let desk = Desk::new();
    let watching = |sql: &str| {
        let mut command = desk.command(&["sql", "--watch=0.1", "--format", "csv", sql]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let mut child = watching("SELECT max(id) AS m FROM 'data/calls.csv'");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    assert_eq!([next(), next()], ["m", "3"]);
    desk.replace("data/calls.csv", "id\n4\n");
    // Nothing is said of a file that is as it was.
    assert_eq!([next(), next()], ["m", "4"]);
    desk.replace("data/calls.csv", "id\n55\n");
    assert_eq!([next(), next()], ["m", "55"]);
    // What somebody writes or replaces is looked at again.
    desk.replace("data/calls.csv", "id\n55,\n");
    std::fs::remove_file(desk.path("data/calls.csv")).unwrap();
    desk.replace("data/calls.csv", "id\n7\n");
    assert_eq!([next(), next()], ["m", "7"]);
    stop(&mut child);
    let records = desk.records().await;
    let read = |record: &Value| {
        let has_rows = record["bytes_scanned"] != json!(0) && record["rows"] == json!(1);
        has_rows && record["code"] == "ok"
    };
    // The signal may come while the versions are looked at, and a look while the file is replaced.
    let codes = [
        "ok",
        "request.cancelled",
        "data.malformed",
        "file.not_found",
        "file.changed",
    ];
    let codes = codes.map(Value::from);
    assert!(records.iter().all(|record| codes.contains(&record["code"])));
    assert_eq!(records.iter().filter(|record| read(record)).count(), 4);
    // What depends on the time is answered each time.
    let mut child = watching("SELECT now() AS t FROM 'data/calls.csv' LIMIT 1");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let times = [next(), next(), next(), next()];
    assert_eq!((&*times[0], &*times[2]), ("t", "t"));
    assert!(times[1] < times[3], "{times:?}");
    stop(&mut child);
}

/// Ends a command that goes on until Ctrl-C.
fn stop(child: &mut Child) {
    let ended = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(ended.unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
