//! Faults of the engine and of what lies around it that gave wrong rows without an error: one test for each.

use std::sync::Arc;

use flowlake_data_action::ErrorCode;
use flowlake_transform::arrow::{
    array::{
        ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, ListArray, StringArray,
        TimestampMicrosecondArray, TimestampMillisecondArray, TimestampSecondArray,
    },
    datatypes::{DataType, Int64Type},
};
use serde_json::{Value, json};

use crate::support::{lake::Lake, parquet};

fn integers(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.into_iter().collect::<Int64Array>())
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

/// The bound of a file without values hid those of the others, in the engine's dynamic filters of aggregates.
#[tokio::test]
async fn least_and_largest_values_are_of_all_files() {
    let of = |from: i64| integers((from..from + 2000).map(Some));
    let nothing = || integers((0..2000).map(|_| None));
    let text = || texts(&[Some("x"); 2000]);
    let mut lake = Lake::new();
    for (number, key) in ["a", "b", "c", "d", "e", "f", "g", "h"]
        .into_iter()
        .enumerate()
    {
        let file = match number % 4 {
            0 => parquet::file(&[("k", nothing()), ("x", text())]),
            1 => parquet::in_groups(&[("k", of(100_000 * number as i64)), ("x", text())], 500),
            2 => parquet::in_groups(&[("k", of(number as i64)), ("x", text())], 500),
            _ => parquet::file(&[("x", text())]),
        };
        lake = lake.file(&format!("{key}.parquet"), file);
    }
    lake = lake.file("i.parquet", parquet::empty_file(&[("k", DataType::Int64)]));
    let expected = [
        ("SELECT min(k) AS v FROM t", json!([{ "v": 2 }])),
        ("SELECT max(k) AS v FROM t", json!([{ "v": 501_999 }])),
        (
            "SELECT min(k) AS a, max(k) AS b, count(k) AS n FROM t",
            json!([{ "a": 2, "b": 501_999, "n": 8000 }]),
        ),
        (
            "SELECT min(k) AS a, max(k) AS b FROM t WHERE x = 'x'",
            json!([{ "a": 2, "b": 501_999 }]),
        ),
        (
            "SELECT max(k) AS a, min(k) AS b FROM t WHERE x <> 'y'",
            json!([{ "a": 501_999, "b": 2 }]),
        ),
        (
            "SELECT min(k) AS a, max(k) AS b FROM t WHERE k <> 50",
            json!([{ "a": 2, "b": 501_999 }]),
        ),
        (
            "SELECT k FROM t ORDER BY k LIMIT 2",
            json!([{ "k": 2 }, { "k": 3 }]),
        ),
        (
            "SELECT k FROM t ORDER BY k DESC NULLS FIRST LIMIT 1",
            json!([{ "k": null }]),
        ),
        (
            "SELECT k FROM t ORDER BY k DESC NULLS LAST LIMIT 1",
            json!([{ "k": 501_999 }]),
        ),
    ];
    for _ in 0..4 {
        lake.answers(&expected).await;
    }
}

/// A group of rows without statistics may hold the least value.
#[tokio::test]
async fn statistics_of_some_rows_are_not_those_of_all() {
    let k = integers((1..=30).map(|n| Some(if n <= 10 { n } else { n + 100 })));
    let file = parquet::in_groups(&[("k", k)], 10);
    for bare in [vec![0], vec![1], vec![2], vec![0, 2]] {
        let file = parquet::without_statistics_in(file.clone(), &bare);
        Lake::new()
            .file("a.parquet", file)
            .answers(&[
                (
                    "SELECT min(k) AS a, max(k) AS b, count(k) AS n FROM t",
                    json!([{ "a": 1, "b": 130, "n": 30 }]),
                ),
                (
                    "SELECT count(*) AS n FROM t WHERE k < 5",
                    json!([{ "n": 4 }]),
                ),
                (
                    "SELECT count(*) AS n FROM t WHERE k > 120",
                    json!([{ "n": 10 }]),
                ),
                (
                    "SELECT count(*) AS n FROM t WHERE k IS NULL",
                    json!([{ "n": 0 }]),
                ),
            ])
            .await;
    }
}

/// Writers leave NaN out of statistics, and here it is the largest number.
#[tokio::test]
async fn what_is_no_number_is_found() {
    let x: ArrayRef = Arc::new(Float64Array::from(vec![1.0, f64::NAN, 2.0]));
    let rows = [("x", x), ("id", integers([Some(1), Some(2), Some(3)]))];
    Lake::new()
        .file("a.parquet", parquet::file(&rows))
        .answers(&[
            ("SELECT id FROM t WHERE x > 100", json!([{ "id": 2 }])),
            (
                "SELECT id FROM t WHERE NOT (x <= 100)",
                json!([{ "id": 2 }]),
            ),
            ("SELECT id FROM t WHERE isnan(x)", json!([{ "id": 2 }])),
            (
                "SELECT isnan(max(x)) AS v, min(x) AS m FROM t",
                json!([{ "v": true, "m": 1.0 }]),
            ),
            (
                "SELECT id FROM t ORDER BY x DESC LIMIT 1",
                json!([{ "id": 2 }]),
            ),
        ])
        .await;
}

