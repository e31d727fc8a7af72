//! Several servers share the limits of one budget: together they never set aside more, whatever they know of each other.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::ManualClock;
use async_trait::async_trait;
use flowlake_cost_audit::{
    BudgetLimits, BudgetSettings, Budgets, ErrorKind, OverBudget, Reservation, SharedBudget,
    StatementBoard,
};
use rand::Rng;
use rust_decimal::Decimal;
use tokio::task::JoinSet;

const NOW: &str = "2026-11-30T12:00:00Z";

/// Statements in memory, each read and written after a wait of its own.
#[derive(Debug, Default)]
struct Memory {
    statements: Mutex<BTreeMap<String, Vec<u8>>>,
    is_gone: AtomicBool,
    /// How often all were read.
    reads: AtomicU64,
}

impl Memory {
    async fn pass(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let wait = rand::rng().random_range(0..2_000);
        tokio::time::sleep(Duration::from_micros(wait)).await;
        if self.is_gone.load(Ordering::Relaxed) {
            return Err("the bucket is gone".into());
        }
        Ok(())
    }

    /// What a log states of this day, all actions together.
    fn stated(&self, log_id: &str) -> Option<Decimal> {
        let statements = self.statements.lock().unwrap();
        let statement: serde_json::Value = serde_json::from_slice(statements.get(log_id)?).unwrap();
        let sums = statement["sums"].as_array().unwrap().iter();
        let mut day = sums.filter(|sum| sum["span"] == "day" && sum["action"].is_null());
        let usd = day.next().map_or("0", |sum| sum["usd"].as_str().unwrap());
        Some(usd.parse().unwrap())
    }
}

impl ManualClock {
    /// So much later that what was known just now is not any more.
    fn step(&self, second: u32) {
        self.set(&format!("2026-11-30T12:00:{second:02}Z"));
    }
}

#[async_trait]
impl StatementBoard for Memory {
    async fn publish(
        &self,
        log_id: &str,
        statement: Vec<u8>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        self.pass().await?;
        let mut statements = self.statements.lock().unwrap();
        statements.insert(log_id.to_owned(), statement);
        Ok(())
    }

    async fn read(
        &self,
    ) -> Result<Vec<(String, Vec<u8>)>, Box<dyn std::error::Error + Send + Sync>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let names: Vec<String> = self.statements.lock().unwrap().keys().cloned().collect();
        let mut found = Vec::new();
        for name in names {
            // Statements are not read at one moment.
            self.pass().await?;
            let statement = self.statements.lock().unwrap()[&name].clone();
            found.push((name, statement));
        }
        Ok(found)
    }
}

fn usd(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn limits(over: OverBudget) -> BudgetSettings {
    let daily = |usd: Decimal| BudgetLimits {
        daily_usd: Some(usd),
        ..BudgetLimits::default()
    };
    BudgetSettings {
        total: daily(usd("1.00")),
        actions: [("scorecard".to_owned(), daily(usd("0.60")))].into(),
        over,
        shared: None,
    }
}

/// A server that gives back what it does not use this often.
fn server(board: &Arc<Memory>, name: &str, over: OverBudget, every: Duration) -> Budgets {
    server_at(&Arc::new(ManualClock::at(NOW)), board, name, over, every)
}

fn server_at(
    clock: &Arc<ManualClock>,
    board: &Arc<Memory>,
    name: &str,
    over: OverBudget,
    every: Duration,
) -> Budgets {
    let shared = SharedBudget {
        uri: "s3://nowhere".to_owned(),
        every,
        ahead_percent: 10,
    };
    let clock = Arc::<ManualClock>::clone(clock);
    let board = Arc::<Memory>::clone(board);
    Budgets::new(limits(over), clock).sharing(&shared, board, name.to_owned(), None)
}

const SELDOM: Duration = Duration::from_secs(3600);

/// Reserves until it is refused, and holds all of it.
async fn spend_all(budgets: &Budgets, action: &str, estimate: &str) -> Vec<Reservation> {
    let mut held = Vec::new();
    loop {
        match budgets.claim(action, usd(estimate)).await {
            Ok(reservation) => held.push(reservation),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OverBudget, "{error}");
                return held;
            }
        }
    }
}

fn sum(held: &[Reservation]) -> Decimal {
    held.iter().map(Reservation::estimate_usd).sum()
}

