//! Actions with `hot = true`, on the embedded stack: what is asked of S3, what is recorded, what happens without room.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use flowlake_data_action::{Action, ActionDefinition, ErrorCode};
use serde_json::{Value, json};

use crate::support::{CALLER, House};

const HOT: &str = r#"
name = "hot-look-up"
hot = true
index = ["ani"]
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.ani]
type = "phone"
sensitive = true
[query]
sql = "SELECT name, tier FROM customers WHERE ani = $ani"
"#;

#[tokio::test]
async fn a_hot_action_reads_once_and_each_attempt_is_recorded() {
    let house = House::build(&[HOT]).await;
    for round in 0..5 {
        let answer = house
            .run("hot-look-up", json!({ "ani": CALLER }))
            .await
            .unwrap();
        assert_eq!(answer["data"], json!([{ "name": "Ana", "tier": "gold" }]));
        assert_eq!(answer["hot"]["unchecked"], json!(false));
        let moved = answer["cost_tracking"]["bytes"].as_u64().unwrap();
        assert_eq!(moved > 0, round == 0, "round {round} moved {moved} bytes");
        assert!(
            answer["metadata"][0]["etag"].is_string(),
            "{}",
            answer["metadata"]
        );
    }
    let records: Vec<Value> = house
        .audit()
        .iter()
        .filter(|line| line.contains("hot-look-up"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 5);
    let text = house.audit().join("\n");
    assert!(!text.contains(CALLER));
    // Each names the version that it was answered from.
    assert_eq!(text.matches("\"etag\":\"").count(), 5, "{text}");
    let metrics = house.pipeline.prometheus();
    assert!(metrics.contains("flowlake_hot_loads 1"), "{metrics}");
    assert!(metrics.contains("flowlake_hot_hits 4"), "{metrics}");
}

#[tokio::test]
async fn the_answer_is_the_cold_one() {
    let house = House::build(&[HOT]).await;
    for ani in [CALLER, "+12025550143", "+12025550199"] {
        let cold = house.run("look-up", json!({ "ani": ani })).await.unwrap();
        let hot = house
            .run("hot-look-up", json!({ "ani": ani }))
            .await
            .unwrap();
        assert_eq!(hot["data"], cold["data"]);
        assert!(cold["hot"].is_null());
    }
}

#[tokio::test]
async fn an_overshot_budget_does_not_refuse_answers_that_cost_nothing() {
    const BY_NAME: &str = r#"
name = "by-name"
[tables.t]
uri = "s3://lake/exports/{name}.csv"
[params.name]
type = "string"
[query]
sql = "SELECT * FROM t"
"#;
    let config = "[budget.total]\ndaily_usd = \"0.000002\"\n";
    let house = House::build_with(config, &[HOT, BY_NAME]).await;
    let look_up = async || house.run("hot-look-up", json!({ "ani": CALLER })).await;
    look_up().await.unwrap();
    // A HEAD is paid for even when the object is missing, and is not reserved.
    for number in 0..8 {
        let missing = json!({ "name": format!("missing-{number}") });
        let (code, _) = house.run("by-name", missing).await.unwrap_err();
        assert_eq!(code, ErrorCode::S3NoSuchKey);
    }
    let existing = house.run("by-name", json!({ "name": "customers" })).await;
    assert_eq!(existing.unwrap_err().0, ErrorCode::BudgetExceeded);
    let answer = look_up().await.unwrap();
    assert_eq!(answer["data"][0]["name"], json!("Ana"));
    assert_eq!(answer["cost_tracking"]["bytes"], json!(0));
}

#[tokio::test]
async fn without_room_it_runs_cold_and_says_so_or_is_refused() {
    let wide = "ani,name,tier\n".to_owned() + &format!("{CALLER},{},gold\n", "x".repeat(600 << 10));
    for (setting, refused) in [("cold", false), ("refuse", true)] {
        let config = format!("[hot]\nmemory = \"1MiB\"\non_no_room = \"{setting}\"\n");
        let house = House::build_with(&config, &[HOT]).await;
        let path = house
            .folder
            .path()
            .join("lake-root/lake/exports/customers.csv");
        std::fs::write(path, &wide).unwrap();
        let answer = house.run("hot-look-up", json!({ "ani": CALLER })).await;
        if refused {
            assert_eq!(answer.unwrap_err().0, ErrorCode::LimitMemory);
        } else {
            let answer = answer.unwrap();
            assert_eq!(answer["data"][0]["tier"], json!("gold"));
            assert!(answer["hot"].is_null());
            assert!(
                answer["cost_tracking"]["warnings"][0]
                    .as_str()
                    .unwrap()
                    .contains("no room")
            );
        }
    }
}

#[test]
fn an_index_needs_a_hot_action_and_a_hot_action_single_objects() {
    for (from, to) in [("hot = true", ""), ("customers.csv", "")] {
        let definition = HOT.replace(from, to);
        let definition = ActionDefinition::parse("a.toml".as_ref(), &definition).unwrap();
        let error = Action::try_new(definition).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid, "{error}");
    }
}

