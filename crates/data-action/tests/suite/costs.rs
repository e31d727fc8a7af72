//! Estimates before, costs after, budgets that hold, and finished audit segments that are shipped.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{fs, path::Path, sync::Arc, time::Duration};

use crate::support::{CALLER, House, SEAL_KEY, parquet, project, variables};
use flowlake_cost_audit::audit::{SealingKey, VerifyOptions, verify_with};
use flowlake_data_action::{ActionRequest, ErrorCode, Pipeline};
use flowlake_dev_stack::ObjectState;
use flowlake_transform::arrow::array::{ArrayRef, Int64Array};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// Reads the only file of the stack without parameters.
const ALL: &str = r#"
name = "all"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[query]
sql = "SELECT name FROM customers"
"#;

/// Every file of a folder.
const FOLDER: &str = r#"
name = "folder"
[tables.customers]
uri = "s3://lake/exports/folder/"
format = "csv"
[query]
sql = "SELECT count(*) AS n FROM customers"
"#;

fn usd(value: &Value) -> Decimal {
    value.as_str().unwrap().parse().unwrap()
}

/// What one line of a cost stands for, as `item -> quantity`.
fn quantity(cost: &Value, item: &str) -> Decimal {
    let lines = cost["lines"].as_array().unwrap();
    let found = lines.iter().filter(|line| line["item"] == item);
    found.map(|line| usd(&line["quantity"])).sum()
}

/// The same project again, as after a restart, with another configuration.
async fn restart(
    house: House,
    more_config: &str,
    change: impl Fn(&mut flowlake_data_action::Config),
) -> House {
    let House {
        stack,
        folder,
        pipeline,
    } = house;
    drop(pipeline);
    for _ in 0..400 {
        let mut project = project(folder.path(), &stack, more_config, &[ALL]);
        change(&mut project.config);
        match Box::pin(Pipeline::builder(project).build(&variables())).await {
            Ok(pipeline) => {
                return House {
                    stack,
                    folder,
                    pipeline,
                };
            }
            // The writer's thread is just giving the lock back.
            Err(error) if error.code() == ErrorCode::AuditUnavailable => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("{error}: {}", error.log_detail()),
        }
    }
    panic!("the audit log was not given back");
}

/// Ships to `uri`, in segments that a record or two fill.
async fn shipping_house(uri: &str) -> House {
    let config = format!(
        "[audit.seal_key]\nenv = \"SEAL_KEY\"\n[audit.ship]\nuri = \"{uri}\"\ncheck_every = \"20ms\"\nlongest_wait = \"20ms\"\n"
    );
    let house = House::build(&[ALL]).await;
    restart(house, &config, |config| {
        config.audit.log.max_segment_bytes = 600;
    })
    .await
}

#[tokio::test]
async fn an_answer_tells_the_estimate_before_and_the_cost_after() {
    let house = House::build(&[ALL, FOLDER]).await;
    let size = fs::metadata(
        house
            .folder
            .path()
            .join("lake-root/lake/exports/customers.csv"),
    );
    let size = Decimal::from(size.unwrap().len());
    let answer = house.run("all", json!({})).await.unwrap();
    let cost = &answer["cost_tracking"];
    let gb = Decimal::from(1_u64 << 30);
    let moved = quantity(&cost["estimate"], "transfer within the region");
    assert_eq!(moved, (size / gb).round_dp(12).normalize());
    assert_eq!(
        quantity(&cost["estimate"], "GET requests"),
        Decimal::from(2)
    );
    assert_eq!(
        quantity(&cost["metered"], "GET requests"),
        Decimal::from(house.stack.s3().count("GetObject"))
    );
    assert_eq!(
        quantity(&cost["metered"], "HEAD and other requests"),
        Decimal::from(house.stack.s3().count("HeadObject"))
    );
    assert!(usd(&cost["estimate"]["total_usd"]) > Decimal::ZERO);
    assert_eq!(
        answer["audit_log"]["cost_usd"],
        cost["metered"]["total_usd"]
    );
    // A folder is listed for the estimate: what is in it counts.
    let exports = house.folder.path().join("lake-root/lake/exports");
    fs::create_dir(exports.join("folder")).unwrap();
    for name in ["one.csv", "two.csv"] {
        fs::copy(
            exports.join("customers.csv"),
            exports.join("folder").join(name),
        )
        .unwrap();
    }
    let answer = house.run("folder", json!({})).await.unwrap();
    assert_eq!(answer["data"][0]["n"], 4);
    let cost = &answer["cost_tracking"];
    assert_eq!(
        quantity(&cost["estimate"], "LIST requests"),
        Decimal::from(1)
    );
    assert_eq!(
        quantity(&cost["estimate"], "GET requests"),
        Decimal::from(4)
    );
    assert_eq!(
        quantity(&cost["metered"], "LIST requests"),
        Decimal::from(1)
    );
    assert_eq!(house.stack.s3().count("ListObjectsV2"), 1);
}

