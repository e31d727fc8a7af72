//! A lake in memory that counts what is asked of it, and can be slow, stuck and down.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    memory::InMemory, path::Path,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    inner: InMemory,
    requests: Mutex<BTreeMap<Path, u64>>,
    pub(crate) is_slow: AtomicBool,
    pub(crate) is_down: AtomicBool,
    /// Requests after which none is answered any more; 0 for no such number.
    pub(crate) answered: AtomicU64,
}

impl Counting {
    /// GET requests by key: a HEAD is no read.
    pub(crate) fn requests(&self) -> BTreeMap<Path, u64> {
        self.requests.lock().unwrap().clone()
    }

    /// GET requests in all.
    pub(crate) fn total(&self) -> u64 {
        self.requests().values().sum()
    }

    fn count(&self, at: &Path) {
        *self.requests.lock().unwrap().entry(at.clone()).or_default() += 1;
    }

    async fn behave(&self) -> Result<()> {
        let answered = self.answered.load(SeqCst);
        if answered > 0 && self.total() > answered {
            std::future::pending::<()>().await;
        }
        if self.is_slow.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if self.is_down.load(SeqCst) {
            return Err(Error::Generic {
                store: "Counting",
                source: "the store is down".into(),
            });
        }
        Ok(())
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Counting")
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Counting {
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
        if !options.head {
            self.count(at);
        }
        self.behave().await?;
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.count(at);
        self.behave().await?;
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
