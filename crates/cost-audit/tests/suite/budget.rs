//! Budgets: refused or warned above, kept over restarts, never spent twice.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use crate::common::{ManualClock, reopen, settings};
use flowlake_cost_audit::{
    AuditLog, AuditRecord, BudgetLimits, BudgetSettings, Budgets, ErrorKind, OverBudget,
};
use rust_decimal::Decimal;

fn usd(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn limits(over: OverBudget) -> BudgetSettings {
    BudgetSettings {
        total: BudgetLimits {
            monthly_usd: Some(usd("1.00")),
            ..BudgetLimits::default()
        },
        actions: [(
            "scorecard".to_owned(),
            BudgetLimits {
                daily_usd: Some(usd("0.10")),
                ..BudgetLimits::default()
            },
        )]
        .into(),
        over,
        shared: None,
    }
}

#[test]
fn a_request_over_a_limit_is_refused_until_the_period_ends() {
    let clock = Arc::new(ManualClock::at("2026-11-29T12:00:00Z"));
    let budgets = Budgets::new(
        limits(OverBudget::Refuse),
        Arc::<ManualClock>::clone(&clock),
    );
    budgets
        .reserve("scorecard", usd("0.06"))
        .unwrap()
        .settle(usd("0.08"), 0);
    let error = budgets.reserve("scorecard", usd("0.03")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OverBudget);
    assert!(
        error
            .to_string()
            .contains("daily budget of action `scorecard` is 0.10 USD"),
        "{error}"
    );
    // Exactly up to the limit is within it, and other actions have their own.
    drop(budgets.reserve("scorecard", usd("0.02")).unwrap());
    budgets
        .reserve("other", usd("0.90"))
        .unwrap()
        .settle(usd("0.90"), 0);
    clock.set("2026-11-30T00:00:00Z");
    let error = budgets.reserve("scorecard", usd("0.03")).unwrap_err();
    assert!(
        error.to_string().contains("monthly budget of all actions"),
        "{error}"
    );
    clock.set("2026-12-01T00:00:00Z");
    budgets
        .reserve("scorecard", usd("0.03"))
        .unwrap()
        .settle(usd("0.03"), 0);
}

#[test]
fn a_clock_that_is_set_gives_no_money_twice() {
    let clock = Arc::new(ManualClock::at("2026-11-30T23:59:50Z"));
    let budgets = Budgets::new(
        limits(OverBudget::Refuse),
        Arc::<ManualClock>::clone(&clock),
    );
    let spend = |cost| {
        let reserved = budgets.reserve("scorecard", usd(cost));
        reserved.map(|reserved| reserved.settle(usd(cost), 10))
    };
    spend("0.08").unwrap();
    // A day, a month and years ahead have budgets of their own, and each stays spent.
    for ahead in ["2026-12-01T00:00:01Z", "2031-05-05T12:00:00Z"] {
        clock.set(ahead);
        spend("0.08").unwrap();
        clock.set("2026-11-30T23:59:55Z");
        assert_eq!(spend("0.03").unwrap_err().kind(), ErrorKind::OverBudget);
        assert_eq!(budgets.status()[0].month_usd, usd("0.08"));
        assert_eq!(budgets.month_bytes(), 10);
        clock.set(ahead);
        assert_eq!(spend("0.03").unwrap_err().kind(), ErrorKind::OverBudget);
    }
    // A clock that wanders takes no memory, and the days around it are known.
    for day in 1..=28 {
        clock.set(&format!("2027-02-{day:02}T12:00:00Z"));
        spend("0.01").unwrap();
        clock.set(&format!("2027-02-{:02}T12:00:00Z", day.max(2) - 1));
        assert!(budgets.status()[1].day_usd >= usd("0.01"), "{day}");
    }
    clock.set("2027-02-28T12:00:00Z");
    assert_eq!(budgets.status()[0].month_usd, usd("0.28"));
}

#[test]
fn a_request_that_costs_nothing_is_never_over_a_budget() {
    for over in [OverBudget::Refuse, OverBudget::Warn] {
        let clock = Arc::new(ManualClock::at("2026-11-29T12:00:00Z"));
        let budgets = Budgets::new(limits(over), clock);
        budgets
            .reserve("scorecard", usd("0.10"))
            .unwrap()
            .settle(usd("1.0000001"), 0);
        let free = budgets.reserve("scorecard", Decimal::ZERO).unwrap();
        assert!(free.warnings().is_empty(), "{:?}", free.warnings());
        let priced = budgets.reserve("scorecard", usd("0.0000001"));
        assert_eq!(priced.is_err(), over == OverBudget::Refuse);
    }
}

#[test]
fn requests_at_the_same_time_cannot_spend_the_same_money() {
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z"));
    let budgets = Budgets::new(limits(OverBudget::Refuse), clock);
    let running = budgets.reserve("scorecard", usd("0.07")).unwrap();
    assert_eq!(
        budgets
            .reserve("scorecard", usd("0.07"))
            .unwrap_err()
            .kind(),
        ErrorKind::OverBudget
    );
    drop(running);
    budgets
        .reserve("scorecard", usd("0.07"))
        .unwrap()
        .settle(usd("0.01"), 0);
    assert_eq!(budgets.status()[0].day_usd, usd("0.01"));
}

#[test]
fn a_warning_lets_the_request_run() {
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z"));
    let budgets = Budgets::new(limits(OverBudget::Warn), clock);
    let reservation = budgets.reserve("scorecard", usd("2")).unwrap();
    assert_eq!(reservation.warnings().len(), 2);
    reservation.settle(usd("2"), 7);
    assert_eq!(budgets.status()[1].month_usd, usd("2"));
}

#[tokio::test]
async fn a_restart_reads_what_was_spent_from_the_audit_log() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z"));
    let log = reopen(|| {
        AuditLog::builder(settings(folder.path()))
            .with_clock(Arc::<ManualClock>::clone(&clock))
            .open()
    });
    for (time, cost) in [
        ("2026-10-31T23:59:59Z", Some("5")),
        ("2026-11-01T00:00:00Z", Some("0.50")),
        ("2026-11-23T00:00:00Z", Some("0.05")),
        ("2026-11-23T11:00:00Z", Some("0.04")),
        ("2026-11-23T11:00:01Z", None),
    ] {
        let record = AuditRecord {
            action: "scorecard".to_owned(),
            time: time.parse().unwrap(),
            cost_usd: cost.map(usd),
            bytes_transferred: 10,
            ..AuditRecord::default()
        };
        log.append(&record).await.unwrap();
    }
    let budgets = Budgets::restore(
        limits(OverBudget::Refuse),
        Arc::<ManualClock>::clone(&clock),
        folder.path(),
    )
    .unwrap();
    let status = budgets.status();
    assert_eq!(
        (status[0].day_usd, status[0].month_usd),
        (usd("0.09"), usd("0.59"))
    );
    assert_eq!(
        budgets.month_bytes(),
        40,
        "the bytes of this month's four attempts"
    );
    assert_eq!(status[1].action.as_deref(), Some("scorecard"));
    assert_eq!(
        budgets
            .reserve("scorecard", usd("0.02"))
            .unwrap_err()
            .kind(),
        ErrorKind::OverBudget
    );
    let missing = folder.path().join("not-there");
    let empty = Budgets::restore(limits(OverBudget::Refuse), clock, &missing).unwrap();
    assert_eq!(empty.status()[0].month_usd, Decimal::ZERO);
}