/// How many groups of rows a file of Parquet has is known when its footer has been read: the limits hold on the way.
#[tokio::test]
async fn limits_hold_while_parquet_is_read() {
    let action = |name: &str, file: &str, limits: &str| {
        format!(
            "name = \"{name}\"\n[tables.t]\nuri = \"s3://lake/exports/{file}\"\n[limits]\n{limits}\n[query]\nsql = \"SELECT sum(n) AS n FROM t\"\n"
        )
    };
    let actions = [
        action("few", "large.parquet", "max_requests = 8"),
        action("cheap", "large.parquet", "max_cost_usd = \"0.000004\""),
        action(
            "enough",
            "large.parquet",
            "max_requests = 60\nmax_cost_usd = 0.1",
        ),
        action("small", "small.parquet", "max_requests = 3"),
    ];
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    let house = House::build(&actions).await;
    // As numbers of a generator, which are not compressed.
    let numbers = |count: u64| {
        let next = |n: &u64| Some(n.wrapping_mul(0x5851_f42d_4c95_7f2d) % (1 << 40) + 1);
        let numbers = std::iter::successors(Some(7), next).take(usize::try_from(count).unwrap());
        let numbers: Vec<i64> = numbers.map(|n| i64::try_from(n).unwrap()).collect();
        [("n", Arc::new(Int64Array::from(numbers)) as ArrayRef)]
    };
    let exports = house.folder.path().join("lake-root/lake/exports");
    let large = parquet::in_groups(&numbers(60_000), 3000);
    assert!(large.len() > 400_000, "{}", large.len());
    fs::write(exports.join("large.parquet"), large).unwrap();
    let small = parquet::in_groups(&numbers(6000), 1000);
    let small_bytes = small.len() as u64;
    fs::write(exports.join("small.parquet"), small).unwrap();
    for (name, code, said) in [
        ("few", ErrorCode::LimitRequests, "and 8 are allowed"),
        ("cheap", ErrorCode::LimitCost, "USD are allowed"),
    ] {
        let before = house.stack.s3().count("GetObject");
        let (found, message) = house.run(name, json!({})).await.unwrap_err();
        assert_eq!(found, code, "{message}");
        assert!(message.contains(said), "{message}");
        let sent = house.stack.s3().count("GetObject") - before;
        assert!((1..=9).contains(&sent), "{name}: {sent}");
    }
    let answer = house.run("enough", json!({})).await.unwrap();
    assert!(quantity(&answer["cost_tracking"]["metered"], "GET requests") > Decimal::from(20));
    // A small file is read with one request, whatever is asked of it, and no byte twice.
    let answer = house.run("small", json!({})).await.unwrap();
    let metered = &answer["cost_tracking"]["metered"];
    assert_eq!(quantity(metered, "GET requests"), Decimal::from(1));
    assert_eq!(answer["audit_log"]["bytes_transferred"], small_bytes);
}

