//! `date_bin`, which gives null (`DataFusion` 55) for a moment that nanoseconds of 64 bits do not reach, as 9999-12-31.

use datafusion::{
    arrow::{array::Array, buffer::NullBuffer},
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF},
};

use crate::too_large::{BEYOND_NANOSECONDS, TooLarge};

/// The function.
pub(super) const NAME: &str = "date_bin";

/// The beginnings of spans of time; null only where an argument is.
pub(super) fn invoke(function: &ScalarUDF, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
    let given = call.args.clone();
    let found = function.invoke_with_args(call)?;
    let rows = match &found {
        ColumnarValue::Array(array) => array.len(),
        ColumnarValue::Scalar(_) => 1,
    };
    let mut nulls = None;
    for value in given {
        nulls = NullBuffer::union(
            nulls.as_ref(),
            value.to_array(rows)?.logical_nulls().as_ref(),
        );
    }
    let expected = nulls.map_or(0, |nulls| nulls.null_count());
    if found.to_array(rows)?.null_count() > expected {
        return Err(TooLarge::error(BEYOND_NANOSECONDS));
    }
    Ok(found)
}
