//! Columns straight from the bytes of their cells, for the values that nearly all files hold.
//!
//! Whatever is unusual is left to the readers that know all cases: [`column`] then gives nothing.

use std::{borrow::Cow, sync::Arc};

use datafusion::arrow::{
    array::{ArrayRef, Float64Array, Int64Array, StringArray},
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::DataType,
};

use super::convert;

/// Text of one value; `None` for null.
pub(crate) type Cell<'a> = Option<Cow<'a, [u8]>>;

/// Digits that always fit.
const SAFE_DIGITS: usize = 18;

/// The column of the cells; `None` when one of them is no plain value of the type.
pub(crate) fn column<'a>(
    kind: &DataType,
    cells: impl ExactSizeIterator<Item = Cell<'a>>,
) -> Option<ArrayRef> {
    match kind {
        DataType::Utf8 => Some(Arc::new(text(cells)?)),
        DataType::Int64 => {
            let (values, nulls) = primitive(cells, integer)?;
            Some(Arc::new(Int64Array::new(values, nulls)))
        }
        DataType::Float64 => {
            let (values, nulls) = primitive(cells, float)?;
            Some(Arc::new(Float64Array::new(values, nulls)))
        }
        kind => {
            let (values, misfits) = convert::column(text(cells)?, kind).ok()?;
            misfits.is_empty().then_some(values)
        }
    }
}

fn text<'a>(cells: impl ExactSizeIterator<Item = Cell<'a>>) -> Option<StringArray> {
    let mut offsets = Vec::with_capacity(cells.len() + 1);
    let mut values = Vec::with_capacity(cells.len() * 16);
    let mut nulls = Nulls::new(cells.len());
    offsets.push(0);
    for (row, cell) in cells.enumerate() {
        match cell {
            Some(cell) => values.extend_from_slice(&cell),
            None => nulls.set(row),
        }
        offsets.push(i32::try_from(values.len()).ok()?);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    // This looks whether all is UTF-8.
    StringArray::try_new(offsets, Buffer::from_vec(values), nulls.finish()).ok()
}

fn primitive<'a, T: Default + datafusion::arrow::datatypes::ArrowNativeType>(
    cells: impl ExactSizeIterator<Item = Cell<'a>>,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Option<(ScalarBuffer<T>, Option<NullBuffer>)> {
    let mut nulls = Nulls::new(cells.len());
    let mut values = Vec::with_capacity(cells.len());
    for (row, cell) in cells.enumerate() {
        match cell {
            Some(cell) => values.push(parse(&cell)?),
            None => {
                nulls.set(row);
                values.push(T::default());
            }
        }
    }
    Some((ScalarBuffer::from(values), nulls.finish()))
}

fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > SAFE_DIGITS {
        return None;
    }
    let mut value = 0_i64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if negative { -value } else { value })
}

fn float(text: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// Where nulls are; nothing is allocated as long as there are none.
struct Nulls {
    rows: usize,
    valid: Vec<bool>,
}

impl Nulls {
    const fn new(rows: usize) -> Self {
        Self {
            rows,
            valid: Vec::new(),
        }
    }

    fn set(&mut self, row: usize) {
        if self.valid.is_empty() {
            self.valid.resize(self.rows, true);
        }
        self.valid[row] = false;
    }

    fn finish(self) -> Option<NullBuffer> {
        (!self.valid.is_empty()).then(|| NullBuffer::from(self.valid))
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use datafusion::arrow::{
        array::{Array, AsArray},
        datatypes::{DataType, Float64Type, Int64Type},
    };

    use super::{Cell, column};

    fn of(
        kind: &DataType,
        cells: &[Option<&'static str>],
    ) -> Option<datafusion::arrow::array::ArrayRef> {
        let cells: Vec<Cell<'static>> = cells
            .iter()
            .map(|cell| cell.map(|text| Cow::Borrowed(text.as_bytes())))
            .collect();
        column(kind, cells.into_iter())
    }

    #[test]
    fn plain_values_and_nulls() {
        let numbers = of(&DataType::Int64, &[Some("-7"), None, Some("007")]).unwrap();
        let numbers = numbers.as_primitive::<Int64Type>();
        assert_eq!(
            numbers.iter().collect::<Vec<_>>(),
            [Some(-7), None, Some(7)]
        );
        let floats = of(&DataType::Float64, &[Some("2.50"), Some("-1e3")]).unwrap();
        assert_eq!(
            floats.as_primitive::<Float64Type>().values().as_ref(),
            [2.5, -1000.0]
        );
        let texts = of(&DataType::Utf8, &[Some("é"), Some(""), None]).unwrap();
        assert_eq!(
            texts.as_string::<i32>().iter().collect::<Vec<_>>(),
            [Some("é"), Some(""), None]
        );
        assert_eq!(
            of(&DataType::Boolean, &[Some("true"), None])
                .unwrap()
                .null_count(),
            1
        );
    }

    #[test]
    fn unusual_values_are_left_to_others() {
        for (kind, text) in [
            (DataType::Int64, ""),
            (DataType::Int64, "-"),
            (DataType::Int64, "+1"),
            (DataType::Int64, "1.0"),
            (DataType::Int64, "1234567890123456789"),
            (DataType::Float64, "1e999"),
            (DataType::Float64, "NaN"),
            (DataType::Float64, "x"),
            (DataType::Boolean, "maybe"),
            (DataType::Date32, "soon"),
        ] {
            assert!(of(&kind, &[Some(text)]).is_none(), "{kind} {text:?}");
        }
        let bytes: [Cell<'_>; 1] = [Some(Cow::Borrowed(b"\xff"))];
        assert!(column(&DataType::Utf8, bytes.into_iter()).is_none());
    }
}
