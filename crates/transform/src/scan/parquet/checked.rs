//! Rows as the footer promises them.
//!
//! Only a scan without conditions can tell: how many rows a condition leaves is what it is for.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use datafusion::{
    arrow::array::RecordBatch,
    common::{DataFusionError, Result},
    datasource::listing::PartitionedFile,
};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::{
    FutureExt, Stream, StreamExt,
    stream::{self, BoxStream},
};
use object_store::path::Path;

use super::{Seen, adapt::Unfit};
use crate::{Error, ErrorKind};

/// The engine's way through a file, watched.
#[derive(Debug)]
pub(super) struct CheckedMorsels {
    pub(super) inner: Box<dyn Morselizer>,
    pub(super) seen: Arc<Seen>,
    /// Whether conditions leave rows out.
    pub(super) is_filtered: bool,
    /// Rows after which the engine stops reading a file.
    pub(super) limit: Option<usize>,
}

/// One file, or one range of it.
#[derive(Debug, Clone)]
struct Watched {
    file: Path,
    /// How many rows it has to give, when that is known.
    rows: Option<u64>,
}

impl Morselizer for CheckedMorsels {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let promised = (!self.is_filtered)
            .then(|| self.seen.promised(&file))
            .flatten();
        let watched = Watched {
            file: file.object_meta.location.clone(),
            rows: promised.map(|rows| match self.limit {
                Some(limit) => rows.min(limit as u64),
                None => rows,
            }),
        };
        let inner = caught(&watched.file, || self.inner.plan_file(file))?;
        Ok(Box::new(CheckedPlanner { inner, watched }))
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
                Some(Err(error)) => Some((Err(of_file(&watched.file, error)), None)),
                None => match watched.rows {
                    Some(promised) if count < promised => {
                        let error = Error::new(
                            ErrorKind::MalformedData,
                            format!(
                                "{}: its footer promises {promised} rows and {count} can be read",
                                watched.file
                            ),
                        );
                        Some((Err(DataFusionError::External(Box::new(error))), None))
                    }
                    _ => None,
                },
            }
        }
    })
}

fn malformed(file: &Path) -> DataFusionError {
    DataFusionError::External(Box::new(Error::new(
        ErrorKind::MalformedData,
        format!("{file} is not valid Parquet, or is cut off"),
    )))
}

/// The decoder of Parquet 59 takes lengths in a file at their word, and panics where they are wrong.
fn caught<T>(file: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let done = catch_unwind(AssertUnwindSafe(work));
    let done = done.unwrap_or_else(|_panic| Err(malformed(file)));
    done.map_err(|error| of_file(file, error))
}

/// An error of a value that does not fit, with the name of the file.
fn of_file(file: &Path, error: DataFusionError) -> DataFusionError {
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
