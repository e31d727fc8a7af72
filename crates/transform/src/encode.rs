//! Rows as bytes: JSON, NDJSON, CSV, Arrow IPC, Parquet, batch by batch.

mod csv;
mod keys;
mod range;

use std::sync::Arc;

use std::{fmt, str::FromStr};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::SchemaRef,
        error::ArrowError,
        ipc::writer::{FileWriter, StreamWriter},
        json::{
            WriterBuilder,
            writer::{JsonArray, JsonFormat, LineDelimited},
        },
    },
    parquet::{
        arrow::ArrowWriter,
        basic::{Compression, ZstdLevel},
        errors::ParquetError,
        file::properties::WriterProperties,
    },
};
use serde::Deserialize;

use self::csv::CsvRows;
pub use self::csv::TextValues;
use crate::{Error, ErrorKind};

/// Rows of one group of a Parquet file: what is kept in memory until it is written.
const GROUP_ROWS: usize = 65_536;

/// How rows are written.
///
/// JSON, NDJSON and CSV hold numbers digit by digit, timestamps as ISO 8601 with their offset where they have one, and
/// binary as hexadecimal. What is no number (NaN, infinities) is `null` in JSON and NDJSON, and `NaN`, `inf` or `-inf` in CSV.
/// Lists, structs and maps are JSON, also in a field of CSV; keys of maps are written out as its names. In CSV null is an empty field, and an empty text is `""`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowFormat {
    /// One JSON array of objects.
    #[default]
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values as of RFC 4180, with a header.
    Csv,
    /// The Arrow IPC stream format.
    Arrow,
    /// Apache Parquet, compressed with Zstandard.
    Parquet,
    /// Comma-separated values with a header, whose lines end as those of tools of a Unix shell do: with a line feed alone.
    #[serde(skip)]
    CsvLines,
    /// The same with tabs.
    #[serde(skip)]
    Tsv,
    /// The Arrow IPC file format.
    #[serde(skip)]
    ArrowFile,
}

impl RowFormat {
    /// Every format that a server answers with. The others are for files of an analyst.
    pub const ALL: [Self; 5] = [
        Self::Json,
        Self::Ndjson,
        Self::Csv,
        Self::Arrow,
        Self::Parquet,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv | Self::CsvLines => "csv",
            Self::Tsv => "tsv",
            Self::Arrow | Self::ArrowFile => "arrow",
            Self::Parquet => "parquet",
        }
    }

    /// Its media type. CSV and Parquet are registered with IANA, and so is Arrow's; NDJSON's is the one in use.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv | Self::CsvLines => "text/csv",
            Self::Tsv => "text/tab-separated-values",
            Self::ArrowFile => "application/vnd.apache.arrow.file",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }

    /// The format of a media type, parameters left aside.
    #[must_use]
    pub fn of_media_type(text: &str) -> Option<Self> {
        let name = text.split(';').next().unwrap_or_default().trim();
        Self::ALL
            .into_iter()
            .find(|format| format.media_type().eq_ignore_ascii_case(name))
    }
}

impl FromStr for RowFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|format| format.name() == text)
            .ok_or_else(|| {
                let names: Vec<_> = Self::ALL.iter().map(|format| format.name()).collect();
                format!("no such format; there are {}", names.join(", "))
            })
    }
}

/// Writes batches in one format. [`Self::take`] gives what is ready, so that nothing has to be kept.
pub struct RowEncoder(Kind);

enum Kind {
    Json { text: Vec<u8>, begun: bool },
    Ndjson(Vec<u8>),
    Csv(CsvRows),
    Arrow(Box<StreamWriter<Vec<u8>>>),
    ArrowFile(Box<FileWriter<Vec<u8>>>),
    Parquet(Box<ArrowWriter<Vec<u8>>>),
}

