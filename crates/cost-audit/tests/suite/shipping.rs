//! Finished segments come to the second place whole, also after failures and restarts.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{ManualClock, record, reopen, settings};
use async_trait::async_trait;
use flowlake_cost_audit::audit::{SegmentSink, ShipSettings, ShipStatus, Shipper};
use flowlake_cost_audit::{AuditLog, AuditSettings, ErrorKind, verify};

/// A second place in memory that fails as often as the test says.
#[derive(Debug, Default)]
struct Memory {
    /// What it never takes: names that end so.
    refused: Option<&'static str>,
    stored: Mutex<BTreeMap<String, Vec<u8>>>,
    failures: AtomicU64,
    puts: AtomicU64,
}

#[async_trait]
impl SegmentSink for Memory {
    async fn put(
        &self,
        name: &str,
        content: Vec<u8>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        if self
            .failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        {
            return Err("the bucket is gone".into());
        }
        if self.refused.is_some_and(|end| name.ends_with(end)) {
            return Err(format!("another object lies at {name}").into());
        }
        self.stored.lock().unwrap().insert(name.to_owned(), content);
        Ok(())
    }
}

async fn fill(directory: &Path, count: u64) {
    let clock = Arc::new(ManualClock::at(NOW));
    let log = reopen(|| {
        let small = AuditSettings {
            max_segment_bytes: 2_000,
            ..settings(directory)
        };
        let clock = Arc::<ManualClock>::clone(&clock);
        AuditLog::builder(small).with_clock(clock).open()
    });
    for number in 0..count {
        log.append(&record(&format!("a{number}"))).await.unwrap();
    }
}

const NOW: &str = "2026-11-23T12:00:00Z";

fn start(directory: &Path, sink: &Arc<Memory>) -> Shipper {
    start_at(directory, sink, NOW, None)
}

fn start_at(
    directory: &Path,
    sink: &Arc<Memory>,
    now: &str,
    delete_after: Option<Duration>,
) -> Shipper {
    let settings = ShipSettings {
        check_every: Duration::from_millis(10),
        longest_wait: Duration::from_millis(10),
        delete_after,
        ..ShipSettings::default()
    };
    let sink: Arc<dyn SegmentSink> = Arc::<Memory>::clone(sink);
    let clock = Arc::new(ManualClock::at(now));
    Shipper::start(directory.to_owned(), sink, settings, clock)
}

