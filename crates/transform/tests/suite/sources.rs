//! Which files a table reads and how: formats, compressions, encodings, partitions, drift, policies, requests.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{io::Write, sync::Arc};

use crate::lake::Lake;
use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use datafusion::arrow::{
    array::{Int32Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
    ipc::writer::{FileWriter, StreamWriter},
};
use flowlake_transform::ErrorKind;
use serde_json::json;
use tokio::io::AsyncWriteExt;

const ROWS: &str = "a,b\n1,x\n2,\n";

fn rows() -> serde_json::Value {
    json!([{ "a": 1, "b": "x" }, { "a": 2, "b": null }])
}

macro_rules! compressed {
    ($encoder:ident, $text:expr) => {{
        let mut encoder = $encoder::new(Vec::new());
        encoder.write_all($text.as_bytes()).await.unwrap();
        encoder.shutdown().await.unwrap();
        encoder.into_inner()
    }};
}

/// The text in two members, frames or streams, by each compression.
async fn in_two_members(first: &str, second: &str) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "gz",
            [
                compressed!(GzipEncoder, first),
                compressed!(GzipEncoder, second),
            ]
            .concat(),
        ),
        (
            "zst",
            [
                compressed!(ZstdEncoder, first),
                compressed!(ZstdEncoder, second),
            ]
            .concat(),
        ),
        (
            "bz2",
            [
                compressed!(BzEncoder, first),
                compressed!(BzEncoder, second),
            ]
            .concat(),
        ),
        (
            "xz",
            [
                compressed!(XzEncoder, first),
                compressed!(XzEncoder, second),
            ]
            .concat(),
        ),
    ]
}

#[tokio::test]
async fn compressions_are_found_by_name_or_magic_and_read_to_their_last_member() {
    for (ending, bytes) in in_two_members("a,b\n1,x\n", "2,\n").await {
        for key in [
            format!("t.csv.{ending}"),
            "t.csv".to_owned(),
            "t".to_owned(),
        ] {
            let lake = Lake::of(&key, bytes.clone()).await;
            assert_eq!(lake.rows("SELECT * FROM t").await, rows(), "{key}");
            let info = lake.info().await.unwrap();
            assert_ne!(info.compression, "none");
            let cut = Lake::of(&key, bytes[..bytes.len() - 3].to_vec()).await;
            let error = cut.error("SELECT * FROM t").await;
            assert_eq!(error.kind(), ErrorKind::MalformedData, "{key} {error}");
        }
    }
    let plain = Lake::of("t.csv.gz", ROWS).await;
    assert_eq!(
        plain.error("SELECT * FROM t").await.kind(),
        ErrorKind::MalformedData
    );
    let told = Lake::of("t.csv.gz", ROWS)
        .await
        .with("compression", json!("none"));
    assert_eq!(told.rows("SELECT * FROM t").await, rows());
}

#[tokio::test]
async fn many_members_over_many_pieces_are_all_read() {
    let mut all = Vec::new();
    for part in 0..200 {
        let text: String = (0..500)
            .map(|row| format!("{},{}\n", part * 500 + row, "é".repeat(20)))
            .collect();
        let text = if part == 0 {
            format!("n,t\n{text}")
        } else {
            text
        };
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        encoder.write_all(text.as_bytes()).unwrap();
        all.extend(encoder.finish().unwrap());
    }
    assert!(all.len() > 4 << 20);
    let lake = Lake::of("t.csv.gz", all).await;
    assert_eq!(
        lake.rows("SELECT count(*) AS c, sum(n) AS s, min(length(t)) AS l FROM t")
            .await,
        json!([{ "c": 100_000, "s": 4_999_950_000_u64, "l": 20 }])
    );
}

