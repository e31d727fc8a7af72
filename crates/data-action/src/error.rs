//! Why an attempt has no answer: a stable code, a message, advice, and the HTTP status and exit code that belong to the code.
//!
//! Each crate below has its own error with kinds, and knows nothing of codes. `convert.rs` is the one place that maps kinds to codes.
//! The apps know neither crate: the server answers with the status of the code, the command line ends with its exit code, and both
//! show message and advice. The source is written to the log and shown to nobody, since an error of S3 or IAM may name what the
//! caller must not know.
//!
//! A code exists if a caller acts differently on it. Two errors that have the same code may still have different advice.

mod convert;
mod excerpt;

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use flowlake_transform::Place;
use serde::{Serialize, Serializer};

pub use self::excerpt::Excerpt;
pub(crate) use self::{convert::CHECK_URI, excerpt::place_of};

/// Boxed source of an [`ActionError`].
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why an attempt gave no answer.
///
/// The message and the advice are safe to show to the caller: they hold no secret and no value of a sensitive parameter.
/// The source is for the log.
/// Clones share the source: all callers that waited for the same answer get the same error.
#[derive(Debug, Clone)]
pub struct ActionError {
    code: ErrorCode,
    message: String,
    advice: String,
    /// Boxed, since few errors have one.
    at: Option<Box<ErrorLocation>>,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// Where an error is.
#[derive(Debug, Clone, Default)]
struct ErrorLocation {
    /// In the SQL.
    place: Option<Place>,
    /// As somebody wrote it.
    excerpt: Option<Excerpt>,
    /// The setting of a TOML file, until its place there is known.
    key: Option<Vec<String>>,
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $status:literal, $exit:literal, $retryable:literal;)+) => {
        /// The stable code of a failure.
        ///
        /// Codes are part of the public interface: they appear in answers, audit records, metrics and the documentation,
        /// and are never reused with another meaning.
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $name,)+
        }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The code as text, such as `s3.no_such_key`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The HTTP status the server answers with.
            #[must_use]
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// The exit code of the command line.
            ///
            /// 2 is the caller's input, 3 is access, 4 is the data, 5 is a limit, 6 is a service that did not answer, 70 is a fault of ours.
            #[must_use]
            pub const fn exit_code(self) -> u8 {
                match self { $(Self::$name => $exit,)+ }
            }

            /// Whether the same request may succeed later without anybody changing anything.
            #[must_use]
            pub const fn is_retryable(self) -> bool {
                match self { $(Self::$name => $retryable,)+ }
            }

            /// One sentence on what the code means.
            #[must_use]
            pub const fn description(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+),)+ }
            }
        }
    };
}

