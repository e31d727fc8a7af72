//! SQL as analysts write it: it works, cold and from memory.

use flowlake_data_action::ErrorCode;
use serde_json::json;

use crate::support::lake::Lake;

const CALLS: &str = "id,user,text,started,ms
1,ann,05.01.2026 10:00:00,2026-01-05T10:00:00,100
2,bo,06.01.2026 11:30:00,2026-01-06T11:30:00,200
3,ann,07.01.2026 12:00:00,2026-01-07T12:00:00,300
";

#[tokio::test]
async fn common_queries_give_rows() {
    Lake::new()
        .file("a.csv", CALLS)
        .answers(&[
            ("SELECT user FROM t WHERE id = 2", json!([{ "user": "bo" }])),
            ("SELECT user, count(*) AS n FROM t GROUP BY user ORDER BY user", json!([{ "user": "ann", "n": 2 }, { "user": "bo", "n": 1 }])),
            ("SELECT t.user FROM t WHERE t.user = 'bo'", json!([{ "user": "bo" }])),
            ("SELECT a.id FROM t a WHERE ms > (SELECT avg(ms) FROM t b WHERE b.user = a.user)", json!([{ "id": 3 }])),
            ("SELECT id FROM t WHERE id = ANY (SELECT id FROM t WHERE id > 2)", json!([{ "id": 3 }])),
            ("SELECT id FROM t WHERE id = SOME (SELECT id FROM t WHERE id > 2)", json!([{ "id": 3 }])),
            ("SELECT id FROM t WHERE id IN (SELECT id FROM t WHERE id > 2)", json!([{ "id": 3 }])),
            ("SELECT id FROM t WHERE id <> ALL (SELECT id FROM t WHERE id > 2) ORDER BY id", json!([{ "id": 1 }, { "id": 2 }])),
            ("SELECT id FROM t WHERE NOT id = ANY (SELECT id FROM t WHERE id > 2) ORDER BY id", json!([{ "id": 1 }, { "id": 2 }])),
            ("SELECT id FROM t WHERE EXISTS (SELECT id FROM t s WHERE s.id = t.id AND id > 2)", json!([{ "id": 3 }])),
            ("SELECT MAP {1: 'a', 2: 'b'} AS v FROM t WHERE id = 1", json!([{ "v": { "1": "a", "2": "b" } }])),
            ("SELECT make_array(MAP {1.5: id}) AS v FROM t WHERE id = 1", json!([{ "v": [{ "1.5": 1 }] }])),
            ("SELECT named_struct('m', MAP {CAST(started AS DATE): id}) AS v FROM t WHERE id = 1", json!([{ "v": { "m": { "2026-01-05": 1 } } }])),
            ("SELECT a.id FROM t a JOIN t b ON named_struct('x', a.id) = named_struct('x', b.id) WHERE b.id = 2", json!([{ "id": 2 }])),
            ("SELECT a.id FROM t a JOIN t b ON make_array(a.id) = make_array(b.id) WHERE b.id = 2", json!([{ "id": 2 }])),
            ("SELECT * EXCLUDE (text, started, user) FROM t WHERE id = 1", json!([{ "id": 1, "ms": 100 }])),
            ("SELECT * EXCEPT (text, started, user) FROM t WHERE id = 1", json!([{ "id": 1, "ms": 100 }])),
            ("SELECT id FROM public.t WHERE id = 1", json!([{ "id": 1 }])),
            ("SELECT count(*) AS n FROM t WHERE started > now() - INTERVAL '7 days' OR started < now()", json!([{ "n": 3 }])),
            ("SELECT count(*) AS n FROM (SELECT DISTINCT user, ms FROM t)", json!([{ "n": 3 }])),
            (
                "SELECT count(*) AS n FROM (SELECT unnest(generate_series(TIMESTAMP '2026-01-01', TIMESTAMP '2026-12-31', INTERVAL '15 minutes')) AS slot)",
                json!([{ "n": 34_945 }]),
            ),
            (
                "SELECT d.value AS day, count(t.id) AS n FROM generate_series(DATE '2026-01-05', DATE '2026-01-07', INTERVAL '1 day') AS d JOIN t ON t.started >= d.value AND t.started < d.value + INTERVAL '1 day' GROUP BY d.value ORDER BY 1",
                json!([{ "day": "2026-01-05T00:00:00", "n": 1 }, { "day": "2026-01-06T00:00:00", "n": 1 }, { "day": "2026-01-07T00:00:00", "n": 1 }]),
            ),
            (
                "SELECT id, s.name FROM t JOIN (VALUES (0, 150, 'short'), (150, 999, 'long')) AS s(low, high, name) ON t.ms >= s.low AND t.ms < s.high ORDER BY id",
                json!([{ "id": 1, "name": "short" }, { "id": 2, "name": "long" }, { "id": 3, "name": "long" }]),
            ),
            ("SELECT NULL AS x FROM t LIMIT 1", json!([{ "x": null }])),
        ])
        .await;
}

/// A table declared with capitals.
#[tokio::test]
async fn tables_with_capitals_are_named_in_double_quotes() {
    use crate::support::House;
    let action = |name: &str, sql: &str| {
        format!(
            "name = \"{name}\"\n[tables.Calls]\nuri = \"s3://lake/exports/calls.csv\"\n[query]\nsql = '''{sql}'''\n"
        )
    };
    let actions = [
        action("quoted", "SELECT id FROM \"Calls\" WHERE id = 1"),
        action("bare", "SELECT id FROM Calls WHERE id = 1"),
    ];
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    let allow = json!([
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] },
    ]);
    let files = [("exports/calls.csv", CALLS)];
    let house = House::furnished(&files, allow, "", &actions, |_| {}).await;
    let quoted = house.run("quoted", json!({})).await.unwrap();
    assert_eq!(quoted["data"], json!([{ "id": 1 }]));
    let (_, message) = house.run("bare", json!({})).await.unwrap_err();
    assert_eq!(
        message,
        "there is no table `calls`; a name with capitals stands in double quotes: \"Calls\""
    );
}