/// Statistics without the number of nulls say nothing of nulls.
#[tokio::test]
async fn nulls_that_a_file_does_not_count_are_there() {
    let k = integers([Some(5), None, Some(5), None, Some(5)]);
    let name = texts(&[Some("x"), None, None, Some("x"), Some("x")]);
    let rows = [("k", k), ("name", name), ("id", integers((1..6).map(Some)))];
    let lake = Lake::new().file(
        "a.parquet",
        parquet::without_null_counts(parquet::file(&rows)),
    );
    lake.answers(&[
        (
            "SELECT id FROM t WHERE k IS NULL",
            json!([{ "id": 2 }, { "id": 4 }]),
        ),
        (
            "SELECT id FROM t WHERE name IS NULL",
            json!([{ "id": 2 }, { "id": 3 }]),
        ),
        (
            "SELECT count(k) AS k, count(name) AS n, count(*) AS a FROM t",
            json!([{ "k": 3, "n": 3, "a": 5 }]),
        ),
        (
            "SELECT id FROM t WHERE k IS NOT NULL",
            json!([{ "id": 1 }, { "id": 3 }, { "id": 5 }]),
        ),
        (
            "SELECT id FROM t WHERE k = 5",
            json!([{ "id": 1 }, { "id": 3 }, { "id": 5 }]),
        ),
        (
            "SELECT id FROM t WHERE k <> 5 OR k IS NULL",
            json!([{ "id": 2 }, { "id": 4 }]),
        ),
        (
            "SELECT k, id FROM t ORDER BY k NULLS FIRST, id LIMIT 2",
            json!([{ "k": null, "id": 2 }, { "k": null, "id": 4 }]),
        ),
        (
            "SELECT k FROM t",
            json!([{ "k": 5 }, { "k": null }, { "k": 5 }, { "k": null }, { "k": 5 }]),
        ),
        (
            "SELECT min(k) AS a, max(k) AS b FROM t",
            json!([{ "a": 5, "b": 5 }]),
        ),
    ])
    .await;
}

/// What a footer says of nested columns is not the number of their values.
#[tokio::test]
async fn values_of_lists_are_counted() {
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1)]),
        None,
        Some(vec![]),
        Some(vec![None]),
    ]);
    let lists: ArrayRef = Arc::new(lists);
    let lake = Lake::new().file(
        "a.parquet",
        parquet::file(&[("v", lists), ("id", integers((1..5).map(Some)))]),
    );
    lake.answers(&[
        ("SELECT count(v) AS n FROM t", json!([{ "n": 3 }])),
        ("SELECT id FROM t WHERE v IS NULL", json!([{ "id": 2 }])),
        (
            "SELECT id FROM t WHERE v IS NOT NULL",
            json!([{ "id": 1 }, { "id": 3 }, { "id": 4 }]),
        ),
    ])
    .await;
}

/// A condition on a column that one file has in another type is applied to its rows as well.
#[tokio::test]
async fn conditions_hold_for_files_whose_column_is_of_another_type() {
    let lists = [Some(vec![Some(1), Some(2)]), None];
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(lists);
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false]));
    let of = |v: ArrayRef, id: i64| {
        parquet::file(&[("v", v), ("id", integers([Some(id), Some(id + 1)]))])
    };
    let others: [(&str, ArrayRef); 3] = [
        ("list", Arc::new(lists)),
        ("integer", integers([Some(7), None])),
        ("boolean", flags),
    ];
    for (name, other) in others {
        for declared in [
            "columns = { v = \"string\", id = \"integer\" }",
            "types = { v = \"string\" }",
        ] {
            println!("{name}, {declared}");
            let lake = Lake::new()
                .file("a.parquet", of(texts(&[Some("x"), Some("y")]), 1))
                .file("b.parquet", of(Arc::clone(&other), 3))
                .table(declared);
            let told = lake
                .ask(&[
                    "SELECT id FROM t WHERE v = 'x'",
                    "SELECT id FROM t WHERE v = 'x' AND id > 0",
                    "SELECT count(*) AS n FROM t WHERE v = 'y'",
                ])
                .await;
            assert_eq!(
                told,
                [
                    Ok(json!([{ "id": 1 }])),
                    Ok(json!([{ "id": 1 }])),
                    Ok(json!([{ "n": 1 }]))
                ]
            );
        }
    }
}

/// A column that a file lacks is null there, in conditions too.
#[tokio::test]
async fn conditions_hold_for_files_without_the_column() {
    Lake::new()
        .file(
            "a.parquet",
            parquet::file(&[
                ("v", texts(&[Some("x"), Some("y")])),
                ("id", integers([Some(1), Some(2)])),
            ]),
        )
        .file(
            "b.parquet",
            parquet::file(&[("id", integers([Some(3), Some(4)]))]),
        )
        .answers(&[
            ("SELECT id FROM t WHERE v = 'x'", json!([{ "id": 1 }])),
            ("SELECT id FROM t WHERE v <> 'x'", json!([{ "id": 2 }])),
            (
                "SELECT id FROM t WHERE v IS NULL ORDER BY id",
                json!([{ "id": 3 }, { "id": 4 }]),
            ),
            (
                "SELECT id FROM t WHERE coalesce(v, 'z') = 'z' ORDER BY id",
                json!([{ "id": 3 }, { "id": 4 }]),
            ),
            (
                "SELECT id FROM t WHERE length(v) = 1 AND id < 9 ORDER BY id",
                json!([{ "id": 1 }, { "id": 2 }]),
            ),
        ])
        .await;
}

