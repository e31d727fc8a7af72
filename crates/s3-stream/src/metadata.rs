//! What HEAD tells of an object.

use aws_sdk_s3::{operation::head_object::HeadObjectOutput, types::StorageClass};
use chrono::{DateTime, Utc};
use object_store::{Attribute, Attributes, ObjectMeta, path::Path};
use serde::{Serialize, Serializer};

use crate::Checksum;

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
    /// The archive tier of an object in `INTELLIGENT_TIERING`, when it lies in one.
    pub archive_status: Option<String>,
    /// How many tags it has; S3 leaves it out for none.
    pub tag_count: Option<u32>,
    /// The checksum that S3 keeps of the whole object.
    pub checksum: Option<Checksum>,
    /// Every header that `object_store` calls an attribute, the user's own metadata included.
    #[serde(skip)]
    pub attributes: Attributes,
}

/// Why an archived object cannot be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archived {
    NotRestored,
    RestoreUnderWay,
}

fn serialize_path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(path.as_ref())
}

impl ObjectMetadata {
    /// `None` when the answer does not say how large the object is.
    pub(crate) fn from_head(location: &Path, head: HeadObjectOutput) -> Option<Self> {
        let (checksum, attributes) = (Checksum::from_head(&head), attributes(&head));
        Some(Self {
            checksum,
            attributes,
            location: location.clone(),
            size: u64::try_from(head.content_length?).ok()?,
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
            archive_status: head.archive_status.map(|status| status.as_str().to_owned()),
            tag_count: head.tag_count.and_then(|count| u32::try_from(count).ok()),
        })
    }

    /// Whether the object must be restored before it can be read (Amazon S3 User Guide, "Restoring an archived object").
    pub(crate) fn archived(&self) -> Option<Archived> {
        let class = self.storage_class.as_deref();
        if !matches!(class, Some("GLACIER" | "DEEP_ARCHIVE")) && self.archive_status.is_none() {
            return None;
        }
        match &self.restore {
            None => Some(Archived::NotRestored),
            Some(state) if state.contains("ongoing-request=\"true\"") => {
                Some(Archived::RestoreUnderWay)
            }
            Some(_) => None,
        }
    }

    /// Bytes in memory, about.
    pub(crate) fn weight(&self) -> usize {
        let texts = [
            &self.etag,
            &self.version_id,
            &self.content_type,
            &self.content_encoding,
            &self.storage_class,
            &self.server_side_encryption,
            &self.kms_key_id,
            &self.restore,
            &self.archive_status,
        ];
        size_of::<Self>()
            + self.location.as_ref().len()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
            + self
                .attributes
                .iter()
                .map(|(_, value)| 64 + value.len())
                .sum::<usize>()
    }

    /// The object as `object_store` has it.
    #[must_use]
    pub fn to_object_meta(&self) -> ObjectMeta {
        ObjectMeta {
            location: self.location.clone(),
            last_modified: self.last_modified,
            size: self.size,
            e_tag: self.etag.clone(),
            version: self.version_id.clone(),
        }
    }
}

fn attributes(head: &HeadObjectOutput) -> Attributes {
    let class = head.storage_class().map(StorageClass::as_str);
    let headers = [
        (Attribute::CacheControl, head.cache_control()),
        (Attribute::ContentDisposition, head.content_disposition()),
        (Attribute::ContentEncoding, head.content_encoding()),
        (Attribute::ContentLanguage, head.content_language()),
        (Attribute::ContentType, head.content_type()),
        (Attribute::StorageClass, class),
    ];
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?.to_owned())));
    let own = head
        .metadata()
        .into_iter()
        .flatten()
        .map(|(name, value)| (Attribute::Metadata(name.clone().into()), value.clone()));
    headers.chain(own).collect()
}

/// An SDK timestamp as chrono has it.
pub(crate) fn timestamp(time: &aws_smithy_types::DateTime) -> DateTime<Utc> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::{
        operation::head_object::HeadObjectOutput,
        types::{ArchiveStatus, StorageClass},
    };
    use object_store::path::Path;

    use super::{Archived, ObjectMetadata};

    #[test]
    fn what_must_be_restored_first_is_known_from_head() {
        let head = || HeadObjectOutput::builder().content_length(1);
        let cases = [
            (head(), None),
            (head().storage_class(StorageClass::GlacierIr), None),
            (
                head().storage_class(StorageClass::DeepArchive),
                Some(Archived::NotRestored),
            ),
            (
                head()
                    .storage_class(StorageClass::Glacier)
                    .restore("ongoing-request=\"true\""),
                Some(Archived::RestoreUnderWay),
            ),
            (
                head().storage_class(StorageClass::Glacier).restore(
                    "ongoing-request=\"false\", expiry-date=\"Fri, 21 Dec 2026 00:00:00 GMT\"",
                ),
                None,
            ),
            (
                head()
                    .storage_class(StorageClass::IntelligentTiering)
                    .archive_status(ArchiveStatus::ArchiveAccess),
                Some(Archived::NotRestored),
            ),
        ];
        for (head, expected) in cases {
            let metadata = ObjectMetadata::from_head(&Path::from("x"), head.build()).unwrap();
            assert_eq!(metadata.archived(), expected, "{metadata:?}");
        }
    }
}