/// No format writes the text of an error where a value cannot be written.
#[tokio::test]
async fn dates_beyond_the_calendar_are_errors() {
    let values = [
        "arrow_cast(2000000000, 'Date32')",
        "arrow_cast(-2000000000, 'Date32')",
        "arrow_cast(9223372036854775807, 'Date64')",
        "arrow_cast(9223372036854775807, 'Timestamp(s)')",
        "arrow_cast(9223372036854775807, 'Timestamp(ms)')",
        "arrow_cast(-9223372036854775808, 'Timestamp(us, \"UTC\")')",
        "arrow_cast(-1, 'Time64(ns)')",
        "arrow_cast(arrow_cast(2000000000, 'Int32'), 'Time32(s)')",
        "make_array(arrow_cast(2000000000, 'Date32'))",
        "named_struct('a', arrow_cast(2000000000, 'Date32'))",
    ];
    let queries: Vec<String> = values
        .iter()
        .map(|value| format!("SELECT {value} AS v FROM t"))
        .collect();
    let told = Lake::new().file("a.csv", CALLS).ask(&queries).await;
    for (told, sql) in told.iter().zip(&queries) {
        let (code, message) = told.as_ref().expect_err(sql);
        assert_eq!(code.as_str(), "sql.not_computable", "{sql}: {message}");
    }
}

/// A text in double quotes is a name for the engine; it is often a telephone number.
#[tokio::test]
async fn text_in_double_quotes_is_in_no_message() {
    let lake = Lake::new().file("a.csv", "id,phone\n1,+12025550142\n");
    let queries = [
        r#"SELECT id FROM t WHERE phone = "+12025550142""#,
        r#"SELECT id FROM t WHERE phone IN ("+12025550142", "x")"#,
        r#"SELECT id FROM t WHERE phone LIKE "+12025550142%""#,
        r#"SELECT "+12025550142" AS v FROM t"#,
        r#"SELECT count(*) AS n FROM t GROUP BY "+12025550142""#,
        r#"SELECT count(*) AS n FROM t HAVING max(phone) = "+12025550142""#,
        r#"SELECT id FROM t ORDER BY "+12025550142""#,
        r#"SELECT a.id FROM t a JOIN t b ON a.phone = b."+12025550142""#,
        r#"SELECT id FROM t WHERE phone = "phone 12025550142""#,
    ];
    for (told, sql) in lake.ask(&queries).await.into_iter().zip(queries) {
        let (code, message) = told.expect_err(sql);
        assert_eq!(code, ErrorCode::SqlUnknownColumn, "{sql}: {message}");
        assert!(!message.contains("2025550142"), "{sql}: {message}");
        assert!(message.contains("at line 1, column "), "{sql}: {message}");
    }
    let told = lake.ask(&queries[..1]).await;
    assert_eq!(
        told[0].as_ref().unwrap_err().1,
        "there is no column of the name in double quotes at line 1, column 32; text stands in single quotes: 'text' (columns: id, phone)"
    );
}

#[tokio::test]
async fn columns_that_differ_in_capitals_alone_are_never_mistaken() {
    let lake = Lake::new().file("a.csv", "A,a,B,id\nupper,lower,b,1\n");
    let told = lake
        .ask(&[
            "SELECT A AS v FROM t",
            "SELECT t.A AS v FROM t",
            "SELECT id AS v FROM t WHERE A = 'lower'",
        ])
        .await;
    for told in told {
        let (code, message) = told.unwrap_err();
        assert_eq!(code, ErrorCode::SqlInvalid, "{message}");
        assert_eq!(
            message,
            r#"`A` can be one of "A", "a": write the one that is meant in double quotes"#
        );
    }
    lake.answers(&[
        (r#"SELECT "A" AS v FROM t"#, json!([{ "v": "upper" }])),
        (r#"SELECT "a" AS v FROM t"#, json!([{ "v": "lower" }])),
        ("SELECT a AS v FROM t", json!([{ "v": "lower" }])),
        ("SELECT ID AS v FROM t", json!([{ "v": 1 }])),
    ])
    .await;
}

/// Errors say what a file holds in the words of docs/tables.md, not in those of the engine.
#[tokio::test]
async fn types_that_do_not_fit_are_reported_in_the_words_of_the_docs() {
    for lines in [
        r#"{"v":["a"]} {"v":"x"}"#,
        r#"{"v":["a"]} {"v":[["a"]]}"#,
        r#"{"v":{"a":1}} {"v":[1]}"#,
        r#"{"v":1} {"v":[1]}"#,
        r#"{"v":1.5} {"v":{"a":1}}"#,
        r#"{"v":[{"a":1}]} {"v":[{"a":"x"}]}"#,
        r#"{"v":true} {"v":"x"}"#,
    ] {
        let lake = Lake::new()
            .file("a.ndjson", lines.replace("} {", "}\n{"))
            .table("infer_rows = 1");
        for told in lake.ask(&["SELECT v FROM t"]).await {
            let (code, message) = told.expect_err(lines);
            assert_eq!(code, ErrorCode::DataMalformed, "{lines}: {message}");
            assert!(message.contains("line 2"), "{lines}: {message}");
            for word in ["Utf8", "Int64", "Float64", "Boolean", "List(", "Struct"] {
                assert!(!message.contains(word), "{lines}: {message}");
            }
        }
    }
}
