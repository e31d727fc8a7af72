//! Files that do not behave: each gives the rows that it should, or the error that it should; never a panic, a hang or a
//! wrong row.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{io::Write, sync::Arc, time::Duration};

use crate::lake::Lake;
use datafusion::arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    ipc::{
        CompressionType,
        writer::{IpcWriteOptions, StreamWriter},
    },
};
use flowlake_transform::ErrorKind::{
    self, InvalidSpec, MalformedData, NoMatchingFiles, UnknownColumn,
};
use serde_json::{Value, json};

enum Expected {
    Rows(Value),
    Error(ErrorKind, &'static str),
}
use Expected::{Error, Rows};

struct Hostile {
    name: &'static str,
    key: &'static str,
    content: Vec<u8>,
    with: Value,
    sql: &'static str,
    expected: Expected,
}

fn case(
    name: &'static str,
    key: &'static str,
    content: impl Into<Vec<u8>>,
    expected: Expected,
) -> Hostile {
    Hostile {
        name,
        key,
        content: content.into(),
        with: json!({}),
        sql: "SELECT * FROM t",
        expected,
    }
}

impl Hostile {
    fn with(self, with: Value) -> Self {
        Self { with, ..self }
    }

    fn sql(self, sql: &'static str) -> Self {
        Self { sql, ..self }
    }
}

async fn check(cases: Vec<Hostile>) {
    for hostile in cases {
        let mut lake = Lake::of(hostile.key, hostile.content).await;
        for (key, value) in hostile.with.as_object().unwrap() {
            lake = lake.with(key, value.clone());
        }
        let ended = tokio::time::timeout(Duration::from_secs(60), lake.run(hostile.sql)).await;
        let result = ended.unwrap_or_else(|_| panic!("{} hangs", hostile.name));
        match (result, hostile.expected) {
            (Ok((rows, _)), Rows(expected)) => assert_eq!(rows, expected, "{}", hostile.name),
            (Err(error), Error(kind, part)) => {
                assert_eq!(error.kind(), kind, "{}: {error}", hostile.name);
                assert!(
                    error.to_string().contains(part),
                    "{}: {error}",
                    hostile.name
                );
            }
            (Ok((rows, _)), Error(kind, _)) => panic!("{}: {rows} and not {kind:?}", hostile.name),
            (Err(error), Rows(_)) => panic!("{}: {error} ({:?})", hostile.name, error.kind()),
        }
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[expect(clippy::too_many_lines, reason = "one table of cases")]
#[tokio::test]
async fn delimited_text() {
    let one = |value: Value| Rows(json!([{ "a": value }]));
    let long = "x".repeat(1 << 20);
    check(vec![
        case(
            "too many fields",
            "t.csv",
            "a,b\n1,2\n1,2,3\n",
            Error(MalformedData, "line 3 has 3 fields and 2"),
        ),
        case(
            "too few fields",
            "t.csv",
            "a,b\n1,2\n1\n",
            Error(MalformedData, "line 3 has 1 field and 2"),
        ),
        case(
            "quote in the middle",
            "t.csv",
            "a,b\nx\"y,2\n",
            Rows(json!([{ "a": "x\"y", "b": 2 }])),
        ),
        case(
            "text after a closing quote",
            "t.csv",
            "a,b\n\"x\"y,2\n",
            Error(MalformedData, "line 2 has text after a closing quote"),
        ),
        case(
            "quote never closed",
            "t.csv",
            "a,b\n1,\"2\n3,4\n",
            Error(MalformedData, "line 2 is never closed"),
        ),
        case(
            "quote never closed, skipping",
            "t.csv",
            "a,b\n1,\"2\n3,4\n",
            Error(MalformedData, "never closed"),
        )
        .with(json!({ "on_error": "skip" })),
        case("NUL in a field", "t.csv", "a\nx\0y\n", one(json!("x\0y"))),
        case(
            "1 MB field",
            "t.csv",
            format!("a,b\n1,{long}\n"),
            Rows(json!([{ "n": 1_048_576 }])),
        )
        .sql("SELECT length(b) AS n FROM t"),
        case(
            "1 MB field in quotes with lines",
            "t.csv",
            format!("a,b\n1,\"{}\"\nz,2\n", "y\n".repeat(1 << 19)),
            Error(MalformedData, "line 524291, column 1"),
        )
        .with(json!({ "columns": { "a": "integer", "b": "string" } })),
        case("header only", "t.csv", "a,b\n", Rows(json!([]))),
        case("header without a line end", "t.csv", "a,b", Rows(json!([]))),
        case(
            "empty file",
            "t.csv",
            "",
            Error(NoMatchingFiles, "no file with columns"),
        ),
        case(
            "only line ends",
            "t.csv",
            "\n\r\n\n",
            Error(NoMatchingFiles, "no file with columns"),
        ),
        case(
            "lone byte order mark",
            "t.csv",
            "\u{feff}",
            Error(NoMatchingFiles, "no file with columns"),
        ),
        case(
            "byte order mark before a quote",
            "t.csv",
            "\u{feff}\"a\"\n1\n",
            one(json!(1)),
        ),
        case(
            "duplicate headers",
            "t.csv",
            "a,a,a_1,a\n1,2,3,4\n",
            Rows(json!([{ "a": 1, "a_2": 2, "a_1": 3, "a_3": 4 }])),
        ),
        case(
            "unnamed headers",
            "t.csv",
            "a,, \n1,2,3\n",
            Rows(json!([{ "a": 1, "column_2": 2, "column_3": 3 }])),
        ),
        case(
            "mixed line ends",
            "t.csv",
            "a,b\r\n1,2\n3,4\r5,6\r\n",
            Rows(json!([{ "s": 9, "n": 3 }])),
        )
        .sql("SELECT sum(a) AS s, count(*) AS n FROM t"),
        case(
            "blank lines between",
            "t.csv",
            "a,b\n\n1,2\n\n\n",
            Rows(json!([{ "a": 1, "b": 2 }])),
        ),
        case(
            "no last line end",
            "t.csv",
            "a\n1\n2",
            Rows(json!([{ "a": 1 }, { "a": 2 }])),
        ),
        case(
            "huge integer",
            "t.csv",
            format!("a\n{}\n", "9".repeat(60)),
            one(json!("9".repeat(60))),
        ),
        case(
            "integer that does not fit",
            "t.csv",
            format!("a\n{}\n", "9".repeat(30)),
            Error(MalformedData, "holds a very large integer and is integer"),
        )
        .with(json!({ "columns": { "a": "integer" } })),
        case(
            "number beyond a double",
            "t.csv",
            "a\n1e999\n",
            Error(MalformedData, "holds a number and is float"),
        )
        .with(json!({ "columns": { "a": "float" } })),
        case(
            "NaN where it is declared a number",
            "t.csv",
            "a\nNaN\n",
            one(json!(null)),
        )
        .with(json!({ "columns": { "a": "float" } })),
        case(
            "bytes of another encoding late in the file",
            "t.csv",
            [
                format!("a\n{}", "x\n".repeat(200_000)).into_bytes(),
                b"caf\xe9\n".to_vec(),
            ]
            .concat(),
            Error(
                MalformedData,
                "line 200002, column 1 (`a`) holds bytes that are no UTF-8",
            ),
        ),
        case(
            "UTF-16 of odd length",
            "t.csv",
            [b"\xff\xfea\0\n\0\x31\0\n\0".to_vec(), b"2".to_vec()].concat(),
            Error(MalformedData, "is not valid UTF-16LE"),
        ),
        case(
            "lone surrogate in UTF-16",
            "t.csv",
            b"\xff\xfea\0\n\0\x00\xd8\n\0".to_vec(),
            Error(MalformedData, "is not valid UTF-16LE"),
        ),
        case(
            "header that names nothing declared",
            "t.csv",
            "x,y\n1,2\n",
            Error(MalformedData, "names none of the table's columns"),
        )
        .with(json!({ "columns": { "a": "integer" } })),
        case(
            "column that no file has",
            "t.csv",
            "a\n1\n",
            Error(UnknownColumn, "no column `b`"),
        )
        .sql("SELECT b FROM t"),
        case(
            "binary named csv",
            "t.csv",
            b"PAR1 but not Parquet".to_vec(),
            Error(MalformedData, "not valid Parquet"),
        ),
        case(
            "an unknown format",
            "t",
            "one\ntwo\n",
            Error(InvalidSpec, "set `format`"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn five_thousand_columns() {
    let names: Vec<_> = (0..5000).map(|column| format!("c{column}")).collect();
    let row: Vec<_> = (0..5000).map(|column| column.to_string()).collect();
    let csv = format!(
        "{}\n{}\n{}\n",
        names.join(","),
        row.join(","),
        row.join(",")
    );
    let members: Vec<_> = names
        .iter()
        .zip(&row)
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    let object = format!("{{{}}}", members.join(","));
    let expected = json!([{ "s": 9998, "f": 0 }]);
    let sql = "SELECT sum(c4999) AS s, min(c0) AS f FROM t";
    check(vec![
        case("5,000 columns of CSV", "t.csv", csv, Rows(expected.clone())).sql(sql),
        case(
            "5,000 columns of JSON",
            "t.ndjson",
            format!("{object}\n{object}\n"),
            Rows(expected),
        )
        .sql(sql),
    ])
    .await;
}

#[tokio::test]
async fn compressed_and_binary_files() {
    let zipped = gzip(b"a,b\n1,2\n");
    let mut flipped = gzip("a,b\n1,2\n".repeat(5000).as_bytes());
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let mut parquet = b"PAR1".to_vec();
    parquet.extend([0xff; 40]);
    parquet.extend([0xff, 0xff, 0xff, 0x7f]);
    parquet.extend(b"PAR1");
    check(vec![
        case(
            "truncated gzip",
            "t.csv.gz",
            &zipped[..zipped.len() - 9],
            Error(MalformedData, "is not valid gzip, or is cut off"),
        ),
        case(
            "gzip header alone",
            "t.csv.gz",
            &zipped[..8],
            Error(MalformedData, "is not valid gzip, or is cut off"),
        ),
        case(
            "gzip with a flipped byte",
            "t.csv.gz",
            flipped,
            Error(MalformedData, ""),
        ),
        case(
            "text after gzip",
            "t.csv.gz",
            [zipped.clone(), b"junk".to_vec()].concat(),
            Error(MalformedData, "is not valid gzip"),
        ),
        case(
            "gzip of nothing",
            "t.csv.gz",
            gzip(b""),
            Error(NoMatchingFiles, "no file with columns"),
        ),
        case(
            "gzip in gzip",
            "t.csv.gz",
            gzip(&zipped),
            Error(MalformedData, ""),
        ),
        case(
            "Parquet in gzip",
            "t.parquet.gz",
            gzip(b"PAR1"),
            Error(MalformedData, ""),
        ),
        case(
            "corrupt Parquet",
            "t.parquet",
            parquet,
            Error(MalformedData, "not valid Parquet"),
        ),
        case(
            "Parquet too short",
            "t.parquet",
            b"PAR1".to_vec(),
            Error(MalformedData, "not valid Parquet"),
        ),
        case(
            "corrupt Avro",
            "t.avro",
            b"Obj\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(),
            Error(MalformedData, "not valid Avro"),
        ),
        case(
            "Avro of magic alone",
            "t.avro",
            b"Obj\x01".to_vec(),
            Error(MalformedData, "not valid Avro"),
        ),
        case(
            "corrupt Arrow",
            "t.arrow",
            b"ARROW1\0\0\xff\xff\xff\xff\x10\0\0\0garbagegarbagegarbage".to_vec(),
            Error(MalformedData, "not valid Arrow"),
        ),
        case(
            "Arrow of magic alone",
            "t.arrow",
            b"ARROW1\0\0".to_vec(),
            Error(MalformedData, "not valid Arrow"),
        ),
    ])
    .await;
}

#[expect(clippy::too_many_lines, reason = "one table of cases")]
#[tokio::test]
async fn json() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    check(vec![
        case(
            "deep JSON in an array",
            "t.json",
            format!("[{{\"a\":1,\"b\":{}}}]", deep(100_000)),
            Error(MalformedData, "nested deeper than 128"),
        ),
        case(
            "deep JSON in lines",
            "t.ndjson",
            format!("{{\"a\":1,\"b\":{}}}\n", deep(100_000)),
            Error(MalformedData, "nested deeper than 128"),
        )
        .with(json!({ "columns": { "a": "integer" } })),
        case(
            "brackets never closed",
            "t.json",
            "[".repeat(200_000),
            Error(MalformedData, "nested deeper"),
        ),
        case(
            "duplicate keys",
            "t.ndjson",
            "{\"a\":1,\"a\":2}\n{\"a\":3}\n",
            Rows(json!([{ "a": 2 }, { "a": 3 }])),
        ),
        case(
            "NaN",
            "t.ndjson",
            "{\"a\":1}\n{\"a\":NaN}\n",
            Error(
                MalformedData,
                "line 2, column 6 is not valid JSON: a value was expected",
            ),
        ),
        case(
            "huge number",
            "t.ndjson",
            "{\"a\":1e999}\n",
            Rows(json!([{ "a": "1e999" }])),
        ),
        case(
            "huge number later",
            "t.ndjson",
            "{\"a\":1.5}\n{\"a\":1e999}\n",
            Error(MalformedData, ""),
        )
        .with(json!({ "columns": { "a": "integer" } })),
        case(
            "integers beyond 64 bits",
            "t.ndjson",
            "{\"a\":123456789012345678901234567890}\n",
            Rows(json!([{ "a": "123456789012345678901234567890" }])),
        )
        .sql("SELECT CAST(a AS VARCHAR) AS a FROM t"),
        case(
            "mixed types",
            "t.ndjson",
            "{\"a\":1}\n{\"a\":\"x\"}\n{\"a\":true}\n",
            Rows(json!([{ "a": "1" }, { "a": "x" }, { "a": "true" }])),
        ),
        case(
            "object where a number was",
            "t.ndjson",
            "{\"a\":1}\n{\"a\":{\"b\":2}}\n",
            Error(
                MalformedData,
                "line 2, column `a` holds an object and is integer",
            ),
        ),
        case(
            "rows that are no objects",
            "t.json",
            "[{\"a\":1},2]",
            Error(MalformedData, "line 1 holds an integer where an object"),
        ),
        case(
            "cut off array",
            "t.json",
            "[{\"a\":1},{\"a\":2}",
            Error(
                MalformedData,
                "the JSON ends at line 1, column 17, inside the value of line 1: a comma or `]` was expected",
            ),
        ),
        case(
            "text after the array",
            "t.json",
            "[{\"a\":1}] {\"a\":2}",
            Error(
                MalformedData,
                "line 1, column 11 is not valid JSON: nothing more was expected",
            ),
        ),
        case(
            "two arrays",
            "t.json",
            "[{\"a\":1}][{\"a\":2}]",
            Error(
                MalformedData,
                "is not valid JSON: nothing more was expected",
            ),
        ),
        case(
            "brackets borrowed from the next line",
            "t.ndjson",
            "{\"a\":1}{\"a\":2}\n{\"a\":\n3}\n",
            Error(
                MalformedData,
                "is not valid JSON: nothing more was expected",
            ),
        )
        .with(json!({ "columns": { "a": "integer" } })),
        case(
            "empty array",
            "t.json",
            "[]",
            Error(NoMatchingFiles, "no file with columns"),
        ),
        case(
            "empty array with declared columns",
            "t.json",
            "[]",
            Rows(json!([])),
        )
        .with(json!({ "columns": { "a": "integer" } })),
        case(
            "null rows",
            "t.json",
            "[{\"a\":null},{}]",
            Rows(json!([{ "a": null }, { "a": null }])),
        ),
        case(
            "escaped NUL",
            "t.ndjson",
            "{\"a\":\"x\\u0000y\"}\n",
            Rows(json!([{ "a": "x\0y" }])),
        ),
        case(
            "lone surrogate",
            "t.ndjson",
            "{\"a\":\"\\ud800\"}\n",
            Error(MalformedData, ""),
        ),
        case(
            "bytes that are no UTF-8",
            "t.ndjson",
            [
                b"{\"a\":1}\n".repeat(60_000),
                b"{\"a\":\"\xff\"}\n".to_vec(),
            ]
            .concat(),
            Error(MalformedData, "line 60001"),
        ),
        case(
            "1 MB string",
            "t.ndjson",
            format!("{{\"a\":\"{}\"}}\n", "x".repeat(1 << 20)),
            Rows(json!([{ "n": 1_048_576 }])),
        )
        .sql("SELECT length(a) AS n FROM t"),
    ])
    .await;
}

/// 80 MiB of zeros in gzip: refused as one record, in the memory that one record may take.
#[tokio::test]
async fn a_decompression_bomb_is_refused() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(b"a,b\n1,").unwrap();
    for _ in 0..80 {
        encoder.write_all(&vec![b'0'; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 200_000);
    check(vec![
        case(
            "bomb",
            "t.csv.gz",
            bomb,
            Error(MalformedData, "larger than 64 MiB"),
        )
        .with(json!({ "columns": { "a": "integer", "b": "string" } })),
    ])
    .await;
}

fn arrow_stream(compression: Option<CompressionType>) -> Vec<u8> {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
    let batch = RecordBatch::try_from_iter([("a", values)]).unwrap();
    let options = IpcWriteOptions::default();
    let options = options.try_with_compression(compression).unwrap();
    let mut writer =
        StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn arrow_that_says_it_has_more_than_it_has() {
    let saying = |bytes: Vec<u8>, number: i64, other: i64| {
        let (number, other) = (number.to_le_bytes(), other.to_le_bytes());
        let mut changed = bytes.clone();
        let mut found = 0;
        for place in 0..bytes.len() - 8 {
            if bytes[place..place + 8] == number {
                changed[place..place + 8].copy_from_slice(&other);
                found += 1;
            }
        }
        assert!(found > 0);
        changed
    };
    let plain = || arrow_stream(None);
    let count = "SELECT count(*) AS n FROM t";
    let mut cases = vec![
        case("whole", "t.arrow", plain(), Rows(json!([{ "n": 1000 }]))).sql(count),
        case(
            "a body of a terabyte",
            "t.arrow",
            saying(plain(), 8000, 1 << 40),
            Error(MalformedData, "larger than 128 MiB"),
        )
        .sql(count),
        case(
            "a negative body",
            "t.arrow",
            saying(plain(), 8000, -8),
            Error(MalformedData, "not valid Arrow"),
        )
        .sql(count),
        case(
            "a million million rows",
            "t.arrow",
            saying(plain(), 1000, 1 << 40),
            Error(MalformedData, "not valid Arrow"),
        )
        .sql(count),
        case(
            "a description of gigabytes",
            "t.arrow",
            [&[0xff; 4][..], &0x7fff_ffff_u32.to_le_bytes(), &[0; 100]].concat(),
            Error(MalformedData, "not valid Arrow"),
        )
        .sql(count),
    ];
    for compression in [CompressionType::LZ4_FRAME, CompressionType::ZSTD] {
        let packed = || arrow_stream(Some(compression));
        cases.push(case("packed", "t.arrow", packed(), Rows(json!([{ "n": 1000 }]))).sql(count));
        cases.push(
            case(
                "a buffer of a terabyte",
                "t.arrow",
                saying(packed(), 8000, 1 << 40),
                Error(MalformedData, "larger than 128 MiB"),
            )
            .sql(count),
        );
    }
    check(cases).await;
}