error_codes! {
    /// The configuration cannot be used as it is written.
    ConfigInvalid = "config.invalid", 500, 2, false;
    /// No action of that name is configured.
    ActionUnknown = "action.unknown", 404, 2, false;
    /// A parameter is missing, unknown, not of its declared type, pattern or range, or nothing that the SQL can compute with.
    ParamInvalid = "param.invalid", 400, 2, false;
    /// The policy section of the configuration does not allow the object to be read.
    PolicyDenied = "policy.denied", 403, 3, false;
    /// IAM does not allow the principal to read the object.
    AccessDenied = "access.denied", 403, 3, false;
    /// Whether the principal may read the object could not be determined.
    AccessUnavailable = "access.unavailable", 503, 6, true;
    /// There are no usable AWS credentials.
    AwsCredentials = "aws.credentials", 503, 3, false;
    /// The object does not exist.
    S3NoSuchKey = "s3.no_such_key", 404, 4, false;
    /// The bucket does not exist.
    S3NoSuchBucket = "s3.no_such_bucket", 404, 4, false;
    /// S3 itself refused the read.
    S3AccessDenied = "s3.access_denied", 403, 3, false;
    /// The principal may not use the KMS key that encrypts the object.
    S3KmsDenied = "s3.kms_denied", 403, 3, false;
    /// The object changed while it was read, twice in a row.
    S3ObjectChanged = "s3.object_changed", 409, 4, true;
    /// The object is archived and must be restored before it can be read.
    S3Archived = "s3.archived", 409, 4, false;
    /// The bucket is in another region than the one configured.
    S3WrongRegion = "s3.wrong_region", 502, 2, false;
    /// S3 asked to slow down for longer than the request may wait.
    S3Throttled = "s3.throttled", 503, 6, true;
    /// S3 could not be reached or did not answer.
    S3Unavailable = "s3.unavailable", 503, 6, true;
    /// What S3 sent does not match what it announced.
    S3Corrupt = "s3.corrupt", 502, 4, true;
    /// The file does not exist on this machine.
    FileNotFound = "file.not_found", 404, 4, false;
    /// The file on this machine cannot be read, or is none.
    FileUnreadable = "file.unreadable", 403, 3, false;
    /// The file on this machine changed while it was read, twice in a row.
    FileChanged = "file.changed", 409, 4, true;
    /// The SQL of the action cannot be planned.
    SqlInvalid = "sql.invalid", 422, 2, false;
    /// The SQL of the action does something that actions may not do.
    SqlNotAllowed = "sql.not_allowed", 422, 3, false;
    /// The SQL names a column that the file does not have.
    SqlUnknownColumn = "sql.unknown_column", 422, 4, false;
    /// The SQL names a table that the action does not declare.
    SqlUnknownTable = "sql.unknown_table", 422, 2, false;
    /// The SQL cannot be computed over a row: a cast, a division by zero, a number too large.
    SqlNotComputable = "sql.not_computable", 422, 4, false;
    /// A file does not hold what its format or schema says.
    DataMalformed = "data.malformed", 422, 4, false;
    /// No object lies under the configured location.
    DataNoFiles = "data.no_files", 404, 4, false;
    /// The answer was not ready within the action's time limit.
    LimitTimeout = "limit.timeout", 504, 5, true;
    /// The query needs more memory and spill space than is configured.
    LimitMemory = "limit.memory", 507, 5, false;
    /// The answer is larger than the action's limit.
    LimitOutput = "limit.output", 413, 5, false;
    /// The query would read more than the action's limit.
    LimitScan = "limit.scan", 413, 5, false;
    /// The read would take more requests to S3 than the action's limit.
    LimitRequests = "limit.requests", 413, 5, false;
    /// The read would cost more than the action's limit, or its price is not known.
    LimitCost = "limit.cost", 413, 5, false;
    /// The read is so large that the person who asks has to confirm it.
    LimitUnconfirmed = "limit.unconfirmed", 413, 5, false;
    /// The read would go over a budget, which refuses until the day or the month (UTC) is over.
    BudgetExceeded = "budget.exceeded", 429, 5, true;
    /// A budget is set, and the read cannot be priced: there is no figure for the bucket's region or the object's storage class.
    BudgetUnpriced = "budget.unpriced", 500, 2, false;
    /// The budget is shared with other servers, and what they have spent of it cannot be determined.
    BudgetUnshared = "budget.unshared", 503, 6, true;
    /// Cost Explorer refused or failed, so there are no actual costs.
    CostUnavailable = "cost.unavailable", 502, 6, true;
    /// Genesys Cloud refused the client credentials.
    GenesysCredentials = "genesys.credentials", 502, 3, false;
    /// Genesys Cloud asked to slow down for longer than the request may wait.
    GenesysRateLimited = "genesys.rate_limited", 503, 6, true;
    /// Genesys Cloud could not be reached or did not answer as documented.
    GenesysUnavailable = "genesys.unavailable", 503, 6, true;
    /// Genesys Cloud does not permit the OAuth client to do this.
    GenesysForbidden = "genesys.forbidden", 502, 3, false;
    /// Genesys Cloud refused a data action, or what was to be done with one.
    GenesysRejected = "genesys.rejected", 502, 4, false;
    /// A data action is still used by flows, or whether it is used is not known.
    GenesysInUse = "genesys.in_use", 409, 4, false;
    /// The audit record could not be written, so no data is returned.
    AuditUnavailable = "audit.unavailable", 503, 6, true;
    /// The audit log is damaged or was tampered with.
    AuditBroken = "audit.broken", 500, 4, false;
    /// The audit log cannot be read.
    AuditUnreadable = "audit.unreadable", 500, 6, false;
    /// An integer in rows for a flow is beyond 2^53 - 1: flows hold numbers as doubles.
    OutputUnsafeInteger = "output.unsafe_integer", 422, 4, false;
    /// The rows could not be written to where the caller wants them.
    OutputUnwritable = "output.unwritable", 507, 6, false;
    /// The caller went away before the answer was ready.
    Cancelled = "request.cancelled", 499, 130, true;
    /// The request carries no credentials that the server knows.
    Unauthorized = "request.unauthorized", 401, 3, false;
    /// The token cannot be verified now: its issuer does not give its keys.
    IssuerUnavailable = "request.issuer_unavailable", 503, 6, true;
    /// The caller may not run the action, or not with these parameters.
    Forbidden = "request.forbidden", 403, 3, false;
    /// The caller sends more requests than it may, or too many requests with wrong credentials come from its address.
    RateLimited = "request.rate_limited", 429, 5, true;
    /// The server has nothing at the request's path.
    RequestNotFound = "request.not_found", 404, 2, false;
    /// The request is not what its path takes: another method, not a JSON object of parameters, too large or too slow.
    RequestInvalid = "request.invalid", 400, 2, false;
    /// The server is at its configured number of concurrent requests, or shutting down.
    Overloaded = "server.overloaded", 503, 6, true;
    /// A worker of the cluster did not answer or broke off, twice in a row.
    ClusterWorkerLost = "cluster.worker_lost", 503, 6, true;
    /// All workers of the cluster are of another build, or have another secret.
    ClusterWorkerRefused = "cluster.worker_refused", 503, 6, false;
    /// All workers of the cluster take part in as many queries as they may.
    ClusterWorkerBusy = "cluster.worker_busy", 503, 6, true;
    /// A fault in flowlake itself.
    Internal = "internal", 500, 70, false;
}

