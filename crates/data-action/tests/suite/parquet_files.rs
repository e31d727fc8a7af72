//! Parquet as different writers have it, through an action's TOML.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::sync::Arc;

use flowlake_transform::arrow::{
    array::{ArrayRef, Float16Array, ListBuilder, StringArray, StringBuilder},
    datatypes::{ArrowPrimitiveType, Float16Type},
};
use parquet::{
    basic::{BrotliLevel, Compression, Encoding, GzipLevel, ZstdLevel},
    data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type, Int96, Int96Type},
    file::{
        properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion},
        reader::FileReader,
        serialized_reader::SerializedFileReader,
        writer::SerializedFileWriter,
    },
    schema::parser::parse_message_type,
};
use serde_json::json;

use crate::{
    readers::{Case, case, check},
    support::{lake::Lake, parquet as written},
};

/// Values of one column, with their definition and repetition levels.
enum Values<'a> {
    Int32(&'a [i32], &'a [i16], &'a [i16]),
    Int64(&'a [i64], &'a [i16], &'a [i16]),
    Int96(&'a [Int96], &'a [i16], &'a [i16]),
    Text(&'a [&'a str], &'a [i16], &'a [i16]),
    Bytes(&'a [&'a [u8]]),
}

fn repetition<'a>(levels: &&'a [i16]) -> Option<&'a [i16]> {
    (!levels.is_empty()).then_some(*levels)
}

