//! `/` of decimals, rounded. The engine's own (`DataFusion` 55) has four places more than the dividend and cuts off what is behind
//! them: two thirds of a cent would be 0.006666, and a cent in 100,000 parts nothing.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Decimal128Array},
        compute::try_binary,
        datatypes::{
            DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DataType, Decimal128Type, i256,
        },
        error::ArrowError,
    },
    common::{Result, ScalarValue, internal_err},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
        cast, expr::ScalarFunction,
    },
};

use super::checked::{digits, too_large};

/// Places that a quotient has, as far as its 38 digits have room for them.
const PLACES: i16 = 16;
/// Places that a quotient has beside those of its dividend, whatever room there is.
const MORE_PLACES: i16 = 4;

/// The quotient of two expressions of these types; none when they are no decimals of 128 bits, or integers beside one.
pub(crate) fn quotient(
    dividend: &mut Expr,
    of: &DataType,
    divisor: &mut Expr,
    by: &DataType,
) -> Option<Expr> {
    let (of_decimal, by_decimal) = (decimal(of)?, decimal(by)?);
    quotient_type(&of_decimal, &by_decimal)?;
    let as_decimal = |side: &mut Expr, own: &DataType, kind: DataType| {
        let side = std::mem::take(side);
        if *own == kind { side } else { cast(side, kind) }
    };
    Some(Expr::ScalarFunction(ScalarFunction {
        func: function(),
        args: vec![
            as_decimal(dividend, of, of_decimal),
            as_decimal(divisor, by, by_decimal),
        ],
    }))
}

/// The operator as plans have it.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(Quotient {
        signature: Signature::any(2, Volatility::Immutable),
    }))
}

/// A type as a decimal that holds all of its values.
fn decimal(kind: &DataType) -> Option<DataType> {
    let (precision, scale) = match kind {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale) => (*precision, *scale),
        DataType::Null => (1, 0),
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        _ => return None,
    };
    (scale >= 0).then_some(DataType::Decimal128(precision, scale))
}

/// The type of a quotient: all digits before the point that it can have, and then [`PLACES`] where there is room.
fn quotient_type(of: &DataType, by: &DataType) -> Option<DataType> {
    let (DataType::Decimal128(precision, scale), DataType::Decimal128(_, places)) = (of, by) else {
        return None;
    };
    let (most_digits, most_places) = (
        i16::from(DECIMAL128_MAX_PRECISION),
        i16::from(DECIMAL128_MAX_SCALE),
    );
    let whole = i16::from(*precision) - i16::from(*scale) + i16::from(*places);
    let least = (i16::from(*scale) + MORE_PLACES).min(most_places);
    let scale = PLACES.min(most_digits - whole).max(least);
    let precision = (whole + scale).clamp(1, most_digits);
    Some(DataType::Decimal128(
        u8::try_from(precision).ok()?,
        i8::try_from(scale).ok()?,
    ))
}

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Quotient {
    signature: Signature,
}

impl ScalarUDFImpl for Quotient {
    fn name(&self) -> &'static str {
        "quotient"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        match given {
            [of, by] => match quotient_type(of, by) {
                Some(kind) => Ok(kind),
                None => internal_err!("a quotient of {of} by {by}"),
            },
            _ => internal_err!("a quotient has two sides"),
        }
    }

    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = call
            .args
            .iter()
            .all(|side| matches!(side, ColumnarValue::Scalar(_)));
        let kind = call.return_type().clone();
        let sides = ColumnarValue::values_to_arrays(&call.args)?;
        let quotients = divided(&sides[0], &sides[1], &kind)?;
        Ok(if is_constant {
            ColumnarValue::Scalar(ScalarValue::try_from_array(&quotients, 0)?)
        } else {
            ColumnarValue::Array(quotients)
        })
    }
}

