//! S3 as the second place of finished audit segments.

use async_trait::async_trait;
use flowlake_cost_audit::audit::SegmentSink;
use flowlake_s3_stream::S3Stream;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload, path::Path};

use crate::BoxError;

/// A bucket and a prefix in it.
#[derive(Debug)]
pub(crate) struct S3Sink {
    pub(crate) store: S3Stream,
    pub(crate) prefix: Path,
}

#[async_trait]
impl SegmentSink for S3Sink {
    /// Creates, and never overwrites: what lies there already must be the same.
    async fn put(&self, name: &str, content: Vec<u8>) -> Result<(), BoxError> {
        let name = Path::from(name);
        let path = Path::from_iter(self.prefix.parts().chain(name.parts()));
        let payload = PutPayload::from(content);
        let put = self
            .store
            .put_opts(&path, payload.clone(), PutMode::Create.into())
            .await;
        match put {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => {
                let found = self.store.get(&path).await?.bytes().await?;
                if found == bytes_of(&payload) {
                    Ok(())
                } else {
                    Err(format!("another object lies at {path}").into())
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn bytes_of(payload: &PutPayload) -> Vec<u8> {
    payload
        .iter()
        .flat_map(|part| part.iter().copied())
        .collect()
}
