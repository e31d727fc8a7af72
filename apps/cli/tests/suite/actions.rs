//! `flowlake actions` as its users run it: the embedded stack is S3, IAM and Genesys Cloud, and a server answers what the
//! stand-in of Genesys Cloud calls.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use flowlake_dev_stack::{Failure, GenesysSettings};
use serde_json::{Value, json};

use crate::support::{ALL, House, KEY, LISTS, LOOK_UP, record, without_nulls};

#[tokio::test]
async fn check_names_declared_columns_that_the_first_file_does_not_have() {
    let house = House::new().await;
    let line = "declared under `columns`, and not in the beginning of the first file: teir";
    for (column, is_named) in [("teir", true), ("tier", false)] {
        let columns = format!("columns = {{ name = \"string\", {column} = \"string\" }}");
        let table = "[tables.customers]\nuri = \"s3://lake/exports/customers.csv\"\n";
        house.action(&format!(
            "name = \"declared\"\n{table}{columns}\n[query]\nsql = \"SELECT * FROM customers\"\n"
        ));
        let told = house.told(&["check", "declared"], 0).await;
        assert_eq!(told.contains(line), is_named, "{told}");
    }
}

#[tokio::test]
async fn shapes_follow_from_the_sql_and_the_file_and_check_tells_what_does_not_fit() {
    let house = House::new().await;
    let told = house.told(&["check"], 0).await;
    for (action, shape) in [
        ("look-up", "first-row"),
        ("all", "rows"),
        ("lists", "columns"),
    ] {
        let part = told.split(&format!("\n{action}\n")).nth(1).unwrap();
        let line = format!("✓ data action in the shape {shape}");
        assert!(
            part.split("\n\n").next().unwrap().contains(&line),
            "{action}: {told}"
        );
    }
    house.action(
        &ALL.replace("ORDER BY calls", "")
            .replace("SELECT name, tier, calls, spent", "SELECT count(*) AS n"),
    );
    let told = house.told(&["check", "all"], 0).await;
    assert!(told.contains("shape first-row"), "{told}");

    for (sql, why) in [
        ("SELECT count(*) FROM customers", "alias"),
        ("SELECT name AS \\\"orgId\\\" FROM customers", "reserved"),
        (
            "SELECT CAST(calls AS DECIMAL(20, 2)) AS calls FROM customers",
            "cast it to double",
        ),
        (
            "SELECT 1 AS found, name FROM customers LIMIT 1",
            "there twice",
        ),
        ("SELECT [1, 2] AS list FROM customers", "no counterpart"),
    ] {
        let text = LISTS.replace("shape = \"columns\"", "");
        let sql_of_lists = text.lines().last().unwrap();
        let text = text.replace(sql_of_lists, &format!("sql = \"{sql}\""));
        house.action(&text);
        let told = house.told(&["check", "lists"], 2).await;
        assert!(
            told.contains("✗ data action") && told.contains(why),
            "{sql}: {told}"
        );
        // The same without the section is only told.
        house.action(&text.replace("[genesys]", ""));
        let told = house.told(&["check", "lists"], 0).await;
        assert!(
            told.contains("! `lists` cannot be a data action"),
            "{sql}: {told}"
        );
    }
    house.action(&LISTS.replace("coalesce(tier, 'none') AS tier", "tier"));
    let told = house.told(&["actions", "validate", "lists"], 2).await;
    assert!(told.contains("\"tier\" can be null"), "{told}");
}

#[tokio::test]
async fn exports_are_deterministic_and_have_every_form() {
    let house = House::new().await;
    let first = house.told(&["actions", "export", "look-up"], 0).await;
    assert_eq!(
        first,
        house.told(&["actions", "export", "look-up"], 0).await
    );
    let document: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(document["actionType"], "custom");
    assert_eq!(document["config"]["timeoutSeconds"], 6);
    let outputs = &document["contract"]["output"]["successSchema"]["properties"];
    assert_eq!(outputs["found"]["type"], "boolean");
    assert_eq!(outputs["spent"]["type"], "number");
    assert!(
        outputs
            .as_object()
            .unwrap()
            .values()
            .all(|output| output["type"] != "array"),
        "{outputs}"
    );
    assert!(!first.contains(KEY));

    let hcl = house
        .told(&["actions", "export", "look-up", "--format", "hcl"], 0)
        .await;
    assert!(
        hcl.contains("resource \"genesyscloud_integration_action\" \"look_up\""),
        "{hcl}"
    );
    assert!(
        hcl.contains("$${credentials.apiKey}") && !hcl.replace("$${", "").contains("${"),
        "{hcl}"
    );

    let openapi = house
        .told(&["actions", "export", "look-up", "--format", "openapi"], 0)
        .await;
    let openapi: Value = serde_json::from_str(&openapi).unwrap();
    assert_eq!(openapi["openapi"], "3.1.0");
    assert!(openapi["paths"]["/v1/actions/look-up"]["post"].is_object());

    let folder = house.path().join("exported");
    let folder_text = folder.display().to_string();
    house
        .told(&["actions", "export", "--all", "--folder", &folder_text], 0)
        .await;
    for name in ["look-up", "all", "lists"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["name"], name);
    }
    assert_eq!(
        std::fs::read_to_string(folder.join("look-up.json")).unwrap(),
        first
    );
}

