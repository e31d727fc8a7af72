//! `metadata` of the full answer: one entry for each object version that was read.

use std::{fmt, sync::Arc};

use chrono::{DateTime, Utc};
use flowlake_s3_stream::{Checksum, ObjectMetadata};
use flowlake_transform::LOCAL_FILES;
use serde::{Serialize, Serializer};

/// The class of an object for which S3 names none.
const STANDARD: &str = "STANDARD";

/// An object version that was read.
///
/// As JSON it has `bucket`, `key`, `content_type`, `content_length`, `last_modified`, `etag` and `storage_class`, whatever S3 sent,
/// and of what else is known of it that which S3 has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerObject {
    /// The bucket; [`LOCAL_FILES`] for files of this machine.
    pub bucket: String,
    /// What S3 said of the version.
    pub object: Arc<ObjectMetadata>,
}

/// The entry as it is written: most answers go to flows, which do not ask for it.
#[derive(Serialize)]
struct Entry<'a> {
    bucket: &'a str,
    key: &'a str,
    content_type: Option<&'a str>,
    content_length: u64,
    last_modified: DateTime<Utc>,
    etag: Option<&'a str>,
    storage_class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_encoding: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_side_encryption: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restore: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    archive_status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<&'a Checksum>,
}

impl AnswerObject {
    /// Whether it is a file of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.bucket == LOCAL_FILES
    }
}

/// `s3://bucket/key`, or the path of a file.
impl fmt::Display for AnswerObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.object.location;
        if self.is_local() {
            write!(formatter, "/{key}")
        } else {
            write!(formatter, "s3://{}/{key}", self.bucket)
        }
    }
}

impl Serialize for AnswerObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object = &self.object;
        Entry {
            bucket: &self.bucket,
            key: object.location.as_ref(),
            content_type: object.content_type.as_deref(),
            content_length: object.size,
            last_modified: object.last_modified,
            etag: object.etag.as_deref(),
            storage_class: match self.is_local() {
                true => None,
                false => Some(object.storage_class.as_deref().unwrap_or(STANDARD)),
            },
            version_id: object.version_id.as_deref(),
            content_encoding: object.content_encoding.as_deref(),
            server_side_encryption: object.server_side_encryption.as_deref(),
            kms_key_id: object.kms_key_id.as_deref(),
            restore: object.restore.as_deref(),
            archive_status: object.archive_status.as_deref(),
            tag_count: object.tag_count,
            checksum: object.checksum.as_ref(),
        }
        .serialize(serializer)
    }
}