impl ActionError {
    /// An error of `code` with a message (lowercase fragment) and advice (a sentence on what to do).
    pub fn new(code: ErrorCode, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            advice: advice.into(),
            at: None,
            retry_after: None,
            source: None,
        }
    }

    /// The same error with the error that caused it, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// The same error, of this place in the SQL.
    #[must_use]
    pub(crate) fn with_place(mut self, place: Option<Place>) -> Self {
        if place.is_some() {
            self.at.get_or_insert_default().place = place;
        }
        self
    }

    /// Where in the SQL the error is, if that is known.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.at.as_ref()?.place
    }

    /// The same error, of this line.
    #[must_use]
    pub(crate) fn with_excerpt(mut self, excerpt: Option<Excerpt>) -> Self {
        if excerpt.is_some() {
            self.at.get_or_insert_default().excerpt = excerpt;
        }
        self
    }

    /// The line that the error is about, where it is known.
    #[must_use]
    pub fn excerpt(&self) -> Option<&Excerpt> {
        self.at.as_ref()?.excerpt.as_ref()
    }

    /// The same error, of the setting that these keys lead to, unless it is of a known one already. A table in an array is named by
    /// its `name` or its number. What the keys leave open, the message names.
    #[must_use]
    pub fn at_key(mut self, keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let key = &mut self.at.get_or_insert_default().key;
        key.get_or_insert_with(|| keys.into_iter().map(Into::into).collect());
        self
    }

    /// The setting that the error is about, while its place in the file is not known.
    pub(crate) fn key(&self) -> Option<&[String]> {
        self.at.as_ref()?.key.as_deref()
    }

    /// The same error, whose message has its place.
    #[must_use]
    pub(crate) fn placed(mut self) -> Self {
        if let Some(at) = &mut self.at {
            at.key = None;
        }
        self
    }

    /// The same error in other words.
    #[must_use]
    pub(crate) fn with_message(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// The kind of an error of the SQL, its parameters, its tables or its files.
    pub(crate) fn kind_of_transform(&self) -> Option<flowlake_transform::ErrorKind> {
        let source = StdError::source(self)?;
        let source = source.downcast_ref::<flowlake_transform::Error>()?;
        Some(source.kind())
    }

    /// The same error with other advice.
    #[must_use]
    pub fn with_advice(mut self, advice: &str) -> Self {
        advice.clone_into(&mut self.advice);
        self
    }

    /// The same error with the wait that the refusing service asked for.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        self.code
    }

    /// What happened, as a lowercase fragment that is safe to show.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the reader should do, as a sentence.
    #[must_use]
    pub fn advice(&self) -> &str {
        &self.advice
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.code.is_retryable()
    }

    /// How long the refusing service asked to wait.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The source chain on one line, for the log; a source that only repeats what is said already is left out.
    #[must_use]
    pub fn log_detail(&self) -> String {
        let mut detail = String::new();
        let mut source = StdError::source(self);
        while let Some(error) = source {
            let text = error.to_string();
            if !detail.contains(&text) {
                if !detail.is_empty() {
                    detail.push_str(": ");
                }
                detail.push_str(&text);
            }
            source = error.source();
        }
        detail
    }

    /// The body that callers see: `{"code", "message", "advice", "retryable"}`, and `line` and `column` of the SQL where they are
    /// known.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let mut body = serde_json::json!({
            "code": self.code.as_str(),
            "message": self.message,
            "advice": self.advice,
            "retryable": self.is_retryable(),
        });
        if let Some(place) = self.place() {
            body["line"] = place.line.into();
            body["column"] = place.column.into();
        }
        body
    }
}

impl fmt::Display for ActionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl StdError for ActionError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, error::Error as StdError, fmt};

    use super::{ActionError, ErrorCode};

    #[test]
    fn the_detail_says_nothing_twice() {
        #[derive(Debug)]
        struct Said {
            text: &'static str,
            source: Option<Box<Said>>,
        }
        impl fmt::Display for Said {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.text)
            }
        }
        impl StdError for Said {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                self.source.as_deref().map(|source| source as _)
            }
        }
        let chain = [
            "dispatch failure: io error",
            "io error",
            "connection refused",
        ];
        let source = chain
            .into_iter()
            .rev()
            .fold(None, |source, text| Some(Box::new(Said { text, source })));
        let error = ActionError::new(ErrorCode::Internal, "no answer", "Wait.");
        let error = error.with_source(source.unwrap());
        assert_eq!(
            error.log_detail(),
            "dispatch failure: io error: connection refused"
        );
    }

    #[test]
    fn codes_are_unique_and_well_formed() {
        let texts: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert!(
                code.as_str()
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c)),
                "{code}"
            );
            assert!((400..600).contains(&code.http_status()), "{code}");
            assert_ne!(code.exit_code(), 0, "{code}");
            assert!(code.description().trim().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn retryable_codes_are_not_the_callers_fault() {
        for code in ErrorCode::ALL.iter().filter(|code| code.is_retryable()) {
            assert!(
                code.http_status() >= 499 || [409, 429].contains(&code.http_status()),
                "{code}"
            );
        }
    }
}
