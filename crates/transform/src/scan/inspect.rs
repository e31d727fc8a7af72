//! Looks into the head of a file: how it is written, and which columns it has.

use std::{io, sync::Arc};

use bytes::Bytes;
use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, SchemaRef},
    common::runtime::SpawnedTask,
    execution::memory_pool::MemoryPool,
};
use encoding_rs::{Encoding, UTF_8};
use futures::StreamExt;
use liblzma::stream as xz;
use serde::Serialize;

use super::head::Head;
use crate::{
    Compression, Error, ErrorKind, Format, HeaderKind, OnError, TableSpec,
    formats::{
        Decode,
        binary::{Adapter, ArrowDecoder, AvroDecoder},
        bytes::{Transcoder, decompress},
        chunk::Asked,
        chunk_reader::{LinesBefore, last_lines},
        csv::{CsvDecoder, CsvOptions, Header, Layout, header_names, whole_header},
        detect,
        infer::{Candidates, JsonTypes, TextTypes},
        json::{JsonDecoder, torn},
        json_split::{JsonRows, JsonSplitter, Stopped},
        misfit::Misfits,
        records::{Broken, Delimiter, Dialect, Divider, Record, Records},
    },
};

/// Plain bytes of a head that are looked at, for each of its own: a head that holds no record is read again, with more bytes.
const EXPANSION: usize = 16;
/// Plain bytes of a head that are looked at, at most.
const LOOKED_AT_BYTES: usize = 64 << 20;

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
    /// What was detected or declared, each with the reason in words.
    pub(crate) evidence: Vec<Evidence>,
}

/// One thing that is known of how a file is written, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// What it is about, by its key in `[tables.NAME]`.
    pub about: &'static str,
    /// Why it is so.
    pub reason: String,
}

/// The reason of what the table says itself.
const DECLARED: &str = "declared";

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

/// What was detected in a head.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) facts: Facts,
    /// The columns, if they were asked for and the head is long enough to tell.
    pub(crate) columns: Option<FoundColumns>,
    /// All plain bytes of the file, if all were looked at.
    pub(crate) plain: Option<Bytes>,
}

/// Whether a head is looked into for columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looking {
    /// For how the file is written alone.
    ForFormat,
    /// For columns too. That it has none, or is not in order, is reported when it is read.
    IfInOrder,
    ForColumns,
}

/// Finds out how a file is written and, if they are asked for, which columns it has. A head may take long: it is not to keep a
/// worker from its other tasks.
pub(crate) async fn examine(
    spec: &TableSpec,
    file: &str,
    head: Head,
    columns: Looking,
) -> Result<Examined, Error> {
    let (spec, file) = (spec.clone(), file.to_owned());
    let examining = SpawnedTask::spawn_blocking(move || examine_here(&spec, &file, &head, columns));
    let broken_down =
        |_panicked| Error::new(ErrorKind::Internal, "a file could not be looked into");
    examining.await.map_err(broken_down)?
}

/// As [`examine`], in this thread.
pub(crate) fn examine_here(
    spec: &TableSpec,
    file: &str,
    head: &Head,
    columns: Looking,
) -> Result<Examined, Error> {
    let (facts, plain, bytes) = futures::executor::block_on(facts(spec, file, head))?;
    let columns = match columns {
        Looking::ForFormat => None,
        Looking::IfInOrder => facts.find_schema(spec, file, &plain).ok().flatten(),
        Looking::ForColumns => facts.find_schema(spec, file, &plain)?,
    };
    Ok(Examined {
        facts,
        columns,
        plain: plain.whole.then_some(bytes),
    })
}

/// All plain bytes of a file, if the head is all of it and they are few and in order.
pub(crate) fn decompressed(
    head: &Head,
    compression: Compression,
    misfits: &Misfits,
) -> Option<Bytes> {
    if !head.whole {
        return None;
    }
    let plain = futures::executor::block_on(plain(misfits, head, compression)).ok()?;
    plain.whole.then_some(plain.bytes)
}

