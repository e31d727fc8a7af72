//! `[tables.NAME]` of an action: which files, and how they are written.

use std::{collections::BTreeMap, fmt, path::Path};

use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use crate::{
    ColumnType, Columns, Error, ErrorKind, formats::records::LONGEST_DELIMITER,
    json_schema::OneOrMany, uri::UriTemplate,
};

/// Lines that a header or what stands behind a table may have.
const MOST_LINES: usize = 1000;

/// The files behind one table name.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// `s3://bucket/key`, a prefix that ends in `/`, or a glob, or a list of those in one bucket; `{name}` stands for a
    /// parameter.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "OneOrMany")]
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
    pub header: Option<HeaderKind>,
    /// Records of CSV that are its header.
    #[serde(default = "one")]
    pub header_lines: usize,
    /// Lines in front of the header of CSV; found when left out and a blank line comes between.
    #[serde(default)]
    pub skip_lines: Option<usize>,
    /// Lines behind the last row of CSV; blank ones do not count.
    #[serde(default)]
    pub footer_lines: usize,
    /// What separates fields of CSV, up to eight ASCII characters; found from the first records when left out.
    #[serde(default)]
    pub delimiter: Option<String>,
    /// What encloses fields of CSV that hold the delimiter.
    #[serde(default)]
    pub quote: Quote,
    /// Whether blanks around fields of CSV are left out; found from the first records when left out.
    #[serde(default)]
    pub trim: Option<bool>,
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
    /// What happens to values and rows that do not fit; `fail` when left out.
    #[serde(default)]
    pub on_error: OnError,
    /// Records of each file that types are found from.
    #[serde(default = "thousand")]
    pub infer_rows: usize,
    /// Files that columns and types are found from: first, last and evenly between.
    #[serde(default = "thirty_two")]
    pub infer_files: usize,
}

/// What the first record of CSV is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderKind {
    /// `true`: it names the columns.
    Names,
    /// `false`: it is a row.
    None,
    /// `"skip"`: it is left out, and columns go by place.
    Skip,
}

/// What encloses fields of CSV; `None`, written as an empty text, when nothing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote(pub Option<char>);

impl Default for Quote {
    fn default() -> Self {
        Self(Some('"'))
    }
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
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

/// What happens to a value or row that does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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

impl<'de> Deserialize<'de> for HeaderKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Kind;
        impl Visitor<'_> for Kind {
            type Value = HeaderKind;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("true, false or \"skip\"")
            }

            fn visit_bool<E>(self, names: bool) -> Result<HeaderKind, E> {
                Ok(if names {
                    HeaderKind::Names
                } else {
                    HeaderKind::None
                })
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<HeaderKind, E> {
                match text {
                    "skip" => Ok(HeaderKind::Skip),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        deserializer.deserialize_any(Kind)
    }
}

impl<'de> Deserialize<'de> for Quote {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (quote, None) => Ok(Self(quote)),
            _ => Err(serde::de::Error::custom(
                "quote must be one character, or empty when nothing encloses fields",
            )),
        }
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct UriOrUris;
    impl<'de> Visitor<'de> for UriOrUris {
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
    deserializer.deserialize_any(UriOrUris)
}

const fn one() -> usize {
    1
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
    /// The files at `uri`, of which everything is detected.
    #[must_use]
    pub fn at(uri: &str) -> Self {
        serde_json::from_value(serde_json::json!({ "uri": uri }))
            .expect("only the uri has no default")
    }

    /// The declared type of a column.
    pub(crate) fn declared_type(&self, name: &str) -> Option<&ColumnType> {
        let columns = self.columns.as_ref();
        columns
            .and_then(|columns| columns.get(name))
            .or_else(|| self.types.get(name))
    }

    /// Checks what can be checked without reading a file; the parsed uris. With a folder, those that do not begin with `s3://`
    /// are files of this machine, relative to it.
    pub(crate) fn validate(
        &self,
        table: &str,
        folder: Option<&Path>,
    ) -> Result<Vec<UriTemplate>, Error> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidSpec, message));
        self.validate_dialect(table)?;
        let delimiter = self.delimiter.as_deref();
        let single = delimiter.and_then(|text| {
            let mut characters = text.chars();
            characters.next().filter(|_| characters.next().is_none())
        });
        let characters = [
            ("delimiter", single),
            ("quote", self.quote.0),
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
            .map(|uri| match folder {
                Some(folder) if !uri.starts_with("s3://") => {
                    UriTemplate::parse_local(table, uri, folder)
                }
                _ => UriTemplate::parse(table, uri),
            })
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

    fn validate_dialect(&self, table: &str) -> Result<(), Error> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidSpec, message));
        if let Some(delimiter) = &self.delimiter {
            let fits = (1..=LONGEST_DELIMITER).contains(&delimiter.len()) && delimiter.is_ascii();
            if !fits || delimiter.contains(['\n', '\r']) {
                return invalid(format!(
                    "delimiter of table `{table}` must be one to {LONGEST_DELIMITER} ASCII characters and no line end"
                ));
            }
            let others = [
                ("quote", self.quote.0),
                ("escape", self.escape),
                ("comment", self.comment),
            ];
            for (name, character) in others {
                if character.is_some_and(|character| delimiter.contains(character)) {
                    return invalid(format!(
                        "delimiter and {name} of table `{table}` have a character in common"
                    ));
                }
            }
        }
        if self.quote.0.is_none() && self.escape.is_some() {
            return invalid(format!(
                "table `{table}` has an escape and no quote: an escape stands before a quote"
            ));
        }
        if self.header_lines == 0 || self.header_lines > MOST_LINES {
            return invalid(format!(
                "header_lines of table `{table}` must be 1 to {MOST_LINES}; `header = false` says that there is none"
            ));
        }
        if self.header_lines > 1 && self.header == Some(HeaderKind::None) {
            return invalid(format!(
                "table `{table}` has header_lines and `header = false`"
            ));
        }
        if self.footer_lines > MOST_LINES {
            return invalid(format!(
                "footer_lines of table `{table}` must be at most {MOST_LINES}"
            ));
        }
        Ok(())
    }
}
