//! What is written down about one attempt.

use std::{collections::BTreeMap, fmt};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::error::{BoxError, Error, ErrorKind};

/// Marks every record, so that compliance tools find them.
pub const COMPLIANCE_TAG: &str = "S3-ACCESS-AUDIT";

/// Stands in place of a bucket for files of the machine itself.
const LOCAL_FILES: &str = "(local files)";

/// Few records are longer, so that few have to be moved while they are written.
const USUAL_BYTES: usize = 1024;

/// One attempt to run an action, whatever came of it.
///
/// Fields that are `None` are left out of the log.
/// No field may hold a secret or a personal datum; hash sensitive parameters with [`keyed_hash`](super::keyed_hash).
// The fields are in alphabetical order, so that serialising them gives the canonical form at once (a test holds that).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditRecord {
    /// The action's name.
    pub action: String,
    /// The network address that requests without valid credentials came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Bytes of objects that were read from a cache on disk.
    #[serde(skip_serializing_if = "is_zero")]
    pub bytes_from_disk: u64,
    /// Bytes decoded by the query.
    pub bytes_scanned: u64,
    /// Bytes received from S3.
    pub bytes_transferred: u64,
    /// Who asked: the name of the API key, or the shell user.
    pub caller: String,
    /// The outcome: `ok`, or the error's code.
    pub code: String,
    /// Always [`COMPLIANCE_TAG`].
    pub compliance_tag: String,
    /// The Genesys conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
    /// The caller's own id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// What the read cost, when it could be priced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Decimal>,
    /// The access decision and its reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Where the rows were to be written, when that is an object of S3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// From the request's arrival to the record, in milliseconds.
    pub duration_ms: u64,
    /// The HTTP status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// The attempt's id; an empty one is replaced by a fresh UUID.
    pub id: String,
    /// A text about the outcome, free of secrets and of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The server that wrote it, where several are distinguished by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Values that did not fit their columns and were made null, as the action's table says.
    #[serde(skip_serializing_if = "is_zero")]
    pub nulled_values: u64,
    /// What was read, or its first part: see [`AuditRecord::set_objects`].
    pub objects: Vec<AuditObject>,
    /// How many objects were read, when they are more than those in `objects`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects_count: Option<u64>,
    /// The SHA-256 of all of them, when they are more than those in `objects`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objects_digest: Option<String>,
    /// The Genesys organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// The parameters; sensitive values are keyed hashes.
    pub params: BTreeMap<String, String>,
    /// The AWS principal that read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// AWS request ids, for AWS's own support and logs.
    pub request_ids: Vec<String>,
    /// Rows in the answer.
    pub rows: u64,
    /// Rows that did not fit and were left out, as the action's table says.
    #[serde(skip_serializing_if = "is_zero")]
    pub skipped_rows: u64,
    /// What was asked where no configured action was: the SQL without its constants, which may be personal data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// How it ended.
    pub status: AuditStatus,
    /// When the attempt began.
    pub time: DateTime<Utc>,
    /// The trace that the request belongs to (W3C Trace Context).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The Genesys user's id, where a user's work made the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

impl AuditRecord {
    /// In canonical form.
    pub(super) fn to_json(&self) -> Result<String, Error> {
        let unwritable = |error: BoxError| {
            Error::new(ErrorKind::Unwritable, "cannot write the record as JSON").with_source(error)
        };
        let mut text = Vec::with_capacity(USUAL_BYTES);
        serde_json::to_writer(&mut text, self).map_err(|error| unwritable(error.into()))?;
        String::from_utf8(text).map_err(|error| unwritable(error.into()))
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditStatus {
    /// An answer was given.
    Success,
    /// No answer was given: refused, failed, cancelled or timed out.
    #[default]
    Failed,
}

/// An object that was read, or that should have been.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditObject {
    /// The bucket; `(local files)` for a file of the machine itself, whose key is its path without the first `/`.
    pub bucket: String,
    /// The `ETag` that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The key.
    pub key: String,
    /// Its size in bytes, if known; what was received of it is in the record's `bytes_transferred`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The version that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

impl AuditObject {
    /// Whether it is a file of the machine itself: no bucket can be called so.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.bucket == LOCAL_FILES
    }
}

/// `s3://bucket/key`, or the path of a file.
impl fmt::Display for AuditObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_local() {
            write!(formatter, "/{}", self.key)
        } else {
            write!(formatter, "s3://{}/{}", self.bucket, self.key)
        }
    }
}

/// A zero is left out: most records have none of these, and records of before must keep their hash.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Default for AuditRecord {
    fn default() -> Self {
        Self {
            action: String::new(),
            address: None,
            bytes_from_disk: 0,
            bytes_scanned: 0,
            bytes_transferred: 0,
            caller: String::new(),
            code: String::new(),
            compliance_tag: COMPLIANCE_TAG.to_owned(),
            conversation_id: None,
            correlation_id: None,
            cost_usd: None,
            decision: None,
            destination: None,
            duration_ms: 0,
            http_status: None,
            id: String::new(),
            message: None,
            node: None,
            nulled_values: 0,
            objects: Vec::new(),
            objects_count: None,
            objects_digest: None,
            organization: None,
            params: BTreeMap::new(),
            principal: None,
            request_ids: Vec::new(),
            rows: 0,
            skipped_rows: 0,
            sql: None,
            status: AuditStatus::Failed,
            time: DateTime::UNIX_EPOCH,
            trace_id: None,
            user: None,
        }
    }
}
