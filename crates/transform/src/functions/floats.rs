//! Brings the floats that expressions compute to the form that columns are read in: see [`crate::formats::floats`].

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, Result, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator,
        expr::{AggregateFunction, BinaryExpr, Cast, TryCast},
    },
    optimizer::AnalyzerRule,
};

use crate::{
    formats::floats::plain,
    marked::{Mark, marked, unmarked},
    named,
};

/// Brings what expressions compute to its one form. Works on plans whose types agree.
#[derive(Debug)]
pub(crate) struct PlainFloats;

impl AnalyzerRule for PlainFloats {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        named::everywhere(plan, brought)
    }

    fn name(&self) -> &'static str {
        "plain_floats"
    }
}

fn brought(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    if let Expr::Literal(value, metadata) = &expr {
        return Ok(match value.data_type().is_floating() {
            true => {
                let plain = ScalarValue::try_from_array(&plain(&value.to_array()?), 0)?;
                Transformed::yes(Expr::Literal(plain, metadata.clone()))
            }
            false => Transformed::no(expr),
        });
    }
    let is_float = |expr: &Expr| {
        let kind = expr.get_type(schema);
        kind.is_ok_and(|kind| kind.is_floating())
    };
    // Only what is computed last is looked at: what is computed of it on the way has no other use.
    let inner = match &expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => is_arithmetic(*op),
        Expr::Negative(_) => true,
        Expr::AggregateFunction(AggregateFunction { func, .. }) => {
            ["sum", "avg"].contains(&func.name())
        }
        _ => false,
    };
    let expr = if inner {
        expr.map_children(|child| Ok(unmarked::<PlainFloat>(child)))?
    } else {
        Transformed::no(expr)
    };
    let is_computed = match &expr.data {
        Expr::BinaryExpr(BinaryExpr { op, .. }) => is_arithmetic(*op),
        Expr::Negative(_) => true,
        // Functions of tables in memory and of files give columns that are in order.
        Expr::ScalarFunction(_) => true,
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field }) => {
            let given = expr.get_type(schema).unwrap_or(DataType::Null);
            let narrower = given.is_floating() && given.size() > field.data_type().size();
            given.is_string() || narrower
        }
        _ => false,
    };
    if !is_computed || !is_float(&expr.data) {
        return Ok(expr);
    }
    Ok(Transformed::yes(marked::<PlainFloat>(expr.data)))
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(
        op,
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo
    )
}

/// What [`PlainFloats`] puts around expressions.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PlainFloat;

impl Mark for PlainFloat {
    const NAME: &'static str = "plain_float";

    fn apply(value: ColumnarValue) -> Result<ColumnarValue> {
        Ok(match value {
            ColumnarValue::Array(found) => ColumnarValue::Array(plain(&found)),
            ColumnarValue::Scalar(found) => {
                let found = plain(&found.to_array()?);
                ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?)
            }
        })
    }
}
