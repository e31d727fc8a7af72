//! Columns straight from the bytes of their cells, for the values that nearly all files hold.
//!
//! Whatever is unusual is left to the readers that know all cases: [`column`] then gives nothing.

use std::{ops::Range, sync::Arc};

use datafusion::arrow::{
    array::{ArrayRef, ArrowPrimitiveType, BooleanArray, Int64Array, PrimitiveArray, StringArray},
    buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::DataType,
};

use super::{
    convert,
    values::{self, Build},
};
use crate::ColumnType;

/// Text of one value.
#[derive(Debug)]
pub(crate) enum Cell<'a> {
    Null,
    /// As it is written.
    Plain(Plain<'a>),
    /// As it reads, where it is written with escapes.
    Made(Vec<u8>),
}

/// A text, with what comes after it, so that it can be loaded in blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plain<'a> {
    from: &'a [u8],
    length: usize,
}

impl<'a> Cell<'a> {
    /// A part of a text, whose place is in it.
    #[inline]
    pub(crate) fn plain(text: &'a [u8], place: Range<usize>) -> Self {
        let from = &text[place.start..];
        let length = place.len().min(from.len());
        Self::Plain(Plain { from, length })
    }
}

impl<'a> Plain<'a> {
    #[inline]
    fn text(self) -> &'a [u8] {
        &self.from[..self.length]
    }
}

/// The column of the cells; `None` when one of them is no value of the type.
pub(crate) fn column<'a>(
    kind: &ColumnType,
    cells: impl ExactSizeIterator<Item = Cell<'a>>,
) -> Option<ArrayRef> {
    // The loops of these are closures of their iterators: as `for` loops they called a function for each cell.
    match kind.kind {
        DataType::Utf8 => Some(Arc::new(text(cells)?)),
        DataType::Int64 => {
            let (values, nulls) = read(cells, integer)?;
            Some(Arc::new(Int64Array::new(values.into(), nulls)))
        }
        _ => values::build(kind, FromCells { cells, kind }),
    }
}

struct FromCells<'k, I> {
    cells: I,
    kind: &'k ColumnType,
}

impl<'a, I: ExactSizeIterator<Item = Cell<'a>>> Build for FromCells<'_, I> {
    type Built = Option<ArrayRef>;

    fn primitive<T: ArrowPrimitiveType>(
        self,
        value: impl Fn(&[u8]) -> Option<T::Native>,
    ) -> Self::Built {
        let (values, nulls) = read(self.cells, |text| value(text.text()))?;
        let column = PrimitiveArray::<T>::try_new(values.into(), nulls).ok()?;
        Some(Arc::new(column.with_data_type(self.kind.kind.clone())))
    }

    fn boolean(self) -> Self::Built {
        let (values, nulls) = read(self.cells, |text| values::boolean(text.text()))?;
        Some(Arc::new(BooleanArray::new(values.into(), nulls)))
    }

    fn other(self) -> Self::Built {
        let (values, misfits) = convert::column(text(self.cells)?, self.kind).ok()?;
        misfits.is_empty().then_some(values)
    }
}

fn text<'a>(cells: impl ExactSizeIterator<Item = Cell<'a>>) -> Option<StringArray> {
    let mut offsets = Vec::with_capacity(cells.len() + 1);
    let mut values = Values(Vec::with_capacity(cells.len() * BLOCK_BYTES));
    let mut nulls = Nulls::new(cells.len());
    offsets.push(0);
    cells.enumerate().try_for_each(|(row, cell)| {
        match cell {
            Cell::Plain(text) => values.push(text),
            Cell::Made(text) => values.push(Plain {
                from: &text,
                length: text.len(),
            }),
            Cell::Null => nulls.set(row),
        }
        offsets.push(i32::try_from(values.0.len()).ok()?);
        Some(())
    })?;
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    // This looks whether all is UTF-8.
    StringArray::try_new(offsets, Buffer::from_vec(values.0), nulls.finish()).ok()
}

/// Bytes that are copied at a time: most values are no longer.
const BLOCK_BYTES: usize = 16;

/// Texts, one after the other.
struct Values(Vec<u8>);

impl Values {
    /// Copies a short text as a block, with what happens to come after it, and takes that off again.
    #[inline]
    fn push(&mut self, text: Plain<'_>) {
        let end = self.0.len() + text.length;
        match text.from.first_chunk::<BLOCK_BYTES>() {
            Some(block) if text.length <= BLOCK_BYTES => {
                self.0.extend_from_slice(block);
                self.0.truncate(end);
            }
            _ => self.0.extend_from_slice(text.text()),
        }
    }
}

fn read<'a, T: Default>(
    cells: impl ExactSizeIterator<Item = Cell<'a>>,
    parse: impl Fn(Plain<'_>) -> Option<T>,
) -> Option<(Vec<T>, Option<NullBuffer>)> {
    let mut nulls = Nulls::new(cells.len());
    let mut values = Vec::with_capacity(cells.len());
    cells.enumerate().try_for_each(|(row, cell)| {
        match cell {
            Cell::Plain(text) => values.push(parse(text)?),
            Cell::Made(text) => values.push(parse(Plain {
                from: &text,
                length: text.len(),
            })?),
            Cell::Null => {
                nulls.set(row);
                values.push(T::default());
            }
        }
        Some(())
    })?;
    Some((values, nulls.finish()))
}

