//! Text of moments beside dates and timestamps, through an action's file: nothing of it is cut off without a word.

use crate::types::{Case, Expected, case, check};

const ROWS: &str = r#"{"n":1,"s":"2026-01-05 10:00:00.1234567","ts":"2026-01-05T10:00:00.123456","d":"2026-01-05"}
{"n":2,"s":"2026-01-05 00:00:00","ts":"2026-01-05T10:00:00.123456","d":"2026-01-05"}
{"n":3,"s":"2026-01-05","ts":"2026-01-05T10:00:00.123456","d":"9999-12-31"}
"#;
const TINY: &str =
    r#"{"n":4,"s":"2026-01-05T00:00:00.0000001","ts":"2026-01-05T00:00:00","d":"2026-01-05"}"#;
const DAY: &str = r#"{"n":5,"s":"2026-01-05","ts":"2026-01-05T00:00:00","d":"9999-12-31"}"#;
const DAY_IS_CUT: &str = "a text with a time of day stands beside dates";
const SECOND_IS_CUT: &str = "a text has more digits of a second";

fn asked(content: &str, sql: &'static str, expected: Expected) -> Case {
    let types = "types = { ts = \"timestamp\", d = \"date\" }";
    case("t.ndjson", content, types, sql, expected)
}

fn refused(sql: &'static str, why: &str) -> Case {
    asked(ROWS, sql, Expected::Error(why.to_owned()))
}

fn answered(sql: &'static str, rows: &'static str) -> Case {
    asked(ROWS, sql, Expected::Rows(rows))
}