#[tokio::test]
async fn delimiters_headers_and_types_are_found() {
    let cases = [
        ("t.csv", "a;b\n1;x\n2;\n", Some(";"), Some(true)),
        ("t.txt", "a|b\n1|x\n2|\n", Some("|"), Some(true)),
        ("t.tsv", "a\tb\n1\tx\n2\t\n", Some("\t"), Some(true)),
        ("t", "a\tb\n1\tx\n2\t\n", Some("\t"), Some(true)),
        ("t.csv", "a,b\r\n\"1\",\"x\"\r2,\n", Some(","), Some(true)),
    ];
    for (key, text, delimiter, header) in cases {
        let lake = Lake::of(key, text).await;
        assert_eq!(lake.rows("SELECT * FROM t").await, rows(), "{text}");
        let info = lake.info().await.unwrap();
        assert_eq!(
            (info.delimiter.as_deref(), info.header),
            (delimiter, header),
            "{text}"
        );
    }
    let bare = Lake::of("t.csv", "1,x\n2,\n").await;
    assert_eq!(
        bare.rows("SELECT column_1 AS a, column_2 AS b FROM t")
            .await,
        rows()
    );
    let typed = Lake::of(
        "t.csv",
        "i,f,d,s,b,big,code,huge\n1,1.5,2026-01-02,2026-01-02T03:04:05.5Z,true,9223372036854775808,007,1e400\n",
    )
    .await;
    let types: Vec<_> = typed
        .columns()
        .await
        .into_iter()
        .map(|(_, kind)| kind)
        .collect();
    assert_eq!(
        types,
        [
            "integer",
            "float",
            "date",
            "timestamp",
            "boolean",
            "decimal(38, 0)",
            "string",
            "string"
        ]
    );
    let text = typed.rows("SELECT * FROM t").await.to_string();
    for exact in ["9223372036854775808", "\"007\"", "\"1e400\""] {
        assert!(text.contains(exact), "{text}");
    }
}

#[tokio::test]
async fn quotes_escapes_comments_and_nulls_are_as_declared() {
    let lake = Lake::of("t.csv", "#x\na;b\n'1;';'it\\'s'\n# no\nNA;-\n")
        .await
        .with("delimiter", json!(";"))
        .with("quote", json!("'"))
        .with("escape", json!("\\"))
        .with("comment", json!("#"))
        .with("null_values", json!(["NA", "-"]));
    assert_eq!(
        lake.rows("SELECT * FROM t").await,
        json!([{ "a": "1;", "b": "it's" }, { "a": null, "b": null }])
    );
}

#[tokio::test]
async fn encodings_are_recognised_and_decoded() {
    let text = "name,n\nZoë,1\n€,2\n";
    let utf16 = |big: bool| {
        text.encode_utf16()
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect::<Vec<u8>>()
    };
    let files: [(&str, Vec<u8>); 7] = [
        ("UTF-8", text.as_bytes().to_vec()),
        ("UTF-8", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
        ("UTF-16LE", [b"\xff\xfe".to_vec(), utf16(false)].concat()),
        ("UTF-16BE", [b"\xfe\xff".to_vec(), utf16(true)].concat()),
        ("UTF-16LE", utf16(false)),
        ("UTF-16BE", utf16(true)),
        ("windows-1252", b"name,n\nZo\xeb,1\n\x80,2\n".to_vec()),
    ];
    for (encoding, bytes) in files {
        let lake = Lake::of("t.csv", bytes).await;
        assert_eq!(
            lake.rows("SELECT name, n FROM t").await,
            json!([{ "name": "Zoë", "n": 1 }, { "name": "€", "n": 2 }]),
            "{encoding}"
        );
        assert_eq!(
            lake.info().await.unwrap().encoding.as_deref(),
            Some(encoding)
        );
    }
    let json = "[{\"a\":\"é\"}]"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect::<Vec<_>>();
    let lake = Lake::of("t.json", json).await;
    assert_eq!(lake.rows("SELECT a FROM t").await, json!([{ "a": "é" }]));
}

#[tokio::test]
async fn an_array_deep_in_a_document_is_streamed() {
    let mut text = "{\"pageSize\":100,\"x\":{\"entities\":[{\"id\":-1}]},\"entities\":[".to_owned();
    for id in 0..50_000 {
        if id > 0 {
            text += ",\n";
        }
        text += &format!("{{\"id\":{id},\"name\":\"agent ]}}\\\" {id}\",\"tags\":[{id}]}}");
    }
    text += "],\"total\":50000}";
    let lake = Lake::of("t.json", text)
        .await
        .with("json_pointer", json!("/entities"));
    assert_eq!(
        lake.rows("SELECT count(*) AS n, sum(id) AS s, max(tags[1]) AS t FROM t")
            .await,
        json!([{ "n": 50_000, "s": 1_249_975_000_u64, "t": 49_999 }])
    );
    let elsewhere = lake.with("json_pointer", json!("/x/entities"));
    assert_eq!(
        elsewhere.rows("SELECT id FROM t").await,
        json!([{ "id": -1 }])
    );
    let nowhere = elsewhere.with("json_pointer", json!("/y"));
    assert_eq!(
        nowhere.error("SELECT * FROM t").await.kind(),
        ErrorKind::MalformedData
    );
}

fn batch() -> RecordBatch {
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Utf8, true),
    ]);
    RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(Int64Array::from(vec![1, 2])),
            Arc::new(StringArray::from(vec![Some("x"), None])),
        ],
    )
    .unwrap()
}