#[tokio::test]
async fn the_timeout_is_the_actions_own_or_three_times_the_p99() {
    let house = House::new().await;
    let profile = house.path().join("profile.json");
    for (count, p99_ms, expected) in [
        (0, 0.0, 6),
        (1, 200.0, 6),
        (99, 200.0, 6),
        (100, 200.0, 3),
        (100, 1300.0, 4),
        (100, 9000.0, 6),
    ] {
        let text = json!({ "actions": { "look-up": { "windows": { "since_start": { "duration": { "count": count, "p99_ms": p99_ms } } } } } });
        std::fs::write(&profile, text.to_string()).unwrap();
        let path = profile.display().to_string();
        let arguments = ["actions", "export", "look-up", "--profile", &path];
        let document = house.json(&arguments, 0).await;
        assert_eq!(document["config"]["timeoutSeconds"], expected, "{p99_ms}");
        let told = house.told(&arguments, 0).await;
        let remark = format!("the profile has {count} requests of `look-up`");
        assert_eq!(told.contains(&remark), count < 100, "{told}");
    }
    std::fs::write(&profile, "{}").unwrap();
    let path = profile.display().to_string();
    house
        .told(&["actions", "export", "look-up", "--profile", &path], 2)
        .await;
}

#[tokio::test]
async fn publishing_is_in_place_while_the_contract_stays_and_beside_it_when_it_changes() {
    let house = House::new().await;
    let told = house
        .told(&["actions", "publish", "look-up", "--dry-run"], 0)
        .await;
    assert!(told.contains("is not published yet"), "{told}");
    assert_eq!(house.stack.genesys().published_actions().len(), 0);
    assert!(!house.path().join("audit-publish").exists());

    let created = &house
        .json(&["actions", "publish", "look-up", "--json"], 0)
        .await[0];
    assert_eq!(created["step"], "create");
    let id = created["id"].as_str().unwrap().to_owned();
    // Nothing changed: nothing is done, and nothing is recorded.
    let again = &house
        .json(&["actions", "publish", "look-up", "--json"], 0)
        .await[0];
    assert_eq!(
        (&again["step"], &again["id"]),
        (&json!("nothing"), &Value::Null)
    );
    house.told(&["actions", "diff", "look-up"], 0).await;
    assert_eq!(house.records().await.len(), 1);

    // Another timeout and another description: in place, under the same id.
    house.action(
        &LOOK_UP
            .replace("5s", "7s")
            .replace("The caller's number", "In E.164"),
    );
    let told = house.told(&["actions", "diff", "look-up"], 1).await;
    assert!(told.contains("config.timeoutSeconds: 6 -> 8"), "{told}");
    let updated = &house
        .json(&["actions", "publish", "look-up", "--json"], 0)
        .await[0];
    assert_eq!(
        (&updated["step"], &updated["id"]),
        (&json!("update"), &json!(id))
    );

    // A new column: a new version beside the old one, whose flow is listed once.
    house.stack.genesys().use_action(&id, "Main menu", 130);
    house.action(&LOOK_UP.replace("SELECT name,", "SELECT ani, name,"));
    let told = house.told(&["actions", "diff", "look-up"], 1).await;
    assert!(
        told.contains("contract contract.output.ani: nothing -> "),
        "{told}"
    );
    let second = &house
        .json(&["actions", "publish", "look-up", "--json"], 0)
        .await[0];
    assert_eq!(
        (&second["step"], &second["name"]),
        (&json!("new-version"), &json!("look-up@2"))
    );
    assert_ne!(second["id"], json!(id));
    assert_eq!(second["still_used"][0]["name"], "look-up");
    assert_eq!(second["still_used"][0]["by"].as_array().unwrap().len(), 1);
    assert!(house.published("look-up").is_object() && house.published("look-up@2").is_object());

    // A column that goes away breaks flows.
    house.action(&LOOK_UP.replace("SELECT name,", "SELECT ani,"));
    let told = house.told(&["actions", "diff", "look-up"], 7).await;
    assert!(told.contains("breaking contract.output.name"), "{told}");
    assert!(told.contains("look-up@3 comes beside the old"), "{told}");

    let records = house.records().await;
    let operations: Vec<_> = records
        .iter()
        .map(|record| record["params"]["operation"].as_str().unwrap())
        .collect();
    // The last is the old version, which gets the timeout of the file that answers it.
    assert_eq!(operations, ["publish", "publish", "publish", "publish"]);
    for record in &records {
        assert_eq!(
            (&record["caller"], &record["code"]),
            (&json!("cli:tester"), &json!("ok"))
        );
        for hash in ["sql_sha256", "contract_sha256"] {
            assert_eq!(
                record["params"][hash].as_str().unwrap().len(),
                64,
                "{record}"
            );
        }
    }
    assert_eq!(
        records[0]["params"]["sql_sha256"],
        records[1]["params"]["sql_sha256"]
    );
    assert_ne!(
        records[1]["params"]["contract_sha256"],
        records[2]["params"]["contract_sha256"]
    );
    // Relative to the configuration, as every path in it.
    house
        .told(&["audit", "verify", "--directory", "audit-publish"], 0)
        .await;
    std::fs::create_dir(house.path().join("empty")).unwrap();
    for (command, folder) in [
        ("verify", "nothing"),
        ("verify", "empty"),
        ("tail", "nothing"),
    ] {
        let asked = ["audit", command, "--directory", folder];
        let told = house.told(&asked, 6).await;
        assert!(told.contains("there is no audit log in"), "{told}");
        assert!(told.contains("run an action first"), "{told}");
    }
}