fn divided(of: &ArrayRef, by: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    let scale = |kind: &DataType| match kind {
        DataType::Decimal128(_, scale) => i64::from(*scale),
        _ => 0,
    };
    let shift = scale(kind) + scale(by.data_type()) - scale(of.data_type());
    let shift = u32::try_from(shift).unwrap_or_default();
    let narrow = 10_i128.checked_pow(shift);
    let wide = i256::from_i128(10).wrapping_pow(shift);
    let quotients: Decimal128Array = try_binary(
        of.as_primitive::<Decimal128Type>(),
        by.as_primitive::<Decimal128Type>(),
        |of, by| rounded(of, by, narrow, wide),
    )
    .map_err(|error| match error {
        ArrowError::ArithmeticOverflow(_) => too_large(kind),
        error => error.into(),
    })?;
    let quotients: ArrayRef = Arc::new(quotients.with_data_type(kind.clone()));
    digits(&ColumnarValue::Array(Arc::clone(&quotients)), kind)?;
    Ok(quotients)
}

/// `of * factor / by`, where half of the last digit is rounded away from 0. The factor comes twice: as narrow as it fits.
fn rounded(of: i128, by: i128, narrow: Option<i128>, wide: i256) -> Result<i128, ArrowError> {
    if by == 0 {
        return Err(ArrowError::DivideByZero);
    }
    let away = if (of < 0) == (by < 0) { 1 } else { -1 };
    let narrow = narrow.and_then(|factor| {
        let of = of.checked_mul(factor)?;
        Some((of.checked_div(by)?, of.checked_rem(by)?.unsigned_abs()))
    });
    if let Some((quotient, rest)) = narrow {
        let is_up = rest >= by.unsigned_abs() - rest;
        return Ok(quotient + if is_up { away } else { 0 });
    }
    let too_large = || ArrowError::ArithmeticOverflow("a quotient has too many digits".to_owned());
    let by = i256::from_i128(by);
    let of = i256::from_i128(of)
        .checked_mul(wide)
        .ok_or_else(too_large)?;
    let rest = of.wrapping_rem(by).wrapping_abs();
    let is_up = rest >= by.wrapping_abs().wrapping_sub(rest);
    let away = i256::from_i128(if is_up { away } else { 0 });
    let quotient = of.wrapping_div(by).wrapping_add(away);
    quotient.to_i128().ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, i256};

    use super::{quotient_type, rounded};

    #[test]
    fn both_widths_round_alike() {
        let wide = i256::from_i128(1000);
        for (of, by, quotient) in [
            (2, 3, 667),
            (-2, 3, -667),
            (2, -3, -667),
            (-2, -3, 667),
            (1, 3, 333),
            (1, 2000, 1),
            (-1, 2000, -1),
            (1, 2001, 0),
            (7, 1, 7000),
            (0, 7, 0),
        ] {
            assert_eq!(rounded(of, by, Some(1000), wide).unwrap(), quotient);
            assert_eq!(rounded(of, by, None, wide).unwrap(), quotient);
        }
        rounded(1, 0, None, wide).unwrap_err();
        rounded(i128::MAX, 1, None, i256::MAX).unwrap_err();
    }

    #[test]
    fn quotients_have_the_places_that_there_is_room_for() {
        let of = |of: (u8, i8), by: (u8, i8)| {
            quotient_type(
                &DataType::Decimal128(of.0, of.1),
                &DataType::Decimal128(by.0, by.1),
            )
        };
        assert_eq!(of((10, 2), (19, 0)), Some(DataType::Decimal128(24, 16)));
        assert_eq!(of((20, 2), (19, 0)), Some(DataType::Decimal128(34, 16)));
        assert_eq!(of((38, 2), (10, 2)), Some(DataType::Decimal128(38, 6)));
        assert_eq!(of((38, 38), (38, 38)), Some(DataType::Decimal128(38, 38)));
        assert_eq!(of((38, 0), (38, 38)), Some(DataType::Decimal128(38, 4)));
        assert_eq!(of((1, 0), (1, 0)), Some(DataType::Decimal128(17, 16)));
    }
}
