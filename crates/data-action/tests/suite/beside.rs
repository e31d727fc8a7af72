//! Texts beside numbers, in whatever holds them; rows of values; dates and spans of time as text. Cold and from memory.

use serde_json::json;

use crate::support::lake::Lake;

/// `ani` is text whose zero a number would lose.
const CALLS: &str = r#"{"id":1,"ani":"0301","num":301,"tags":["0301"],"nums":[301],"o":{"ani":"0301"},"p":{"ani":301},"at":"2026-01-05T10:00:00"}
{"id":2,"ani":"7","num":7,"tags":["7"],"nums":[7],"o":{"ani":"7"},"p":{"ani":7},"at":"2026-01-05T10:00:00.500"}
"#;

fn calls() -> Lake {
    Lake::new()
        .file("a.ndjson", CALLS)
        .table("types = { at = 'timestamp' }")
}

#[tokio::test]
async fn a_text_beside_a_number_is_refused_wherever_both_are() {
    let queries = [
        "SELECT id FROM t WHERE (ani, id) = (301, 1)",
        "SELECT id FROM t WHERE (id, ani) <> (1, 301)",
        "SELECT id FROM t WHERE (ani, id) < (301, 1)",
        "SELECT id FROM t WHERE (ani, id) IN ((301, 1))",
        "SELECT id FROM t WHERE (ani, id) NOT IN ((301, 1), (7, 2))",
        "SELECT id FROM t WHERE (ani, id) IS DISTINCT FROM (301, 1)",
        "SELECT id FROM t WHERE CASE (ani, id) WHEN (301, 1) THEN true END",
        "SELECT a.id FROM t a JOIN t b ON (a.ani, a.id) = (b.num, b.id)",
        "SELECT a.id FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE b.num = a.ani)",
        "SELECT struct(ani) = struct(301) AS v FROM t",
        "SELECT named_struct('a', ani) = named_struct('a', 301) AS v FROM t",
        "SELECT o = p AS v FROM t",
        "SELECT tags = nums AS v FROM t",
        "SELECT [ani] = [301] AS v FROM t",
        "SELECT tags @> nums AS v FROM t",
        "SELECT 301 = ANY(tags) AS v FROM t",
        "SELECT nullif(tags, nums) AS v FROM t",
        "SELECT greatest([ani], [301]) AS v FROM t",
        "SELECT coalesce(NULL, ani, 301) AS v FROM t",
        "SELECT array_has(tags, 301) AS v FROM t",
        "SELECT array_has([ani], num) AS v FROM t",
        "SELECT array_has_all(tags, [301]) AS v FROM t",
        "SELECT array_has_any(nums, [ani]) AS v FROM t",
        "SELECT array_position(tags, 301) AS v FROM t",
        "SELECT array_positions(tags, 301) AS v FROM t",
        "SELECT array_remove(tags, 301) AS v FROM t",
        "SELECT array_remove_all(tags, 301) AS v FROM t",
        "SELECT array_remove_n(tags, 301, 1) AS v FROM t",
        "SELECT array_replace(tags, 301, 5) AS v FROM t",
        "SELECT array_except(tags, nums) AS v FROM t",
        "SELECT array_intersect(tags, nums) AS v FROM t",
        "SELECT array_union(tags, nums) AS v FROM t",
        "SELECT array_append(tags, 301) AS v FROM t",
        "SELECT array_prepend(301, tags) AS v FROM t",
        "SELECT array_concat(nums, tags) AS v FROM t",
        "SELECT nums || tags AS v FROM t",
        "SELECT [301, ani] AS v FROM t",
        "SELECT make_array(ani, NULL, num) AS v FROM t",
    ];
    let told = calls().ask(&queries).await;
    for (told, sql) in told.iter().zip(queries) {
        let (code, message) = told.as_ref().expect_err(sql);
        assert_eq!(code.as_str(), "sql.invalid", "{sql}: {message}");
        let names_it = ["`ani`", "`tags`", "`o`"];
        let names_it = names_it.iter().any(|name| message.contains(name));
        assert!(names_it && message.contains("number"), "{sql}: {message}");
    }
}

