//! Decimals beside numbers with a point, which the engine (`DataFusion` 55) reads as floats. It compares both as decimals of 15 places,
//! where the binary digits of the float show: 98765.43 would not equal itself.
//!
//! A constant is the decimal that its digits say. A decimal beside floats of a file is compared as the nearest float. A quotient of
//! decimals is rounded, and has more places, than the engine's, which is cut off.

use std::{ops::ControlFlow, sync::Arc};

use crate::{
    comparisons::{Sides, sides},
    functions::quotient,
    named,
};
use datafusion::{
    arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DataType},
    common::{
        DFSchema, Result, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, cast,
        expr::{
            AggregateFunction, BinaryExpr, Cast, InSubquery, SetComparison, TryCast, WindowFunction,
        },
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
    sql::sqlparser::ast::{self, VisitorMut},
};

/// Integers beyond it have more digits than a float.
const WHOLE_FLOATS: f64 = 9_007_199_254_740_992.0;
/// Digits of the largest decimal.
const MOST_DIGITS: usize = 38;
/// See the module. Works on plans whose types do not agree yet.
#[derive(Debug)]
pub(crate) struct ExactDecimals;

impl AnalyzerRule for ExactDecimals {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let node =
                named::expressions(node, |expr| expr.transform_up(|expr| exact(expr, &schema)))?;
            node.transform_data(|node| match node {
                LogicalPlan::Join(mut join) => {
                    let mut changed = false;
                    for (left, right) in &mut join.on {
                        changed |= agree(&mut [left, right], &schema);
                    }
                    Ok(Transformed::new_transformed(
                        LogicalPlan::Join(join),
                        changed,
                    ))
                }
                LogicalPlan::Union(mut union) => {
                    let changed = united(&mut union.inputs)?;
                    Ok(Transformed::new_transformed(
                        LogicalPlan::Union(union),
                        changed,
                    ))
                }
                other => Ok(Transformed::no(other)),
            })?
            // What changed below may have changed types.
            .map_data(LogicalPlan::recompute_schema)
        })
        .map(|plan| plan.data)
    }

    fn name(&self) -> &'static str {
        "exact_decimals"
    }
}

fn exact(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mut changed = false;
    for Sides { mut exprs, .. } in sides(&mut expr) {
        changed |= agree(&mut exprs, schema);
    }
    changed |= match &mut expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op:
                op @ (Operator::Plus
                | Operator::Minus
                | Operator::Multiply
                | Operator::Divide
                | Operator::Modulo),
            right,
        }) => {
            let mut sides = [left.as_mut(), right.as_mut()];
            let changed = kinds(&sides, schema).iter().any(DataType::is_decimal)
                && constants(&mut sides, schema);
            match (*op, kinds(&sides, schema).as_slice()) {
                (Operator::Divide, [of, by]) if of.is_decimal() || by.is_decimal() => {
                    match quotient(left, of, right, by) {
                        Some(rounded) => {
                            expr = rounded;
                            true
                        }
                        None => changed,
                    }
                }
                _ => changed,
            }
        }
        Expr::Cast(Cast { expr, field }) | Expr::TryCast(TryCast { expr, field })
            if field.data_type().is_decimal() =>
        {
            match constant(expr) {
                Some(decimal) => {
                    **expr = decimal;
                    true
                }
                None => false,
            }
        }
        Expr::AggregateFunction(AggregateFunction { func, params }) if func.name() == "median" => {
            halves(&mut params.args, schema)
        }
        Expr::WindowFunction(call) if call.fun.name() == "median" => {
            let WindowFunction { params, .. } = call.as_mut();
            halves(&mut params.args, schema)
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. })
        | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            let theirs = subquery.subquery.schema().field(0).data_type().clone();
            let mine = expr.get_type(schema);
            match mine {
                Ok(mine) if mine.is_decimal() && theirs.is_floating() => {
                    as_float(expr);
                    true
                }
                Ok(mine) if mine.is_floating() && theirs.is_decimal() => {
                    if let Some(decimal) = constant(expr) {
                        **expr = decimal;
                    } else {
                        subquery.subquery = Arc::new(with_floats(&subquery.subquery, &[0])?);
                    }
                    true
                }
                _ => false,
            }
        }
        _ => false,
    };
    Ok(Transformed::new_transformed(expr, changed))
}

