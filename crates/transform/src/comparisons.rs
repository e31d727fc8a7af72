//! Comparisons of numbers, where the engine's own rules (`DataFusion` 55) lose digits or errors.

use datafusion::{
    arrow::datatypes::DataType,
    common::{DFSchema, Result, config::ConfigOptions, tree_node::Transformed},
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, cast,
        expr::{Between, BinaryExpr, Case, Cast, InList, TryCast},
    },
    optimizer::AnalyzerRule,
};

use crate::{
    formats::exact,
    marked::{Mark, marked},
    named,
};

/// Functions that give one of their arguments.
const CHOOSING: [&str; 6] = ["coalesce", "greatest", "ifnull", "least", "nullif", "nvl"];

/// A float of 32 bits beside an integer is compared as one of 64. The engine makes the integer a float of 32 bits, which has 24
/// bits for its digits: 16777217 would equal 16777216. Works on plans whose types do not agree yet.
#[derive(Debug)]
pub(crate) struct WideFloats;

/// A cast in a comparison is computed. The engine compares what is cast with a constant of its type instead, and then a value that
/// does not fit is no error, and no null of `TRY_CAST`. Works on plans whose types agree.
#[derive(Debug)]
pub(crate) struct ComputedCasts;

/// Expressions that the engine brings to one type.
pub(crate) struct Sides<'e> {
    pub(crate) exprs: Vec<&'e mut Expr>,
    pub(crate) of: SidesOf,
}

/// Why expressions are brought to one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SidesOf {
    /// They are compared.
    Comparison,
    /// A function gives one of them.
    Function,
    /// They are the results of a CASE.
    Case,
}

/// What an expression compares, and what it gives one of. This is the only list of such expressions; those with a subquery are
/// not among them.
pub(crate) fn sides(expr: &mut Expr) -> Vec<Sides<'_>> {
    let one = |exprs: Vec<_>| {
        vec![Sides {
            exprs,
            of: SidesOf::Comparison,
        }]
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            one(vec![left, right])
        }
        Expr::Between(Between {
            expr, low, high, ..
        }) => one(vec![expr, low, high]),
        Expr::InList(InList { expr, list, .. }) => {
            one(std::iter::once(expr.as_mut()).chain(list).collect())
        }
        Expr::Case(Case {
            expr,
            when_then_expr,
            else_expr,
        }) => {
            let is_compared = expr.is_some();
            let mut compared: Vec<&mut Expr> = expr.iter_mut().map(AsMut::as_mut).collect();
            let mut results = Vec::new();
            for (when, then) in when_then_expr {
                if is_compared {
                    compared.push(when);
                }
                results.push(then.as_mut());
            }
            results.extend(else_expr.iter_mut().map(AsMut::as_mut));
            let mut all = one(compared);
            all.push(Sides {
                exprs: results,
                of: SidesOf::Case,
            });
            all
        }
        Expr::ScalarFunction(call) if CHOOSING.contains(&call.func.name()) => vec![Sides {
            exprs: call.args.iter_mut().collect(),
            of: SidesOf::Function,
        }],
        _ => Vec::new(),
    }
}

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
            let narrow = sides.into_iter().zip(is_narrow);
            let narrow = narrow.filter(|(_, is_narrow)| has_integers && *is_narrow);
            narrow.fold(false, |_, (side, _)| {
                *side = cast(std::mem::take(side), DataType::Float64);
                true
            })
        })
    }

    fn name(&self) -> &'static str {
        "wide_floats"
    }
}

impl AnalyzerRule for ComputedCasts {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        in_comparisons(plan, |sides, schema| {
            let sides = sides.into_iter();
            sides.fold(false, |changed, side| compute(side, schema) | changed)
        })
    }

    fn name(&self) -> &'static str {
        "computed_casts"
    }
}

/// Looks at the outermost casts of a side of a comparison: those that may fail are computed. Returns whether there are any.
fn compute(side: &mut Expr, schema: &DFSchema) -> bool {
    let (Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })) = side else {
        return false;
    };
    let Ok(from) = expr.get_type(schema) else {
        return false;
    };
    let to = field.data_type();
    if !from.is_numeric() || !to.is_numeric() || to.is_floating() {
        return false;
    }
    if exact::is_lossless(&from, &to.clone().into()) {
        // The engine's own, so that types agree.
        return compute(expr, schema);
    }
    *side = marked::<Computed>(std::mem::take(side));
    true
}

/// The plan after `change` of the sides of each comparison, which says whether it changed one.
fn in_comparisons(
    plan: LogicalPlan,
    change: impl Fn(Vec<&mut Expr>, &DFSchema) -> bool,
) -> Result<LogicalPlan> {
    named::everywhere(plan, |mut expr, schema| {
        let mut changed = false;
        for Sides { exprs, of } in sides(&mut expr) {
            changed |= of == SidesOf::Comparison && change(exprs, schema);
        }
        Ok(Transformed::new_transformed(expr, changed))
    })
}

/// Whether an operator compares.
fn is_comparison(op: Operator) -> bool {
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
