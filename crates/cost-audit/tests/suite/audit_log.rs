//! The log as its callers see it: durable, chained, locked, repaired after a crash, and verified.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use flowlake_cost_audit::audit::ProblemKind;
use flowlake_cost_audit::{
    AuditLog, AuditRecord, AuditSettings, Clock, ErrorKind, VerifyReport, verify,
};

fn settings(directory: &Path) -> AuditSettings {
    AuditSettings {
        directory: directory.to_owned(),
        ..AuditSettings::default()
    }
}

fn record(action: &str) -> AuditRecord {
    AuditRecord {
        action: action.to_owned(),
        ..AuditRecord::default()
    }
}

async fn fill(directory: &Path, count: u64) {
    let log = AuditLog::open(settings(directory)).unwrap();
    for number in 0..count {
        let receipt = log.append(&record(&format!("a{number}"))).await.unwrap();
        assert!(!receipt.id.is_empty());
    }
}

/// The lock goes when the writer thread has ended, shortly after the last handle.
fn reopen(directory: &Path) -> AuditLog {
    for _ in 0..200 {
        match AuditLog::open(settings(directory)) {
            Err(error) if error.kind() == ErrorKind::Locked => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            other => return other.unwrap(),
        }
    }
    panic!("the lock was not given back");
}

fn only_segment(directory: &Path) -> std::path::PathBuf {
    directory.join("audit-00000000000000000001.jsonl")
}

fn problem(report: &VerifyReport) -> (ProblemKind, u64, u64) {
    let problem = report.problem.as_ref().unwrap();
    (problem.kind, problem.line, problem.sequence)
}

fn edit(directory: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let path = only_segment(directory);
    let mut lines: Vec<String> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    change(&mut lines);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_appends_make_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(folder.path())).unwrap();
    let mut tasks = Vec::new();
    for task in 0..16 {
        let log = log.clone();
        tasks.push(tokio::spawn(async move {
            let mut sequences = Vec::new();
            for _ in 0..20 {
                sequences.push(
                    log.append(&record(&format!("t{task}")))
                        .await
                        .unwrap()
                        .sequence,
                );
            }
            sequences
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all.sort_unstable();
    assert_eq!(all, (1..=320).collect::<Vec<u64>>());
    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact());
    assert_eq!((report.records, report.last_sequence), (320, Some(320)));
}

#[tokio::test]
async fn a_second_writer_is_refused_and_the_chain_goes_on_after_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(folder.path())).unwrap();
    log.append(&record("first")).await.unwrap();
    let error = AuditLog::open(settings(folder.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    drop(log);
    let log = reopen(folder.path());
    assert_eq!(log.append(&record("second")).await.unwrap().sequence, 2);
    assert!(verify(folder.path()).unwrap().is_intact());
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 3).await;
    let path = only_segment(folder.path());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(report.is_intact());
    assert_eq!(report.records, 2);
    assert!(report.torn_bytes > 0);
    let log = reopen(folder.path());
    assert_eq!(log.append(&record("again")).await.unwrap().sequence, 3);
    let report = verify(folder.path()).unwrap();
    assert_eq!((report.records, report.torn_bytes), (3, 0));
}

#[tokio::test]
async fn verify_names_the_first_bad_record() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    fill(folder.path(), 6).await;
    fill(other.path(), 6).await;
    let good = fs::read(only_segment(folder.path())).unwrap();
    let foreign = fs::read_to_string(only_segment(other.path())).unwrap();
    let foreign: Vec<&str> = foreign.lines().collect();
    let check = |change: &dyn Fn(&mut Vec<String>)| {
        fs::write(only_segment(folder.path()), &good).unwrap();
        edit(folder.path(), |lines| change(lines));
        problem(&verify(folder.path()).unwrap())
    };
    assert_eq!(
        check(&|lines| lines[2] = lines[2].replace("\"a2\"", "\"b2\"")),
        (ProblemKind::Edited, 3, 3)
    );
    assert_eq!(
        check(&|lines| drop(lines.remove(2))),
        (ProblemKind::Missing, 3, 3)
    );
    assert_eq!(
        check(&|lines| drop(lines.remove(0))),
        (ProblemKind::Missing, 1, 1)
    );
    assert_eq!(
        check(&|lines| lines.swap(2, 3)),
        (ProblemKind::Missing, 3, 3)
    );
    assert_eq!(
        check(&|lines| lines.insert(3, lines[1].clone())),
        (ProblemKind::Reordered, 4, 4)
    );
    assert_eq!(
        check(&|lines| lines[3] = foreign[3].to_owned()),
        (ProblemKind::Spliced, 4, 4)
    );
    assert_eq!(
        check(&|lines| lines[1] = lines[1].replace(":0,", ": 0,")),
        (ProblemKind::Malformed, 2, 2)
    );
}

/// A clock that ends the thread that looks at it.
#[derive(Debug, Default)]
struct BrokenClock(AtomicBool);

impl Clock for BrokenClock {
    fn now(&self) -> DateTime<Utc> {
        assert!(!self.0.load(Ordering::Relaxed), "the clock is broken");
        "2026-11-29T12:00:00Z".parse().unwrap()
    }
}

#[tokio::test]
async fn a_log_whose_writer_has_died_is_not_healthy() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(BrokenClock::default());
    let log = AuditLog::builder(settings(folder.path()))
        .with_clock(Arc::<BrokenClock>::clone(&clock))
        .open()
        .unwrap();
    let dated = AuditRecord {
        id: "one".to_owned(),
        time: "2026-11-29T12:00:00Z".parse().unwrap(),
        ..record("a")
    };
    log.append(&dated).await.unwrap();
    assert!(log.is_healthy());
    clock.0.store(true, Ordering::Relaxed);
    assert_eq!(
        log.append(&dated).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    assert!(!log.is_healthy());
    assert_eq!(
        log.append(&dated).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
}

#[tokio::test]
async fn a_closed_log_has_all_that_was_appended_and_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(folder.path())).unwrap();
    let appends = (0..50).map(|_| {
        let log = log.clone();
        tokio::spawn(async move { log.append(&record("a")).await })
    });
    let appends: Vec<_> = appends.collect();
    tokio::task::yield_now().await;
    log.close().await;
    // A second time, there is nothing to wait for.
    log.close().await;
    let mut written = 0;
    for append in appends {
        match append.await.unwrap() {
            Ok(_) => written += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
        }
    }
    assert!(written > 0);
    assert!(!log.is_healthy());
    assert_eq!(
        log.append(&record("b")).await.unwrap_err().kind(),
        ErrorKind::Closed
    );
    // The lock is free at once, and the segment needs no journal.
    fs::remove_file(folder.path().join("audit.journal")).unwrap();
    let log = AuditLog::open(settings(folder.path())).unwrap();
    assert_eq!(verify(folder.path()).unwrap().records, written);
    drop(log);
}
