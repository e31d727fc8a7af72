//! New segments by size and by day, sealed and signed, with the chain carried over.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::common::{ManualClock, record, reopen, settings};
use flowlake_cost_audit::audit::{ProblemKind, SealingKey, VerifyOptions, verify_with};
use flowlake_cost_audit::{AuditLog, AuditSettings, verify};

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const OTHER_KEY: &str = "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn small(directory: &Path) -> AuditSettings {
    AuditSettings {
        max_segment_bytes: 2_000,
        ..settings(directory)
    }
}

fn files(directory: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(suffix))
        .collect();
    found.sort();
    found
}

fn trusted() -> VerifyOptions {
    VerifyOptions {
        public_key: Some(SealingKey::from_hex(KEY).unwrap().public_key()),
        ..VerifyOptions::default()
    }
}

async fn fill(directory: &Path, count: u64) -> Vec<(u64, String)> {
    let log = reopen(|| {
        AuditLog::builder(small(directory))
            .with_sealing_key(SealingKey::from_hex(KEY).unwrap())
            .open()
    });
    let mut receipts = Vec::new();
    for number in 0..count {
        let receipt = log.append(&record(&format!("a{number}"))).await.unwrap();
        receipts.push((receipt.sequence, receipt.hash));
    }
    receipts
}

#[tokio::test]
async fn segments_are_sealed_by_size_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20).await;
    fill(folder.path(), 10).await;
    let segments = files(folder.path(), ".jsonl").len();
    assert!(segments > 4, "{segments} segments");
    assert_eq!(files(folder.path(), ".seal.json").len(), segments - 1);
    let report = verify_with(folder.path(), &trusted()).unwrap();
    assert_eq!(report.problem, None);
    assert_eq!(report.records, 30);
    assert_eq!(report.sealed_segments as usize, segments - 1);
}

#[tokio::test]
async fn a_new_day_starts_a_new_segment_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at("2026-11-22T23:59:59Z"));
    let open = || {
        AuditLog::builder(settings(folder.path()))
            .with_clock(Arc::<ManualClock>::clone(&clock))
            .open()
    };
    let log = open().unwrap();
    log.append(&record("a")).await.unwrap();
    log.append(&record("b")).await.unwrap();
    clock.set("2026-11-23T00:00:00Z");
    log.append(&record("c")).await.unwrap();
    drop(log);
    clock.set("2026-11-24T08:00:00Z");
    let log = reopen(open);
    log.append(&record("d")).await.unwrap();
    let names: Vec<String> = files(folder.path(), ".jsonl")
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let expected = [1, 3, 4].map(|first| format!("audit-{first:020}"));
    assert_eq!(names, expected);
    assert!(verify(folder.path()).unwrap().is_intact());
}

#[tokio::test]
async fn a_day_ends_also_without_another_record() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at("2026-11-22T23:59:59Z"));
    let log = AuditLog::builder(settings(folder.path()))
        .with_clock(Arc::<ManualClock>::clone(&clock))
        .with_sealing_key(SealingKey::from_hex(KEY).unwrap())
        .with_idle_check(Duration::from_millis(5))
        .open()
        .unwrap();
    log.append(&record("a")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(files(folder.path(), ".seal.json").len(), 0);
    clock.set("2026-11-23T00:00:00Z");
    for _ in 0..400 {
        if files(folder.path(), ".seal.json").len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    log.append(&record("b")).await.unwrap();
    let report = verify_with(folder.path(), &trusted()).unwrap();
    assert_eq!(report.problem, None);
    assert_eq!((report.sealed_segments, report.segments), (1, 2));
    assert!(log.is_healthy());
}

#[tokio::test]
async fn a_crash_between_seal_and_next_segment_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20).await;
    // As if the process had ended right after the seal of the last-but-one segment.
    fs::remove_file(files(folder.path(), ".jsonl").last().unwrap()).unwrap();
    fill(folder.path(), 5).await;
    assert!(verify_with(folder.path(), &trusted()).unwrap().is_intact());
}

#[tokio::test]
async fn cut_segments_and_wrong_seals_are_found() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20).await;
    let segment = files(folder.path(), ".jsonl")[1].clone();
    let seal = files(folder.path(), ".seal.json")[1].clone();
    let (whole, stated) = (
        fs::read(&segment).unwrap(),
        fs::read_to_string(&seal).unwrap(),
    );
    let check = |options: &VerifyOptions| {
        verify_with(folder.path(), options)
            .unwrap()
            .problem
            .map(|found| found.kind)
    };

    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    fs::write(&segment, lines[..lines.len() - 1].concat()).unwrap();
    assert_eq!(check(&VerifyOptions::default()), Some(ProblemKind::BadSeal));
    fs::write(&segment, &whole).unwrap();

    fs::write(&seal, stated.replace("\"bytes\":", "\"bytes\":1")).unwrap();
    assert_eq!(check(&VerifyOptions::default()), Some(ProblemKind::BadSeal));
    fs::write(
        &seal,
        stated.replace("sealed_at\":\"20", "sealed_at\":\"19"),
    )
    .unwrap();
    assert_eq!(check(&VerifyOptions::default()), Some(ProblemKind::BadSeal));
    fs::remove_file(&seal).unwrap();
    assert_eq!(check(&VerifyOptions::default()), None);
    assert_eq!(check(&trusted()), Some(ProblemKind::BadSeal));
    fs::write(&seal, &stated).unwrap();
    assert_eq!(check(&trusted()), None);

    let strange = VerifyOptions {
        public_key: Some(SealingKey::from_hex(OTHER_KEY).unwrap().public_key()),
        ..VerifyOptions::default()
    };
    assert_eq!(check(&strange), Some(ProblemKind::BadSeal));
    fs::remove_file(&segment).unwrap();
    assert_eq!(check(&VerifyOptions::default()), Some(ProblemKind::Missing));
}

#[tokio::test]
async fn a_known_record_proves_that_the_end_was_cut_or_the_log_rewritten() {
    let folder = tempfile::tempdir().unwrap();
    let receipts = fill(folder.path(), 3).await;
    let known = |sequence: u64, hash: &str| VerifyOptions {
        known_record: Some((sequence, hash.to_owned())),
        ..VerifyOptions::default()
    };
    let check = |options: &VerifyOptions| {
        verify_with(folder.path(), options)
            .unwrap()
            .problem
            .map(|found| found.kind)
    };
    let (sequence, hash) = receipts.last().unwrap();
    assert_eq!(check(&known(*sequence, hash)), None);
    assert_eq!(check(&known(4, "any")), Some(ProblemKind::CutEnd));
    assert_eq!(check(&known(2, hash)), Some(ProblemKind::Spliced));
}

#[test]
fn a_sealing_key_shows_nothing() {
    let key = SealingKey::from_hex(KEY).unwrap();
    assert_eq!(format!("{key:?}"), "SealingKey(******)");
    let error = SealingKey::from_hex("secret-but-wrong").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret-but-wrong"));
    // The public key of RFC 8032's scheme for this seed, from another implementation (OpenSSL).
    assert_eq!(
        key.public_key(),
        "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    );
}
