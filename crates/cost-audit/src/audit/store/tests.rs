//! A disk that takes bytes and then fails to sync them.

use std::io::Error;

use tokio::sync::oneshot;

use super::*;
use crate::audit::canonical;
use crate::audit::{AuditRecord, entries, verify};
use crate::clock::SystemClock;

fn open(directory: &Path) -> Store {
    let settings = AuditSettings {
        directory: directory.to_owned(),
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
