//! Cost Explorer: what we send, every page read, failures as errors.
//!
//! First against recorded HTTP exchanges, then against the embedded stand-in over a real socket.
#![cfg(feature = "cost-explorer")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod replay;

use std::sync::Arc;
use std::time::Duration;

use crate::common::ManualClock;
use aws_sdk_costexplorer::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_costexplorer::{Client, Config};
use chrono::NaiveDate;
use flowlake_cost_audit::{Actuals, ActualsQuery, ErrorKind, Granularity, GroupBy, S3_SERVICE};
use flowlake_dev_stack::{CostRow, CostTable, DevStack};

use self::replay::{Answer, Replay};
use serde_json::{Value, json};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn november() -> ActualsQuery {
    ActualsQuery::s3(day("2026-10-30"), day("2026-11-03"))
}

fn client(http: impl aws_sdk_costexplorer::config::HttpClient + 'static) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(http);
    Client::from_conf(config.build())
}

fn row(start: &str, end: &str, estimated: bool, groups: &[(&str, &str)]) -> Value {
    let groups: Vec<Value> = groups
        .iter()
        .map(|(key, usd)| json!({"Keys": [key], "Metrics": {"UnblendedCost": {"Amount": usd, "Unit": "USD"}}}))
        .collect();
    json!({"TimePeriod": {"Start": start, "End": end}, "Total": {}, "Groups": groups, "Estimated": estimated})
}

#[tokio::test]
async fn every_page_and_every_period_is_summed_exactly() {
    let replay = Replay::new(vec![
        (
            200,
            json!({
                "NextPageToken": "two",
                "ResultsByTime": [
                    row("2026-10-30", "2026-10-31", false, &[("Requests-Tier2", "0.1"), ("DataTransfer-Out-Bytes", "0.2")]),
                    row("2026-10-31", "2026-11-01", false, &[("Requests-Tier2", "4.3E-7")]),
                ],
            }),
        ),
        (
            200,
            json!({
                "ResultsByTime": [
                    // The same day goes on over the page.
                    row("2026-10-31", "2026-11-01", false, &[("Requests-Tier1", "1.0000000001")]),
                    row("2026-11-01", "2026-11-02", true, &[]),
                ],
            }),
        ),
    ]);
    let actuals = Actuals::new(client(replay.clone()));
    let costs = actuals.fetch(&november()).await.unwrap();
    assert_eq!(costs.total_usd.to_string(), "1.3000004301");
    assert_eq!((costs.periods.len(), costs.pages), (3, 2));
    assert_eq!(costs.periods[1].usd.to_string(), "1.0000004301");
    assert_eq!(costs.periods[1].groups.len(), 2);
    assert!(costs.estimated && costs.periods[2].estimated && !costs.periods[0].estimated);

    let sent = replay.requests();
    assert_eq!(
        sent[0]["TimePeriod"],
        json!({"Start": "2026-10-30", "End": "2026-11-03"})
    );
    assert_eq!(sent[0]["Granularity"], "DAILY");
    assert_eq!(sent[0]["Metrics"], json!(["UnblendedCost"]));
    assert_eq!(
        sent[0]["GroupBy"],
        json!([{"Type": "DIMENSION", "Key": "USAGE_TYPE"}])
    );
    assert_eq!(
        sent[0]["Filter"]["Dimensions"],
        json!({"Key": "SERVICE", "Values": [S3_SERVICE]})
    );
    assert_eq!(sent[0].get("NextPageToken"), None);
    assert_eq!(sent[1]["NextPageToken"], "two");
}

#[tokio::test]
async fn totals_are_read_when_nothing_is_grouped() {
    let total = |usd: &str| json!({"UnblendedCost": {"Amount": usd, "Unit": "USD"}});
    let replay = Replay::new(vec![(
        200,
        json!({"ResultsByTime": [
            {"TimePeriod": {"Start": "2026-10-24", "End": "2026-11-01"}, "Total": total("1.5"), "Groups": [], "Estimated": false},
            {"TimePeriod": {"Start": "2026-11-01", "End": "2026-11-23"}, "Total": total("2.25"), "Groups": [], "Estimated": true},
        ]}),
    )]);
    let query = ActualsQuery {
        granularity: Granularity::Monthly,
        group_by: Vec::new(),
        services: Vec::new(),
        ..ActualsQuery::s3(day("2026-10-24"), day("2026-11-23"))
    };
    let costs = Actuals::new(client(replay.clone()))
        .fetch(&query)
        .await
        .unwrap();
    assert_eq!(
        costs.total_usd.to_string(),
        "3.75",
        "thirty days are two months"
    );
    let sent = replay.requests();
    assert_eq!(sent[0]["Granularity"], "MONTHLY");
    assert_eq!(
        (sent[0].get("GroupBy"), sent[0].get("Filter")),
        (None, None)
    );
}

#[tokio::test]
async fn an_answer_is_kept_and_a_failure_is_not() {
    let good = || {
        (
            200,
            json!({"ResultsByTime": [row("2026-10-30", "2026-10-31", false, &[("x", "1")])]}),
        )
    };
    let replay = Replay::new(vec![
        (
            400,
            json!({"__type": "LimitExceededException", "message": "too many"}),
        ),
        good(),
        good(),
    ]);
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z"));
    let actuals = Actuals::new(client(replay.clone()))
        .with_clock(Arc::<ManualClock>::clone(&clock))
        .with_keep(Duration::from_secs(3600));
    let error = actuals.fetch(&november()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CostExplorer);
    // AWS says why in a sentence of its own; what the SDK knows besides is a page.
    let told = error.to_string();
    assert_eq!(
        told,
        "Cost Explorer refuses (LimitExceededException): too many"
    );
    let first = actuals.fetch(&november()).await.unwrap();
    clock.set("2026-11-23T12:59:59Z");
    let again = actuals.fetch(&november()).await.unwrap();
    assert!(
        Arc::ptr_eq(&first, &again),
        "the second answer cost another 0.01 USD"
    );
    clock.set("2026-11-23T13:00:00Z");
    actuals.fetch(&november()).await.unwrap();
    assert_eq!(replay.requests().len(), 3);
}

