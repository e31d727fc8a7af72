//! The `object_store` contract, method by method.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, RenameOptions, RenameTargetMode, Result, path::Path,
};

use crate::S3Stream;

/// Ranges nearer to each other than this are read as one: a request costs more time than these bytes.
const COALESCE_BYTES: u64 = 1 << 20;

/// Deletions of one `delete_stream` that run at the same time.
const DELETE_CONCURRENCY: usize = 10;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for S3Stream {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.put_object(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.start_multipart(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let asks_for_now = options.version.is_some()
            || options.if_match.is_some()
            || options.if_none_match.is_some()
            || options.if_modified_since.is_some()
            || options.if_unmodified_since.is_some();
        let found = if asks_for_now {
            self.fresh_metadata(location, options.version.as_deref())
                .await
        } else {
            Box::pin(self.metadata(location)).await
        };
        let metadata = found.map_err(|error| error.into_object_store(location.as_ref()))?;
        let meta = metadata.to_object_meta();
        options.check_preconditions(&meta)?;
        let range = resolve(options.range.as_ref(), meta.size)?;
        let path = location.clone();
        let bytes = if options.head {
            futures::stream::empty().boxed()
        } else {
            self.read(Arc::clone(&metadata), range.clone())
        };
        let payload = GetResultPayload::Stream(
            bytes
                .map_err(move |error| error.into_object_store(path.as_ref()))
                .boxed(),
        );
        Ok(GetResult {
            payload,
            meta,
            range,
            attributes: metadata.attributes(),
        })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        object_store::coalesce_ranges(
            ranges,
            |range| self.get_range(location, range),
            COALESCE_BYTES,
        )
        .await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .map(move |location| {
                let store = store.clone();
                async move {
                    let location = location?;
                    store.delete_object(&location).await?;
                    Ok(location)
                }
            })
            .buffered(DELETE_CONCURRENCY)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_from(prefix, None)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list_from(prefix, Some(offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.list_level(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        match options.mode {
            CopyMode::Overwrite => self.copy_object(from, to).await,
            CopyMode::Create => Err(not_supported("copy_if_not_exists")),
        }
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        match options.target_mode {
            RenameTargetMode::Overwrite => {
                self.copy_object(from, to).await?;
                self.delete_object(from).await
            }
            RenameTargetMode::Create => Err(not_supported("rename_if_not_exists")),
        }
    }
}

/// S3 has no atomic copy that spares what exists.
fn not_supported(operation: &str) -> Error {
    Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "S3Stream".to_owned(),
    }
}

/// The bytes that are asked for of an object of `size` bytes.
fn resolve(range: Option<&GetRange>, size: u64) -> Result<Range<u64>> {
    match range {
        None => Ok(0..size),
        Some(range) => range.as_range(size).map_err(|error| Error::Generic {
            store: "S3",
            source: Box::new(error),
        }),
    }
}