#[tokio::test]
async fn what_a_listing_says_of_storage_classes_is_set_aside() {
    let house = House::furnished(
        &[
            ("exports/folder/one.csv", "a\n1\n2\n"),
            ("exports/folder/two.csv", "a\n3\n"),
        ],
        json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }]),
        "",
        &[FOLDER],
        |_| {},
    )
    .await;
    let state = ObjectState {
        storage_class: Some("GLACIER_IR".to_owned()),
        ..ObjectState::default()
    };
    let key = "exports/folder/one.csv";
    house.stack.set_object_state("lake", key, state);
    let answer = house.run("folder", json!({})).await.unwrap();
    assert_eq!(answer["data"][0]["n"], 3);
    let estimate = &answer["cost_tracking"]["estimate"];
    let retrieved = quantity(estimate, "GLACIER_IR retrieval");
    let gb = Decimal::from(1_u64 << 30);
    let one = (Decimal::from(6) / gb).round_dp(12).normalize();
    assert_eq!(retrieved, one, "{estimate}");
}

#[tokio::test]
async fn a_folder_is_estimated_whatever_its_name() {
    for folder in ["K\u{f6}ln", "a~b", "a b"] {
        let key = format!("exports/{folder}/one.csv");
        let action = FOLDER.replace("exports/folder/", &format!("exports/{folder}/"));
        let iam = json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }]);
        let files = [(key.as_str(), "a\n1\n2\n")];
        let house = House::furnished(&files, iam, "", &[&action], |_| {}).await;
        let answer = house.run("folder", json!({})).await.unwrap();
        assert_eq!(answer["data"][0]["n"], 2, "{folder}");
        let estimate = &answer["cost_tracking"]["estimate"];
        let gets = quantity(estimate, "GET requests");
        assert_eq!(gets, Decimal::from(2), "{folder}: {estimate}");
    }
}

#[tokio::test]
async fn a_read_over_a_budget_is_refused_recorded_and_stays_refused_after_a_restart() {
    // One read is estimated at 0.0000012 USD, one HEAD and two GETs, and costs one GET less.
    let config = "[budget.total]\ndaily_usd = \"0.0000019\"\n";
    let house = House::build_with(config, &[ALL]).await;
    house.run("all", json!({})).await.unwrap();
    let gets = house.stack.s3().count("GetObject");
    let (code, message) = house.run("all", json!({})).await.unwrap_err();
    assert_eq!(code, ErrorCode::BudgetExceeded);
    assert!(
        message.starts_with("the daily budget of all actions is 0.0000019 USD"),
        "{message}"
    );
    assert_eq!(
        house.stack.s3().count("GetObject"),
        gets,
        "nothing was read"
    );
    let audit = house.audit();
    assert_eq!(audit.len(), 2);
    assert!(audit[1].contains("budget.exceeded"), "{}", audit[1]);
    assert!(audit[1].contains("exports/customers.csv"), "{}", audit[1]);
    let metrics = house.pipeline.prometheus();
    assert!(
        metrics.contains("flowlake_budget_usd{action=\"*\",period=\"day\"} 1.9e-6"),
        "{metrics}"
    );
    let house = restart(house, config, |_| {}).await;
    let (code, _) = house.run("all", json!({})).await.unwrap_err();
    assert_eq!(code, ErrorCode::BudgetExceeded);
    let request = flowlake_data_action::ActionRequest {
        action: "all".to_owned(),
        ..Default::default()
    };
    let failure = house.pipeline.run(request).await.unwrap_err();
    let wait = failure.error.retry_after().unwrap();
    assert!(wait <= Duration::from_hours(24), "{wait:?}");
}

