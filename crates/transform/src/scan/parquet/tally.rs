//! Counts the rows that conditions leave out of a file, and those of the groups that were read for it.
//!
//! The engine decodes the columns of a condition first and then, of the rows that are left, all others. A decoder that ends
//! early in either of them would leave rows out without a word.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::{Hash, Hasher},
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use datafusion::{
    arrow::{
        array::{AsArray, RecordBatch},
        datatypes::{FieldRef, Schema},
    },
    common::{DataFusionError, Result},
    datasource::{
        listing::PartitionedFile, physical_plan::ParquetFileReaderFactory,
        table_schema::TableSchema,
    },
    logical_expr::ColumnarValue,
    parquet::{
        arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
        errors::Result as ParquetResult,
        file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData},
    },
    physical_expr::{conjunction, expressions::DynamicFilterTracking, split_conjunction},
    physical_expr_adapter::replace_columns_with_literals,
    physical_optimizer::pruning::FilePruner,
    physical_plan::{
        PhysicalExpr,
        metrics::{Count, ExecutionPlanMetricsSet, MetricValue},
    },
};
use futures::{FutureExt, future::BoxFuture};

/// What was read of one file, and what conditions left out of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    left_out: AtomicU64,
    read: Mutex<Read>,
    /// Why a condition could not be computed. The decoder makes a text of it, as of a fault of the file.
    failure: Mutex<Option<DataFusionError>>,
}

#[derive(Debug, Default)]
struct Read {
    footer: Option<Arc<ParquetMetaData>>,
    /// Chunks and pages.
    data: HashSet<Range<u64>>,
    /// Indexes of pages and Bloom filters.
    others: Vec<Range<u64>>,
}

impl Tally {
    fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> MutexGuard<'_, Option<DataFusionError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The condition, which counts the rows that each of its parts leaves out.
    pub(super) fn counting(
        self: &Arc<Self>,
        condition: &Arc<dyn PhysicalExpr>,
    ) -> Arc<dyn PhysicalExpr> {
        let parts = split_conjunction(condition).into_iter();
        conjunction(parts.map(|part| {
            Arc::new(Counting {
                condition: Arc::clone(part),
                tally: Arc::clone(self),
            }) as _
        }))
    }
}

/// What is needed to judge a [`Tally`] when a file has been read.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) tally: Arc<Tally>,
    pub(super) file: PartitionedFile,
    pub(super) condition: Arc<dyn PhysicalExpr>,
    pub(super) table: TableSchema,
    pub(super) metrics: ExecutionPlanMetricsSet,
    pub(super) partition: usize,
}

impl Judged {
    /// Why a condition could not be computed.
    pub(super) fn failure(&self) -> Option<DataFusionError> {
        self.tally.failure().take()
    }

    /// The rows that had to be decoded and those that were, when these are fewer; `given` is how many came out of the scan.
    pub(super) fn lacking(&self, given: u64) -> Option<(u64, u64)> {
        let found = given + self.tally.left_out.load(Ordering::Relaxed);
        let (promised, by_page) = self.tally.read().promised();
        if found >= promised {
            return None;
        }
        let promised = promised - if by_page { self.pages_left_out() } else { 0 };
        (found < promised && !self.is_ruled_out()).then_some((promised, found))
    }

    /// Rows of pages that were left out by their statistics. The engine has no other word of them than its metrics.
    fn pages_left_out(&self) -> u64 {
        let metrics = self.metrics.clone_inner();
        let file = self.file.object_meta.location.as_ref();
        let own = metrics.iter().filter(|metric| {
            metric.partition() == Some(self.partition)
                && metric.labels().iter().any(|label| label.value() == file)
        });
        own.map(|metric| match metric.value() {
            MetricValue::PruningMetrics {
                name,
                pruning_metrics,
            } if name == "page_index_rows_pruned" => pruning_metrics.pruned() as u64,
            _ => 0,
        })
        .sum()
    }

