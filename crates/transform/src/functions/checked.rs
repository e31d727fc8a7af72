//! Arithmetic whose results fit their types, or are an error.
//!
//! The engine's own goes on at the other end (`9223372036854775807 + 1` is negative), and writes 38 digits of a decimal that has
//! more. It has kernels that check, and no way to ask for them (`DataFusion` 55), so the operators become functions that do.
//! Moments, spans of time and floats are left to the engine: the former it checks, the latter have infinities.

use std::{hash::Hash, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions},
        compute::{
            cast,
            kernels::{cmp::neq, numeric::neg},
        },
        datatypes::{DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Int64Type, Schema},
        error::ArrowError,
    },
    common::{
        DFSchema, DataFusionError, Result, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ReturnFieldArgs,
        ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        binary::BinaryTypeCoercer,
        expr::{BinaryExpr, ScalarFunction},
    },
    optimizer::AnalyzerRule,
    physical_expr::expressions::{BinaryExpr as PhysicalBinaryExpr, Column, Literal},
    physical_plan::PhysicalExpr,
};

use super::{floats::PlainFloat, quotient::Quotient};
use crate::{
    comparisons::Computed, kept_text, marked::unmarked, named, too_large::TooLarge,
    writable::Writable,
};

/// Most digits of the two kinds of decimals: with fewer, the engine gives a result the digits that it can need.
const MOST_DIGITS: [u8; 2] = [38, 76];

/// Puts checked operators into a plan, whose types agree by then.
#[derive(Debug)]
pub(crate) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        named::everywhere(plan, |expr, schema| Ok(checked(expr, schema)))
    }

    fn name(&self) -> &'static str {
        "checked_arithmetic"
    }
}

fn checked(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_integer = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| kind.is_integer());
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if needs_check(&left, op, &right, schema) =>
        {
            let func = Arc::new(ScalarUDF::from(Arithmetic::new(op, 2)));
            let args = vec![*left, *right];
            Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args }))
        }
        Expr::Negative(value) if is_integer(&value) => {
            let func = Arc::new(ScalarUDF::from(Arithmetic::new(Operator::Minus, 1)));
            let args = vec![*value];
            Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args }))
        }
        other => Transformed::no(other),
    }
}

/// Each operator that checks its result.
#[cfg(feature = "cluster")]
pub(super) fn in_plans() -> impl Iterator<Item = Arc<ScalarUDF>> {
    let all = [
        Operator::Plus,
        Operator::Minus,
        Operator::Multiply,
        Operator::Divide,
        Operator::BitwiseShiftLeft,
        Operator::BitwiseShiftRight,
    ];
    // One argument or two: what is computed depends on how many there are in the call.
    all.into_iter()
        .map(|op| Arc::new(ScalarUDF::from(Arithmetic::new(op, 2))))
}

fn needs_check(left: &Expr, op: Operator, right: &Expr, schema: &DFSchema) -> bool {
    if !matches!(
        op,
        Operator::Plus
            | Operator::Minus
            | Operator::Multiply
            | Operator::Divide
            | Operator::BitwiseShiftLeft
            | Operator::BitwiseShiftRight
    ) {
        return false;
    }
    let (Ok(left), Ok(right)) = (left.get_type(schema), right.get_type(schema)) else {
        return false;
    };
    match result_type(&left, op, &right) {
        // A quotient of integers is checked by the engine.
        Ok(kind) if kind.is_integer() => {
            op != Operator::Divide && left.is_integer() && right.is_integer()
        }
        Ok(DataType::Decimal128(digits, _) | DataType::Decimal256(digits, _)) => {
            MOST_DIGITS.contains(&digits)
        }
        _ => false,
    }
}

fn result_type(left: &DataType, op: Operator, right: &DataType) -> Result<DataType> {
    BinaryTypeCoercer::new(left, &op, right).get_result_type()
}

