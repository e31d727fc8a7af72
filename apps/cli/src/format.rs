//! How rows are written.

use clap::ValueEnum;
use flowlake_data_action::{JsonReader, RowFormat};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// The answer as the server gives it
    Json,
    /// One JSON object a row
    Ndjson,
    /// Comma-separated values with a header
    Csv,
    /// Arrow IPC stream
    Arrow,
    /// Apache Parquet
    Parquet,
}

impl Format {
    /// The encoding of the rows alone; none where the whole answer is shown.
    pub(crate) const fn of_rows(self) -> Option<RowFormat> {
        match self {
            Self::Table | Self::Json => None,
            Self::Ndjson => Some(RowFormat::Ndjson),
            Self::Csv => Some(RowFormat::Csv),
            Self::Arrow => Some(RowFormat::Arrow),
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
        matches!(self, Self::Arrow | Self::Parquet)
    }
}
