//! Prefixes with many small files: each is asked for once, by the listing and one GET, and the rows are those of all files.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{fmt::Write as _, io::Write as _, sync::Arc};

use flate2::{Compression, write::GzEncoder};
use flowlake_data_action::ErrorCode;
use flowlake_transform::arrow::array::{ArrayRef, Int64Array};
use serde_json::{Value, json};

use crate::support::{House, parquet as written};

/// More than columns are found from.
const FILES: u64 = 80;
const ROWS: u64 = 20;

/// What lies in the file of a number.
type Content = fn(u64) -> Vec<u8>;

fn key(number: u64, ending: &str) -> String {
    format!(
        "exports/calls/date=2026-01-{:02}/part-{number:03}.{ending}",
        1 + number % 28
    )
}

/// Lines of JSON; in the last file, numbers have fractions.
fn lines(number: u64) -> String {
    let mut text = String::new();
    for row in 0..ROWS {
        let half = if number + 1 == FILES { ".5" } else { "" };
        writeln!(
            text,
            "{{\"n\":{}{half},\"q\":\"Sales\"}}",
            number * ROWS + row
        )
        .unwrap();
    }
    text
}

fn compressed(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn csv(number: u64) -> String {
    let rows = (0..ROWS).map(|row| format!("{},Sales\n", number * ROWS + row));
    format!("n,q\n{}", rows.collect::<String>())
}

fn action(name: &str, table: &str, sql: &str) -> String {
    format!(
        "name = \"{name}\"\n[tables.t]\nuri = \"s3://lake/exports/calls/\"\n{table}\n[query]\nsql = \"{sql}\"\n"
    )
}

async fn house(files: &[(String, Vec<u8>)], actions: &[String]) -> House {
    let files: Vec<_> = files
        .iter()
        .map(|(key, content)| (key.as_str(), content))
        .collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let allow = json!([
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] },
    ]);
    House::furnished(&files, allow, "", &actions, |_| {}).await
}

/// HEAD, GET and LIST requests that S3 had so far.
fn counts(house: &House) -> [u64; 3] {
    ["HeadObject", "GetObject", "ListObjectsV2"].map(|operation| house.stack.s3().count(operation))
}

#[tokio::test]
async fn each_file_of_a_prefix_takes_one_request() {
    let sum: u64 = (0..FILES * ROWS).sum();
    let with_halves = json!(f64::from(u32::try_from(sum + ROWS / 2).unwrap()));
    let cases: [(&str, &str, Content, Value); 5] = [
        (
            "ndjson.gz",
            "",
            |n| compressed(&lines(n)),
            with_halves.clone(),
        ),
        ("ndjson", "", |n| lines(n).into_bytes(), with_halves.clone()),
        (
            "ndjson.gz",
            "columns = { n = \"double\", q = \"string\" }",
            |n| compressed(&lines(n)),
            with_halves,
        ),
        ("csv", "", |n| csv(n).into_bytes(), json!(sum)),
        // Nothing says what they are but their bytes.
        ("log", "", |n| compressed(&csv(n)), json!(sum)),
    ];
    for (ending, table, content, expected) in cases {
        let files: Vec<_> = (0..FILES)
            .map(|number| (key(number, ending), content(number)))
            .collect();
        let sql = "SELECT count(*) AS c, sum(n) AS s, count(DISTINCT date) AS d FROM t";
        let house = house(&files, &[action("all", table, sql)]).await;
        let answer = house.run("all", json!({})).await.unwrap();
        let rows = json!([{ "c": FILES * ROWS, "s": expected, "d": 28 }]);
        assert_eq!(answer["data"], rows, "{ending} {table}");
        assert_eq!(counts(&house), [0, FILES, 1], "{ending} {table}");
        // The answer to the GET told what a HEAD would have.
        let metadata = answer["metadata"].as_array().unwrap();
        assert_eq!(metadata.len(), 80, "{ending}");
        assert!(metadata[0]["content_type"].is_string(), "{}", metadata[0]);
        let size = u64::try_from(files[0].1.len()).unwrap();
        assert_eq!(metadata[0]["content_length"], size);
        let metered = answer["cost_tracking"]["metered"].to_string();
        assert!(!metered.contains("HEAD"), "{metered}");
    }
}

