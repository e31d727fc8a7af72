//! Estimates beside actuals.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use chrono::{DateTime, NaiveDate};
use common::{reopen, settings};
use flowlake_cost_audit::{ActualCosts, ActualPeriod, AuditLog, AuditRecord, CostReport};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[tokio::test]
async fn days_actions_chart_and_csv() {
    let folder = tempfile::tempdir().unwrap();
    let log = reopen(|| AuditLog::open(settings(folder.path())));
    for (time, cost) in [
        ("2026-11-20T23:00:00Z", Some("9")),
        ("2026-11-21T01:00:00Z", Some("0.25")),
        ("2026-11-21T02:00:00Z", None),
        ("2026-11-22T01:00:00Z", Some("0.5")),
        ("2026-11-23T00:00:00Z", Some("9")),
    ] {
        let record = AuditRecord {
            action: "a".to_owned(),
            time: time.parse().unwrap(),
            cost_usd: cost.map(|cost| cost.parse().unwrap()),
            ..AuditRecord::default()
        };
        log.append(record).await.unwrap();
    }
    let period = |start: &str, end: &str, usd: &str| ActualPeriod {
        start: day(start),
        end: day(end),
        usd: usd.parse().unwrap(),
        estimated: true,
        groups: Vec::new(),
    };
    let actuals = ActualCosts {
        total_usd: "1.3".parse().unwrap(),
        estimated: true,
        periods: vec![
            period("2026-11-21", "2026-11-22", "0.3"),
            period("2026-11-22", "2026-11-23", "1"),
        ],
        pages: 1,
        fetched_at: DateTime::UNIX_EPOCH,
    };
    let report = CostReport::new(
        folder.path(),
        day("2026-11-21"),
        day("2026-11-23"),
        Some(&actuals),
    )
    .unwrap();
    assert_eq!(report.estimated_usd.to_string(), "0.75");
    assert_eq!(report.actual_usd.unwrap().to_string(), "1.3");
    assert!(report.actual_may_change);
    assert_eq!((report.days[0].requests, report.days[0].unpriced), (2, 1));
    assert_eq!(report.actions["a"].requests, 3);
    assert_eq!(
        report.to_csv(),
        "day,requests,unpriced,estimated_usd,actual_usd\n2026-11-21,2,1,0.25,0.3\n2026-11-22,1,0,0.5,1\n"
    );
    assert_eq!(
        report.chart(8),
        "2026-11-21 # ##       0.25\n           = ===      0.3\n2026-11-22 # ####     0.5\n           = ======== 1\n"
    );
}