fn records(house: &House, of: &str) -> Vec<Value> {
    let lines = house.audit();
    let records = lines.iter().filter(|line| line.contains(of));
    records
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["record"].clone())
        .collect()
}

#[tokio::test]
async fn reading_a_new_version_leaves_a_record_of_its_own() {
    let config = "[hot]\nfreshness = \"10ms\"\n";
    let house = House::build_with(config, &[HOT]).await;
    let ask = async || {
        let answer = house.run("hot-look-up", json!({ "ani": CALLER })).await;
        answer.unwrap()["data"][0]["name"].clone()
    };
    assert_eq!(ask().await, json!("Ana"));
    assert!(records(&house, "(hot tables)").is_empty());
    let path = house
        .folder
        .path()
        .join("lake-root/lake/exports/customers.csv");
    std::fs::write(&path, format!("ani,name,tier\n{CALLER},Eva,gold\n")).unwrap();
    while ask().await != json!("Eva") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let found = records(&house, "(hot tables)");
    assert_eq!(found.len(), 1, "{found:?}");
    let reload = &found[0];
    assert_eq!(
        (&reload["status"], &reload["code"]),
        (&json!("success"), &json!("ok"))
    );
    assert!(reload["bytes_transferred"].as_u64() > Some(0), "{reload}");
    assert!(reload["objects"][0]["etag"].is_string(), "{reload}");
    assert!(
        reload["principal"].as_str().unwrap().contains("reader"),
        "{reload}"
    );
    assert_eq!(reload["params"], json!({}));
    // A version that cannot be read is recorded as well, with its code. It comes whole: an empty file is no version.
    let next = path.with_extension("next");
    std::fs::write(&next, "ani,name,tier\n\"").unwrap();
    std::fs::rename(&next, &path).unwrap();
    while records(&house, "(hot tables)").len() < 2 {
        assert_eq!(ask().await, json!("Eva"));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let failed = &records(&house, "(hot tables)")[1];
    assert_eq!(
        (&failed["status"], &failed["code"]),
        (&json!("failed"), &json!("data.malformed"))
    );
    assert!(!house.audit().join("\n").contains(CALLER));
}

#[tokio::test]
async fn the_same_question_at_the_same_time_is_answered_once_and_recorded_for_each_who_asks() {
    let counting = HOT.replace("hot-look-up", "hot-count").replace(
        "SELECT name, tier FROM customers WHERE ani = $ani",
        "SELECT tier, count(*) AS n FROM customers WHERE ani <> $ani GROUP BY tier",
    );
    let house = House::build(&[&counting]).await;
    let ask = || house.run("hot-count", json!({ "ani": CALLER }));
    let alone = ask().await.unwrap();
    assert_eq!(alone["data"], json!([{ "tier": "silver", "n": 1 }]));
    let answers = futures::future::join_all((0..16).map(|_| ask())).await;
    let mut ids = std::collections::BTreeSet::new();
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(answer["data"], alone["data"]);
        ids.insert(answer["audit"]["id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 16);
    assert_eq!(records(&house, "hot-count").len(), 17);
    let metrics = house.pipeline.prometheus();
    let shared = metrics
        .lines()
        .find_map(|line| line.strip_prefix("flowlake_hot_shared "));
    assert!(shared.unwrap().parse::<f64>().unwrap() > 0.0, "{metrics}");
}

/// A look-up that is refused for the version in memory is recorded as refused, and by what.
#[tokio::test]
async fn a_denied_look_up_from_memory_is_recorded_as_denied() {
    let key = "arn:aws:kms:us-east-1:123456789012:key/0123";
    let rights = |decrypt: &str| {
        json!([
            { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*" },
            { "Effect": decrypt, "Action": "kms:Decrypt", "Resource": "*" },
        ])
    };
    let file = format!("ani,name,tier\n{CALLER},Ana,gold\n");
    let files = [("exports/customers.csv", file.as_str())];
    let ttl = "[access]\nttl = \"0s\"\n";
    let house = House::furnished(&files, rights("Allow"), ttl, &[HOT], |_| {}).await;
    let state = flowlake_dev_stack::ObjectState {
        kms_key_arn: Some(key.to_owned()),
        ..flowlake_dev_stack::ObjectState::default()
    };
    house
        .stack
        .set_object_state("lake", "exports/customers.csv", state);
    let params = json!({ "ani": CALLER });
    house.run("hot-look-up", params.clone()).await.unwrap();
    house.change_rights(rights("Deny"));
    let (code, _) = house.run("hot-look-up", params).await.unwrap_err();
    assert_eq!(code, ErrorCode::S3KmsDenied);
    let found = records(&house, "hot-look-up");
    let decisions: Vec<&str> = found
        .iter()
        .map(|record| record["decision"].as_str().unwrap())
        .collect();
    assert_eq!(decisions[0], "allowed");
    let denied = format!("explicit-deny: kms:Decrypt on {key}");
    assert!(decisions[1].starts_with(&denied), "{decisions:?}");
}

/// Four actions, and memory for the tables of fewer: each load is planned, priced and recorded, however often it is evicted.
#[tokio::test]
async fn tables_that_were_evicted_are_planned_and_paid_for_again() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let filler = "x".repeat(100);
    let others: String = (0..3000)
        .map(|row| format!("{row},{filler}{row},none\n"))
        .collect();
    let texts = NAMES.map(|name| format!("ani,name,tier\n{CALLER},{name},gold\n{others}"));
    let keys = NAMES.map(|name| format!("exports/{name}.csv"));
    let files: Vec<(&str, &str)> = keys
        .iter()
        .map(String::as_str)
        .zip(texts.iter().map(String::as_str))
        .collect();
    let actions = NAMES.map(|name| {
        HOT.replace("hot-look-up", name).replace(
            "customers.csv",
            &format!("{name}.csv\"\ntypes = {{ ani = \"string\" }}\n#"),
        )
    });
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    let iam = json!([{ "Effect": "Allow", "Action": "s3:*", "Resource": "*" }]);
    let memory = "[hot]\nmemory = \"1MiB\"\n";
    let house = House::furnished(&files, iam, memory, &actions, |_| {}).await;
    let mut loads = 0;
    for round in 0..3 {
        for name in NAMES {
            let answer = house.run(name, json!({ "ani": CALLER })).await.unwrap();
            assert_eq!(answer["data"][0]["name"], name);
            assert!(!answer["hot"].is_null(), "{name} in round {round}");
            let cost = &answer["cost_tracking"];
            let is_read = cost["bytes"].as_u64() > Some(0);
            let estimate = cost["estimate"]["total_usd"].as_str().unwrap();
            assert_eq!(is_read, estimate != "0", "{name} in round {round}: {cost}");
            loads += u32::from(is_read);
        }
    }
    assert!(loads > 4, "{loads} loads: nothing was evicted");
}

/// A reload is paid for like any read. When the budget is spent, the old version is answered from, with a warning.
#[tokio::test]
async fn a_reload_over_budget_reads_nothing_and_the_old_version_says_so() {
    let config = "[hot]\nfreshness = \"10ms\"\nmax_staleness = \"1h\"\n[budget.total]\ndaily_usd = \"0.0000019\"\n";
    let house = House::build_with(config, &[HOT]).await;
    let ask = async || {
        house
            .run("hot-look-up", json!({ "ani": CALLER }))
            .await
            .unwrap()
    };
    assert_eq!(ask().await["data"][0]["name"], "Ana");
    let gets = house.stack.s3().count("GetObject");
    let path = house
        .folder
        .path()
        .join("lake-root/lake/exports/customers.csv");
    std::fs::write(&path, format!("ani,name,tier\n{CALLER},Eva,gold\n")).unwrap();
    while records(&house, "(hot tables)").is_empty() {
        assert_eq!(ask().await["data"][0]["name"], "Ana");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let record = &records(&house, "(hot tables)")[0];
    assert_eq!(record["code"], "budget.exceeded", "{record}");
    assert_eq!(record["decision"], "allowed", "{record}");
    // Free answers go on, though the budget is spent. The record comes first, and then what answers say.
    let answer = loop {
        let answer = ask().await;
        assert_eq!(answer["data"][0]["name"], "Ana");
        if answer["hot"]["unchecked"] == json!(true) {
            break answer;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    let warning = answer["cost_tracking"]["warnings"][0].as_str().unwrap();
    assert!(
        warning.starts_with("the tables may be out of date: [budget.exceeded]"),
        "{warning}"
    );
    assert_eq!(
        house.stack.s3().count("GetObject"),
        gets,
        "nothing was read"
    );
}