/// Finds out how a file is written; what was looked at, and the bytes that it was decoded from.
async fn facts(spec: &TableSpec, file: &str, head: &Head) -> Result<(Facts, Plain, Bytes), Error> {
    let misfits = Misfits::lenient(file);
    let (named, named_compression) = detect::by_name(file);
    let mut evidence = Vec::new();
    let mut found = |about, reason: &str| {
        evidence.push(Evidence {
            about,
            reason: reason.to_owned(),
        });
    };
    let (compression, reason) = match spec.compression {
        Some(compression) => (compression, DECLARED),
        None => {
            readable(&misfits, file, &head.bytes)?;
            compression_of(&misfits, head, named_compression)?
        }
    };
    found("compression", reason);
    let plain = plain(&misfits, head, compression).await?;
    if compression != Compression::None {
        of_rows(&misfits, compression, &plain.bytes)?;
    }
    let magic = detect::binary_by_magic(&plain.bytes);
    let content_type = head
        .content_type
        .as_deref()
        .and_then(detect::by_content_type);
    let declared = spec
        .format
        .or(spec.json_pointer.as_ref().map(|_| Format::Json));
    let known = declared.or(magic).or(named).or(content_type);
    let binary = matches!(known, Some(Format::Parquet | Format::Avro | Format::Arrow));
    let (encoding, encoding_reason) = match &spec.encoding {
        _ if binary => (UTF_8, ""),
        Some(label) => {
            let encoding = Encoding::for_label_no_replacement(label.as_bytes());
            (encoding.unwrap_or(UTF_8), DECLARED)
        }
        None => detect::encoding(&plain.bytes, plain.whole),
    };
    let bytes = plain.bytes.clone();
    let plain = if binary {
        plain
    } else {
        decoded(plain, encoding)
    };
    let quoting = dialect(spec);
    let known = match (declared, magic, named, content_type) {
        (Some(format), ..) => Some((format, DECLARED)),
        (_, Some(format), ..) => Some((format, "the first bytes are those of the format")),
        (_, _, Some(format), _) => Some((format, "the name says it")),
        (.., content_type) => content_type.map(|format| (format, "the content type says it")),
    };
    let (format, reason) = match known {
        // Files named `.json` are arrays, documents or lines.
        Some((Format::Json, reason)) if declared.is_none() => by_text(&plain)
            .filter(|(format, _)| *format == Format::Ndjson)
            .unwrap_or((Format::Json, reason)),
        Some(known) => known,
        None => format_by_text(file, &plain, quoting)?,
    };
    found("format", reason);
    if !binary {
        found("encoding", encoding_reason);
    }
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
            skip_lines: spec.skip_lines.unwrap_or_default(),
            header: header(spec),
            footer_lines: spec.footer_lines,
            null_values: spec.null_values.clone().into(),
        },
        json: match (format, &spec.json_pointer) {
            (Format::Ndjson, _) => JsonRows::Lines,
            (_, pointer) => JsonRows::Document(tokens(pointer.as_deref().unwrap_or_default())),
        },
        schema: None,
        late: Vec::new(),
        evidence,
    };
    if matches!(format, Format::Csv | Format::Tsv) {
        let found = &mut facts.evidence;
        facts.csv = csv_options(spec, file, format, facts.csv, &plain, found);
    }
    Ok((facts, plain, bytes))
}

/// JSON by the beginning of the text, and why.
fn by_text(plain: &Plain) -> Option<(Format, &'static str)> {
    let text = String::from_utf8_lossy(&plain.bytes[..plain.bytes.len().min(64 << 10)]);
    let cut = plain.whole && plain.bytes.len() <= 64 << 10;
    let found = detect::json_by_text(&text, cut);
    found.map(|format| match format {
        Format::Ndjson => (format, "each of the first lines is a JSON object"),
        _ => (format, "the text begins as JSON does"),
    })
}

/// The format of text that nothing else says it of, and why.
fn format_by_text(
    file: &str,
    plain: &Plain,
    quoting: Dialect,
) -> Result<(Format, &'static str), Error> {
    let delimited = || {
        let divided = detect::delimiter(&plain.bytes, quoting, None).is_some();
        let is_csv = divided && !plain.bytes.contains(&0);
        is_csv.then_some((Format::Csv, "a delimiter divides the first records"))
    };
    by_text(plain).or_else(delimited).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidSpec,
            format!(
                "{file}: neither name, content type nor first bytes tell the format: set `format` (csv, tsv, ndjson, json, parquet, avro or arrow)"
            ),
        )
    })
}

