//! Comparisons of spans of time. The engine (`DataFusion` 55) compares months first, then days, then the rest, so that a difference
//! of 30 hours, which has no days, is shorter than INTERVAL '1 day'. Here the lengths are compared.

use datafusion::{
    arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit},
    common::{
        DFSchema, Result, ScalarValue,
        config::ConfigOptions,
        plan_err,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, Operator, cast,
        expr::{BinaryExpr, Cast},
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use crate::{
    comparisons::{Sides, SidesOf, sides},
    named,
};

const DAY_NANOS: i128 = 86_400_000_000_000;

/// See the module. Works on plans whose types agree.
#[derive(Debug)]
pub(crate) struct ComparedSpans;

impl AnalyzerRule for ComparedSpans {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let is_interval = |expr: &Expr| {
                let kind = expr.get_type(&schema);
                kind.is_ok_and(|kind| matches!(kind, DataType::Interval(_)))
            };
            if let LogicalPlan::Sort(sort) = &node
                && sort.expr.iter().any(|by| is_interval(&by.expr))
            {
                return unordered();
            }
            named::expressions(node, |expr| {
                expr.transform_up(|expr| {
                    if is_ordered(&expr, &is_interval) {
                        return unordered();
                    }
                    refuse_parts(&expr, &schema)?;
                    compared(expr, &schema)
                })
            })
        })
        .map(|plan| plan.data)
    }

    fn name(&self) -> &'static str {
        "compared_spans"
    }
}

/// Whether an expression puts values of a kind in an order, or looks for the first or last in it.
fn is_ordered(expr: &Expr, of_kind: &dyn Fn(&Expr) -> bool) -> bool {
    let extreme = |name: &str| ["min", "max", "greatest", "least"].contains(&name);
    match expr {
        Expr::AggregateFunction(call) => {
            let params = &call.params;
            extreme(call.func.name()) && params.args.iter().any(of_kind)
                || params.order_by.iter().any(|by| of_kind(&by.expr))
        }
        Expr::WindowFunction(call) => {
            let params = &call.params;
            extreme(call.fun.name()) && params.args.iter().any(of_kind)
                || params.order_by.iter().any(|by| of_kind(&by.expr))
        }
        Expr::ScalarFunction(call) => extreme(call.func.name()) && call.args.iter().any(of_kind),
        _ => false,
    }
}

/// The engine counts a difference of moments in whole hours, minutes or seconds where others give its part.
fn refuse_parts(expr: &Expr, schema: &DFSchema) -> Result<()> {
    let Expr::ScalarFunction(call) = expr else {
        return Ok(());
    };
    let ("date_part", [Expr::Literal(part, _), of]) = (call.func.name(), call.args.as_slice())
    else {
        return Ok(());
    };
    let part = part.try_as_str().flatten().unwrap_or_default();
    let is_difference = matches!(of.get_type(schema)?, DataType::Duration(_));
    if is_difference && !part.eq_ignore_ascii_case("epoch") {
        return plan_err!(
            "a difference of moments has no parts but its seconds: write date_part('epoch', b - a), and divide it by 60 for minutes"
        );
    }
    Ok(())
}

fn unordered<T>() -> Result<T> {
    plan_err!(
        "intervals have no order, since a month has no fixed length: order by a difference of moments (b - a), or by date_part('epoch', …)"
    )
}

/// The expression with the lengths of the spans that it compares.
fn compared(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_interval = |expr: &Expr| {
        let kind = expr.get_type(schema);
        kind.is_ok_and(|kind| matches!(kind, DataType::Interval(_)))
    };
    if let Expr::ScalarFunction(call) = &expr
        && call.func.name() == "nullif"
        && call.args.iter().any(is_interval)
    {
        return plan_err!(
            "`nullif` does not take spans of time: write CASE WHEN b - a <> INTERVAL '1 hour' THEN b - a END"
        );
    }
    let mut changed = false;
    for Sides { exprs, of } in sides(&mut expr) {
        if of != SidesOf::Comparison || !exprs.iter().any(|side| is_interval(side)) {
            continue;
        }
        let spans: Vec<Expr> = exprs.iter().map(|side| Expr::clone(side)).collect();
        for (side, length) in exprs.into_iter().zip(lengths(&spans, schema)?) {
            *side = length;
        }
        changed = true;
    }
    Ok(Transformed::new_transformed(expr, changed))
}

