//! The crate's error.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// What went wrong, with its cause.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<BoxError>,
}

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting cannot be used: correct it.
    InvalidSetting,
    /// The price table has no figure for this: give it a price list or an override.
    UnknownPrice,
    /// A price list or an override cannot be read: the message names the place.
    InvalidPrices,
    /// The request would go over a budget: wait for the next period or raise the budget.
    OverBudget,
    /// What other servers have spent of a shared budget cannot be determined: see that the place of their statements can be reached.
    Unshared,
    /// Another process writes this audit log: stop it, or use another directory.
    Locked,
    /// The audit log cannot be written (disk full, read-only, permissions): refuse requests until it can.
    Unwritable,
    /// A record is on the disk, and could not be copied to the second place: see that the second place can be written.
    Unshipped,
    /// The audit log has been tampered with or damaged: run `verify` and keep the files as they are.
    Broken,
    /// The same audit log was given twice: leave one out; if two servers began with one folder, give each a log of its own.
    Doubled,
    /// The log was shut down: open it again.
    Closed,
    /// The audit log cannot be read: check the path and its permissions.
    Unreadable,
    /// Cost Explorer refused or failed; there is no figure, and none is made up.
    CostExplorer,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn unreadable(path: &Path, source: std::io::Error) -> Self {
        Self::new(
            ErrorKind::Unreadable,
            format!(
                "cannot read {}, check the path and its permissions",
                path.display()
            ),
        )
        .with_source(source)
    }

    pub(crate) fn unwritable(path: &Path, source: std::io::Error) -> Self {
        Self::new(
            ErrorKind::Unwritable,
            format!(
                "cannot write the audit log {}, free space or correct its permissions",
                path.display()
            ),
        )
        .with_source(source)
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unwritable
                | ErrorKind::Unshipped
                | ErrorKind::Unshared
                | ErrorKind::CostExplorer
                | ErrorKind::Locked
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|source| &**source as &(dyn StdError + 'static))
    }
}