/// What is read of what holds files, or is compressed.
const READ: &str = "put files into S3 as they are, or compressed with gzip, zstd, bzip2 or xz";

/// Refuses an archive, and what is compressed in a way that is not read.
fn readable(misfits: &Misfits, file: &str, head: &[u8]) -> Result<(), Error> {
    let is_known =
        || detect::compression_by_magic(head).is_some() || detect::binary_by_magic(head).is_some();
    let found = detect::unreadable_by_magic(head)
        .or_else(|| detect::unreadable_by_name(file).filter(|_| !head.is_empty() && !is_known()));
    match found {
        Some(what) => Err(misfits.error(format_args!("is {what}, which is not read: {READ}"))),
        None => Ok(()),
    }
}

/// Refuses an archive, and what is compressed again, inside a compression.
fn of_rows(misfits: &Misfits, compression: Compression, plain: &[u8]) -> Result<(), Error> {
    if let Some(what) = detect::unreadable_by_magic(plain) {
        return Err(misfits.error(format_args!("is {what} inside {compression}: {READ}")));
    }
    if detect::compression_by_magic(plain).is_some() {
        return Err(misfits.error("is compressed twice"));
    }
    Ok(())
}

fn compression_of(
    misfits: &Misfits,
    head: &Head,
    named: Option<Compression>,
) -> Result<(Compression, &'static str), Error> {
    match (detect::compression_by_magic(&head.bytes), named) {
        (Some(found), _) => Ok((found, "the first bytes are those of the compression")),
        (None, Some(named)) if !head.bytes.is_empty() => Err(misfits.error(format_args!(
            "is named as {named} and is not: rename it, or set `compression`"
        ))),
        (None, _) => Ok((
            Compression::None,
            "the first bytes are those of no compression",
        )),
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
    let most = LOOKED_AT_BYTES.min(head.bytes.len().max(head.asked) * EXPANSION);
    if head.whole && compression == Compression::Gzip {
        // It ends with the size of its last member, which in most files is the only one.
        let size = head.bytes.last_chunk::<4>();
        let size = size.map_or(0, |size| u32::from_le_bytes(*size) as usize);
        plain.reserve(size.min(most));
    }
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => plain.extend_from_slice(&piece),
            // What was read before the fault may show columns; the fault is reported when the file is read.
            Err(error) if !is_too_large(&error) && (!head.whole || !plain.is_empty()) => {
                whole = false;
                break;
            }
            Err(error) => return Err(misfits.error(broken(compression, &error))),
        }
        if plain.len() > most {
            whole = false;
            break;
        }
    }
    Ok(Plain {
        bytes: plain.into(),
        whole,
    })
}

/// Whether a decoder may not take as much memory as the file asks for.
fn is_too_large(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    let of_xz = matches!(cause, Some(xz::Error::MemLimit | xz::Error::Mem));
    of_xz || error.kind() == io::ErrorKind::OutOfMemory
}

/// What is said of a compressed file that cannot be decompressed.
pub(crate) fn broken(compression: Compression, error: &io::Error) -> String {
    if is_too_large(error) {
        return format!("is {compression} with a dictionary that is larger than 64 MiB");
    }
    format!("is not valid {compression}, or is cut off")
}

