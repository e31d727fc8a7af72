//! What is no file of rows, or not all of one; empty fields; moments in names of folders. Cold and from memory.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::sync::Arc;

use flowlake_transform::arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    ipc::writer::StreamWriter,
};
use serde_json::json;

use crate::{
    readers::{Case, case, check},
    support::{lake::Lake, parquet},
};

const ROWS: &[u8] = b"a,b\n1,2\n3,4\n";

/// Bytes, and rows behind them: what is in an archive that is not compressed.
fn with_rows(head: &[u8]) -> Vec<u8> {
    [head, ROWS].concat()
}

fn tar() -> Vec<u8> {
    let mut tar = b"calls.csv".to_vec();
    tar.resize(257, 0);
    tar.extend_from_slice(b"ustar\x0000");
    tar.resize(512, 0);
    with_rows(&tar)
}

#[tokio::test]
async fn archives_and_other_compressions_are_refused_by_their_names() {
    let gzipped = gzip(&tar());
    let of = |file: &'static str, content: Vec<u8>, says: &'static str| {
        [
            case(
                file,
                content.clone(),
                "",
                "SELECT * FROM t LIMIT 2",
                Err(says),
            ),
            case(
                file,
                content,
                "on_error = \"null\"",
                "SELECT count(*) AS n FROM t",
                Err(says),
            ),
        ]
    };
    let mut cases: Vec<Case> = [
        of(
            "a.csv",
            with_rows(b"PK\x03\x04\x14\x00\x00\x00\x00\x00"),
            "is a ZIP archive",
        ),
        of(
            "a.zip",
            with_rows(b"PK\x03\x04\x14\x00\x00\x00\x00\x00"),
            "is a ZIP archive",
        ),
        of(
            "a.xlsx",
            with_rows(b"PK\x03\x04\x14\x00\x06\x00\x08\x00"),
            "a workbook of Excel",
        ),
        of(
            "a.csv",
            with_rows(b"\x04\x22\x4d\x18\x64\x40\xa7"),
            "is compressed with LZ4",
        ),
        of(
            "a.csv.lz4",
            with_rows(b"\x04\x22\x4d\x18\x64\x40\xa7"),
            "is compressed with LZ4",
        ),
        of(
            "a.csv.lzma",
            with_rows(b"\x5d\x00\x00\x80\x00"),
            "is compressed with LZMA",
        ),
        of(
            "a.csv.br",
            with_rows(b"\x0b\x05\x80"),
            "is compressed with brotli",
        ),
        of(
            "a.ndjson.sz",
            with_rows(b"\xff\x06\x00\x00sNaPpY"),
            "is compressed with Snappy",
        ),
        of(
            "a.csv.Z",
            with_rows(b"\x1f\x9d\x90"),
            "is compressed with compress",
        ),
        of(
            "a.csv",
            with_rows(b"7z\xbc\xaf\x27\x1c\x00\x04"),
            "is a 7z archive",
        ),
        of("a.csv", tar(), "is a tar archive"),
        of("a.tar.gz", gzipped.clone(), "is a tar archive inside gzip"),
        of("a.csv.gz", gzipped, "is a tar archive inside gzip"),
    ]
    .into_iter()
    .flatten()
    .collect();
    // What only has such a name is read when the table says so.
    let sum = "SELECT sum(a) AS a FROM t";
    let plain = "format = \"csv\"\ncompression = \"none\"";
    cases.push(case("a.csv.br", ROWS, plain, sum, Ok(json!([{ "a": 4 }]))));
    cases.push(case(
        "a.csv",
        &b"PK,b\n1,2\n"[..],
        "",
        "SELECT * FROM t",
        Ok(json!([{ "PK": 1, "b": 2 }])),
    ));
    check(cases).await;
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn files_without_a_line_left_say_so() {
    check(vec![case(
        "a.csv",
        &b"a,b\n"[..],
        "footer_lines = 1",
        "SELECT * FROM t",
        Err("has no header: all of its lines are in front of the table or behind it"),
    )])
    .await;
}

/// An Arrow stream of one batch for each of the numbers.
fn stream(numbers: &[i64]) -> Vec<u8> {
    let batch = |number: &i64| {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![*number]));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    };
    let mut writer = StreamWriter::try_new(Vec::new(), &batch(&0).schema()).unwrap();
    for number in numbers {
        writer.write(&batch(number)).unwrap();
    }
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn arrow_that_may_be_cut_off_is_an_error() {
    let whole = stream(&[1, 2, 3]);
    let mark = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    let unmarked = whole.strip_suffix(&mark).unwrap().to_vec();
    let file = [&b"ARROW1\0\0"[..], &whole, &b"footer\x06\0\0\0ARROW1"[..]].concat();
    let longer = [&file[..], b"more"].concat();
    let sql = "SELECT sum(n) AS n FROM t";
    let sum = Ok(json!([{ "n": 6 }]));
    check(vec![
        case("a.arrows", whole, "", sql, sum.clone()),
        case("a.arrows", unmarked, "", sql, Err("has no mark of its end")),
        case("a.arrow", file.clone(), "", sql, sum),
        case(
            "a.arrow",
            longer,
            "",
            sql,
            Err("does not end as an Arrow file does"),
        ),
        case(
            "a.arrow",
            &file[..file.len() - 3],
            "",
            sql,
            Err("does not end as an Arrow file does"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn an_empty_field_in_quotes_is_empty_text() {
    let csv = "id,text,n\n1,\"\",\"\"\n2,,\n3,x,7\n4,\"a\"\"b\",8\n";
    let all = "SELECT id, text, n FROM t ORDER BY id";
    let rows = |first: serde_json::Value| {
        Ok(json!([
            { "id": 1, "text": first, "n": null },
            { "id": 2, "text": null, "n": null },
            { "id": 3, "text": "x", "n": 7 },
            { "id": 4, "text": "a\"b", "n": 8 },
        ]))
    };
    // Last of a record, with another delimiter, and where a chunk is not regular.
    let others = "\u{feff}id||text\r\n1||\"\"\r\n2||\r\n3||\"\"";
    let odd = "id,text\n1,\"\"\n2,\n3,a\"b\n";
    let nulls = "SELECT count(*) AS n, count(text) AS t FROM t";
    check(vec![
        case("a.csv", csv, "", all, rows(json!(""))),
        case("a.csv", csv, "on_error = \"null\"", all, rows(json!(""))),
        case(
            "a.csv",
            csv,
            "null_values = ['', '\"\"']",
            all,
            rows(json!(null)),
        ),
        case(
            "a.csv",
            csv,
            "",
            "SELECT id FROM t WHERE text = ''",
            Ok(json!([{ "id": 1 }])),
        ),
        case(
            "a.csv",
            csv,
            "",
            "SELECT id FROM t WHERE text IS NULL",
            Ok(json!([{ "id": 2 }])),
        ),
        case(
            "a.csv",
            others,
            "delimiter = '||'",
            nulls,
            Ok(json!([{ "n": 3, "t": 2 }])),
        ),
        case("a.csv", odd, "", nulls, Ok(json!([{ "n": 3, "t": 2 }]))),
    ])
    .await;
}

#[tokio::test]
async fn moments_in_names_of_folders_are_read_as_in_files() {
    let lake = |segment: &str, kind: &str| {
        Lake::new()
            .file(&format!("at={segment}/a.csv"), "id\n1\n")
            .table(&format!("partitions = {{ at = \"{kind}\" }}"))
            .in_one_folder()
    };
    for (segment, kind, value) in [
        ("2026-01-05T10%3A30", "timestamp", "2026-01-05T10:30:00"),
        ("2026-01-05 10%3A30", "timestamp", "2026-01-05T10:30:00"),
        (
            "2026-01-05T10%3A30%3A00.5",
            "timestamp",
            "2026-01-05T10:30:00.500",
        ),
        ("2026-01-05", "timestamp", "2026-01-05T00:00:00"),
        ("2026-1-5", "date", "2026-01-05"),
    ] {
        let told = lake(segment, kind).ask(&["SELECT at FROM t"]).await;
        assert_eq!(told, [Ok(json!([{ "at": value }]))], "{segment}");
    }
    for (segment, kind) in [
        ("2026-01-05T10%3A30%3A00.1234567", "timestamp"),
        ("2026-01-05T10%3A30%3A00.5", "timestamp(s)"),
        ("yesterday", "timestamp"),
    ] {
        let told = lake(segment, kind).ask(&["SELECT at FROM t"]).await;
        let (code, message) = told[0].as_ref().unwrap_err();
        assert_eq!(code.as_str(), "data.malformed", "{segment}");
        assert!(message.contains("as `partitions` declares it"), "{message}");
    }
}

#[tokio::test]
async fn what_is_no_parquet_beside_parquet_is_named() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let parquet = parquet::file(&[("id", numbers)]);
    let told = Lake::new()
        .file("a.parquet", parquet)
        .file("c.ndjson", "{\"id\":2}\n")
        .ask(&["SELECT id FROM t"])
        .await;
    let (code, message) = told[0].as_ref().unwrap_err();
    assert_eq!(code.as_str(), "data.malformed", "{message}");
    assert!(
        message.contains("c.ndjson is not valid Parquet, which other files of the table"),
        "{message}"
    );
}
