//! A read-only wrapper around each store of a run: it gives the files of the run and no others, counts the bytes that the
//! engine takes, and stops at the limit.
//!
//! It sits between the engine and the caller's store. What the caller's store reads ahead is not counted here.

use std::{
    collections::HashSet,
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    Result, path::Path,
};

use crate::formats::misfit::MisfitCounts;

/// Bytes that one run has taken, over all its stores, and how many it may take.
#[derive(Debug, Default)]
pub(crate) struct ScanMeter {
    taken: AtomicU64,
    /// Bytes that workers have taken for the same run.
    #[cfg(feature = "cluster")]
    elsewhere: AtomicU64,
    /// Parts of files that were found to end with a record.
    #[cfg(feature = "cluster")]
    parts_proved: AtomicU64,
    limit: Option<u64>,
    misfits: Arc<MisfitCounts>,
}

/// The limit was reached.
#[derive(Debug)]
pub(crate) struct ScanLimitReached {
    limit: u64,
}

#[derive(Debug)]
pub(crate) struct ScanStore {
    inner: Arc<dyn ObjectStore>,
    meter: Arc<ScanMeter>,
    files: HashSet<Path>,
}

impl ScanMeter {
    pub(crate) fn new(limit: Option<u64>) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// A meter of a run that looks for what does not fit.
    pub(crate) fn with_places(limit: Option<u64>) -> Self {
        Self {
            misfits: Arc::new(MisfitCounts::with_places()),
            ..Self::new(limit)
        }
    }

    /// What was left out or made null on the way from these bytes to rows.
    pub(crate) const fn misfits(&self) -> &Arc<MisfitCounts> {
        &self.misfits
    }

    pub(crate) fn taken(&self) -> u64 {
        let taken = self.taken.load(Ordering::Relaxed);
        #[cfg(feature = "cluster")]
        let taken = taken + self.elsewhere.load(Ordering::Relaxed);
        taken
    }

    /// Whether the number of bytes that may be taken is limited.
    pub(crate) const fn is_limited(&self) -> bool {
        self.limit.is_some()
    }

    /// Bytes that may still be taken.
    pub(crate) fn room(&self) -> u64 {
        let limit = self.limit.unwrap_or(u64::MAX);
        limit.saturating_sub(self.taken())
    }

    fn take(&self, bytes: &Bytes) -> Result<()> {
        self.add(bytes.len() as u64)
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn part_proved(&self) {
        self.parts_proved.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn parts_proved(&self) -> u64 {
        self.parts_proved.load(Ordering::Relaxed)
    }

    /// Notes how many bytes workers have taken so far.
    #[cfg(feature = "cluster")]
    pub(crate) fn set_elsewhere(&self, bytes: u64) -> Result<()> {
        self.elsewhere.store(bytes, Ordering::Relaxed);
        self.check()
    }

    fn add(&self, bytes: u64) -> Result<()> {
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        self.check()
    }

    fn check(&self) -> Result<()> {
        match self.limit {
            Some(limit) if self.taken() > limit => Err(Error::Generic {
                store: "scan limit",
                source: Box::new(ScanLimitReached { limit }),
            }),
            _ => Ok(()),
        }
    }
}

impl ScanStore {
    pub(crate) fn new(
        inner: Arc<dyn ObjectStore>,
        meter: Arc<ScanMeter>,
        files: HashSet<Path>,
    ) -> Self {
        Self {
            inner,
            meter,
            files,
        }
    }

    /// Policy and IAM were asked about the files of the run, and about nothing else.
    fn admit(&self, location: &Path) -> Result<()> {
        if self.files.contains(location) {
            return Ok(());
        }
        Err(Error::NotSupported {
            source: format!("{location} is not one of the files of this run").into(),
        })
    }
}

/// The files of a run are found before the engine is asked.
fn not_listed() -> Error {
    Error::NotSupported {
        source: "list in a store whose files are known".into(),
    }
}

/// The guard lets no write through; this is the second lock on the same door.
fn read_only(operation: &str) -> Error {
    Error::NotSupported {
        source: format!("{operation} in a store that is read").into(),
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for ScanStore {
    async fn put_opts(
        &self,
        _location: &Path,
        _payload: PutPayload,
        _opts: PutOptions,
    ) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.admit(location)?;
        let mut result = self.inner.get_opts(location, options).await?;
        let meter = Arc::clone(&self.meter);
        result.payload = match result.payload {
            GetResultPayload::Stream(stream) => GetResultPayload::Stream(
                stream
                    .and_then(move |bytes| {
                        futures::future::ready(meter.take(&bytes).map(|()| bytes))
                    })
                    .boxed(),
            ),
            // With object_store's feature `fs`, which DataFusion switches on, a payload can also be a file: a local store's.
            other => other,
        };
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.admit(location)?;
        let all = self.inner.get_ranges(location, ranges).await?;
        all.iter().try_for_each(|bytes| self.meter.take(bytes))?;
        Ok(all)
    }

    fn delete_stream(
        &self,
        _locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        futures::stream::once(async { Err(read_only("delete")) }).boxed()
    }

    fn list(&self, _prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::once(async { Err(not_listed()) }).boxed()
    }

    fn list_with_offset(
        &self,
        _prefix: Option<&Path>,
        _offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::once(async { Err(not_listed()) }).boxed()
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> Result<ListResult> {
        Err(not_listed())
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }

    async fn rename_opts(&self, _from: &Path, _to: &Path, _options: RenameOptions) -> Result<()> {
        Err(read_only("rename"))
    }
}

impl fmt::Display for ScanStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ScanStore({})", self.inner)
    }
}

impl fmt::Display for ScanLimitReached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "more than {} bytes would be read", self.limit)
    }
}

impl std::error::Error for ScanLimitReached {}
