//! What HEAD tells of an object.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use chrono::{DateTime, Utc};
use object_store::{Attribute, Attributes, ObjectMeta, path::Path};
use serde::{Serialize, Serializer};

/// Metadata of one version of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectMetadata {
    /// The key.
    #[serde(serialize_with = "serialize_path")]
    pub location: Path,
    /// Size in bytes.
    pub size: u64,
    /// The entity tag, with its quotes, which reads are pinned to.
    pub etag: Option<String>,
    /// The version, in a bucket that keeps versions.
    pub version_id: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// When it was written.
    pub last_modified: DateTime<Utc>,
    /// The storage class; S3 leaves it out for STANDARD.
    pub storage_class: Option<String>,
    /// How it is encrypted at rest, such as `AES256` or `aws:kms`.
    pub server_side_encryption: Option<String>,
    /// The KMS key that encrypts it.
    pub kms_key_id: Option<String>,
    /// The state of a restore from an archive, as S3 words it.
    pub restore: Option<String>,
}

fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(path.as_ref())
}

impl ObjectMetadata {
    pub(crate) fn from_head(location: &Path, head: HeadObjectOutput) -> Self {
        Self {
            location: location.clone(),
            size: head
                .content_length
                .and_then(|length| u64::try_from(length).ok())
                .unwrap_or_default(),
            etag: head.e_tag,
            version_id: head.version_id.filter(|version| version != "null"),
            content_type: head.content_type,
            content_encoding: head.content_encoding,
            last_modified: head
                .last_modified
                .as_ref()
                .map(timestamp)
                .unwrap_or_default(),
            storage_class: head.storage_class.map(|class| class.as_str().to_owned()),
            server_side_encryption: head
                .server_side_encryption
                .map(|encryption| encryption.as_str().to_owned()),
            kms_key_id: head.ssekms_key_id,
            restore: head.restore,
        }
    }

    pub(crate) fn to_object_meta(&self) -> ObjectMeta {
        ObjectMeta {
            location: self.location.clone(),
            last_modified: self.last_modified,
            size: self.size,
            e_tag: self.etag.clone(),
            version: self.version_id.clone(),
        }
    }

    pub(crate) fn attributes(&self) -> Attributes {
        let pairs = [
            (Attribute::ContentType, &self.content_type),
            (Attribute::ContentEncoding, &self.content_encoding),
            (Attribute::StorageClass, &self.storage_class),
        ];
        pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?)))
            .collect()
    }
}

/// An SDK timestamp as chrono has it.
pub(crate) fn timestamp(time: &aws_smithy_types::DateTime) -> DateTime<Utc> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos()).unwrap_or_default()
}