async fn until(shipper: &Shipper, is_so: impl Fn(&ShipStatus) -> bool) -> ShipStatus {
    for _ in 0..2000 {
        let status = shipper.status();
        if is_so(&status) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("shipping stands at {:?}", shipper.status());
}

fn id(directory: &Path) -> String {
    let text = fs::read_to_string(directory.join("audit.id")).unwrap();
    text.trim().to_owned()
}

fn sealed(directory: &Path) -> usize {
    fs::read_dir(directory)
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".seal.json")
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shipped_is_the_finished_part_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20).await;
    let sink = Arc::new(Memory::default());
    let shipper = start(folder.path(), &sink);
    let finished = sealed(folder.path());
    until(&shipper, |status| {
        status.shipped_segments == finished as u64
    })
    .await;
    drop(shipper);
    let copy = tempfile::tempdir().unwrap();
    for (name, content) in sink.stored.lock().unwrap().iter() {
        let (log_id, name) = name.split_once('/').unwrap();
        assert_eq!(log_id, id(folder.path()));
        fs::write(copy.path().join(name), content).unwrap();
    }
    let report = verify(copy.path()).unwrap();
    assert_eq!(report.problem, None);
    assert_eq!(report.sealed_segments as usize, finished);
    assert!(
        verify(folder.path()).unwrap().is_intact(),
        "markers are no part of the log"
    );

    // A restart ships only what is new.
    let puts = sink.puts.load(Ordering::Relaxed);
    fill(folder.path(), 20).await;
    let more = sealed(folder.path()) - finished;
    assert!(more > 0);
    let shipper = start(folder.path(), &sink);
    until(&shipper, |status| status.shipped_segments == more as u64).await;
    assert_eq!(sink.puts.load(Ordering::Relaxed) - puts, 2 * more as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_reported_tried_again_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20).await;
    let finished = sealed(folder.path()) as u64;
    let sink = Arc::new(Memory::default());
    sink.failures.store(1, Ordering::Relaxed);
    let shipper = start(folder.path(), &sink);
    let status = until(&shipper, |status| status.last_error.is_some()).await;
    assert_eq!(status.failures, 1);
    assert_eq!(status.last_error.as_deref(), Some("the bucket is gone"));
    assert_eq!(
        status.failing_since,
        Some("2026-11-23T12:00:00Z".parse().unwrap())
    );
    assert!(status.pending_segments <= finished);
    let status = until(&shipper, |status| status.shipped_segments == finished).await;
    assert_eq!(status.pending_segments, 0);
    let status = until(&shipper, |status| status.last_error.is_none()).await;
    assert_eq!((status.failing_since, status.failures), (None, 1));
    assert_eq!(
        sink.stored.lock().unwrap().len() as u64,
        2 * finished,
        "each segment with its seal"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_logs_are_shipped_to_one_place() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sink = Arc::new(Memory::default());
    for folder in [one.path(), other.path()] {
        fill(folder, 20).await;
        let finished = sealed(folder) as u64;
        let shipper = start(folder, &sink);
        until(&shipper, |status| status.shipped_segments == finished).await;
        assert_eq!(shipper.status().failures, 0);
    }
    let stored = sink.stored.lock().unwrap();
    for folder in [one.path(), other.path()] {
        let id = id(folder);
        let own = stored.keys().filter(|name| name.starts_with(&id));
        assert_eq!(own.count(), 2 * sealed(folder));
        let seal = stored
            .iter()
            .find(|(name, _)| name.starts_with(&id) && name.ends_with(".seal.json"));
        let seal = String::from_utf8(seal.unwrap().1.clone()).unwrap();
        assert!(seal.contains(&format!("\"log_id\":\"{id}\"")), "{seal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_is_never_taken_does_not_hold_up_the_others() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), 20).await;
    let finished = sealed(folder.path()) as u64;
    assert!(finished > 2);
    let sink = Arc::new(Memory {
        refused: Some("audit-00000000000000000001.jsonl"),
        ..Memory::default()
    });
    let shipper = start(folder.path(), &sink);
    let status = until(&shipper, |status| {
        status.shipped_segments == finished - 1 && status.last_error.is_some()
    })
    .await;
    assert_eq!(status.pending_segments, 1);
    let said = status.last_error.unwrap();
    assert!(said.starts_with("another object lies at"), "{said}");
    // What comes later is shipped too.
    fill(folder.path(), 20).await;
    let finished = sealed(folder.path()) as u64;
    let status = until(&shipper, |status| status.shipped_segments == finished - 1).await;
    assert!(status.failing_since.is_some());
}

fn segments(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().ends_with(".jsonl"))
        .count()
}

/// A log of finished segments, all shipped, as of `NOW`.
async fn shipped(folder: &Path, sink: &Arc<Memory>) -> u64 {
    fill(folder, 20).await;
    let finished = sealed(folder) as u64;
    assert!(finished > 2);
    let shipper = start(folder, sink);
    until(&shipper, |status| status.shipped_segments == finished).await;
    finished
}

const MONTH: Duration = Duration::from_secs(31 * 24 * 60 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shipped_is_deleted_after_its_time_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let finished = shipped(folder.path(), &sink).await;
    let before = verify(folder.path()).unwrap();

    // Neither too early, nor while a budget may be read from it.
    for (now, after) in [
        ("2026-12-31T23:59:59Z", Duration::ZERO),
        ("2027-01-01T00:00:00Z", 2 * MONTH),
    ] {
        let shipper = start_at(folder.path(), &sink, now, Some(after));
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(shipper.status().deleted_segments, 0, "{now}");
    }
    let now = "2027-01-01T00:00:00Z";
    let shipper = start_at(folder.path(), &sink, now, Some(MONTH));
    until(&shipper, |status| status.deleted_segments == finished).await;
    drop(shipper);
    assert_eq!(segments(folder.path()), 1, "the open one");
    assert_eq!(sealed(folder.path()) as u64, finished, "seals stay");
    let report = verify(folder.path()).unwrap();
    assert_eq!(report.problem, None);
    assert_eq!(report.deleted_segments, finished);
    assert_eq!(report.last_hash, before.last_hash);
    fill(folder.path(), 20).await;
    let report = verify(folder.path()).unwrap();
    assert_eq!(report.problem, None);
    assert_eq!(report.last_sequence, Some(40));
    // What was deleted here is whole where it was shipped to.
    let copy = tempfile::tempdir().unwrap();
    for (name, content) in sink.stored.lock().unwrap().iter() {
        let (_, name) = name.split_once('/').unwrap();
        fs::write(copy.path().join(name), content).unwrap();
    }
    assert_eq!(verify(copy.path()).unwrap().sealed_segments, finished);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_which_all_is_deleted_goes_on_where_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let finished = shipped(folder.path(), &sink).await;
    let now = "2027-01-01T00:00:00Z";
    let shipper = start_at(folder.path(), &sink, now, Some(MONTH));
    until(&shipper, |status| status.deleted_segments == finished).await;
    drop(shipper);
    // As after a crash right behind the last seal.
    let entries = fs::read_dir(folder.path()).unwrap();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path
            .extension()
            .is_some_and(|end| end == "jsonl" || end == "journal")
        {
            fs::remove_file(path).unwrap();
        }
    }
    fill(folder.path(), 3).await;
    let report = verify(folder.path()).unwrap();
    assert_eq!(report.problem, None);
    assert_eq!(report.records, 3);
    assert!(report.first_sequence > Some(finished));

    // Without its marker, nobody knows of the segment that it lies elsewhere.
    let marker = folder.path().join("audit-00000000000000000001.shipped");
    fs::remove_file(marker).unwrap();
    assert!(!verify(folder.path()).unwrap().is_intact());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_that_does_not_lie_in_the_second_place() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let finished = shipped(folder.path(), &sink).await;
    let refusing = Arc::new(Memory {
        refused: Some("audit-00000000000000000001.seal.json"),
        ..Memory::default()
    });
    let now = "2027-01-01T00:00:00Z";
    let shipper = start_at(folder.path(), &refusing, now, Some(MONTH));
    until(&shipper, |status| status.last_error.is_some()).await;
    assert_eq!(segments(folder.path()) as u64, finished + 1);
    assert_eq!(shipper.status().deleted_segments, 0);
    drop(shipper);
    // What has been lost there is put again before it is deleted here.
    sink.stored.lock().unwrap().clear();
    let shipper = start_at(folder.path(), &sink, now, Some(MONTH));
    until(&shipper, |status| status.deleted_segments == finished).await;
    assert_eq!(sink.stored.lock().unwrap().len() as u64, 2 * finished);
}