async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..4_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came so far");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_at_the_same_time_never_set_more_aside_than_the_limit() {
    for round in 0..6 {
        let board = Arc::new(Memory::default());
        // Some give back what they have claimed at any moment.
        let every = [SELDOM, Duration::from_millis(1)][round % 2];
        let servers = ["a", "b", "c"].map(|name| server(&board, name, OverBudget::Refuse, every));
        let mut tasks = JoinSet::new();
        for budgets in &servers {
            for (action, estimate) in [
                ("scorecard", "0.031"),
                ("scorecard", "0.007"),
                ("other", "0.023"),
            ] {
                let budgets = budgets.clone();
                tasks.spawn(async move { (action, spend_all(&budgets, action, estimate).await) });
            }
        }
        let (mut all, mut scorecard) = (Decimal::ZERO, Decimal::ZERO);
        let mut held = Vec::new();
        while let Some(spent) = tasks.join_next().await {
            let (action, reservations) = spent.unwrap();
            all += sum(&reservations);
            if action == "scorecard" {
                scorecard += sum(&reservations);
            }
            held.push(reservations);
        }
        assert!(all <= usd("1.00"), "round {round}: {all}");
        assert!(scorecard <= usd("0.60"), "round {round}: {scorecard}");
        // And what is claimed and not used withholds little.
        assert!(all >= usd("0.60"), "round {round}: {all}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_goes_on_with_what_it_has_claimed_when_the_others_cannot_be_read() {
    let board = Arc::new(Memory::default());
    let clock = Arc::new(ManualClock::at(NOW));
    let budgets = server_at(&clock, &board, "a", OverBudget::Refuse, SELDOM);
    budgets
        .claim("other", usd("0.01"))
        .await
        .unwrap()
        .settle(usd("0.01"), 0);
    board.is_gone.store(true, Ordering::Relaxed);
    // A tenth of the limit was claimed beyond the first.
    budgets
        .claim("other", usd("0.10"))
        .await
        .unwrap()
        .settle(usd("0.10"), 0);
    let refused = budgets.claim("other", usd("0.01")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unshared);
    assert!(budgets.share_status().unwrap().last_error.is_some());
    // What costs nothing is not refused, and a budget that warns refuses nothing.
    drop(budgets.claim("other", Decimal::ZERO).await.unwrap());
    let warning = server(&board, "b", OverBudget::Warn, SELDOM);
    drop(warning.claim("other", usd("0.50")).await.unwrap());
    board.is_gone.store(false, Ordering::Relaxed);
    clock.step(2);
    budgets
        .claim("other", usd("0.01"))
        .await
        .unwrap()
        .settle(usd("0.01"), 0);
    assert_eq!(budgets.share_status().unwrap().last_error, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_claimed_and_not_spent_comes_back() {
    let board = Arc::new(Memory::default());
    let often = Duration::from_millis(5);
    let idle = server(&board, "a", OverBudget::Refuse, often);
    idle.claim("other", usd("0.05"))
        .await
        .unwrap()
        .settle(usd("0.02"), 0);
    // Not needed for two looks.
    until(|| board.stated("a") == Some(usd("0.02"))).await;
    let stopped = server(&board, "b", OverBudget::Refuse, SELDOM);
    stopped
        .claim("other", usd("0.30"))
        .await
        .unwrap()
        .settle(usd("0.10"), 0);
    stopped.close().await;
    assert_eq!(board.stated("b"), Some(usd("0.10")));
    // One that ends without a word keeps its claim, since nobody knows what it spent of it.
    let killed = server(&board, "c", OverBudget::Refuse, SELDOM);
    killed
        .claim("other", usd("0.30"))
        .await
        .unwrap()
        .settle(usd("0.20"), 0);
    drop(killed);
    let claimed = board.stated("c").unwrap();
    assert!(claimed >= usd("0.30"), "{claimed}");
    let budgets = server(&board, "d", OverBudget::Refuse, SELDOM);
    let held = spend_all(&budgets, "other", "0.01").await;
    assert_eq!(
        sum(&held),
        usd("0.88") - claimed - (usd("0.88") - claimed) % usd("0.01")
    );
    let status = &budgets.status()[0];
    assert_eq!(status.others_day_usd, usd("0.12") + claimed);
    assert_eq!(budgets.share_status().unwrap().others, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_cannot_be_understood_is_an_error() {
    let board = Arc::new(Memory::default());
    board
        .publish("x", b"{\"version\":9}".to_vec())
        .await
        .unwrap();
    let budgets = server(&board, "a", OverBudget::Refuse, SELDOM);
    let refused = budgets.claim("other", usd("0.01")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unshared);
    let status = budgets.share_status().unwrap().last_error.unwrap();
    assert!(status.contains("the statement of the log x"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_claimed_at_once() {
    let board = Arc::new(Memory::default());
    let budgets = server(&board, "a", OverBudget::Refuse, SELDOM);
    let claims = (0..50).map(|_| {
        let budgets = budgets.clone();
        async move { budgets.claim("other", usd("0.02")).await }
    });
    let mut tasks = JoinSet::new();
    claims.for_each(|claim| drop(tasks.spawn(claim)));
    let held: Result<Vec<_>, _> = tasks.join_all().await.into_iter().collect();
    assert_eq!(sum(&held.unwrap()), usd("1.00"));
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_at_the_same_time_ask_the_board_once() {
    let board = Arc::new(Memory::default());
    let clock = Arc::new(ManualClock::at(NOW));
    let budgets = server_at(&clock, &board, "a", OverBudget::Refuse, SELDOM);
    let held = spend_all(&budgets, "other", "0.10").await;
    assert_eq!(sum(&held), usd("1.00"));
    let refuse = async |kind: ErrorKind| {
        let before = board.reads.load(Ordering::Relaxed);
        let mut tasks = JoinSet::new();
        for _ in 0..50 {
            let budgets = budgets.clone();
            tasks.spawn(async move { budgets.claim("other", usd("0.01")).await.map(drop) });
        }
        for refused in tasks.join_all().await {
            assert_eq!(refused.unwrap_err().kind(), kind);
        }
        board.reads.load(Ordering::Relaxed) - before
    };
    clock.step(5);
    let reads = refuse(ErrorKind::OverBudget).await;
    assert!(reads <= 2, "{reads} reads");
    clock.step(10);
    board.is_gone.store(true, Ordering::Relaxed);
    let reads = refuse(ErrorKind::Unshared).await;
    assert!(reads <= 2, "{reads} reads");
}