/// A file in a coarser unit than the table's.
#[tokio::test]
async fn moments_are_compared_exactly_in_files_of_a_coarser_unit() {
    let millis: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![36_000_000, -1_000]));
    let micros: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![36_000_000_001]));
    Lake::new()
        .file(
            "a.parquet",
            parquet::file(&[("v", millis), ("id", integers([Some(1), Some(2)]))]),
        )
        .file(
            "b.parquet",
            parquet::file(&[("v", micros), ("id", integers([Some(3)]))]),
        )
        .answers(&[
            (
                "SELECT id FROM t WHERE v = TIMESTAMP '1970-01-01 10:00:00.000001'",
                json!([{ "id": 3 }]),
            ),
            (
                "SELECT id FROM t WHERE v >= TIMESTAMP '1970-01-01 10:00:00.000001'",
                json!([{ "id": 3 }]),
            ),
            (
                "SELECT id FROM t WHERE v < TIMESTAMP '1970-01-01 10:00:00.000001' ORDER BY id",
                json!([{ "id": 1 }, { "id": 2 }]),
            ),
            (
                "SELECT id FROM t WHERE v > TIMESTAMP '1969-12-31 23:59:59.000001' ORDER BY id",
                json!([{ "id": 1 }, { "id": 3 }]),
            ),
        ])
        .await;
}

/// A moment with more digits than the column holds equals none of its values, and lies between two.
#[tokio::test]
async fn moments_of_a_finer_unit_are_compared_exactly() {
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![36_000, 36_001]));
    let millis: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![
        36_000_000, 36_001_000,
    ]));
    let micros: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
        36_000_000_000,
        36_001_000_000,
    ]));
    let csv = "id,v\n1,1970-01-01T10:00:00\n2,1970-01-01T10:00:01\n";
    let ndjson =
        "{\"id\":1,\"v\":\"1970-01-01T10:00:00\"}\n{\"id\":2,\"v\":\"1970-01-01T10:00:01\"}\n";
    let id = || ("id", integers([Some(1), Some(2)]));
    let lakes = [
        Lake::new().file("a.parquet", parquet::file(&[("v", seconds), id()])),
        Lake::new().file("a.parquet", parquet::file(&[("v", millis), id()])),
        Lake::new().file("a.parquet", parquet::file(&[("v", micros), id()])),
        Lake::new()
            .file("a.csv", csv)
            .table("types = { v = \"Timestamp(s)\" }"),
        Lake::new()
            .file("a.csv", csv)
            .table("types = { v = \"timestamp\" }"),
        Lake::new()
            .file("a.ndjson", ndjson)
            .table("types = { v = \"Timestamp(s)\" }"),
    ];
    for (number, lake) in lakes.into_iter().enumerate() {
        println!("{number}");
        let at = "TIMESTAMP '1970-01-01 10:00:00.000000001'";
        let sql = |condition: &str| {
            format!(
                "SELECT id FROM t WHERE {} ORDER BY id",
                condition.replace("AT", at)
            )
        };
        let both = json!([{ "id": 1 }, { "id": 2 }]);
        let one = json!([{ "id": 1 }]);
        let two = json!([{ "id": 2 }]);
        let none = json!([]);
        let cases = [
            ("v = AT", &none),
            ("AT = v", &none),
            ("v <> AT", &both),
            ("v < AT", &one),
            ("v <= AT", &one),
            ("v > AT", &two),
            ("v >= AT", &two),
            ("AT > v", &one),
            ("v BETWEEN AT AND TIMESTAMP '1970-01-01 10:00:01.5'", &two),
            (
                "v NOT BETWEEN AT AND TIMESTAMP '1970-01-01 10:00:01.5'",
                &one,
            ),
            ("v IN (AT, TIMESTAMP '1970-01-01 10:00:01')", &two),
            ("v NOT IN (AT, TIMESTAMP '1970-01-01 10:00:01.5')", &both),
            ("v IS DISTINCT FROM AT", &both),
            ("v IS NOT DISTINCT FROM AT", &none),
            (
                "v = TIMESTAMP '1969-12-31 23:59:59.5' OR v < TIMESTAMP '1969-12-31 23:59:59.5'",
                &none,
            ),
            (
                "v = arrow_cast('1970-01-01 10:00:00.000000001', 'Timestamp(ns)')",
                &none,
            ),
            ("v = TIMESTAMP '1970-01-01 10:00:00'", &one),
            ("CASE v WHEN AT THEN 1 ELSE 2 END = 1", &none),
        ];
        let expected: Vec<_> = cases
            .iter()
            .map(|(condition, rows)| (sql(condition), (*rows).clone()))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(sql, rows)| (sql.as_str(), rows.clone()))
            .collect();
        lake.answers(&expected).await;
    }
}