fn decoded(plain: Plain, encoding: &'static Encoding) -> Plain {
    let Plain { bytes, whole } = plain;
    let text = Transcoder::new(encoding).push(bytes.clone(), whole);
    // A fault is reported when the file is read; its beginning may still show columns.
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

fn dialect(spec: &TableSpec) -> Dialect {
    let delimiter = spec.delimiter.as_deref();
    Dialect {
        delimiter: delimiter
            .and_then(|text| Delimiter::of(text.as_bytes()))
            .unwrap_or(Delimiter::byte(b',')),
        quote: spec.quote.0.map(ascii),
        escape: spec.escape.map(ascii),
        comment: spec.comment.map(ascii),
        trim: spec.trim.unwrap_or_default(),
    }
}

fn header(spec: &TableSpec) -> Header {
    match spec.header {
        None | Some(HeaderKind::Names) => Header::Names(spec.header_lines),
        Some(HeaderKind::Skip) => Header::Skipped(spec.header_lines),
        Some(HeaderKind::None) => Header::None,
    }
}

/// Finds out of delimited text what is not declared.
fn csv_options(
    spec: &TableSpec,
    file: &str,
    format: Format,
    mut options: CsvOptions,
    plain: &Plain,
    evidence: &mut Vec<Evidence>,
) -> CsvOptions {
    let mut found = |about, reason: String| evidence.push(Evidence { about, reason });
    let mut delimiter = match &spec.delimiter {
        Some(_) => Some(DECLARED),
        None => (format == Format::Tsv).then_some("the format has tabs"),
    };
    if format == Format::Tsv && spec.delimiter.is_none() {
        options.dialect.delimiter = Delimiter::byte(b'\t');
    }
    let separator = detect::separator(&plain.bytes).filter(|_| spec.skip_lines.is_none());
    if let Some(separator) = separator {
        const EXCEL: &str = "the first line is `sep=`, as Excel writes it";
        options.skip_lines = 1;
        found("skip_lines", EXCEL.to_owned());
        if delimiter.is_none() {
            options.dialect.delimiter = separator;
            delimiter = Some(EXCEL);
        }
    } else if spec.skip_lines.is_none() {
        let fixed = delimiter.map(|_| options.dialect.delimiter);
        options.skip_lines = detect::lines_before(&plain.bytes, options.dialect, fixed);
        if options.skip_lines > 0 {
            found(
                "skip_lines",
                "what stands before a blank line has another number of fields than the records behind it"
                    .to_owned(),
            );
        }
    } else {
        found("skip_lines", DECLARED.to_owned());
    }
    let (text, _) = table_text(&options, plain);
    match delimiter {
        Some(reason) => found("delimiter", reason.to_owned()),
        None => {
            let by_text = detect::delimiter(text, options.dialect, columns_by_place(spec, file));
            options.dialect.delimiter = by_text.unwrap_or(Delimiter::byte(b','));
            found("delimiter", evenness(text, options.dialect));
        }
    }
    if spec.trim.is_none() {
        options.dialect.trim = detect::has_blanks_around(text, options.dialect);
        if options.dialect.trim {
            found("trim", "each delimiter has a blank beside it".to_owned());
        }
    }
    if spec.header.is_none() && spec.header_lines == 1 {
        match value_in_first(&options, text) {
            None => found(
                "header",
                "no field of the first record is a number, a date or the like as those below it are"
                    .to_owned(),
            ),
            Some(place) => {
                options.header = Header::None;
                let field = place + 1;
                found(
                    "header",
                    format!("field {field} of the first record is a value as those below it are"),
                );
            }
        }
    } else {
        found("header", DECLARED.to_owned());
    }
    options
}

/// How a delimiter divides the first records, in words.
fn evenness(text: &[u8], dialect: Dialect) -> String {
    match detect::divided(text, dialect) {
        Some(found) if found.fields > 1 => format!(
            "it divides {} of the first {} records into {} fields",
            found.even, found.records, found.fields
        ),
        _ => "no delimiter divides the first records: there is one column".to_owned(),
    }
}

/// How many fields a row has, where a table says so: columns that folders make are not among them.
fn columns_by_place(spec: &TableSpec, file: &str) -> Option<usize> {
    if !matches!(spec.header, Some(HeaderKind::Skip | HeaderKind::None)) {
        return None;
    }
    let columns = spec.columns.as_ref()?.schema();
    let fields = columns.fields().iter();
    let inside = fields.filter(|field| !file.contains(&format!("/{}=", field.name())));
    Some(inside.count())
}

/// The text of a head without what is declared, or was found, to be in front of the table and behind it; and the line that it
/// begins in.
fn table_text<'a>(options: &CsvOptions, plain: &'a Plain) -> (&'a [u8], u64) {
    let text = &plain.bytes[..];
    let mut before = LinesBefore::of(options);
    let start = before.pass(text, true);
    let end = match options.footer_lines {
        0 => None,
        lines => last_lines(text, lines),
    };
    (
        &text[start..end.unwrap_or(text.len()).max(start)],
        before.line(),
    )
}