impl RowEncoder {
    /// An encoder of rows of this schema.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSql`] for a column of a type that the format cannot hold.
    pub fn try_new(format: RowFormat, schema: &SchemaRef) -> Result<Self, Error> {
        Ok(Self(match format {
            RowFormat::Json => Kind::Json {
                text: vec![b'['],
                begun: false,
            },
            RowFormat::Ndjson => Kind::Ndjson(Vec::new()),
            RowFormat::Csv => Kind::Csv(CsvRows::new(schema, ',', "\r\n")),
            RowFormat::CsvLines => Kind::Csv(CsvRows::new(schema, ',', "\n")),
            RowFormat::Tsv => Kind::Csv(CsvRows::new(schema, '\t', "\n")),
            RowFormat::ArrowFile => Kind::ArrowFile(Box::new(
                FileWriter::try_new(Vec::new(), schema)
                    .map_err(|error| not_encoded(&error, "Arrow IPC"))?,
            )),
            RowFormat::Arrow => Kind::Arrow(Box::new(
                StreamWriter::try_new(Vec::new(), schema)
                    .map_err(|error| not_encoded(&error, "Arrow IPC"))?,
            )),
            RowFormat::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .build();
                let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties))
                    .map_err(|error| not_parquet(&error))?;
                Kind::Parquet(Box::new(writer))
            }
        }))
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSql`] for a column of a type that the format cannot hold.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        match &mut self.0 {
            Kind::Json { text, begun } => {
                let array = json::<JsonArray>(batch)?;
                if std::mem::replace(begun, true) {
                    text.push(b',');
                }
                text.extend_from_slice(without_brackets(&array));
                Ok(())
            }
            Kind::Ndjson(text) => {
                text.extend(json::<LineDelimited>(batch)?);
                Ok(())
            }
            Kind::Csv(rows) => rows.push(batch),
            Kind::Arrow(writer) => writer
                .write(batch)
                .map_err(|error| not_encoded(&error, "Arrow IPC")),
            Kind::ArrowFile(writer) => writer
                .write(batch)
                .map_err(|error| not_encoded(&error, "Arrow IPC")),
            Kind::Parquet(writer) => writer.write(batch).map_err(|error| not_parquet(&error)),
        }
    }

    /// The bytes that have not been taken yet and will not change.
    pub fn take(&mut self) -> Vec<u8> {
        match &mut self.0 {
            Kind::Json { text, .. } | Kind::Ndjson(text) => std::mem::take(text),
            Kind::Csv(rows) => rows.take(),
            Kind::Arrow(writer) => std::mem::take(writer.get_mut()),
            // Its writer counts by itself where it stands in the file.
            Kind::ArrowFile(writer) => std::mem::take(writer.get_mut()),
            // Whole row groups; its writer counts by itself where it stands in the file.
            Kind::Parquet(writer) => std::mem::take(writer.inner_mut()),
        }
    }

    /// The last bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`].
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        Ok(match self.0 {
            Kind::Json { mut text, .. } => {
                text.push(b']');
                text
            }
            Kind::Ndjson(text) => text,
            Kind::Csv(mut rows) => rows.take(),
            Kind::Arrow(writer) => writer
                .into_inner()
                .map_err(|error| not_encoded(&error, "Arrow IPC"))?,
            Kind::ArrowFile(writer) => writer
                .into_inner()
                .map_err(|error| not_encoded(&error, "Arrow IPC"))?,
            Kind::Parquet(writer) => writer.into_inner().map_err(|error| not_parquet(&error))?,
        })
    }
}

/// A batch as a piece of JSON of its own.
pub(crate) fn json<F: JsonFormat>(batch: &RecordBatch) -> Result<Vec<u8>, Error> {
    written::<F>(batch, WriterBuilder::new().with_explicit_nulls(true))
}

/// The same, with members that are null left out.
pub(crate) fn json_without_nulls<F: JsonFormat>(batch: &RecordBatch) -> Result<Vec<u8>, Error> {
    written::<F>(batch, WriterBuilder::new().with_explicit_nulls(false))
}

fn written<F: JsonFormat>(batch: &RecordBatch, builder: WriterBuilder) -> Result<Vec<u8>, Error> {
    range::check(batch)?;
    let batch = &keys::as_text(batch)?;
    let mut writer = builder.build::<_, F>(Vec::new());
    writer
        .write(batch)
        .and_then(|()| writer.finish())
        .map_err(|error| not_encoded(&error, "JSON"))?;
    Ok(writer.into_inner())
}

/// Without its brackets an array is the next piece of a larger one.
pub(crate) fn without_brackets(array: &[u8]) -> &[u8] {
    array
        .strip_prefix(b"[")
        .and_then(|rows| rows.strip_suffix(b"]"))
        .unwrap_or(array)
}

pub(crate) fn not_encoded(error: &ArrowError, format: &str) -> Error {
    match error {
        ArrowError::NotYetImplemented(_)
        | ArrowError::InvalidArgumentError(_)
        | ArrowError::JsonError(_) => not_held(format),
        _ => Error::new(ErrorKind::Internal, "the rows could not be encoded"),
    }
}

fn not_held(format: &str) -> Error {
    Error::new(
        ErrorKind::InvalidSql,
        format!("a column has a type that {format} cannot hold: cast it in the SQL"),
    )
}

fn not_parquet(error: &ParquetError) -> Error {
    match error {
        ParquetError::NYI(_) | ParquetError::ArrowError(_) => not_held("Parquet"),
        _ => Error::new(ErrorKind::Internal, "the rows could not be encoded"),
    }
}

impl fmt::Debug for RowEncoder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RowEncoder").finish_non_exhaustive()
    }
}
