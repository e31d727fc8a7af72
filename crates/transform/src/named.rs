//! Rewrites the expressions of a plan's nodes, whose columns keep their names.

use datafusion::{
    common::{
        DFSchema, Result,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{Expr, LogicalPlan, expr_rewriter::NamePreserver, utils::merge_schema},
};

/// The plan with what `rewrite` makes of each part of its expressions, those of subqueries too, from the inside out. It is given
/// the columns that the expression reads.
pub(crate) fn everywhere(
    plan: LogicalPlan,
    mut rewrite: impl FnMut(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        expressions(node, |expr| {
            expr.transform_up(|expr| rewrite(expr, &schema))
        })
    })
    .map(|plan| plan.data)
}

/// The node with what `rewrite` makes of its expressions. An expression that names a column is called afterwards as before.
pub(crate) fn expressions(
    node: LogicalPlan,
    mut rewrite: impl FnMut(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&node);
    node.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = rewrite(expr)?;
        Ok(if rewritten.transformed {
            rewritten.update_data(|expr| name.restore(expr))
        } else {
            rewritten
        })
    })
}
