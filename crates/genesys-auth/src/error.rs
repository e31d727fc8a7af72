//! What can go wrong on the way to a token.

use std::{fmt, sync::Arc, time::Duration};

/// Why there is no token.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
    source: Option<Arc<reqwest::Error>>,
}

/// What a caller can do about an [`Error`].
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// A setting is wrong: correct it.
    InvalidSetting,
    /// Genesys Cloud refused the client: check client id, secret, grant type and region. Trying again does not help.
    RejectedCredentials,
    /// Genesys Cloud asked to wait longer than the caller may: try again after [`Error::retry_after`].
    RateLimited,
    /// Genesys Cloud could not be reached or failed: try again later.
    Unavailable,
    /// The answer is not what the documentation says: check that the address is a Genesys Cloud login host.
    InvalidResponse,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: reqwest::Error) -> Self {
        // The address may hold what nobody should log; the message names it where that helps.
        self.source = Some(Arc::new(source.without_url()));
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same error for a caller who comes later: what is left of the wait, when one was asked for.
    pub(crate) fn until(mut self, left: Duration) -> Self {
        self.retry_after = self.retry_after.map(|_| left);
        self
    }

    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// How long Genesys Cloud asked to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, ErrorKind::RateLimited | ErrorKind::Unavailable)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
