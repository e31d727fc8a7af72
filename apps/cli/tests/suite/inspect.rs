//! `flowlake inspect`, and `flowlake init` over the files of somebody.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{fmt::Write, io::Write as _};

use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::{
    desk::Desk,
    support::{House, record},
};

/// What is wrong in it: line 3 a text among numbers, line 5 a field too few. `N/A` stands for null.
const ODD: &str = "id;ani;ms;note\n\
    1;+12025550142;1200;N/A\n\
    2;+12025550143;soon;7\n\
    3;+12025550144;900;8\n\
    4;+12025550144;900\n\
    5;+12025550145;;N/A\n";

/// The report without what is another every time.
fn steady(report: &str, folder: &str) -> String {
    let mut kept = String::new();
    for line in report.lines() {
        let line = line.replace(folder, "FOLDER");
        let line = match (line.find(", modified "), line.find(", audit ")) {
            (Some(at), _) => format!("{}, modified …", &line[..at]),
            (_, Some(at)) => {
                let begin = line[..at].rsplit_once(", ").map_or("", |(begin, _)| begin);
                format!("{begin}, … ms, audit …")
            }
            _ => line,
        };
        let _ = writeln!(kept, "{}", line.trim_end());
    }
    kept
}

#[tokio::test]
async fn a_report_says_what_a_file_is_and_what_it_holds() {
    let desk = Desk::new();
    // Types are those of the first two records, so that a text among numbers is a problem and no text column.
    desk.lay("odd.txt", ODD);
    let asked = ["inspect", "odd.txt", "--set", "infer_rows=1"];
    let (out, told) = desk.asked(&asked, 0).await;
    assert_eq!(told, "");
    let folder = desk.folder.path().canonicalize().unwrap();
    insta::assert_snapshot!(steady(&out, folder.to_str().unwrap()));
    // Values are for the terminal: the record has none.
    let records = desk.records().await;
    let text = serde_json::to_string(&records).unwrap();
    assert!(
        !text.contains("2025550142") && !text.contains("soon"),
        "{text}"
    );
    assert_eq!(
        (&records[0]["action"], &records[0]["status"]),
        (&json!("(sql)"), &json!("success"))
    );
    assert_eq!(records[0]["rows"], 5);
}

