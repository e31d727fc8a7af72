//! `round`, where the engine's own (`DataFusion` 55) goes wrong: an integer whose rounded value is beyond its type is 0 there, and a
//! float is no number when 10 to the places that are asked for, or its product with that, is no float.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{ArrayRef, ArrowNativeTypeOp, AsArray, PrimitiveArray},
        datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type, Int32Type, Int64Type},
    },
    common::{Result, ScalarValue},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF},
};

use crate::too_large::TooLarge;

/// The places to which half of the integers of 64 bits are rounded away from 0, beyond what they hold.
const BEYOND: i32 = -19;
/// What is rounded away from 0 there.
const HALF: u64 = 5_000_000_000_000_000_000;

/// The rounded values.
pub(super) fn invoke(function: &ScalarUDF, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
    let (given, rows) = (call.args.clone(), call.number_rows);
    let rounded = function.invoke_with_args(call)?;
    let [value, places] = given.as_slice() else {
        return Ok(rounded);
    };
    match value.data_type() {
        DataType::Int64 => {
            integers(value, places, rows)?;
            Ok(rounded)
        }
        DataType::Float64 => floats::<Float64Type>(rounded, value, places, rows, 308),
        DataType::Float32 => floats::<Float32Type>(rounded, value, places, rows, 38),
        _ => Ok(rounded),
    }
}

fn integers(value: &ColumnarValue, places: &ColumnarValue, rows: usize) -> Result<()> {
    if matches!(places, ColumnarValue::Scalar(ScalarValue::Int32(Some(places))) if *places != BEYOND)
    {
        return Ok(());
    }
    let (value, places) = (value.to_array(rows)?, places.to_array(rows)?);
    let Some(places) = places.as_primitive_opt::<Int32Type>() else {
        return Ok(());
    };
    let mut pairs = value.as_primitive::<Int64Type>().iter().zip(places);
    let is_beyond = |(value, places): (Option<i64>, Option<i32>)| {
        places == Some(BEYOND) && value.is_some_and(|value| value.unsigned_abs() >= HALF)
    };
    if pairs.any(is_beyond) {
        return Err(TooLarge::error(
            "`round` to so few digits gives a number that is too large for an integer: CAST it to DOUBLE first",
        ));
    }
    Ok(())
}

/// The values, of which those stay as they were that have no digit so far behind the point, and those are 0 that have none so far
/// before it.
fn floats<T: ArrowPrimitiveType>(
    rounded: ColumnarValue,
    value: &ColumnarValue,
    places: &ColumnarValue,
    rows: usize,
    largest: i32,
) -> Result<ColumnarValue>
where
    T::Native: Into<f64>,
{
    let is_finite = |value: T::Native| value.into().is_finite();
    let found = rounded.to_array(rows)?;
    let found = found.as_primitive::<T>();
    if found.values().iter().all(|value| is_finite(*value)) {
        return Ok(rounded);
    }
    let (value, places) = (value.to_array(rows)?, places.to_array(rows)?);
    let Some(places) = places.as_primitive_opt::<Int32Type>() else {
        return Ok(rounded);
    };
    let values = value.as_primitive::<T>().iter().zip(places);
    let corrected = found.iter().zip(values).map(|row| match row {
        (Some(found), (Some(value), Some(places))) if is_finite(value) && !is_finite(found) => {
            Some(match places {
                0.. => value,
                places if places < -largest => T::Native::ZERO,
                _ => found,
            })
        }
        (found, _) => found,
    });
    let corrected: ArrayRef = Arc::new(corrected.collect::<PrimitiveArray<T>>());
    Ok(match rounded {
        ColumnarValue::Array(_) => ColumnarValue::Array(corrected),
        ColumnarValue::Scalar(_) => {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&corrected, 0)?)
        }
    })
}
