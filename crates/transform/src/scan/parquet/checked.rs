//! Rows as the footer promises them: all of a file, or of the groups that the engine read of it, without those that conditions
//! leave out.

use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use datafusion::{
    arrow::{array::RecordBatch, error::ArrowError},
    common::{DataFusionError, Result},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource},
    },
    parquet::errors::ParquetError,
    physical_plan::PhysicalExpr,
};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::{
    FutureExt, Stream, StreamExt,
    stream::{self, BoxStream},
};
use object_store::{ObjectStore, path::Path};

use super::{
    Seen,
    adapt::Unfit,
    tally::{Judged, Tally, TallyReaders},
};
use crate::{Error, ErrorKind, Format, formats::detect};

/// The engine's way through files without conditions.
#[derive(Debug)]
pub(super) struct CheckedMorsels {
    pub(super) inner: Box<dyn Morselizer>,
    pub(super) seen: Arc<Seen>,
    /// Rows after which the engine stops reading a file.
    pub(super) limit: Option<usize>,
}

/// The engine's way through files of which conditions leave rows out: each file is read with conditions that count.
pub(super) struct FilteredMorsels {
    source: ParquetSource,
    condition: Arc<dyn PhysicalExpr>,
    store: Arc<dyn ObjectStore>,
    /// What the engine takes from the scan, without its files.
    config: FileScanConfig,
    partition: usize,
}

/// One file, or one range of it.
#[derive(Debug, Clone)]
struct Watched {
    file: Path,
    rows: Promised,
    /// Rows after which the engine stops reading a file.
    limit: Option<usize>,
}

/// How many rows a file has to give.
#[derive(Debug, Clone)]
enum Promised {
    Unknown,
    Rows(u64),
    /// As many as the groups have that were read, without those that conditions left out.
    Read(Arc<Judged>),
}

impl Watched {
    /// Why a condition could not be computed, when that is why reading ended.
    fn failure(&self) -> Option<DataFusionError> {
        match &self.rows {
            Promised::Read(judged) => judged.failure(),
            Promised::Unknown | Promised::Rows(_) => None,
        }
    }

    /// The rows that are promised and those that can be read, when these are fewer.
    fn lacking(&self, given: u64) -> Option<(u64, u64)> {
        if self.limit.is_some_and(|limit| given >= limit as u64) {
            return None;
        }
        match &self.rows {
            Promised::Unknown => None,
            Promised::Rows(promised) => (given < *promised).then_some((*promised, given)),
            Promised::Read(judged) => judged.lacking(given),
        }
    }
}

impl Morselizer for CheckedMorsels {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let promised = self.seen.promised(&file);
        let watched = Watched {
            file: file.object_meta.location.clone(),
            rows: promised.map_or(Promised::Unknown, Promised::Rows),
            limit: self.limit,
        };
        let inner = caught(&watched.file, || self.inner.plan_file(file))?;
        Ok(CheckedPlanner::boxed(inner, &watched))
    }
}

impl FilteredMorsels {
    pub(super) fn new(
        source: ParquetSource,
        condition: Arc<dyn PhysicalExpr>,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Self {
        let url = config.object_store_url.clone();
        let config = FileScanConfigBuilder::new(url, Arc::new(source.clone()))
            .with_limit(config.limit)
            .with_preserve_order(config.preserve_order)
            .with_expr_adapter(config.expr_adapter_factory.clone());
        Self {
            source,
            condition,
            store,
            config: config.build(),
            partition,
        }
    }
}

impl fmt::Debug for FilteredMorsels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("FilteredMorsels")
            .field("condition", &self.condition)
            .finish_non_exhaustive()
    }
}

impl Morselizer for FilteredMorsels {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let tally = Arc::<Tally>::default();
        let mut source = self.source.with_predicate(tally.counting(&self.condition));
        if let Some(readers) = self.source.parquet_file_reader_factory() {
            source = source.with_parquet_file_reader_factory(Arc::new(TallyReaders {
                inner: Arc::clone(readers),
                tally: Arc::clone(&tally),
            }));
        }
        let watched = Watched {
            file: file.object_meta.location.clone(),
            rows: Promised::Read(Arc::new(Judged {
                tally,
                file: file.clone(),
                condition: Arc::clone(&self.condition),
                table: self.source.table_schema().clone(),
                metrics: self.source.metrics().clone(),
                partition: self.partition,
            })),
            limit: self.config.limit,
        };
        let inner = caught(&watched.file, || {
            let store = Arc::clone(&self.store);
            let morsels = source.create_morselizer(store, &self.config, self.partition)?;
            morsels.plan_file(file)
        })?;
        Ok(CheckedPlanner::boxed(inner, &watched))
    }
}

#[derive(Debug)]
struct CheckedPlanner {
    inner: Box<dyn MorselPlanner>,
    watched: Watched,
}

impl CheckedPlanner {
    fn boxed(inner: Box<dyn MorselPlanner>, watched: &Watched) -> Box<dyn MorselPlanner> {
        Box::new(Self {
            inner,
            watched: watched.clone(),
        })
    }
}