/// Gives the argument of `median` one more place: the engine cuts it off, and the middle of two values may need it.
fn halves(args: &mut [Expr], schema: &DFSchema) -> bool {
    let [value] = args else {
        return false;
    };
    match value.get_type(schema) {
        Ok(DataType::Decimal128(precision, scale)) => {
            let precision = (precision + 1).min(DECIMAL128_MAX_PRECISION);
            let scale = (scale + 1).min(DECIMAL128_MAX_SCALE);
            *value = cast(
                std::mem::take(value),
                DataType::Decimal128(precision, scale),
            );
            true
        }
        _ => false,
    }
}

/// Makes decimals and floats that are compared, or of which one is chosen, agree. Returns whether something changed.
fn agree(sides: &mut [&mut Expr], schema: &DFSchema) -> bool {
    let kinds = kinds(sides, schema);
    if !kinds.iter().any(DataType::is_floating) {
        return false;
    }
    if kinds.iter().any(DataType::is_decimal) {
        return constants(sides, schema) || {
            for (side, kind) in sides.iter_mut().zip(&kinds) {
                if kind.is_decimal() {
                    as_float(side);
                }
            }
            true
        };
    }
    // A constant that large would cut the digits of integers beside it.
    let is_long = |kind: &DataType| matches!(kind, DataType::Int64 | DataType::UInt64);
    let is_large = |side: &&mut Expr| float(side).is_some_and(|float| float.abs() >= WHOLE_FLOATS);
    kinds.iter().any(is_long) && sides.iter().any(is_large) && constants(sides, schema)
}

/// Makes decimals of the floats, when all of them are constants that a decimal can hold.
fn constants(sides: &mut [&mut Expr], schema: &DFSchema) -> bool {
    let mut decimals = Vec::new();
    for (index, kind) in kinds(sides, schema).iter().enumerate() {
        if kind.is_floating() {
            match constant(sides[index]) {
                Some(decimal) => decimals.push((index, decimal)),
                None => return false,
            }
        }
    }
    let changed = !decimals.is_empty();
    for (index, decimal) in decimals {
        *sides[index] = decimal;
    }
    changed
}

/// The types; of what has none yet, that of nothing.
fn kinds(sides: &[&mut Expr], schema: &DFSchema) -> Vec<DataType> {
    let kinds = sides
        .iter()
        .map(|side| side.get_type(schema).unwrap_or(DataType::Null));
    kinds.collect()
}

fn as_float(expr: &mut Expr) {
    *expr = cast(std::mem::take(expr), DataType::Float64);
}

/// A constant float.
fn float(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Literal(ScalarValue::Float64(value), _) => *value,
        Expr::Negative(inner) => float(inner).map(|value| -value),
        Expr::Alias(alias) => float(&alias.expr),
        _ => None,
    }
}

/// The decimal that the shortest digits of a constant float say: those that were written, up to 15 of them.
fn constant(expr: &Expr) -> Option<Expr> {
    let value = float(expr).filter(|value| value.is_finite())?;
    let Digits { value, places } = Digits::of(&value.to_string())?;
    let precision = value.unsigned_abs().to_string().len().max(places);
    let (precision, places) = (u8::try_from(precision).ok()?, i8::try_from(places).ok()?);
    let decimal = ScalarValue::Decimal128(Some(value), precision, places);
    Some(Expr::Literal(decimal, None))
}

/// Makes the columns of inputs that are decimals here and floats there agree.
fn united(inputs: &mut [Arc<LogicalPlan>]) -> Result<bool> {
    let width = inputs
        .first()
        .map_or(0, |first| first.schema().fields().len());
    let mut changed = false;
    for column in 0..width {
        let kind = |input: &Arc<LogicalPlan>| {
            let fields = input.schema().fields();
            fields
                .get(column)
                .map_or(DataType::Null, |field| field.data_type().clone())
        };
        let kinds: Vec<DataType> = inputs.iter().map(kind).collect();
        if !kinds.iter().any(DataType::is_decimal) || !kinds.iter().any(DataType::is_floating) {
            continue;
        }
        changed = true;
        let decimals = inputs.iter().zip(&kinds).map(|(input, kind)| {
            if kind.is_floating() {
                with_constant(input, column).map(Arc::new)
            } else {
                Some(Arc::clone(input))
            }
        });
        if let Some(decimals) = decimals.collect::<Option<Vec<_>>>() {
            inputs.clone_from_slice(&decimals);
            continue;
        }
        for (input, kind) in inputs.iter_mut().zip(&kinds) {
            if kind.is_decimal() {
                *input = Arc::new(with_floats(input, &[column])?);
            }
        }
    }
    Ok(changed)
}

