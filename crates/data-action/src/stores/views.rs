//! The views of one attempt: one for each bucket, each with its own meter.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use flowlake_s3_stream::{MeterSnapshot, S3Stream};

/// One view for each bucket.
#[derive(Debug, Default)]
pub(super) struct Views(pub(super) Mutex<BTreeMap<String, S3Stream>>);

impl Views {
    /// What was moved, per bucket.
    pub(super) fn usage(&self) -> Vec<(String, MeterSnapshot)> {
        let views = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = views.iter();
        usage
            .map(|(bucket, view)| (bucket.clone(), view.meter().snapshot()))
            .collect()
    }
}