/// Whether no result of these integers of 64 bits can be too large, by the largest of each side. Then the engine's kernels need not
/// look at each result, which is half of their time.
fn has_room(op: Operator, args: &[ColumnarValue]) -> bool {
    let [Some(left), Some(right)] = args.iter().map(bits).collect::<Vec<_>>()[..] else {
        return false;
    };
    match op {
        Operator::Plus | Operator::Minus => left.max(right) <= 62,
        Operator::Multiply => left + right <= 62,
        _ => false,
    }
}

fn bits(value: &ColumnarValue) -> Option<u32> {
    match value {
        ColumnarValue::Array(array) => {
            let array = array.as_primitive_opt::<Int64Type>()?;
            Some(largest_bits(array.values()))
        }
        ColumnarValue::Scalar(ScalarValue::Int64(value)) => {
            Some(largest_bits(&[value.unwrap_or(0)]))
        }
        ColumnarValue::Scalar(_) => None,
    }
}

/// The bits that the largest value needs beside its sign, 63 at most; what lies under nulls is looked at too. A loop without a
/// branch.
pub(super) fn largest_bits(values: &[i64]) -> u32 {
    let all = values
        .iter()
        .fold(0, |all, value| all | (value ^ (value >> 63)));
    i64::BITS - all.leading_zeros()
}

/// An expression with the operators that its text has.
pub(crate) fn unchecked(expr: &Expr) -> Expr {
    let plain = expr.clone().transform_up(|expr| {
        let found = unmarked::<Computed>(unmarked::<Writable>(expr).data);
        let found = kept_text::unchecked(unmarked::<PlainFloat>(found.data).data);
        let Expr::ScalarFunction(call) = &found.data else {
            return Ok(found);
        };
        let function = call.func.inner();
        let op = match function.downcast_ref::<Arithmetic>() {
            Some(arithmetic) => arithmetic.op,
            None if function.is::<Quotient>() => Operator::Divide,
            None => return Ok(found),
        };
        Ok(match call.args.as_slice() {
            [value] => Transformed::yes(Expr::Negative(Box::new(value.clone()))),
            [left, right] => Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(
                Box::new(left.clone()),
                op,
                Box::new(right.clone()),
            ))),
            _ => found,
        })
    });
    plain.map_or_else(|_| expr.clone(), |plain| plain.data)
}

/// An operator that checks its result.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    op: Operator,
    signature: Signature,
}

impl Arithmetic {
    fn new(op: Operator, arguments: usize) -> Self {
        Self {
            op,
            signature: Signature::any(arguments, Volatility::Immutable),
        }
    }

    fn compute(&self, call: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        match call.args.as_slice() {
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(neg(array)?)),
            [ColumnarValue::Scalar(value)] => {
                let negative = neg(&value.to_array()?)?;
                let value = ScalarValue::try_from_array(&negative, 0)?;
                Ok(ColumnarValue::Scalar(value))
            }
            [value, distance]
                if matches!(
                    self.op,
                    Operator::BitwiseShiftLeft | Operator::BitwiseShiftRight
                ) =>
            {
                shifted(self.op, value, distance, call)
            }
            args => {
                let checks = !has_room(self.op, args);
                evaluated(call, |left, right| {
                    PhysicalBinaryExpr::new(left, self.op, right).with_fail_on_overflow(checks)
                })
            }
        }
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &'static str {
        match self.op {
            Operator::Plus => "+",
            Operator::Minus => "-",
            Operator::Multiply => "*",
            Operator::BitwiseShiftLeft => "<<",
            Operator::BitwiseShiftRight => ">>",
            _ => "/",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [left, right] => result_type(left, self.op, right),
            given => Ok(given.first().cloned().unwrap_or(DataType::Null)),
        }
    }

    fn return_field_from_args(&self, given: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let fields = given.arg_fields;
        let kinds: Vec<_> = fields
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        let nullable = fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            self.return_type(&kinds)?,
            nullable,
        )))
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kind = call.return_type().clone();
        let result = self
            .compute(&call)
            .map_err(|error| match error.find_root() {
                DataFusionError::ArrowError(arrow, _)
                    if matches!(arrow.as_ref(), ArrowError::ArithmeticOverflow(_)) =>
                {
                    too_large(&kind)
                }
                _ => error,
            })?;
        if !kind.is_integer() {
            digits(&result, &kind)?;
        }
        Ok(result)
    }
}

