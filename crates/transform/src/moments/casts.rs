//! A number is no day, and a number without a unit is no span of time. The engine (`DataFusion` 55) makes days since 1970 of the
//! one and months of the other, wherever they stand beside a day or a moment: `day = 5` then finds nothing, in silence.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Result,
        config::ConfigOptions,
        plan_err,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan,
        expr::{Cast, TryCast},
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

/// Refuses such casts, the SQL's own and those that the engine makes of comparisons.
#[derive(Debug)]
pub(crate) struct PlainCasts;

impl AnalyzerRule for PlainCasts {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.apply_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            node.apply_expressions(|expr| {
                expr.apply(|expr| {
                    if let Expr::Cast(Cast { expr, field })
                    | Expr::TryCast(TryCast { expr, field }) = expr
                    {
                        let given = expr.get_type(&schema);
                        let given = given.unwrap_or(DataType::Null);
                        refused(expr, &given, field.data_type())?;
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(plan)
    }

    fn name(&self) -> &'static str {
        "plain_casts"
    }
}

fn refused(expr: &Expr, given: &DataType, to: &DataType) -> Result<()> {
    match to {
        DataType::Date32 | DataType::Date64 if given.is_integer() => plan_err!(
            "an integer is no date, and here it stands beside one or is cast to one: write DATE '2026-01-31', or DATE '1970-01-01' + n for n days"
        ),
        DataType::Interval(_) if is_bare_number(expr) => {
            plan_err!("an interval has a unit: write INTERVAL '15 minutes'")
        }
        _ => Ok(()),
    }
}

/// A text of digits alone.
fn is_bare_number(expr: &Expr) -> bool {
    let Expr::Literal(value, _) = expr else {
        return false;
    };
    let text = value.try_as_str().flatten();
    text.is_some_and(|text| text.trim().parse::<f64>().is_ok())
}
