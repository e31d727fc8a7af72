//! A disk that is full, and one that is read-only: real ones, small, in memory. Needs root, as CI has.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::common::{record, settings};
use flowlake_cost_audit::{AuditLog, ErrorKind, verify};

/// A tmpfs, gone with the value.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    fn new(options: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(folder.path())
            .status()
            .unwrap();
        assert!(mounted.success(), "mounting a tmpfs needs root");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the writer thread may still be giving its file back.
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.folder.path())
            .status();
    }
}

async fn until_refused(log: &AuditLog) -> u64 {
    let mut written = 0;
    loop {
        let mut full = record("fill");
        full.message = Some("x".repeat(5_000));
        match log.append(&full).await {
            Ok(receipt) => written = receipt.sequence,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unwritable);
                assert!(error.is_retryable());
                return written;
            }
        }
    }
}

async fn healthy(log: &AuditLog) -> bool {
    for _ in 0..100 {
        if log.is_healthy() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

fn assert_records(directory: &Path, expected: u64) {
    let report = verify(directory).unwrap();
    assert_eq!((report.problem, report.torn_bytes), (None, 0));
    assert_eq!(report.records, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_recovers_by_itself() {
    let disk = Disk::new("size=512k");
    let ballast = disk.folder.path().join("ballast");
    fs::write(&ballast, vec![0; 200 << 10]).unwrap();
    let log = AuditLog::open(settings(&disk.path())).unwrap();
    assert!(log.is_healthy());
    let written = until_refused(&log).await;
    assert!(written > 10);
    assert!(!log.is_healthy(), "readiness must go down");
    // Still full: still refused, nothing half written, nothing lost.
    let mut full = record("more");
    full.message = Some("x".repeat(5_000));
    let error = log.append(&full).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unwritable);
    assert_records(&disk.path(), written);

    fs::remove_file(&ballast).unwrap();
    assert!(
        healthy(&log).await,
        "the writer did not notice that there is space again"
    );
    assert_eq!(
        log.append(&record("after")).await.unwrap().sequence,
        written + 1
    );
    assert_records(&disk.path(), written + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_is_refused_at_once() {
    let disk = Disk::new("size=512k,ro");
    let error = AuditLog::open(settings(&disk.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unwritable);
    assert!(
        error.to_string().contains("cannot write the audit log"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_becomes_read_only_is_refused_too() {
    let disk = Disk::new("size=512k");
    let mut small = settings(&disk.path());
    small.max_segment_bytes = 1;
    let log = AuditLog::open(small).unwrap();
    log.append(&record("before")).await.unwrap();
    // A folder that takes no new files: the next segment cannot be started, even by root.
    let folder = disk.path();
    let flagged = |flag: &str| {
        Command::new("chattr")
            .args([flag])
            .arg(&folder)
            .status()
            .is_ok_and(|done| done.success())
    };
    if flagged("+i") {
        assert_eq!(
            log.append(&record("refused")).await.unwrap_err().kind(),
            ErrorKind::Unwritable
        );
        assert!(!log.is_healthy());
        assert!(flagged("-i"));
    } else {
        // tmpfs without attributes: a folder in the place of the seal's draft has the same effect.
        let blocker = folder.join("audit-00000000000000000001.seal.tmp");
        fs::create_dir(&blocker).unwrap();
        assert_eq!(
            log.append(&record("refused")).await.unwrap_err().kind(),
            ErrorKind::Unwritable
        );
        assert!(!log.is_healthy());
        fs::remove_dir(&blocker).unwrap();
    }
    assert!(healthy(&log).await);
    log.append(&record("after")).await.unwrap();
    assert_records(&folder, 2);
}
