//! Brings the floats that expressions compute to the form that columns are read in: see [`crate::formats::floats`].

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::{
        DFSchema, Result, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
        ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        expr::{AggregateFunction, BinaryExpr, Cast, ScalarFunction, TryCast},
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use crate::{formats::floats::plain, named};

/// Brings what expressions compute to its one form. Works on plans whose types agree.
#[derive(Debug)]
pub(crate) struct PlainFloats;

impl AnalyzerRule for PlainFloats {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            named::expressions(node, |expr| {
                expr.transform_up(|expr| brought(expr, &schema))
            })
        })
        .map(|plan| plan.data)
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
        expr.map_children(|child| Ok(bare(child)))?
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
    let func = Arc::new(ScalarUDF::from(PlainFloat::new()));
    let args = vec![expr.data];
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction {
        func,
        args,
    })))
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(
        op,
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo
    )
}

/// The expression without what was put around it.
pub(super) fn bare(expr: Expr) -> Transformed<Expr> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, mut args })
            if func.inner().is::<PlainFloat>() && args.len() == 1 =>
        {
            Transformed::yes(args.remove(0))
        }
        other => Transformed::no(other),
    }
}

/// The function that [`PlainFloats`] puts into plans.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PlainFloat(Signature);

impl PlainFloat {
    fn new() -> Self {
        Self(Signature::any(1, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for PlainFloat {
    fn name(&self) -> &'static str {
        "plain_float"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(given[0].clone())
    }

    fn return_field_from_args(&self, given: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::clone(&given.arg_fields[0]))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(match &call.args[0] {
            ColumnarValue::Array(found) => ColumnarValue::Array(plain(found)),
            ColumnarValue::Scalar(found) => {
                let found = plain(&found.to_array()?);
                ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?)
            }
        })
    }
}