/// A file of one row group.
fn file(schema: &str, codec: Compression, columns: &[Values<'_>]) -> Vec<u8> {
    let properties = WriterProperties::builder().set_compression(codec);
    written(schema, properties, columns)
}

fn written(schema: &str, properties: WriterPropertiesBuilder, columns: &[Values<'_>]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = properties.build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for values in columns {
        let mut column = group.next_column().unwrap().unwrap();
        match values {
            Values::Int32(values, defined, repeated) => {
                column
                    .typed::<Int32Type>()
                    .write_batch(values, Some(defined), repetition(repeated))
            }
            Values::Int64(values, defined, repeated) => {
                column
                    .typed::<Int64Type>()
                    .write_batch(values, Some(defined), repetition(repeated))
            }
            Values::Int96(values, defined, repeated) => {
                column
                    .typed::<Int96Type>()
                    .write_batch(values, Some(defined), repetition(repeated))
            }
            Values::Bytes(values) => {
                let values: Vec<_> = values.iter().map(|&bytes| bytes.to_vec().into()).collect();
                let defined = vec![1; values.len()];
                let column = column.typed::<ByteArrayType>();
                column.write_batch(&values, Some(&defined), None)
            }
            Values::Text(values, defined, repeated) => {
                let values: Vec<_> = values.iter().map(|&text| ByteArray::from(text)).collect();
                column.typed::<ByteArrayType>().write_batch(
                    &values,
                    Some(defined),
                    repetition(repeated),
                )
            }
        }
        .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.into_inner().unwrap()
}

fn of_codec(codec: Compression) -> Vec<u8> {
    let numbers: Vec<i64> = (0..1000).collect();
    let defined = vec![1; numbers.len()];
    file(
        "message m { optional int64 n; }",
        codec,
        &[Values::Int64(&numbers, &defined, &[])],
    )
}

#[tokio::test]
async fn every_codec_is_read_or_refused_by_its_name() {
    let sql = "SELECT count(*) AS n, sum(n) AS s FROM t";
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ];
    let mut cases: Vec<Case> = codecs
        .into_iter()
        .map(|codec| {
            let rows = Ok(json!([{ "n": 1000, "s": 499_500 }]));
            case("t.parquet", of_codec(codec), "", sql, rows)
        })
        .collect();
    // No writer here has LZO: the footer says so of a file that is not compressed.
    let plain = of_codec(Compression::UNCOMPRESSED);
    let lzo = (plain.len() - 300..plain.len() - 8)
        .filter(|&place| plain[place] == 0)
        .find_map(|place| {
            let mut changed = plain.clone();
            changed[place] = 6;
            let reader = SerializedFileReader::new(bytes::Bytes::from(changed.clone())).ok()?;
            let group = reader.metadata().row_group(0);
            (group.column(0).compression() == Compression::LZO).then_some(changed)
        });
    let refused = Err("LZO");
    cases.push(case("t.parquet", lzo.unwrap(), "", sql, refused));
    check(cases).await;
}

/// The numbers 0 to 59 squared, as pyarrow 26 writes them with `write_page_checksum=True`: our writer knows no checksums.
const WITH_CHECKSUMS: &[u8] = include_bytes!("../files/page_checksum.parquet");

#[tokio::test]
async fn a_bit_that_changed_in_a_page_with_a_checksum_is_an_error() {
    let mut changed = WITH_CHECKSUMS.to_vec();
    let value = i64::to_le_bytes(49 * 49);
    let place = changed.windows(8).position(|bytes| bytes == value).unwrap();
    changed[place + 3] ^= 1;
    let sql = "SELECT sum(k) AS s FROM t";
    let whole = Ok(json!([{ "s": 70210 }]));
    let policy = "on_error = \"null\"";
    check(vec![
        case("a.parquet", WITH_CHECKSUMS, "", sql, whole.clone()),
        case("b.parquet", WITH_CHECKSUMS, policy, sql, whole),
        case(
            "c.parquet",
            changed.clone(),
            "",
            sql,
            Err("is not valid Parquet"),
        ),
        case(
            "d.parquet",
            changed,
            policy,
            sql,
            Err("is not valid Parquet"),
        ),
    ])
    .await;
}

/// Bytes that are no UTF-8 must not become text without a look: the engine reads past their end.
#[tokio::test]
async fn bytes_that_are_declared_as_text() {
    let content = |values: &[&[u8]]| {
        let columns = [Values::Bytes(values)];
        let schema = "message m { optional binary v; }";
        file(schema, Compression::UNCOMPRESSED, &columns)
    };
    let broken = || content(&[b"ab", b"\xff\xfe", b"M\xc3\xbcller"]);
    let fail = r#"types = { v = "string" }"#;
    let columns = r#"columns = [["v", "string"]]"#;
    let null = "types = { v = \"string\" }\non_error = \"null\"";
    let skip = "types = { v = \"string\" }\non_error = \"skip\"";
    check(vec![
        case(
            "a.parquet",
            broken(),
            fail,
            "SELECT upper(v) AS v FROM t",
            Err("column `v` holds bytes"),
        ),
        case(
            "b.parquet",
            broken(),
            columns,
            "SELECT left(v, 1) AS v FROM t WHERE v LIKE 'M%'",
            Err("on_error"),
        ),
        case(
            "c.parquet",
            broken(),
            null,
            "SELECT upper(v) AS v FROM t",
            Ok(json!([{ "v": "AB" }, { "v": null }, { "v": "MÜLLER" }])),
        ),
        case(
            "d.parquet",
            broken(),
            skip,
            "SELECT upper(v) AS v FROM t",
            Ok(json!([{ "v": "AB" }, { "v": "MÜLLER" }])),
        ),
    ])
    .await;
}

/// A timestamp of 96 bits: a Julian day, and nanoseconds of it.
fn julian(day: u32, nanoseconds: u64) -> Int96 {
    let mut value = Int96::new();
    let [low, high] = [nanoseconds & 0xffff_ffff, nanoseconds >> 32];
    value.set_data(
        u32::try_from(low).unwrap(),
        u32::try_from(high).unwrap(),
        day,
    );
    value
}

#[tokio::test]
async fn timestamps_of_96_bits() {
    // Julian days of 2026-01-05 and 9999-12-31.
    let moments = [
        julian(2_461_046, 36_000_000_000_000 + 123_456_000),
        julian(5_373_484, 0),
        julian(2_415_021, 1_000),
    ];
    let content = file(
        "message m { optional int96 at; }",
        Compression::SNAPPY,
        &[Values::Int96(&moments, &[1, 1, 1, 0], &[])],
    );
    let rows = json!([
        { "at": "2026-01-05T10:00:00.123456" },
        { "at": "9999-12-31T00:00:00" },
        { "at": "1900-01-01T00:00:00.000001" },
        { "at": null },
    ]);
    let later = "SELECT count(*) AS n FROM t WHERE at > TIMESTAMP '2026-01-05 10:00:00'";
    check(vec![
        case(
            "t.parquet",
            content.clone(),
            "",
            "SELECT at FROM t",
            Ok(rows.clone()),
        ),
        case(
            "t.parquet",
            content.clone(),
            "on_error = \"null\"",
            "SELECT at FROM t",
            Ok(rows.clone()),
        ),
        case(
            "t.parquet",
            content.clone(),
            "on_error = \"skip\"",
            "SELECT at FROM t",
            Ok(rows.clone()),
        ),
        case("t.parquet", content, "", later, Ok(json!([{ "n": 2 }]))),
    ])
    .await;
}

#[tokio::test]
async fn lists_and_maps_of_all_forms() {
    let all = "SELECT * FROM t";
    let lists = || Ok(json!([{ "l": [1, 2] }, { "l": [] }, { "l": null }, { "l": [3] }]));
    let list = |schema: &str, most: i16| {
        file(
            schema,
            Compression::SNAPPY,
            &[Values::Int32(
                &[1, 2, 3],
                &[most, most, 1, 0, most],
                &[0, 1, 0, 0, 0],
            )],
        )
    };
    let mut cases: Vec<Case> = [
        ("message m { optional group l (LIST) { repeated group list { optional int32 element; } } }", 3),
        ("message m { optional group l (LIST) { repeated group bag { optional int32 array_element; } } }", 3),
        ("message m { optional group l (LIST) { repeated int32 element; } }", 2),
        ("message m { optional group l (LIST) { repeated int32 array; } }", 2),
    ]
    .into_iter()
    .map(|(schema, most)| case("t.parquet", list(schema, most), "", all, lists()))
    .collect();
    for schema in [
        "message m { optional group l (LIST) { repeated group array { required int32 a; } } }",
        "message m { optional group l (LIST) { repeated group l_tuple { required int32 a; } } }",
    ] {
        let rows = json!([
            { "l": [{ "a": 1 }, { "a": 2 }] }, { "l": [] }, { "l": null }, { "l": [{ "a": 3 }] },
        ]);
        cases.push(case("t.parquet", list(schema, 2), "", all, Ok(rows)));
    }
    for schema in [
        "message m { optional group m (MAP) { repeated group key_value { required int64 key; optional binary value (UTF8); } } }",
        "message m { optional group m (MAP) { repeated group map (MAP_KEY_VALUE) { required int64 key; optional binary value (UTF8); } } }",
    ] {
        let content = file(
            schema,
            Compression::SNAPPY,
            &[
                Values::Int64(&[7, -8], &[2, 2, 0], &[0, 1, 0]),
                Values::Text(&["seven"], &[3, 2, 0], &[0, 1, 0]),
            ],
        );
        let rows = json!([{ "k": [7, -8], "v": ["seven", null] }, { "k": null, "v": null }]);
        let sql = "SELECT map_keys(m) AS k, map_values(m) AS v FROM t";
        cases.push(case("t.parquet", content.clone(), "", sql, Ok(rows)));
        let rows = json!([{ "m": { "7": "seven", "-8": null } }, { "m": null }]);
        cases.push(case("t.parquet", content, "", all, Ok(rows)));
    }
    check(cases).await;
}

#[tokio::test]
async fn floats_of_16_bits() {
    let half = <Float16Type as ArrowPrimitiveType>::Native::from_f32;
    let values = Float16Array::from(vec![
        Some(half(1.5)),
        None,
        Some(half(-0.25)),
        Some(half(1.5)),
    ]);
    let content = written::file(&[("v", Arc::new(values) as ArrayRef)]);
    let of = |sql, rows| case("t.parquet", content.clone(), "", sql, Ok(rows));
    let cases = vec![
        of(
            "SELECT v FROM t",
            json!([{ "v": 1.5 }, { "v": null }, { "v": -0.25 }, { "v": 1.5 }]),
        ),
        of(
            "SELECT count(*) AS n FROM t WHERE v = 1.5",
            json!([{ "n": 2 }]),
        ),
        of(
            "SELECT v, count(*) AS n FROM t WHERE v > 0 GROUP BY v",
            json!([{ "v": 1.5, "n": 2 }]),
        ),
        of(
            "SELECT sum(v) AS s, min(v) AS l, max(v) AS m FROM t",
            json!([{ "s": 2.75, "l": -0.25, "m": 1.5 }]),
        ),
        of(
            "SELECT v * 200000 AS d FROM t WHERE v < 0",
            json!([{ "d": -50000.0 }]),
        ),
    ];
    check(cases).await;
}

/// Texts whose lengths are written as differences, also of values that are null or in lists.
#[tokio::test]
async fn texts_by_their_lengths() {
    let name = |n: usize| (n % 7 != 3).then(|| format!("caller {}{}", n % 4, "x".repeat(n % 11)));
    let names: ArrayRef = Arc::new((0..60).map(name).collect::<StringArray>());
    let mut tags = ListBuilder::new(StringBuilder::new());
    for n in 0..60_usize {
        for tag in 0..n % 3 {
            tags.values()
                .append_option((tag != 1).then(|| format!("tag {n}")));
        }
        tags.append(n % 5 != 4);
    }
    let tags: ArrayRef = Arc::new(tags.finish());
    let columns = [("name", names), ("tags", tags)];
    let expected = [
        (
            "SELECT count(*) AS n, count(name) AS names, sum(length(name)) AS l, sum(cardinality(tags)) AS t FROM t",
            json!([{ "n": 60, "names": 51, "l": 645, "t": 48 }]),
        ),
        (
            "SELECT name, tags FROM t WHERE name = 'caller 1xxxxx'",
            json!([
                { "name": "caller 1xxxxx", "tags": ["tag 5", null] },
                { "name": "caller 1xxxxx", "tags": null },
            ]),
        ),
    ];
    for encoding in [
        Encoding::DELTA_LENGTH_BYTE_ARRAY,
        Encoding::DELTA_BYTE_ARRAY,
    ] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for page in [7, 1000] {
                let file = written::encoded(&columns, encoding, version, page);
                let lake = Lake::new().file("t.parquet", file.clone());
                lake.answers(&expected).await;
                let lake = Lake::new().file("t.parquet", file);
                lake.table("on_error = \"skip\"").answers(&expected).await;
            }
        }
    }
}

