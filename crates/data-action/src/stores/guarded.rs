//! The objects of one bucket as an attempt may read them: as long as its limits hold.
//!
//! It sits between the engine and `s3-stream`. What a read of Parquet takes is not known before its footer is: a file with many groups of
//! rows takes a request for each. So the limits that a plan was compared with are looked at again before each request, and whenever
//! workers say what they have moved.

use std::{
    fmt::{self, Debug, Display},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use flowlake_s3_stream::{MeterSnapshot, S3Stream};
use object_store::{
    Error as StoreError, GetOptions, GetResult, ObjectStore, ObjectStoreExt, path::Path,
};

use super::{by_workers::ByWorkers, views::Views};
use crate::{ActionError, read_only::Objects};

/// Ranges that are closer are read together, as `s3-stream` does.
const COALESCE_BYTES: u64 = 1 << 20;

/// Says whether an attempt may send a request more, by what it has moved so far, for each bucket; that request is counted.
pub(crate) type Admit = dyn Fn(&[(String, MeterSnapshot)]) -> Result<(), ActionError> + Send + Sync;

/// The limits of an attempt, over all its buckets.
pub(super) struct Limits {
    admit: Box<Admit>,
    /// GETs that were admitted, which may not be sent yet.
    admitted: AtomicU64,
    views: Arc<Views>,
    workers: Arc<ByWorkers>,
}

impl Limits {
    pub(super) const fn new(admit: Box<Admit>, views: Arc<Views>, workers: Arc<ByWorkers>) -> Self {
        Self {
            admit,
            admitted: AtomicU64::new(0),
            views,
            workers,
        }
    }

    fn admit(&self) -> Result<(), ActionError> {
        let admitted = self.admitted.fetch_add(1, Ordering::Relaxed) + 1;
        let mut usage = self.views.usage();
        let sent: u64 = usage.iter().map(|(_, meter)| meter.get_requests).sum();
        if let Some((_, meter)) = usage.first_mut() {
            meter.get_requests += admitted.saturating_sub(sent).max(1);
        }
        usage.extend(self.workers.usage());
        (self.admit)(&usage)
    }

    /// Whether what was moved so far is within the limits.
    #[cfg(feature = "cluster")]
    pub(super) fn check(&self) -> Result<(), ActionError> {
        let mut usage = self.views.usage();
        usage.extend(self.workers.usage());
        (self.admit)(&usage)
    }
}

impl Debug for Limits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Limits").finish_non_exhaustive()
    }
}

/// A bucket within the limits of an attempt.
pub(super) struct Guarded {
    pub(super) bucket: String,
    pub(super) view: S3Stream,
    pub(super) limits: Arc<Limits>,
}

impl Guarded {
    fn admitted(&self) -> Result<(), StoreError> {
        self.limits.admit().map_err(|error| StoreError::Generic {
            store: "limits",
            source: Box::new(error),
        })
    }
}

#[async_trait]
impl Objects for Guarded {
    async fn object(&self, path: &Path, options: GetOptions) -> Result<GetResult, StoreError> {
        self.admitted()?;
        self.view.get_opts(path, options).await
    }

    async fn ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let one = |range| async move {
            self.admitted()?;
            self.view.get_range(path, range).await
        };
        object_store::coalesce_ranges(ranges, one, COALESCE_BYTES).await
    }
}

impl Debug for Guarded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Guarded")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

impl Display for Guarded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Guarded({})", self.bucket)
    }
}