#[tokio::test]
async fn answers_without_an_exact_sum_are_errors() {
    let one = |amount: &str, unit: &str| {
        json!({"ResultsByTime": [{
            "TimePeriod": {"Start": "2026-10-30", "End": "2026-10-31"},
            "Total": {"UnblendedCost": {"Amount": amount, "Unit": unit}}, "Groups": [], "Estimated": false,
        }]})
    };
    let looping = json!({"ResultsByTime": [], "NextPageToken": "again"});
    let cases = vec![
        (vec![one("1", "EUR")], "EUR"),
        (vec![one("much", "USD")], "much"),
        (vec![looping.clone(), looping], "twice"),
    ];
    for (pages, expected) in cases {
        let replay = Replay::new(pages.into_iter().map(|page| (200, page)));
        let error = Actuals::new(client(replay))
            .fetch(&november())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CostExplorer);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let actuals = Actuals::new(client(Replay::new(Vec::new())));
    let empty = ActualsQuery::s3(day("2026-11-01"), day("2026-11-01"));
    assert_eq!(
        actuals.fetch(&empty).await.unwrap_err().kind(),
        ErrorKind::InvalidSetting
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stand_in_pages_filters_and_leaves_out_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let bill = |day_of_month: u32, service: &str, usage_type: &str, micro_usd: i64| CostRow {
        day: NaiveDate::from_ymd_opt(2026, 11, day_of_month).unwrap(),
        service: service.to_owned(),
        usage_type: usage_type.to_owned(),
        micro_usd,
        micro_quantity: 1_000_000,
        unit: "GB".to_owned(),
    };
    let mut rows = Vec::new();
    for number in 1..=10 {
        rows.push(bill(number, S3_SERVICE, "Requests-Tier2", 100_001));
        rows.push(bill(
            number,
            S3_SERVICE,
            "DataTransfer-Out-Bytes",
            1_000_000,
        ));
        rows.push(bill(
            number,
            "Amazon Elastic Compute Cloud - Compute",
            "BoxUsage",
            99_000_000,
        ));
    }
    let stack = DevStack::builder(folder.path())
        .with_costs(CostTable {
            rows,
            periods_per_page: Some(3),
        })
        .start()
        .await
        .unwrap();
    let key = stack.access_key("flowlake");
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(stack.aws_url().to_string())
        .credentials_provider(Credentials::new(key.id, key.secret, None, None, "test"))
        .build();
    let actuals = Actuals::new(Client::from_conf(config));
    let query = ActualsQuery {
        group_by: vec![GroupBy::Service, GroupBy::UsageType],
        ..ActualsQuery::s3(day("2026-11-02"), day("2026-11-09"))
    };
    let costs = actuals.fetch(&query).await.unwrap();
    assert_eq!(costs.pages, 3);
    assert_eq!(costs.periods.len(), 7);
    assert_eq!(costs.periods.last().unwrap().start, day("2026-11-08"));
    assert_eq!(costs.total_usd.to_string(), "7.700007");
    assert_eq!(costs.periods[0].groups.len(), 2);
    stack.shutdown().await;
}

#[tokio::test]
async fn the_next_process_finds_the_answer_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cost-explorer.json");
    let page = json!({"ResultsByTime": [row("2026-10-30", "2026-10-31", true, &[("Requests-Tier2", "0.1")])]});
    let clock = Arc::new(ManualClock::at("2026-11-23T12:00:00Z"));
    let ask = async |scope: &str, answers: Vec<Answer>| {
        let replay = Replay::new(answers);
        let actuals = Actuals::new(client(replay.clone()))
            .with_clock(Arc::<ManualClock>::clone(&clock))
            .with_cache_file(path.clone(), scope);
        let costs = actuals.fetch(&november()).await;
        (costs, replay.requests().len())
    };
    let (first, asked) = ask("a", vec![(200, page.clone())]).await;
    assert_eq!(asked, 1);
    let (again, asked) = ask("a", vec![]).await;
    assert_eq!((again.unwrap(), asked), (first.unwrap(), 0));
    // Another account's figures are not ours, and old ones are asked for again.
    let (_, asked) = ask("b", vec![(200, page.clone())]).await;
    assert_eq!(asked, 1);
    clock.set("2026-11-23T18:00:00Z");
    let (_, asked) = ask("a", vec![(200, page.clone())]).await;
    assert_eq!(asked, 1);
    // A caller that asks for a new answer pays for it.
    let replay = Replay::new(vec![(200, page.clone())]);
    let actuals = Actuals::new(client(replay.clone()))
        .with_clock(Arc::<ManualClock>::clone(&clock))
        .with_keep_since("2026-11-23T18:00:01Z".parse().unwrap())
        .with_cache_file(path.clone(), "a");
    actuals.fetch(&november()).await.unwrap();
    assert_eq!(replay.requests().len(), 1);
    // A broken file is as good as none.
    std::fs::write(&path, "not JSON").unwrap();
    let (costs, asked) = ask("a", vec![(200, page.clone())]).await;
    assert!(costs.unwrap().estimated);
    assert_eq!(asked, 1);
}
