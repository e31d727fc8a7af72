//! What docs/functions.md says is refused, and what stands beside it and is not.

use flowlake_data_action::{Action, ActionDefinition, ErrorCode};
use serde_json::json;

use crate::support::lake::Lake;

const PAGE: &str = include_str!("../../../../docs/functions.md");
const CALLS: &str = r#"{"id":1,"ani":"1","queue":"Sales","ms":5,"tags":[1,2],"day":"2026-01-05","started":"2026-01-05T10:00:00","ended":"2026-01-05T10:01:00"}
{"id":2,"ani":"2","queue":"Support","ms":7,"tags":[3],"day":"2026-01-06","started":"2026-01-06T10:00:00","ended":"2026-01-06T10:30:00"}
"#;
const TYPES: &str = "types = { day = 'date', started = 'timestamp', ended = 'timestamp' }";

fn calls() -> Lake {
    Lake::new().file("a.ndjson", CALLS).table(TYPES)
}

/// The statements of the page's table of refusals.
fn refused() -> Vec<String> {
    let (_, table) = PAGE.split_once("## What is refused").unwrap_or_default();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let statements = rows.filter_map(|row| row.split_once("` | "));
    statements
        .map(|(sql, _)| sql.replace(" calls", " t"))
        .collect()
}

#[tokio::test]
async fn each_refusal_of_the_page_is_one() {
    let refused = refused();
    assert!(refused.len() > 20, "{}", refused.len());
    let mut wrong = Vec::new();
    let mut runs = Vec::new();
    for sql in &refused {
        // What can be seen in the text alone is reported when the action is loaded.
        let toml = format!(
            "name = \"a\"\n[query]\nsql = \"\"\"{sql}\"\"\"\n[tables.t]\nuri = \"s3://lake/a.ndjson\"\n"
        );
        let parsed = ActionDefinition::parse("a.toml".as_ref(), &toml);
        match parsed.and_then(Action::try_new) {
            Ok(_) => runs.push(sql),
            Err(error) => wrong.extend(not_refused(sql, error.code(), error.message())),
        }
    }
    for (told, sql) in calls().ask(&runs).await.into_iter().zip(&runs) {
        match told {
            Ok(rows) => wrong.push(format!("{sql}: {rows}")),
            Err((code, message)) => wrong.extend(not_refused(sql, code, &message)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn not_refused(sql: &str, code: ErrorCode, message: &str) -> Option<String> {
    let is_refused = [ErrorCode::SqlNotAllowed, ErrorCode::SqlInvalid].contains(&code);
    (!is_refused).then(|| format!("{sql}: {code:?} {message}"))
}

/// What is written instead, and what is harmless of the same kind.
#[tokio::test]
async fn what_is_harmless_is_allowed() {
    calls()
        .answers(&[
            ("SELECT left(queue, 2) AS q FROM t WHERE id = 1", json!([{ "q": "Sa" }])),
            ("SELECT queue, count(*) AS n FROM t GROUP BY ROLLUP (queue) ORDER BY n DESC LIMIT 1", json!([{ "queue": null, "n": 2 }])),
            ("SELECT count(DISTINCT (queue, ms)) AS n FROM t", json!([{ "n": 2 }])),
            ("SELECT array_agg(id) OVER (ORDER BY id ROWS BETWEEN 10 PRECEDING AND CURRENT ROW) AS ids FROM t ORDER BY id", json!([{ "ids": [1] }, { "ids": [1, 2] }])),
            ("SELECT sum(id) OVER (ORDER BY queue ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM t ORDER BY id", json!([{ "s": 1 }, { "s": 3 }])),
            ("SELECT id FROM (SELECT id, unnest(tags) AS x FROM t) WHERE x > 2", json!([{ "id": 2 }])),
            ("SELECT id FROM t WHERE ms <= (SELECT min(ms) FROM t)", json!([{ "id": 1 }])),
            ("SELECT id, max(ms) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS m FROM t ORDER BY id", json!([{ "id": 1, "m": null }, { "id": 2, "m": 5 }])),
            ("SELECT id, (SELECT max(b.ms) FROM t b WHERE b.id = a.id) AS m FROM t a ORDER BY id LIMIT 1", json!([{ "id": 1, "m": 5 }])),
            ("SELECT id FROM t WHERE queue ~ '^Sal'", json!([{ "id": 1 }])),
            ("SELECT a.id FROM t a JOIN (SELECT * FROM t LIMIT 10) b ON a.id < b.id", json!([{ "id": 1 }])),
            ("SELECT sum(value) AS n FROM generate_series(1, 9)", json!([{ "n": 45 }])),
            ("SELECT id FROM t WHERE arrow_cast(arrow_cast('x', 'Binary'), 'FixedSizeBinary(1)') IS NOT NULL ORDER BY id LIMIT 1", json!([{ "id": 1 }])),
            ("SELECT id FROM t WHERE ended - started > INTERVAL '10 minutes'", json!([{ "id": 2 }])),
            ("SELECT id FROM t ORDER BY ended - started DESC LIMIT 1", json!([{ "id": 2 }])),
            ("SELECT min(ended - started) AS least, max(ended - started) AS most FROM t", json!([{ "least": "PT60S", "most": "PT1800S" }])),
        ])
        .await;
}
