//! The answer to one request, and its two shapes.

mod metadata;

use std::{sync::Arc, time::Duration};

use flowlake_cost_audit::{AuditReceipt, AuditRecord, Cost};
use flowlake_profiler::{Profiler, Snapshot};
use flowlake_transform::{RunStats, Step};
use serde::{Serialize, Serializer};
use serde_json::{Value, json, value::RawValue};

pub use self::metadata::AnswerObject;
use crate::read::Inspected;

/// Everything that one request brought to light.
///
/// As JSON this is the full answer, with the fields `data`, `metadata`, `cost_tracking`, `profiler_snapshot` and `audit_log`;
/// [`Answer::to_flow`] is the small one that a Genesys Cloud flow wants.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// The action that was run.
    pub action: String,
    /// The rows: a JSON array of objects whose keys are in the order of the SELECT.
    pub data: Box<RawValue>,
    /// The rows in the format that the request asked for, if that is not JSON and there is no file for them; `data` is then an
    /// empty array.
    #[serde(skip)]
    pub encoded: Vec<u8>,
    /// The names of the columns, in order.
    pub columns: Vec<String>,
    /// Number of rows in `data`.
    pub row_count: u64,
    /// Whether the action's row limit cut rows off.
    pub truncated: bool,
    /// Rows of files that did not fit and were left out, where the action's table has `on_error = "skip"` or `"null"`.
    pub skipped_rows: u64,
    /// Values of files that did not fit and were made null, where the action's table has `on_error = "null"`.
    pub nulled_values: u64,
    /// Objects at the locations of the action that are no files of its tables: their names begin with `_` or `.`, they have no
    /// byte, or their keys cannot be read, which a warning says.
    pub files_left_out: u64,
    /// The object versions that were read.
    pub metadata: Vec<AnswerObject>,
    /// How the answer came from memory; none when files were read for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hot: Option<HotServed>,
    /// How it was served, where the action keeps answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheServed>,
    /// Stands for the rows: the same action over the same versions with the same parameters has the same tag. None where the
    /// request has no use for it, where the SQL tells the time or is random, and where S3 tells no `ETag`.
    #[serde(skip)]
    pub tag: Option<String>,
    /// Whether the caller has these rows, by a tag that it sent: nothing was read, and there are none.
    #[serde(skip)]
    pub not_modified: bool,
    /// What the read was estimated to cost before it, and what it cost.
    pub cost_tracking: CostTracking,
    /// What the engine did.
    pub run: RunStats,
    /// What each step of the query did, if the request asked for that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// The report about the files, if the request asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspected: Option<Box<Inspected>>,
    /// Where the audit record is.
    pub audit: AuditReceipt,
    /// The audit record itself.
    pub audit_log: AuditRecord,
    /// The profile of this process, this request included.
    pub profiler_snapshot: Profile,
    /// From the request's start to the written audit record, in milliseconds.
    pub duration_ms: f64,
}

/// How an answer came from memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HotServed {
    /// Milliseconds since the tables were last known to be of the present versions.
    pub age_ms: u64,
    /// Whether the last try to check that failed.
    pub unchecked: bool,
}

/// How an answer of an action with `cache` was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "served")]
pub enum CacheServed {
    /// From what is kept.
    Hit {
        /// Milliseconds since it was read.
        age_ms: u64,
        /// Milliseconds for which it is still kept.
        left_ms: u64,
    },
    /// Together with another who asked the same at the same time.
    Joined,
    /// By a read of its own.
    Miss {
        /// Whether it is kept now: there is no room for a large one.
        kept: bool,
    },
}

impl CacheServed {
    pub(crate) fn hit(age: Duration, left: Duration) -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self::Hit {
            age_ms: ms(age),
            left_ms: ms(left),
        }
    }
}

/// The profile of a process, put together when it is asked for: that takes longer than a small request, and flows do not ask.
#[derive(Debug, Clone)]
pub struct Profile {
    pub(crate) profiler: Arc<Profiler>,
    pub(crate) at_unix_ms: u64,
}

impl Profile {
    /// Everything known now, with windows that end when the answer was made.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.profiler.snapshot(self.at_unix_ms)
    }
}

impl Serialize for Profile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.snapshot().serialize(serializer)
    }
}

/// `cost_tracking` of the full answer. Amounts are US dollars, written as decimal strings;
/// they are null where the price table has no figure for the bucket's region or storage class.
#[derive(Debug, Clone, Serialize)]
pub struct CostTracking {
    /// Price of reading every object whole, told before the read from the metadata and the listing of prefixes.
    pub estimate: Option<Cost>,
    /// Our own price of the requests and bytes that were counted; what AWS bills is in `flowlake cost report`.
    pub metered: Option<Cost>,
    /// The total of `estimate`, under the name it has always had.
    pub estimated_transfer_cost_usd: Option<String>,
    /// Bytes that S3 sent.
    pub bytes: u64,
    /// Bytes that the cache of objects on disk had; they cost nothing.
    pub bytes_from_disk: u64,
    /// Budgets that this request went over, where they only warn.
    pub warnings: Vec<String>,
}

impl Answer {
    /// The small answer for a flow: `data`, `row_count`, `truncated`, `audit_id`, `cost_usd`, `duration_ms`;
    /// `skipped_rows` and `nulled_values` when they are not zero.
    #[must_use]
    pub fn to_flow(&self) -> FlowAnswer<'_> {
        FlowAnswer {
            data: &self.data,
            row_count: self.row_count,
            truncated: self.truncated,
            skipped_rows: (self.skipped_rows > 0).then_some(self.skipped_rows),
            nulled_values: (self.nulled_values > 0).then_some(self.nulled_values),
            audit_id: &self.audit_log.id,
            cost_usd: self
                .cost_tracking
                .metered
                .as_ref()
                .map(|cost| cost.total_usd.to_string()),
            duration_ms: self.duration_ms,
        }
    }
}

/// See [`Answer::to_flow`].
#[derive(Debug, Serialize)]
pub struct FlowAnswer<'answer> {
    data: &'answer RawValue,
    row_count: u64,
    truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nulled_values: Option<u64>,
    audit_id: &'answer str,
    cost_usd: Option<String>,
    duration_ms: f64,
}

/// The body of a failed request: `{"error": {…}, "audit_id": …}`.
#[must_use]
pub(crate) fn error_body(error: &crate::ActionError, audit_id: Option<&str>) -> Value {
    json!({ "error": error.to_json(), "audit_id": audit_id })
}
