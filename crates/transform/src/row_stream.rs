//! Rows as they come, within the run's limits.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    execution::SendableRecordBatchStream,
    physical_plan::{ExecutionPlan, metrics::MetricValue},
};
use futures::{FutureExt, Stream, StreamExt};
use serde::Serialize;
use tokio::time::Sleep;

#[cfg(feature = "cluster")]
use crate::cluster::Settled;
use crate::{
    Error, ErrorKind, Limits, Problems, Step, TableInfo, Written, asked_plan::AskedPlan,
    explain::steps::done, scan_store::ScanMeter, sizes::array_bytes, stop::StopSwitch,
};

/// The rows of one run. Dropping it stops the run and frees what it holds.
pub struct RowStream {
    rows: SendableRecordBatchStream,
    /// What is run, to tell why it failed.
    asked: AskedPlan,
    plan: Arc<dyn ExecutionPlan>,
    meter: Arc<ScanMeter>,
    stop: StopSwitch,
    deadline: Pin<Box<Sleep>>,
    timeout: Duration,
    admission: Admission,
    ended: bool,
    tables: Vec<TableInfo>,
    #[cfg(feature = "cluster")]
    settled: Option<Arc<Settled>>,
}

/// A look at a run while it goes on. It holds the run's plan.
#[derive(Debug, Clone)]
pub struct RunProbe {
    plan: Arc<dyn ExecutionPlan>,
    meter: Arc<ScanMeter>,
}

impl RunProbe {
    /// Bytes that the engine has taken from the stores.
    #[must_use]
    pub fn bytes_scanned(&self) -> u64 {
        self.meter.taken()
    }

    /// Rows that the files have given to the query.
    #[must_use]
    pub fn rows_scanned(&self) -> u64 {
        let mut stats = RunStats::default();
        collect(self.plan.as_ref(), &mut stats);
        stats.rows_scanned
    }
}

/// What the limits leave of an answer.
#[derive(Debug)]
pub(crate) struct Admission {
    rows_left: u64,
    bytes_left: u64,
    pub(crate) rows_out: u64,
    pub(crate) truncated: bool,
}

/// What a run did. Complete when its stream has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunStats {
    /// Rows of the answer.
    pub rows_out: u64,
    /// Rows that the files gave to the query, without those that its conditions ruled out before they were decoded.
    pub rows_scanned: u64,
    /// Bytes that the engine took from the stores.
    pub bytes_scanned: u64,
    /// Bytes that were written to disk for lack of memory.
    pub spilled_bytes: u64,
    /// Whether `max_rows` cut rows off.
    pub truncated: bool,
    /// Rows that did not fit and were left out, as the table's `on_error` says.
    pub skipped_rows: u64,
    /// Values that did not fit and were made null, as the table's `on_error` says.
    pub nulled_values: u64,
    /// Columns of files that the SQL cannot see, since no record that columns are found from had them, each with one of the
    /// files. The first ten.
    pub unlisted: BTreeMap<String, Arc<str>>,
    /// Columns that a table declares and that no file has, of those that were read.
    pub absent: BTreeSet<String>,
}

impl RowStream {
    pub(crate) fn new(
        rows: SendableRecordBatchStream,
        asked: AskedPlan,
        plan: Arc<dyn ExecutionPlan>,
        meter: Arc<ScanMeter>,
        stop: StopSwitch,
        limits: &Limits,
    ) -> Self {
        Self {
            rows,
            asked,
            plan,
            meter,
            deadline: Box::pin(tokio::time::sleep(stop.time_left())),
            stop,
            timeout: limits.timeout,
            admission: Admission::new(limits),
            ended: false,
            tables: Vec::new(),
            #[cfg(feature = "cluster")]
            settled: None,
        }
    }

    /// With what workers do.
    #[cfg(feature = "cluster")]
    pub(crate) fn with_settled(mut self, settled: Option<Arc<Settled>>) -> Self {
        self.settled = settled;
        self
    }

    /// The plan with all figures that there are.
    fn plan_so_far(&self) -> &dyn ExecutionPlan {
        #[cfg(feature = "cluster")]
        if let Some(plan) = self.settled.as_ref().and_then(|settled| settled.plan()) {
            return plan.as_ref();
        }
        self.plan.as_ref()
    }

