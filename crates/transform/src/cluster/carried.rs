//! Errors of workers, on their way to the caller.
//!
//! The transport keeps the engine's own errors and makes texts of all others, so that ours would lose their kind. A worker
//! therefore finds out what an error is, where it still is what it was, and sends kind and message as the text of one of the
//! engine's errors. What the SQL computes wrongly stays an error of the engine: the coordinator has the plan that it is found in.

use std::{error::Error as StdError, fmt, sync::Arc};

use arrow_flight::error::FlightError;
use datafusion::{
    common::{DataFusionError, Result, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PhysicalExpr,
        PlanProperties, ReplaceChildrenOptions, metrics::MetricsSet, repartition::RepartitionExec,
        stream::RecordBatchStreamAdapter,
    },
};
use datafusion_distributed::BroadcastExec;
use futures::TryStreamExt;
use object_store::Error as StoreError;
use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

use crate::{Error, ErrorKind, error::of_a_file_or_limit};

/// Before the text of an error that is carried.
const MARK: &str = "flowlake-error:";

const KINDS: [ErrorKind; 23] = [
    ErrorKind::InvalidSpec,
    ErrorKind::InvalidParamSpec,
    ErrorKind::UndeclaredParam,
    ErrorKind::InvalidSql,
    ErrorKind::NotAllowed,
    ErrorKind::NotAQuery,
    ErrorKind::UnknownColumn,
    ErrorKind::UnknownTable,
    ErrorKind::InvalidParam,
    ErrorKind::MalformedData,
    ErrorKind::NotComputable,
    ErrorKind::NoMatchingFiles,
    ErrorKind::Store,
    ErrorKind::MemoryLimit,
    ErrorKind::Timeout,
    ErrorKind::OutputLimit,
    ErrorKind::ScanLimit,
    ErrorKind::UnsafeInteger,
    ErrorKind::WorkerLost,
    ErrorKind::WorkerRefused,
    ErrorKind::WorkerBusy,
    ErrorKind::FilesDivided,
    ErrorKind::Internal,
];

const RECOMPUTE: ReplaceChildrenOptions =
    ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);

#[derive(Serialize, Deserialize)]
struct Carried {
    kind: String,
    message: String,
    /// What a store has failed with, where a caller acts on it.
    store: Option<StoreFault>,
}

/// A fault of a store, and the file.
#[derive(Serialize, Deserialize)]
enum StoreFault {
    Missing(String),
    Denied(String),
    Changed(String),
}

impl StoreFault {
    fn of(error: &DataFusionError) -> Option<Self> {
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = next {
            match error.downcast_ref::<StoreError>() {
                Some(StoreError::NotFound { path, .. }) => {
                    return Some(Self::Missing(path.clone()));
                }
                Some(StoreError::PermissionDenied { path, .. }) => {
                    return Some(Self::Denied(path.clone()));
                }
                Some(StoreError::Precondition { path, .. }) => {
                    return Some(Self::Changed(path.clone()));
                }
                _ => next = error.source(),
            }
        }
        None
    }

    fn into_error(self) -> StoreError {
        let source = "reported by the store of a worker".into();
        match self {
            Self::Missing(path) => StoreError::NotFound { path, source },
            Self::Denied(path) => StoreError::PermissionDenied { path, source },
            Self::Changed(path) => StoreError::Precondition { path, source },
        }
    }
}

/// An error as a worker sends it.
pub(super) fn carried(error: DataFusionError) -> DataFusionError {
    if arrived_as_text(&error).is_some() {
        return error;
    }
    let Some(found) = of_a_worker(&error).or_else(|| of_a_file_or_limit(&error)) else {
        return error;
    };
    let carried = Carried {
        kind: format!("{:?}", found.kind()),
        message: found.to_string(),
        store: StoreFault::of(&error),
    };
    match serde_json::to_string(&carried) {
        Ok(text) => DataFusionError::Execution(format!("{MARK}{text}")),
        Err(_) => error,
    }
}

/// The error of a worker, where that is what the engine failed with.
pub(crate) fn arrived(error: &DataFusionError) -> Option<Error> {
    arrived_as_text(error).or_else(|| of_a_worker(error))
}

