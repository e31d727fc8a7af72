//! Several servers share a budget by statements on S3.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use crate::support::House;
use flowlake_cost_audit::audit::{distinct, entries, logs};
use flowlake_data_action::{ActionRequest, ErrorCode, Pipeline};
use rust_decimal::Decimal;
use serde_json::{Value, json};

const ALL: &str = r#"
name = "all"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[query]
sql = "SELECT name FROM customers"
"#;

/// About forty reads.
const CONFIG: &str = r#"
[budget.total]
daily_usd = "0.00004"
[budget.shared]
uri = "s3://lake/archive/spending"
every = "1h"
"#;

fn limit() -> Decimal {
    "0.00004".parse().unwrap()
}

async fn run(pipeline: &Pipeline) -> Result<(), ErrorCode> {
    let request = ActionRequest {
        action: "all".to_owned(),
        ..ActionRequest::default()
    };
    let answer = pipeline.run(request).await;
    answer.map(drop).map_err(|failure| failure.error.code())
}

/// Runs four at a time until one is refused.
async fn run_all(pipeline: &Pipeline) -> ErrorCode {
    loop {
        let results = futures::future::join_all((0..4).map(|_| run(pipeline))).await;
        if let Some(code) = results.into_iter().find_map(Result::err) {
            return code;
        }
    }
}

/// What each node spent, by its own log.
fn spent(audit: &Path) -> BTreeMap<String, Decimal> {
    let found = logs(audit).unwrap();
    distinct(&found).unwrap();
    let mut spent = BTreeMap::<String, Decimal>::new();
    for entry in found.iter().flat_map(|log| entries(log).unwrap()) {
        let record = entry.unwrap().record;
        let cost = record.cost_usd.unwrap_or_default();
        *spent.entry(record.node.unwrap_or_default()).or_default() += cost;
    }
    spent
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_spend_no_more_than_one_budget() {
    let house = House::build_with(CONFIG, &[ALL]).await;
    let (a, b) = (
        house.node("a").await.unwrap(),
        house.node("b").await.unwrap(),
    );
    let refused = tokio::join!(run_all(&a), run_all(&b));
    assert_eq!(
        refused,
        (ErrorCode::BudgetExceeded, ErrorCode::BudgetExceeded),
        "{:?} {:?}",
        a.warnings(),
        b.warnings()
    );
    let spent = spent(&house.folder.path().join("audit"));
    let total: Decimal = spent.values().sum();
    // A refused read has determined its price with one request, which is counted and not held back.
    let refusals = Decimal::from(8) * "0.0000004".parse::<Decimal>().unwrap();
    assert!(total <= limit() + refusals, "{spent:?}");
    assert!(total >= limit() / Decimal::TWO, "{spent:?}");
    for node in ["a", "b"] {
        assert!(spent[node] > Decimal::ZERO, "{spent:?}");
    }
    let metrics = a.prometheus();
    let elsewhere = "flowlake_spent_elsewhere_usd{action=\"*\",period=\"day\"} ";
    let elsewhere = metrics
        .lines()
        .find_map(|line| line.strip_prefix(elsewhere));
    assert!(
        elsewhere.unwrap().parse::<f64>().unwrap() > 0.0,
        "{metrics}"
    );
    // One that starts later, with the limit spent, and one that has lost its disk: both know.
    a.close(Duration::from_secs(20)).await;
    b.close(Duration::from_secs(20)).await;
    fs::remove_dir_all(house.folder.path().join("audit/a")).unwrap();
    for name in ["a", "c"] {
        let node = house.node(name).await.unwrap();
        assert_eq!(run_all(&node).await, ErrorCode::BudgetExceeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shared_is_refused_and_said() {
    let allowed = json!([
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] },
    ]);
    let house = House::build_with(CONFIG, &[ALL]).await;
    house.change_rights(allowed);
    let node = house.node("a").await.unwrap();
    assert_eq!(run(&node).await, Err(ErrorCode::BudgetUnshared));
    let warnings = node.warnings().join("\n");
    assert!(warnings.contains("AccessDenied"), "{warnings}");
    let health = serde_json::to_value(node.health()).unwrap();
    let parts = health.as_array().unwrap().iter();
    let budget: Vec<&Value> = parts.filter(|part| part["part"] == "budget").collect();
    assert_eq!(budget[0]["up"], false, "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_with_a_copy_of_one_log_are_detected() {
    let house = House::build_with(CONFIG, &[ALL]).await;
    let a = house.node("a").await.unwrap();
    run(&a).await.unwrap();
    let audit = house.folder.path().join("audit");
    fs::create_dir(audit.join("b")).unwrap();
    for name in ["audit.id", "audit-00000000000000000001.jsonl"] {
        fs::copy(audit.join("a").join(name), audit.join("b").join(name)).unwrap();
    }
    let b = house.node("b").await.unwrap();
    let refused = tokio::join!(run_all(&a), run_all(&b));
    assert!(
        [refused.0, refused.1].contains(&ErrorCode::BudgetUnshared),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_node_is_named_and_shares_where_it_can() {
    let house = House::build_with("", &[ALL]).await;
    for name in ["", "..", "a/b"] {
        let refused = house.node(name).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::ConfigInvalid, "{name}");
    }
    let a = house.node("a").await.unwrap();
    // Its log is its own: another process of the name cannot be.
    let refused = house.node("a").await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::AuditUnavailable);
    drop(a);
    let path = house.folder.path().join("flowlake.toml");
    let config = fs::read_to_string(&path).unwrap();
    for (more, said) in [
        ("uri = \"https://x/y\"", "is no place on S3"),
        (
            "uri = \"s3://x/y\"\nevery = \"0s\"",
            "every in milliseconds",
        ),
        ("uri = \"s3://x/y\"\nahead_percent = 101", "ahead_percent"),
    ] {
        fs::write(&path, format!("{config}\n[budget.shared]\n{more}\n")).unwrap();
        let loaded = flowlake_data_action::Project::load(house.folder.path());
        let refused = match loaded {
            Err(error) => error,
            Ok(_) => house.node("b").await.unwrap_err(),
        };
        assert!(refused.message().contains(said), "{refused}");
    }
}
