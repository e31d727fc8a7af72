//! Published versions beside each other: what a changed file does to the old ones, two publishers at once, answers that are
//! lost, drafts of other people, and actions that are gone.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::time::Duration;

use flowlake_cost_audit::{AuditLog, AuditSettings};
use flowlake_dev_stack::{Failure, GenesysSettings};
use serde_json::{Value, json};

use crate::support::{ALL, House, LOOK_UP};

const PUBLISH: &str = "POST /api/v2/integrations/actions/{id}/draft/publish";
const DRAFTS: &str = "POST /api/v2/integrations/actions/drafts";
const READ: &str = "GET /api/v2/integrations/actions/{id}";
const REMOVE: &str = "DELETE /api/v2/integrations/actions/{id}";

/// The id under which an action is published.
fn id(house: &House, name: &str) -> String {
    house.published(name)["id"].as_str().unwrap().to_owned()
}

/// What was done and how it ended, record by record.
fn operations(records: &[Value]) -> Vec<String> {
    let told = records.iter().map(|record| {
        let operation = record["params"]["operation"].as_str().unwrap();
        format!("{operation} {}", record["code"].as_str().unwrap())
    });
    told.collect()
}

/// A change of the file that flows on the published version cannot be answered with, and what is said of it.
const BREAKING: [(&str, &str, &str); 5] = [
    (
        "tier, calls,",
        "tier, CAST(calls AS VARCHAR) AS calls,",
        "the output `calls` is integer, and the column is string",
    ),
    (
        "SELECT name,",
        "SELECT",
        "the output `name` is not set any more",
    ),
    (
        "[limits]",
        "[params.least]\ntype = \"integer\"\n[limits]",
        "the parameter `least` is required, and this version does not send it",
    ),
    (
        "ani",
        "phone",
        "a flow that sends `ani` fails: there is no such parameter",
    ),
    (
        "type = \"phone\"",
        "type = \"integer\"",
        "a flow that sends `ani` as string fails: the parameter is integer",
    ),
];

#[tokio::test]
async fn flows_that_a_changed_file_fails_are_named_before_anything_changes() {
    let house = House::new().await;
    house.told(&["actions", "publish", "look-up"], 0).await;
    let first = id(&house, "look-up");
    house.stack.genesys().use_action(&first, "Main menu", 130);
    let before = house.records().await.len();
    for (old, new, why) in BREAKING {
        let mut text = LOOK_UP.replace(old, new);
        if old == "ani" {
            text = text.replace("phone = $phone", "ani = $phone");
        }
        if new.contains("least") {
            text = text.replace("ani = $ani", "ani = $ani AND calls >= $least");
        }
        if new.contains("integer\"") && old.contains("phone") {
            text = text.replace("ani = $ani", "calls = $ani");
        }
        house.action(&text);
        for (command, code) in [
            (&["check", "look-up"][..], 7),
            (&["actions", "diff", "look-up"], 7),
            (&["actions", "publish", "look-up", "--dry-run"], 4),
            (&["actions", "publish", "look-up"], 4),
            (&["actions", "publish", "all", "look-up"], 4),
        ] {
            let told = house.told(command, code).await;
            assert!(
                told.contains("look-up cannot be answered with this file (1 flow uses it)")
                    && told.contains(why),
                "{command:?}: {told}"
            );
        }
        assert!(house.published("look-up@2").is_null() && house.published("all").is_null());
    }
    assert_eq!(house.records().await.len(), before);
    // Whom the name of the version is given to has been asked.
    let arguments = ["actions", "publish", "look-up", "--break", "look-up"];
    house.told(&arguments, 0).await;
    assert!(house.published("look-up@2").is_object());
    // It stays known, until no flow is left.
    house.told(&["actions", "diff", "look-up"], 7).await;
    house.stack.genesys().release_action(&first);
    let told = house.told(&["actions", "diff", "look-up"], 1).await;
    assert!(told.contains("(no flow uses it)"), "{told}");
    let told = house.told(&["check", "look-up"], 0).await;
    assert!(told.contains("! look-up cannot be answered"), "{told}");
}

