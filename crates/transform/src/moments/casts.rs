//! A number is no day, a number without a unit is no span of time, and a moment of UTC is none of another clock. The engine
//! (`DataFusion` 55) makes days since 1970 of the first and months of the second, wherever they stand beside a day or a moment:
//! `day = 5` then finds nothing, in silence. Of the third, AT TIME ZONE makes a moment of the zone's clock.

use datafusion::{
    arrow::{array::timezone::Tz, datatypes::DataType},
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
        DataType::Timestamp(_, Some(zone))
            if !is_utc(zone)
                && zone.parse::<Tz>().is_ok()
                && matches!(
                    given,
                    DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, None)
                ) =>
        {
            plan_err!(
                "AT TIME ZONE of a moment without a zone would take its clock for that of {zone}, and here such a moment is one of UTC: write local_time(moment, '{zone}') for the clock there, or from_local_time(moment, '{zone}') when the moment is of that clock"
            )
        }
        DataType::Interval(_) if is_bare_number(expr) => {
            plan_err!("an interval has a unit: write INTERVAL '15 minutes'")
        }
        _ => Ok(()),
    }
}

fn is_utc(zone: &str) -> bool {
    ["utc", "z", "etc/utc", "+00:00", "+00", "+0000"].contains(&zone.to_lowercase().as_str())
}

/// A text of digits alone.
fn is_bare_number(expr: &Expr) -> bool {
    let Expr::Literal(value, _) = expr else {
        return false;
    };
    let text = value.try_as_str().flatten();
    text.is_some_and(|text| text.trim().parse::<f64>().is_ok())
}
