//! The profiler against exact figures.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use flowlake_profiler::{Latency, Phase, Profiler, ProfilerSettings, Sample};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const NOW: u64 = 1_790_000_000_000;

fn sample(at_unix_ms: u64, action: &str, code: &str, micros: u64) -> Sample {
    Sample {
        at_unix_ms,
        action: action.to_owned(),
        code: code.to_owned(),
        duration: Duration::from_micros(micros),
        phases: vec![(Phase::Scan, Duration::from_micros(micros / 2))],
        bytes: 10,
        rows: 2,
        cache_hit: micros.is_multiple_of(2),
        trace_id: None,
    }
}

fn assert_close(found: f64, exact_micros: u64) {
    let exact = exact_micros as f64 / 1000.0;
    assert!(
        (found - exact).abs() <= exact * 0.01,
        "{found} ms is not within 1% of {exact} ms"
    );
}

fn assert_percentiles(found: &Latency, micros: &mut [u64]) {
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() as f64 * share).ceil() as usize).max(1) - 1];
    assert_close(found.p50_ms, at(0.5));
    assert_close(found.p90_ms, at(0.9));
    assert_close(found.p99_ms, at(0.99));
    assert!((found.max_ms - *micros.last().unwrap() as f64 / 1000.0).abs() < 1e-9);
}

#[test]
fn percentiles_are_within_one_percent_of_exact() {
    for seed in 0..20 {
        let mut rng = StdRng::seed_from_u64(seed);
        let profiler = Profiler::new(ProfilerSettings::default());
        // From 100 microseconds to minutes, evenly over the orders of magnitude.
        let mut micros: Vec<u64> = (0..10_000)
            .map(|_| 10f64.powf(rng.random_range(2.0..8.0)) as u64)
            .collect();
        for value in &micros {
            profiler.record(&sample(NOW, "a", "ok", *value));
        }
        let snapshot = profiler.snapshot(NOW);
        let windows = &snapshot.actions["a"].windows;
        assert_percentiles(&windows.since_start.duration, &mut micros);
        assert_percentiles(&windows.last_minute.duration, &mut micros);
        let mut halves: Vec<u64> = micros.iter().map(|value| value / 2).collect();
        assert_percentiles(&snapshot.phases["scan"], &mut halves);
    }
}

#[test]
fn the_starting_points_fields_are_there() {
    let profiler = Profiler::new(ProfilerSettings {
        recent_entries: 2,
        ..ProfilerSettings::default()
    });
    profiler.record(&sample(NOW, "a", "ok", 1_000));
    profiler.record(&sample(NOW, "a", "s3.no_such_key", 2_000));
    profiler.record(&sample(NOW, "b", "ok", 3_000));
    let json = serde_json::to_value(profiler.snapshot(NOW)).unwrap();
    assert_eq!(json["total_requests"], 3);
    assert_eq!(json["avg_duration_ms"], 2.0);
    assert_eq!(json["total_bytes"], 30);
    assert!((json["error_rate"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-12);
    assert_eq!(json["recent_entries"].as_array().unwrap().len(), 2);
    assert_eq!(json["recent_entries"][1]["action"], "b");
    assert_eq!(json["errors"]["s3.no_such_key"], 1);
    assert_eq!(json["actions"]["a"]["errors"]["s3.no_such_key"], 1);
}

#[test]
fn windows_forget_what_has_passed() {
    let profiler = Profiler::new(ProfilerSettings::default());
    profiler.record(&sample(NOW, "a", "ok", 1_000));
    profiler.record(&sample(NOW + 30 * 60_000, "a", "ok", 1_000));
    let at = |now| {
        let windows = profiler.snapshot(now).windows;
        (
            windows.last_minute.requests,
            windows.last_hour.requests,
            windows.since_start.requests,
        )
    };
    assert_eq!(at(NOW + 30 * 60_000), (1, 2, 2));
    assert_eq!(at(NOW + 32 * 60_000), (0, 2, 2));
    assert_eq!(at(NOW + 62 * 60_000), (0, 1, 2));
    assert_eq!(at(NOW + 92 * 60_000), (0, 0, 2));
}

#[test]
fn a_flood_of_names_does_not_grow_memory() {
    let profiler = Profiler::new(ProfilerSettings {
        max_actions: 3,
        ..ProfilerSettings::default()
    });
    for number in 0..1_000 {
        profiler.record(&sample(
            NOW,
            &format!("a{number}"),
            &format!("e{number}"),
            1_000,
        ));
    }
    let snapshot = profiler.snapshot(NOW);
    assert_eq!(snapshot.actions.len(), 4);
    assert_eq!(snapshot.actions["other"].windows.since_start.requests, 997);
    assert_eq!(snapshot.errors.len(), 65);
    assert_eq!(snapshot.errors.values().sum::<u64>(), 1_000);
}