#[tokio::test]
async fn the_old_sql_lives_on_in_a_file_of_its_own() {
    let mut house = House::new().await;
    house.serve().await;
    house.told(&["actions", "publish", "look-up"], 0).await;
    let first = id(&house, "look-up");
    house.stack.genesys().use_action(&first, "Main menu", 1);
    let second = LOOK_UP
        .replace("\"look-up\"", "\"look-up@2\"")
        .replace("tier, calls,", "tier, CAST(calls AS VARCHAR) AS calls,");
    house.action(&second);
    // The server takes the new file.
    house.server.take().unwrap().stop().await.unwrap();
    house.serve().await;
    house.told(&["check"], 0).await;
    house
        .told(&["actions", "publish", "look-up", "look-up@2"], 0)
        .await;
    assert_eq!(id(&house, "look-up"), first);
    for (version, calls) in [("look-up@1", json!(3)), ("look-up@2", json!("3"))] {
        let arguments = [
            "actions",
            "test",
            version,
            "--param",
            "ani=+12025550142",
            "--json",
        ];
        let tested = house.json(&arguments, 0).await;
        assert_eq!(tested["result"]["calls"], calls, "{version}: {tested}");
    }
    house
        .told(&["actions", "diff", "look-up", "look-up@2"], 0)
        .await;
    let listed = house.told(&["actions", "list"], 0).await;
    assert!(!listed.contains("not of this project"), "{listed}");
    // Neither is old: each is what a file of the project publishes.
    for name in ["look-up", "look-up@1", "look-up@2"] {
        let code = if name == "look-up" { 0 } else { 4 };
        let told = house.told(&["actions", "retire", name], code).await;
        assert!(house.published("look-up@2").is_object(), "{told}");
    }
    // A changed contract of the first has no room between the two.
    house.action(&LOOK_UP.replace("SELECT name,", "SELECT ani, name,"));
    let told = house.told(&["actions", "publish", "look-up"], 4).await;
    assert!(told.contains("has a source of its own"), "{told}");
    // Once no flow is left, the first file goes, and then what is published of it.
    std::fs::remove_file(house.path().join("actions/look-up.toml")).unwrap();
    let told = house.told(&["actions", "diff"], 1).await;
    assert!(told.contains("! look-up: live, but no file"), "{told}");
    house.told(&["actions", "retire", "look-up"], 4).await;
    house.stack.genesys().release_action(&first);
    house.told(&["actions", "retire", "look-up"], 0).await;
    assert!(house.published("look-up").is_null() && house.published("look-up@2").is_object());
}

#[tokio::test]
async fn the_servers_address_and_the_timeout_reach_every_live_version() {
    let house = House::new().await;
    house.told(&["actions", "publish", "look-up"], 0).await;
    let changed = LOOK_UP.replace("SELECT name,", "SELECT ani, name,");
    house.action(&changed);
    house.told(&["actions", "publish", "look-up"], 0).await;
    let ids = ["look-up", "look-up@2"].map(|name| id(&house, name));
    house.configure("http://127.0.0.1:10");
    house.action(&changed.replace("5s", "9s"));
    let told = house.told(&["actions", "diff", "look-up"], 1).await;
    assert!(
        told.contains("  look-up changes in place\n")
            && told.matches("config.timeoutSeconds: 6 -> 10").count() == 2,
        "{told}"
    );
    house.told(&["actions", "publish", "look-up"], 0).await;
    for (name, id) in ["look-up", "look-up@2"].iter().zip(ids) {
        let live = house.published(name);
        assert_eq!(live["id"], id);
        assert_eq!(live["config"]["timeoutSeconds"], 10);
        assert_eq!(
            live["config"]["request"]["requestUrlTemplate"],
            "http://127.0.0.1:10/v1/actions/look-up?envelope=data-action"
        );
    }
    house.told(&["actions", "diff", "look-up"], 0).await;
    let records = house.records().await;
    let changed = records[2..]
        .iter()
        .map(|record| &record["params"]["data_action"]);
    assert_eq!(changed.collect::<Vec<_>>(), ["look-up@2", "look-up"]);
    // Each with its own contract.
    for (before, after) in [(0, 3), (1, 2)] {
        let contract = |index: usize| &records[index]["params"]["contract_sha256"];
        assert_eq!(contract(before), contract(after));
    }

    // Back to the first contract: it is live already.
    house.action(&LOOK_UP.replace("5s", "9s"));
    let told = house.told(&["actions", "diff", "look-up"], 1).await;
    assert!(
        told.contains("look-up: look-up is as it is published"),
        "{told}"
    );
    house.told(&["actions", "publish", "look-up"], 0).await;
    assert!(house.published("look-up@3").is_null());
    // The version that the file no longer makes is the old one.
    house.told(&["actions", "retire", "look-up"], 0).await;
    assert!(house.published("look-up").is_object() && house.published("look-up@2").is_null());
}

