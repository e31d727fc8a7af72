//! The one error of this crate.

use std::fmt;
use std::time::Duration;

use crate::rules::Violation;

/// What went wrong with a document or with the Platform API.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    retry_after: Option<Duration>,
    violations: Vec<Violation>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting is wrong: correct it.
    InvalidSetting,
    /// The document breaks the platform's rules: [`Error::violations`] names each one.
    InvalidDocument,
    /// The contract of a published action cannot change: publish under another name.
    ContractChanged,
    /// No token could be had, or the API refused it: look at the OAuth client.
    Unauthorized,
    /// The OAuth client's roles lack a permission, such as `integrations:action:add`.
    Forbidden,
    /// The action, draft or integration does not exist.
    NotFound,
    /// Somebody else changed the draft meanwhile: read it again.
    Conflict,
    /// Several published actions have one name: remove all but one.
    Ambiguous,
    /// A draft holds what somebody else wrote: publish or discard it, or set
    /// [`PlatformSettings::overwrite_drafts`](crate::PlatformSettings::overwrite_drafts).
    ForeignDraft,
    /// The answer to a change did not arrive, and what is live cannot be read: look again later.
    Unclear,
    /// The platform refused the request as wrong; the message is its own.
    Rejected,
    /// Too many requests: wait for [`Error::retry_after`].
    RateLimited,
    /// The platform cannot be reached or failed: try again later.
    Unavailable,
    /// The answer is not what the API documents: look for a proxy in between.
    InvalidResponse,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            violations: Vec::new(),
            source: None,
        }
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The rules that a document breaks, as one error.
    pub(crate) fn broken(violations: Vec<Violation>) -> Self {
        let list: Vec<String> = violations.iter().map(ToString::to_string).collect();
        Self {
            violations,
            ..Self::new(
                ErrorKind::InvalidDocument,
                format!(
                    "the data action breaks the platform's rules: {}",
                    list.join("; ")
                ),
            )
        }
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// How long the platform asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Every rule that the document breaks, for [`ErrorKind::InvalidDocument`].
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Whether the same call may succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::RateLimited
                | ErrorKind::Unavailable
                | ErrorKind::Conflict
                | ErrorKind::Unclear
        )
    }

    /// A change whose answer did not come, when the platform cannot be asked either.
    pub(crate) fn unclear(what: &str, source: Self) -> Self {
        Self::new(
            ErrorKind::Unclear,
            format!(
                "whether it is {what} is not known: no answer came, and the platform cannot be asked"
            ),
        )
        .with_source(source)
    }

    /// Whether a change may have been made although it failed with this.
    pub(crate) fn hides_outcome(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable | ErrorKind::InvalidResponse
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}