#[tokio::test]
async fn a_budget_that_warns_lets_the_read_run_and_tells() {
    let action = format!("{ALL}[budget]\ndaily_usd = 0.0000001\nover = \"warn\"\n");
    let house = House::build(&[&action]).await;
    let answer = house.run("all", json!({})).await.unwrap();
    let warning = answer["cost_tracking"]["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("the daily budget of action `all` is 0.0000001 USD"),
        "{warning}"
    );
    assert_eq!(answer["audit_log"]["message"], warning);
    // Another action has no budget.
    let other = house
        .run("look-up", json!({ "ani": CALLER }))
        .await
        .unwrap();
    assert_eq!(other["cost_tracking"]["warnings"], json!([]));
}

#[tokio::test]
async fn requests_at_the_same_time_cannot_spend_the_same_budget() {
    let limit = "0.0000062";
    let config = format!("[budget.total]\ndaily_usd = \"{limit}\"\n");
    let house = House::build_with(&config, &[ALL]).await;
    let runs = (0..24).map(|_| house.run("all", json!({})));
    let results = futures::future::join_all(runs).await;
    let answered: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().ok())
        .collect();
    let spent: Decimal = answered
        .iter()
        .map(|answer| usd(&answer["cost_tracking"]["metered"]["total_usd"]))
        .sum();
    assert!(!answered.is_empty());
    assert!(
        spent <= limit.parse().unwrap(),
        "{} answers spent {spent}",
        answered.len()
    );
    for (code, message) in results.iter().filter_map(|result| result.as_ref().err()) {
        assert_eq!(*code, ErrorCode::BudgetExceeded, "{message}");
    }
    assert_eq!(house.audit().len(), 24);
}

#[tokio::test]
async fn a_budget_does_not_hold_for_what_cannot_be_priced() {
    const EMPTY: &str = r#"{"as_of": "2026-11-01", "free_internet_gb_per_month": 100, "sources": {}, "regions": {}}"#;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), EMPTY).unwrap();
    let prices = format!("[cost]\nprices = \"{}\"\n", file.path().display());
    let house = House::build_with(&prices, &[ALL]).await;
    let answer = house.run("all", json!({})).await.unwrap();
    assert!(answer["cost_tracking"]["metered"].is_null());
    let reason = "cannot be priced: no prices for region `us-east-1`, load an AWS price list or set an override";
    let warnings = &answer["cost_tracking"]["warnings"];
    assert_eq!(*warnings, json!([format!("the read {reason}")]));
    let budget = format!("{prices}[budget.actions.all]\nmonthly_usd = 1\n");
    let house = House::build_with(&budget, &[ALL]).await;
    let (code, said) = house.run("all", json!({})).await.unwrap_err();
    assert_eq!(code, ErrorCode::BudgetUnpriced);
    assert!(said.contains(reason), "{said}");
    assert_eq!(house.stack.s3().count("GetObject"), 0);
    let warned = format!("{budget}over = \"warn\"\n");
    let house = House::build_with(&warned, &[ALL]).await;
    let answer = house.run("all", json!({})).await.unwrap();
    assert_eq!(
        answer["cost_tracking"]["warnings"],
        json!([format!("a budget is set, and the read {reason}")])
    );
}

#[tokio::test]
async fn settings_that_cannot_hold_are_refused_at_the_start() {
    let house = House::build(&[]).await;
    let limited = format!("{ALL}[budget]\ndaily_usd = 1\n");
    for (config, action) in [
        ("[budget.actions.none]\ndaily_usd = 1\n", ALL),
        ("[budget.actions.all]\ndaily_usd = 1\n", limited.as_str()),
        ("[budget.total]\nmonthly_usd = -1\n", ALL),
        ("[cost]\ndestination = \"the moon\"\n", ALL),
        ("[audit.ship]\nuri = \"https://lake/archive\"\n", ALL),
        ("[audit.seal_key]\nenv = \"NO_KEY\"\n", ALL),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path(), &house.stack, config, &[action]);
        let error = Box::pin(Pipeline::builder(project).build(&variables()))
            .await
            .unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid, "{config}");
        let said = format!("{error} {}", error.log_detail());
        assert!(!said.contains("not-hexadecimal"), "{said}");
    }
}

