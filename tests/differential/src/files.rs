//! A table as files: text, Avro, Arrow and Parquet.

use std::{fmt::Write as _, sync::Arc};

use arrow_avro::writer::AvroWriter;
use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use flowlake_transform::arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
        ListArray, RecordBatch, RecordBatchOptions, StringArray, StructArray,
        TimestampMicrosecondArray,
    },
    buffer::NullBuffer,
    compute::cast,
    datatypes::{DataType, Field, Fields, Int64Type, Schema, TimeUnit},
    ipc::writer::{FileWriter, StreamWriter},
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties, WriterVersion},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::AsyncWriteExt;

use crate::{
    dice::Dice,
    table::{Part, Table},
    value::{Kind, Value},
    way::{Declares, Division, Encoded, Packed, Way, Written},
};

/// An object of a lake.
#[derive(Debug)]
pub(crate) struct Object {
    /// Its key below the table's folder.
    pub(crate) key: String,
    pub(crate) bytes: Vec<u8>,
}

/// How text of a table is spelled, the same in all of its files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) delimiter: char,
    quotes_all: bool,
    line_end: &'static str,
    ends_last_line: bool,
    blanks: &'static str,
    writes_nulls: bool,
}

/// The characters that a delimiter is looked for among.
pub(crate) const DELIMITERS: [char; 4] = [',', ';', '\t', '|'];

impl Dialect {
    pub(crate) fn of(way: &Way) -> Self {
        let mut dice = Dice::new(way.spelling);
        Self {
            delimiter: *dice.one(&DELIMITERS),
            quotes_all: dice.once_in(4),
            line_end: dice.one::<&str>(&["\n", "\n", "\r\n"]),
            ends_last_line: !dice.once_in(4),
            blanks: dice.one::<&str>(&["", "", " "]),
            writes_nulls: dice.once_in(2),
        }
    }
}

/// The files of a table.
pub(crate) async fn objects(table: &Table, way: &Way) -> Vec<Object> {
    let whole;
    let table = match way.files {
        Division::Parts => table,
        Division::One => {
            whole = table.in_one_file();
            &whole
        }
    };
    let mut objects = Vec::new();
    for (place, part) in table.parts.iter().enumerate() {
        let format = way.format.of_part(place, way.spelling);
        let plain = if format.is_text() {
            encoded(&text(table, part, format, way), way.encoding)
        } else {
            binary(table, part, format, way.spelling)
        };
        // An object without a byte is no file.
        if plain.is_empty() {
            continue;
        }
        let folder = match (table.partition, part.rows.first()) {
            (Some(column), Some(row)) => {
                let value = row[column].plain();
                let value = utf8_percent_encode(&value, NON_ALPHANUMERIC);
                format!("{}={value}/", table.columns[column].name)
            }
            // A file without rows has no place under a partition.
            (Some(_), None) => continue,
            (None, _) => String::new(),
        };
        let packed = match way.compression {
            Packed::Plain => "",
            Packed::Gzip => ".gz",
            Packed::Zstd => ".zst",
            Packed::Bzip2 => ".bz2",
            Packed::Xz => ".xz",
        };
        objects.push(Object {
            key: format!("{folder}part-{place}.{}{packed}", format.extension()),
            bytes: compressed(plain, way.compression).await,
        });
    }
    objects
}

/// The places of the columns that a file has.
fn columns(table: &Table, part: &Part) -> Vec<usize> {
    let all = 0..table.columns.len();
    all.filter(|place| Some(*place) != table.partition && !part.lacks.contains(place))
        .collect()
}

fn text(table: &Table, part: &Part, format: Written, way: &Way) -> String {
    let dialect = Dialect::of(way);
    let columns = columns(table, part);
    match format {
        Written::Csv => csv(table, part, &columns, way, dialect),
        Written::Ndjson => {
            let rows = json_rows(table, part, &columns, way, dialect);
            let mut text = rows.join(dialect.line_end);
            if dialect.ends_last_line && !rows.is_empty() {
                text.push_str(dialect.line_end);
            }
            text
        }
        _ => {
            let rows = json_rows(table, part, &columns, way, dialect);
            let between = format!(",{}{}", dialect.line_end, dialect.blanks);
            let array = format!("[{}{}]", dialect.blanks, rows.join(&between));
            if format == Written::Json {
                return array;
            }
            format!("{{\"page\": {{\"n\": [1, {{}}]}}, \"rows\": {array}, \"total\": 7}}")
        }
    }
}