#[tokio::test]
async fn two_publishers_at_once_are_noticed() {
    let house = House::new().await;
    house.stack.genesys().race_next_creation();
    let told = house.told(&["actions", "publish", "look-up"], 4).await;
    assert!(
        told.contains("somebody else published one of the same name"),
        "{told}"
    );
    let records = house.records().await;
    assert_eq!(operations(&records), ["publish ok"]);
    let own = records[0]["params"]["data_action_id"].as_str().unwrap();
    for command in [
        &["actions", "publish", "look-up"][..],
        &["actions", "diff", "look-up"],
        &["actions", "list"],
        &["actions", "test", "look-up"],
        &["actions", "retire", "look-up"],
    ] {
        let told = house.told(command, 4).await;
        assert!(told.contains("2 actions"), "{command:?}: {told}");
    }
    let all = house.stack.genesys().published_actions();
    assert_eq!(all.len(), 2);
    let twin = all.iter().find(|action| action["id"] != own).unwrap();
    let twin = twin["id"].as_str().unwrap();
    house.told(&["actions", "retire", twin], 0).await;
    assert_eq!(id(&house, "look-up"), own);
    house.told(&["actions", "diff", "look-up"], 0).await;
    house.told(&["actions", "retire", own], 4).await;
}

#[tokio::test]
async fn a_draft_that_somebody_else_published_first_was_changed_meanwhile() {
    let house = House::new().await;
    house.told(&["actions", "publish", "look-up"], 0).await;
    house.action(&LOOK_UP.replace("5s", "7s"));
    house.stack.genesys().outrun_next_draft();
    let told = house.told(&["actions", "publish", "look-up"], 4).await;
    assert!(
        told.contains("somebody else published or discarded the draft meanwhile"),
        "{told}"
    );
    house.told(&["actions", "publish", "look-up"], 0).await;
    assert_eq!(house.published("look-up")["config"]["timeoutSeconds"], 8);
    let records = house.records().await;
    assert_eq!(
        operations(&records),
        ["publish ok", "publish genesys.rejected", "publish ok"]
    );
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_recorded() {
    let house = House::new().await;
    let api = house.stack.genesys().api();
    // A first publication, an update, a removal: each takes effect, and no answer comes.
    for (text, failure) in [
        (LOOK_UP.to_owned(), Failure::Lost),
        (LOOK_UP.replace("5s", "7s"), Failure::Lost),
        (LOOK_UP.replace("5s", "8s"), Failure::Garbage),
    ] {
        house.action(&text);
        let lost = failure == Failure::Lost;
        api.fail_next_of(PUBLISH, 1, failure);
        let code = if lost { 0 } else { 6 };
        house.told(&["actions", "publish", "look-up"], code).await;
    }
    let records = house.records().await;
    assert_eq!(
        operations(&records),
        ["publish ok", "publish ok", "publish genesys.unavailable"]
    );
    assert_eq!(
        records[1]["params"]["data_action_id"],
        json!(id(&house, "look-up"))
    );
    // Nothing had been done: it is done now, from the draft that was left.
    house.told(&["actions", "publish", "look-up"], 0).await;
    assert_eq!(house.published("look-up")["config"]["timeoutSeconds"], 9);

    // The platform cannot be asked afterwards: the next run finds out, and records it.
    let second = LOOK_UP.replace("5s", "8s").replace("calls, spent", "calls");
    house.action(&second);
    api.fail_next_of(PUBLISH, 1, Failure::Lost);
    // The first read is that of what is live before.
    api.fail_next_of(READ, 1, Failure::Slow(Duration::ZERO));
    api.fail_next_of(READ, 1, Failure::Status(403));
    let told = house.told(&["actions", "publish", "look-up"], 6).await;
    assert!(
        told.contains("whether it is published is not known"),
        "{told}"
    );
    let told = house.told(&["actions", "publish", "look-up"], 0).await;
    assert!(told.contains("is recorded as what answers now"), "{told}");
    let records = house.records().await;
    let last = records.last().unwrap();
    assert_eq!(last["params"]["operation"], "confirm");
    assert_eq!(
        last["params"]["data_action_id"],
        json!(id(&house, "look-up@2"))
    );
    let count = records.len();
    house.told(&["actions", "publish", "look-up"], 0).await;
    assert_eq!(house.records().await.len(), count);

    api.fail_next_of(REMOVE, 1, Failure::Lost);
    let told = house.told(&["actions", "retire", "look-up"], 0).await;
    assert!(told.contains("✓ look-up is removed"), "{told}");
    let records = house.records().await;
    assert_eq!(operations(&records).last(), Some(&"retire ok".to_owned()));
    // Again: there is nothing to do, by whatever name.
    for name in ["look-up", "look-up@1", "look-up@7"] {
        house.told(&["actions", "retire", name], 0).await;
    }
    house
        .told(&["actions", "retire", "never-heard-of"], 4)
        .await;
    assert_eq!(house.records().await.len(), records.len());
}

#[tokio::test]
async fn a_second_publisher_in_the_folder_learns_which_log_is_written() {
    let house = House::new().await;
    let directory = house.path().join("audit-publish");
    let first = AuditLog::builder(AuditSettings {
        directory,
        ..AuditSettings::default()
    });
    let first = first.open().unwrap();
    let told = house.told(&["actions", "publish", "look-up"], 6).await;
    assert!(told.contains("`audit` in [publish]"), "{told}");
    assert!(!told.contains("[audit.log]"), "{told}");
    assert!(house.published("look-up").is_null());
    drop(first);
    house.told(&["actions", "publish", "look-up"], 0).await;
}

#[tokio::test]
async fn other_sql_behind_the_same_contract_is_recorded() {
    let house = House::new().await;
    house.told(&["actions", "publish", "look-up"], 0).await;
    house.action(&LOOK_UP.replace("WHERE ani", "WHERE calls > 0 AND ani"));
    house.told(&["actions", "publish", "look-up"], 0).await;
    house.told(&["actions", "publish", "look-up"], 0).await;
    let records = house.records().await;
    assert_eq!(operations(&records), ["publish ok", "confirm ok"]);
    assert_ne!(
        records[0]["params"]["sql_sha256"],
        records[1]["params"]["sql_sha256"]
    );
    assert_eq!(
        records[1]["params"]["oauth_client"],
        json!(GenesysSettings::default().client_id)
    );
}

#[tokio::test]
async fn a_draft_of_somebody_else_is_not_overwritten_unasked() {
    let house = House::new().await;
    house.told(&["actions", "publish", "look-up"], 0).await;
    let first = id(&house, "look-up");
    house.action(&LOOK_UP.replace("5s", "7s"));
    let genesys = house.stack.genesys();
    genesys.edit_draft(&first, "category", json!("colleague"));
    for arguments in [&["--dry-run"][..], &[]] {
        let publish = ["actions", "publish", "look-up"];
        let told = house.told(&[&publish[..], arguments].concat(), 4).await;
        assert!(
            told.contains("somebody else is at work on")
                && told.contains("category: \"colleague\""),
            "{told}"
        );
    }
    assert_eq!(house.published("look-up")["config"]["timeoutSeconds"], 6);
    let arguments = ["actions", "publish", "look-up", "--overwrite-drafts"];
    house.told(&arguments, 0).await;
    assert_eq!(house.published("look-up")["config"]["timeoutSeconds"], 8);

    // A draft of a published action belongs to that, whatever it is called.
    genesys.edit_draft(&first, "name", json!("all"));
    house.told(&["actions", "publish", "all"], 0).await;
    assert_ne!(id(&house, "all"), first);
    assert_eq!(id(&house, "look-up"), first);
    // What we left in a draft ourselves is used.
    house.action(&ALL.replace("[query]", "[limits]\ntimeout = \"11s\"\n[query]"));
    house
        .stack
        .genesys()
        .api()
        .fail_next_of(PUBLISH, 1, Failure::Status(500));
    house.told(&["actions", "publish", "all"], 6).await;
    house.told(&["actions", "publish", "all"], 0).await;
    assert_eq!(house.published("all")["config"]["timeoutSeconds"], 12);
}

#[tokio::test]
async fn what_is_live_and_gone_here_is_named_and_can_be_removed() {
    let house = House::new().await;
    house.told(&["actions", "publish", "look-up"], 0).await;
    let foreign = json!({
        "name": "billing", "integrationId": GenesysSettings::default().integration_id, "category": "x",
        "version": 1, "secure": null, "contract": house.published("look-up")["contract"],
        "config": { "request": { "requestUrlTemplate": "https://elsewhere.example/", "requestType": "GET" } },
    });
    house.stack.genesys().add_action(&foreign);
    // Another integration's, as sparse as a listing may be.
    house
        .stack
        .genesys()
        .add_action(&json!({ "name": "other", "integrationId": null }));
    std::fs::remove_file(house.path().join("actions/look-up.toml")).unwrap();
    house.told(&["actions", "publish", "all", "lists"], 0).await;
    let told = house.told(&["actions", "diff"], 1).await;
    assert!(
        told.contains("! look-up: live, but no file") && !told.contains("billing"),
        "{told}"
    );
    let found = house.json(&["actions", "diff", "--json"], 1).await;
    assert!(
        found.to_string().contains("\"answered_by\":null"),
        "{found}"
    );
    house.told(&["actions", "retire", "look-up"], 0).await;
    assert!(house.published("look-up").is_null());
    house.told(&["actions", "diff"], 0).await;
    let told = house.told(&["actions", "retire", "billing"], 4).await;
    assert!(told.contains("--foreign"), "{told}");
    house
        .told(&["actions", "retire", "billing", "--foreign"], 0)
        .await;
    assert!(house.published("billing").is_null());
    // What is current goes only when that is said.
    house.told(&["actions", "retire", "all@1"], 4).await;
    house
        .told(&["actions", "retire", "all@1", "--current"], 0)
        .await;
    assert!(house.published("all").is_null());
}

#[tokio::test]
async fn what_is_published_before_a_failure_is_printed() {
    let house = House::new().await;
    let api = house.stack.genesys().api();
    // The second creation fails.
    api.fail_next_of(DRAFTS, 1, Failure::Slow(Duration::ZERO));
    api.fail_next_of(DRAFTS, 1, Failure::Status(400));
    let arguments = ["actions", "publish", "look-up", "all", "lists", "--json"];
    let output = house.run(&arguments).await;
    assert_eq!(output.status.code(), Some(4));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
    assert_eq!(told[0]["id"], json!(id(&house, "look-up")));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("action `all`"), "{error}");
    // The error says how long the platform asks to wait.
    let failure = Failure::RateLimited {
        retry_after_seconds: 3600,
    };
    api.fail_next(1, failure);
    let told = house.told(&["actions", "list"], 6).await;
    assert!(told.contains("asks to wait 3600 s"), "{told}");
}
