//! Looks into the head of a file: how it is written, and which columns it has.

use std::sync::Arc;

use bytes::Bytes;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use encoding_rs::{Encoding, UTF_8};
use futures::StreamExt;

use super::head::Head;
use crate::{
    Compression, Error, ErrorKind, Format, TableSpec,
    formats::{
        Decode,
        binary::{Adapter, ArrowDecoder, AvroDecoder},
        bytes::{Transcoder, decompress},
        chunk::Asked,
        csv::{CsvDecoder, CsvOptions, header_names},
        detect,
        infer::{Candidates, JsonTypes, TextTypes},
        json::{JsonDecoder, torn},
        json_split::{JsonRows, JsonSplitter, Stopped},
        misfit::Misfits,
        records::{Dialect, Divider, Record},
    },
};

/// Plain bytes of a head that are looked at.
const LOOKED_AT_BYTES: usize = 32 << 20;

/// What one file is.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    pub(crate) encoding: &'static Encoding,
    pub(crate) csv: CsvOptions,
    pub(crate) json: JsonRows,
    /// Its columns, once they have been looked for.
    pub(crate) schema: Option<SchemaRef>,
    /// Keys of its head that only rows beyond the sample have.
    pub(crate) late: Vec<String>,
}

/// Columns of a file.
#[derive(Debug)]
pub(crate) struct FoundColumns {
    pub(crate) schema: Schema,
    /// Keys that only rows beyond the sample have.
    pub(crate) late: Vec<String>,
}

impl From<Schema> for FoundColumns {
    fn from(schema: Schema) -> Self {
        Self {
            schema,
            late: Vec::new(),
        }
    }
}

/// A head, decompressed and decoded.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) bytes: Bytes,
    /// Whether it is the whole file.
    pub(crate) whole: bool,
}

/// Finds out how a file is written.
pub(crate) async fn facts(
    spec: &TableSpec,
    file: &str,
    head: &Head,
) -> Result<(Facts, Plain), Error> {
    let misfits = Misfits::lenient(file);
    let (named, named_compression) = detect::by_name(file);
    let compression = match spec.compression {
        Some(compression) => compression,
        None => compression_of(&misfits, head, named_compression)?,
    };
    let plain = plain(&misfits, head, compression).await?;
    if compression != Compression::None && detect::compression_by_magic(&plain.bytes).is_some() {
        return Err(misfits.error("is compressed twice"));
    }
    let magic = detect::binary_by_magic(&plain.bytes);
    let content_type = head
        .content_type
        .as_deref()
        .and_then(detect::by_content_type);
    let declared = spec
        .format
        .or(spec.json_pointer.as_ref().map(|_| Format::Json));
    let told = declared.or(magic).or(named).or(content_type);
    let binary = matches!(told, Some(Format::Parquet | Format::Avro | Format::Arrow));
    let encoding = match &spec.encoding {
        _ if binary => UTF_8,
        Some(label) => Encoding::for_label_no_replacement(label.as_bytes()).unwrap_or(UTF_8),
        None => detect::encoding(&plain.bytes, plain.whole),
    };
    let plain = if binary {
        plain
    } else {
        decoded(plain, encoding)
    };
    let text = String::from_utf8_lossy(&plain.bytes[..plain.bytes.len().min(64 << 10)]);
    let cut = plain.whole && plain.bytes.len() <= 64 << 10;
    let quoting = dialect(spec, b',');
    let format = match told {
        // Files named `.json` are arrays, documents or lines.
        Some(Format::Json) if declared.is_none() => {
            detect::json_by_text(&text, cut).unwrap_or(Format::Json)
        }
        Some(format) => format,
        None => detect::json_by_text(&text, cut)
            .or_else(|| {
                let divided = detect::delimiter(&plain.bytes, quoting).is_some();
                (divided && !plain.bytes.contains(&0)).then_some(Format::Csv)
            })
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidSpec,
                    format!(
                        "{file}: neither name, content type nor first bytes tell the format: set `format` (csv, tsv, ndjson, json, parquet, avro or arrow)"
                    ),
                )
            })?,
    };
    if format == Format::Parquet && compression != Compression::None {
        return Err(Error::new(
            ErrorKind::InvalidSpec,
            format!(
                "{file}: Parquet inside {compression} cannot be read: Parquet is compressed by itself"
            ),
        ));
    }
    let mut facts = Facts {
        format,
        compression,
        encoding,
        csv: CsvOptions {
            dialect: quoting,
            header: spec.header.unwrap_or(true),
            null_values: spec.null_values.clone().into(),
        },
        json: match (format, &spec.json_pointer) {
            (Format::Ndjson, _) => JsonRows::Lines,
            (_, pointer) => JsonRows::Document(tokens(pointer.as_deref().unwrap_or_default())),
        },
        schema: None,
        late: Vec::new(),
    };
    if matches!(format, Format::Csv | Format::Tsv) {
        let found = match (spec.delimiter, format) {
            (Some(delimiter), _) => ascii(delimiter),
            (None, Format::Tsv) => b'\t',
            (None, _) => detect::delimiter(&plain.bytes, quoting).unwrap_or(b','),
        };
        facts.csv.dialect = dialect(spec, found);
        if spec.header.is_none() {
            facts.csv.header = has_header(&facts.csv, &plain.bytes);
        }
    }
    Ok((facts, plain))
}

