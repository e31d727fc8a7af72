//! Seconds of `date_part('epoch', …)`, to the last digit. The engine (`DataFusion` 55) cuts a difference of moments of two seconds and
//! more to whole seconds, and rounds the nanoseconds of a moment before it divides them.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Float64Array},
        datatypes::{
            ArrowPrimitiveType, DataType, DurationMicrosecondType, DurationMillisecondType,
            DurationNanosecondType, DurationSecondType, Int64Type, TimeUnit,
        },
    },
    common::{
        DFSchema, Result,
        config::ConfigOptions,
        internal_err, plan_err,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF,
        ScalarUDFImpl, Signature, Volatility, expr::ScalarFunction, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use crate::named;

/// See the module. Works on plans whose types agree.
#[derive(Debug)]
pub(crate) struct ExactEpochs;

impl AnalyzerRule for ExactEpochs {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            named::expressions(node, |expr| {
                expr.transform_up(|expr| seconds(expr, &schema))
            })
        })
        .map(|plan| plan.data)
    }

    fn name(&self) -> &'static str {
        "exact_epochs"
    }
}

fn seconds(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = &expr else {
        return Ok(Transformed::no(expr));
    };
    let ("date_part", [Expr::Literal(part, _), of]) = (func.name(), args.as_slice()) else {
        return Ok(Transformed::no(expr));
    };
    let part = part.try_as_str().flatten().unwrap_or_default();
    let is_epoch = part.trim_matches(['\'', '"']).eq_ignore_ascii_case("epoch");
    match of.get_type(schema)? {
        DataType::Duration(_) if !is_epoch => plan_err!(
            "a difference of moments has no parts but its seconds: write date_part('epoch', b - a), and divide it by 60 for minutes"
        ),
        DataType::Duration(_) | DataType::Timestamp(TimeUnit::Nanosecond, _) if is_epoch => {
            let func = Arc::new(ScalarUDF::from(Seconds {
                signature: Signature::any(1, Volatility::Immutable),
            }));
            let args = vec![of.clone()];
            Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction {
                func,
                args,
            })))
        }
        _ => Ok(Transformed::no(expr)),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Seconds {
    signature: Signature,
}

impl ScalarUDFImpl for Seconds {
    fn name(&self) -> &'static str {
        "seconds"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [values] = args.args.as_slice() else {
            return internal_err!("seconds of one value");
        };
        let values = &values.to_array(args.number_rows)?;
        let seconds: Float64Array = match values.data_type() {
            DataType::Duration(TimeUnit::Second) => of::<DurationSecondType>(values, 1),
            DataType::Duration(TimeUnit::Millisecond) => {
                of::<DurationMillisecondType>(values, 1_000)
            }
            DataType::Duration(TimeUnit::Microsecond) => {
                of::<DurationMicrosecondType>(values, 1_000_000)
            }
            DataType::Duration(TimeUnit::Nanosecond) => {
                of::<DurationNanosecondType>(values, 1_000_000_000)
            }
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                let values = datafusion::arrow::compute::cast(values, &DataType::Int64)?;
                of::<Int64Type>(&values, 1_000_000_000)
            }
            other => return internal_err!("seconds of {other}"),
        };
        let seconds: ArrayRef = Arc::new(seconds);
        Ok(ColumnarValue::Array(seconds))
    }
}

fn of<T: ArrowPrimitiveType<Native = i64>>(values: &ArrayRef, per_second: i64) -> Float64Array {
    values
        .as_primitive::<T>()
        .unary(|value| quotient(value, per_second))
}

/// The float that is nearest to a count divided by a power of ten: both are exact once common zeros are gone, unless the count has
/// more digits than a float.
#[expect(
    clippy::cast_precision_loss,
    reason = "what the float cannot hold is below its last digit"
)]
fn quotient(mut value: i64, mut divisor: i64) -> f64 {
    while divisor > 1 && value % 1_000 == 0 {
        value /= 1_000;
        divisor /= 1_000;
    }
    value as f64 / divisor as f64
}

#[cfg(test)]
mod tests {
    use super::quotient;

    #[test]
    fn seconds_have_the_digits_of_the_count() {
        assert_eq!(quotient(41_750, 1_000).to_string(), "41.75");
        assert_eq!(
            quotient(1_767_225_600_123_000_000, 1_000_000_000).to_string(),
            "1767225600.123"
        );
        assert_eq!(quotient(-2_700_000, 1_000_000).to_string(), "-2.7");
        assert_eq!(quotient(0, 1_000_000_000).to_string(), "0");
    }
}