/// A character that [`TableSpec::validate`] has found to be ASCII.
fn ascii(character: char) -> u8 {
    u8::try_from(character).unwrap_or(b'?')
}

/// Divides the first records; the last is left out if it may be cut off.
fn first_records(dialect: Dialect, text: &[u8], whole: bool, rows: usize) -> Records {
    let mut divider = Divider::new(dialect);
    // A record that cannot be divided is reported when the file is read.
    if divider.push(text, rows).is_ok() && whole {
        divider.finish().ok();
    }
    divider.take()
}

/// The first field of the first record that is a number, a date or the like as the fields below it are. Where there is none, the
/// record names columns.
fn value_in_first(options: &CsvOptions, text: &[u8]) -> Option<usize> {
    let text = &text[..text.len().min(256 << 10)];
    let records = first_records(options.dialect, text, true, 100);
    let mut records = records.iter();
    let first = records.next()?;
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
    (0..first.fields()).find(|&place| value(place))
}

/// Whether a field is no number, date or the like.
fn is_text(field: &[u8]) -> bool {
    let mut candidates = Candidates::default();
    candidates.see(field);
    candidates.kind() == DataType::Utf8
}

impl Facts {
    /// What Parquet is: its footer tells everything.
    pub(crate) fn parquet(schema: Option<SchemaRef>, reason: &str) -> Self {
        Self {
            evidence: vec![Evidence {
                about: "format",
                reason: reason.to_owned(),
            }],
            format: Format::Parquet,
            compression: Compression::None,
            encoding: UTF_8,
            csv: CsvOptions {
                dialect: Dialect {
                    delimiter: Delimiter::byte(b','),
                    quote: Some(b'"'),
                    escape: None,
                    comment: None,
                    trim: false,
                },
                skip_lines: 0,
                header: Header::Names(1),
                footer_lines: 0,
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
            Format::Csv | Format::Tsv => Ok(self.csv_schema(spec, file, plain)?.map(Into::into)),
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
                    // Looked at once, not with each longer head.
                    _ if types.rows == 0 && !plain.whole => Ok(None),
                    _ if types.rows == 0 => {
                        self.first_fault(spec, file, plain)?;
                        Ok(Some(Schema::empty().into()))
                    }
                    _ => Ok(Some(FoundColumns {
                        schema: types.schema(),
                        late: types.into_late(),
                    })),
                }
            }
            Format::Avro | Format::Arrow => {
                let adapter = Adapter::new(nothing(), misfits);
                let found = if self.format == Format::Avro {
                    AvroDecoder::new(adapter).schema(&plain.bytes)
                } else {
                    ArrowDecoder::new(adapter).schema(&plain.bytes)
                };
                match found? {
                    None if plain.whole => Err(Misfits::lenient(file).error(format_args!(
                        "is not valid {}, or is cut off",
                        if self.format == Format::Avro {
                            "Avro"
                        } else {
                            "Arrow IPC"
                        }
                    ))),
                    found => Ok(found.map(|schema| schema.as_ref().clone().into())),
                }
            }
            Format::Parquet => Ok(None),
        }
    }

    /// Why text has no row, as its reader says it: where rows that do not fit are left out, another file may have some.
    fn first_fault(&self, spec: &TableSpec, file: &str, plain: &Plain) -> Result<(), Error> {
        if spec.on_error != OnError::Fail {
            return Ok(());
        }
        let misfits = Misfits {
            on_error: OnError::Fail,
            ..Misfits::lenient(file)
        };
        let nothing = Asked::new(Schema::empty().into(), Vec::new(), false, 1024);
        let (mut reader, text): (Box<dyn Decode>, _) = if self.is_delimited() {
            let (text, line) = table_text(&self.csv, plain);
            let layout = Arc::new(Layout::by_place(&nothing, 0));
            let options = self.csv.clone();
            let reader = CsvDecoder::new(nothing, options, misfits, layout, line);
            (Box::new(reader), text)
        } else {
            let reader = JsonDecoder::new(nothing, self.json.clone(), misfits);
            (Box::new(reader), &plain.bytes[..])
        };
        let mut rows = Vec::new();
        reader.push(text, &mut rows)?;
        if plain.whole {
            reader.finish(&mut rows)?;
        }
        Ok(())
    }

    fn csv_schema(
        &self,
        spec: &TableSpec,
        file: &str,
        plain: &Plain,
    ) -> Result<Option<Schema>, Error> {
        let (text, line) = table_text(&self.csv, plain);
        let whole = plain.whole || self.csv.footer_lines > 0;
        let before = self.csv.header.records();
        if plain.whole && before > 0 && self.csv.footer_lines == 0 && text.trim_ascii().is_empty() {
            return Ok(Some(Schema::empty()));
        }
        let mut divider = Divider::at_line(self.csv.dialect, line);
        let broken = |broken: Broken| broken.told(&Misfits::lenient(file));
        let taken = divider.push(text, before).map_err(broken)?;
        if divider.records().len() < before && whole {
            divider.finish().map_err(broken)?;
        }
        let found = divider.records().len();
        if found > 0 && found < before && plain.whole {
            return Err(Misfits::lenient(file).error("ends within its header"));
        }
        if found < before {
            let options = &self.csv;
            if plain.whole
                && !plain.bytes.is_empty()
                && options.skip_lines + options.footer_lines > 0
            {
                return Err(Misfits::lenient(file).error(
                    "has no header: all of its lines are in front of the table or behind it (`skip_lines`, `footer_lines`)",
                ));
            }
            return Ok(plain.whole.then(Schema::empty));
        }
        let header = divider.take();
        whole_header(&header, &Misfits::lenient(file))?;
        // A record that cannot be divided is reported when the file is read.
        if divider.push(&text[taken..], spec.infer_rows).is_ok() && whole {
            divider.finish().ok();
        }
        let records = divider.take();
        let mut rows = records.iter().filter(|record| !record.is_torn()).peekable();
        let names: Vec<String> = if let Header::Names(_) = self.csv.header {
            header_names(&header)
        } else if let Some(first) = rows.peek() {
            (1..=first.fields())
                .map(|place| format!("column_{place}"))
                .collect()
        } else {
            if plain.whole {
                self.first_fault(spec, file, plain)?;
            }
            return Ok(plain.whole.then(Schema::empty));
        };
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
        Ok(Some(Schema::new(fields.collect::<Vec<_>>())))
    }

    /// How the file is written, as `[tables.NAME]` says it.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            format!("format = {:?}", self.format.to_string()),
            format!("compression = {:?}", self.compression.to_string()),
        ];
        if self.is_text() {
            let name = self.encoding.name().to_lowercase();
            lines.push(format!("encoding = {name:?}"));
        }
        if matches!(self.format, Format::Csv | Format::Tsv) {
            let delimiter = self.csv.dialect.delimiter;
            let delimiter = String::from_utf8_lossy(delimiter.bytes()).into_owned();
            lines.push(format!("delimiter = {delimiter:?}"));
            match self.csv.header {
                Header::Names(_) => lines.push("header = true".to_owned()),
                Header::None => lines.push("header = false".to_owned()),
                Header::Skipped(_) => {}
            }
            lines.extend(self.csv.rare());
        }
        lines
    }

    /// A reader of the file's plain text or bytes, from its start to its end, into the columns that are asked for.
    pub(crate) fn decoder(
        &self,
        asked: Asked,
        misfits: Misfits,
        pool: &Arc<dyn MemoryPool>,
    ) -> Result<Box<dyn Decode>, Error> {
        Ok(match self.format {
            Format::Csv | Format::Tsv => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "delimited text is read in chunks",
                ));
            }
            Format::Json | Format::Ndjson => {
                Box::new(JsonDecoder::new(asked, self.json.clone(), misfits))
            }
            Format::Avro => Box::new(AvroDecoder::new(Adapter::new(asked, misfits))),
            Format::Arrow => {
                Box::new(ArrowDecoder::new(Adapter::new(asked, misfits)).with_pool(pool))
            }
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

    pub(crate) fn is_delimited(&self) -> bool {
        matches!(self.format, Format::Csv | Format::Tsv)
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
