//! 200 queries and the kept cases; more when asked from outside, as `cargo xtask ci` and `cargo xtask differential` do.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    fs,
    future::{pending, ready},
    path::Path,
    time::Duration,
};

use flowlake_differential::{Case, Report, Settings, again, run};
use tokio::{
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    time::Instant,
};

/// A long run shows how far it is this often.
const SHOWN_EVERY: Duration = Duration::from_secs(30);

/// A number that the environment may set, for a longer run.
#[expect(
    clippy::disallowed_methods,
    reason = "how long to go on is asked for from outside"
)]
fn from_outside(name: &str, usually: u64) -> u64 {
    let text = std::env::var(format!("FLOWLAKE_DIFFERENTIAL_{name}")).ok();
    text.map_or(usually, |text| text.parse().unwrap())
}

/// Done when the run is to end early: by `seconds=`, Ctrl-C or a signal to end.
async fn stopped(seconds: u64) {
    let mut ended = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
        _ = tokio::signal::ctrl_c() => {}
        _ = ended.recv() => {}
    }
}

#[test]
fn all_ways_answer_alike() {
    let threads = usize::try_from(from_outside("THREADS", 2)).unwrap();
    let settings = Settings {
        seed: from_outside("SEED", 1),
        queries: from_outside("QUERIES", 200),
        tables: from_outside("TABLES", u64::MAX),
        at_a_time: threads,
        most_findings: usize::try_from(from_outside("FINDINGS", 5)).unwrap(),
    };
    let stop = stopped(from_outside("SECONDS", 30 * 24 * 3600));
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime
        .worker_threads(threads)
        .enable_all()
        .build()
        .unwrap();
    let (report, seconds) = runtime.block_on(Box::pin(watched(&settings, stop)));
    runtime.shutdown_background();
    let per_second = report.queries as f64 / seconds;
    eprintln!(
        "{}\nin {seconds:.0} s with {threads} threads, {per_second:.0} queries a second",
        report.summary()
    );
    assert!(report.findings.is_empty(), "{report}");
    assert!(
        report.direct * 500 >= report.queries,
        "{}",
        report.summary()
    );
    let refused: u64 = report.refused.values().sum();
    assert!(
        refused * 50 <= report.queries,
        "too many are refused: {report}"
    );
}

/// Runs, and shows findings when they are found and how far the run is.
#[expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a long run says how far it is, and how long it took"
)]
async fn watched(settings: &Settings, stop: impl Future<Output = ()>) -> (Report, f64) {
    let started = Instant::now();
    let (mut shown, mut known) = (started, 0);
    let watch = |report: &Report| {
        for finding in &report.findings[known..] {
            eprintln!("{finding}");
        }
        known = report.findings.len();
        if shown.elapsed() >= SHOWN_EVERY {
            shown = Instant::now();
            let seconds = started.elapsed().as_secs();
            let (queries, (_, next)) = (report.queries, report.seeds);
            eprintln!(
                "{queries} queries, {known} findings, {seconds} s, to go on with seed={next}"
            );
        }
    };
    let report = run(settings, stop, watch).await.unwrap();
    (report, started.elapsed().as_secs_f64())
}

/// A longer run can be divided among several, and go on where it was stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_has_its_share_of_the_tables() {
    let settings = Settings {
        seed: 11,
        queries: u64::MAX,
        tables: 1,
        at_a_time: 2,
        most_findings: 5,
    };
    let report = run(&settings, pending(), |_| {}).await.unwrap();
    assert_eq!((report.tables, report.seeds), (1, (11, 12)));
    let summary = report.summary();
    assert!(
        summary.contains("1 tables (from seed=11, to go on with seed=12)"),
        "{summary}"
    );
    let stopped = run(&settings, ready(()), |_| {}).await.unwrap();
    assert_eq!((stopped.tables, stopped.seeds), (0, (11, 11)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_cases_stay_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case: Case = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        if let Some(difference) = again(&case).await.unwrap() {
            wrong.push(format!("{}: {difference:?}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