#[tokio::test]
async fn avro_and_arrow_are_read_file_and_stream() {
    let batch = batch();
    let mut file = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    file.write(&batch).unwrap();
    let file = file.into_inner().unwrap();
    let mut stream = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    stream.write(&batch).unwrap();
    let stream = stream.into_inner().unwrap();
    let mut avro =
        arrow_avro::writer::AvroWriter::new(Vec::new(), batch.schema().as_ref().clone()).unwrap();
    avro.write(&batch).unwrap();
    avro.finish().unwrap();
    let avro = avro.into_inner();
    for (key, bytes, format) in [
        ("t.arrow", file.clone(), "arrow"),
        ("t", file, "arrow"),
        ("t.arrows", stream.clone(), "arrow"),
        ("t", stream, "arrow"),
        ("t.avro", avro.clone(), "avro"),
        ("t", avro, "avro"),
    ] {
        let lake = Lake::of(key, bytes.clone()).await;
        assert_eq!(
            lake.rows("SELECT a, b FROM t").await,
            rows(),
            "{key} {format}"
        );
        assert_eq!(
            lake.rows("SELECT count(*) AS n FROM t").await,
            json!([{ "n": 2 }])
        );
        assert_eq!(lake.info().await.unwrap().format, format);
        let cut = Lake::of(key, bytes[..bytes.len() * 2 / 3].to_vec()).await;
        assert_eq!(
            cut.error("SELECT a FROM t").await.kind(),
            ErrorKind::MalformedData,
            "{key}"
        );
    }
}

#[tokio::test]
async fn partitions_are_pruned_without_a_request_for_other_files() {
    let mut lake = Lake::at("calls/");
    for day in 1..=9 {
        let key = format!("calls/date=2026-01-0{day}/hour={day}/part.csv");
        lake = lake.file(&key, format!("n\n{day}\n")).await;
    }
    let lake = lake
        .file("calls/_SUCCESS", "done")
        .await
        .with("columns", json!({ "n": "integer" }));
    let rows = lake
        .rows("SELECT n, hour, CAST(date AS VARCHAR) AS d FROM t WHERE date = '2026-01-03'")
        .await;
    assert_eq!(rows, json!([{ "n": 3, "hour": 3, "d": "2026-01-03" }]));
    let mut gets = lake.gets();
    gets.retain(|key| !key.contains("date=2026-01-01"));
    assert_eq!(gets, ["calls/date=2026-01-03/hour=3/part.csv"]);
    assert_eq!(
        lake.rows("SELECT sum(n) AS s FROM t WHERE hour > 7").await,
        json!([{ "s": 17 }])
    );
    assert_eq!(
        lake.info().await.unwrap().partitions,
        [
            ("date".to_owned(), "date".to_owned()),
            ("hour".to_owned(), "integer".to_owned())
        ]
    );
    let mixed = lake.file("calls/day=1/x.csv", "n\n1\n").await;
    assert_eq!(
        mixed.error("SELECT n FROM t").await.kind(),
        ErrorKind::MalformedData
    );
}

#[tokio::test]
async fn one_partition_twice_in_a_key_is_an_error_of_the_data() {
    let lake = Lake::at("calls/");
    let lake = lake.file("calls/day=1/day=2/x.csv", "n\n1\n").await;
    let error = lake.error("SELECT n FROM t").await;
    assert_eq!(error.kind(), ErrorKind::MalformedData);
    assert!(error.to_string().contains("`day=`"), "{error}");
}