/// A parameter has microseconds.
#[tokio::test]
async fn moments_of_parameters_are_compared_exactly() {
    let seconds: ArrayRef = Arc::new(TimestampSecondArray::from(vec![36_000, 36_001]));
    let lake = Lake::new()
        .file(
            "a.parquet",
            parquet::file(&[("v", seconds), ("id", integers([Some(1), Some(2)]))]),
        )
        .param("at", "type = \"timestamp\"");
    let at = json!({ "at": "1970-01-01T10:00:00.5Z" });
    let told = lake
        .ask_with(&[
            ("SELECT id FROM t WHERE v = $at", at.clone()),
            ("SELECT id FROM t WHERE v < $at", at.clone()),
            ("SELECT id FROM t WHERE v >= $at", at.clone()),
            ("SELECT id FROM t WHERE v IN ($at)", at.clone()),
        ])
        .await;
    assert_eq!(
        told,
        [
            Ok(json!([])),
            Ok(json!([{ "id": 1 }])),
            Ok(json!([{ "id": 2 }])),
            Ok(json!([]))
        ]
    );
}

/// A moment without a zone is one of UTC, whatever the zone of the column (docs/functions.md).
#[tokio::test]
async fn a_moment_without_a_zone_is_one_of_utc() {
    let moments = TimestampMicrosecondArray::from(vec![36_000_000_000, 39_600_000_000]);
    let berlin: ArrayRef = Arc::new(moments.clone().with_timezone("Europe/Berlin"));
    let utc: ArrayRef = Arc::new(moments.clone().with_timezone("UTC"));
    let bare: ArrayRef = Arc::new(moments);
    let id = || ("id", integers([Some(1), Some(2)]));
    for (zone, column) in [("berlin", berlin), ("utc", utc), ("none", bare)] {
        println!("{zone}");
        let lake = Lake::new().file("a.parquet", parquet::file(&[("v", column), id()]));
        lake.answers(&[
            ("SELECT id FROM t WHERE v = TIMESTAMP '1970-01-01 10:00:00'", json!([{ "id": 1 }])),
            ("SELECT id FROM t WHERE v = '1970-01-01 10:00:00'", json!([{ "id": 1 }])),
            ("SELECT id FROM t WHERE v = '1970-01-01T11:00:00+01:00'", json!([{ "id": 1 }])),
            ("SELECT id FROM t WHERE v >= TIMESTAMP '1970-01-01 11:00:00'", json!([{ "id": 2 }])),
            ("SELECT id FROM t WHERE v BETWEEN '1970-01-01 10:30:00' AND TIMESTAMP '1970-01-01 11:00:00'", json!([{ "id": 2 }])),
            ("SELECT id FROM t WHERE v IN (TIMESTAMP '1970-01-01 11:00:00', TIMESTAMP '1970-01-01 12:00:00')", json!([{ "id": 2 }])),
            ("SELECT id FROM t WHERE v >= DATE '1970-01-01' AND v < DATE '1970-01-02' ORDER BY id", json!([{ "id": 1 }, { "id": 2 }])),
            ("SELECT id FROM t WHERE v - TIMESTAMP '1970-01-01 10:00:00' = INTERVAL '1 hour'", json!([{ "id": 2 }])),
            ("SELECT t.id FROM t JOIN (SELECT TIMESTAMP '1970-01-01 11:00:00' AS w) AS s ON t.v = s.w", json!([{ "id": 2 }])),
            ("SELECT id FROM t WHERE coalesce(v, TIMESTAMP '1970-01-01 00:00:00') = TIMESTAMP '1970-01-01 11:00:00'", json!([{ "id": 2 }])),
            ("SELECT id FROM t WHERE v IN (SELECT TIMESTAMP '1970-01-01 11:00:00')", json!([{ "id": 2 }])),
            ("SELECT id FROM t WHERE v = (SELECT TIMESTAMP '1970-01-01 11:00:00')", json!([{ "id": 2 }])),
            ("SELECT id FROM t WHERE nullif(v, TIMESTAMP '1970-01-01 11:00:00') IS NULL", json!([{ "id": 2 }])),
            ("SELECT id FROM t WHERE CASE v WHEN TIMESTAMP '1970-01-01 11:00:00' THEN true ELSE false END", json!([{ "id": 2 }])),
            ("SELECT id FROM t WHERE greatest(v, TIMESTAMP '1970-01-01 10:30:00') = TIMESTAMP '1970-01-01 10:30:00'", json!([{ "id": 1 }])),
        ])
        .await;
    }
}