#[test]
fn an_action_may_warn_where_the_whole_refuses() {
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z"));
    let mut settings = limits(OverBudget::Refuse);
    settings.actions.get_mut("scorecard").unwrap().over = Some(OverBudget::Warn);
    let budgets = Budgets::new(settings, clock);
    assert_eq!(budgets.over_unpriced("scorecard"), Some(OverBudget::Refuse));
    let reservation = budgets.reserve("scorecard", usd("0.50")).unwrap();
    assert_eq!(reservation.warnings().len(), 1);
    reservation.settle(usd("0.50"), 0);
    assert_eq!(
        budgets
            .reserve("scorecard", usd("0.51"))
            .unwrap_err()
            .kind(),
        ErrorKind::OverBudget,
        "the budget of all actions refuses"
    );
    budgets.spend("other", usd("0.01"), 5);
    assert_eq!(budgets.status()[0].day_usd, usd("0.51"));
    assert_eq!(budgets.month_bytes(), 5);
    let free = Budgets::new(
        BudgetSettings::default(),
        Arc::new(ManualClock::at("2026-11-23T12:00:00Z")),
    );
    assert_eq!(free.over_unpriced("scorecard"), None);
}

#[tokio::test]
async fn limits_are_replaced_and_what_was_spent_stays() {
    let clock = Arc::new(ManualClock::at("2026-11-29T11:00:00Z"));
    let folder = tempfile::tempdir().unwrap();
    let log = reopen(|| {
        AuditLog::builder(settings(folder.path()))
            .with_clock(Arc::<ManualClock>::clone(&clock))
            .open()
    });
    let append = async |cost| {
        let record = AuditRecord {
            action: "scorecard".to_owned(),
            cost_usd: Some(usd(cost)),
            ..AuditRecord::default()
        };
        log.append(&record).await.unwrap();
    };
    append("0.05").await;
    clock.set("2026-11-29T12:00:00Z");
    let budgets = Budgets::new(BudgetSettings::default(), Arc::<ManualClock>::clone(&clock));
    let running = budgets.reserve("scorecard", usd("5")).unwrap();
    budgets.spend("scorecard", usd("0.04"), 10);
    append("0.04").await;
    // What was spent before this process is read from the log now that it matters, and nothing is counted twice.
    let replace = || {
        let limits = limits(OverBudget::Refuse);
        budgets.with_settings(limits, folder.path()).unwrap()
    };
    assert_eq!(replace().status()[0].day_usd, usd("0.09"));
    let limited = replace();
    assert_eq!(limited.status()[0].day_usd, usd("0.09"));
    running.settle(usd("0"), 0);
    assert!(limited.reserve("scorecard", usd("0.02")).is_err());
    drop(limited.reserve("scorecard", usd("0.01")).unwrap());
    // A request that began without limits goes on without.
    drop(budgets.reserve("scorecard", usd("5")).unwrap());
}
