//! The functions of the `to_timestamp` family, where those of `DataFusion` 55 differ from their documentation.
//!
//! Of a column of texts they give moments without the zone that they promise, which no operator takes; of a number beyond the
//! years 1677 to 2262, the last moment that there is.

use datafusion::{
    arrow::{
        array::AsArray,
        datatypes::{DataType, Float64Type},
    },
    common::Result,
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF},
};

use crate::too_large::TooLarge;

/// The functions.
pub(super) const NAMES: [&str; 5] = [
    "to_timestamp",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_nanos",
    "to_timestamp_seconds",
];

/// Largest number of seconds whose nanoseconds are 64 bits.
const MOST_SECONDS: f64 = 9_223_372_036.0;

/// The moments as promised.
pub(super) fn invoke(function: &ScalarUDF, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
    let promised = call.return_type().clone();
    if function.name() == "to_timestamp"
        && let Some(seconds) = call
            .args
            .first()
            .filter(|value| value.data_type().is_floating())
    {
        let seconds = seconds.cast_to(&DataType::Float64, None)?;
        let seconds = seconds.into_array(call.number_rows)?;
        let mut seconds = seconds.as_primitive::<Float64Type>().iter().flatten();
        if seconds.any(|seconds| seconds.is_nan() || seconds.abs() > MOST_SECONDS) {
            return Err(TooLarge::error(
                "a number of seconds is beyond the years 1677 to 2262 that `to_timestamp` knows",
            ));
        }
    }
    // Not through `ScalarUDF`, which would look at the zone first.
    let moments = function.inner().invoke_with_args(call)?;
    if moments.data_type() == promised {
        return Ok(moments);
    }
    moments.cast_to(&promised, None)
}