    /// Why the run failed.
    #[cfg_attr(
        not(feature = "cluster"),
        expect(clippy::unused_self, reason = "with workers, there is more to it")
    )]
    fn blamed(&self, error: Error) -> Error {
        #[cfg(feature = "cluster")]
        if let Some(settled) = &self.settled {
            return settled.blamed(error);
        }
        error
    }

    /// Whether there is more to hear of workers though no row more is wanted.
    fn is_settling(&self) -> bool {
        #[cfg(feature = "cluster")]
        let settled = self
            .settled
            .as_ref()
            .is_none_or(|settled| settled.plan().is_some());
        #[cfg(not(feature = "cluster"))]
        let settled = true;
        !settled
    }

    pub(crate) fn with_tables(mut self, tables: Vec<TableInfo>) -> Self {
        self.tables = tables;
        self
    }

    /// What the tables are that are read; none for tables in memory.
    #[must_use]
    pub fn tables(&self) -> &[TableInfo] {
        &self.tables
    }

    /// The columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// What the run did so far.
    #[must_use]
    pub fn stats(&self) -> RunStats {
        let mut stats = RunStats {
            rows_out: self.admission.rows_out,
            bytes_scanned: self.meter.taken(),
            truncated: self.admission.truncated,
            skipped_rows: self.meter.misfits().skipped_rows(),
            nulled_values: self.meter.misfits().nulled_values(),
            unlisted: self.meter.misfits().unlisted(),
            absent: self.meter.misfits().absent(),
            ..RunStats::default()
        };
        collect(self.plan_so_far(), &mut stats);
        stats
    }

    /// For looking at the run from elsewhere.
    #[must_use]
    pub fn probe(&self) -> RunProbe {
        RunProbe {
            plan: Arc::clone(&self.plan),
            meter: Arc::clone(&self.meter),
        }
    }

    /// What did not fit so far, in a run that looks for it; otherwise nothing.
    #[must_use]
    pub fn problems(&self) -> Problems {
        self.meter.misfits().problems()
    }

    /// How the files are written that were opened so far, in a run that looks for what does not fit; otherwise nothing. Parquet says
    /// that by itself.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        self.meter.misfits().written()
    }

    /// What each step of the query did so far.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        done(self.plan_so_far())
    }
}

impl Admission {
    pub(crate) const fn new(limits: &Limits) -> Self {
        Self {
            rows_left: limits.max_rows,
            bytes_left: limits.max_output_bytes.as_u64(),
            rows_out: 0,
            truncated: false,
        }
    }

    /// Cuts a batch to what the limits leave.
    pub(crate) fn admit(&mut self, batch: RecordBatch) -> Result<Option<RecordBatch>, Error> {
        let rows = batch.num_rows() as u64;
        let batch = if rows > self.rows_left {
            self.truncated = true;
            batch.slice(0, usize::try_from(self.rows_left).unwrap_or(usize::MAX))
        } else {
            batch
        };
        let columns = batch.columns().iter();
        let bytes: u64 = columns.map(|column| array_bytes(column.as_ref())).sum();
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(|| {
            Error::new(
                ErrorKind::OutputLimit,
                "the answer is larger than max_output_bytes",
            )
        })?;
        self.rows_left -= batch.num_rows() as u64;
        self.rows_out += batch.num_rows() as u64;
        Ok((batch.num_rows() > 0).then_some(batch))
    }
}

impl Stream for RowStream {
    type Item = Result<RecordBatch, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if this.ended || (this.admission.truncated && !this.is_settling()) {
                return Poll::Ready(None);
            }
            if this.deadline.poll_unpin(context).is_ready() {
                this.ended = true;
                let limit = this.timeout.as_millis();
                return Poll::Ready(Some(Err(Error::new(
                    ErrorKind::Timeout,
                    format!("the query was not done within {limit} ms"),
                ))));
            }
            // The engine is not ours: a panic in it ends this run, not the process, and the run is not polled again.
            let polled = catch_unwind(AssertUnwindSafe(|| this.rows.poll_next_unpin(context)));
            let Ok(polled) = polled else {
                this.ended = true;
                let error = Error::new(
                    ErrorKind::Internal,
                    "the engine failed while it ran the query",
                );
                return Poll::Ready(Some(Err(error)));
            };
            match ready!(polled) {
                None => this.ended = true,
                Some(Err(error)) => {
                    this.ended = true;
                    let error = this.blamed(this.asked.told(error));
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(_more)) if this.admission.truncated => {}
                Some(Ok(batch)) => match this.admission.admit(batch) {
                    Ok(None) => {}
                    Ok(Some(batch)) => return Poll::Ready(Some(Ok(batch))),
                    Err(error) => {
                        this.ended = true;
                        return Poll::Ready(Some(Err(this.blamed(error))));
                    }
                },
            }
        }
    }
}

/// Adds up the metrics of a plan: rows that leave its sources, and bytes that any operator spilled.
fn collect(plan: &dyn ExecutionPlan, stats: &mut RunStats) {
    if let Some(metrics) = plan.metrics() {
        if plan.children().is_empty() {
            stats.rows_scanned += metrics.output_rows().unwrap_or_default() as u64;
        }
        let spilled = metrics.sum(|metric| matches!(metric.value(), MetricValue::SpilledBytes(_)));
        stats.spilled_bytes += spilled.map_or(0, |value| value.as_usize() as u64);
    }
    for child in plan.children() {
        collect(child.as_ref(), stats);
    }
}

impl Drop for RowStream {
    fn drop(&mut self) {
        self.stop.throw();
        #[cfg(feature = "cluster")]
        if let Some(settled) = &self.settled {
            settled.abandon();
        }
    }
}

impl fmt::Debug for RowStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RowStream")
            .field("rows_out", &self.admission.rows_out)
            .field("truncated", &self.admission.truncated)
            .finish_non_exhaustive()
    }
}