/// Text with a time of day is a moment beside a date too, in each format.
#[tokio::test]
async fn text_moments_against_dates_are_moments() {
    let csv = "id,d\n1,2026-01-05\n2,2026-01-06\n";
    let ndjson = "{\"id\":1,\"d\":\"2026-01-05\"}\n{\"id\":2,\"d\":\"2026-01-06\"}\n";
    let ids = |ids: &[i64]| json!(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
    let expected = [
        ("SELECT id FROM t WHERE d = '2026-01-05'", ids(&[1])),
        ("SELECT id FROM t WHERE d = '2026-01-05 10:00:00'", ids(&[])),
        (
            "SELECT id FROM t WHERE d < '2026-01-05 10:00:00'",
            ids(&[1]),
        ),
        (
            "SELECT id FROM t WHERE d >= '2026-01-05 10:00:00'",
            ids(&[2]),
        ),
        (
            "SELECT id FROM t WHERE d < TIMESTAMP '2026-01-05 10:00:00'",
            ids(&[1]),
        ),
        (
            "SELECT id FROM t WHERE d IN ('2026-01-05 10:00:00', '2026-01-06')",
            ids(&[2]),
        ),
        (
            "SELECT id FROM t WHERE d BETWEEN '2026-01-05 10:00:00' AND '2026-01-07'",
            ids(&[2]),
        ),
    ];
    for (key, text) in [("a.csv", csv), ("a.ndjson", ndjson)] {
        for declared in ["", "types = { d = \"date\" }"] {
            Lake::new()
                .file(key, text)
                .table(declared)
                .answers(&expected)
                .await;
        }
    }
}

/// A file of JSON has text where one of delimited text has moments. Beside a date or a moment, the two are the same, however the
/// text is written.
#[tokio::test]
async fn text_moments_of_json_are_those_of_delimited_text() {
    let moments = [
        "2026-01-05T00:00:00Z",
        "2026-01-05 00:00:00",
        "2026-01-05T01:00:00+01:00",
        "2026-01-05T10:00:00Z",
        "2026-01-05T10:00:00.500000Z",
        "2026-01-05T23:30:00-05:00",
    ];
    let rows = || moments.iter().zip(1..);
    let csv: String = rows().map(|(at, id)| format!("{id},{at}\n")).collect();
    let csv = format!("id,d\n{csv}");
    let ndjson: String = rows()
        .map(|(at, id)| format!("{{\"id\":{id},\"d\":\"{at}\"}}\n"))
        .collect();
    let ids = |ids: &[i64]| json!(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
    let day = "DATE '2026-01-05'";
    let conditions = [
        (format!("d = {day}"), ids(&[1, 2, 3])),
        (format!("{day} < d"), ids(&[4, 5, 6])),
        (format!("d <= {day}"), ids(&[1, 2, 3])),
        (format!("d <> {day}"), ids(&[4, 5, 6])),
        (format!("d IS DISTINCT FROM {day}"), ids(&[4, 5, 6])),
        (format!("d IN ({day}, DATE '2026-01-06')"), ids(&[1, 2, 3])),
        (format!("d NOT IN ({day})"), ids(&[4, 5, 6])),
        (
            format!("d BETWEEN {day} AND DATE '2026-01-06'"),
            ids(&[1, 2, 3, 4, 5]),
        ),
        (
            format!("CASE d WHEN {day} THEN true ELSE false END"),
            ids(&[1, 2, 3]),
        ),
        (format!("nullif(d, {day}) IS NULL"), ids(&[1, 2, 3])),
        (format!("d IN (SELECT {day})"), ids(&[1, 2, 3])),
        (format!("d = (SELECT {day})"), ids(&[1, 2, 3])),
        (
            format!("EXISTS (SELECT 1 FROM (VALUES ({day})) AS v(day) WHERE v.day = d)"),
            ids(&[1, 2, 3]),
        ),
        ("d = TIMESTAMP '2026-01-05 10:00:00'".to_owned(), ids(&[4])),
        (
            "d > TIMESTAMP '2026-01-05 10:00:00'".to_owned(),
            ids(&[5, 6]),
        ),
        (
            "d < TIMESTAMP '2026-01-05 10:00:00.5'".to_owned(),
            ids(&[1, 2, 3, 4]),
        ),
        (
            "d IN (TIMESTAMP '2026-01-05 10:00:00.5')".to_owned(),
            ids(&[5]),
        ),
        (
            "d IN (SELECT TIMESTAMP '2026-01-05 10:00:00')".to_owned(),
            ids(&[4]),
        ),
        (
            "nullif(d, TIMESTAMP '2026-01-05 10:00:00') IS NULL".to_owned(),
            ids(&[4]),
        ),
    ];
    let mut expected: Vec<(String, Value)> = conditions
        .into_iter()
        .map(|(condition, ids)| {
            (
                format!("SELECT id FROM t WHERE {condition} ORDER BY id"),
                ids,
            )
        })
        .collect();
    expected.push((
        format!("SELECT id FROM t JOIN (VALUES ({day})) AS v(day) ON t.d = v.day ORDER BY id"),
        ids(&[1, 2, 3]),
    ));
    expected.push((
        "SELECT id FROM t JOIN (VALUES (TIMESTAMP '2026-01-05 10:00:00')) AS v(day) ON t.d = v.day"
            .to_owned(),
        ids(&[4]),
    ));
    let expected: Vec<_> = expected
        .iter()
        .map(|(sql, rows)| (sql.as_str(), rows.clone()))
        .collect();
    for (key, text) in [("a.csv", &csv), ("a.ndjson", &ndjson)] {
        println!("{key}");
        Lake::new()
            .file(key, text.as_str())
            .answers(&expected)
            .await;
    }
}

/// Text of each table as `text` partitions, and what a declared type makes of it.
#[tokio::test]
async fn partitions_are_compared_as_what_they_are_declared() {
    let keys = [
        (
            "month=09/d=2026-01-05/amount=1.50/at=2026-01-05T10%3A00%3A00",
            1,
        ),
        (
            "month=9/d=2026-1-5/amount=1.5/at=2026-01-05 10%3A00%3A00.000",
            2,
        ),
        ("month=10/d=2026-01-06/amount=2/at=2026-01-06", 3),
        (
            "month=__HIVE_DEFAULT_PARTITION__/d=__HIVE_DEFAULT_PARTITION__/amount=__HIVE_DEFAULT_PARTITION__/at=__HIVE_DEFAULT_PARTITION__",
            4,
        ),
    ];
    let lake = |name: &str| {
        let lake = Lake::new().in_one_folder();
        keys.iter().fold(lake, |lake, (key, id)| {
            let content = match name {
                "csv" => format!("id\n{id}\n").into_bytes(),
                _ => parquet::file(&[("id", integers([Some(*id)]))]),
            };
            lake.file(&format!("{key}/f.{name}"), content)
        })
    };
    for name in ["csv", "parquet"] {
        println!("{name}");
        let ids = |ids: &[i64]| json!(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
        lake(name)
            .table("partitions = { month = \"integer\", d = \"date\", amount = \"decimal(10, 2)\", at = \"timestamp\" }")
            .answers(&[
                ("SELECT id FROM t WHERE month = 9 ORDER BY id", ids(&[1, 2])),
                ("SELECT id FROM t WHERE month IN (9, 11) ORDER BY id", ids(&[1, 2])),
                ("SELECT id FROM t WHERE month > 9 ORDER BY id", ids(&[3])),
                ("SELECT id FROM t WHERE month IS NULL", ids(&[4])),
                ("SELECT id FROM t WHERE d = DATE '2026-01-05' ORDER BY id", ids(&[1, 2])),
                ("SELECT id FROM t WHERE d = '2026-01-05' ORDER BY id", ids(&[1, 2])),
                ("SELECT id FROM t WHERE d IS NULL", ids(&[4])),
                ("SELECT id FROM t WHERE amount = 1.5 ORDER BY id", ids(&[1, 2])),
                ("SELECT id FROM t WHERE amount IS NULL", ids(&[4])),
                ("SELECT id FROM t WHERE at = TIMESTAMP '2026-01-05 10:00:00' ORDER BY id", ids(&[1, 2])),
                ("SELECT id FROM t WHERE at >= '2026-01-06' ORDER BY id", ids(&[3])),
                ("SELECT id FROM t WHERE at IS NULL", ids(&[4])),
                ("SELECT month, d, amount, at FROM t WHERE id = 1", json!([{ "month": 9, "d": "2026-01-05", "amount": 1.50, "at": "2026-01-05T10:00:00" }])),
                ("SELECT month FROM t WHERE id = 4", json!([{ "month": null }])),
            ])
            .await;
        lake(name)
            .answers(&[
                ("SELECT id FROM t WHERE month = '09'", ids(&[1])),
                ("SELECT id FROM t WHERE month IS NULL", ids(&[4])),
                ("SELECT id FROM t WHERE amount IS NULL", ids(&[4])),
            ])
            .await;
    }
}

/// Rows that a footer promises arrive, or it is an error.
#[tokio::test]
async fn repeated_fields_without_annotation_are_read() {
    let tags: [&[&str]; 6] = [&["a"], &[], &["b", "c"], &[], &["d"], &["e", "f", "g"]];
    let lake = Lake::new().file("a.parquet", parquet::with_bare_repetition(&tags));
    lake.answers(&[
        ("SELECT count(*) AS n FROM t", json!([{ "n": 6 }])),
        ("SELECT id FROM t WHERE id > 4", json!([{ "id": 5 }, { "id": 6 }])),
        ("SELECT count(id) AS n FROM t", json!([{ "n": 6 }])),
        ("SELECT sum(id) AS n FROM t", json!([{ "n": 21 }])),
        ("SELECT id FROM t", json!([{ "id": 1 }, { "id": 2 }, { "id": 3 }, { "id": 4 }, { "id": 5 }, { "id": 6 }])),
        ("SELECT id, tags FROM t WHERE id <= 3", json!([{ "id": 1, "tags": ["a"] }, { "id": 2, "tags": [] }, { "id": 3, "tags": ["b", "c"] }])),
        ("SELECT count(tags) AS n FROM t", json!([{ "n": 6 }])),
    ])
    .await;
}

/// As before, of groups in a group.
#[tokio::test]
async fn repeated_groups_without_annotation_are_read() {
    let phones: [Option<&[i64]>; 6] = [
        None,
        Some(&[]),
        Some(&[5]),
        Some(&[1, 2, 3]),
        None,
        Some(&[7]),
    ];
    let lake = Lake::new().file("a.parquet", parquet::with_bare_groups(&phones));
    lake.answers(&[
        ("SELECT count(*) AS n FROM t", json!([{ "n": 6 }])),
        ("SELECT id FROM t", json!([{ "id": 1 }, { "id": 2 }, { "id": 3 }, { "id": 4 }, { "id": 5 }, { "id": 6 }])),
        ("SELECT id FROM t WHERE id > 4", json!([{ "id": 5 }, { "id": 6 }])),
        ("SELECT count(phones) AS n FROM t", json!([{ "n": 4 }])),
        ("SELECT id, phones FROM t WHERE id = 4", json!([{ "id": 4, "phones": { "phone": [{ "number": 1, "kind": null }, { "number": 2, "kind": null }, { "number": 3, "kind": null }] } }])),
    ])
    .await;
}

/// Fewer rows than the footer says are an error, not an answer.
#[tokio::test]
async fn rows_that_a_footer_promises_must_arrive() {
    let file = parquet::file(&[
        ("id", integers((1..=5).map(Some))),
        (
            "x",
            texts(&[Some("x1"), Some("x2"), Some("x3"), Some("x4"), Some("x5")]),
        ),
    ]);
    let told = Lake::new()
        .file("a.parquet", parquet::promising(file, 6))
        .ask(&[
            "SELECT id FROM t",
            "SELECT sum(id) AS s FROM t",
            "SELECT id FROM t WHERE id <> 3",
            "SELECT x FROM t WHERE id BETWEEN 2 AND 3 AND x LIKE 'x%'",
            "SELECT id FROM t WHERE x LIKE '%y%'",
            "SELECT count(*) AS n FROM t WHERE id <> 3",
            "SELECT x FROM t WHERE id > 1 ORDER BY id DESC LIMIT 10",
            "SELECT a.id FROM t a JOIN t b ON a.id = b.id AND b.id = 2",
        ])
        .await;
    for told in told {
        let (code, message) = told.unwrap_err();
        assert_eq!(code, ErrorCode::DataMalformed, "{message}");
        assert!(message.contains("promises 6 rows"), "{message}");
    }
}

/// Rows that statistics of groups and pages, conditions and limits leave out are none that have to arrive.
#[tokio::test]
async fn rows_that_nobody_wants_need_not_arrive() {
    const ROWS: i64 = 6000;
    let columns = [
        ("id", integers((0..ROWS).map(Some))),
        ("k", integers((0..ROWS).map(|id| Some(id % 7)))),
        ("x", texts(&[Some("x"); ROWS as usize])),
    ];
    let file = parquet::in_pages(&columns, 1000, 100);
    let expected = [
        (
            "SELECT count(*) AS n FROM t WHERE id >= 2050 AND id < 2060",
            json!([{ "n": 10 }]),
        ),
        // The first condition is computed of a column in one page, in groups of which the second leaves pages out.
        (
            "SELECT id FROM t WHERE x LIKE '%y%' AND id = 2050",
            json!([]),
        ),
        (
            "SELECT count(*) AS n FROM t WHERE x LIKE 'x%' AND id > 5949 AND k = 3",
            json!([{ "n": 7 }]),
        ),
        (
            "SELECT id, x FROM t WHERE k <> 3 ORDER BY id DESC LIMIT 2",
            json!([{ "id": 5999, "x": "x" }, { "id": 5998, "x": "x" }]),
        ),
        (
            "SELECT x FROM t WHERE id > 3000 LIMIT 1",
            json!([{ "x": "x" }]),
        ),
        (
            "SELECT count(*) AS n FROM t JOIN (VALUES (17), (4018)) v (w) ON t.id = v.w WHERE t.k < 6",
            json!([{ "n": 2 }]),
        ),
        ("SELECT id FROM t WHERE id > 2 AND 1 = 0", json!([])),
        ("SELECT id FROM t WHERE id IS NULL", json!([])),
    ];
    let lake = Lake::new().file("a.parquet", file.clone());
    lake.answers(&expected).await;
    let low = parquet::file(&[("id", integers((-900..-890).map(Some)))]);
    let lake = Lake::new().file("a.parquet", file).file("b.parquet", low);
    let first = json!([{ "id": 5999 }]);
    lake.answers(&[
        ("SELECT id FROM t ORDER BY id DESC LIMIT 1", first),
        (
            "SELECT id FROM t WHERE x IS NULL ORDER BY id LIMIT 1",
            json!([{ "id": -900 }]),
        ),
    ])
    .await;
}

/// The engine takes -0.0 and 0.0 for equal in some comparisons and for different in others.
#[tokio::test]
async fn a_zero_has_no_sign() {
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![-0.0, 0.0, 1.5, 2.0]));
    let narrow: ArrayRef = Arc::new(Float32Array::from(vec![-0.0, 0.0, 1.5, 2.0]));
    let ids = || integers((0..4).map(Some));
    let text = "v,i\n-0.0,0\n0.0,1\n1.5,2\n2.0,3\n".to_owned();
    let lines =
        "{\"v\":-0.0,\"i\":0}\n{\"v\":0.0,\"i\":1}\n{\"v\":1.5,\"i\":2}\n{\"v\":2.0,\"i\":3}\n";
    let both = json!([{ "i": 0 }, { "i": 1 }]);
    let expected = [
        ("SELECT i FROM t WHERE v = 0 ORDER BY i", both.clone()),
        (
            "SELECT i FROM t WHERE v IN (0.0, 4, 5, 6, 7, 8) ORDER BY i",
            both.clone(),
        ),
        (
            "SELECT i FROM t WHERE v NOT IN (1.5, 2, 5, 6, 7, 8) AND NOT v IN (0.0, 4, 5, 6, 7)",
            json!([]),
        ),
        (
            "SELECT i FROM t WHERE CASE v WHEN 0 THEN true ELSE false END ORDER BY i",
            both.clone(),
        ),
        (
            "SELECT i FROM t WHERE v IN (SELECT v FROM t WHERE i = 1) ORDER BY i",
            both.clone(),
        ),
        (
            "SELECT i FROM t WHERE nullif(v, 0) IS NULL ORDER BY i",
            both,
        ),
        (
            "SELECT count(*) AS n FROM t a JOIN t b ON a.v = b.v AND b.i = 0",
            json!([{ "n": 2 }]),
        ),
        (
            "SELECT i, rank() OVER (ORDER BY v) AS r FROM t ORDER BY v, i DESC LIMIT 3",
            json!([{ "i": 1, "r": 1 }, { "i": 0, "r": 1 }, { "i": 2, "r": 3 }]),
        ),
    ];
    for (key, content) in [
        ("a.parquet", parquet::file(&[("v", floats), ("i", ids())])),
        ("b.parquet", parquet::file(&[("v", narrow), ("i", ids())])),
        ("a.csv", text.into_bytes()),
        ("a.ndjson", lines.as_bytes().to_vec()),
    ] {
        Lake::new().file(key, content).answers(&expected).await;
    }
}

/// Numbers that have no value have one form: 0.0 / 0.0 computes one with a sign, which is the smallest number of all to the engine,
/// and files may hold others.
#[tokio::test]
async fn what_is_no_number_is_one_value() {
    let odd = f64::from_bits(0xfff8_0000_0000_0001);
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![odd, f64::NAN, 1.5, 0.0]));
    let ids = integers((0..4).map(Some));
    let text = "v,i\nNaN,0\nNaN,1\n1.5,2\n0.0,3\n";
    let both = json!([{ "i": 0 }, { "i": 1 }]);
    let expected = [
        (
            "SELECT i FROM t WHERE v = arrow_cast('NaN', 'Float64') ORDER BY i",
            both.clone(),
        ),
        ("SELECT i FROM t WHERE v > 100 ORDER BY i", both.clone()),
        (
            "SELECT i FROM t WHERE v IN (0.0 / 0.0, 4, 5, 6, 7, 8) ORDER BY i",
            both.clone(),
        ),
        (
            "SELECT i FROM t WHERE (v - v) / 0.0 = arrow_cast('NaN', 'Float64') ORDER BY i",
            json!([{ "i": 0 }, { "i": 1 }, { "i": 2 }, { "i": 3 }]),
        ),
        (
            "SELECT count(DISTINCT v) AS n, count(DISTINCT isnan(v)) AS m, min(v) AS least FROM t",
            json!([{ "n": 3, "m": 2, "least": 0.0 }]),
        ),
        ("SELECT i FROM t ORDER BY v DESC, i LIMIT 2", both.clone()),
        (
            "SELECT a.i FROM t a JOIN t b ON a.v = b.v AND b.i = 1 ORDER BY a.i",
            both,
        ),
    ];
    for (key, content) in [
        ("a.parquet", parquet::file(&[("v", floats), ("i", ids)])),
        ("a.csv", text.as_bytes().to_vec()),
    ] {
        Lake::new().file(key, content).answers(&expected).await;
    }
}

