//! `[tables.NAME]` of an action: which files, and how they are written.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use crate::{ColumnType, Columns, Error, ErrorKind, uri::UriTemplate};

/// The files behind one table name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// `s3://bucket/key`, a prefix that ends in `/`, or a glob, or a list of those in one bucket; `{name}` stands for a
    /// parameter.
    #[serde(deserialize_with = "one_or_many")]
    pub uri: Vec<String>,
    /// How the files are written; found from name, content type and first bytes when left out.
    #[serde(default)]
    pub format: Option<Format>,
    /// How the files are compressed as a whole; found from the first bytes when left out.
    #[serde(default)]
    pub compression: Option<Compression>,
    /// How text is encoded, by its WHATWG label such as `utf-16le` or `windows-1252`; found from the first bytes when left
    /// out.
    #[serde(default)]
    pub encoding: Option<String>,
    /// Whether the first record of CSV names the columns; found from the first records when left out.
    #[serde(default)]
    pub header: Option<bool>,
    /// What separates fields of CSV, one ASCII character; found from the first records when left out.
    #[serde(default)]
    pub delimiter: Option<char>,
    /// What encloses fields of CSV that hold the delimiter.
    #[serde(default = "double_quote")]
    pub quote: char,
    /// What escapes a quote in a field of CSV; a quote may always be doubled.
    #[serde(default)]
    pub escape: Option<char>,
    /// Lines of CSV that begin with it are left out.
    #[serde(default)]
    pub comment: Option<char>,
    /// Fields of CSV that stand for null; the empty field when left out.
    #[serde(default = "empty")]
    pub null_values: Vec<String>,
    /// Where the array of rows lies in a JSON document, such as `/entities`; the document itself when left out.
    #[serde(default)]
    pub json_pointer: Option<String>,
    /// The table's columns and their types: nothing is inferred, and other columns of the files are left out.
    #[serde(default)]
    pub columns: Option<Columns>,
    /// Types of single columns, instead of the inferred ones.
    #[serde(default)]
    pub types: BTreeMap<String, ColumnType>,
    /// Types of the columns that `name=value` segments of keys make; inferred from the values when left out.
    #[serde(default)]
    pub partitions: BTreeMap<String, ColumnType>,
    /// Files that the table may have: more are an error, before any of them is read.
    #[serde(default = "ten_thousand")]
    pub max_files: usize,
    /// What becomes of values and rows that do not fit.
    #[serde(default)]
    pub on_error: OnError,
    /// Records of each file that types are found from.
    #[serde(default = "thousand")]
    pub infer_rows: usize,
    /// Files that columns and types are found from: first, last and evenly between.
    #[serde(default = "thirty_two")]
    pub infer_files: usize,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Delimited text.
    Csv,
    /// Text delimited by tabs.
    Tsv,
    /// One JSON object a line.
    Ndjson,
    /// JSON: an array of objects, an array somewhere in a document, or objects one after the other.
    Json,
    /// Apache Parquet.
    Parquet,
    /// Apache Avro object container files.
    Avro,
    /// Arrow IPC, file or stream.
    Arrow,
}

/// How a file is compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, of one or more members.
    Gzip,
    /// Zstandard, of one or more frames.
    Zstd,
    /// bzip2, of one or more streams.
    Bzip2,
    /// xz, of one or more streams.
    Xz,
}

/// What becomes of a value or row that does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The run fails; the error names file, line, column and kind of value.
    #[default]
    Fail,
    /// The value becomes null and is counted; a row that cannot be divided into fields is left out and counted.
    Null,
    /// The row is left out and counted.
    Skip,
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Avro => "avro",
            Self::Arrow => "arrow",
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        })
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;
    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a uri or a list of uris")
        }

        fn visit_str<E>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<String>, A::Error> {
            let mut all = Vec::new();
            while let Some(uri) = items.next_element()? {
                all.push(uri);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(OneOrMany)
}

const fn double_quote() -> char {
    '"'
}

fn empty() -> Vec<String> {
    vec![String::new()]
}

const fn thousand() -> usize {
    1000
}

const fn ten_thousand() -> usize {
    10_000
}

const fn thirty_two() -> usize {
    32
}

impl TableSpec {
    /// The declared type of a column.
    pub(crate) fn declared_type(&self, name: &str) -> Option<&ColumnType> {
        let columns = self.columns.as_ref();
        columns
            .and_then(|columns| columns.get(name))
            .or_else(|| self.types.get(name))
    }

    /// Checks what can be checked without reading a file; the parsed uris.
    pub(crate) fn validate(&self, table: &str) -> Result<Vec<UriTemplate>, Error> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidSpec, message));
        let characters = [
            ("delimiter", self.delimiter),
            ("quote", Some(self.quote)),
            ("escape", self.escape),
            ("comment", self.comment),
        ];
        for (index, (name, character)) in characters.into_iter().enumerate() {
            let Some(character) = character else { continue };
            if !character.is_ascii() || matches!(character, '\n' | '\r') {
                return invalid(format!(
                    "{name} of table `{table}` must be one ASCII character and no line end"
                ));
            }
            let twice = characters[..index].iter().find(|(other, used)| {
                *used == Some(character) && (*other, name) != ("quote", "escape")
            });
            if let Some((other, _)) = twice {
                return invalid(format!(
                    "{name} and {other} of table `{table}` are the same character"
                ));
            }
        }
        if self.infer_rows == 0 || self.infer_files == 0 || self.max_files == 0 {
            return invalid(format!(
                "infer_rows, infer_files and max_files of table `{table}` must be at least 1"
            ));
        }
        if let Some(label) = &self.encoding
            && encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()).is_none()
        {
            return invalid(format!(
                "encoding of table `{table}` is unknown: write a label such as utf-8, utf-16le or windows-1252"
            ));
        }
        if let Some(pointer) = &self.json_pointer
            && (!pointer.starts_with('/')
                || self.format.is_some_and(|format| format != Format::Json))
        {
            return invalid(format!(
                "json_pointer of table `{table}` must begin with `/`, and goes with the format json"
            ));
        }
        if self.columns.as_ref().is_some_and(Columns::is_empty) {
            return invalid(format!("columns of table `{table}` names no column"));
        }
        if self.columns.is_some() && !self.types.is_empty() {
            return invalid(format!(
                "table `{table}` has columns and types: `columns` declares all, `types` corrects single inferred ones"
            ));
        }
        let uris = self
            .uri
            .iter()
            .map(|uri| UriTemplate::parse(table, uri))
            .collect::<Result<Vec<_>, _>>()?;
        match uris.split_first() {
            None => invalid(format!("table `{table}` has no uri")),
            Some((first, rest)) if rest.iter().any(|uri| uri.bucket() != first.bucket()) => {
                invalid(format!(
                    "the uris of table `{table}` must lie in one bucket"
                ))
            }
            Some(_) => Ok(uris),
        }
    }
}