#[tokio::test]
async fn text_beside_dates_keeps_its_time_of_day_or_is_refused() {
    let mut cases = vec![
        answered("SELECT n FROM t WHERE s > d", r#"[{"n":1}]"#),
        answered("SELECT n FROM t WHERE s = d", r#"[{"n":2}]"#),
        answered(
            "SELECT n FROM t WHERE s >= DATE '2026-01-05' AND s < DATE '2026-01-06' ORDER BY n",
            r#"[{"n":1},{"n":2},{"n":3}]"#,
        ),
        answered(
            "SELECT n, CASE WHEN n > 1 THEN d ELSE CAST(s AS DATE) END AS v FROM t WHERE n < 3 ORDER BY n",
            r#"[{"n":1,"v":"2026-01-05"},{"n":2,"v":"2026-01-05"}]"#,
        ),
        answered(
            "SELECT n, CASE WHEN n > 1 THEN d ELSE '2026-01-07' END AS v FROM t ORDER BY n",
            r#"[{"n":1,"v":"2026-01-07"},{"n":2,"v":"2026-01-05"},{"n":3,"v":"9999-12-31"}]"#,
        ),
        answered(
            "SELECT CAST('2026-01-05 10:00:00' AS DATE) AS v FROM t WHERE n = 1",
            r#"[{"v":"2026-01-05"}]"#,
        ),
        answered(
            "SELECT n FROM t WHERE n > 1 AND CASE s WHEN d THEN true ELSE false END",
            r#"[{"n":2}]"#,
        ),
        asked(
            DAY,
            "SELECT n FROM t WHERE least(s, d) = DATE '2026-01-05'",
            Expected::Rows(r#"[{"n":5}]"#),
        ),
        answered(
            "SELECT d AS v FROM t WHERE n = 1 UNION ALL SELECT s FROM t WHERE n = 2",
            r#"[{"v":"2026-01-05"},{"v":"2026-01-05"}]"#,
        ),
        answered(
            "SELECT lag(d, 1, '2026-01-04') OVER (ORDER BY n) AS v FROM t ORDER BY n LIMIT 1",
            r#"[{"v":"2026-01-04"}]"#,
        ),
    ];
    for sql in [
        "SELECT CASE WHEN n > 1 THEN d ELSE s END AS v FROM t",
        "SELECT CASE WHEN n > 1 THEN d ELSE '2026-01-05 10:00:00' END AS v FROM t",
        "SELECT greatest(d, '2026-01-05 10:00:00') AS v FROM t",
        "SELECT least(s, d) AS v FROM t",
        "SELECT nvl2(d, s, d) AS v FROM t",
        "SELECT d AS v FROM t UNION ALL SELECT s FROM t",
        "SELECT s AS v FROM t UNION SELECT d FROM t",
        "SELECT lag(d, 1, '2026-01-05 10:00:00') OVER (ORDER BY n) AS v FROM t",
        "SELECT n FROM t WHERE d IN (SELECT s FROM t)",
    ] {
        cases.push(refused(sql, DAY_IS_CUT));
    }
    for sql in [
        "SELECT n FROM t WHERE coalesce(d, s) = d",
        "SELECT [s, d] AS v FROM t",
    ] {
        cases.push(refused(sql, "does not take"));
    }
    for sql in [
        "SELECT n FROM t WHERE s = d",
        "SELECT n FROM t WHERE d = (SELECT s FROM t)",
        "SELECT n FROM t WHERE s IN (SELECT d FROM t)",
        "SELECT n FROM t WHERE nullif(d, s) IS NULL",
    ] {
        cases.push(asked(TINY, sql, Expected::Error(SECOND_IS_CUT.to_owned())));
    }
    check(cases).await;
}

#[tokio::test]
async fn text_beside_moments_keeps_its_digits_or_is_refused() {
    const NINE: &str = "a moment has at most nine digits of a second";
    let mut cases = vec![
        answered("SELECT n FROM t WHERE s = ts", "[]"),
        answered("SELECT n FROM t WHERE s > ts", r#"[{"n":1}]"#),
        answered("SELECT n FROM t WHERE ts IN (SELECT s FROM t)", "[]"),
        answered(
            "SELECT n FROM t WHERE ts = '2026-01-05 10:00:00.1234567'",
            "[]",
        ),
        answered(
            "SELECT greatest(s, ts) AS v FROM t WHERE n = 1",
            r#"[{"v":"2026-01-05T10:00:00.123456700"}]"#,
        ),
        answered(
            "SELECT s AS v FROM t WHERE n = 1 UNION ALL SELECT ts FROM t WHERE n = 2 ORDER BY v",
            r#"[{"v":"2026-01-05T10:00:00.123456"},{"v":"2026-01-05T10:00:00.123456700"}]"#,
        ),
        answered(
            "SELECT CASE WHEN n = 1 THEN s ELSE ts END AS v FROM t WHERE n = 1",
            r#"[{"v":"2026-01-05T10:00:00.123456700"}]"#,
        ),
    ];
    for sql in [
        "SELECT n FROM t WHERE ts = '2026-01-05 10:00:00.12345600001'",
        "SELECT n FROM t WHERE ts = TIMESTAMP '2026-01-05 10:00:00.12345600001'",
        "SELECT CASE WHEN n = 1 THEN ts ELSE '2026-01-05 10:00:00.1234567891' END AS v FROM t",
    ] {
        cases.push(refused(sql, NINE));
    }
    check(cases).await;
}

/// One list of comparisons holds for spans of time too.
#[tokio::test]
async fn spans_of_time_are_compared_by_their_lengths_wherever_they_are() {
    const SPAN: &str = "{\"n\":1,\"a\":\"2026-01-05T00:00:00\",\"b\":\"2026-01-06T06:00:00\"}\n{\"n\":2,\"a\":\"2026-01-05T00:00:00\",\"b\":\"2026-01-06T00:00:00\"}\n";
    let types = "types = { a = \"timestamp\", b = \"timestamp\" }";
    let spans = |sql, expected| case("t.ndjson", SPAN, types, sql, expected);
    check(vec![
        spans(
            "SELECT n FROM t WHERE b - a > INTERVAL '1 day'",
            Expected::Rows(r#"[{"n":1}]"#),
        ),
        spans(
            "SELECT n, CASE b - a WHEN INTERVAL '1 day' THEN 'day' WHEN INTERVAL '30 hours' THEN 'more' END AS v FROM t ORDER BY n",
            Expected::Rows(r#"[{"n":1,"v":"more"},{"n":2,"v":"day"}]"#),
        ),
        spans(
            "SELECT nullif(b - a, INTERVAL '1 day') AS v FROM t",
            Expected::Error("`nullif` does not take spans of time".to_owned()),
        ),
    ])
    .await;
}

/// The engine gives null for what it cannot reach.
#[tokio::test]
async fn moments_beyond_nanoseconds_have_no_bins() {
    const FAR: &str = "{\"ts\":\"9999-12-31T00:00:00\"}\n{\"ts\":null}\n";
    let types = "types = { ts = \"timestamp\" }";
    let far = |sql, expected| case("t.ndjson", FAR, types, sql, expected);
    let beyond = || Expected::Error("beyond the years 1677 to 2262".to_owned());
    check(vec![
        far(
            "SELECT date_bin(INTERVAL '1 day', ts) AS v FROM t",
            beyond(),
        ),
        far(
            "SELECT date_bin(INTERVAL '15 minutes', ts, TIMESTAMP '2026-01-01') AS v FROM t",
            beyond(),
        ),
        far(
            "SELECT date_bin(INTERVAL '1 day', TIMESTAMP(6) '9999-12-31 00:00:00') AS v FROM t",
            beyond(),
        ),
        far(
            "SELECT date_bin(INTERVAL '1 day', ts) AS v FROM t WHERE ts IS NULL",
            Expected::Rows(r#"[{"v":null}]"#),
        ),
    ])
    .await;
}

/// A number in quotes is not rounded to the places of the decimals beside it.
#[tokio::test]
async fn a_number_in_quotes_keeps_its_digits_or_is_refused() {
    let types = "types = { n = \"decimal(10, 2)\", i = \"integer\" }";
    let decimals = |sql, expected| case("t.csv", "n,i\n0.11,1\n1.13,2\n", types, sql, expected);
    let rows = |sql, rows| decimals(sql, Expected::Rows(rows));
    let mut cases = vec![
        rows("SELECT n FROM t WHERE n = '0.110'", r#"[{"n":0.11}]"#),
        rows("SELECT n FROM t WHERE n > '1'", r#"[{"n":1.13}]"#),
        rows("SELECT n FROM t WHERE n > 0.114", r#"[{"n":1.13}]"#),
        rows(
            "SELECT CAST('0.114' AS DECIMAL(10, 2)) AS v FROM t LIMIT 1",
            r#"[{"v":0.11}]"#,
        ),
        rows(
            "SELECT lag(n, 1, 0.5) OVER (ORDER BY n) AS v, lag(i, 1, 0) OVER (ORDER BY n) AS w FROM t ORDER BY n LIMIT 1",
            r#"[{"v":0.50,"w":0}]"#,
        ),
    ];
    for sql in [
        "SELECT n FROM t WHERE n = '0.114'",
        "SELECT n FROM t WHERE '0.105' < n",
        "SELECT n FROM t WHERE n IN ('0.114', '1.125')",
        "SELECT n FROM t WHERE n BETWEEN '0.114' AND '2'",
        "SELECT n FROM t WHERE n * 2 > '0.225'",
        "SELECT CASE n WHEN '0.114' THEN 1 END AS v FROM t",
        "SELECT nullif(n, '0.114') AS v FROM t",
        "SELECT coalesce(n, '0.114') AS v FROM t",
        "SELECT lag(n, 1, '0.114') OVER (ORDER BY n) AS v FROM t",
    ] {
        let why = "more digits behind the point than the decimals";
        cases.push(decimals(sql, Expected::Error(why.to_owned())));
    }
    for sql in [
        "SELECT lag(n, 1, 0.114) OVER (ORDER BY n) AS v FROM t",
        "SELECT lead(i, 1, 1.7) OVER (ORDER BY n) AS v FROM t",
    ] {
        let why = "would be changed to the type of its values";
        cases.push(decimals(sql, Expected::Error(why.to_owned())));
    }
    check(cases).await;
}
