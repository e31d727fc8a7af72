//! How rows are written.

use std::path::Path;

use clap::ValueEnum;
use flowlake_data_action::{ActionError, ErrorCode, JsonReader, RowFormat};

/// How names of files end that gzip has compressed.
pub(crate) const GZIP: &str = ".gz";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// One JSON array of rows; of `run`, the answer as the server gives it
    Json,
    /// One JSON object a row
    Ndjson,
    /// Comma-separated values with a header
    Csv,
    /// Tab-separated values with a header
    Tsv,
    /// Arrow IPC: a file; on standard output, and in a file named `.arrows`, a stream
    Arrow,
    /// Apache Parquet
    Parquet,
    /// A spreadsheet, as Excel has it
    Xlsx,
}

impl Format {
    /// The format that is asked for, or that the name of the file says; a table on standard output.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] where neither says one.
    pub(crate) fn of(asked: Option<Self>, to: Option<&Path>) -> Result<Self, ActionError> {
        match (asked, to) {
            (Some(format), _) => Ok(format),
            (None, None) => Ok(Self::Table),
            (None, Some(path)) => Self::of_name(path),
        }
    }

    /// The format that the name of a file says.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] where it says none.
    pub(crate) fn of_name(path: &Path) -> Result<Self, ActionError> {
        let name = path.to_string_lossy().to_lowercase();
        let name = name.strip_suffix(GZIP).unwrap_or(&name);
        let extension = Path::new(name).extension().unwrap_or_default();
        match extension.to_string_lossy().as_ref() {
            "json" => Ok(Self::Json),
            "ndjson" | "jsonl" => Ok(Self::Ndjson),
            "csv" => Ok(Self::Csv),
            "tsv" | "tab" => Ok(Self::Tsv),
            "arrow" | "arrows" | "feather" => Ok(Self::Arrow),
            "parquet" => Ok(Self::Parquet),
            "xlsx" => Ok(Self::Xlsx),
            "txt" => Ok(Self::Table),
            _ => Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("the name {} does not say a format", path.display()),
                "Say it with --format: table, json, ndjson, csv, tsv, arrow, parquet or xlsx.",
            )),
        }
    }

    /// The encoding of the rows alone at a place; none where the whole answer is shown. A spreadsheet is made of rows of Arrow.
    pub(crate) fn of_rows(self, to: Option<&Path>) -> Option<RowFormat> {
        let is_file = |to: &Path| to.extension().is_none_or(|end| end != "arrows");
        match self {
            Self::Table | Self::Json => None,
            Self::Ndjson => Some(RowFormat::Ndjson),
            Self::Csv => Some(RowFormat::CsvLines),
            Self::Tsv => Some(RowFormat::Tsv),
            Self::Arrow if to.is_some_and(is_file) => Some(RowFormat::ArrowFile),
            Self::Arrow | Self::Xlsx => Some(RowFormat::Arrow),
            Self::Parquet => Some(RowFormat::Parquet),
        }
    }

    /// Who reads the rows where the whole answer is shown.
    pub(crate) const fn reader(self) -> JsonReader {
        match self {
            Self::Table => JsonReader::Table,
            _ => JsonReader::Program,
        }
    }

    /// Whether it is no text.
    pub(crate) const fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet | Self::Xlsx)
    }
}
