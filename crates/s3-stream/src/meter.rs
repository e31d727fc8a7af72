//! What one request moved.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::Serialize;

/// AWS request ids that are kept; a request that makes more keeps the first.
const REQUEST_IDS: usize = 16;

/// Counts requests and bytes of one [`crate::S3Stream`] view.
#[derive(Debug, Default)]
pub struct Meter {
    get: AtomicU64,
    head: AtomicU64,
    list: AtomicU64,
    put: AtomicU64,
    delete: AtomicU64,
    bytes: AtomicU64,
    retries: AtomicU64,
    throttles: AtomicU64,
    cache_hits: AtomicU64,
    from_disk: AtomicU64,
    rest: Mutex<Rest>,
}

#[derive(Debug, Default)]
struct Rest {
    first_byte: Option<Duration>,
    request_ids: Vec<String>,
}

/// A [`Meter`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MeterSnapshot {
    /// GET requests sent, retries included: AWS charges them.
    pub get_requests: u64,
    /// HEAD requests sent.
    pub head_requests: u64,
    /// LIST requests sent.
    pub list_requests: u64,
    /// PUT, COPY and POST requests sent.
    pub put_requests: u64,
    /// DELETE requests sent; they are free.
    pub delete_requests: u64,
    /// Bytes of bodies received, also of bodies that broke off.
    pub bytes_received: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Answers that asked to slow down.
    pub throttles: u64,
    /// From the first GET to its first byte.
    pub time_to_first_byte: Option<Duration>,
    /// The first AWS request ids, for AWS support and for S3's own logs.
    pub request_ids: Vec<String>,
    /// Questions for metadata that the cache answered.
    pub metadata_cache_hits: u64,
    /// Bytes that a [`crate::DiskCache`] had, and that S3 was not asked for.
    pub bytes_from_disk: u64,
}

/// Which counter a request goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operation {
    Get,
    Head,
    List,
    Put,
    Delete,
}

impl Meter {
    /// The counts so far.
    #[must_use]
    pub fn snapshot(&self) -> MeterSnapshot {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        MeterSnapshot {
            get_requests: self.get.load(Relaxed),
            head_requests: self.head.load(Relaxed),
            list_requests: self.list.load(Relaxed),
            put_requests: self.put.load(Relaxed),
            delete_requests: self.delete.load(Relaxed),
            bytes_received: self.bytes.load(Relaxed),
            retries: self.retries.load(Relaxed),
            throttles: self.throttles.load(Relaxed),
            time_to_first_byte: rest.first_byte,
            request_ids: rest.request_ids.clone(),
            metadata_cache_hits: self.cache_hits.load(Relaxed),
            bytes_from_disk: self.from_disk.load(Relaxed),
        }
    }

    pub(crate) fn sent(&self, operation: Operation) {
        let counter = match operation {
            Operation::Get => &self.get,
            Operation::Head => &self.head,
            Operation::List => &self.list,
            Operation::Put => &self.put,
            Operation::Delete => &self.delete,
        };
        counter.fetch_add(1, Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(crate) fn throttled(&self) {
        self.throttles.fetch_add(1, Relaxed);
    }

    pub(crate) fn cache_hit(&self) {
        self.cache_hits.fetch_add(1, Relaxed);
    }

    pub(crate) fn kept(&self, bytes: u64) {
        self.from_disk.fetch_add(bytes, Relaxed);
    }

    pub(crate) fn answered(&self, request_id: Option<&str>, waited: Option<Duration>) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if rest.first_byte.is_none() {
            rest.first_byte = waited;
        }
        if let Some(id) = request_id.filter(|_| rest.request_ids.len() < REQUEST_IDS) {
            rest.request_ids.push(id.to_owned());
        }
    }
}
