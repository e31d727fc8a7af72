//! Estimates beside actuals.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use crate::common::{reopen, settings};
use chrono::{DateTime, NaiveDate};
use flowlake_cost_audit::{
    ActualCosts, ActualGroup, ActualPeriod, AuditLog, AuditRecord, CostReport, Granularity,
};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[tokio::test]
async fn periods_actions_groups_chart_and_csv() {
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
        log.append(&record).await.unwrap();
    }
    let group = |key: &str, usd: &str| ActualGroup {
        keys: vec![key.to_owned()],
        usd: usd.parse().unwrap(),
    };
    let period = |start: &str, end: &str, usd: &str| ActualPeriod {
        start: day(start),
        end: day(end),
        usd: usd.parse().unwrap(),
        estimated: true,
        groups: vec![
            group("Requests-Tier2", "0.1"),
            group("DataTransfer-Out-Bytes", "0.2"),
        ],
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
        (day("2026-11-21"), day("2026-11-23")),
        Granularity::Daily,
        Some(&actuals),
    )
    .unwrap();
    assert_eq!(report.estimated_usd.to_string(), "0.75");
    assert_eq!(report.actual_usd.unwrap().to_string(), "1.3");
    assert!(report.actual_may_change);
    assert_eq!(
        (report.periods[0].requests, report.periods[0].unpriced),
        (2, 1)
    );
    assert_eq!(report.unpriced(), 1);
    assert_eq!(
        report.actual_groups,
        [
            group("DataTransfer-Out-Bytes", "0.4"),
            group("Requests-Tier2", "0.2")
        ]
    );
    assert_eq!(report.actions["a"].requests, 3);
    assert_eq!(
        report.to_csv(),
        "start,end,requests,unpriced,estimated_usd,actual_usd,actual_may_change\n2026-11-21,2026-11-22,2,1,0.25,0.3,true\n2026-11-22,2026-11-23,1,0,0.5,1,true\n"
    );
    assert_eq!(
        report.chart(8),
        "2026-11-21 estimated ##       0.25\n           actual    ===      0.3\n2026-11-22 estimated ####     0.5\n           actual    ======== 1\n"
    );
    let months = CostReport::new(
        folder.path(),
        (day("2026-10-15"), day("2026-11-23")),
        Granularity::Monthly,
        None,
    )
    .unwrap();
    assert_eq!(
        months.to_csv(),
        "start,end,requests,unpriced,estimated_usd,actual_usd,actual_may_change\n2026-10-15,2026-11-01,0,0,0,,\n2026-11-01,2026-11-23,4,1,9.75,,\n"
    );
    let nothing = folder.path().join("not-there");
    let empty = CostReport::new(
        &nothing,
        (day("2026-11-21"), day("2026-11-22")),
        Granularity::Daily,
        None,
    );
    assert_eq!(empty.unwrap().periods[0].requests, 0);
}
