//! An embedded S3 over a folder, and clients for it.

use aws_credential_types::Credentials;
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Region},
};
use bytes::Bytes;
use flowlake_dev_stack::{DevStack, IamDocument};
use flowlake_s3_stream::{S3Stream, S3StreamSettings};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

pub(crate) const BUCKET: &str = "lake";

pub(crate) struct Embedded {
    pub(crate) stack: DevStack,
    pub(crate) folder: tempfile::TempDir,
}

impl Embedded {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(BUCKET)).unwrap();
        let stack = DevStack::builder(folder.path())
            .with_iam(IamDocument::single_administrator())
            .start()
            .await
            .unwrap();
        Self { stack, folder }
    }

    /// Puts an object in place at once, as S3 does: readers that have the old one open keep it.
    pub(crate) fn write(&self, key: &str, bytes: &[u8]) {
        let path = self.folder.path().join(BUCKET).join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = self.folder.path().join("new-object");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    pub(crate) fn client(&self) -> Client {
        let key = self.stack.access_key("flowlake");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(self.stack.s3_url())
            .force_path_style(true)
            .credentials_provider(Credentials::from_keys(key.id, key.secret, None))
            .build();
        Client::from_conf(config)
    }

    pub(crate) fn store(&self, settings: S3StreamSettings) -> S3Stream {
        S3Stream::builder(self.client(), BUCKET)
            .with_settings(settings)
            .build()
            .unwrap()
    }
}

/// Small parts, so that small objects are read in many.
pub(crate) fn small_parts() -> S3StreamSettings {
    S3StreamSettings {
        part_bytes: 1000,
        concurrency: 4,
        ..S3StreamSettings::default()
    }
}

/// An object's bytes, whole.
pub(crate) async fn read(store: &impl ObjectStore, key: &str) -> Bytes {
    let result = store.get(&Path::from(key)).await.unwrap();
    result.bytes().await.unwrap()
}

/// Bytes of which no two pieces are alike.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length as u64)
        .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect()
}