/// What a comparison casts is computed, and what it compares keeps its digits.
#[tokio::test]
async fn comparisons_lose_neither_digits_nor_errors() {
    let narrow: ArrayRef = Arc::new(Float32Array::from(vec![16_777_216.0, 1.5]));
    let big = integers([Some(16_777_217), Some(123_456)]);
    let lake = Lake::new().file("a.parquet", parquet::file(&[("v", narrow), ("n", big)]));
    lake.answers(&[
        ("SELECT n FROM t WHERE v = n", json!([])),
        (
            "SELECT n FROM t WHERE v < n ORDER BY n",
            json!([{ "n": 123_456 }, { "n": 16_777_217 }]),
        ),
        (
            "SELECT n FROM t WHERE v IN (16777217, 2, 3, 4, 5)",
            json!([]),
        ),
        (
            "SELECT n FROM t WHERE v BETWEEN 16777217 AND 16777218",
            json!([]),
        ),
        (
            "SELECT n FROM t WHERE v = 16777216",
            json!([{ "n": 16_777_217 }]),
        ),
        (
            "SELECT n FROM t WHERE TRY_CAST(n AS SMALLINT) > 1",
            json!([]),
        ),
        (
            "SELECT n FROM t WHERE TRY_CAST(n AS SMALLINT) IS NULL AND CAST(n AS INT) > 200000",
            json!([{ "n": 16_777_217 }]),
        ),
        (
            "SELECT n FROM t WHERE CAST(n AS BIGINT) > 200000",
            json!([{ "n": 16_777_217 }]),
        ),
    ])
    .await;
    for sql in [
        "SELECT n FROM t WHERE CAST(n AS DECIMAL(5, 2)) > 1",
        "SELECT n FROM t WHERE CAST(n AS SMALLINT) > 1",
        "SELECT n FROM t WHERE CAST(n AS SMALLINT) IN (1, 2)",
        "SELECT n FROM t WHERE CAST(n AS SMALLINT) BETWEEN 1 AND 2",
    ] {
        for told in lake.ask(&[sql]).await {
            let (code, message) = told.expect_err(sql);
            assert_eq!(code, ErrorCode::SqlNotComputable, "{sql}: {message}");
        }
    }
}
