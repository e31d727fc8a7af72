//! `[tables.NAME]` of an action: which files, and how they are written.

use serde::Deserialize;

use crate::{Error, ErrorKind, uri::UriTemplate};

/// The files behind one table name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// `s3://bucket/key`, a prefix that ends in `/`, or a glob; `{name}` stands for a parameter.
    pub uri: String,
    /// How the files are written; found from the name and the first bytes when left out.
    #[serde(default)]
    pub format: Option<Format>,
    /// Whether the first line of CSV names the columns.
    #[serde(default = "yes")]
    pub header: bool,
    /// What separates fields of CSV, one ASCII character; `,` when left out, a tab for `.tsv`.
    #[serde(default)]
    pub delimiter: Option<char>,
    /// What encloses fields of CSV that hold the delimiter.
    #[serde(default = "double_quote")]
    pub quote: char,
    /// What escapes a quote in a field of CSV; when left out, a quote is doubled.
    #[serde(default)]
    pub escape: Option<char>,
    /// Lines of CSV that begin with it are left out.
    #[serde(default)]
    pub comment: Option<char>,
    /// Rows that types are found from.
    #[serde(default = "thousand")]
    pub infer_rows: usize,
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
    /// One JSON array of objects.
    Json,
    /// Apache Parquet.
    Parquet,
}

const fn yes() -> bool {
    true
}

const fn double_quote() -> char {
    '"'
}

const fn thousand() -> usize {
    1000
}

impl TableSpec {
    /// Checks what can be checked without reading a file; the parsed uri.
    pub(crate) fn validate(&self, table: &str) -> Result<UriTemplate, Error> {
        let characters = [
            ("delimiter", self.delimiter),
            ("quote", Some(self.quote)),
            ("escape", self.escape),
            ("comment", self.comment),
        ];
        for (name, character) in characters {
            if character.is_some_and(|character| !character.is_ascii()) {
                return Err(Error::new(
                    ErrorKind::InvalidSpec,
                    format!("{name} of table `{table}` must be one ASCII character"),
                ));
            }
        }
        if self.infer_rows == 0 && self.format != Some(Format::Parquet) {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                format!("infer_rows of table `{table}` must be at least 1"),
            ));
        }
        UriTemplate::parse(table, &self.uri)
    }
}