#[tokio::test]
async fn an_old_version_is_removed_when_it_is_known_that_no_flow_uses_it() {
    let house = House::new().await;
    let first = &house
        .json(&["actions", "publish", "look-up", "--json"], 0)
        .await[0];
    let id = first["id"].as_str().unwrap().to_owned();
    house.stack.genesys().use_action(&id, "Main menu", 2);
    house.action(&LOOK_UP.replace("SELECT name,", "SELECT ani, name,"));
    house.told(&["actions", "publish", "look-up"], 0).await;

    let told = house.told(&["actions", "retire", "look-up"], 4).await;
    assert!(
        told.contains("Main menu") && told.contains("genesys.in_use"),
        "{told}"
    );
    house.stack.genesys().release_action(&id);
    house.stack.genesys().rebuild_tracking(true);
    let told = house.told(&["actions", "retire", "look-up"], 4).await;
    assert!(told.contains("dependency tracking is incomplete"), "{told}");
    house.stack.genesys().rebuild_tracking(false);
    let told = house
        .told(&["actions", "retire", "look-up", "--dry-run"], 0)
        .await;
    assert!(told.contains("would be removed"), "{told}");
    assert!(house.published("look-up").is_object());
    house.told(&["actions", "retire", "look-up"], 0).await;
    assert!(house.published("look-up").is_null() && house.published("look-up@2").is_object());
    let told = house.told(&["actions", "retire", "look-up"], 0).await;
    assert!(told.contains("there is no old version"), "{told}");

    let records = house.records().await;
    assert_eq!(records.len(), 3);
    assert_eq!(records[2]["params"]["operation"], "retire");
    assert_eq!(records[2]["params"]["data_action_id"], json!(id));
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named() {
    for (permission, command, is_recorded) in [
        ("integrations:action:view", vec!["actions", "list"], false),
        (
            "integrations:action:add",
            vec!["actions", "publish", "look-up"],
            true,
        ),
    ] {
        let house = House::with(|genesys| {
            genesys.permissions.remove(permission);
        })
        .await;
        let told = house.told(&command, 3).await;
        assert!(
            told.contains("genesys.forbidden")
                && told.contains(&format!("has the permission {permission}")),
            "{told}"
        );
        if is_recorded {
            assert_eq!(house.records().await[0]["code"], "genesys.forbidden");
        }
    }
}

#[tokio::test]
async fn an_integration_that_is_unknown_and_a_limit_that_is_waited_out() {
    let house = House::new().await;
    let api = house.stack.genesys().api();
    api.fail_next(
        2,
        Failure::RateLimited {
            retry_after_seconds: 0,
        },
    );
    house.told(&["actions", "publish", "look-up"], 0).await;
    api.fail_next(
        1,
        Failure::RateLimited {
            retry_after_seconds: 3600,
        },
    );
    let told = house.told(&["actions", "list"], 6).await;
    assert!(told.contains("genesys.rate_limited"), "{told}");
    let config = house.path().join("flowlake.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace(
        &GenesysSettings::default().integration_id,
        "00000000-0000-4000-8000-000000000bad",
    );
    std::fs::write(&config, text).unwrap();
    let told = house.told(&["actions", "publish", "look-up"], 4).await;
    assert!(told.contains("genesys.rejected"), "{told}");
}

#[tokio::test]
async fn all_pages_are_listed() {
    let house = House::with(|genesys| genesys.requests_per_minute = 10_000).await;
    let config = house.path().join("flowlake.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace(
        "[publish]",
        "token = { requests_per_minute = 10_000 }\n[publish]",
    );
    std::fs::write(&config, text).unwrap();
    for number in 0..120 {
        house.action(&LOOK_UP.replace("\"look-up\"", &format!("\"look-up-{number}\"")));
    }
    house.told(&["actions", "publish", "--all"], 0).await;
    let listed = house.json(&["actions", "list", "--json"], 0).await;
    assert_eq!(listed["published"].as_array().unwrap().len(), 123);
    assert_eq!(listed["not_published"], json!([]));
    // Without a number of pages, the number of actions says which page is the last. Without either, nothing does.
    let genesys = house.stack.genesys();
    genesys.leave_out_of_lists("pageCount");
    assert_eq!(listed, house.json(&["actions", "list", "--json"], 0).await);
    genesys.leave_out_of_lists("total");
    let told = house.told(&["actions", "list"], 6).await;
    assert!(told.contains("does not say how many pages"), "{told}");
}

/// The rows that the SQL gives, as `flowlake run` prints them.
async fn rows(house: &House, action: &str, params: &[&str]) -> Vec<Value> {
    let rows = house
        .run(&[&["run", action, "--format", "ndjson"], params].concat())
        .await;
    let text = String::from_utf8(rows.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn what_a_flow_sees_is_what_the_sql_gives_here_and_on_the_platform() {
    let mut house = House::new().await;
    house.serve().await;
    house.told(&["actions", "publish", "--all"], 0).await;
    // The CLI's own runs write another log than the server's.
    let config = house.path().join("flowlake.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replace("directory = \"audit\"", "directory = \"audit-cli\""),
    )
    .unwrap();

    for ani in [
        "+12025550142",
        "+12025550143",
        "+12025550144",
        "+12025550199",
    ] {
        let param = format!("ani={ani}");
        let rows = rows(&house, "look-up", &["--param", &param]).await;
        let mut expected = rows.first().map_or_else(|| json!({}), without_nulls);
        expected["found"] = json!(!rows.is_empty());
        expected["row_count"] = json!(rows.len());
        expected["truncated"] = json!(false);
        let simulated = house
            .json(
                &[
                    "actions", "simulate", "look-up", "--param", &param, "--json",
                ],
                0,
            )
            .await;
        assert_eq!(simulated["finalResult"], expected);
        let tested = house
            .json(
                &["actions", "test", "look-up", "--param", &param, "--json"],
                0,
            )
            .await;
        assert_eq!(tested["result"], expected);
    }
    for params in [
        &[][..],
        &["--param", "least=1"],
        &["--param", "least=99"],
        &["--param", "tier=gold"],
        &["--param", "tier=say \"hi\" \\ $x"],
    ] {
        let rows = rows(&house, "all", params).await;
        let expected = json!({
            "rows": rows.iter().map(without_nulls).collect::<Vec<_>>(),
            "row_count": rows.len(), "truncated": false,
        });
        let simulated = house
            .json(
                &[&["actions", "simulate", "all", "--json"], params].concat(),
                0,
            )
            .await;
        assert_eq!(simulated["finalResult"], expected, "{params:?}");
        let tested = house
            .json(&[&["actions", "test", "all", "--json"], params].concat(), 0)
            .await;
        assert_eq!(tested["result"], expected, "{params:?}");
    }
    let rows = rows(&house, "lists", &[]).await;
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    let simulated = house
        .json(&["actions", "simulate", "lists", "--json"], 0)
        .await;
    assert_eq!(
        simulated["finalResult"],
        json!({ "row_count": 3, "truncated": false, "name": column("name"), "tier": column("tier"), "calls": column("calls") })
    );
    let told = house.told(&["actions", "simulate", "all"], 0).await;
    assert!(
        told.contains("  rows.name = [") && told.contains("Bearer ******"),
        "{told}"
    );
    assert!(!told.contains(KEY));
}

#[tokio::test]
async fn the_platforms_headers_are_recorded_and_its_limits_are_held() {
    let mut house = House::new().await;
    house.serve().await;
    house
        .told(
            &[
                "actions",
                "simulate",
                "look-up",
                "--param",
                "ani=+12025550142",
            ],
            0,
        )
        .await;
    let audit = house.path().join("audit").display().to_string();
    let tail = house
        .run(&["audit", "tail", "--directory", &audit, "--output", "jsonl"])
        .await;
    let tail = String::from_utf8(tail.stdout).unwrap();
    let record = record(tail.lines().last().unwrap());
    assert_eq!(
        record["organization"], "00000000-0000-0000-0000-000000000000",
        "{record}"
    );
    assert_eq!(record["correlation_id"].as_str().unwrap().len(), 36);

    // An integer that a flow would round is refused by the server.
    let customers = house.path().join("buckets/lake/exports/customers.csv");
    std::fs::write(
        &customers,
        "ani,name,tier,calls,spent\n+12025550142,Ana,gold,9007199254740993,1\n",
    )
    .unwrap();
    let told = house
        .told(
            &[
                "actions",
                "simulate",
                "look-up",
                "--param",
                "ani=+12025550142",
            ],
            4,
        )
        .await;
    assert!(told.contains("output.unsafe_integer"), "{told}");
    let told = house.told(&["actions", "simulate", "look-up"], 4).await;
    assert!(
        told.contains("the required input \\\"ani\\\" is missing"),
        "{told}"
    );
    house
        .told(&["actions", "simulate", "look-up", "--param", "who=1"], 2)
        .await;
    let told = house
        .told(
            &[
                "actions",
                "simulate",
                "look-up",
                "--param",
                "ani=+12025550142",
                "--dry-run",
            ],
            0,
        )
        .await;
    assert!(
        told.contains("/v1/actions/look-up?envelope=data-action"),
        "{told}"
    );
}

#[tokio::test]
async fn doctor_reads_the_organisations_limits() {
    let house = House::new().await;
    let profile = house.path().join("profile.json");
    let path = profile.display().to_string();
    let limits = async |arguments: &[&str], code: i32| {
        let found = house
            .json(&[&["doctor", "--format", "json"], arguments].concat(), code)
            .await;
        let lines = found["findings"].as_array().unwrap().clone();
        lines
            .into_iter()
            .find(|line| line["subject"] == "limits")
            .unwrap()
    };
    let line = limits(&[], 0).await;
    assert!(
        line["detail"]
            .as_str()
            .unwrap()
            .contains("15 concurrent executions: at 900 a minute"),
        "{line}"
    );
    for (rate, mean_ms, told, code) in [
        (10.0, 120.0, "1.20 of 15 concurrent executions", 0),
        (20.0, 1500.0, "30.00 of 15", 2),
    ] {
        let window = json!({ "requests_per_second": rate, "duration": { "mean_ms": mean_ms } });
        let text = json!({ "actions": {}, "windows": { "last_minute": window, "last_hour": {} } });
        std::fs::write(&profile, text.to_string()).unwrap();
        let line = limits(&["--profile", &path], code).await;
        assert!(line["detail"].as_str().unwrap().contains(told), "{line}");
    }
    let house = House::with(|genesys| {
        genesys.permissions.remove("limits:organization:view");
    })
    .await;
    let told = house.told(&["doctor"], 0).await;
    assert!(told.contains("limits:organization:view"), "{told}");
}

#[tokio::test]
async fn what_is_left_out_is_named() {
    let house = House::new().await;
    house.told(&["actions", "publish", "look-up"], 0).await;
    house.action(&LOOK_UP.replace("[genesys]\n", ""));
    let quiet = LOOK_UP.replace("[genesys]\n", "");
    house.action(&quiet.replace("\"look-up\"", "\"internal\""));
    let told = house.told(&["actions", "validate"], 0).await;
    for name in ["look-up", "internal"] {
        let line = format!("- {name}: left out, since its file has no [genesys] section");
        assert!(told.contains(&line), "{told}");
    }
    // It is live all the same, and nobody would see it drift.
    let told = house.told(&["actions", "diff"], 1).await;
    assert!(
        told.contains("! look-up: live, but its file has no [genesys] section"),
        "{told}"
    );
    assert!(told.contains("- internal: left out, since"), "{told}");
    let found = house.json(&["actions", "diff", "--json"], 1).await;
    let found = found.as_array().unwrap();
    let look_up = found.iter().find(|found| found["action"] == "look-up");
    assert_eq!(look_up.unwrap()["live"], true, "{found:?}");
    // A file that cannot be read may be one of them.
    house.action("name = \"broken\"\n[genesys]\n");
    let told = house.told(&["actions", "validate"], 2).await;
    assert!(told.contains("✗ broken: [config.invalid]"), "{told}");
}
