//! What the profiler shows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything the profiler knows at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Requests since the start.
    pub total_requests: u64,
    /// Their mean duration.
    pub avg_duration_ms: f64,
    /// Bytes received from S3 since the start.
    pub total_bytes: u64,
    /// The share of requests since the start that failed, from 0 to 1.
    pub error_rate: f64,
    /// The latest requests, newest last.
    pub recent_entries: Vec<Entry>,
    /// When the profiler started, in milliseconds since 1970.
    pub started_at_unix_ms: u64,
    /// All actions together, in each window.
    pub windows: Windows,
    /// Phases of all actions together, since the start.
    pub phases: BTreeMap<String, Latency>,
    /// Failures since the start, by code.
    pub errors: BTreeMap<String, u64>,
    /// Each action.
    pub actions: BTreeMap<String, ActionStats>,
}

/// One of the latest requests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it ended, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The action's name.
    pub action: String,
    /// `ok`, or the error's code.
    pub code: String,
    /// How long it took.
    pub duration_ms: f64,
    /// The parts of it that took place.
    pub phases_ms: BTreeMap<String, f64>,
    /// Bytes received from S3.
    pub bytes: u64,
    /// Rows in the answer.
    pub rows: u64,
    /// Whether the data came from a cache.
    pub cache_hit: bool,
    /// The W3C trace id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub trace_id: Option<String>,
}

/// One action.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ActionStats {
    /// Each window.
    pub windows: Windows,
    /// Each phase, since the start.
    pub phases: BTreeMap<String, Latency>,
    /// Failures since the start, by code.
    pub errors: BTreeMap<String, u64>,
}

/// The same figures over three stretches of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    /// The last minute, moving on in steps of 10 s.
    pub last_minute: WindowStats,
    /// The last hour, moving on in steps of 5 min.
    pub last_hour: WindowStats,
    /// Since the start.
    pub since_start: WindowStats,
}

/// The figures of one window.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowStats {
    /// Requests.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Requests a second.
    pub requests_per_second: f64,
    /// The share that failed, from 0 to 1.
    pub error_rate: f64,
    /// The share answered from a cache, from 0 to 1.
    pub cache_hit_rate: f64,
    /// Bytes received from S3.
    pub bytes: u64,
    /// Rows in the answers.
    pub rows: u64,
    /// Total durations.
    pub duration: Latency,
}

/// A distribution of durations; percentiles are within 1% of the exact ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many durations.
    pub count: u64,
    /// Their mean.
    pub mean_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// 90 of 100 were as fast or faster.
    pub p90_ms: f64,
    /// 99 of 100 were as fast or faster.
    pub p99_ms: f64,
    /// The longest, exactly.
    pub max_ms: f64,
}
