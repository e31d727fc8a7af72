//! Moments plus and minus spans of time, to the digit of the span. The engine (`DataFusion` 55) gives the type of the moment: a date
//! and nine hours are the date, and a moment of whole seconds and half a second are the moment.

use datafusion::{
    arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit},
    common::{
        DFSchema, Result, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, Operator, cast, expr::BinaryExpr, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use crate::named;

/// See the module. Works on plans whose types do not agree yet.
#[derive(Debug)]
pub(crate) struct ExactSteps;

impl AnalyzerRule for ExactSteps {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            named::expressions(node, |expr| {
                expr.transform_up(|expr| Ok(exact(expr, &schema)))
            })?
            // A date may have become a moment.
            .map_data(LogicalPlan::recompute_schema)
        })
        .map(|plan| plan.data)
    }

    fn name(&self) -> &'static str {
        "exact_steps"
    }
}

fn exact(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = &mut expr else {
        return Transformed::no(expr);
    };
    let kind = |expr: &Expr| expr.get_type(schema).unwrap_or(DataType::Null);
    let (moment, span) = match (kind(left), op, kind(right)) {
        (_, Operator::Plus | Operator::Minus, DataType::Interval(_)) => (left, right),
        (DataType::Interval(_), Operator::Plus, _) => (right, left),
        _ => return Transformed::no(expr),
    };
    let unit = unit(span);
    let finer = match (kind(moment), unit) {
        (DataType::Date32 | DataType::Date64, Unit::Days) => None,
        (DataType::Date32 | DataType::Date64, Unit::Unknown) => Some((TimeUnit::Microsecond, None)),
        (DataType::Date32 | DataType::Date64, Unit::Part(unit)) => {
            Some((unit.max(TimeUnit::Microsecond), None))
        }
        (DataType::Timestamp(own, zone), Unit::Part(unit)) if own < unit => Some((unit, zone)),
        _ => None,
    };
    match finer {
        None => Transformed::no(expr),
        Some((unit, zone)) => {
            **moment = cast(std::mem::take(moment), DataType::Timestamp(unit, zone));
            Transformed::yes(expr)
        }
    }
}

/// What a span of time is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// Whole months and days.
    Days,
    /// A part of a day, in whole numbers of the unit.
    Part(TimeUnit),
    /// It is no constant.
    Unknown,
}

fn unit(span: &Expr) -> Unit {
    match span {
        Expr::Literal(value, _) if value.is_null() => Unit::Days,
        Expr::Literal(ScalarValue::IntervalYearMonth(_), _) => Unit::Days,
        Expr::Literal(ScalarValue::IntervalDayTime(Some(span)), _) => {
            of(i64::from(span.milliseconds) * 1_000_000)
        }
        Expr::Literal(
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano { nanoseconds, .. })),
            _,
        ) => of(*nanoseconds),
        Expr::Negative(inner) => unit(inner),
        Expr::Alias(alias) => unit(&alias.expr),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Plus | Operator::Minus,
            right,
        }) => match (unit(left), unit(right)) {
            (Unit::Unknown, _) | (_, Unit::Unknown) => Unit::Unknown,
            (Unit::Days, other) | (other, Unit::Days) => other,
            (Unit::Part(left), Unit::Part(right)) => Unit::Part(left.max(right)),
        },
        _ => Unit::Unknown,
    }
}

fn of(nanoseconds: i64) -> Unit {
    if nanoseconds == 0 {
        Unit::Days
    } else if nanoseconds % 1_000_000_000 == 0 {
        Unit::Part(TimeUnit::Second)
    } else if nanoseconds % 1_000_000 == 0 {
        Unit::Part(TimeUnit::Millisecond)
    } else if nanoseconds % 1_000 == 0 {
        Unit::Part(TimeUnit::Microsecond)
    } else {
        Unit::Part(TimeUnit::Nanosecond)
    }
}
