//! A disk that takes bytes and then fails to sync them.

use std::io::Error;

use tokio::sync::oneshot;

use super::*;
use crate::audit::canonical;
use crate::audit::{AuditRecord, entries, verify};
use crate::clock::SystemClock;

fn open(directory: &Path) -> Store {
    open_with(directory, AuditSettings::default().max_segment_bytes)
}

fn open_with(directory: &Path, max_segment_bytes: u64) -> Store {
    let settings = AuditSettings {
        directory: directory.to_owned(),
        max_segment_bytes,
        ..AuditSettings::default()
    };
    Store::open(&settings, Arc::new(SystemClock), None).unwrap()
}

fn record(id: &str) -> String {
    let record = AuditRecord {
        id: id.to_owned(),
        ..AuditRecord::default()
    };
    record.to_json().unwrap()
}

fn append(store: &mut Store, id: &str) -> Result<u64, Error> {
    let mut batch = Batch::default();
    batch.push(&record(id), oneshot::channel().0);
    Ok(store.append(&batch)?[0].sequence)
}

/// In place of a file: takes what is written, and no sync.
fn no_sync() -> File {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.unwrap();
    null.sync_data().unwrap_err();
    null
}

#[test]
fn what_a_failed_sync_of_the_segment_lost_is_written_again_from_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    for id in ["a", "b", "c"] {
        append(&mut store, id).unwrap();
    }
    let whole = fs::read(store.path()).unwrap();
    let segment = std::mem::replace(&mut store.file, no_sync());
    assert!(!store.is_settled());
    store.settle().unwrap_err();
    store.file = segment;
    // The kernel gives up the pages that it could not write, and counts them as written.
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let mut left = whole[..first].to_vec();
    left.resize(whole.len(), 0);
    fs::write(store.path(), left).unwrap();

    store.settle().unwrap();
    assert_eq!(fs::read(store.path()).unwrap(), whole);
    assert_eq!(append(&mut store, "d").unwrap(), 4);
    let report = verify(folder.path()).unwrap();
    assert_eq!((report.problem, report.records), (None, 4));
}

#[test]
fn a_record_whose_sync_failed_is_in_neither_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path());
    append(&mut store, "a").unwrap();
    let refused = record("b");
    let mut line = Vec::new();
    let previous = store.end.previous.clone();
    canonical::chain_line(&mut line, &previous, &refused, 2);

    let segment = std::mem::replace(&mut store.file, no_sync());
    let journal = std::mem::replace(&mut store.journal.as_mut().unwrap().file, no_sync());
    append(&mut store, "b").unwrap_err();
    store.file = segment;
    store.journal.as_mut().unwrap().file = journal;
    // Both files have got the bytes all the same.
    store.file.write_all(&line).unwrap();
    let journal = store.journal.as_mut().unwrap();
    journal
        .file
        .seek(SeekFrom::Start(journal.at as u64))
        .unwrap();
    journal.file.write_all(&line).unwrap();

    store.settle().unwrap();
    drop(store);
    // Nor does the next start find it in one of them.
    let mut store = open(folder.path());
    assert_eq!(append(&mut store, "c").unwrap(), 2);
    let entries = entries(folder.path()).unwrap();
    let written: Vec<_> = entries.map(|entry| entry.unwrap().record.id).collect();
    assert_eq!(written, ["a", "c"]);
    assert_eq!(verify(folder.path()).unwrap().problem, None);
}

#[test]
fn a_rotation_that_failed_half_way_is_finished_with_the_same_seal() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open_with(folder.path(), 1);
    append(&mut store, "a").unwrap();
    let first = store.segment.clone();
    // Nothing can be opened for writing where a folder is.
    let next = Segment::new(folder.path(), 2).path;
    fs::create_dir(&next).unwrap();
    append(&mut store, "b").unwrap_err();
    let seal = fs::read(first.seal_path()).unwrap();
    append(&mut store, "b").unwrap_err();
    fs::remove_dir(&next).unwrap();
    assert_eq!(append(&mut store, "b").unwrap(), 2);
    assert_eq!(fs::read(first.seal_path()).unwrap(), seal);
    let report = verify(folder.path()).unwrap();
    assert_eq!((report.problem, report.records), (None, 2));
}

#[test]
fn a_seal_that_says_something_else_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open_with(folder.path(), 1);
    append(&mut store, "a").unwrap();
    let first = store.segment.clone();
    for wrong in ["", "{}"] {
        fs::write(first.seal_path(), wrong).unwrap();
    }
    append(&mut store, "b").unwrap();
    assert_eq!(verify(folder.path()).unwrap().sealed_segments, 1);
}

#[test]
fn a_folder_whose_sync_failed_is_synced_before_the_next_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open_with(folder.path(), 1);
    append(&mut store, "a").unwrap();
    let handle = std::mem::replace(&mut store.folder, no_sync());
    // The new segment is open by now, but its name may be lost.
    append(&mut store, "b").unwrap_err();
    assert_eq!(store.segment.first, 2);
    append(&mut store, "b").unwrap_err();
    store.settle().unwrap_err();
    store.folder = handle;
    assert_eq!(append(&mut store, "b").unwrap(), 2);
    assert_eq!(verify(folder.path()).unwrap().records, 2);
}