/// The numbers of a file as Parquet, in two groups of rows.
fn parquet(number: u64) -> Vec<u8> {
    let numbers = Int64Array::from_iter_values((0..ROWS).map(|row| {
        let n = number * ROWS + row;
        i64::try_from(n).unwrap()
    }));
    written::in_groups(&[("n", Arc::new(numbers) as ArrayRef)], 12)
}

#[tokio::test]
async fn each_small_file_of_parquet_takes_one_request() {
    let files: Vec<_> = (0..FILES)
        .map(|number| (key(number, "parquet"), parquet(number)))
        .collect();
    let all = FILES * ROWS;
    let sum: u64 = (0..all).sum();
    let half: u64 = (all / 2..all).sum();
    let bytes: usize = files.iter().map(|(_, content)| content.len()).sum();
    let limit = format!("[limits]\nmax_scan_bytes = \"{}B\"\n", 4 * bytes);
    let conditional = format!("SELECT sum(n) AS s FROM t WHERE n >= {}", all / 2);
    let cases = [
        ("SELECT sum(n) AS s FROM t", "", "", sum, FILES),
        ("SELECT count(*) AS s FROM t", "", "", all, FILES),
        (conditional.as_str(), "", "", half, FILES),
        (
            "SELECT sum(n) AS s FROM t WHERE date = '2026-01-28'",
            "columns = { n = \"integer\", date = \"string\" }",
            "",
            (0..FILES)
                .filter(|number| number % 28 == 27)
                .flat_map(|number| number * ROWS..(number + 1) * ROWS)
                .sum(),
            FILES / 28,
        ),
        // No more bytes than are needed, in more requests.
        ("SELECT sum(n) AS s FROM t", "", &limit, sum, 7 * FILES),
    ];
    for (sql, table, limits, expected, most) in cases {
        let house = house(&files, &[action("all", table, sql) + limits]).await;
        let answer = house.run("all", json!({})).await.unwrap();
        assert_eq!(answer["data"], json!([{ "s": expected }]), "{sql}");
        let [heads, gets, lists] = counts(&house);
        assert_eq!((heads, lists), (0, 1), "{sql}");
        assert!(gets <= most, "{gets} requests, {sql} {limits}");
    }
}

#[tokio::test]
async fn who_wants_few_rows_reads_few_files() {
    let files: Vec<_> = (0..FILES)
        .map(|number| (key(number, "csv"), csv(number).into_bytes()))
        .collect();
    let columns = "columns = { n = \"integer\", q = \"string\" }";
    let all: u64 = files.iter().map(|(_, content)| content.len() as u64).sum();
    let limited = |name: &str, bytes: u64| {
        let sql = "SELECT sum(n) AS s FROM t";
        action(name, columns, sql) + &format!("[limits]\nmax_scan_bytes = \"{bytes}B\"\n")
    };
    let actions = [
        action("few", columns, "SELECT n FROM t LIMIT 5"),
        limited("enough", all),
        limited("less", all - 1),
    ];
    let house = house(&files, &actions).await;
    let answer = house.run("few", json!({})).await.unwrap();
    assert_eq!(answer["data"].as_array().unwrap().len(), 5);
    let [heads, gets, lists] = counts(&house);
    assert_eq!((heads, lists), (0, 1));
    assert!(gets < FILES / 4, "{gets} of {FILES} files were read");
    // What is fetched ahead is counted once, and to the byte.
    let sum: u64 = (0..FILES * ROWS).sum();
    let answer = house.run("enough", json!({})).await.unwrap();
    assert_eq!(answer["data"], json!([{ "s": sum }]));
    let (code, message) = house.run("less", json!({})).await.unwrap_err();
    assert_eq!(code, ErrorCode::LimitScan, "{message}");
}