/// One side of a comparison.
enum Side {
    /// A difference of moments, in this unit.
    Difference(Expr, TimeUnit),
    /// Nanoseconds of a constant; none of a null.
    Length(Option<i128>),
}

/// The sides in one unit: the finest that one of them has.
fn lengths(sides: &[Expr], schema: &DFSchema) -> Result<Vec<Expr>> {
    let sides = sides.iter().map(|expr| side(expr, schema));
    let sides = sides.collect::<Result<Vec<_>>>()?;
    let is_fine = |side: &Side| match side {
        Side::Difference(_, unit) => *unit == TimeUnit::Nanosecond,
        Side::Length(nanos) => nanos.is_some_and(|nanos| nanos % 1_000 != 0),
    };
    let unit = if sides.iter().any(is_fine) {
        TimeUnit::Nanosecond
    } else {
        TimeUnit::Microsecond
    };
    let sides = sides.into_iter().map(|side| match side {
        Side::Difference(expr, own) if own == unit => Ok(expr),
        Side::Difference(expr, _) => Ok(cast(expr, DataType::Duration(unit))),
        Side::Length(nanos) => constant(nanos, unit),
    });
    sides.collect()
}

fn side(expr: &Expr, schema: &DFSchema) -> Result<Side> {
    if let Some(nanos) = length(expr)? {
        return Ok(Side::Length(nanos));
    }
    if let Expr::Cast(Cast { expr, .. }) = expr
        && let DataType::Duration(unit) = expr.get_type(schema)?
    {
        return Ok(Side::Difference(expr.as_ref().clone(), unit));
    }
    plan_err!(
        "a span of time is compared with a constant such as INTERVAL '30 minutes', or as a number: date_part('epoch', b - a) > 60"
    )
}

/// The nanoseconds of a constant interval.
fn length(expr: &Expr) -> Result<Option<Option<i128>>> {
    Ok(match expr {
        Expr::Literal(value, _) if value.is_null() => Some(None),
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => {
            let IntervalMonthDayNano {
                months,
                days,
                nanoseconds,
            } = interval;
            if *months != 0 {
                return plan_err!(
                    "a month has no fixed length: compare a span of time with days or hours, as in INTERVAL '30 days'"
                );
            }
            Some(Some(
                i128::from(*days) * DAY_NANOS + i128::from(*nanoseconds),
            ))
        }
        Expr::Negative(inner) => length(inner)?.map(|nanos| nanos.map(|nanos| -nanos)),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::Plus | Operator::Minus),
            right,
        }) => match (length(left)?, length(right)?) {
            (Some(left), Some(right)) => Some(left.zip(right).map(|(left, right)| {
                if *op == Operator::Plus {
                    left + right
                } else {
                    left - right
                }
            })),
            _ => None,
        },
        _ => None,
    })
}

fn constant(nanos: Option<i128>, unit: TimeUnit) -> Result<Expr> {
    let of_unit = |nanos| match unit {
        TimeUnit::Nanosecond => nanos,
        _ => nanos / 1_000,
    };
    let Ok(count) = nanos.map(of_unit).map(i64::try_from).transpose() else {
        return plan_err!("an interval is longer than spans of time can be");
    };
    let value = match unit {
        TimeUnit::Nanosecond => ScalarValue::DurationNanosecond(count),
        _ => ScalarValue::DurationMicrosecond(count),
    };
    Ok(Expr::Literal(value, None))
}
