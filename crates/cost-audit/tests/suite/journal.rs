//! What a power failure takes from a segment is in the journal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::{record, settings};
use flowlake_cost_audit::{AuditLog, AuditReceipt, ErrorKind, audit, verify};

const RECORDS: u64 = 5;

/// A log as a power failure finds it: the segment is not known to be on disk, and the journal has its records.
async fn interrupted() -> (tempfile::TempDir, Vec<AuditReceipt>) {
    loop {
        let folder = tempfile::tempdir().unwrap();
        let found = tempfile::tempdir().unwrap();
        let log = AuditLog::open(settings(folder.path())).unwrap();
        let mut receipts = Vec::new();
        for number in 1..=RECORDS {
            let record = record(&format!("a{number}"));
            receipts.push(log.append(&record).await.unwrap());
        }
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), found.path().join(entry.file_name())).unwrap();
        }
        // On a very slow machine the segment was synced meanwhile.
        if journal(found.path())[0] == b'{' {
            return (found, receipts);
        }
    }
}

fn journal(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("audit.journal")).unwrap()
}

fn segment(folder: &Path) -> PathBuf {
    folder.join("audit-00000000000000000001.jsonl")
}

async fn assert_whole(folder: &Path, receipts: &[AuditReceipt]) {
    let log = AuditLog::open(settings(folder)).unwrap();
    let next = log.append(&record("next")).await.unwrap();
    assert_eq!(next.sequence, RECORDS + 1);
    let report = verify(folder).unwrap();
    assert_eq!((report.problem, report.records), (None, RECORDS + 1));
    for (entry, receipt) in audit::entries(folder).unwrap().zip(receipts) {
        assert_eq!(entry.unwrap().hash, receipt.hash);
    }
}

#[tokio::test]
async fn what_a_segment_lost_is_taken_from_the_journal() {
    let (folder, receipts) = interrupted().await;
    let whole = fs::read(segment(folder.path())).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let third = lines[..2].concat().len();
    let mut holed = whole.clone();
    holed[third..third + 50].fill(0);
    let mut torn_behind = whole.clone();
    torn_behind.extend_from_slice(b"{\"hash\":\"\0\0\0\n\0\0\"}\n");
    let mut unacknowledged = torn_behind.clone();
    unacknowledged.truncate(whole.len() + 5);
    for left in [
        Vec::new(),
        whole[..third].to_vec(),
        whole[..third + 100].to_vec(),
        holed,
        torn_behind,
        unacknowledged,
        whole.clone(),
    ] {
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("audit.journal"), journal(folder.path())).unwrap();
        fs::write(segment(copy.path()), left).unwrap();
        assert_whole(copy.path(), &receipts).await;
    }
    // The name of a new segment may be lost as well.
    fs::remove_file(segment(folder.path())).unwrap();
    assert_whole(folder.path(), &receipts).await;
}

#[tokio::test]
async fn a_torn_write_to_the_journal_ends_it() {
    let (folder, _) = interrupted().await;
    let kept = journal(folder.path());
    let second = kept.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut torn = kept.clone();
    torn[second + 30..second + 60].fill(b' ');
    fs::write(folder.path().join("audit.journal"), torn).unwrap();
    fs::write(segment(folder.path()), []).unwrap();
    let log = AuditLog::open(settings(folder.path())).unwrap();
    assert_eq!(log.append(&record("next")).await.unwrap().sequence, 2);
    assert!(verify(folder.path()).unwrap().is_intact());
}

/// A log at rest is its segments alone: nothing that is done to them is undone by the journal.
#[tokio::test]
async fn a_log_at_rest_needs_no_journal() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(folder.path())).unwrap();
    for number in 1..=3 {
        log.append(&record(&format!("a{number}"))).await.unwrap();
    }
    while journal(folder.path())[0] != 0 {
        tokio::task::yield_now().await;
    }
    drop(log);
    let log = crate::common::reopen(|| AuditLog::open(settings(folder.path())));
    log.append(&record("a4")).await.unwrap();
    drop(log);
    let log = crate::common::reopen(|| AuditLog::open(settings(folder.path())));
    log.close().await;
    assert_eq!(journal(folder.path())[0], 0);
    assert_eq!(verify(folder.path()).unwrap().records, 4);
}

#[tokio::test]
async fn a_journal_of_another_log_is_no_journal_of_this_one() {
    let (folder, _) = interrupted().await;
    let other = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(other.path())).unwrap();
    log.append(&record("other")).await.unwrap();
    drop(log);
    let log = crate::common::reopen(|| AuditLog::open(settings(other.path())));
    log.close().await;
    fs::write(other.path().join("audit.journal"), journal(folder.path())).unwrap();
    let error = AuditLog::open(settings(other.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Broken);
    assert!(error.to_string().contains("journal"), "{error}");
    let report = verify(other.path()).unwrap();
    assert_eq!((report.problem, report.records), (None, 1));
}

/// More than the journal holds goes through it all the same, round by round.
#[tokio::test]
async fn a_full_journal_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let log = AuditLog::open(settings(folder.path())).unwrap();
    let mut long = record("long");
    long.message = Some("x".repeat(100_000));
    for _ in 0..25 {
        log.append(&long).await.unwrap();
    }
    long.message = Some("x".repeat(2_000_000));
    log.append(&long).await.unwrap();
    assert_eq!(log.append(&record("last")).await.unwrap().sequence, 27);
    let report = verify(folder.path()).unwrap();
    assert_eq!((report.problem, report.records), (None, 27));
    assert_eq!(journal(folder.path()).len(), 1 << 20);
}
