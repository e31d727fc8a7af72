//! A lake in memory that can give its bytes in small pieces.

use std::{fmt, ops::Range};

use async_trait::async_trait;
use bytes::Bytes;
use flowlake_transform::{BoxError, StoreResolver};
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    memory::InMemory, path::Path,
};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pieces {
    inner: InMemory,
    bytes: usize,
}

/// One store, whatever the bucket.
#[derive(Debug, Clone)]
pub(crate) struct Lake(pub(crate) Arc<Pieces>);

impl StoreResolver for Lake {
    fn store(&self, _bucket: &str) -> std::result::Result<Arc<dyn ObjectStore>, BoxError> {
        Ok(Arc::clone(&self.0) as Arc<dyn ObjectStore>)
    }
}

impl Pieces {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            inner: InMemory::new(),
            bytes,
        }
    }
}

impl fmt::Display for Pieces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pieces")
    }
}

fn cut(bytes: &Bytes, most: usize) -> Vec<Result<Bytes>> {
    let starts = (0..bytes.len()).step_by(most);
    starts
        .map(|start| Ok(bytes.slice(start..bytes.len().min(start.saturating_add(most)))))
        .collect()
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Pieces {
    async fn put_opts(
        &self,
        at: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(at, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let head = options.head;
        let found = self.inner.get_opts(at, options).await?;
        if self.bytes == usize::MAX || head {
            return Ok(found);
        }
        let (meta, range, attributes) = (
            found.meta.clone(),
            found.range.clone(),
            found.attributes.clone(),
        );
        let bytes = found.bytes().await?;
        let pieces = cut(&bytes, self.bytes.max(bytes.len() / 2000).max(1));
        Ok(GetResult {
            payload: GetResultPayload::Stream(futures::stream::iter(pieces).boxed()),
            meta,
            range,
            attributes,
        })
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(at, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
