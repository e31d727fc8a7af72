//! The logs of several servers side by side: each is there once, and is its own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{record, reopen, settings};
use flowlake_cost_audit::audit::{ProblemKind, distinct, logs};
use flowlake_cost_audit::{AuditLog, AuditRecord, ErrorKind, verify};

/// A sealed segment and an open one of a server.
async fn fill(directory: &Path, node: &str) {
    let log = reopen(|| AuditLog::open(settings(directory)));
    for _ in 0..2 {
        let record = AuditRecord {
            node: Some(node.to_owned()),
            ..record("look-up")
        };
        log.append(&record).await.unwrap();
        log.seal().await.unwrap();
    }
    log.append(&record("look-up")).await.unwrap();
    log.close().await;
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn names(folder: &Path) -> Vec<String> {
    let found = logs(folder).unwrap().into_iter();
    let name = |path: PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
    found.map(name).collect()
}

#[tokio::test]
async fn each_server_has_a_log_and_each_log_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for name in ["10", "9", "b", "a"] {
        fill(&path(name), name).await;
    }
    fs::create_dir(path("no-log")).unwrap();
    assert_eq!(names(folder.path()), ["9", "10", "a", "b"]);
    let found = logs(folder.path()).unwrap();
    distinct(&found).unwrap();
    for log in &found {
        let report = verify(log).unwrap();
        let name = log.file_name().unwrap().to_str().unwrap();
        assert!(report.is_intact(), "{report:?}");
        assert_eq!(report.nodes, [name.to_owned()].into());
        assert!(report.log_id.is_some());
    }
    // A folder that holds a log beside those of others.
    fill(folder.path(), "top").await;
    assert_eq!(names(folder.path()), ["", "9", "10", "a", "b"]);
    // By its id, and by its first record where the id is not copied.
    copy(&path("a"), &path("copy"));
    let doubled = distinct(&logs(folder.path()).unwrap()).unwrap_err();
    assert_eq!(doubled.kind(), ErrorKind::Doubled);
    for name in ["/a ", "/copy "] {
        assert!(doubled.to_string().contains(name), "{doubled}");
    }
    for entry in fs::read_dir(path("copy")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "jsonl") {
            fs::remove_file(path).unwrap();
        }
    }
    let doubled = distinct(&logs(folder.path()).unwrap()).unwrap_err();
    assert_eq!(doubled.kind(), ErrorKind::Doubled);
}

#[tokio::test]
async fn the_log_of_another_in_ones_own_place_is_foreign() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    fill(&one, "one").await;
    fill(&other, "other").await;
    let id = |log: &Path| fs::read_to_string(log.join("audit.id")).unwrap();
    // As it would lie where segments are shipped to.
    let shipped = folder.path().join(id(&one).trim());
    copy(&one, &shipped);
    fs::remove_file(shipped.join("audit.id")).unwrap();
    assert!(verify(&shipped).unwrap().is_intact());
    for entry in fs::read_dir(&other).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "audit.id" {
            fs::copy(entry.path(), shipped.join(entry.file_name())).unwrap();
            fs::copy(entry.path(), one.join(entry.file_name())).unwrap();
        }
    }
    for log in [&shipped, &one] {
        let problem = verify(log).unwrap().problem.unwrap();
        assert_eq!(problem.kind, ProblemKind::Foreign, "{problem:?}");
        assert!(problem.message.contains(id(&other).trim()), "{problem:?}");
    }
}

#[tokio::test]
async fn a_log_whose_id_is_lost_takes_it_from_its_seals() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), "one").await;
    let file = folder.path().join("audit.id");
    let id = fs::read_to_string(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fill(folder.path(), "one").await;
    assert_eq!(fs::read_to_string(&file).unwrap(), id);
    assert!(verify(folder.path()).unwrap().is_intact());
}