fn compression_of(
    misfits: &Misfits,
    head: &Head,
    named: Option<Compression>,
) -> Result<Compression, Error> {
    match (detect::compression_by_magic(&head.bytes), named) {
        (Some(found), _) => Ok(found),
        (None, Some(named)) if !head.bytes.is_empty() => Err(misfits.error(format_args!(
            "is named as {named} and is not: rename it, or set `compression`"
        ))),
        (None, _) => Ok(Compression::None),
    }
}

/// Decompresses a head, which may be cut off anywhere.
async fn plain(misfits: &Misfits, head: &Head, compression: Compression) -> Result<Plain, Error> {
    if compression == Compression::None {
        return Ok(Plain {
            bytes: head.bytes.clone(),
            whole: head.whole,
        });
    }
    let bytes = head.bytes.clone();
    let mut stream = decompress(
        futures::stream::once(async { Ok(bytes) }).boxed(),
        compression,
    );
    let (mut plain, mut whole) = (Vec::new(), head.whole);
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => plain.extend_from_slice(&piece),
            // What was read before the fault may tell columns; the fault is told when the file is read.
            Err(_) if !head.whole || !plain.is_empty() => {
                whole = false;
                break;
            }
            Err(_) => return Err(misfits.error(broken(compression))),
        }
        if plain.len() > LOOKED_AT_BYTES {
            whole = false;
            break;
        }
    }
    Ok(Plain {
        bytes: plain.into(),
        whole,
    })
}

/// What is said of a compressed file that cannot be decompressed.
pub(crate) fn broken(compression: Compression) -> String {
    format!("is not valid {compression}, or is cut off")
}

fn decoded(plain: Plain, encoding: &'static Encoding) -> Plain {
    let Plain { bytes, whole } = plain;
    let text = Transcoder::new(encoding).push(bytes.clone(), whole);
    // Whatever is wrong with it is told when it is read; its beginning may still tell columns.
    let guessed = || Bytes::from(encoding.decode(&bytes).0.into_owned());
    let bytes = text.unwrap_or_else(guessed);
    Plain { bytes, whole }
}

/// The names on a JSON pointer.
fn tokens(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|name| name.replace("~1", "/").replace("~0", "~"))
        .collect()
}

fn dialect(spec: &TableSpec, delimiter: u8) -> Dialect {
    Dialect {
        delimiter: spec.delimiter.map_or(delimiter, ascii),
        quote: ascii(spec.quote),
        escape: spec.escape.map(ascii),
        comment: spec.comment.map(ascii),
    }
}

/// A character that [`TableSpec::validate`] has found to be ASCII.
fn ascii(character: char) -> u8 {
    u8::try_from(character).unwrap_or(b'?')
}

/// Divides the first records; the last is left out if it may be cut off.
fn first_records(
    options: &CsvOptions,
    plain: &Plain,
    rows: usize,
) -> crate::formats::records::Records {
    let mut divider = Divider::new(options.dialect);
    // What cannot be divided is told when the file is read.
    if divider.push(&plain.bytes, rows).is_ok() && plain.whole {
        divider.finish().ok();
    }
    divider.take()
}

/// Whether the first record names columns: not when one of its fields is a number, a date or the like as the fields below it
/// are.
fn has_header(options: &CsvOptions, text: &Bytes) -> bool {
    let plain = Plain {
        bytes: text.slice(..text.len().min(256 << 10)),
        whole: true,
    };
    let records = first_records(options, &plain, 100);
    let mut records = records.iter();
    let Some(first) = records.next() else {
        return true;
    };
    let mut below = TextTypes::default();
    let mut others = 0;
    for record in records {
        below.see(&record, &options.null_values);
        others += 1;
    }
    let value = |place: usize| {
        let text = first.field(place).unwrap_or_default();
        let is_like_below = others == 0 || below.at(place).is_some_and(|below| below.is_like(text));
        !text.is_empty() && !is_text(text) && is_like_below
    };
    !(0..first.fields()).any(value)
}

/// Whether a field is no number, date or the like.
fn is_text(field: &[u8]) -> bool {
    let mut candidates = Candidates::default();
    candidates.see(field);
    candidates.kind() == DataType::Utf8
}

impl Facts {
    /// What Parquet is: its footer tells everything.
    pub(crate) fn parquet(schema: Option<SchemaRef>) -> Self {
        Self {
            format: Format::Parquet,
            compression: Compression::None,
            encoding: UTF_8,
            csv: CsvOptions {
                dialect: Dialect {
                    delimiter: b',',
                    quote: b'"',
                    escape: None,
                    comment: None,
                },
                header: true,
                null_values: Arc::default(),
            },
            json: JsonRows::Lines,
            schema,
            late: Vec::new(),
        }
    }

