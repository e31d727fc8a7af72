//! Values of a request that the SQL cannot compute with: the caller hears which, and the action is not called broken.

use serde_json::{Value, json};

use crate::support::{KEY, Reply, Setting, post};

/// An action over the customers with this SQL, whose parameters are text or of the type that their names say.
fn action(name: &str, is_hot: bool, sql: &str) -> String {
    let hot = if is_hot { "hot = true\n" } else { "" };
    let params: String = [
        ("account", "string"),
        ("day", "string"),
        ("unit", "string"),
        ("count", "integer"),
    ]
    .into_iter()
    .filter(|(name, _)| sql.contains(&format!("${name}")))
    .map(|(name, kind)| format!("[params.{name}]\ntype = \"{kind}\"\n"))
    .collect();
    format!(
        "name = \"{name}\"\n{hot}[tables.customers]\nuri = \"s3://lake/exports/customers.csv\"\n{params}[query]\nsql = \"{sql}\"\n"
    )
}

async fn ask(setting: &Setting, name: &str, params: &Value) -> Reply {
    let headers = format!("Authorization: Bearer {KEY}\r\n");
    let path = format!("/v1/actions/{name}");
    let request = post(&path, &headers, &params.to_string());
    setting.send(request).await.unwrap()
}

const BAD: &str = "no-such-thing-7f";

#[tokio::test]
async fn a_value_that_cannot_be_computed_with_is_the_callers() {
    let setting = Setting::start(|_| {}).await;
    let questions = [
        (
            "SELECT CAST($account AS BIGINT) AS n FROM customers",
            json!({ "account": BAD }),
            json!({ "account": "12" }),
            "the parameter `account` is no integer",
        ),
        (
            "SELECT name FROM customers WHERE ani = CAST($account AS BIGINT)",
            json!({ "account": BAD }),
            json!({ "account": "100" }),
            "the parameter `account` is no integer",
        ),
        // Computed for the rows alone that the first condition leaves.
        (
            "SELECT name FROM customers WHERE name = 'Bo' AND ani > CAST($account AS BIGINT)",
            json!({ "account": BAD }),
            json!({ "account": "100" }),
            "the parameter `account` is no integer",
        ),
        (
            "SELECT CASE WHEN name = 'Bo' THEN CAST($account AS DATE) END AS day FROM customers",
            json!({ "account": BAD }),
            json!({ "account": "2026-01-31" }),
            "the parameter `account` is no date",
        ),
        (
            "SELECT to_date($day) AS day FROM customers",
            json!({ "day": BAD }),
            json!({ "day": "2026-01-31" }),
            "the parameter `day`",
        ),
        (
            "SELECT date_trunc($unit, now()) AS day FROM customers",
            json!({ "unit": BAD }),
            json!({ "unit": "day" }),
            "the parameter `unit`",
        ),
        (
            "SELECT ani / $count AS part FROM customers",
            json!({ "count": 0 }),
            json!({ "count": 2 }),
            "the parameter `count` is 0",
        ),
        (
            "SELECT CAST($account AS BIGINT) + CAST($day AS BIGINT) AS n FROM customers",
            json!({ "account": "12", "day": BAD }),
            json!({ "account": "12", "day": "13" }),
            "the parameter `day` is no integer",
        ),
    ];
    for (number, (sql, ..)) in questions.iter().enumerate() {
        for is_hot in [false, true] {
            let name = format!("{}-{number}", if is_hot { "hot" } else { "cold" });
            setting.write_action(&name, &action(&name, is_hot, sql));
        }
    }
    setting.reload(|_| {}).unwrap();
    for (number, (sql, bad, good, part)) in questions.iter().enumerate() {
        for temperature in ["cold", "hot"] {
            let name = format!("{temperature}-{number}");
            let refused = ask(&setting, &name, bad).await;
            assert_eq!(refused.status, 400, "{name} {sql}: {refused:?}");
            let error = &refused.json()["error"];
            assert_eq!(error["code"], "param.invalid", "{name} {sql}: {refused:?}");
            let message = error["message"].as_str().unwrap();
            assert!(message.contains(part), "{name} {sql}: {message}");
            assert!(!refused.body.contains(BAD), "{name} {sql}: {refused:?}");
            let answer = ask(&setting, &name, good).await;
            assert_eq!(answer.status, 200, "{name} {sql}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn what_no_value_can_make_right_stays_a_fault_of_the_sql() {
    let setting = Setting::start(|_| {}).await;
    for (name, sql) in [
        (
            "constant",
            "SELECT CAST('x' AS BIGINT) AS n FROM customers WHERE name <> $account",
        ),
        (
            "column",
            "SELECT CAST(name AS BIGINT) AS n FROM customers WHERE name <> $account",
        ),
        // The cast of the value is not come to.
        (
            "guarded",
            "SELECT CAST(name AS BIGINT) AS n, CASE WHEN $account LIKE '4%' THEN CAST($account AS BIGINT) END AS a FROM customers",
        ),
    ] {
        setting.write_action(name, &action(name, false, sql));
        setting.reload(|_| {}).unwrap();
        let refused = ask(&setting, name, &json!({ "account": BAD })).await;
        assert_eq!(refused.status, 422, "{sql}: {refused:?}");
    }
}

#[tokio::test]
async fn a_value_that_no_parameter_takes_is_reported_in_its_own_words() {
    let setting = Setting::start(|_| {}).await;
    let headers = format!("Authorization: Bearer {KEY}\r\n");
    for (action, body, part) in [
        (
            "look-up",
            r#"{"ani": "1\u00002"}"#,
            "the parameter `ani` holds the character U+0000",
        ),
        (
            "look-up",
            r#"{"ani": null}"#,
            "the parameter `ani` is null and has no default",
        ),
        (
            "echo",
            r#"{"number": 1e400}"#,
            "a number is too large, at line 1, column",
        ),
        ("look-up", "[]", "not a JSON object, at line 1, column 1"),
    ] {
        let request = post(&format!("/v1/actions/{action}"), &headers, body);
        let reply = setting.send(request).await.unwrap();
        assert_eq!(reply.status, 400, "{body}: {reply:?}");
        let message = reply.json()["error"]["message"].to_string();
        assert!(message.contains(part), "{body}: {message}");
    }
}