fn csv(table: &Table, part: &Part, columns: &[usize], way: &Way, dialect: Dialect) -> String {
    let mut lines = Vec::new();
    let delimiter = dialect.delimiter.to_string();
    let field = |text: &str, is_text: bool| {
        let special = |c: char| c == dialect.delimiter || "\"\r\n".contains(c);
        let blank = text.starts_with(' ') || text.ends_with(' ');
        if text.contains(special) || is_text && (dialect.quotes_all || blank) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    if way.declares == Declares::Places && way.skips_header() {
        // Nobody reads it: neither names nor as many as there are.
        lines.push("Report".to_owned());
    }
    if way.declares != Declares::Places {
        let names = columns
            .iter()
            .map(|&place| field(&table.columns[place].name, true));
        lines.push(names.collect::<Vec<_>>().join(&delimiter));
    }
    for row in &part.rows {
        let fields = columns.iter().map(|&place| match &row[place] {
            Value::String(text) => field(text, true),
            other => field(&other.plain(), false),
        });
        lines.push(fields.collect::<Vec<_>>().join(&delimiter));
    }
    let mut text = lines.join(dialect.line_end);
    if dialect.ends_last_line && !text.is_empty() {
        text.push_str(dialect.line_end);
    }
    text
}

fn json_rows(
    table: &Table,
    part: &Part,
    columns: &[usize],
    way: &Way,
    dialect: Dialect,
) -> Vec<String> {
    let mut dice = Dice::new(way.spelling);
    let rows = part.rows.iter().enumerate().map(|(number, row)| {
        let mut members = Vec::new();
        for &place in columns {
            let value = &row[place];
            // The first row names every column of the file.
            if value.is_null() && !dialect.writes_nulls && number > 0 && dice.once_in(2) {
                continue;
            }
            let name = serde_json::Value::String(table.columns[place].name.clone());
            let mut member = String::new();
            let json = match value {
                // A member that is null may be missing.
                Value::Object(Some(number), None) if !dialect.writes_nulls => {
                    format!("{{\"n\":{number}}}")
                }
                other => other.json(),
            };
            let _ = write!(member, "{name}:{}{json}", dialect.blanks);
            members.push(member);
        }
        if dice.once_in(4) {
            members.reverse();
        }
        let between = format!(",{}", dialect.blanks);
        format!("{{{}}}", members.join(&between))
    });
    rows.collect()
}

fn encoded(text: &str, encoding: Encoded) -> Vec<u8> {
    let mark = '\u{feff}';
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| {
        let text = format!("{mark}{text}");
        text.encode_utf16().flat_map(bytes).collect()
    };
    match encoding {
        _ if text.is_empty() => Vec::new(),
        Encoded::Utf8 => text.as_bytes().to_vec(),
        Encoded::Utf8Mark => format!("{mark}{text}").into_bytes(),
        Encoded::Utf16Le => utf16(text, u16::to_le_bytes),
        Encoded::Utf16Be => utf16(text, u16::to_be_bytes),
        Encoded::Windows1252 => encoding_rs::WINDOWS_1252.encode(text).0.into_owned(),
    }
}

macro_rules! packed {
    ($encoder:ident, $bytes:expr) => {{
        let mut encoder = $encoder::new(Vec::new());
        let written = encoder.write_all(&$bytes).await;
        written.expect("a vector takes all bytes");
        encoder.shutdown().await.expect("a vector takes all bytes");
        encoder.into_inner()
    }};
}

async fn compressed(plain: Vec<u8>, how: Packed) -> Vec<u8> {
    match how {
        Packed::Plain => plain,
        Packed::Gzip => packed!(GzipEncoder, plain),
        Packed::Zstd => packed!(ZstdEncoder, plain),
        Packed::Bzip2 => packed!(BzEncoder, plain),
        Packed::Xz => packed!(XzEncoder, plain),
    }
}

/// The rows of a part as Arrow has them, in one of the types that hold them; without a spelling, in the usual ones.
fn batch(table: &Table, part: &Part, spelling: Option<u64>, format: Written) -> RecordBatch {
    let mut dice = Dice::new(spelling.unwrap_or_default());
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for place in columns(table, part) {
        let column = &table.columns[place];
        let values: Vec<&Value> = part.rows.iter().map(|row| &row[place]).collect();
        let array = array(column.kind, &values);
        let types = physical(column.kind, format);
        let usual = array.data_type().clone();
        let wanted = spelling.map_or(&usual, |_| dice.one(&types));
        // Only a type that holds all values takes them; the choice is the same for all files where it can be.
        let array = cast(&array, wanted)
            .ok()
            .filter(|cast| {
                cast.null_count() == array.null_count()
                    && flowlake_transform::arrow::compute::cast(cast, array.data_type())
                        .is_ok_and(|back| back.as_ref() == array.as_ref())
            })
            .unwrap_or(array);
        fields.push(Field::new(&column.name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(part.rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .expect("the columns are of one length")
}

fn array(kind: Kind, values: &[&Value]) -> ArrayRef {
    macro_rules! of {
        ($array:ident, $variant:ident, $get:expr) => {
            values
                .iter()
                .map(|value| match value {
                    Value::$variant(found) => Some($get(found)),
                    _ => None,
                })
                .collect::<$array>()
        };
    }
    match kind {
        Kind::Integer => Arc::new(of!(Int64Array, Integer, |found: &i64| *found)),
        Kind::Float => Arc::new(of!(Float64Array, Float, |found: &f64| *found)),
        Kind::Decimal => Arc::new(
            of!(Decimal128Array, Decimal, |found: &i64| i128::from(*found))
                .with_precision_and_scale(12, 2)
                .expect("12 digits hold two decimals"),
        ),
        Kind::String => Arc::new(of!(StringArray, String, |found: &String| found.clone())),
        Kind::Boolean => Arc::new(of!(BooleanArray, Boolean, |found: &bool| *found)),
        Kind::Date => Arc::new(of!(Date32Array, Date, |found: &i32| *found)),
        Kind::Timestamp => Arc::new(of!(TimestampMicrosecondArray, Timestamp, |found: &i64| {
            *found
        })),
        Kind::Timestamptz => Arc::new(
            of!(TimestampMicrosecondArray, Timestamptz, |found: &i64| *found)
                .with_timezone("+00:00"),
        ),
        Kind::Integers => {
            let lists = values.iter().map(|value| match value {
                Value::Integers(items) => Some(items.clone()),
                _ => None,
            });
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists))
        }
        Kind::Object => {
            let members = values.iter().map(|value| match value {
                Value::Object(number, text) => (*number, text.as_deref()),
                _ => (None, None),
            });
            let (numbers, texts): (Vec<_>, Vec<_>) = members.unzip();
            let columns: [ArrayRef; 2] = [
                Arc::new(Int64Array::from(numbers)),
                Arc::new(StringArray::from(texts)),
            ];
            let nulls: NullBuffer = values.iter().map(|value| !value.is_null()).collect();
            let fields = object_fields(DataType::Int64);
            let object = StructArray::try_new(fields, columns.into(), Some(nulls));
            Arc::new(object.expect("the members are of one length"))
        }
    }
}

fn object_fields(number: DataType) -> Fields {
    [("n", number), ("s", DataType::Utf8)]
        .map(|(name, kind)| Field::new(name, kind, true))
        .into_iter()
        .collect()
}

/// Types that a column of the kind may have in a file.
fn physical(kind: Kind, format: Written) -> Vec<DataType> {
    let time = |zone: Option<&str>| {
        let units = if format == Written::Avro {
            vec![TimeUnit::Millisecond, TimeUnit::Microsecond]
        } else {
            vec![
                TimeUnit::Second,
                TimeUnit::Millisecond,
                TimeUnit::Microsecond,
                TimeUnit::Nanosecond,
            ]
        };
        let zone = zone.map(Arc::from);
        units
            .into_iter()
            .map(|unit| DataType::Timestamp(unit, zone.clone()))
            .collect()
    };
    match kind {
        Kind::Integer => vec![DataType::Int64, DataType::Int64, DataType::Int32],
        Kind::Float => vec![DataType::Float64, DataType::Float64, DataType::Float32],
        Kind::Decimal => vec![DataType::Decimal128(12, 2)],
        Kind::String if format == Written::Avro => vec![DataType::Utf8],
        Kind::String => vec![DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View],
        Kind::Boolean => vec![DataType::Boolean],
        Kind::Date => vec![DataType::Date32],
        Kind::Timestamp => time(None),
        Kind::Timestamptz => time(Some("+00:00")),
        Kind::Integers => [DataType::Int64, DataType::Int32]
            .map(|item| DataType::List(Field::new("item", item, true).into()))
            .into(),
        Kind::Object => [DataType::Int64, DataType::Int32]
            .map(|number| DataType::Struct(object_fields(number)))
            .into(),
    }
}

/// The whole table as one Parquet file of the usual types.
pub(crate) fn parquet(table: &Table) -> Vec<u8> {
    let whole = table.in_one_file();
    written(
        &batch(&whole, &whole.parts[0], None, Written::Parquet),
        Written::Parquet,
        0,
    )
}

fn binary(table: &Table, part: &Part, format: Written, spelling: u64) -> Vec<u8> {
    written(
        &batch(table, part, Some(spelling), format),
        format,
        spelling,
    )
}

fn written(batch: &RecordBatch, format: Written, spelling: u64) -> Vec<u8> {
    let schema = batch.schema();
    let mut dice = Dice::new(spelling);
    let slices = || {
        let step = [usize::MAX, 3, 10][usize::try_from(spelling % 3).unwrap_or_default()];
        let rows = batch.num_rows();
        let starts = (0..rows.max(1)).step_by(step.min(rows.max(1)));
        starts.map(move |start| batch.slice(start, step.min(rows - start)))
    };
    match format {
        Written::Parquet => {
            let properties = WriterProperties::builder()
                .set_compression(*dice.one(&[
                    Compression::UNCOMPRESSED,
                    Compression::ZSTD(ZstdLevel::default()),
                ]))
                .set_max_row_group_row_count(Some(*dice.one(&[2, 5, 1000])))
                .set_data_page_row_count_limit(*dice.one(&[1, 3, 1000]))
                .set_write_batch_size(2)
                .set_dictionary_enabled(dice.once_in(2))
                .set_bloom_filter_enabled(dice.once_in(3))
                .set_writer_version(
                    *dice.one(&[WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0]),
                )
                .set_statistics_enabled(*dice.one(&[
                    EnabledStatistics::None,
                    EnabledStatistics::Chunk,
                    EnabledStatistics::Page,
                ]))
                .build();
            let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))
                .expect("Parquet has these types");
            writer.write(batch).expect("a vector takes all bytes");
            writer.into_inner().expect("a vector takes all bytes")
        }
        Written::Avro => {
            let mut writer =
                AvroWriter::new(Vec::new(), schema.as_ref().clone()).expect("Avro has these types");
            for slice in slices() {
                writer.write(&slice).expect("a vector takes all bytes");
            }
            writer.finish().expect("a vector takes all bytes");
            writer.into_inner()
        }
        Written::ArrowStream => {
            let mut writer =
                StreamWriter::try_new(Vec::new(), &schema).expect("Arrow has its types");
            for slice in slices() {
                writer.write(&slice).expect("a vector takes all bytes");
            }
            writer.into_inner().expect("a vector takes all bytes")
        }
        _ => {
            let mut writer = FileWriter::try_new(Vec::new(), &schema).expect("Arrow has its types");
            for slice in slices() {
                writer.write(&slice).expect("a vector takes all bytes");
            }
            writer.into_inner().expect("a vector takes all bytes")
        }
    }
}
