//! What HEAD tells of an object, and a GET.

use std::sync::Arc;

use aws_sdk_s3::{
    operation::{get_object::GetObjectOutput, head_object::HeadObjectOutput},
    types::StorageClass,
};
use chrono::{DateTime, Utc};
use object_store::{Attribute, Attributes, ObjectMeta, path::Path};
use serde::{Serialize, Serializer};

use crate::Checksum;

/// Metadata of one version of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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
    pub attributes: Arc<Attributes>,
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

/// The fields that answers to HEAD and GET have in common, in two types of the SDK.
macro_rules! described {
    ($location:expr, $size:expr, $answer:expr) => {{
        let answer = $answer;
        let headers = [
            (Attribute::CacheControl, answer.cache_control()),
            (Attribute::ContentDisposition, answer.content_disposition()),
            (Attribute::ContentEncoding, answer.content_encoding()),
            (Attribute::ContentLanguage, answer.content_language()),
            (Attribute::ContentType, answer.content_type()),
            (
                Attribute::StorageClass,
                answer.storage_class().map(StorageClass::as_str),
            ),
        ];
        let headers = headers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?.to_owned())));
        let own = answer.metadata().into_iter().flatten();
        let own =
            own.map(|(name, value)| (Attribute::Metadata(name.clone().into()), value.clone()));
        ObjectMetadata {
            location: $location.clone(),
            size: $size,
            etag: answer.e_tag.clone(),
            version_id: answer
                .version_id
                .clone()
                .filter(|version| version != "null"),
            content_type: answer.content_type.clone(),
            content_encoding: answer.content_encoding.clone(),
            last_modified: answer
                .last_modified
                .as_ref()
                .map(timestamp)
                .unwrap_or_default(),
            storage_class: answer
                .storage_class
                .as_ref()
                .map(|class| class.as_str().to_owned()),
            server_side_encryption: answer
                .server_side_encryption
                .as_ref()
                .map(|encryption| encryption.as_str().to_owned()),
            kms_key_id: answer.ssekms_key_id.clone(),
            restore: answer.restore.clone(),
            archive_status: None,
            tag_count: answer.tag_count.and_then(|count| u32::try_from(count).ok()),
            checksum: None,
            attributes: Arc::new(headers.chain(own).collect()),
        }
    }};
}

impl ObjectMetadata {
    /// `None` when the answer does not say how large the object is.
    pub(crate) fn from_head(location: &Path, head: &HeadObjectOutput) -> Option<Self> {
        let size = u64::try_from(head.content_length?).ok()?;
        Some(Self {
            checksum: Checksum::from_head(head),
            archive_status: head
                .archive_status
                .as_ref()
                .map(|status| status.as_str().to_owned()),
            ..described!(location, size, head)
        })
    }

    /// The metadata in the answer to a GET of the whole object or of a part. An object that can be read is not archived.
    pub(crate) fn from_get(location: &Path, size: u64, get: &GetObjectOutput) -> Self {
        let whole = get.content_range.is_none();
        Self {
            checksum: Checksum::from_get(get).filter(|_| whole),
            ..described!(location, size, get)
        }
    }

    /// The metadata in a listing of an object that is to be read, and whose version the listing names.
    pub(crate) fn listed(location: &Path, size: u64, etag: String) -> Self {
        Self {
            location: location.clone(),
            size,
            etag: Some(etag),
            ..Self::default()
        }
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
            let metadata = ObjectMetadata::from_head(&Path::from("x"), &head.build()).unwrap();
            assert_eq!(metadata.archived(), expected, "{metadata:?}");
        }
    }
}
