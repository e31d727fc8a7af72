//! Comparisons of numbers, where the engine's own rules (`DataFusion` 55) lose digits or errors.

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, cast,
        expr::{Between, BinaryExpr, Case, Cast, InList, TryCast},
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use crate::{
    formats::exact,
    marked::{Mark, marked},
    named,
};

/// A float of 32 bits beside an integer is compared as one of 64. The engine makes the integer a float of 32 bits, which has 24
/// bits for its digits: 16777217 would equal 16777216. Works on plans whose types do not agree yet.
#[derive(Debug)]
pub(crate) struct WideFloats;

/// A cast in a comparison is computed. The engine compares what is cast with a constant of its type instead, and then a value that
/// does not fit is no error, and no null of `TRY_CAST`. Works on plans whose types agree.
#[derive(Debug)]
pub(crate) struct ComputedCasts;

impl AnalyzerRule for WideFloats {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        in_comparisons(plan, |sides, schema| {
            let kinds: Vec<_> = sides.iter().map(|side| side.get_type(schema)).collect();
            let kinds = kinds.iter().map(Result::as_ref);
            let has_integers = kinds.clone().flatten().any(|kind| {
                kind.is_integer() && kind.primitive_width().is_some_and(|bytes| bytes >= 4)
            });
            let is_narrow: Vec<bool> = kinds
                .map(|kind| matches!(kind, Ok(DataType::Float32)))
                .collect();
            if !has_integers || !is_narrow.contains(&true) {
                return Transformed::no(sides);
            }
            let sides = sides.into_iter().zip(is_narrow);
            let wide = sides.map(|(side, is_narrow)| {
                if is_narrow {
                    cast(side, DataType::Float64)
                } else {
                    side
                }
            });
            Transformed::yes(wide.collect())
        })
    }

    fn name(&self) -> &'static str {
        "wide_floats"
    }
}

impl AnalyzerRule for ComputedCasts {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        in_comparisons(plan, |sides, schema| {
            let sides = sides.into_iter().map(|side| computed(side, schema));
            let sides: Vec<_> = sides.collect();
            let changed = sides.iter().any(|side| side.transformed);
            let sides = sides.into_iter().map(|side| side.data).collect();
            Transformed::new(sides, changed, TreeNodeRecursion::Continue)
        })
    }

    fn name(&self) -> &'static str {
        "computed_casts"
    }
}

/// A side of a comparison, whose outermost casts are looked at: those that may fail are computed.
fn computed(side: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let (Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })) = &side else {
        return Transformed::no(side);
    };
    let Ok(from) = expr.get_type(schema) else {
        return Transformed::no(side);
    };
    let to = field.data_type();
    if !from.is_numeric() || !to.is_numeric() || to.is_floating() {
        return Transformed::no(side);
    }
    if exact::is_lossless(&from, &to.clone().into()) {
        // The engine's own, so that types agree.
        let inner = |expr: Expr| Ok(computed(expr, schema));
        let same = side.clone();
        return side
            .map_children(inner)
            .unwrap_or_else(|_| Transformed::no(same));
    }
    Transformed::yes(marked::<Computed>(side))
}

/// The plan with what `change` makes of the sides of each comparison: as many as there were.
fn in_comparisons(
    plan: LogicalPlan,
    change: impl Fn(Vec<Expr>, &DFSchema) -> Transformed<Vec<Expr>>,
) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        named::expressions(node, |expr| {
            expr.transform_up(|expr| {
                Ok(match expr {
                    Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(op) => {
                        change(vec![*left, *right], &schema).update_data(|mut sides| {
                            let right = Box::new(sides.remove(1));
                            let left = Box::new(sides.remove(0));
                            Expr::BinaryExpr(BinaryExpr { left, op, right })
                        })
                    }
                    Expr::Between(Between {
                        expr,
                        negated,
                        low,
                        high,
                    }) => change(vec![*expr, *low, *high], &schema).update_data(|mut sides| {
                        let high = Box::new(sides.remove(2));
                        let low = Box::new(sides.remove(1));
                        let expr = Box::new(sides.remove(0));
                        Expr::Between(Between::new(expr, negated, low, high))
                    }),
                    Expr::InList(InList {
                        expr,
                        mut list,
                        negated,
                    }) => {
                        list.insert(0, *expr);
                        change(list, &schema).update_data(|mut sides| {
                            let expr = Box::new(sides.remove(0));
                            Expr::InList(InList::new(expr, sides, negated))
                        })
                    }
                    Expr::Case(Case {
                        expr: Some(expr),
                        when_then_expr,
                        else_expr,
                    }) => {
                        let (when, then): (Vec<_>, Vec<_>) = when_then_expr.into_iter().unzip();
                        let when = when.into_iter().map(|when| *when);
                        let sides = std::iter::once(*expr).chain(when);
                        change(sides.collect(), &schema).update_data(|mut sides| {
                            let expr = Some(Box::new(sides.remove(0)));
                            let when = sides.into_iter().map(Box::new);
                            let when_then_expr = when.zip(then).collect();
                            Expr::Case(Case::new(expr, when_then_expr, else_expr))
                        })
                    }
                    other => Transformed::no(other),
                })
            })
        })
    })
    .map(|plan| plan.data)
}

/// Whether an operator compares.
pub(crate) fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// What [`ComputedCasts`] puts around casts.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Computed;

impl Mark for Computed {
    const NAME: &'static str = "computed";

    fn apply(value: ColumnarValue) -> Result<ColumnarValue> {
        Ok(value)
    }
}