/// Bits moved, all of them within the integer: the engine takes a distance of 64 for one of 0, and drops bits.
fn shifted(
    op: Operator,
    value: &ColumnarValue,
    distance: &ColumnarValue,
    call: &ScalarFunctionArgs,
) -> Result<ColumnarValue> {
    let moved = |op: Operator, value: &ColumnarValue| {
        let args = vec![value.clone(), distance.clone()];
        let call = ScalarFunctionArgs {
            args,
            ..call.clone()
        };
        evaluated(&call, |value, distance| {
            PhysicalBinaryExpr::new(value, op, distance)
        })
    };
    let beyond = |holds: bool| {
        if holds {
            return Ok(());
        }
        Err(TooLarge::error(
            "`<<` and `>>` move bits by a number from 0 to 63, and none out of an integer",
        ))
    };
    let width = distance.data_type().primitive_width().unwrap_or(0) * 8;
    let distances = distance.to_array(1)?;
    let whole = cast(&distances, &DataType::Int64)?;
    let within = whole
        .as_primitive::<Int64Type>()
        .iter()
        .flatten()
        .all(|distance| usize::try_from(distance).is_ok_and(|distance| distance < width));
    beyond(within && whole.null_count() == distances.null_count())?;
    let result = moved(op, value)?;
    if op == Operator::BitwiseShiftLeft {
        let back = moved(Operator::BitwiseShiftRight, &result)?;
        let sides = ColumnarValue::values_to_arrays(&[back, value.clone()])?;
        let differs = neq(&sides[0], &sides[1])?;
        beyond(differs.true_count() == 0)?;
    }
    Ok(result)
}

pub(super) fn too_large(kind: &DataType) -> DataFusionError {
    TooLarge::error(if kind.is_integer() {
        "a number is too large for an integer: CAST one side to DECIMAL(38, 0) or DOUBLE before it is computed with"
    } else {
        "a number has more than the 38 digits of a decimal: CAST one side to DOUBLE before it is computed with"
    })
}

/// Whether decimals have the digits that their type allows: the engine would write as many and leave out the rest.
pub(super) fn digits(result: &ColumnarValue, kind: &DataType) -> Result<()> {
    let array: ArrayRef = match result {
        ColumnarValue::Array(array) => Arc::clone(array),
        ColumnarValue::Scalar(value) => value.to_array()?,
    };
    let fits = match kind {
        DataType::Decimal128(digits, _) => array
            .as_primitive::<Decimal128Type>()
            .validate_decimal_precision(*digits),
        DataType::Decimal256(digits, _) => array
            .as_primitive::<Decimal256Type>()
            .validate_decimal_precision(*digits),
        _ => Ok(()),
    };
    fits.map_err(|_error| too_large(kind))
}

/// One of the engine's own operators over the two arguments of a call: its nulls and types are those of the operator.
pub(super) fn evaluated(
    call: &ScalarFunctionArgs,
    with: impl FnOnce(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>) -> PhysicalBinaryExpr,
) -> Result<ColumnarValue> {
    let mut columns = Vec::new();
    let mut operands = call.args.iter().map(|value| match value {
        ColumnarValue::Array(array) => {
            columns.push(Arc::clone(array));
            Arc::new(Column::new("", columns.len() - 1)) as Arc<dyn PhysicalExpr>
        }
        ColumnarValue::Scalar(value) => Arc::new(Literal::new(value.clone())),
    });
    let (Some(left), Some(right)) = (operands.next(), operands.next()) else {
        return Err(DataFusionError::Internal(
            "an operator of two sides".to_owned(),
        ));
    };
    drop(operands);
    let fields: Vec<_> = columns
        .iter()
        .map(|column| Field::new("", column.data_type().clone(), true))
        .collect();
    let rows = columns.first().map_or(1, |column| column.len());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
    with(left, right).evaluate(&batch)
}