    /// Whether the scan may have ended early, since a condition that is found while the query runs (the rows that ORDER BY and
    /// LIMIT still want, the keys of a join) leaves the whole file out.
    fn is_ruled_out(&self) -> bool {
        if !DynamicFilterTracking::classify(&self.condition).contains_dynamic_filter() {
            return false;
        }
        let columns = self.table.table_partition_cols().iter();
        let values: HashMap<_, _> = columns
            .map(|column| column.name().as_str())
            .zip(&self.file.partition_values)
            .collect();
        let condition = replace_columns_with_literals(Arc::clone(&self.condition), &values);
        let pruner = condition.ok().and_then(|condition| {
            FilePruner::try_new(
                condition,
                self.table.file_schema(),
                &self.file,
                Count::new(),
            )
        });
        pruner.is_some_and(|mut pruner| pruner.should_prune().unwrap_or(false))
    }
}

impl Read {
    /// Rows of the groups of which a whole column was read, and whether pages may have been left out of them.
    fn promised(&self) -> (u64, bool) {
        let Some(footer) = &self.footer else {
            return (0, false);
        };
        let is_read = |column: &ColumnChunkMetaData| {
            let (start, length) = column.byte_range();
            self.data.contains(&(start..start + length))
        };
        let groups = footer.row_groups().iter();
        let read = groups.filter(|group| group.columns().iter().any(is_read));
        let rows = read.map(RowGroupMetaData::num_rows);
        let rows = rows.map(|rows| u64::try_from(rows).unwrap_or_default());
        (rows.sum(), self.has_read_indexes(footer))
    }

    fn has_read_indexes(&self, footer: &ParquetMetaData) -> bool {
        let columns = footer
            .row_groups()
            .iter()
            .flat_map(RowGroupMetaData::columns);
        let mut indexes = columns.filter_map(ColumnChunkMetaData::column_index_offset);
        footer.column_index().is_some()
            || indexes.any(|offset| {
                let offset = u64::try_from(offset).unwrap_or_default();
                self.others.iter().any(|range| range.contains(&offset))
            })
    }
}

/// A part of a condition. For all that plans with it, it is the condition itself.
#[derive(Debug)]
struct Counting {
    condition: Arc<dyn PhysicalExpr>,
    tally: Arc<Tally>,
}

impl PhysicalExpr for Counting {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let value = self.condition.evaluate(batch).map_err(|error| {
            *self.tally.failure() = Some(error);
            DataFusionError::Execution("a condition cannot be computed".to_owned())
        })?;
        let rows = batch.num_rows();
        let value = value.into_array(rows)?;
        if let Some(kept) = value.as_boolean_opt() {
            let left_out = rows - kept.true_count();
            self.tally
                .left_out
                .fetch_add(left_out as u64, Ordering::Relaxed);
        }
        Ok(ColumnarValue::Array(value))
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.condition.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let condition = children.pop();
        Ok(Arc::new(Self {
            condition: condition.unwrap_or_else(|| Arc::clone(&self.condition)),
            tally: Arc::clone(&self.tally),
        }))
    }

    fn snapshot(&self) -> Result<Option<Arc<dyn PhysicalExpr>>> {
        Ok(Some(Arc::clone(&self.condition)))
    }

    /// A constant is none: it is computed while planning, of no row of the file.
    fn is_volatile_node(&self) -> bool {
        true
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(formatter)
    }
}

impl PartialEq for Counting {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition) && Arc::ptr_eq(&self.tally, &other.tally)
    }
}

impl Eq for Counting {}

impl Hash for Counting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for Counting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(formatter)
    }
}

/// Readers of one file that keep what they read in its tally.
#[derive(Debug)]
pub(super) struct TallyReaders {
    pub(super) inner: Arc<dyn ParquetFileReaderFactory>,
    pub(super) tally: Arc<Tally>,
}

impl ParquetFileReaderFactory for TallyReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        footer_bytes: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let inner = self
            .inner
            .create_reader(partition, file, footer_bytes, metrics)?;
        Ok(Box::new(TallyReader {
            inner,
            tally: Arc::clone(&self.tally),
        }))
    }
}

struct TallyReader {
    inner: Box<dyn AsyncFileReader + Send>,
    tally: Arc<Tally>,
}

impl AsyncFileReader for TallyReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        self.tally.read().others.push(range.clone());
        self.inner.get_bytes(range)
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        self.tally.read().data.extend(ranges.iter().cloned());
        self.inner.get_byte_ranges(ranges)
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let footer = self.inner.get_metadata(options).await?;
            self.tally.read().footer = Some(Arc::clone(&footer));
            Ok(footer)
        }
        .boxed()
    }
}
