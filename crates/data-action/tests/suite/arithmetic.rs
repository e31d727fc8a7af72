//! Numbers and moments that do not fit their types: an error, never a value of the other end. Cold and from memory.

use flowlake_data_action::ErrorCode;
use serde_json::{Value, json};

use crate::support::lake::{Lake, Told};

/// `big` is the largest integer and `small` the smallest; `n` is 1, and `wide` has 38 digits.
const NUMBERS: &str = "id,big,small,n,wide,day,started,text
1,9223372036854775807,-9223372036854775808,1,99999999999999999999999999999999999999,2026-01-05,2026-01-05T10:00:00,05.01.2026 10:00:00
2,9223372036854775807,-9223372036854775808,1,99999999999999999999999999999999999999,2026-01-06,2026-01-06T10:00:00,06.01.2026 11:30:00
3,,,,,,,
";

fn numbers() -> Lake {
    Lake::new()
        .file("a.csv", NUMBERS)
        .table("types = { wide = \"decimal(38, 0)\" }")
}

fn codes(told: &[Told]) -> Vec<String> {
    told.iter()
        .map(|told| match told {
            Ok(rows) => rows.to_string(),
            Err((code, _)) => code.as_str().to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn what_does_not_fit_is_an_error() {
    let queries = [
        "SELECT big + 1 AS v FROM t",
        "SELECT big + n AS v FROM t WHERE id = 1",
        "SELECT small - n AS v FROM t",
        "SELECT big * 2 AS v FROM t",
        "SELECT -small AS v FROM t",
        "SELECT abs(small) AS v FROM t",
        "SELECT small / -1 AS v FROM t",
        "SELECT id FROM t WHERE big + 1 > 0",
        "SELECT id FROM t ORDER BY big + n",
        "SELECT big + n AS v, count(*) AS c FROM t GROUP BY big + n",
        "SELECT a.id FROM t a JOIN t b ON a.big + 1 = b.small",
        "SELECT max(big + n) AS v FROM t",
        "SELECT CAST(big AS INT) AS v FROM t",
        "SELECT CAST(n AS TINYINT) * CAST(100 AS TINYINT) * CAST(2 AS TINYINT) AS v FROM t",
        "SELECT sum(big) AS v FROM t",
        "SELECT n, sum(big) AS v FROM t GROUP BY n",
        "SELECT sum(small) AS v FROM t",
        "SELECT sum(DISTINCT b) AS v FROM (SELECT big AS b FROM t UNION ALL SELECT big - 1 FROM t)",
        "SELECT id, sum(big) OVER (ORDER BY id) AS v FROM t",
        "SELECT id, sum(big) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS v FROM t",
        "SELECT sum(big) FILTER (WHERE id < 3) AS v FROM t",
        "SELECT wide + 1 AS v FROM t",
        "SELECT wide * 10 AS v FROM t",
        "SELECT wide - -1 AS v FROM t",
        "SELECT CAST(wide + 1 AS VARCHAR) AS v FROM t",
        "SELECT sum(wide) AS v FROM t",
        "SELECT avg(wide) AS v FROM t",
        "SELECT day + INTERVAL '999999 years' AS v FROM t",
        "SELECT day - INTERVAL '999999999 days' AS v FROM t",
        "SELECT day + n * 999999999 AS v FROM t",
        "SELECT started + INTERVAL '999999 years' AS v FROM t",
        "SELECT to_timestamp(n * 1e30) AS v FROM t",
        "SELECT to_timestamp(n * 9999999999) AS v FROM t",
        "SELECT power(0.0 * n, -1.0) AS v FROM t",
        "SELECT gcd(small, 0) AS v FROM t",
        "SELECT lcm(big, big - n) AS v FROM t",
        "SELECT factorial(n * 30) AS v FROM t",
        "SELECT chr(-n) AS v FROM t",
        "SELECT round(big, -19) AS v FROM t",
        "SELECT round(big, -id * 19) AS v FROM t",
        "SELECT n << 64 AS v FROM t",
        "SELECT n << 63 AS v FROM t",
        "SELECT big << id AS v FROM t",
        "SELECT n << -id AS v FROM t",
        "SELECT n >> 64 AS v FROM t",
        "SELECT id FROM t WHERE n << 64 = 1",
    ];
    let told = numbers().ask(&queries).await;
    for (told, sql) in told.iter().zip(queries) {
        let (code, message) = told.as_ref().expect_err(sql);
        assert_eq!(code.as_str(), "sql.not_computable", "{sql}: {message}");
    }
}

/// What no row is needed for is the SQL's fault, when the action is read or planned.
#[tokio::test]
async fn constants_that_do_not_fit_are_the_sqls_fault() {
    let queries = [
        "SELECT 9223372036854775807 + 1 AS v FROM t",
        "SELECT -9223372036854775808 - 1 AS v FROM t",
        "SELECT 9223372036854775807 * 2 AS v FROM t",
        "SELECT -CAST('-9223372036854775808' AS BIGINT) AS v FROM t",
        "SELECT CAST('99999999999999999999999999999999999999' AS DECIMAL(38, 0)) + 1 AS v FROM t",
        "SELECT id FROM t WHERE n < 9223372036854775807 + 1",
        "SELECT DATE '2026-01-01' + INTERVAL '999999 years' AS v FROM t",
        "SELECT round(7000000000000000000, -19) AS v FROM t",
        "SELECT 1 << 64 AS v FROM t",
        "SELECT 1 << 63 AS v FROM t",
        "SELECT 1 >> -1 AS v FROM t",
        "SELECT day = 5 AS v FROM t",
        "SELECT id FROM t WHERE day IN (5, 6)",
        "SELECT id FROM t WHERE day BETWEEN 20260101 AND 20260131",
        "SELECT id FROM t WHERE day = id",
        "SELECT a.id FROM t a JOIN t b ON a.day = b.id",
        "SELECT CAST(20260105 AS DATE) AS v FROM t",
        "SELECT coalesce(day, 5) AS v FROM t",
        "SELECT CASE WHEN id = 1 THEN day ELSE 5 END AS v FROM t",
        "SELECT day AS v FROM t UNION ALL SELECT id FROM t",
        "SELECT date_bin('15', started) AS v FROM t",
        "SELECT sum(n) OVER (ORDER BY started RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS v FROM t",
    ];
    let told = numbers().ask(&queries).await;
    for (told, sql) in told.iter().zip(queries) {
        let (code, message) = told.as_ref().expect_err(sql);
        let code = code.as_str();
        assert!(
            matches!(code, "sql.invalid" | "sql.not_allowed"),
            "{sql}: {code}: {message}"
        );
    }
}

#[tokio::test]
async fn what_fits_is_computed() {
    let one = |value: Value| json!([{ "v": value }]);
    numbers()
        .answers(&[
            ("SELECT big - n AS v FROM t WHERE id = 1", one(json!(9_223_372_036_854_775_806_i64))),
            ("SELECT big + small AS v FROM t WHERE id = 1", one(json!(-1))),
            ("SELECT -big AS v FROM t WHERE id = 1", one(json!(-9_223_372_036_854_775_807_i64))),
            ("SELECT n + n * 2 - 7 AS v FROM t ORDER BY id", json!([{ "v": -4 }, { "v": -4 }, { "v": null }])),
            // A sum on its way may be larger than its type.
            ("SELECT sum(x) AS v FROM (SELECT big AS x FROM t UNION ALL SELECT small FROM t)", one(json!(-2))),
            ("SELECT sum(big) AS v FROM t WHERE id = 1", one(json!(9_223_372_036_854_775_807_i64))),
            ("SELECT sum(big) AS v FROM t WHERE id = 3", one(json!(null))),
            ("SELECT sum(n) AS v FROM t", one(json!(2))),
            ("SELECT sum(DISTINCT n) AS v FROM t", one(json!(1))),
            ("SELECT sum(CAST(big AS DECIMAL(38, 0))) = 18446744073709551614 AS v FROM t", one(json!(true))),
            ("SELECT sum(wide) IS NULL AS v FROM t WHERE id = 1", one(json!(false))),
            ("SELECT CAST(sum(wide) AS VARCHAR) AS v FROM t WHERE id = 1", one(json!("99999999999999999999999999999999999999"))),
            ("SELECT CAST(sum(started - started) AS VARCHAR) IS NOT NULL AS v FROM t", one(json!(true))),
            ("SELECT id, sum(n) OVER (ORDER BY id) AS v FROM t ORDER BY id", json!([{ "id": 1, "v": 1 }, { "id": 2, "v": 2 }, { "id": 3, "v": 2 }])),
            (
                "SELECT id, sum(n) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS v FROM t ORDER BY id",
                json!([{ "id": 1, "v": 1 }, { "id": 2, "v": 2 }, { "id": 3, "v": 1 }]),
            ),
            ("SELECT id, sum(n) AS v FROM t GROUP BY id ORDER BY id", json!([{ "id": 1, "v": 1 }, { "id": 2, "v": 1 }, { "id": 3, "v": null }])),
            // The engine computes no branch that is not taken.
            ("SELECT CASE WHEN big > 0 THEN 0 ELSE big + 1 END AS v FROM t WHERE id = 1", one(json!(0))),
            ("SELECT round(big, -18) AS v FROM t WHERE id = 1", one(json!(9_000_000_000_000_000_000_i64))),
            ("SELECT round(big, -20) AS v FROM t WHERE id = 1", one(json!(0))),
            ("SELECT round(n, -19) AS v FROM t WHERE id = 1", one(json!(0))),
            ("SELECT round(n * 1.25, 400) AS v FROM t WHERE id = 1", one(json!(1.25))),
            ("SELECT round(n * 1e300, 20) AS v FROM t WHERE id = 1", one(json!(1e300))),
            ("SELECT round(n * 1e300, -400) AS v FROM t WHERE id = 1", one(json!(0.0))),
            ("SELECT round(n * 1.25, id) AS v FROM t WHERE id = 1", one(json!(1.3))),
            ("SELECT round(7e18, -19) AS v FROM t WHERE id = 1", one(json!(1e19))),
            ("SELECT n << 62 AS v FROM t WHERE id = 1", one(json!(4_611_686_018_427_387_904_i64))),
            ("SELECT -n << 63 AS v FROM t WHERE id = 1", one(json!(i64::MIN))),
            ("SELECT big >> 62 AS v FROM t WHERE id = 1", one(json!(1))),
            ("SELECT small >> 63 AS v FROM t WHERE id = 1", one(json!(-1))),
            ("SELECT n << id AS v FROM t ORDER BY id", json!([{ "v": 2 }, { "v": 4 }, { "v": null }])),
            ("SELECT TRY_CAST(big AS INT) AS v FROM t WHERE id = 1", one(json!(null))),
            ("SELECT id + 1 AS v FROM t WHERE id + 1 = 2", one(json!(2))),
            ("SELECT day + 1 AS v FROM t WHERE id = 1", one(json!("2026-01-06"))),
            ("SELECT DATE '1970-01-01' + 20458 AS v FROM t WHERE id = 1", one(json!("2026-01-05"))),
            ("SELECT count(*) AS v FROM t WHERE day = DATE '2026-01-05' OR day = '2026-01-06'", one(json!(2))),
            (
                "SELECT array_agg(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS v FROM t ORDER BY id",
                json!([{ "v": [1] }, { "v": [1, 2] }, { "v": [2, 3] }]),
            ),
            ("SELECT count(DISTINCT (n, day)) AS v FROM t", one(json!(3))),
        ])
        .await;
}

/// A column of texts, with nulls in it, in the forms that exports have.
#[tokio::test]
async fn texts_become_moments_by_their_form() {
    let moment = |text: &str| json!([{ "v": text }]);
    numbers()
        .answers(&[
            (
                "SELECT to_timestamp(text, '%d.%m.%Y %H:%M:%S') AS v FROM t ORDER BY id",
                json!([{ "v": "2026-01-05T10:00:00Z" }, { "v": "2026-01-06T11:30:00Z" }, { "v": null }]),
            ),
            ("SELECT id AS v FROM t WHERE to_timestamp(text, '%d.%m.%Y %H:%M:%S') > TIMESTAMP '2026-01-06'", json!([{ "v": 2 }])),
            ("SELECT to_timestamp_seconds(text, '%d.%m.%Y %H:%M:%S') AS v FROM t WHERE id = 1", moment("2026-01-05T10:00:00Z")),
            ("SELECT to_timestamp(left(text, 10), '%d.%m.%Y') AS v FROM t WHERE id = 1", moment("2026-01-05T00:00:00Z")),
            ("SELECT to_timestamp(left(text, 16), '%d.%m.%Y %H:%M') AS v FROM t WHERE id = 1", moment("2026-01-05T10:00:00Z")),
            ("SELECT to_timestamp(text, '%Y-%m-%d', '%d.%m.%Y %H:%M:%S') AS v FROM t WHERE id = 1", moment("2026-01-05T10:00:00Z")),
            ("SELECT to_timestamp(CAST(started AS VARCHAR)) AS v FROM t WHERE id = 1", moment("2026-01-05T10:00:00Z")),
            ("SELECT to_timestamp(text, '%d.%m.%Y %H:%M:%S') = started AS v FROM t WHERE id = 1", json!([{ "v": true }])),
            ("SELECT to_timestamp(n * 1.5) AS v FROM t WHERE id = 1", moment("1970-01-01T00:00:01.500Z")),
        ])
        .await;
    let told = numbers()
        .ask(&["SELECT to_timestamp(text, '%Y-%m-%d') AS v FROM t"])
        .await;
    assert_eq!(codes(&told), ["sql.not_computable"]);
}

/// A value of a parameter that does not fit what it is compared with is the caller's fault, neither the file's nor the engine's.
#[tokio::test]
async fn a_value_of_another_kind_is_the_callers() {
    let told = numbers()
        .param("p", "type = \"string\"")
        .ask_with(&[
            ("SELECT id FROM t WHERE big = $p", json!({ "p": "abc" })),
            (
                "SELECT id FROM t WHERE big IN ($p, '1')",
                json!({ "p": "abc" }),
            ),
            (
                "SELECT id FROM t WHERE day = $p",
                json!({ "p": "05.01.2026" }),
            ),
            (
                "SELECT id FROM t WHERE started > $p",
                json!({ "p": "yesterday" }),
            ),
            ("SELECT id FROM t WHERE wide = $p", json!({ "p": "abc" })),
            ("SELECT id FROM t WHERE n = $p", json!({ "p": "1" })),
            (
                "SELECT id FROM t WHERE day = $p",
                json!({ "p": "2026-01-05" }),
            ),
        ])
        .await;
    for told in &told[..5] {
        let (code, message) = told.as_ref().unwrap_err();
        assert_eq!(*code, ErrorCode::ParamInvalid, "{message}");
        assert!(message.contains("the parameter `p` is no "), "{message}");
        for word in [
            "abc",
            "05.01",
            "yesterday",
            "Int64",
            "Utf8",
            "Date32",
            "Timestamp(",
        ] {
            assert!(!message.contains(word), "{message}");
        }
    }
    assert_eq!(told[5], Ok(json!([{ "id": 1 }, { "id": 2 }])));
    assert_eq!(told[6], Ok(json!([{ "id": 1 }])));
}

/// The engine compares months first, then days, then the rest: 30 hours were shorter than a day.
#[tokio::test]
async fn spans_of_time_are_compared_by_their_length() {
    let lake = Lake::new().file(
        "a.csv",
        "id,a,b\n1,2026-01-01T00:00:00,2026-01-02T06:00:00\n2,2026-01-01T00:00:00,2026-01-01T00:10:00\n3,,\n",
    );
    let ids = |ids: &[i64]| json!(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
    lake.answers(&[
        ("SELECT id FROM t WHERE b - a > INTERVAL '1 day'", ids(&[1])),
        ("SELECT id FROM t WHERE INTERVAL '1 day' < b - a", ids(&[1])),
        ("SELECT id FROM t WHERE b - a < INTERVAL '1 day'", ids(&[2])),
        ("SELECT id FROM t WHERE b - a = INTERVAL '1 day 6 hours'", ids(&[1])),
        ("SELECT id FROM t WHERE b - a = INTERVAL '30 hours'", ids(&[1])),
        ("SELECT id FROM t WHERE b - a <> INTERVAL '30 hours'", ids(&[2])),
        ("SELECT id FROM t WHERE b - a >= INTERVAL '1 day' + INTERVAL '6 hours'", ids(&[1])),
        ("SELECT id FROM t WHERE b - a BETWEEN INTERVAL '1 minute' AND INTERVAL '1 day'", ids(&[2])),
        ("SELECT id FROM t WHERE b - a NOT BETWEEN INTERVAL '1 minute' AND INTERVAL '1 day'", ids(&[1])),
        ("SELECT id FROM t WHERE b - a IN (INTERVAL '600 seconds', INTERVAL '30 hours') ORDER BY id", ids(&[1, 2])),
        ("SELECT id FROM t WHERE a - b < -INTERVAL '1 day'", ids(&[1])),
        ("SELECT id FROM t WHERE now() - a > INTERVAL '1 day' ORDER BY id", ids(&[1, 2])),
        ("SELECT id FROM t WHERE b - a > INTERVAL '599 seconds 999999 microseconds' ORDER BY id", ids(&[1, 2])),
        ("SELECT x.id FROM t x JOIN t y ON x.id = y.id AND y.b - x.a > INTERVAL '1 day'", ids(&[1])),
        ("SELECT id FROM t GROUP BY id HAVING max(b - a) > INTERVAL '1 day'", ids(&[1])),
        (
            "SELECT id, CASE WHEN b - a > INTERVAL '1 day' THEN 'long' ELSE 'short' END AS v FROM t ORDER BY id",
            json!([{ "id": 1, "v": "long" }, { "id": 2, "v": "short" }, { "id": 3, "v": "short" }]),
        ),
        ("SELECT INTERVAL '25 hours' > INTERVAL '1 day' AS v FROM t WHERE id = 1", json!([{ "v": true }])),
    ])
    .await;
    let told = lake
        .ask(&[
            "SELECT id FROM t WHERE b - a > INTERVAL '1 month'",
            "SELECT id FROM t WHERE CAST(CAST(id AS VARCHAR) || ' days' AS INTERVAL) > INTERVAL '1 day'",
            // The engine's order is that of months, then of days, then of the rest.
            "SELECT id FROM t ORDER BY CAST(CAST(id AS VARCHAR) || ' days' AS INTERVAL)",
            "SELECT max(CAST(CAST(id AS VARCHAR) || ' days' AS INTERVAL)) AS v FROM t",
            "SELECT rank() OVER (ORDER BY CAST(CAST(id AS VARCHAR) || ' days' AS INTERVAL)) AS v FROM t",
            "SELECT greatest(INTERVAL '30 hours', CAST(CAST(id AS VARCHAR) || ' days' AS INTERVAL)) AS v FROM t",
        ])
        .await;
    assert_eq!(codes(&told), ["sql.invalid"; 6]);
    lake.answers(&[
        (
            "SELECT id FROM t ORDER BY b - a DESC NULLS LAST",
            ids(&[1, 2, 3]),
        ),
        (
            "SELECT min(b - a) AS least, greatest(max(b - a), max(a - b)) AS most FROM t",
            json!([{ "least": "PT600S", "most": "PT108000S" }]),
        ),
    ])
    .await;
}

/// Quotients and averages of decimals are rounded, and have the places that other databases give them.
#[tokio::test]
async fn quotients_of_decimals_are_rounded() {
    let lake = Lake::new()
        .file(
            "a.csv",
            "id,amount,n\n1,0.01,100000\n2,2.00,3\n3,-2.00,3\n4,,1\n5,1.19,0\n",
        )
        .table("types = { amount = \"decimal(10, 2)\" }");
    let one = |value: Value| json!([{ "v": value }]);
    let text =
        |expr: &str, id: i64| format!("SELECT CAST({expr} AS VARCHAR) AS v FROM t WHERE id = {id}");
    let texts = [
        (text("amount / n", 1), "0.0000001000000000"),
        (text("amount / n", 2), "0.6666666666666667"),
        (text("amount / n", 3), "-0.6666666666666667"),
        (text("amount / 3", 2), "0.6666666666666667"),
        (
            text("amount / CAST(3 AS DECIMAL(38, 2))", 2),
            "0.6666666666666667",
        ),
        (text("CAST(amount AS DECIMAL(38, 2)) / 3", 2), "0.666667"),
        (text("1 / amount", 2), "0.5000000000000000"),
        (text("amount / 1.19", 5), "1.0000000000000000"),
        (text("amount / 0.1", 5), "11.9000000000000000"),
        (text("round(amount / n, 2)", 2), "0.67"),
        (text("arrow_typeof(amount / n)", 2), "Decimal128(24, 16)"),
        (text("CAST(1.255 AS DECIMAL(10, 2))", 1), "1.26"),
        (text("CAST('1.255' AS DECIMAL(10, 2))", 1), "1.26"),
    ];
    let aggregates = [
        (
            "SELECT CAST(avg(amount) AS VARCHAR) AS v FROM t WHERE id IN (1, 2, 4)",
            "1.005000",
        ),
        (
            "SELECT CAST(avg(amount) AS VARCHAR) AS v FROM (SELECT amount FROM t WHERE id <> 3 UNION ALL SELECT 0.01 FROM t WHERE id < 4)",
            "0.538333",
        ),
        (
            "SELECT CAST(avg(CAST(x AS DECIMAL(10, 2))) AS VARCHAR) AS v FROM (VALUES (2), (2), (1)) q(x)",
            "1.666667",
        ),
        (
            "SELECT CAST(avg(-amount) AS VARCHAR) AS v FROM (SELECT amount FROM t WHERE id IN (2, 5) UNION ALL SELECT amount FROM t WHERE id = 2)",
            "-1.730000",
        ),
        (
            "SELECT CAST(avg(DISTINCT amount) AS VARCHAR) AS v FROM t WHERE id IN (1, 2, 5)",
            "1.066667",
        ),
        (
            "SELECT CAST(median(amount) AS VARCHAR) AS v FROM t WHERE id IN (1, 2)",
            "1.005",
        ),
        (
            "SELECT CAST(sum(amount) / count(*) AS VARCHAR) AS v FROM t WHERE id IN (1, 5, 4)",
            "0.4000000000000000",
        ),
        (
            "SELECT CAST(avg(amount) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS VARCHAR) AS v FROM t ORDER BY id LIMIT 1 OFFSET 2",
            "0.003333",
        ),
    ];
    let expected: Vec<_> = texts
        .iter()
        .map(|(sql, value)| (sql.as_str(), one(json!(value))))
        .chain(
            aggregates
                .iter()
                .map(|(sql, value)| (*sql, one(json!(value)))),
        )
        .collect();
    lake.answers(&expected).await;
    lake.answers(&[
        ("SELECT amount / 4 AS v FROM t WHERE id = 4", one(json!(null))),
        ("SELECT amount / NULL AS v FROM t WHERE id = 1", one(json!(null))),
        ("SELECT id AS v FROM t WHERE amount / NULLIF(n, 0) = 0.0000001", one(json!(1))),
        ("SELECT id AS v FROM t WHERE amount / 0.1 = 11.9", one(json!(5))),
        ("SELECT sum(v) AS v FROM (SELECT amount / 4 AS v FROM t WHERE id = 2 UNION ALL SELECT 1)", one(json!(1.5))),
    ])
    .await;
    let told = lake
        .ask(&[
            "SELECT amount / n AS v FROM t WHERE id = 5",
            "SELECT amount / 0 AS v FROM t",
            "SELECT CAST('99999999999999999999999999999999999999' AS DECIMAL(38, 0)) * n / CAST('0.01' AS DECIMAL(38, 2)) AS v FROM t WHERE id = 4",
        ])
        .await;
    assert_eq!(codes(&told), ["sql.not_computable"; 3]);
    let (_, message) = told[0].as_ref().unwrap_err();
    assert!(message.contains("NULLIF(n, 0)"), "{message}");
}

/// Between two values, a percentile is where its share of the way says.
#[tokio::test]
async fn percentiles_lie_where_their_share_says() {
    let lake = Lake::new().file(
        "a.csv",
        "id,g,ms\n1,a,1\n2,a,2\n3,a,1000000000\n4,b,0\n5,b,3000000000\n6,c,\n",
    );
    let one = |value: Value| json!([{ "v": value }]);
    lake.answers(&[
        ("SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) AS v FROM t WHERE g = 'a'", one(json!(900_000_000.199_999_9))),
        ("SELECT percentile_cont(0.05) WITHIN GROUP (ORDER BY ms DESC) AS v FROM t WHERE g = 'a'", one(json!(900_000_000.2))),
        ("SELECT percentile_cont(0.3333333) WITHIN GROUP (ORDER BY ms) AS v FROM t WHERE g = 'b'", one(json!(999_999_900.0))),
        ("SELECT quantile_cont(ms, 0.3333333) AS v FROM t WHERE g = 'b'", one(json!(999_999_900.0))),
        ("SELECT percentile_cont(DISTINCT ms, 0.3333333) AS v FROM t WHERE g = 'b'", one(json!(999_999_900.0))),
        (
            "SELECT g, percentile_cont(0.3333333) WITHIN GROUP (ORDER BY ms) AS v FROM t GROUP BY g ORDER BY g",
            json!([{ "g": "a", "v": 1.6666666 }, { "g": "b", "v": 999_999_900.0 }, { "g": "c", "v": null }]),
        ),
        (
            "SELECT id, percentile_cont(ms, 0.3333333) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS v FROM t WHERE g = 'b' ORDER BY id",
            json!([{ "id": 4, "v": 0.0 }, { "id": 5, "v": 999_999_900.0 }]),
        ),
        ("SELECT median(ms) AS v FROM t WHERE g = 'a'", one(json!(2.0))),
        ("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS v FROM t WHERE g = 'c'", one(json!(null))),
    ])
    .await;
}
