//! Rewrites the expressions of a plan's nodes, whose columns keep their names.

use datafusion::{
    common::{Result, tree_node::Transformed},
    logical_expr::{Expr, LogicalPlan, expr_rewriter::NamePreserver},
};

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
