//! Floating numbers of which each value has one form: a zero has no sign, and no number (`NaN`) is one value.
//!
//! The engine (`DataFusion` 55) takes 0.0 and -0.0 for equal by `=`, GROUP BY and joins, and for different in lists of IN, in
//! CASE, in windows and in what it pushes from a join into a scan. A NaN is for it the largest number or, with a sign, the
//! smallest: 0.0 / 0.0 gives one with a sign. So columns are read in this form, and `functions/floats.rs` brings what an
//! expression computes to it.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray},
    datatypes::{DataType, Float16Type, Float32Type, Float64Type},
};

/// The column with each value in its one form; the same where all are.
pub(crate) fn plain(found: &ArrayRef) -> ArrayRef {
    macro_rules! plain {
        ($kind:ty, $sign:expr, $infinity:expr, $nan:expr) => {{
            let values = found.as_primitive::<$kind>();
            let is_odd = |value: &<$kind as ArrowPrimitiveType>::Native| {
                let bits = value.to_bits();
                // Without a branch, many values are looked at in one step.
                (bits == $sign) | ((bits & !$sign > $infinity) & (bits != $nan))
            };
            let any = values
                .values()
                .iter()
                .fold(false, |any, value| any | is_odd(value));
            if !any {
                return Arc::clone(found);
            }
            let plain = values.unary::<_, $kind>(|value| {
                if !is_odd(&value) {
                    value
                } else if value.to_bits() == $sign {
                    Default::default()
                } else {
                    <$kind as ArrowPrimitiveType>::Native::from_bits($nan)
                }
            });
            Arc::new(plain)
        }};
    }
    match found.data_type() {
        DataType::Float16 => plain!(Float16Type, 1_u16 << 15, 0x7c00, 0x7e00),
        DataType::Float32 => plain!(Float32Type, 1_u32 << 31, 0x7f80_0000, 0x7fc0_0000),
        DataType::Float64 => plain!(
            Float64Type,
            1_u64 << 63,
            0x7ff0_0000_0000_0000,
            0x7ff8_0000_0000_0000
        ),
        _ => Arc::clone(found),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{ArrayRef, AsArray, Float64Array};
    use datafusion::arrow::datatypes::Float64Type;

    use super::plain;

    #[test]
    fn each_value_has_one_form() {
        let odd = f64::from_bits(0xfff8_0000_0000_0001);
        let values = [
            -0.0,
            0.0,
            odd,
            f64::NAN,
            f64::NEG_INFINITY,
            f64::INFINITY,
            -1.5,
        ];
        let found: ArrayRef = Arc::new(Float64Array::from(values.to_vec()));
        let plain_values = plain(&found);
        let plain_values = plain_values.as_primitive::<Float64Type>().values();
        let bits: Vec<u64> = plain_values.iter().map(|value| value.to_bits()).collect();
        let nan = 0x7ff8_0000_0000_0000;
        let expected = [
            0,
            0,
            nan,
            nan,
            (f64::NEG_INFINITY).to_bits(),
            f64::INFINITY.to_bits(),
            (-1.5_f64).to_bits(),
        ];
        assert_eq!(bits, expected);
        let usual: ArrayRef = Arc::new(Float64Array::from(vec![0.0, f64::NAN, -2.0]));
        assert!(Arc::ptr_eq(&plain(&usual), &usual));
    }
}