#[tokio::test]
async fn the_report_for_programs_has_all_of_it() {
    let desk = Desk::new();
    desk.lay("odd.txt", ODD);
    let asked = [
        "--json",
        "inspect",
        "odd.txt",
        "--set",
        "infer_rows=1",
        "--rows",
        "2",
    ];
    let (out, _) = desk.asked(&asked, 0).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["rows"].as_array().unwrap().len(), 2);
    let inspected = &report["inspected"];
    let evidence = inspected["table"]["evidence"].as_array().unwrap();
    let about: Vec<_> = evidence
        .iter()
        .map(|found| found["about"].as_str().unwrap())
        .collect();
    assert_eq!(
        about,
        ["compression", "format", "encoding", "delimiter", "header"]
    );
    let first = &inspected["problems"]["first"];
    assert_eq!(
        (&first[0]["line"], &first[0]["column"]),
        (&json!(3), &json!("ms"))
    );
    assert_eq!(
        (&first[1]["line"], &first[1]["column"]),
        (&json!(5), &Value::Null)
    );
    assert_eq!(inspected["problems"]["by_column"], json!({ "ms": 1 }));
    let columns = inspected["summary"]["columns"].as_array().unwrap();
    let ani = &columns[1];
    assert_eq!(
        (&ani["type"], &ani["distinct"]),
        (&json!("string"), &json!(4))
    );
    assert_eq!(ani["text"]["others_are_phones"], true);
    assert_eq!(
        ani["top"][0],
        json!({ "value": "+12025550144", "count": 2, "at_least": false })
    );
    assert_eq!(columns[2]["nulls"], 2);
    assert_eq!(columns[3]["text"]["null_texts"], json!([["N/A", 2]]));
    assert_eq!(inspected["scans"], json!([]));
    assert!(
        report["audit_id"].is_string() && report["is_sample"] == false,
        "{report}"
    );
    // An error is JSON too.
    let told = desk.refused(&["--json", "inspect", "none.csv"], 4).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["error"]["code"], "file.not_found");
    // Its advice is about its own options.
    desk.lay("two/a.csv", "n\n1\n");
    desk.lay("two/b.csv", "n\n2\n");
    let told = desk
        .refused(&["inspect", "two/", "--set", "max_files=1"], 5)
        .await;
    assert!(told.contains("--set max_files=COUNT"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_read_to_its_end_is_reported_as_far_as_it_can() {
    let desk = Desk::new();
    let rows: String = (0..250_000).map(|n| format!("{n},x\n")).collect();
    desk.lay("open.csv", &format!("n,t\n{rows}250000,\"never closed\n"));
    let (out, told) = desk.asked(&["--json", "inspect", "open.csv"], 4).await;
    let report: Value = serde_json::from_str(&out).unwrap();
    let inspected = &report["inspected"];
    let why = inspected["broke_off"].as_str().unwrap();
    assert!(why.contains("line 250002"), "{why}");
    // Pieces of the file that come before that one are looked at.
    assert!(inspected["summary"]["rows"].as_u64().unwrap() > 1000);
    assert!(told.contains("cannot be read to their end"), "{told}");
    let (out, _) = desk.asked(&["inspect", "open.csv"], 4).await;
    assert!(out.contains("reading ended there"), "{out}");
    // A sample ends before that.
    let (out, _) = desk
        .asked(&["inspect", "open.csv", "--sample", "10"], 0)
        .await;
    assert!(
        out.contains("by the first 10 rows") && out.contains("0 to 9"),
        "{out}"
    );
}

/// Lines of problems behind a chunk, in text that several readers go through.
#[tokio::test]
async fn places_of_problems_are_those_of_the_whole_file() {
    let desk = Desk::new();
    let wrong = [70_000, 140_003, 200_001];
    let mut csv = "n,t\n".to_owned();
    let mut ndjson = String::new();
    for n in 0..210_000 {
        let text = if wrong.contains(&n) { "\"x\"" } else { "12345" };
        let _ = writeln!(csv, "{n},{}", text.trim_matches('"'));
        let _ = writeln!(ndjson, "{{\"n\":{n},\"t\":{text}}}");
    }
    desk.lay("far.csv", &csv);
    desk.lay("far.ndjson", &ndjson);
    for (file, first) in [("far.csv", 2), ("far.ndjson", 1)] {
        let (out, _) = desk.asked(&["--json", "inspect", file], 0).await;
        let report: Value = serde_json::from_str(&out).unwrap();
        let problems = &report["inspected"]["problems"];
        let lines: Vec<_> = problems["first"]
            .as_array()
            .unwrap()
            .iter()
            .map(|problem| problem["line"].as_u64().unwrap())
            .collect();
        assert_eq!(lines, wrong.map(|n| n + first), "{file}");
        assert_eq!(problems["by_column"], json!({ "t": 3 }));
        let n = &report["inspected"]["summary"]["columns"][0];
        let distinct = n["distinct"].as_u64().unwrap();
        assert!(
            distinct.abs_diff(210_000) < 8_000 && n["distinct_is_estimate"] == true,
            "{n}"
        );
        assert_eq!((&n["min"], &n["max"]), (&json!(0), &json!(209_999)));
    }
}

#[tokio::test]
async fn numbers_keep_their_digits_and_quantiles_are_values() {
    let desk = Desk::new();
    let sql = "SELECT CAST(m AS DECIMAL(18, 2)) AS m, arrow_cast(u, 'UInt64') AS u, CAST(w AS DECIMAL(38, 0)) AS w, f FROM (VALUES \
        ('1234567890123456.78', '18446744073709551615', '99999999999999999999999999999999999999', 1.5), \
        ('1234567890123456.77', '18446744073709551614', '99999999999999999999999999999999999998', 2.5), \
        ('-0.01', '1', '-99999999999999999999999999999999999999', CAST('NaN' AS DOUBLE))) AS t (m, u, w, f)";
    desk.asked(&["sql", sql, "-o", "m.parquet"], 0).await;
    let (out, _) = desk.asked(&["--json", "inspect", "m.parquet"], 0).await;
    // A parsed report would have lost the digits.
    for part in [
        r#""max":1234567890123456.78"#,
        r#"{"percent":50,"value":1234567890123456.77}"#,
        r#"{"percent":50,"value":18446744073709551614}"#,
        r#""max":99999999999999999999999999999999999999"#,
        r#"{"percent":50,"value":99999999999999999999999999999999999998}"#,
        r#""m":1234567890123456.78"#,
        r#"{"percent":50,"value":2.5}"#,
        r#"{"percent":95,"value":"NaN"}"#,
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let (out, _) = desk.asked(&["inspect", "m.parquet"], 0).await;
    assert!(
        out.contains("50 % 1234567890123456.77 ·") && out.contains("95 % 18446744073709551615"),
        "{out}"
    );
}

#[tokio::test]
async fn counts_and_shares_are_no_more_than_there_are() {
    let desk = Desk::new();
    // Of some of these, the estimate of distinct values is above the number of rows.
    let rows = |from: u32| {
        (from..from + 300)
            .map(|n| format!("k{n}\n"))
            .collect::<String>()
    };
    for from in 0..8 {
        desk.lay("keys.csv", &format!("key\n{}", rows(from * 1000)));
        let (out, _) = desk.asked(&["--json", "inspect", "keys.csv"], 0).await;
        let report: Value = serde_json::from_str(&out).unwrap();
        let column = &report["inspected"]["summary"]["columns"][0];
        assert!(column["distinct"].as_u64().unwrap() <= 300, "{column}");
    }
    desk.lay("nulls.csv", "id,a,b\n1,,x\n2,,\n3,x,x\n");
    let (out, _) = desk.asked(&["inspect", "nulls.csv"], 0).await;
    assert!(
        out.contains("2 null (66.7 %)") && out.contains("1 null (33.3 %)"),
        "{out}"
    );
    let nearly: String = (0..3000).map(|n| format!("{n},\n")).collect();
    desk.lay("nearly.csv", &format!("id,a\n{nearly}3000,x\n"));
    let (out, _) = desk.asked(&["inspect", "nearly.csv"], 0).await;
    assert!(out.contains("3000 null (over 99.9 %)"), "{out}");
}

#[tokio::test]
async fn a_table_that_cannot_be_used_as_it_is_says_so() {
    let desk = Desk::new();
    desk.lay(
        "change.ndjson",
        "{\"id\":1,\"v\":\"a\"}\n{\"id\":2,\"v\":[1]}\n",
    );
    let asked = [
        "inspect",
        "change.ndjson",
        "--toml",
        "--set",
        "infer_rows=1",
    ];
    let (out, told) = desk.asked(&asked, 0).await;
    assert!(out.contains("on_error = \"null\""), "{out}");
    assert!(
        told.contains("not even text") && told.contains("actions read objects of S3 alone"),
        "{told}"
    );
    let (out, told) = desk
        .asked(&["inspect", "data/calls.csv", "--toml"], 0)
        .await;
    assert!(
        out.contains("encoding = \"utf-8\"") && !told.contains("not even text"),
        "{out}{told}"
    );
}

/// A table as many programs write it, and what its rows are.
struct Written {
    key: &'static str,
    bytes: Vec<u8>,
    set: &'static [&'static str],
    rows: Vec<Vec<Value>>,
}

fn rows() -> Vec<Vec<Value>> {
    vec![
        vec![
            json!(1),
            json!("+12025550142"),
            json!("Büro; \"A\""),
            json!(1200),
            json!("2026-11-01"),
        ],
        vec![
            json!(2),
            json!("+12025550143"),
            json!("a,b|c"),
            Value::Null,
            json!("2026-11-02"),
        ],
        vec![
            json!(3),
            json!("+12025550144"),
            json!("x'y\tz"),
            json!(-9),
            json!("2026-11-03"),
        ],
    ]
}

fn delimited(delimiter: &str, header: bool, quote: char) -> String {
    let mut text = String::new();
    if header {
        text += &["id", "ani", "queue", "ms", "day"].join(delimiter);
        text += "\r\n";
    }
    for row in rows() {
        let fields = row.iter().map(|value| match value {
            Value::Null => String::new(),
            Value::String(text) => {
                let inner = text.replace(quote, &format!("{quote}{quote}"));
                format!("{quote}{inner}{quote}")
            }
            other => other.to_string(),
        });
        text += &fields.collect::<Vec<_>>().join(delimiter);
        text += "\r\n";
    }
    text
}

fn objects() -> Vec<Value> {
    let names = ["id", "ani", "queue", "ms", "day"];
    let objects = rows().into_iter().map(|row| {
        let members = names
            .iter()
            .zip(row)
            .map(|(name, value)| ((*name).to_owned(), value));
        Value::Object(members.collect())
    });
    objects.collect()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn utf_16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

/// The files; all but the last hold the same rows.
fn written() -> Vec<Written> {
    let of = |key, bytes: Vec<u8>, set| Written {
        key,
        bytes,
        set,
        rows: rows(),
    };
    let lines: String = objects().iter().map(|row| format!("{row}\n")).collect();
    let late: String = (0..1500).map(|n| format!("{n},{n}\n")).collect();
    let latin = delimited(";", true, '"').replace('ü', "\u{0}");
    let latin = latin
        .into_bytes()
        .into_iter()
        .map(|byte| if byte == 0 { 0xfc } else { byte });
    let late_rows = (0..1500).map(|n| vec![json!(n), json!(n.to_string())]);
    vec![
        of("plain.csv", delimited(",", true, '"').into_bytes(), &[]),
        of("latin.txt", latin.collect(), &[]),
        of("tabs.tsv", delimited("\t", true, '"').into_bytes(), &[]),
        of("bare.dat", delimited("|", false, '"').into_bytes(), &[]),
        of(
            "excel.csv",
            format!("sep=;\r\n{}", delimited(";", true, '"')).into_bytes(),
            &[],
        ),
        of(
            "titled.csv",
            format!(
                "Report of calls\r\nmade in November\r\n\r\n{}",
                delimited(",", true, '"')
            )
            .into_bytes(),
            &[],
        ),
        of(
            "quoted.csv",
            delimited(",", true, '\'').into_bytes(),
            &["quote='"],
        ),
        of("wide.csv", utf_16(&delimited(",", true, '"')), &[]),
        of("packed.csv.gz", gzip(&delimited(",", true, '"')), &[]),
        of("lines.jsonl", lines.clone().into_bytes(), &[]),
        of("unnamed", lines.into_bytes(), &[]),
        of(
            "array.json",
            Value::from(objects()).to_string().into_bytes(),
            &[],
        ),
        of(
            "page.json",
            json!({ "total": 3, "entities": objects() })
                .to_string()
                .into_bytes(),
            &["json_pointer=/entities"],
        ),
        // Beyond the records that types are found from, a value is no number.
        Written {
            key: "late.csv",
            bytes: format!("n,code\n{late}1500,x\n").into_bytes(),
            set: &[],
            rows: late_rows.chain([vec![json!(1500), json!("x")]]).collect(),
        },
    ]
}

/// Two programs for each way in which a table may be written: it takes some seconds.
#[tokio::test]
async fn what_is_pasted_into_an_action_reads_the_same_rows() {
    let house = House::new().await;
    for (number, file) in written().iter().enumerate() {
        house.lay(file.key, &file.bytes);
        let uri = format!("s3://lake/exports/{}", file.key);
        let mut arguments = vec!["inspect", &uri, "--toml"];
        arguments.extend(file.set.iter().flat_map(|set| ["--set", set]));
        let output = house.run(&arguments).await;
        let block = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}: {block}", file.key);
        let name = block.lines().next().unwrap();
        let name = name.trim_start_matches("[tables.").trim_end_matches(']');
        house.action(&format!(
            "name = \"f-{number}\"\n{block}\n[limits]\nmax_rows = 10000\n[query]\nsql = 'SELECT * FROM {name}'\n"
        ));
    }
    let checked = house.told(&["check"], 0).await;
    for (number, file) in written().iter().enumerate() {
        assert!(checked.contains(&format!("\nf-{number}\n")), "{checked}");
        let action = format!("f-{number}");
        let rows = house.run(&["run", &action, "--format", "ndjson"]).await;
        let text = String::from_utf8(rows.stdout).unwrap();
        let found: Vec<Vec<Value>> = text
            .lines()
            .map(|line| {
                let row: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
                row.into_iter().map(|(_, value)| value).collect()
            })
            .collect();
        assert_eq!(found, file.rows, "{}", file.key);
    }
    let tail = house
        .told(&["audit", "tail", "--output", "jsonl", "-n", "1000"], 0)
        .await;
    let tail = tail.lines().filter(|line| line.starts_with('{'));
    let objects = tail.map(|line| record(line)["objects"][0]["bucket"].clone());
    assert!(objects.into_iter().all(|bucket| bucket == "lake"));
}

#[tokio::test]
async fn objects_are_guarded_described_and_priced() {
    let house = House::new().await;
    house.lay("calls/date=2026-11-01/a.csv", b"id,ms\n1,10\n2,20\n");
    house.lay("calls/date=2026-11-02/b.csv", b"id,ms\n3,30\n");
    let told = house
        .told(&["inspect", "s3://lake/exports/calls/"], 0)
        .await;
    for part in [
        "2 files of 27 B",
        "s3://lake/exports/calls/date=2026-11-01/a.csv",
        "partition    date date",
        "by all 3 rows",
        "date  date     no null, 2 distinct, 2026-11-01 to 2026-11-02",
        "What a query costs",
        "date = '2026-11-02'",
        "USD for a thousand",
        "from S3",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let told = house.told(&["inspect", "s3://lake/secret/x.csv"], 3).await;
    assert!(told.contains("policy.denied"), "{told}");
    let told = house
        .told(&["inspect", "s3://lake/exports/none.csv"], 4)
        .await;
    assert!(told.contains("s3.no_such_key"), "{told}");
    let told = house
        .told(&["inspect", "x.csv", "--set", "delimiters=;"], 2)
        .await;
    assert!(
        told.contains("delimiters") && told.contains("docs/tables.md"),
        "{told}"
    );
    let records = house.told(&["audit", "tail", "--output", "jsonl"], 0).await;
    let codes: Vec<_> = records
        .lines()
        .map(|line| record(line)["code"].clone())
        .collect();
    assert_eq!(codes, ["ok", "policy.denied", "s3.no_such_key"]);

    // Of Parquet, a query reads the columns that it names.
    let sql = "SELECT * FROM 's3://lake/exports/customers.csv'";
    house
        .told(&["sql", sql, "-o", "buckets/lake/exports/c.parquet"], 0)
        .await;
    let told = house
        .told(&["inspect", "s3://lake/exports/c.parquet"], 0)
        .await;
    for part in ["all columns", "count(*)", "the column `ani`", "parquet"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test]
async fn a_project_over_a_file_works_at_once() {
    let house = House::new().await;
    let desk = Desk::of(&house);
    house.lay(
        "calls.csv",
        b"id,ani,queue\n1,+12025550142,Sales\n2,+12025550143,Support\n",
    );
    let uri = "s3://lake/exports/calls.csv";
    let (out, _) = desk.asked(&["init", "mine", "--from", uri], 0).await;
    let commands: Vec<Vec<&str>> = out
        .lines()
        .filter_map(|line| Some(line.split_once("flowlake ")?.1.split(' ').collect()))
        .collect();
    assert_eq!(commands.len(), 3, "{out}");
    let (tested, _) = desk.asked(&commands[2], 0).await;
    assert!(tested.contains("2 cases: 2 passed"), "{tested}");
    let tests = std::fs::read_to_string(desk.path("mine/actions/calls.test.toml")).unwrap();
    assert!(!tests.contains("Sales"), "{tests}");
    assert!(desk.path("mine/.gitignore").exists());
    let (checked, _) = desk.asked(&commands[0], 0).await;
    assert!(
        checked.contains("✓ calls = s3://lake/exports/calls.csv"),
        "{checked}"
    );
    assert_eq!(commands[1][2..5], ["run", "calls", "--param"], "{out}");
    let (rows, _) = desk.asked(&commands[1], 0).await;
    assert!(
        rows.contains("Sales") && !rows.contains("Support"),
        "{rows}"
    );
    let action = std::fs::read_to_string(desk.path("mine/actions/calls.toml")).unwrap();
    assert!(
        action.contains("type = \"phone\"") && !action.contains("2025550142"),
        "{action}"
    );
    // Nothing but the file may be read.
    let other = "SELECT 1 FROM 's3://lake/exports/customers.csv'";
    let told = desk.refused(&["--config", "mine", "sql", other], 3).await;
    assert!(told.contains("policy.denied"), "{told}");
    // What is to be confirmed can be.
    desk.lay("flowlake.toml", "[policy]\nallow = [\"s3://lake/*\"]\n[access]\nmode = \"probe\"\n[confirm]\nabove_requests = 0\n");
    let told = desk.refused(&["init", "new", "--from", uri], 5).await;
    assert!(told.contains("Say --yes"), "{told}");
    let asked = ["init", "new", "--from", uri, "--yes", "--sample", "1"];
    desk.asked(&asked, 0).await;
    let told = desk.refused(&["init", "mine", "--from", uri], 2).await;
    assert!(
        told.contains("mine/flowlake.toml is there already"),
        "{told}"
    );
    let told = desk
        .refused(&["init", "other", "--from", "data/calls.csv"], 2)
        .await;
    assert!(told.contains("actions read objects of S3 alone"), "{told}");
    assert!(!desk.path("other").exists());
}

#[tokio::test]
async fn files_that_differ_are_each_read_as_they_are() {
    let house = House::new().await;
    let desk = Desk::of(&house);
    house.lay("mx/a.csv", "id,name\n1,Müller\n".as_bytes());
    house.lay("mx/b.csv", b"id;name\n2;M\xfcller\n");
    house.lay("mx/c.csv", b"Report\n\nid,name\n3,z\n");
    house.lay("mx/d.csv", b"");
    let uri = "s3://lake/exports/mx/";
    let (out, told) = desk.asked(&["init", "pm", "--from", uri], 0).await;
    let differ = "files differ in delimiter, encoding, skip_lines, which is left out";
    assert!(told.contains(differ), "{told}");
    assert!(out.contains("run mx"), "{out}");
    for (id, name) in [(1, "Müller"), (2, "Müller"), (3, "z")] {
        let id = format!("id={id}");
        let asked = [
            "--config", "pm", "run", "mx", "--param", &id, "--format", "csv",
        ];
        let (rows, _) = desk.asked(&asked, 0).await;
        assert!(
            rows.starts_with("id,name\n") && rows.contains(name),
            "{rows}"
        );
    }
    let (out, told) = desk.asked(&["inspect", uri, "--toml"], 0).await;
    assert!(
        told.contains(differ)
            && out.contains("format = \"csv\"\n")
            && out.contains("header = true\n")
            && !out.contains("delimiter"),
        "{told}{out}"
    );
    let (out, _) = desk.asked(&["inspect", uri], 0).await;
    for part in [
        "! files differ in delimiter, encoding, skip_lines:",
        "mx/a.csv: encoding = \"utf-8\", delimiter = \",\"\n",
        "mx/b.csv: encoding = \"windows-1252\", delimiter = \";\"\n",
        "mx/c.csv: encoding = \"utf-8\", delimiter = \",\", skip_lines = 2\n",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert!(!out.contains("  delimiter    "), "{out}");
    // What is declared is not left out.
    let asked = ["inspect", uri, "--toml", "--set", "delimiter=;"];
    let (out, _) = desk.asked(&asked, 0).await;
    assert!(out.contains("delimiter = \";\"\n"), "{out}");
}

#[tokio::test]
async fn names_that_sql_and_shells_would_trip_over() {
    let house = House::new().await;
    let desk = Desk::of(&house);
    house.lay("sp ace [1].csv", b"id\n7\n");
    let glob = "s3://lake/exports/sp ace [[]1].csv";
    desk.asked(&["init", "glob", "--from", glob], 0).await;
    let (rows, _) = desk
        .asked(&["--config", "glob", "sql", &format!("FROM '{glob}'")], 0)
        .await;
    assert!(rows.contains('7'), "{rows}");
    house.lay(
        "Select 1.csv",
        b"Order By,\"it's \"\"it\"\"\"\nit's a,1.5\nb,2.5\n",
    );
    let (out, _) = desk
        .asked(
            &["init", "odd", "--from", "s3://lake/exports/Select 1.csv"],
            0,
        )
        .await;
    let run = out.lines().last().unwrap().trim();
    let (_, param) = run.split_once(" --param ").unwrap();
    assert_eq!(param, "order_by='it'\\''s a'", "{out}");
    desk.asked(&["--config", "odd", "check"], 0).await;
    let asked = [
        "--config",
        "odd",
        "run",
        "select-1",
        "--param",
        "order_by=it's a",
    ];
    let (rows, _) = desk.asked(&asked, 0).await;
    assert!(rows.contains("1.5") && !rows.contains("2.5"), "{rows}");
}

#[tokio::test]
async fn a_name_that_is_nearly_right_gives_a_hint() {
    let house = House::new().await;
    house.lay("calls/a.csv", b"id\n1\n");
    let sql = |uri: &str| format!("SELECT 1 FROM '{uri}'");
    for (uri, hint) in [
        ("s3://lake/exports/calls", "`s3://lake/exports/calls/`"),
        (
            "s3://lake/exports/B%C3%BCro%201.csv",
            "`s3://lake/exports/Büro 1.csv`",
        ),
        ("s3://lake/exports/B%C3%BCro/", "`s3://lake/exports/Büro/`"),
        ("nowhere/calls", "nowhere/calls/`"),
    ] {
        let told = house.told(&["sql", &sql(uri)], 4).await;
        assert!(told.contains(hint), "{uri}: {told}");
    }
    let told = house
        .told(&["sql", &sql("s3://lake/exports/none.csv")], 4)
        .await;
    assert!(
        !told.contains("write a `/`") && !told.contains("did you mean"),
        "{told}"
    );
}

#[tokio::test]
async fn explanations_have_no_types_of_the_engine() {
    let house = House::new().await;
    let sql = "SELECT arrow_cast(calls, 'Int32') AS n, arrow_cast(spent, 'Float32') AS f, \
        arrow_cast('2026-01-01 00:00:00.5', 'Timestamp(ns)') AS at, arrow_cast(name, 'LargeUtf8') AS name, \
        arrow_cast(calls, 'UInt8') AS small FROM 's3://lake/exports/customers.csv'";
    house
        .told(&["sql", sql, "-o", "buckets/lake/exports/t.parquet"], 0)
        .await;
    house.action(
        "name = \"typed\"\n[tables.t]\nuri = \"s3://lake/exports/t.parquet\"\n[query]\nsql = \"SELECT *, named_struct('a', n) AS o, [small] AS l FROM t\"\n",
    );
    for command in ["check", "explain"] {
        let told = house.told(&[command, "typed"], 0).await;
        for kind in ["Int", "Utf8", "Float", "Timestamp", "Struct", "List"] {
            assert!(!told.contains(kind), "{kind}: {told}");
        }
        for kind in [
            "n integer (32 bits)",
            "at timestamp(ns)",
            "small integer (8 bits, unsigned)",
            "o object (a integer (32 bits))",
            "l list of integer (8 bits, unsigned)",
        ] {
            assert!(told.contains(kind), "{kind}: {told}");
        }
    }
    let told = house.told(&["explain", "all"], 0).await;
    assert!(
        told.contains("all of their 1") && !told.contains("at most 142"),
        "{told}"
    );
}
