//! Rows in each format, read back: nothing is lost, and columns keep their order.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::sync::Arc;

use bytes::Bytes;
use datafusion::{
    arrow::{
        array::{
            ArrayRef, BinaryArray, BinaryBuilder, BooleanArray, Date32Array, Decimal128Array,
            Float64Array, Int64Array, Int64Builder, ListArray, MapArray, MapBuilder, RecordBatch,
            StringArray, StringBuilder, StringViewArray, StructArray, TimestampMicrosecondArray,
            TimestampNanosecondArray, UInt64Array,
        },
        compute::concat_batches,
        datatypes::{DataType, Field, Fields, Int64Type, Schema},
        ipc::reader::StreamReader,
    },
    parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
};
use flowlake_transform::{ErrorKind, RowEncoder, RowFormat};

/// Maps, structs and lists; each has a null or an empty one.
fn nested() -> (MapArray, StructArray, ListArray) {
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
    map.keys().append_value("a,b");
    map.values().append_value(i64::MAX);
    map.append(true).unwrap();
    map.append(false).unwrap();
    map.append(true).unwrap();
    let inner = Fields::from(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("s", DataType::Utf8, true),
    ]);
    let pairs = StructArray::new(
        inner,
        vec![
            Arc::new(Int64Array::from(vec![
                Some(9_007_199_254_740_993),
                None,
                Some(0),
            ])),
            Arc::new(StringArray::from(vec![Some("x\"y"), Some(""), None])),
        ],
        None,
    );
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(i64::MIN), None]),
        Some(vec![]),
        None,
    ]);
    (map.finish(), pairs, lists)
}

/// Columns whose names are not in the order of the alphabet, and values at the edges of their types.
fn batch() -> RecordBatch {
    let (map, pairs, lists) = nested();
    let decimals = Decimal128Array::from(vec![
        Some(99_999_999_999_999_999_999_999_999_999_999_999_999),
        Some(-10),
        None,
    ])
    .with_precision_and_scale(38, 9)
    .unwrap();
    let zoned = TimestampMicrosecondArray::from(vec![Some(1_767_323_045_123_456), Some(-1), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "z",
            Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(i64::MIN), None])),
        ),
        (
            "u",
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(0), None])),
        ),
        ("d", Arc::new(decimals)),
        (
            "f",
            Arc::new(Float64Array::from(vec![
                Some(0.1 + 0.2),
                Some(-1e300),
                None,
            ])),
        ),
        ("utc", Arc::new(zoned.clone().with_timezone("UTC"))),
        ("berlin", Arc::new(zoned.with_timezone("Europe/Berlin"))),
        (
            "local",
            Arc::new(TimestampNanosecondArray::from(vec![
                Some(1_767_323_045_000_000_001),
                Some(0),
                None,
            ])),
        ),
        (
            "day",
            Arc::new(Date32Array::from(vec![Some(20_484), Some(-1), None])),
        ),
        (
            "bin",
            Arc::new(BinaryArray::from_opt_vec(vec![
                Some(&[0, 255, 16]),
                Some(&[]),
                None,
            ])),
        ),
        (
            "b",
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        ),
        (
            "text",
            Arc::new(StringArray::from(vec![
                Some("a,\"b\"\r\nc \u{1f600}"),
                Some(""),
                None,
            ])),
        ),
        (
            "view",
            Arc::new(StringViewArray::from(vec![
                Some(" padded "),
                Some("longer than twelve bytes"),
                None,
            ])),
        ),
        ("list", Arc::new(lists)),
        ("pair", Arc::new(pairs)),
        ("map", Arc::new(map)),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap()
}

/// The rows in two batches, taken as they come.
fn encoded(format: RowFormat, batch: &RecordBatch) -> Vec<u8> {
    let mut encoder = RowEncoder::try_new(format, &batch.schema()).unwrap();
    let mut bytes = Vec::new();
    for piece in [
        batch.slice(0, 1),
        batch.slice(1, 0),
        batch.slice(1, batch.num_rows() - 1),
    ] {
        encoder.push(&piece).unwrap();
        bytes.extend(encoder.take());
    }
    bytes.extend(encoder.finish().unwrap());
    bytes
}

fn text(format: RowFormat, batch: &RecordBatch) -> String {
    String::from_utf8(encoded(format, batch)).unwrap()
}

const ROWS: [&str; 3] = [
    r#"{"z":9223372036854775807,"u":18446744073709551615,"d":99999999999999999999999999999.999999999,"f":0.30000000000000004,"utc":"2026-01-02T03:04:05.123456Z","berlin":"2026-01-02T04:04:05.123456+01:00","local":"2026-01-02T03:04:05.000000001","day":"2026-01-31","bin":"00ff10","b":true,"text":"a,\"b\"\r\nc 😀","view":" padded ","list":[-9223372036854775808,null],"pair":{"n":9007199254740993,"s":"x\"y"},"map":{"a,b":9223372036854775807}}"#,
    r#"{"z":-9223372036854775808,"u":0,"d":-0.000000010,"f":-1.0e300,"utc":"1969-12-31T23:59:59.999999Z","berlin":"1970-01-01T00:59:59.999999+01:00","local":"1970-01-01T00:00:00","day":"1969-12-31","bin":"","b":false,"text":"","view":"longer than twelve bytes","list":[],"pair":{"n":null,"s":""},"map":null}"#,
    r#"{"z":null,"u":null,"d":null,"f":null,"utc":null,"berlin":null,"local":null,"day":null,"bin":null,"b":null,"text":null,"view":null,"list":null,"pair":{"n":0,"s":null},"map":{}}"#,
];

