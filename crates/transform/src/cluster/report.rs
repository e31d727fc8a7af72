//! What a scan on a worker did, on its way back to the coordinator: as a label of a metric of the scan, since the metrics of a
//! task are what a worker sends when the task has ended.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use datafusion::physical_plan::{
    ExecutionPlan,
    metrics::{Count, Label, Metric, MetricValue, MetricsSet},
};
use serde::{Deserialize, Serialize};

use crate::scan_store::ScanMeter;

/// The metric and its label.
const NAME: &str = "flowlake_report";

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
    fn add(&mut self, other: &Self) {
        self.get_requests += other.get_requests;
        self.head_requests += other.head_requests;
        self.bytes_received += other.bytes_received;
        self.retries += other.retries;
        self.throttles += other.throttles;
        self.bytes_from_disk += other.bytes_from_disk;
    }
}

/// What the stores of all workers moved, by bucket.
#[derive(Debug, Default)]
pub(crate) struct Usages(Mutex<BTreeMap<String, StoreUsage>>);

impl Usages {
    pub(super) fn add(&self, report: &Report) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = all.entry(report.bucket.clone()).or_default();
        bucket.add(&report.usage);
    }

    pub(crate) fn all(&self) -> BTreeMap<String, StoreUsage> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
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

    /// Puts it among the metrics of the scan.
    pub(super) fn into_metrics(self, metrics: &mut MetricsSet) {
        let Ok(text) = serde_json::to_string(&self) else {
            return;
        };
        let count = Count::new();
        count.add(1);
        let value = MetricValue::Count {
            name: NAME.into(),
            count,
        };
        let labels = vec![Label::new(NAME, text)];
        metrics.push(Arc::new(Metric::new_with_labels(value, None, labels)));
    }

    /// All reports of a plan.
    pub(super) fn all_of(plan: &dyn ExecutionPlan) -> Vec<Self> {
        let mut found = Vec::new();
        let metrics = plan.metrics().unwrap_or_default();
        for metric in metrics.iter() {
            let labels = metric.labels().iter();
            let texts = labels.filter(|label| label.name() == NAME);
            found.extend(texts.filter_map(|label| serde_json::from_str(label.value()).ok()));
        }
        for child in plan.children() {
            found.extend(Self::all_of(child.as_ref()));
        }
        found
    }
}
