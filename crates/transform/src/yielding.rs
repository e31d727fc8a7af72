//! Lets a query end within its time while one operator makes many batches of a few rows.
//!
//! The engine gives its task up between batches that are read, not between those that a join or an unnest makes of one of them:
//! until then neither a time limit nor a cancellation is seen.

use std::sync::Arc;

use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    execution::SessionStateBuilder,
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{ExecutionPlan, coop::CooperativeExec},
};

/// The operators that make many rows of one.
const MULTIPLYING: [&str; 6] = [
    "CrossJoinExec",
    "HashJoinExec",
    "NestedLoopJoinExec",
    "PiecewiseMergeJoinExec",
    "SortMergeJoinExec",
    "UnnestExec",
];

/// Puts the rule behind those of the engine.
pub(crate) fn register(builder: SessionStateBuilder) -> SessionStateBuilder {
    builder.with_physical_optimizer_rule(Arc::new(YieldBehindJoins))
}

#[derive(Debug)]
struct YieldBehindJoins;

impl PhysicalOptimizerRule for YieldBehindJoins {
    fn name(&self) -> &'static str {
        "yield_behind_joins"
    }

    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _options: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wrapped = plan.transform_up(|plan| {
            Ok(if MULTIPLYING.contains(&plan.name()) {
                Transformed::yes(Arc::new(CooperativeExec::new(plan)))
            } else {
                Transformed::no(plan)
            })
        });
        Ok(wrapped?.data)
    }

    fn schema_check(&self) -> bool {
        true
    }
}
