//! A process that appends under load is killed at random moments, again and again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use flowlake_cost_audit::{audit, verify};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const LOGS: u64 = 4;
const KILLS: u32 = 50;

fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let example = profile.join("examples").join("append_forever");
    assert!(
        example.exists(),
        "build it first: cargo build -p flowlake-cost-audit --example append_forever"
    );
    example
}

#[test]
fn every_answered_request_has_its_record_after_200_kills() {
    let example = example();
    // Side by side: most of a round is waiting for the moment of the kill.
    std::thread::scope(|scope| {
        for log in 0..LOGS {
            let example = &example;
            scope.spawn(move || kill_again_and_again(example, 8 + log));
        }
    });
}

/// Each log is opened, appended to and killed [`KILLS`] times.
fn kill_again_and_again(example: &Path, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    // Sequence number -> hash and id, as the process told before it was killed.
    let mut answered: HashMap<u64, (String, String)> = HashMap::new();
    for round in 0..KILLS {
        let mut child = Command::new(example)
            .arg(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        });
        std::thread::sleep(Duration::from_millis(rng.random_range(5..100)));
        // SIGKILL on Unix.
        child.kill().unwrap();
        child.wait().unwrap();
        for line in reader.join().unwrap().lines() {
            let mut parts = line.split(' ').map(str::to_owned);
            let (Some(sequence), Some(hash), Some(id)) = (parts.next(), parts.next(), parts.next())
            else {
                continue;
            };
            let doubled = answered.insert(sequence.parse().unwrap(), (hash, id));
            assert_eq!(
                doubled, None,
                "record {sequence} was given out twice, round {round}"
            );
        }
        if round % 10 == 9 {
            let report = verify(folder.path()).unwrap();
            assert_eq!(report.problem, None, "after round {round}");
        }
    }
    let mut ids = HashSet::new();
    let mut records = 0;
    for entry in audit::entries(folder.path()).unwrap() {
        let entry = entry.unwrap();
        records += 1;
        assert!(
            ids.insert(entry.record.id.clone()),
            "{} is there twice",
            entry.record.id
        );
        if let Some((hash, id)) = answered.remove(&entry.sequence) {
            assert_eq!((hash, id), (entry.hash, entry.record.id));
        }
    }
    assert!(
        answered.is_empty(),
        "{} answered requests have no record",
        answered.len()
    );
    assert!(
        records > KILLS,
        "seed {seed}: {KILLS} kills and {records} records mean nothing"
    );
}
