//! A scan on a worker: ends with its query, and with its query's time.

use std::{
    fmt,
    sync::Arc,
    task::{Poll, ready},
};

use datafusion::{
    arrow::{datatypes::SchemaRef, record_batch::RecordBatch},
    common::{DataFusionError, Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext, runtime_env::RuntimeEnv},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr, PlanProperties,
        metrics::MetricsSet, stream::RecordBatchStreamAdapter,
    },
};
use futures::{FutureExt, Stream, StreamExt, TryFutureExt, TryStreamExt, future, stream};
use object_store::ObjectStore;
use tokio::sync::OnceCell;

use super::{codec::ScanFiles, worker_runs::WorkerRun};
use crate::scan::parquet::ParquetFiles;

/// Footers that are read at the same time.
const FOOTERS_AT_A_TIME: usize = 32;

/// A scan of files.
pub(super) struct WorkerScan {
    pub(super) inner: Arc<dyn ExecutionPlan>,
    pub(super) footers: Option<Footers>,
    pub(super) bucket: String,
    pub(super) run: Arc<WorkerRun>,
}

/// What footers of Parquet files promise has to be known before their rows are read.
#[derive(Clone)]
pub(super) struct Footers(Arc<Inner>);

struct Inner {
    format: Arc<ParquetFiles>,
    files: ScanFiles,
    store: Arc<dyn ObjectStore>,
    columns: SchemaRef,
    read: OnceCell<()>,
}

impl Footers {
    pub(super) fn new(
        format: Arc<ParquetFiles>,
        mut files: ScanFiles,
        store: Arc<dyn ObjectStore>,
        columns: &SchemaRef,
    ) -> Self {
        // Parts of one file have one footer.
        files.sort_by(|a, b| a.location.cmp(&b.location));
        files.dedup_by(|a, b| a.location == b.location);
        Self(Arc::new(Inner {
            format,
            files,
            store,
            columns: Arc::clone(columns),
            read: OnceCell::new(),
        }))
    }

    /// Reads them, once for all partitions.
    async fn read(&self, runtime: &RuntimeEnv) -> Result<()> {
        let Inner {
            format,
            files,
            store,
            columns,
            read,
        } = self.0.as_ref();
        let all = || async {
            let each = stream::iter(files.clone()).map(|file| async move {
                let measured = format.measured(runtime, store, columns, &file);
                measured.await.map(|_found| ())
            });
            let each = each.boxed().buffer_unordered(FOOTERS_AT_A_TIME);
            each.try_collect::<()>().await
        };
        read.get_or_try_init(all).await.map(|_read| ())
    }
}

/// The rows, until the query has ended or its time is up.
fn until_end(
    run: Arc<WorkerRun>,
    rows: impl Stream<Item = Result<RecordBatch>> + Send,
) -> impl Stream<Item = Result<RecordBatch>> + Send {
    let ended = run.ended.clone().cancelled_owned();
    let up = tokio::time::sleep(run.stop.time_left());
    let mut end = Box::pin(future::select(Box::pin(ended), Box::pin(up)));
    let mut reading = Some((Box::pin(rows), run.reading()));
    stream::poll_fn(move |context| {
        let Some((rows, _)) = &mut reading else {
            return Poll::Ready(None);
        };
        let next = if end.poll_unpin(context).is_ready() {
            Some(Err(run.stop.error()))
        } else {
            ready!(rows.poll_next_unpin(context))
        };
        // What reads is dropped at the first error: nothing comes behind it.
        if !matches!(next, Some(Ok(_))) {
            reading = None;
        }
        Poll::Ready(next)
    })
}

impl ExecutionPlan for WorkerScan {
    fn name(&self) -> &'static str {
        "WorkerScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(visit)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => Err(DataFusionError::Internal("a scan has no inputs".to_owned())),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let (inner, footers) = (Arc::clone(&self.inner), self.footers.clone());
        let rows = async move {
            if let Some(footers) = footers {
                footers.read(&context.runtime_env()).await?;
            }
            inner.execute(partition, context)
        };
        let rows = until_end(Arc::clone(&self.run), rows.try_flatten_stream());
        let schema = self.inner.schema();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.inner.metrics()
    }
}

impl DisplayAs for WorkerScan {
    fn fmt_as(&self, kind: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_as(kind, formatter)
    }
}

impl fmt::Debug for WorkerScan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("WorkerScan")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}