impl MorselPlanner for CheckedPlanner {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { inner, watched } = *self;
        let Some(mut plan) = caught(&watched.file, || inner.plan())? else {
            return Ok(None);
        };
        let morsels = plan.take_morsels().into_iter();
        let morsels = morsels.map(|inner| {
            let watched = watched.clone();
            Box::new(CheckedMorsel { inner, watched }) as Box<dyn Morsel>
        });
        let planners = plan.take_ready_planners().into_iter();
        let planners = planners.map(|inner| Self::boxed(inner, &watched));
        let mut checked = MorselPlan::new()
            .with_morsels(morsels.collect())
            .with_planners(planners.collect());
        if let Some(pending) = plan.take_pending_planner() {
            checked.set_pending_planner(async move {
                let inner = without_panic(&watched.file, pending.into_future()).await?;
                Ok(Self::boxed(inner, &watched))
            });
        }
        Ok(Some(checked))
    }
}

struct CheckedMorsel {
    inner: Box<dyn Morsel>,
    watched: Watched,
}

impl fmt::Debug for CheckedMorsel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

impl Morsel for CheckedMorsel {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { inner, watched } = *self;
        match caught(&watched.file, || Ok(inner.into_stream())) {
            Ok(rows) => counted(rows, watched).boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }
}

/// The rows, and an error behind them when there are fewer than there must be.
fn counted(
    rows: BoxStream<'static, Result<RecordBatch>>,
    watched: Watched,
) -> impl Stream<Item = Result<RecordBatch>> {
    let file = watched.file.clone();
    let rows = AssertUnwindSafe(rows)
        .catch_unwind()
        .map(move |batch| batch.unwrap_or_else(|_panic| Err(malformed(&file))));
    stream::unfold(Some((rows, 0_u64)), move |state| {
        let watched = watched.clone();
        async move {
            let (mut rows, mut count) = state?;
            match rows.next().await {
                Some(Ok(batch)) => {
                    count += batch.num_rows() as u64;
                    Some((Ok(batch), Some((rows, count))))
                }
                Some(Err(error)) => {
                    let error = watched.failure().unwrap_or(error);
                    Some((Err(of_file(&watched.file, error)), None))
                }
                None => match watched.lacking(count) {
                    Some((promised, count)) => {
                        let error = Error::new(
                            ErrorKind::MalformedData,
                            format!(
                                "{}: its footer promises {promised} rows and {count} can be read",
                                watched.file
                            ),
                        );
                        Some((Err(DataFusionError::External(Box::new(error))), None))
                    }
                    None => None,
                },
            }
        }
    })
}

pub(super) fn malformed(file: &Path) -> DataFusionError {
    let is_named_otherwise = matches!(
        detect::by_name(file.as_ref()),
        (Some(format), _) if format != Format::Parquet
    );
    let fault = if is_named_otherwise {
        "is not valid Parquet, which other files of the table, or its first bytes, say it is"
    } else {
        INVALID
    };
    faulty(file, fault)
}

fn faulty(file: &Path, fault: &str) -> DataFusionError {
    DataFusionError::External(Box::new(Error::new(
        ErrorKind::MalformedData,
        format!("{file} {fault}"),
    )))
}

const INVALID: &str = "is not valid Parquet, or is cut off";

/// What is wrong with a file, by what the decoder says of it.
pub(in crate::scan) fn fault(decoder: &str) -> &'static str {
    if decoder.to_lowercase().contains("utf-8") {
        "holds a text that is not valid UTF-8"
    } else {
        INVALID
    }
}

/// What the decoder says of a file, somewhere below other errors. What came from the store is no word of the decoder.
fn of_decoder(error: &DataFusionError) -> Option<String> {
    let mut next: Option<&(dyn StdError + 'static)> = match error {
        DataFusionError::ParquetError(found) => Some(found.as_ref()),
        DataFusionError::ArrowError(found, _) => Some(found.as_ref()),
        other => Some(other),
    };
    // What is an error of ours has its words already.
    while let Some(error) = next.filter(|error| !error.is::<Error>()) {
        match error.downcast_ref::<ParquetError>() {
            Some(ParquetError::External(_)) | None => {}
            Some(found) => return Some(found.to_string()),
        }
        if let Some(ArrowError::ParquetError(found)) = error.downcast_ref::<ArrowError>() {
            return Some(found.clone());
        }
        next = error.source();
    }
    None
}

/// The decoder of Parquet 59 takes lengths in a file at their word, and panics where they are wrong.
fn caught<T>(file: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    let done = done.unwrap_or_else(|_panic| Err(malformed(file)));
    done.map_err(|error| of_file(file, error))
}

/// An error of a value that does not fit, or of the decoder, with the name of the file.
fn of_file(file: &Path, error: DataFusionError) -> DataFusionError {
    if let Some(decoder) = of_decoder(error.find_root()) {
        return match fault(&decoder) {
            INVALID => malformed(file),
            fault => faulty(file, fault),
        };
    }
    let DataFusionError::External(source) = error.find_root() else {
        return error;
    };
    let Some(unfit) = source.downcast_ref::<Unfit>() else {
        return error;
    };
    let error = Error::new(ErrorKind::MalformedData, format!("{file}: {unfit}"));
    DataFusionError::External(Box::new(error))
}

/// As [`caught`], of a future.
pub(super) async fn without_panic<T>(
    file: &Path,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let done = AssertUnwindSafe(work).catch_unwind().await;
    let done = done.unwrap_or_else(|_panic| Err(malformed(file)));
    done.map_err(|error| of_file(file, error))
}
