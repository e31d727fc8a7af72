//! Two million samples leave the process as large as four hundred thousand did.
//!
//! In a file of its own, so that no other test shares the process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use flowlake_profiler::{Phase, Profiler, ProfilerSettings, Sample};

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures real time")]
fn two_million_samples_take_no_more_memory() {
    let profiler = Profiler::new(ProfilerSettings::default());
    let actions: Vec<String> = (0..10).map(|number| format!("action-{number}")).collect();
    let mut sample = Sample {
        at_unix_ms: 1_790_000_000_000,
        code: "ok".to_owned(),
        phases: vec![(Phase::Scan, Duration::ZERO)],
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
        ..Sample::default()
    };
    let mut record = |count: u64, step_ms: u64| {
        for number in 0..count {
            sample.at_unix_ms += step_ms;
            sample.action.clone_from(&actions[(number % 10) as usize]);
            let micros = (number * 2_654_435_761) % 90_000_000;
            sample.duration = Duration::from_micros(micros);
            let phase = Phase::ALL[(number / 10 % 7) as usize];
            sample.phases[0] = (phase, Duration::from_micros(micros / 2));
            profiler.record(&sample);
        }
    };
    // Two hours, so that every histogram of every window has been used once.
    record(400_000, 20);
    let before = resident_kib();
    let started = Instant::now();
    record(2_000_000, 5);
    let took = started.elapsed();
    let after = resident_kib();
    println!("2,000,000 samples in {took:.1?}, resident {before} KiB -> {after} KiB");
    assert_eq!(
        profiler.snapshot(1_790_018_000_000).total_requests,
        2_400_000
    );
    assert!(
        after <= before + 512,
        "resident memory grew from {before} KiB to {after} KiB"
    );
}
