//! What can go wrong between SQL and rows.

mod classify;
mod computation;
mod named_place;
mod place;
mod wording;

use std::{error::Error as StdError, fmt, sync::Arc};

#[cfg(feature = "cluster")]
pub(crate) use self::classify::of_a_file_or_limit;
pub(crate) use self::{
    classify::{Asked, binding, planning, planning_query, running},
    computation::{
        accepted_arguments, computation_error, display_expr, is_temporal_arithmetic,
        short_type_name,
    },
};

/// Boxed source of an [`Error`].
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why there are no rows.
///
/// Messages hold names of columns, tables, files and parameters, never values of rows or parameters.
/// Clones share the source: all callers that waited for the same read get the same error.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    place: Option<Place>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// A place in the SQL. Lines and characters are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The first character in the line.
    pub column: u64,
    /// Characters that belong to it, at least 1: those in its first line.
    pub length: u64,
}

/// What a caller can do about an [`Error`].
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The specification of tables or limits is wrong: correct it.
    InvalidSpec,
    /// The declaration of a parameter is wrong, or nothing uses it: correct it or leave it out.
    InvalidParamSpec,
    /// The SQL or a location uses a parameter that is not declared: declare it, or correct its name.
    UndeclaredParam,
    /// The SQL cannot be planned: correct it.
    InvalidSql,
    /// The SQL does something other than read the declared tables: leave that out.
    NotAllowed,
    /// The SQL is several statements, or another one than a query: write one SELECT.
    NotAQuery,
    /// The SQL names a column that the file does not have: correct it, or the file.
    UnknownColumn,
    /// The SQL names a table that is not declared: declare it.
    UnknownTable,
    /// A parameter is missing, unknown or not as declared: send another value.
    InvalidParam,
    /// A file does not hold what its format says: correct the file.
    MalformedData,
    /// The SQL asks something of a row that it cannot give, such as a cast of text that is no number: write it so that it can.
    NotComputable,
    /// No file lies at the location: check the location.
    NoMatchingFiles,
    /// The store failed; its error is in the source chain.
    Store,
    /// Memory and spill space do not suffice: ask for less, or raise the settings.
    MemoryLimit,
    /// The time is up: read less, or raise the limit.
    Timeout,
    /// The answer is too large: select less, or raise the limit.
    OutputLimit,
    /// More would be read than is allowed: read less, or raise the limit.
    ScanLimit,
    /// An integer beyond 2^53 - 1 in rows for a flow: cast the column to text.
    UnsafeInteger,
    /// A worker of the cluster does not answer, or has broken off: ask again.
    WorkerLost,
    /// No worker of the cluster takes the query, since all are of another build or have another secret: make them the same.
    WorkerRefused,
    /// All workers of the cluster take part in as many queries as they may: ask again later, or let them take more.
    WorkerBusy,
    /// A file was divided among workers, and whether each part begins with a record is not known: run the query with whole files.
    FilesDivided,
    /// A fault here or in the engine: report it.
    Internal,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            place: None,
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The same error, of this place in the SQL.
    pub(crate) fn at(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    /// Where in the SQL the error is, if that is known.
    #[must_use]
    pub const fn place(&self) -> Option<Place> {
        self.place
    }

    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same run may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Store
                | ErrorKind::Timeout
                | ErrorKind::WorkerLost
                | ErrorKind::WorkerBusy
                | ErrorKind::FilesDivided
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