/// The input with a decimal in place of the constant float that it gives for a column.
fn with_constant(input: &LogicalPlan, column: usize) -> Option<LogicalPlan> {
    let LogicalPlan::Projection(projection) = input else {
        return None;
    };
    let mut exprs = projection.expr.clone();
    let expr = exprs.get_mut(column)?;
    let (qualifier, name) = expr.qualified_name();
    *expr = constant(expr)?.alias_qualified(qualifier, name);
    let input = projection.input.as_ref().clone();
    let plan = LogicalPlanBuilder::from(input).project(exprs).ok()?;
    plan.build().ok()
}

/// The plan with some of its columns as floats.
fn with_floats(plan: &LogicalPlan, columns: &[usize]) -> Result<LogicalPlan> {
    let fields = plan.schema().iter().enumerate();
    let exprs: Vec<Expr> = fields
        .map(|(index, (qualifier, field))| {
            let column = Expr::from((qualifier, field));
            if columns.contains(&index) {
                cast(column, DataType::Float64).alias_qualified(qualifier.cloned(), field.name())
            } else {
                column
            }
        })
        .collect();
    LogicalPlanBuilder::from(plan.clone())
        .project(exprs)?
        .build()
}

/// A number as an integer and the places behind its point.
#[derive(Debug, PartialEq, Eq)]
struct Digits {
    value: i128,
    places: usize,
}

impl Digits {
    /// Reads digits, a point and an exponent; none where a decimal cannot hold them.
    fn of(text: &str) -> Option<Self> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let mut digits = format!("{whole}{fraction}");
        let places = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        if places < 0 {
            let zeros = usize::try_from(-places).ok()?;
            if zeros > MOST_DIGITS {
                return None;
            }
            digits.extend(std::iter::repeat_n('0', zeros));
        }
        let mut places = usize::try_from(places.max(0)).ok()?;
        while places > 0 && digits.ends_with('0') {
            digits.pop();
            places -= 1;
        }
        let value: i128 = match digits.as_str() {
            "" | "-" => 0,
            digits => digits.parse().ok()?,
        };
        let length = value.unsigned_abs().to_string().len();
        (length <= MOST_DIGITS && places <= MOST_DIGITS).then_some(Self { value, places })
    }
}

/// Makes decimals of numbers with more digits than a float keeps.
pub(crate) struct LongNumbers;

impl VisitorMut for LongNumbers {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        if let ast::Expr::Value(value) = expr
            && let ast::Value::Number(text, _) = &value.value
            && text.parse::<i64>().is_err()
            && text.parse::<u64>().is_err()
            && let Ok(float) = text.parse::<f64>()
            && let Some(digits) = Digits::of(text)
            && Digits::of(&float.to_string()).as_ref() != Some(&digits)
        {
            let precision = digits.value.unsigned_abs().to_string().len();
            let precision = precision.max(digits.places) as u64;
            let data_type = ast::DataType::Decimal(ast::ExactNumberInfo::PrecisionAndScale(
                precision,
                digits.places as i64,
            ));
            let mut quoted = value.clone();
            quoted.value = ast::Value::SingleQuotedString(text.clone());
            *expr = ast::Expr::Cast {
                kind: ast::CastKind::Cast,
                expr: Box::new(ast::Expr::Value(quoted)),
                data_type,
                array: false,
                format: None,
            };
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::Digits;

    #[test]
    fn digits_say_what_was_written() {
        let of = |text: &str| Digits::of(text).map(|digits| (digits.value, digits.places));
        assert_eq!(of("98765.43"), Some((9_876_543, 2)));
        assert_eq!(of("12345678.90"), Some((123_456_789, 1)));
        assert_eq!(of("-0.05"), Some((-5, 2)));
        assert_eq!(of("5.5433e2"), Some((55433, 2)));
        assert_eq!(of("1e3"), Some((1000, 0)));
        assert_eq!(of("1e-3"), Some((1, 3)));
        assert_eq!(of(".5"), Some((5, 1)));
        assert_eq!(of("7."), Some((7, 0)));
        assert_eq!(of("0.0"), Some((0, 0)));
        assert_eq!(of("1e38"), None);
        assert_eq!(of("1e99"), None);
        assert_eq!(of("1e-39"), None);
        assert_eq!(
            of("12345678901234567890123456789012345678"),
            Some((12_345_678_901_234_567_890_123_456_789_012_345_678, 0))
        );
    }
}
