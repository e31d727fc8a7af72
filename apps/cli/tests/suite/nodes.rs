//! The logs of several servers: verified, searched and exported together, and what is not in order is said.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{fs, path::Path};

use serde_json::Value;

use crate::support::{House, record};

/// Runs the look-up as this node, so often.
async fn run_as(house: &House, node: &str, times: usize) {
    house.configure("http://127.0.0.1:9");
    house.more_config(&format!("[audit]\nnode = \"{node}\""));
    for _ in 0..times {
        house
            .told(&["run", "look-up", "--param", "ani=+12025550142"], 0)
            .await;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[tokio::test]
async fn the_logs_of_several_nodes_are_read_as_one() {
    let house = House::new().await;
    run_as(&house, "b", 1).await;
    run_as(&house, "a", 2).await;
    let told = house
        .told(&["audit", "verify", "--node", "a", "--node", "b"], 0)
        .await;
    for part in ["written by a\n", "written by b\n", "audit/a: 2 records"] {
        assert!(told.contains(part), "{told}");
    }
    let export = [
        "audit",
        "export",
        "--directory",
        "audit/b",
        "--directory",
        "audit/a",
    ];
    let told = house.told(&export, 0).await;
    let nodes: Vec<Value> = told
        .lines()
        .map(|line| record(line)["node"].take())
        .collect();
    assert_eq!(nodes, ["b", "a", "a"]);
    let told = house.told(&["audit", "search", "--node", "b"], 0).await;
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.trim().ends_with(", node b"), "{told}");
    let told = house
        .told(&["audit", "tail", "-n", "2", "--output", "csv"], 0)
        .await;
    assert!(told.lines().nth(2).unwrap().contains(",a"), "{told}");
    let told = house
        .told(&["cost", "report", "--no-actuals", "--output", "json"], 0)
        .await;
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        report["report"]["actions"]["look-up"]["requests"], 3,
        "{report}"
    );
}

#[tokio::test]
async fn a_missing_a_foreign_and_a_doubled_log_are_said() {
    let house = House::new().await;
    for node in ["a", "b", "c"] {
        run_as(&house, node, 1).await;
    }
    let audit = house.path().join("audit");
    let verify = ["audit", "verify", "--node", "a", "--node", "b"];
    let told = house.told(&verify, 4).await;
    assert!(
        told.contains("records of the node `c`, which was not named"),
        "{told}"
    );
    fs::rename(audit.join("b"), house.path().join("kept-b")).unwrap();
    fs::rename(audit.join("c"), house.path().join("kept-c")).unwrap();
    let told = house.told(&verify, 4).await;
    assert!(told.contains("there is no log of the node `b`"), "{told}");
    copy(&audit.join("a"), &audit.join("copy"));
    for command in [
        &verify[..2],
        &["audit", "search"],
        &["audit", "export"],
        &["audit", "tail"],
    ] {
        let told = house.told(command, 4).await;
        assert!(told.contains("audit.broken"), "{told}");
        assert!(told.contains("are the same log"), "{told}");
    }
    // What is broken is named with its folder, and the others are looked at too.
    fs::remove_dir_all(audit.join("copy")).unwrap();
    fs::rename(house.path().join("kept-b"), audit.join("b")).unwrap();
    let segment = audit.join("a/audit-00000000000000000001.jsonl");
    let text = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, text.replace("\"rows\":1", "\"rows\":2")).unwrap();
    let told = house.told(&verify, 4).await;
    assert!(told.contains("audit/a: edited at record 1"), "{told}");
    assert!(told.contains("the chain is whole"), "{told}");
    house
        .told(&["audit", "verify", "--directory", "nowhere"], 6)
        .await;
}

#[tokio::test]
async fn shipped_logs_are_read_where_they_lie() {
    let house = House::new().await;
    let archive = house.exports().join("archive");
    for node in ["a", "b"] {
        run_as(&house, node, 2).await;
        let log = house.path().join("audit").join(node);
        let id = fs::read_to_string(log.join("audit.id")).unwrap();
        copy(&log, &archive.join(id.trim()));
        fs::remove_file(archive.join(id.trim()).join("audit.id")).unwrap();
    }
    fs::create_dir(archive.join("spending")).unwrap();
    fs::write(archive.join("spending/other.json"), "{}").unwrap();
    let place = ["--directory", "s3://lake/exports/archive"];
    let verify = [
        &["audit", "verify", "--node", "a", "--node", "b"][..],
        &place,
    ]
    .concat();
    let told = house.told(&verify, 0).await;
    assert_eq!(told.matches("the chain is whole").count(), 2, "{told}");
    assert!(told.contains("s3://lake/exports/archive/"), "{told}");
    let told = house
        .told(&[&["audit", "export"][..], &place].concat(), 0)
        .await;
    assert_eq!(told.lines().count(), 4, "{told}");
    let follow = [&["audit", "tail", "--follow"][..], &place].concat();
    house.told(&follow, 2).await;
    // One of them alone, which the log here is the same as.
    let one = fs::read_dir(&archive)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let one = one
        .map(|name| name.into_string().unwrap())
        .find(|name| name.len() == 36);
    let one = format!("s3://lake/exports/archive/{}", one.unwrap());
    let told = house
        .told(&["audit", "search", "--directory", &one], 0)
        .await;
    assert_eq!(told.lines().count(), 2, "{told}");
    house
        .told(
            &[
                "audit",
                "search",
                "--directory",
                &one,
                "--directory",
                "audit",
            ],
            4,
        )
        .await;
    for (wrong, code) in [("s3://lake/exports/nothing", 6), ("s3:///x", 2)] {
        let told = house
            .told(&["audit", "verify", "--directory", wrong], code)
            .await;
        assert!(!told.contains("panicked"), "{told}");
    }
}
