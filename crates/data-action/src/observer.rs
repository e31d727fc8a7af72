//! The outcome and the phases of an attempt, for tracing.

use std::{fmt::Debug, time::Duration};

use chrono::{DateTime, Utc};
use flowlake_profiler::Phase;

/// Gets the outcome of each attempt once, however it ended; a server makes trace spans of it.
pub trait AttemptObserver: Debug + Send + Sync {
    /// The W3C trace id (32 hexadecimal digits) that the attempt belongs to; shown beside the histograms as an exemplar.
    fn trace_id(&self) -> Option<String>;

    /// The attempt has ended, and its audit record is durable or could not be written. Must not block.
    fn ended(&self, attempt: &EndedAttempt<'_>);
}

/// What an observer receives: no parameter, no value and no name of a person.
#[derive(Debug)]
pub struct EndedAttempt<'attempt> {
    /// The action's name.
    pub action: &'attempt str,
    /// `ok`, or the error's code.
    pub code: &'attempt str,
    /// The HTTP status that belongs to the outcome.
    pub http_status: u16,
    /// The id of the audit record; none when it could not be written.
    pub audit_id: Option<&'attempt str>,
    /// When the attempt began.
    pub started_at: DateTime<Utc>,
    /// How long it took, the audit record included.
    pub duration: Duration,
    /// Its phases, in the order they ended; one that was tried twice is there twice.
    pub phases: &'attempt [PhaseTiming],
    /// Bytes received from S3.
    pub bytes: u64,
    /// Rows in the answer.
    pub rows: u64,
}

/// When a phase began and how long it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhaseTiming {
    /// Which one.
    pub phase: Phase,
    /// From the attempt's begin to the phase's.
    ///
    /// The wait for the first byte is reported as beginning with the scan: the moment of the first GET is not kept.
    pub started_after: Duration,
    /// How long it took; a phase that a timeout or a cancellation ended is reported up to there.
    pub duration: Duration,
}
