//! `date_part('epoch', …)` of moments and of spans of time, with all digits behind the point. The engine's own (`DataFusion` 55) makes a
//! float of the nanoseconds of a moment before it divides them (1767225600.1230001), and leaves out what spans have behind the point.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{AsArray, Float64Array},
        compute::cast,
        datatypes::{DataType, Int64Type, TimeUnit},
    },
    common::{Result, ScalarValue},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF},
};

/// The function.
pub(super) const NAME: &str = "date_part";

/// Whether the part that a call asks for is the seconds.
fn is_asked(part: &ColumnarValue) -> bool {
    let part = match part {
        ColumnarValue::Scalar(part) => part.try_as_str().flatten(),
        ColumnarValue::Array(_) => None,
    };
    part.is_some_and(|part| part.eq_ignore_ascii_case("epoch"))
}

/// The seconds, or what the function gives for another part.
pub(super) fn invoke(function: &ScalarUDF, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
    let [part, moment] = call.args.as_slice() else {
        return function.invoke_with_args(call);
    };
    if !is_asked(part) {
        return function.invoke_with_args(call);
    }
    let (DataType::Timestamp(unit, _) | DataType::Duration(unit)) = moment.data_type() else {
        return function.invoke_with_args(call);
    };
    let a_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let is_one = matches!(moment, ColumnarValue::Scalar(_));
    let units = cast(&moment.to_array(1)?, &DataType::Int64)?;
    let found: Float64Array = units
        .as_primitive::<Int64Type>()
        .unary(|units| seconds(units, a_second));
    Ok(match is_one {
        true => ColumnarValue::Scalar(ScalarValue::try_from_array(&found, 0)?),
        false => ColumnarValue::Array(Arc::new(found)),
    })
}

/// Whole seconds and the part behind the point are exact, or as near as a float is, and so is their sum.
fn seconds(units: i64, a_second: i64) -> f64 {
    let (whole, part) = (units / a_second, units % a_second);
    whole as f64 + part as f64 / a_second as f64
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn seconds_have_the_digits_of_their_moment() {
        for (nanoseconds, found) in [
            (1_767_225_600_123_000_000, "1767225600.123"),
            (1_767_225_600_000_000_000, "1767225600"),
            (-1_500_000_000, "-1.5"),
            (-1, "-0.000000001"),
            (41_750_000_000, "41.75"),
        ] {
            assert_eq!(seconds(nanoseconds, 1_000_000_000).to_string(), found);
        }
    }
}