#[tokio::test]
async fn lists_globs_and_prefixes_name_files() {
    let lake = Lake::at("x/")
        .file("x/a1.csv", "n\n1\n")
        .await
        .file("x/a2.csv", "n\n2\n")
        .await
        .file("x/b1.csv", "n\n4\n")
        .await
        .file("y/c.ndjson", "{\"n\":8}\n")
        .await;
    let sum = "SELECT sum(n) AS s FROM t";
    assert_eq!(lake.rows(sum).await, json!([{ "s": 7 }]));
    let lake = lake.with("uri", json!("s3://lake/d=*/a.csv"));
    assert_eq!(lake.error(sum).await.kind(), ErrorKind::NoMatchingFiles);
    let lake = lake.with("uri", json!("s3://lake/x/a*.csv"));
    assert_eq!(lake.rows(sum).await, json!([{ "s": 3 }]));
    let lake = lake.with(
        "uri",
        json!(["s3://lake/x/a1.csv", "s3://lake/x/b*", "s3://lake/y/"]),
    );
    assert_eq!(lake.rows(sum).await, json!([{ "s": 13 }]));
    let lake = lake.with("uri", json!(["s3://lake/x/a1.csv", "s3://lake/x/"]));
    assert_eq!(lake.error(sum).await.kind(), ErrorKind::InvalidSpec);
    let lake = lake.with("uri", json!(["s3://lake/x/a1.csv", "s3://other/x/"]));
    assert_eq!(lake.error(sum).await.kind(), ErrorKind::InvalidSpec);
}

#[tokio::test]
async fn a_glob_reads_the_keys_that_it_matches_as_they_are_written() {
    let lake = Lake::at("exports/part-*.csv")
        .file("exports/part-0.csv", "n\n1\n")
        .await
        .file("exports/part-a=b.csv", "n\n2\n")
        .await
        .file("exports/part-x/y.csv", "n\n4\n")
        .await
        .file("exports/team=hr/part-0.csv", "n\n8\n")
        .await
        .file("exports/_part-1.csv", "n\n16\n")
        .await;
    let sum = "SELECT sum(n) AS s FROM t";
    assert_eq!(lake.rows(sum).await, json!([{ "s": 7 }]));
    assert!(lake.gets().iter().all(|key| !key.contains("team=hr")));
    let lake = lake.with("uri", json!("s3://lake/exports/team=*/part-?.csv"));
    let rows = lake.rows("SELECT n, team FROM t").await;
    assert_eq!(rows, json!([{ "n": 8, "team": "hr" }]));
    let lake = lake.with("uri", json!("s3://lake/exports/part-*/"));
    assert_eq!(lake.rows(sum).await, json!([{ "s": 4 }]));
}

#[tokio::test]
async fn a_missing_key_is_no_prefix() {
    let lake = Lake::at("x.csv").file("x.csv/part-0", "n\n1\n").await;
    let error = lake.error("SELECT n FROM t").await;
    assert_eq!(error.kind(), ErrorKind::NoMatchingFiles);
    assert!(lake.gets().is_empty());
}

#[tokio::test]
async fn keys_are_no_urls_and_values_of_segments_are_decoded() {
    let lake = Lake::at("a%2Fb #1\\~/")
        .file("a%2Fb #1\\~/at=10%3A30/x.csv", "n\n1\n")
        .await
        .file("a%2Fb #1\\~/at=2026-01-01/x.csv", "n\n2\n")
        .await
        .file("a/b #1\\~/at=0/x.csv", "n\n4\n")
        .await;
    let rows = lake.rows("SELECT n, at FROM t ORDER BY n").await;
    assert_eq!(
        rows,
        json!([{ "n": 1, "at": "10:30" }, { "n": 2, "at": "2026-01-01" }])
    );
    // Decoded before the type is looked for.
    let days = Lake::at("d/")
        .file("d/day=2026%2D01%2D02/x.csv", "n\n1\n")
        .await;
    let kinds = days.info().await.unwrap().partitions;
    assert_eq!(kinds, [("day".to_owned(), "date".to_owned())]);
    let typed = days.with("partitions", json!({ "day": "integer" }));
    let error = typed.error("SELECT n FROM t").await;
    assert_eq!(error.kind(), ErrorKind::MalformedData);
}

#[tokio::test]
async fn two_tables_of_one_bucket_each_read_their_own_files() {
    let mut lake = Lake::at("a.csv")
        .file("a.csv", "n\n1\n2\n")
        .await
        .file("b/c.csv", "n\n2\n3\n")
        .await;
    lake.tables["u"] = json!({ "uri": "s3://lake/b/" });
    let rows = lake.rows("SELECT n FROM t JOIN u USING (n)").await;
    assert_eq!(rows, json!([{ "n": 2 }]));
}

