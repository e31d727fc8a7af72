//! Stops joins between two batches.
//!
//! A join whose filter lets no row through computes on without giving its thread back (seen with `DataFusion` 55.2's
//! nested-loop join: 8,000,000,000 pairs in one poll), so neither a timer nor dropping the stream would end it. Its filter
//! asks here first, once for each batch of pairs.

use std::{
    error::Error as StdError,
    fmt,
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

#[cfg(feature = "cluster")]
use datafusion::physical_expr_common::physical_expr::proto_encode::PhysicalExprEncodeCtx;
use datafusion::{
    arrow::{
        datatypes::{FieldRef, Schema},
        record_batch::RecordBatch,
    },
    common::{
        DataFusionError, Result,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
    physical_plan::{
        ExecutionPlan,
        joins::{HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, utils::JoinFilter},
    },
};

#[cfg(feature = "cluster")]
use datafusion_proto::protobuf::PhysicalExprNode;

use crate::{Error, ErrorKind};

/// Whether a run is to end. Cheap to clone; clones are one switch.
#[derive(Debug, Clone)]
pub(crate) struct StopSwitch {
    stopped: Arc<AtomicBool>,
    started: Instant,
    limit: Duration,
}

/// The run is to end: its time is up, or nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Stopped {
    limit: Duration,
}

/// An expression that is not evaluated once the switch is thrown.
#[derive(Debug, Clone)]
struct Stoppable {
    inner: Arc<dyn PhysicalExpr>,
    switch: StopSwitch,
}

impl StopSwitch {
    /// A switch that throws itself when `limit` has passed.
    #[expect(
        clippy::disallowed_methods,
        reason = "a limit on the real time that a thread computes, which no test's clock can move"
    )]
    pub(crate) fn after(limit: Duration) -> Self {
        Self {
            stopped: Arc::default(),
            started: Instant::now(),
            limit,
        }
    }

    /// Ends the run as soon as it next asks.
    pub(crate) fn throw(&self) {
        self.stopped.store(true, Relaxed);
    }

    /// Until it throws itself.
    pub(crate) fn time_left(&self) -> Duration {
        self.limit.saturating_sub(self.started.elapsed())
    }

    /// The caller's error when the time is up.
    pub(crate) fn timed_out(&self) -> Error {
        let stopped = Stopped { limit: self.limit };
        Error::new(ErrorKind::Timeout, stopped.to_string())
    }

    /// The engine's error for a run that is to end.
    pub(crate) fn error(&self) -> DataFusionError {
        DataFusionError::External(Box::new(Stopped { limit: self.limit }))
    }

    fn check(&self) -> Result<()> {
        if self.stopped.load(Relaxed) || self.started.elapsed() >= self.limit {
            return Err(self.error());
        }
        Ok(())
    }

    /// The plan, with the filter of each join asking this switch first.
    pub(crate) fn into_joins(self, plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
                && let Some(filter) = join.filter()
            {
                let join = NestedLoopJoinExecBuilder::from(join)
                    .with_filter(Some(self.filter(filter)))
                    .build()?;
                return Ok(Transformed::yes(Arc::new(join) as _));
            }
            if let Some(join) = node.downcast_ref::<HashJoinExec>()
                && let Some(filter) = join.filter()
            {
                let join = join.builder().with_filter(Some(self.filter(filter)));
                return Ok(Transformed::yes(join.build_exec()?));
            }
            Ok(Transformed::no(node))
        })
        .map(|transformed| transformed.data)
    }

    fn filter(&self, filter: &JoinFilter) -> JoinFilter {
        let expression = Stoppable {
            inner: Arc::clone(filter.expression()),
            switch: self.clone(),
        };
        JoinFilter::new(
            Arc::new(expression),
            filter.column_indices().to_vec(),
            Arc::clone(filter.schema()),
        )
    }
}

impl PhysicalExpr for Stoppable {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.switch.check()?;
        self.inner.evaluate(batch)
    }

    fn return_field(&self, input_schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(input_schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.pop().unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Self {
            inner,
            switch: self.switch.clone(),
        }))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(formatter)
    }

    /// Travels without the switch: a worker has its own.
    #[cfg(feature = "cluster")]
    fn try_to_proto(
        &self,
        context: &PhysicalExprEncodeCtx<'_>,
    ) -> Result<Option<PhysicalExprNode>> {
        context.encode_child(&self.inner).map(Some)
    }
}

// Two of them are the same when they compute the same: the switch is no part of the value.
impl PartialEq for Stoppable {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Stoppable {}

impl Hash for Stoppable {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Stoppable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(formatter)
    }
}

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = self.limit.as_millis();
        write!(formatter, "the query was not done within {limit} ms")
    }
}

impl StdError for Stopped {}
