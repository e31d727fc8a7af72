//! 1,000 queries and the kept cases; more when asked from outside, as `cargo xtask ci` and `cargo xtask differential` do.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{fs, path::Path};

use flowlake_differential::{Case, Finding, Settings, again, run};

/// A number that the environment may set, for a longer run.
#[expect(
    clippy::disallowed_methods,
    reason = "how long to go on is asked for from outside"
)]
fn from_outside(name: &str, usually: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.map_or(usually, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_ways_answer_alike() {
    let settings = Settings {
        seed: from_outside("FLOWLAKE_DIFFERENTIAL_SEED", 1),
        queries: from_outside("FLOWLAKE_DIFFERENTIAL_QUERIES", 1_000),
        at_a_time: 2,
        most_findings: usize::try_from(from_outside("FLOWLAKE_DIFFERENTIAL_FINDINGS", 5)).unwrap(),
    };
    // A long run shows what it finds when it is found.
    let told = |finding: &Finding| eprintln!("{finding}");
    let report = Box::pin(run(&settings, told)).await.unwrap();
    eprintln!("seed={}: {}", settings.seed, report.summary());
    assert!(report.findings.is_empty(), "{report}");
    assert!(report.direct * 500 > report.queries, "{}", report.summary());
    let refused: u64 = report.refused.values().sum();
    assert!(
        refused * 50 < report.queries,
        "too many are refused: {report}"
    );
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