/// A log whose every record is sealed and shipped before its caller goes on, and its shipper, which does nothing by itself.
fn shipped_at_once(folder: &Path, sink: &Arc<Memory>) -> (AuditLog, Shipper) {
    let clock = Arc::new(ManualClock::at(NOW));
    let log = reopen(|| {
        let clock = Arc::<ManualClock>::clone(&clock);
        AuditLog::builder(settings(folder)).with_clock(clock).open()
    });
    let settings = ShipSettings {
        check_every: NEVER,
        longest_wait: NEVER,
        keep_only_last: true,
        ..ShipSettings::default()
    };
    let sink: Arc<dyn SegmentSink> = Arc::<Memory>::clone(sink);
    let shipper = Shipper::start(folder.to_owned(), sink, settings, clock);
    (log, shipper)
}

const NEVER: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread")]
async fn a_record_lies_in_the_second_place_when_its_caller_waits_for_that() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    for round in 0..2 {
        let (log, shipper) = shipped_at_once(folder.path(), &sink);
        log.seal().await.unwrap();
        for number in 0..5 {
            log.append(&record(&format!("a{round}{number}")))
                .await
                .unwrap();
            log.seal().await.unwrap();
            shipper.ship_now().await.unwrap();
            let stored = sink.stored.lock().unwrap().len();
            assert_eq!(
                stored,
                2 * (5 * round + number + 1),
                "a segment and its seal"
            );
        }
        assert!(segments(folder.path()) <= 2, "the last and the open one");
        assert_eq!(sealed(folder.path()), 1);
        log.close().await;
    }
    let copy = tempfile::tempdir().unwrap();
    for (name, content) in sink.stored.lock().unwrap().iter() {
        let (_, name) = name.split_once('/').unwrap();
        fs::write(copy.path().join(name), content).unwrap();
    }
    let report = verify(copy.path()).unwrap();
    assert_eq!((report.problem, report.records), (None, 10));
    assert_eq!(report.last_sequence, Some(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_at_the_same_time_each_know_of_their_own_record() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    let (log, shipper) = shipped_at_once(folder.path(), &sink);
    let shipper = Arc::new(shipper);
    let callers = (0..20).map(|number| {
        let (log, shipper, sink) = (log.clone(), Arc::clone(&shipper), Arc::clone(&sink));
        tokio::spawn(async move {
            let name = format!("caller-{number}-");
            log.append(&record(&name)).await.unwrap();
            log.seal().await.unwrap();
            shipper.ship_now().await.unwrap();
            let stored = sink.stored.lock().unwrap();
            let found = stored
                .values()
                .any(|content| String::from_utf8_lossy(content).contains(&name));
            assert!(found, "{name}");
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_second_place_learns_that_it_did_not_take_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Arc::new(Memory::default());
    sink.failures.store(u64::MAX, Ordering::Relaxed);
    let (log, shipper) = shipped_at_once(folder.path(), &sink);
    log.append(&record("lost-for-now")).await.unwrap();
    log.seal().await.unwrap();
    let error = shipper.ship_now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unshipped);
    assert!(shipper.status().failing_since.is_some());
    // It is not forgotten.
    sink.failures.store(0, Ordering::Relaxed);
    shipper.ship_now().await.unwrap();
    assert_eq!(shipper.status().failing_since, None);
    assert_eq!(sink.stored.lock().unwrap().len(), 2);
    log.close().await;
    assert_eq!(log.seal().await.unwrap_err().kind(), ErrorKind::Closed);
}