#[tokio::test]
async fn a_file_that_is_broken_fails_the_answer_of_each_reader() {
    for broken in [3, FILES - 2] {
        let files: Vec<_> = (0..FILES)
            .map(|number| {
                let mut content = compressed(&lines(number));
                if number == broken {
                    let half = content.len() / 2;
                    content.truncate(half);
                }
                (key(number, "ndjson.gz"), content)
            })
            .collect();
        let sql = "SELECT count(*) AS c FROM t";
        let house = house(&files, &[action("all", "", sql)]).await;
        let (code, message) = house.run("all", json!({})).await.unwrap_err();
        assert_eq!(code, ErrorCode::DataMalformed, "{message}");
        assert!(message.contains(&key(broken, "ndjson.gz")), "{message}");
    }
}

#[tokio::test]
async fn an_odd_file_among_many_has_its_rows_too() {
    let odd: [(u64, &str); 8] = [
        (41, "{\"n\":1,\"q\":\"no line end\"}"),
        (42, "\u{feff}{\"n\":1,\"q\":\"mark\"}\n"),
        (
            43,
            "{\"n\":1,\"q\":\"a\"}\r\n\r\n  {\"q\":\"b\",\"n\":1}\r\n",
        ),
        (44, "\n\n{\"\\u006e\":1,\"q\":\"a \\\"b\\\" \\u00e9\"}\n\n"),
        (45, "{\"n\":1,\"q\":null,\"late\":{\"a\":[1]}}\n"),
        (46, "{\"n\":\"x\",\"q\":\"no number\"}\n"),
        (47, "{\"q\":\"none\"}\n"),
        (48, "{\"n\":1}\n{\"n\":1}\n"),
    ];
    let odd_csv: [(u64, &str); 5] = [
        (41, "n,q\n1,no line end"),
        (42, "\u{feff}n,q\n1,mark\n"),
        (43, "q;n\r\n\"a;\r\nb\";1\r\n\r\nc;1\r\n"),
        (44, "late,n,q\nz,1,a\n"),
        (45, "n,q\n2,b\nx,no number\n1,c\n"),
    ];
    let of = |ending: &str, odd: &[(u64, &str)], usual: fn(u64) -> String| -> Vec<_> {
        let content = |number| {
            let odd = odd.iter().find(|(place, _)| *place == number);
            odd.map_or_else(|| usual(number), |(_, text)| (*text).to_owned())
        };
        (0..FILES)
            .map(|number| (key(number, ending), compressed(&content(number))))
            .collect()
    };
    let ones: fn(u64) -> String = |_| "{\"n\":1,\"q\":\"Sales\"}\n".to_owned();
    let rows: fn(u64) -> String = |_| "n,q\n1,Sales\n".to_owned();
    // Files, rows, the sum of `n`, values that do not fit, rows that are left out.
    let cases = [
        (of("ndjson.gz", &odd, ones), FILES + 2, FILES, 1, 0),
        (of("csv.gz", &odd_csv, rows), FILES + 3, FILES + 3, 1, 0),
    ];
    for (files, count, sum, nulled, skipped) in cases {
        let sql = "SELECT count(*) AS c, sum(n) AS s, count(DISTINCT q) AS q FROM t";
        // Types that come from a few files, which have nothing odd, and those that are declared.
        let tables = [
            "on_error = \"null\"\ninfer_files = 2",
            "on_error = \"null\"\ntypes = { n = \"integer\", q = \"string\" }",
        ];
        let actions: Vec<_> = tables
            .iter()
            .zip(["few", "all"])
            .map(|(table, name)| action(name, table, sql))
            .collect();
        let house = house(&files, &actions).await;
        for name in ["few", "all"] {
            let answer = house.ask(name, json!({})).await.unwrap();
            let misfits = (answer.nulled_values, answer.skipped_rows);
            let answer = serde_json::to_value(answer).unwrap();
            let key = &files[0].0;
            assert_eq!(answer["data"][0]["c"], count, "{name} {key}");
            assert_eq!(answer["data"][0]["s"], sum, "{name} {key}");
            let shown = answer["cost_tracking"]["warnings"].to_string();
            assert_eq!(misfits, (nulled, skipped), "{name} {key}");
            if name == "few" {
                assert!(shown.contains("late"), "{key}: {shown}");
            }
        }
    }
}
