//! What is known about one request when it has ended.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A part of a request's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// Checking who asks, and getting a Genesys token.
    Auth,
    /// Asking who we are and what we may read.
    Access,
    /// HEAD requests, or the metadata cache.
    Metadata,
    /// From the first GET to its first byte.
    FirstByte,
    /// Reading and running the query.
    Scan,
    /// Writing rows as JSON, CSV and so on.
    Encode,
    /// Making the audit record durable.
    Audit,
}

impl Phase {
    /// Every phase, in the order of a request.
    pub const ALL: [Self; 7] = [
        Self::Auth,
        Self::Access,
        Self::Metadata,
        Self::FirstByte,
        Self::Scan,
        Self::Encode,
        Self::Audit,
    ];

    /// Its name in metrics and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Access => "access",
            Self::Metadata => "metadata",
            Self::FirstByte => "first_byte",
            Self::Scan => "scan",
            Self::Encode => "encode",
            Self::Audit => "audit",
        }
    }
}

/// One request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// When it ended, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The action's name.
    pub action: String,
    /// `ok`, or the error's code.
    pub code: String,
    /// From arrival to answer.
    pub duration: Duration,
    /// The parts of it that took place.
    pub phases: Vec<(Phase, Duration)>,
    /// Bytes received from S3.
    pub bytes: u64,
    /// Rows in the answer.
    pub rows: u64,
    /// Whether the data came from a cache.
    pub cache_hit: bool,
    /// The W3C trace id, shown as an exemplar in OpenMetrics.
    pub trace_id: Option<String>,
}

impl Clone for Sample {
    fn clone(&self) -> Self {
        let mut copy = Self::default();
        copy.clone_from(self);
        copy
    }

    /// Keeps the memory of texts and phases, which a derived one would not.
    fn clone_from(&mut self, source: &Self) {
        let Self {
            at_unix_ms,
            action,
            code,
            duration,
            phases,
            bytes,
            rows,
            cache_hit,
            trace_id,
        } = source;
        self.at_unix_ms = *at_unix_ms;
        self.action.clone_from(action);
        self.code.clone_from(code);
        self.duration = *duration;
        self.phases.clone_from(phases);
        self.bytes = *bytes;
        self.rows = *rows;
        self.cache_hit = *cache_hit;
        self.trace_id.clone_from(trace_id);
    }
}

impl Sample {
    /// Whether an answer was given.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.code == "ok"
    }
}