fn arrived_as_text(error: &DataFusionError) -> Option<Error> {
    let DataFusionError::Execution(text) = error.find_root() else {
        return None;
    };
    let carried: Carried = serde_json::from_str(text.strip_prefix(MARK)?).ok()?;
    let mut kinds = KINDS.into_iter();
    let kind = kinds.find(|kind| format!("{kind:?}") == carried.kind);
    let found = Error::new(kind.unwrap_or(ErrorKind::Internal), carried.message);
    Some(match carried.store {
        Some(fault) => found.with_source(fault.into_error()),
        None => found,
    })
}

/// What a worker that cannot be talked to is to the caller.
fn of_a_worker(error: &DataFusionError) -> Option<Error> {
    if let DataFusionError::Execution(text) = error.find_root()
        && text.contains("Worker::execute_task timed-out")
    {
        return Some(lost("a worker did not get its part of the plan"));
    }
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(status) = error.downcast_ref::<Status>() {
            return Some(of_status(status));
        }
        match error.downcast_ref::<FlightError>() {
            Some(FlightError::Tonic(status)) => return Some(of_status(status)),
            Some(_) => return Some(lost("a worker answered with what is no batch of rows")),
            None => {}
        }
        next = error.source();
    }
    None
}

pub(super) fn of_status(status: &Status) -> Error {
    match status.code() {
        Code::Unauthenticated => Error::new(
            ErrorKind::WorkerRefused,
            "a worker does not know the secret of this cluster",
        ),
        Code::FailedPrecondition => {
            Error::new(ErrorKind::WorkerRefused, status.message().to_owned())
        }
        code => lost(format!("a worker was lost: {code}")),
    }
}

pub(super) fn lost(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::WorkerLost, message)
}

/// The plan of a task, whose errors are carried. It is seen as the plan inside.
#[derive(Debug)]
pub(super) struct Carrying(Arc<dyn ExecutionPlan>);

impl Carrying {
    /// The plan of a task. What divides its rows among other tasks stays outermost: a worker takes it off and puts it on again.
    pub(super) fn within(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        if !plan.is::<RepartitionExec>() && !plan.is::<BroadcastExec>() {
            return Ok(Self::around(plan));
        }
        let inputs = plan.children().into_iter().map(Arc::clone);
        let inputs = inputs.map(Self::around).collect();
        plan.replace_children(inputs, RECOMPUTE)
    }

    fn around(plan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self(plan))
    }
}

impl DisplayAs for Carrying {
    fn fmt_as(&self, kind: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_as(kind, formatter)
    }
}

impl ExecutionPlan for Carrying {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn downcast_delegate(&self) -> Option<&dyn ExecutionPlan> {
        Some(self.0.as_ref())
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.0.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.0.children()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(visit)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = Arc::clone(&self.0).replace_children(children, RECOMPUTE)?;
        Ok(Self::around(changed))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let rows = self.0.execute(partition, context).map_err(carried)?;
        let schema = rows.schema();
        let rows = rows.map_err(carried);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        self.0.metrics()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::common::DataFusionError;

    use super::{KINDS, arrived, carried};
    use crate::{Error, ErrorKind};

    #[test]
    fn an_error_of_a_worker_keeps_its_kind_and_its_words() {
        for kind in KINDS {
            let sent = DataFusionError::External(Box::new(Error::new(kind, "calls.csv: line 7")));
            let DataFusionError::Execution(text) = carried(carried(sent)) else {
                panic!("{kind:?} is not carried");
            };
            let found = arrived(&DataFusionError::Execution(text)).unwrap();
            assert_eq!(found.kind(), kind);
            assert_eq!(found.to_string(), "calls.csv: line 7");
        }
    }

    #[test]
    fn what_the_sql_computes_wrongly_stays_an_error_of_the_engine() {
        let error = DataFusionError::Execution("Divide by zero".to_owned());
        assert!(arrived(&carried(error)).is_none());
    }

    #[test]
    fn a_worker_that_cannot_be_talked_to_is_lost_or_refuses() {
        let told = |status| arrived(&DataFusionError::External(Box::new(status))).unwrap();
        assert_eq!(
            told(tonic::Status::unavailable("")).kind(),
            ErrorKind::WorkerLost
        );
        assert_eq!(
            told(tonic::Status::failed_precondition("other build")).kind(),
            ErrorKind::WorkerRefused
        );
    }
}
