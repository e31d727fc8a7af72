//! What a scan on a worker did, as the coordinator hears of it.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::scan_store::ScanMeter;

/// What the store of one scan moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreUsage {
    /// GET requests sent.
    pub get_requests: u64,
    /// HEAD requests sent.
    pub head_requests: u64,
    /// Bytes of bodies received.
    pub bytes_received: u64,
    /// Requests that were sent again.
    pub retries: u64,
    /// Answers that asked to slow down.
    pub throttles: u64,
    /// Bytes that a cache on disk had.
    pub bytes_from_disk: u64,
}

/// What a store moved so far.
pub(super) type Usage = Arc<dyn Fn() -> StoreUsage + Send + Sync>;

/// What one scan did in one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Report {
    pub(super) bucket: String,
    pub(super) bytes_scanned: u64,
    pub(super) skipped_rows: u64,
    pub(super) nulled_values: u64,
    pub(super) unlisted: BTreeMap<String, Arc<str>>,
    /// Declared columns by their tables, and whether files have them.
    pub(super) declared: Vec<(Arc<str>, String, bool)>,
    pub(super) usage: StoreUsage,
    /// Parts of files that were found to end with a record.
    pub(super) parts_proved: u64,
}

impl StoreUsage {
    pub(super) fn add(&mut self, other: &Self) {
        self.get_requests += other.get_requests;
        self.head_requests += other.head_requests;
        self.bytes_received += other.bytes_received;
        self.retries += other.retries;
        self.throttles += other.throttles;
        self.bytes_from_disk += other.bytes_from_disk;
    }
}

impl Report {
    pub(super) fn of(bucket: &str, meter: &ScanMeter, usage: StoreUsage) -> Self {
        let misfits = meter.misfits();
        Self {
            bucket: bucket.to_owned(),
            bytes_scanned: meter.taken(),
            skipped_rows: misfits.skipped_rows(),
            nulled_values: misfits.nulled_values(),
            unlisted: misfits.unlisted(),
            declared: {
                let declared = misfits.declared().into_iter();
                let declared = declared.map(|((table, name), is_there)| (table, name, is_there));
                declared.collect()
            },
            usage,
            parts_proved: meter.parts_proved(),
        }
    }
}