#[inline]
fn integer(text: Plain<'_>) -> Option<i64> {
    if let (1..=8, Some(block)) = (text.length, text.from.first_chunk())
        && let Some(value) = eight_digits(*block, text.length)
    {
        return Some(value);
    }
    values::integer(text.text())
}

/// The number that the first `length` bytes are, if they are all digits and no zero comes before others. `length` is 1 to 8.
///
/// All digits are worked on at the same time, as in Lemire, "Quickly parsing eight digits" (2018).
#[inline]
fn eight_digits(block: [u8; 8], length: usize) -> Option<i64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const ONES: u64 = 0x0101_0101_0101_0101;
    let bits = 8 * length as u32;
    // The first digit is in the lowest byte; zeros go before it, so that the last is in the highest.
    let text = u64::from_le_bytes(block) << (64 - bits) | ZEROS.unbounded_shr(bits);
    let (high, above_nine) = (
        text & (ONES * 0xf0),
        (text.wrapping_add(ONES * 6)) & (ONES * 0xf0),
    );
    let is_code = block[0] == b'0' && length > 1;
    if high != ZEROS || above_nine != ZEROS || is_code {
        return None;
    }
    let digits = text - ZEROS;
    let pairs = digits * 10 + (digits >> 8);
    let mask = 0x0000_00ff_0000_00ff;
    let (odd, even) = (pairs & mask, pairs >> 16 & mask);
    let weights = (100 + (1_000_000 << 32), 1 + (10_000 << 32));
    let sum = odd
        .wrapping_mul(weights.0)
        .wrapping_add(even.wrapping_mul(weights.1));
    i64::try_from(sum >> 32).ok()
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
    use datafusion::arrow::{
        array::{Array, AsArray},
        datatypes::{DataType, Float64Type, Int64Type},
    };

    use super::{Cell, column};
    use crate::ColumnType;

    fn of(
        kind: &DataType,
        cells: &[Option<&'static str>],
    ) -> Option<datafusion::arrow::array::ArrayRef> {
        let kind = &ColumnType::from(kind.clone());
        let made = |text: &str| Cell::Made(text.as_bytes().to_vec());
        let made = cells.iter().map(|cell| cell.map_or(Cell::Null, made));
        let alone = column(kind, made);
        // The same in a longer text, which begins with what goes on after each.
        for after in ["", ",", "0123456789,0123456789"] {
            let text = |cell: &Option<&'static str>| format!("{}{after}", cell.unwrap_or_default());
            let texts: Vec<_> = cells.iter().map(text).collect();
            let cells = cells.iter().zip(&texts);
            let plain = cells.map(|(cell, text)| {
                cell.map_or(Cell::Null, |cell| {
                    Cell::plain(text.as_bytes(), 0..cell.len())
                })
            });
            assert_eq!(column(kind, plain), alone, "{kind:?} before {after:?}");
        }
        alone
    }

    #[test]
    fn plain_values_and_nulls() {
        let numbers = of(&DataType::Int64, &[Some("-7"), None, Some("70")]).unwrap();
        let numbers = numbers.as_primitive::<Int64Type>();
        assert_eq!(
            numbers.iter().collect::<Vec<_>>(),
            [Some(-7), None, Some(70)]
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
    fn integers_of_all_lengths() {
        for length in 1..=18 {
            let texts = ["1234567890", "9999999999", "0000000000", "1000000009"];
            for text in texts {
                let text: &'static str = text.repeat(2)[..length].to_owned().leak();
                let numbers = of(&DataType::Int64, &[Some(text)]);
                let found = numbers.map(|numbers| numbers.as_primitive::<Int64Type>().value(0));
                let is_code = length > 1 && text.starts_with('0');
                let expected = text.parse().ok().filter(|_| !is_code);
                assert_eq!(found, expected, "{text}");
            }
            for place in 0..length {
                for wrong in ["/", ":", "\u{1}", "\u{7f}", " ", "+"] {
                    let mut text = "7".repeat(length);
                    text.replace_range(place..=place, wrong);
                    assert!(of(&DataType::Int64, &[Some(text.leak())]).is_none());
                }
            }
        }
    }

    #[test]
    fn texts_of_all_lengths() {
        let texts: Vec<&'static str> = (0..70)
            .map(|length| {
                &*"abcdefghijklmnopqrstuvwxyz".repeat(3)[..length]
                    .to_owned()
                    .leak()
            })
            .collect();
        let cells: Vec<_> = texts.iter().map(|&text| Some(text)).collect();
        let column = of(&DataType::Utf8, &cells).unwrap();
        let column: Vec<_> = column.as_string::<i32>().iter().flatten().collect();
        assert_eq!(column, texts);
    }

    #[test]
    fn what_is_no_value_is_left_to_others() {
        for (kind, text) in [
            (DataType::Int64, ""),
            (DataType::Int64, "-"),
            (DataType::Int64, "+1"),
            (DataType::Int64, "1.0"),
            (DataType::Int64, "007"),
            (DataType::Int64, "12345678901234567890"),
            (DataType::Float64, "1e999"),
            (DataType::Float64, "INF"),
            (DataType::Float64, "9007199254740993"),
            (DataType::Float64, "x"),
            (DataType::Boolean, "maybe"),
            (DataType::Date32, "soon"),
            (DataType::Date32, "2026-02-29"),
        ] {
            assert!(of(&kind, &[Some(text)]).is_none(), "{kind} {text:?}");
        }
        let bytes = [Cell::Made(vec![0xff])];
        let text = ColumnType::from(DataType::Utf8);
        assert!(column(&text, bytes.into_iter()).is_none());
    }
}
