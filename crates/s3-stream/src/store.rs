//! The `object_store` contract, method by method.

use std::{ops::Range, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, RenameOptions, RenameTargetMode, Result, path::Path,
};

use crate::{ErrorKind, ObjectMetadata, S3Stream, checksum::verified, key};

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
        Box::pin(self.get_object(location, options)).await
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
            CopyMode::Overwrite => self.copy_over(from, to).await,
            CopyMode::Create => self.copy_new(from, to).await,
        }
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        match options.target_mode {
            RenameTargetMode::Overwrite => self.copy_over(from, to).await?,
            RenameTargetMode::Create => self.copy_new(from, to).await?,
        }
        self.delete_object(from).await
    }
}

/// How often a read starts over because the object was replaced between its metadata and its first byte.
const FRESH_STARTS: u32 = 20;

impl S3Stream {
    /// The object at its first byte, so that the metadata and the bytes given are of one version. The bytes are verified when
    /// they are the whole object and S3 keeps a checksum of it.
    ///
    /// When the metadata turns out to be outdated before the first byte, it is asked for again. When this view has given it to its
    /// reader before, the read fails instead, since the reader could mix two versions.
    async fn get_object(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let conditional = options.if_match.is_some()
            || options.if_none_match.is_some()
            || options.if_modified_since.is_some()
            || options.if_unmodified_since.is_some();
        let named = |error: crate::Error| error.into_object_store(location.as_ref());
        let held = options.version.is_some() || self.is_pinned(location);
        let mut starts = 0;
        loop {
            let listed = self.listed(location).filter(|listed| {
                let asks_more = conditional || options.version.is_some() || options.head;
                !asks_more && self.tells_all(listed.size, options.range.as_ref())
            });
            let metadata = if let Some(listed) = listed {
                Ok(Arc::new(listed))
            } else if conditional || options.version.is_some() {
                self.fresh_metadata(location, options.version.as_deref())
                    .await
            } else {
                self.metadata(location).await
            };
            let metadata = metadata.map_err(named)?;
            options.check_preconditions(&metadata.to_object_meta())?;
            let range = resolve(options.range.as_ref(), metadata.size)?;
            let result = |metadata: &ObjectMetadata, payload| GetResult {
                payload,
                meta: metadata.to_object_meta(),
                range: range.clone(),
                attributes: metadata.attributes.as_ref().clone(),
            };
            if options.head {
                let nothing = GetResultPayload::Stream(stream::empty().boxed());
                return Ok(result(&metadata, nothing));
            }
            self.check_readable(&metadata).map_err(named)?;
            let mut bytes = self.read(Arc::clone(&metadata), range.clone());
            match bytes.next().await {
                Some(Err(error))
                    if error.kind() == ErrorKind::ObjectChanged
                        && !held
                        && starts < FRESH_STARTS =>
                {
                    tracing::debug!(%error, "a read starts over");
                    self.unpin(location);
                    starts += 1;
                }
                Some(Err(error)) => return Err(named(error)),
                first => {
                    let metadata = self.known(location).unwrap_or(metadata);
                    let bytes = stream::iter(first).chain(bytes);
                    let is_whole = range == (0..metadata.size);
                    let bytes = match metadata.checksum.clone().filter(|_| is_whole) {
                        Some(expected) => {
                            verified(bytes, expected, key::display(self.bucket(), location)).boxed()
                        }
                        None => bytes.boxed(),
                    };
                    let path = location.clone();
                    let bytes = bytes.map_err(move |error| error.into_object_store(path.as_ref()));
                    let payload = GetResultPayload::Stream(bytes.boxed());
                    return Ok(result(&metadata, payload));
                }
            }
        }
    }

    /// Whether the answer to the first GET of a read has all that HEAD would have: the checksum comes with no part of an object,
    /// and is needed to verify the whole.
    fn tells_all(&self, size: u64, range: Option<&GetRange>) -> bool {
        let is_whole = resolve(range, size).is_ok_and(|range| range == (0..size));
        !is_whole || self.settings().gets(size) == 1
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