/// Which digits of such a timestamp there is room for is for the table to say. None is cut off, and none wraps.
#[tokio::test]
async fn timestamps_of_96_bits_keep_their_digits() {
    let of = |moments: &[Int96]| {
        let defined = vec![1; moments.len()];
        let values = [Values::Int96(moments, &defined, &[])];
        file(
            "message m { optional int96 at; }",
            Compression::SNAPPY,
            &values,
        )
    };
    let finer = of(&[julian(2_461_046, 36_000_000_000_000 + 123_456_789)]);
    let far = of(&[julian(5_373_484, 0)]);
    // Pages without a dictionary, behind others whose values fit.
    let mut moments = vec![julian(2_461_046, 36_000_000_000_000); 3_000];
    moments.push(julian(2_461_046, 36_000_000_000_000 + 1));
    let pages = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_dictionary_enabled(false)
        .set_data_page_row_count_limit(1_000)
        .set_write_batch_size(1_000);
    let without_dictionary = written(
        "message m { optional int96 at; }",
        pages,
        &[Values::Int96(&moments, &vec![1; moments.len()], &[])],
    );
    let sql = "SELECT at FROM t";
    let found = "SELECT count(*) AS n FROM t WHERE at = '2026-01-05 10:00:00.123456789'";
    let fine = "types = { at = \"timestamp(ns)\" }";
    let columns = "columns = { at = \"timestamp(ns)\" }\non_error = \"null\"";
    let exact = Ok(json!([{ "at": "2026-01-05T10:00:00.123456789" }]));
    let digits = Err("column `at` holds a timestamp with more digits than microseconds");
    let beyond = Err("column `at` holds a timestamp that 64 bits of nanoseconds do not hold");
    check(vec![
        case("a.parquet", finer.clone(), "", sql, digits.clone()),
        case(
            "a.parquet",
            finer.clone(),
            "on_error = \"skip\"",
            sql,
            digits.clone(),
        ),
        case("a.parquet", finer.clone(), fine, sql, exact.clone()),
        case("a.parquet", finer.clone(), columns, sql, exact),
        case("a.parquet", finer, fine, found, Ok(json!([{ "n": 1 }]))),
        case("a.parquet", far.clone(), fine, sql, beyond),
        case("a.parquet", without_dictionary.clone(), "", sql, digits),
        case(
            "a.parquet",
            without_dictionary,
            fine,
            "SELECT count(at) AS n, max(at) AS at FROM t",
            Ok(json!([{ "n": 3001, "at": "2026-01-05T10:00:00.000000001" }])),
        ),
        case(
            "a.parquet",
            far,
            "",
            sql,
            Ok(json!([{ "at": "9999-12-31T00:00:00" }])),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_text_that_is_no_utf_8_is_named_as_such() {
    // The annotation says text, and the bytes are none.
    let text = file(
        "message m { optional binary v (STRING); }",
        Compression::UNCOMPRESSED,
        &[Values::Text(&["a", "Muller", "b"], &[1, 1, 1], &[])],
    );
    let mut broken = text;
    let place = broken
        .windows(6)
        .position(|bytes| bytes == b"Muller")
        .unwrap();
    // In the page alone: statistics are further behind.
    broken[place + 1] = 0xfc;
    let says = Err("a.parquet holds a text that is not valid UTF-8");
    let by_rows = Err("a.parquet: holds a text that is not valid UTF-8");
    check(vec![
        case(
            "a.parquet",
            broken.clone(),
            "",
            "SELECT v FROM t",
            says.clone(),
        ),
        case(
            "a.parquet",
            broken.clone(),
            "",
            "SELECT v FROM t WHERE v <> 'a'",
            says,
        ),
        case(
            "a.parquet",
            broken,
            "on_error = \"null\"",
            "SELECT v FROM t",
            by_rows,
        ),
    ])
    .await;
}