#[test]
fn json_and_ndjson_hold_every_digit_in_the_order_of_the_columns() {
    assert_eq!(
        text(RowFormat::Json, &batch()),
        format!("[{}]", ROWS.join(","))
    );
    assert_eq!(
        text(RowFormat::Ndjson, &batch()),
        format!("{}\n", ROWS.join("\n"))
    );
}

#[test]
fn csv_tells_null_from_empty_text_and_quotes_what_needs_it() {
    let lines = [
        "z,u,d,f,utc,berlin,local,day,bin,b,text,view,list,pair,map",
        "9223372036854775807,18446744073709551615,99999999999999999999999999999.999999999,0.30000000000000004,2026-01-02T03:04:05.123456Z,2026-01-02T04:04:05.123456+01:00,2026-01-02T03:04:05.000000001,2026-01-31,00ff10,true,\"a,\"\"b\"\"\r\nc 😀\",\" padded \",\"[-9223372036854775808,null]\",\"{\"\"n\"\":9007199254740993,\"\"s\"\":\"\"x\\\"\"y\"\"}\",\"{\"\"a,b\"\":9223372036854775807}\"",
        "-9223372036854775808,0,-0.000000010,-1e300,1969-12-31T23:59:59.999999Z,1970-01-01T00:59:59.999999+01:00,1970-01-01T00:00:00,1969-12-31,\"\",false,\"\",longer than twelve bytes,[],\"{\"\"n\"\":null,\"\"s\"\":\"\"\"\"}\",",
        ",,,,,,,,,,,,,\"{\"\"n\"\":0,\"\"s\"\":null}\",{}",
        "",
    ];
    assert_eq!(text(RowFormat::Csv, &batch()), lines.join("\r\n"));
}

#[test]
fn arrow_and_parquet_give_the_same_batches_back() {
    let batch = batch();
    let read = StreamReader::try_new(
        std::io::Cursor::new(encoded(RowFormat::Arrow, &batch)),
        None,
    )
    .unwrap();
    let batches: Vec<_> = read.map(Result::unwrap).collect();
    assert_eq!(concat_batches(&batch.schema(), &batches).unwrap(), batch);

    let bytes = Bytes::from(encoded(RowFormat::Parquet, &batch));
    let read = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .unwrap()
        .build()
        .unwrap();
    let batches: Vec<_> = read.map(Result::unwrap).collect();
    assert_eq!(concat_batches(&batch.schema(), &batches).unwrap(), batch);
}

#[test]
fn parquet_is_given_as_row_groups_fill_and_reads_back_whole() {
    let values = Int64Array::from_iter_values(0..100_000);
    let batch = RecordBatch::try_from_iter([("n", Arc::new(values) as ArrayRef)]).unwrap();
    let mut encoder = RowEncoder::try_new(RowFormat::Parquet, &batch.schema()).unwrap();
    encoder.push(&batch).unwrap();
    let first = encoder.take();
    assert!(
        first.len() > 50_000,
        "{} bytes of the first row group",
        first.len()
    );
    encoder.push(&batch).unwrap();
    let bytes = Bytes::from([first, encoder.take(), encoder.finish().unwrap()].concat());
    let read = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    assert!(read.metadata().num_row_groups() > 2);
    let batches: Vec<_> = read.build().unwrap().map(Result::unwrap).collect();
    let all = concat_batches(&batch.schema(), &batches).unwrap();
    assert_eq!(all.slice(0, 100_000), batch);
    assert_eq!(all.slice(100_000, 100_000), batch);
}

#[test]
fn what_is_no_number_is_defined() {
    let values = Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]);
    let batch = RecordBatch::try_from_iter([("f", Arc::new(values) as ArrayRef)]).unwrap();
    assert_eq!(
        text(RowFormat::Json, &batch),
        r#"[{"f":null},{"f":null},{"f":null},{"f":-0.0}]"#
    );
    assert_eq!(
        text(RowFormat::Csv, &batch),
        "f\r\nNaN\r\ninf\r\n-inf\r\n-0.0\r\n"
    );
}

#[test]
fn no_rows_are_still_a_document_with_its_columns() {
    let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
    let empty = |format| {
        RowEncoder::try_new(format, &schema)
            .unwrap()
            .finish()
            .unwrap()
    };
    assert_eq!(empty(RowFormat::Json), b"[]");
    assert_eq!(empty(RowFormat::Ndjson), b"");
    assert_eq!(empty(RowFormat::Csv), b"a\r\n");
    let read = StreamReader::try_new(std::io::Cursor::new(empty(RowFormat::Arrow)), None).unwrap();
    assert_eq!(read.schema(), schema);
    let read =
        ParquetRecordBatchReaderBuilder::try_new(Bytes::from(empty(RowFormat::Parquet))).unwrap();
    assert_eq!(read.schema().fields(), schema.fields());
}

#[test]
fn a_type_that_a_format_cannot_hold_is_reported() {
    let mut map = MapBuilder::new(None, BinaryBuilder::new(), Int64Builder::new());
    map.keys().append_value(b"\xff");
    map.values().append_value(2);
    map.append(true).unwrap();
    let batch = RecordBatch::try_from_iter([("m", Arc::new(map.finish()) as ArrayRef)]).unwrap();
    let mut encoder = RowEncoder::try_new(RowFormat::Json, &batch.schema()).unwrap();
    let error = encoder.push(&batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSql);
    assert!(error.to_string().contains("JSON cannot hold"), "{error}");
}
