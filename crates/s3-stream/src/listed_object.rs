//! One object, as a listing tells of it.

use aws_sdk_s3::types::Object;
use chrono::{DateTime, Utc};
use object_store::{ObjectMeta, path::Path};

use crate::metadata::timestamp;

/// One object of a listing, whatever its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    /// The key, as S3 has it.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// The entity tag, with its quotes.
    pub etag: Option<String>,
    /// When it was written.
    pub last_modified: DateTime<Utc>,
    /// The storage class.
    pub storage_class: Option<String>,
}

impl ListedObject {
    /// The object as `object_store` has it, under the path that names its key.
    #[must_use]
    pub fn to_object_meta(&self, location: Path) -> ObjectMeta {
        ObjectMeta {
            location,
            last_modified: self.last_modified,
            size: self.size,
            e_tag: self.etag.clone(),
            version: None,
        }
    }

    /// Whether a view that expects this version reads it without asking for its metadata first. An archived object may have
    /// been restored, which only HEAD tells.
    #[must_use]
    pub fn is_read_at_once(&self) -> bool {
        let is_archived = matches!(
            self.storage_class.as_deref(),
            Some("GLACIER" | "DEEP_ARCHIVE")
        );
        self.etag.is_some() && self.size > 0 && !is_archived
    }

    /// `None` for a key that no [`Path`] can name, such as a folder marker that ends in a slash.
    pub(crate) fn into_object_meta(self) -> Option<ObjectMeta> {
        let location = Path::parse(&self.key).ok();
        let location = location.filter(|path| path.as_ref() == self.key)?;
        Some(self.to_object_meta(location))
    }

    /// `None` for an object without a key.
    pub(crate) fn of(object: Object) -> Option<Self> {
        Some(Self {
            key: object.key?,
            size: object
                .size
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or_default(),
            etag: object.e_tag,
            last_modified: object
                .last_modified
                .as_ref()
                .map(timestamp)
                .unwrap_or_default(),
            storage_class: object.storage_class.map(|class| class.as_str().to_owned()),
        })
    }
}
