//! `[object_cache]`: pieces of objects on a disk of this machine.

use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use flowlake_s3_stream::{DiskCache, DiskCacheSettings};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{ActionError, ErrorCode};

/// Where the bytes of objects are kept for the next read of the same version. Without this section, nothing is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectCacheSettings {
    /// Its folder, relative to `flowlake.toml`. Processes of one user may share it; nobody else may enter it.
    pub directory: PathBuf,
    /// The space that it takes on the disk, such as `10GiB`.
    #[schemars(schema_with = "crate::json_schema::bytes")]
    pub size: ByteSize,
    /// Keep objects too that are encrypted with a KMS key. Their bytes then lie on the disk without that key.
    pub kms: bool,
}

impl Default for ObjectCacheSettings {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("object-cache"),
            size: ByteSize::gib(10),
            kms: false,
        }
    }
}

impl ObjectCacheSettings {
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.directory = folder.join(&self.directory);
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] for a folder that cannot be used, and for less than 16 MiB.
    pub(crate) fn open(&self) -> Result<DiskCache, ActionError> {
        let settings = DiskCacheSettings {
            folder: self.directory.clone(),
            max_bytes: self.size.as_u64(),
            kms: self.kms,
        };
        DiskCache::open(settings).map_err(|error| {
            ActionError::new(
                ErrorCode::ConfigInvalid,
                error.to_string(),
                "Correct [object_cache], or leave it out.",
            )
            .at_key(["object_cache"])
            .with_source(error)
        })
    }
}
