//! Prefixes with many small files: each is asked for once, by the listing and one GET, and the rows are those of all files.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{fmt::Write as _, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use flowlake_data_action::ErrorCode;
use serde_json::{Value, json};

use crate::support::House;

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
async fn a_file_that_is_broken_fails_the_answer_whoever_fetched_it() {
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
