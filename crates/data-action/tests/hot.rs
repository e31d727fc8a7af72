//! Actions with `hot = true`, on the embedded stack: what is asked of S3, what is recorded, what happens without room.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod support;

use flowlake_data_action::{Action, ActionDefinition, ErrorCode};
use serde_json::{Value, json};

use self::support::{CALLER, House};

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