#[tokio::test]
async fn a_text_beside_texts_and_a_number_beside_numbers_are_not() {
    let ids = |ids: &[i64]| json!(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
    calls()
        .answers(&[
            ("SELECT id FROM t WHERE (ani, id) = ('0301', 1)", ids(&[1])),
            ("SELECT id FROM t WHERE (ani, id) <> ('0301', 1)", ids(&[2])),
            ("SELECT id FROM t WHERE (num, id) IN ((301, 1), (7, 1))", ids(&[1])),
            ("SELECT id FROM t WHERE (num, id) NOT IN ((301, 1), (7, 1))", ids(&[2])),
            ("SELECT id FROM t WHERE (num, id) < (301, 1)", ids(&[2])),
            ("SELECT id FROM t WHERE (num, id) <= (301, 1) ORDER BY id", ids(&[1, 2])),
            ("SELECT id FROM t WHERE (num, id) > (7, 1) ORDER BY id", ids(&[1, 2])),
            // As in other databases, nothing equals a null.
            ("SELECT (id, NULL) = (id, NULL) AS v FROM t WHERE id = 1", json!([{ "v": null }])),
            ("SELECT (id, NULL) = (id + 1, NULL) AS v FROM t WHERE id = 1", json!([{ "v": false }])),
            ("SELECT (id, NULL) IS NOT DISTINCT FROM (id, NULL) AS v FROM t WHERE id = 1", json!([{ "v": true }])),
            // The rules for moments and decimals hold in rows too.
            ("SELECT id FROM t WHERE (at, id) = (TIMESTAMP '2026-01-05 10:00:00.5', 2)", ids(&[2])),
            ("SELECT id FROM t WHERE (CAST(98765.43 AS DECIMAL(10, 2)), id) = (98765.43, 1)", ids(&[1])),
            ("SELECT a.id FROM t a JOIN t b ON (a.num, a.id) = (b.num, b.id) ORDER BY a.id", ids(&[1, 2])),
            ("SELECT id FROM t WHERE array_has(tags, '0301')", ids(&[1])),
            ("SELECT id FROM t WHERE array_has(nums, 301)", ids(&[1])),
            ("SELECT id FROM t WHERE 301 = ANY(nums)", ids(&[1])),
            ("SELECT [ani, CAST(num AS VARCHAR)] AS v FROM t WHERE id = 1", json!([{ "v": ["0301", "301"] }])),
            ("SELECT CASE id WHEN 1 THEN ani ELSE CAST(num AS VARCHAR) END AS v FROM t ORDER BY id", json!([{ "v": "0301" }, { "v": "7" }])),
            ("SELECT count(DISTINCT (ani, id)) AS v FROM t", json!([{ "v": 2 }])),
        ])
        .await;
}

/// Arrow writes the text of an error, or a placeholder, for what is beyond the calendar in a list and in a span.
#[tokio::test]
async fn what_has_no_text_is_an_error() {
    let days = "arrow_cast(CAST(1999999999 + id AS INT), 'Date32')";
    let span = "arrow_cast(9223372036854775806 + id, 'Duration(Second)')";
    let queries = [
        format!("SELECT CAST({days} AS VARCHAR) AS v FROM t WHERE id = 1"),
        format!("SELECT CAST([{days}] AS VARCHAR) AS v FROM t WHERE id = 1"),
        format!("SELECT arrow_cast([{days}], 'Utf8') AS v FROM t WHERE id = 1"),
        format!("SELECT concat('x', [{days}]) AS v FROM t WHERE id = 1"),
        format!("SELECT concat_ws('x', [{days}], 'y') AS v FROM t WHERE id = 1"),
        format!("SELECT length([{days}]) AS v FROM t WHERE id = 1"),
        format!("SELECT array_to_string([{days}], ',') AS v FROM t WHERE id = 1"),
        format!("SELECT to_char({days}, '%Y') AS v FROM t WHERE id = 1"),
        format!("SELECT {span} AS v FROM t WHERE id = 1"),
        format!("SELECT [{span}] AS v FROM t WHERE id = 1"),
        format!("SELECT CAST({span} AS VARCHAR) AS v FROM t WHERE id = 1"),
        format!("SELECT 'x' || {span} AS v FROM t WHERE id = 1"),
        format!("SELECT concat('x', {span}) AS v FROM t WHERE id = 1"),
        format!("SELECT array_to_string([{span}], ',') AS v FROM t WHERE id = 1"),
        format!("SELECT to_char({span}, 'pretty') AS v FROM t WHERE id = 1"),
        format!("SELECT string_agg({span}, ',') AS v FROM t WHERE id = 1"),
    ];
    let told = calls().ask(&queries).await;
    for (told, sql) in told.iter().zip(&queries) {
        let (code, message) = told.as_ref().expect_err(sql);
        assert_eq!(code.as_str(), "sql.not_computable", "{sql}: {message}");
        assert!(message.contains("beyond"), "{sql}: {message}");
    }
    let nothing = json!([{ "v": null }]);
    let null = [
        format!("SELECT TRY_CAST({days} AS VARCHAR) AS v FROM t WHERE id = 1"),
        format!("SELECT TRY_CAST([{days}] AS VARCHAR) AS v FROM t WHERE id = 1"),
        format!("SELECT TRY_CAST({span} AS VARCHAR) AS v FROM t WHERE id = 1"),
    ];
    let mut expected: Vec<_> = null
        .iter()
        .map(|sql| (sql.as_str(), nothing.clone()))
        .collect();
    let kept = "SELECT CAST([CAST(at AS DATE)] AS VARCHAR) AS v, concat('x', CAST(at AS DATE)) AS w, TRY_CAST(at AS VARCHAR) AS x FROM t WHERE id = 1";
    expected.push((
        kept,
        json!([{ "v": "[2026-01-05]", "w": "x2026-01-05", "x": "2026-01-05T10:00:00" }]),
    ));
    calls().answers(&expected).await;
}

/// No message of the engine's own, and none about a function that is not to blame.
#[tokio::test]
async fn messages_say_what_is_wrong_in_an_analysts_words() {
    let cases = [
        (
            "SELECT named_struct('a', 1).b AS v FROM t",
            "taken by its name in brackets",
        ),
        (
            "SELECT DATE '2026-01-05' + 1000000000 AS v FROM t",
            "beyond what the calendar holds",
        ),
        (
            "SELECT DATE '2026-01-05' - 1000000000 AS v FROM t",
            "beyond what the calendar holds",
        ),
        (
            "SELECT CAST(1.5 AS DECIMAL(2, 5)) AS v FROM t",
            "there is no DECIMAL(2, 5)",
        ),
        (
            "SELECT CAST('x' AS DECIMAL(10, 2)) AS v FROM t",
            "`'x'` is no decimal",
        ),
        (
            "SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN -1 PRECEDING AND CURRENT ROW) AS v FROM t",
            "a frame counts rows from 0 on",
        ),
        (
            "SELECT lag(id, 1, num) OVER (ORDER BY id) AS v FROM t",
            "takes constants behind its first argument",
        ),
        (
            "SELECT count(*) AS v FROM t WHERE arrow_cast(id + 253402214400, 'Timestamp(Second, None)') = arrow_cast(id, 'Timestamp(Nanosecond, None)')",
            "beyond the years 1677 to 2262",
        ),
        (
            "SELECT id FROM t WHERE arrow_cast(id, 'Timestamp(Nanosecond, None)') = arrow_cast(253402214400, 'Timestamp(Second, None)')",
            "beyond the years 1677 to 2262",
        ),
        ("SELECT FROM t", "the answer has no column"),
        (
            "SELECT id FROM t WHERE ((id, num), 1) IN (((1, 301), 1))",
            "which hold no further rows",
        ),
        (
            "SELECT a.id FROM t a WHERE EXISTS (SELECT 1 FROM t b WHERE b.num = a.ani)",
            "`ani` is text",
        ),
    ];
    let queries: Vec<_> = cases.iter().map(|(sql, _)| sql).collect();
    let told = calls().ask(&queries).await;
    for (told, (sql, says)) in told.iter().zip(cases) {
        let (_, message) = told.as_ref().expect_err(sql);
        assert!(message.contains(says), "{sql}: {message}");
        for word in [
            "Span(",
            "Compute error",
            "precision =",
            "(38, 10)",
            "DISTINCT",
            "outer_ref",
        ] {
            assert!(!message.contains(word), "{sql}: {message}");
        }
    }
}
