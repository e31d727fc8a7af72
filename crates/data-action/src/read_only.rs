//! A store that is only read, object by object: what is left of [`ObjectStore`] when nothing is written or listed.

use std::{
    fmt::{self, Debug, Display},
    ops::Range,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    path::Path,
};

/// Objects that can be read.
#[async_trait]
pub(crate) trait Objects: Debug + Display + Send + Sync + 'static {
    /// One object, or a range of it.
    async fn object(&self, path: &Path, options: GetOptions) -> Result<GetResult, StoreError>;

    /// Several ranges of one object.
    async fn ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError>;
}

/// The store of such objects.
#[derive(Debug)]
pub(crate) struct ReadOnlyStore<O>(pub(crate) O);

fn read_only() -> StoreError {
    StoreError::NotSupported {
        source: "these objects are only read, one by one".into(),
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<O: Objects> ObjectStore for ReadOnlyStore<O> {
    async fn put_opts(
        &self,
        _location: &Path,
        _payload: PutPayload,
        _opts: PutOptions,
    ) -> Result<PutResult, StoreError> {
        Err(read_only())
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>, StoreError> {
        Err(read_only())
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> Result<GetResult, StoreError> {
        self.0.object(location, options).await
    }

    async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, StoreError> {
        self.0.ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        _locations: BoxStream<'static, Result<Path, StoreError>>,
    ) -> BoxStream<'static, Result<Path, StoreError>> {
        futures::stream::once(async { Err(read_only()) }).boxed()
    }

    fn list(&self, _prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta, StoreError>> {
        futures::stream::once(async { Err(read_only()) }).boxed()
    }

    fn list_with_offset(
        &self,
        _prefix: Option<&Path>,
        _offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta, StoreError>> {
        futures::stream::once(async { Err(read_only()) }).boxed()
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> Result<ListResult, StoreError> {
        Err(read_only())
    }

    async fn copy_opts(
        &self,
        _from: &Path,
        _to: &Path,
        _options: CopyOptions,
    ) -> Result<(), StoreError> {
        Err(read_only())
    }

    async fn rename_opts(
        &self,
        _from: &Path,
        _to: &Path,
        _options: RenameOptions,
    ) -> Result<(), StoreError> {
        Err(read_only())
    }
}

impl<O: Objects> Display for ReadOnlyStore<O> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, formatter)
    }
}