/// Waits for something that a task of the pipeline does by itself.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not come to be");
}

fn sealed(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    entries
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".seal.json")
        })
        .count()
}

#[tokio::test]
async fn finished_segments_are_signed_and_copied_to_s3() {
    let house = shipping_house("s3://lake/archive/eu").await;
    for _ in 0..6 {
        house.run("all", json!({})).await.unwrap();
    }
    let local = house.folder.path().join("audit");
    let log_id = fs::read_to_string(local.join("audit.id")).unwrap();
    let archive = house.folder.path().join("lake-root/lake/archive/eu");
    let archive = archive.join(log_id.trim());
    let finished = sealed(&local);
    assert!(finished > 1, "{finished} segments");
    until(|| sealed(&archive) == finished).await;
    let options = VerifyOptions {
        public_key: Some(SealingKey::from_hex(SEAL_KEY).unwrap().public_key()),
        ..VerifyOptions::default()
    };
    let report = verify_with(&archive, &options).unwrap();
    assert_eq!(report.problem, None);
    assert_eq!(report.sealed_segments as usize, finished);
    assert_eq!(house.pipeline.warnings(), Vec::<String>::new());
    until(|| {
        house
            .pipeline
            .prometheus()
            .contains("flowlake_audit_segments_pending 0.0\n")
    })
    .await;
}

#[tokio::test]
async fn a_bucket_that_takes_no_segment_is_reported_and_stops_nothing() {
    let house = shipping_house("s3://nowhere/archive").await;
    for _ in 0..6 {
        house.run("all", json!({})).await.unwrap();
    }
    until(|| !house.pipeline.warnings().is_empty()).await;
    let warning = house.pipeline.warnings().remove(0);
    assert!(
        warning.contains("audit segments have not been shipped, failing since"),
        "{warning}"
    );
    assert!(house.pipeline.unready_reason().is_none());
    house.run("all", json!({})).await.unwrap();
    assert_eq!(house.audit().len(), 7, "every record is still here");
    let metrics = house.pipeline.prometheus();
    assert!(
        metrics.contains("flowlake_audit_shipping 0.0\n"),
        "{metrics}"
    );
}

/// Every record is in the bucket before its answer is given.
async fn house_that_ships_first(uri: &str) -> House {
    let config =
        format!("[audit.ship]\nuri = \"{uri}\"\ncheck_every = \"1h\"\nbefore_answer = true\n");
    restart(House::build(&[ALL]).await, &config, |_| {}).await
}

#[tokio::test]
async fn a_record_can_be_shipped_before_its_answer() {
    let house = house_that_ships_first("s3://lake/archive/eu").await;
    let log_id = fs::read_to_string(house.folder.path().join("audit/audit.id")).unwrap();
    let archive = house.folder.path().join("lake-root/lake/archive/eu");
    let archive = archive.join(log_id.trim());
    for records in 1..4 {
        house.run("all", json!({})).await.unwrap();
        let report = verify_with(&archive, &VerifyOptions::default()).unwrap();
        assert_eq!((report.problem, report.records), (None, records));
    }
    // A refusal too.
    let refused = house.run("all", json!({ "x": 1 })).await;
    assert_eq!(refused.unwrap_err().0, ErrorCode::ParamInvalid);
    let report = verify_with(&archive, &VerifyOptions::default()).unwrap();
    assert_eq!(report.records, 4);
}

#[tokio::test]
async fn without_a_shipped_record_there_is_no_answer() {
    let house = house_that_ships_first("s3://nowhere/archive").await;
    let request = ActionRequest {
        action: "all".to_owned(),
        ..ActionRequest::default()
    };
    let failure = house.pipeline.run(request).await.unwrap_err();
    assert_eq!(failure.error.code(), ErrorCode::AuditUnavailable);
    let told = failure.error.message();
    assert!(told.contains("cannot be copied"), "{told}");
    assert_eq!(house.audit().len(), 1, "it is here all the same");
}