    /// Finds the columns; `None` when the head is too short to tell.
    pub(crate) fn find_schema(
        &self,
        spec: &TableSpec,
        file: &str,
        plain: &Plain,
    ) -> Result<Option<FoundColumns>, Error> {
        let misfits = Misfits::lenient(file);
        let nothing = || Asked::new(Schema::empty().into(), Vec::new(), false, 1024);
        match self.format {
            Format::Csv | Format::Tsv => Ok(self.csv_schema(spec, plain).map(Into::into)),
            Format::Json | Format::Ndjson => {
                let mut types = JsonTypes::new(spec.infer_rows);
                let mut splitter = JsonSplitter::new(self.json.clone());
                let mut result = splitter.push(&plain.bytes, &mut types);
                if result.is_ok() && plain.whole {
                    result = splitter.finish(&mut types);
                }
                match result {
                    Err(Stopped::Taker(error)) => Err(error),
                    Err(stopped) if types.rows == 0 => Err(torn(&misfits, stopped)),
                    _ if types.rows == 0 && !plain.whole => Ok(None),
                    _ => Ok(Some(FoundColumns {
                        schema: types.schema(),
                        late: types.into_late(),
                    })),
                }
            }
            Format::Avro => {
                let mut decoder = AvroDecoder::new(Adapter::new(nothing(), misfits));
                let result = decoder.push(&plain.bytes, &mut Vec::new());
                Self::of_binary(decoder.schema(), result, &mut decoder, plain)
            }
            Format::Arrow => {
                let mut decoder = ArrowDecoder::new(Adapter::new(nothing(), misfits));
                let result = decoder.push(&plain.bytes, &mut Vec::new());
                Self::of_binary(decoder.schema(), result, &mut decoder, plain)
            }
            Format::Parquet => Ok(None),
        }
    }

    fn of_binary(
        found: Option<SchemaRef>,
        result: Result<(), Error>,
        decoder: &mut dyn Decode,
        plain: &Plain,
    ) -> Result<Option<FoundColumns>, Error> {
        if let Some(schema) = found {
            return Ok(Some(schema.as_ref().clone().into()));
        }
        result?;
        if plain.whole {
            decoder.finish(&mut Vec::new())?;
        }
        Ok(None)
    }

    fn csv_schema(&self, spec: &TableSpec, plain: &Plain) -> Option<Schema> {
        let records = first_records(&self.csv, plain, spec.infer_rows.saturating_add(1));
        let mut rows = records.iter().filter(|record| !record.is_torn()).peekable();
        let Some(first) = rows.peek() else {
            return plain.whole.then(Schema::empty);
        };
        let names: Vec<String> = if self.csv.header {
            header_names(first)
        } else {
            (1..=first.fields())
                .map(|place| format!("column_{place}"))
                .collect()
        };
        if self.csv.header {
            rows.next();
        }
        let mut types = TextTypes::default();
        for record in rows.filter(|record: &Record<'_>| record.fields() == names.len()) {
            types.see(&record, &spec.null_values);
        }
        let mut types = types.into_types();
        types.resize(names.len(), DataType::Null);
        let fields = names
            .into_iter()
            .zip(types)
            .map(|(name, kind)| Field::new(name, kind, true));
        Some(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// A reader of the file's plain text or bytes, from its start to its end, into the columns that are asked for.
    pub(crate) fn decoder(&self, asked: Asked, misfits: Misfits) -> Result<Box<dyn Decode>, Error> {
        Ok(match self.format {
            Format::Csv | Format::Tsv => {
                Box::new(CsvDecoder::new(asked, self.csv.clone(), misfits))
            }
            Format::Json | Format::Ndjson => {
                Box::new(JsonDecoder::new(asked, self.json.clone(), misfits))
            }
            Format::Avro => Box::new(AvroDecoder::new(Adapter::new(asked, misfits))),
            Format::Arrow => Box::new(ArrowDecoder::new(Adapter::new(asked, misfits))),
            Format::Parquet => {
                return Err(misfits.error("is Parquet, which other files of the table are not"));
            }
        })
    }

    /// Whether the file can be read in chunks, side by side.
    pub(crate) fn is_cut(&self) -> bool {
        matches!(self.format, Format::Csv | Format::Tsv) || self.is_lines()
    }

    /// Whether each line is a row of JSON.
    pub(crate) fn is_lines(&self) -> bool {
        matches!(self.format, Format::Json | Format::Ndjson) && self.json == JsonRows::Lines
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(
            self.format,
            Format::Csv | Format::Tsv | Format::Json | Format::Ndjson
        )
    }

    /// The columns of a file with the types that are declared for single ones. A column in which no value told a type stays
    /// unknown, since another file may tell.
    pub(crate) fn declared_types(spec: &TableSpec, schema: &Schema) -> Schema {
        let fields = schema
            .fields()
            .iter()
            .map(|field| match spec.types.get(field.name()) {
                Some(declared) => Arc::new(Field::new(field.name(), declared.kind.clone(), true)),
                None => Arc::clone(field),
            });
        Schema::new(fields.collect::<Vec<_>>())
    }
}