#[tokio::test]
async fn more_files_than_a_table_may_have_are_an_error_before_any_is_read() {
    let lake = Lake::at("x/")
        .file("x/a.csv", "n\n1\n")
        .await
        .file("x/b.csv", "n\n2\n")
        .await;
    let lake = lake.with("max_files", json!(1));
    let error = lake.error("SELECT n FROM t").await;
    assert_eq!(error.kind(), ErrorKind::ScanLimit);
    assert!(error.to_string().contains("`max_files`"), "{error}");
    assert!(lake.gets().is_empty());
    let lake = lake.with("max_files", json!(2));
    assert_eq!(
        lake.rows("SELECT n FROM t ORDER BY n")
            .await
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn files_that_drifted_are_united_by_name() {
    let lake = Lake::at("x/")
        .file("x/1.csv", "a,b\n1,x\n")
        .await
        .file("x/2.csv", "b,a,c\ny,2.5,2026-01-01\n")
        .await
        .file("x/3.csv", "c\n2026-01-02T00:00:00\n")
        .await;
    assert_eq!(
        lake.rows("SELECT a, b, c FROM t ORDER BY c").await,
        json!([
            { "a": 2.5, "b": "y", "c": "2026-01-01T00:00:00" },
            { "a": null, "b": null, "c": "2026-01-02T00:00:00" },
            { "a": 1.0, "b": "x", "c": null },
        ])
    );
    let json = Lake::at("x/")
        .file("x/1.ndjson", "{\"a\":{\"p\":1}}\n")
        .await
        .file(
            "x/2.ndjson",
            "{\"a\":{\"q\":\"z\"},\"b\":9007199254740993}\n",
        )
        .await;
    let text = json.rows("SELECT a, b FROM t ORDER BY b").await.to_string();
    assert!(
        text.contains("9007199254740993") && text.contains("\"q\":\"z\""),
        "{text}"
    );

    let as_arrow = |batch: &RecordBatch| {
        let mut file = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        file.write(batch).unwrap();
        file.into_inner().unwrap()
    };
    let narrow =
        RecordBatch::try_from_iter([("a", Arc::new(Int32Array::from(vec![7])) as _)]).unwrap();
    let other =
        RecordBatch::try_from_iter([("a", Arc::new(StringArray::from(vec!["7"])) as _)]).unwrap();
    let wide = Lake::at("x/")
        .file("x/1.arrow", as_arrow(&narrow))
        .await
        .file("x/2.arrow", as_arrow(&batch()))
        .await;
    assert_eq!(
        wide.rows("SELECT a, b FROM t ORDER BY a").await,
        json!([{ "a": 1, "b": "x" }, { "a": 2, "b": null }, { "a": 7, "b": null }])
    );
    let clash = wide.file("x/3.arrow", as_arrow(&other)).await;
    let error = clash.error("SELECT a FROM t").await;
    assert_eq!(error.kind(), ErrorKind::MalformedData);
    assert!(
        error
            .to_string()
            .contains("column `a` is string in x/3.arrow and integer"),
        "{error}"
    );
    let told = clash.with("types", json!({ "a": "string" }));
    assert_eq!(
        told.rows("SELECT a FROM t ORDER BY a").await,
        json!([{ "a": "1" }, { "a": "2" }, { "a": "7" }, { "a": "7" }])
    );
}

const MISFITS: &str = "id,n,t\n1,\"10\",\"two\nlines\"\n2,secret-5,x\n3,30,y\nonly\n5,50,z\n";

#[tokio::test]
async fn what_does_not_fit_fails_with_its_place_and_never_its_value() {
    let declared = json!({ "id": "integer", "n": "integer", "t": "string" });
    let lake = Lake::of("t.csv", MISFITS).await.with("columns", declared);
    let error = lake.error("SELECT sum(n) AS s FROM t").await;
    assert_eq!(
        error.to_string(),
        "t.csv: line 4, column 2 (`n`) holds text and is integer"
    );
    let mut shown = format!("{error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        shown += &format!("{cause} {cause:?}");
        source = cause.source();
    }
    assert!(!shown.contains("secret"), "{shown}");
    // What is not selected is not looked at; a row that cannot be divided is always found.
    let error = lake.error("SELECT sum(id) AS s FROM t").await;
    assert_eq!(
        error.to_string(),
        "t.csv: line 6 has 1 field and 3 were expected"
    );
}

#[tokio::test]
async fn what_does_not_fit_is_null_or_left_out_and_counted() {
    let lake = Lake::of("t.csv", MISFITS)
        .await
        .with(
            "columns",
            json!({ "id": "string", "n": "integer", "t": "string" }),
        )
        .with("on_error", json!("null"));
    let (rows, stats) = lake.run("SELECT id, n FROM t").await.unwrap();
    assert_eq!(
        rows,
        json!([
            { "id": "1", "n": 10 }, { "id": "2", "n": null }, { "id": "3", "n": 30 },
            { "id": "only", "n": null }, { "id": "5", "n": 50 },
        ])
    );
    assert_eq!((stats.nulled_values, stats.skipped_rows), (2, 0));
    let lake = lake.with("on_error", json!("skip"));
    for sql in [
        "SELECT count(*) AS c FROM t",
        "SELECT count(id) AS c FROM t",
    ] {
        let (rows, stats) = lake.run(sql).await.unwrap();
        assert_eq!(rows, json!([{ "c": 3 }]), "{sql}");
        assert_eq!((stats.nulled_values, stats.skipped_rows), (0, 2), "{sql}");
    }
}

#[tokio::test]
async fn json_rows_follow_the_same_policies() {
    let text = "{\"a\":1,\"b\":\"x\"}\n{\"a\":\"secret\",\"b\":\"y\"}\nnot json\n[1]\n{\"a\":4,\"b\":\"z\"}\n";
    let lake = Lake::of("t.ndjson", text)
        .await
        .with("columns", json!({ "a": "integer", "b": "string" }));
    assert_eq!(
        lake.error("SELECT a FROM t").await.to_string(),
        "t.ndjson: line 2, column `a` holds a string and is integer"
    );
    let one = Lake::of("t.ndjson", "{\"a\":1}\nnot json\n")
        .await
        .with("columns", json!({ "a": "integer" }));
    assert_eq!(
        one.error("SELECT a FROM t").await.to_string(),
        "t.ndjson: line 2, column 2 is not valid JSON: `true`, `false` or `null` was expected"
    );
    let lake = lake.with("on_error", json!("null"));
    let (rows, stats) = lake.run("SELECT a, b FROM t").await.unwrap();
    assert_eq!(
        rows,
        json!([{ "a": 1, "b": "x" }, { "a": null, "b": "y" }, { "a": 4, "b": "z" }])
    );
    assert_eq!((stats.nulled_values, stats.skipped_rows), (1, 2));
    let lake = lake.with("on_error", json!("skip"));
    let (rows, stats) = lake.run("SELECT count(*) AS n FROM t").await.unwrap();
    assert_eq!((rows, stats.skipped_rows), (json!([{ "n": 2 }]), 3));
}

#[tokio::test]
async fn a_small_file_is_read_once_and_its_columns_are_remembered() {
    for (key, text) in [
        ("t.csv", ROWS),
        ("t.json", "[{\"a\":1,\"b\":\"x\"},{\"a\":2,\"b\":null}]"),
    ] {
        let lake = Lake::of(key, text).await;
        for run in 0..3 {
            assert_eq!(lake.rows("SELECT a, b FROM t").await, rows());
            assert_eq!(lake.gets(), [key], "run {run}");
        }
        let lake = lake.file(key, text.replace('x', "z")).await;
        assert_eq!(
            lake.rows("SELECT b FROM t LIMIT 1").await,
            json!([{ "b": "z" }])
        );
        assert_eq!(lake.gets(), [key]);
    }
}

#[tokio::test]
async fn of_a_large_file_no_byte_is_read_twice() {
    let mut text = "n,t\n".to_owned();
    for row in 0..40_000 {
        text += &format!("{row},{}\n", "x".repeat(20));
    }
    let size = text.len() as u64;
    let lake = Lake::of("t.csv", text).await;
    let count = "SELECT count(*) AS n FROM t";
    assert_eq!(lake.rows(count).await, json!([{ "n": 40_000 }]));
    let ranges: Vec<_> = lake
        .gets_with_ranges()
        .into_iter()
        .map(|(_, range)| range)
        .collect();
    assert_eq!(ranges, [0..262_144, 262_144..size]);
    assert_eq!(lake.rows(count).await, json!([{ "n": 40_000 }]));
    let ranges: Vec<_> = lake
        .gets_with_ranges()
        .into_iter()
        .map(|(_, range)| range)
        .collect();
    assert_eq!(ranges, vec![0..size; 1]);
}
