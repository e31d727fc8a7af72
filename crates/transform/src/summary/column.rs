//! One column.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Float64Array, Int64Array},
        compute::cast,
        datatypes::{DataType, Field, Float64Type},
        error::ArrowError,
        util::display::{ArrayFormatter, FormatOptions},
    },
    common::{
        ScalarValue,
        hash_utils::{HLL_RANDOM_STATE, with_hashes},
    },
    functions_aggregate::min_max::{MaxAccumulator, MinAccumulator},
    logical_expr::Accumulator,
};
use serde_json::value::RawValue;

use super::{
    ColumnSummary, Quantile, TopValue,
    distinct::Distinct,
    sample::Sample,
    text::TextSketch,
    top::{Top, beginning},
};
use crate::{BoxError, Error, ErrorKind, schema::type_name};

const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);

#[derive(Debug)]
pub(super) struct ColumnSketch {
    name: String,
    kind: DataType,
    nulls: u64,
    distinct: Distinct,
    range: Option<(MinAccumulator, MaxAccumulator)>,
    top: Top,
    sample: Sample,
    text: Option<TextSketch>,
}

impl ColumnSketch {
    pub(super) fn new(field: &Field) -> Self {
        let kind = field.data_type().clone();
        let range = || {
            let least = MinAccumulator::try_new(&kind).ok()?;
            Some((least, MaxAccumulator::try_new(&kind).ok()?))
        };
        Self {
            range: has_order(&kind).then(range).flatten(),
            name: field.name().clone(),
            nulls: 0,
            distinct: Distinct::default(),
            top: Top::default(),
            sample: Sample::default(),
            text: is_text(&kind).then(TextSketch::default),
            kind,
        }
    }

    pub(super) fn push(&mut self, column: &ArrayRef) -> Result<(), Error> {
        let nulls = column.logical_nulls();
        self.nulls += nulls.as_ref().map_or(0, |nulls| nulls.null_count() as u64);
        let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let Self {
            distinct,
            top,
            text,
            kind,
            ..
        } = self;
        let texts = match text {
            Some(_) => Some(cast(column, &DataType::Utf8View).map_err(failed)?),
            None => None,
        };
        let texts = texts.as_ref().map(|texts| texts.as_string_view());
        let is_nested = kind.is_nested();
        let formatter = match texts {
            None if !is_nested => {
                Some(ArrayFormatter::try_new(column.as_ref(), &OPTIONS).map_err(failed)?)
            }
            _ => None,
        };
        let counted = with_hashes([column], &HLL_RANDOM_STATE, |hashes| {
            let seen = hashes.iter().enumerate().filter(|(row, _)| !is_null(*row));
            for (row, &hash) in seen {
                distinct.see(hash);
                if let (Some(sketch), Some(texts)) = (text.as_mut(), texts) {
                    let text = texts.value(row);
                    sketch.see(text);
                    top.see(hash, || Ok::<_, ArrowError>(beginning(text)))?;
                } else if let Some(values) = &formatter {
                    top.see(hash, || {
                        let mut text = String::new();
                        values.value(row).write(&mut text)?;
                        Ok::<_, ArrowError>(beginning(&text))
                    })?;
                }
            }
            Ok(())
        });
        counted.map_err(failed)?;
        if let Some((least, most)) = &mut self.range {
            let column = std::slice::from_ref(column);
            least.update_batch(column).map_err(failed)?;
            most.update_batch(column).map_err(failed)?;
        }
        if let Some(numbers) = as_numbers(column, &self.kind)? {
            numbers
                .iter()
                .flatten()
                .for_each(|value| self.sample.see(value));
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<ColumnSummary, Error> {
        let is_number = self.kind.is_numeric();
        let json = |text: &str| json(text, is_number);
        let (min, max) = match (&self.text, &mut self.range) {
            (Some(text), _) => {
                let (least, most) = text.range();
                (least.map(&json).transpose()?, most.map(&json).transpose()?)
            }
            (None, Some((least, most))) => {
                let end = |value: ScalarValue| match value.is_null() {
                    true => Ok(None),
                    false => json(&scalar_text(&value)?).map(Some),
                };
                (
                    end(least.evaluate().map_err(failed)?)?,
                    end(most.evaluate().map_err(failed)?)?,
                )
            }
            (None, None) => (None, None),
        };
        let kind = &self.kind;
        let quantiles = self.sample.quantiles().into_iter();
        let quantiles = quantiles
            .map(|(percent, value)| {
                let value = json(&as_value(value, kind)?)?;
                Ok(Quantile { percent, value })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        // Objects and lists are not counted one by one.
        let exact = self.top.exact_distinct().filter(|_| !kind.is_nested());
        let top = self.top.values().into_iter();
        let top = top.map(|(text, count, at_least)| {
            Ok(TopValue {
                value: json(&text)?,
                count,
                at_least,
            })
        });
        Ok(ColumnSummary {
            nulls: self.nulls,
            distinct: exact.unwrap_or_else(|| self.distinct.estimate()),
            distinct_is_estimate: exact.is_none(),
            min,
            max,
            histogram: self.sample.histogram(),
            sampled: (!quantiles.is_empty()).then(|| self.sample.len()),
            quantiles,
            top: top.collect::<Result<_, Error>>()?,
            text: self.text.map(TextSketch::finish),
            kind: type_name(&self.kind),
            name: self.name,
        })
    }
}

const fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

/// Whether values of a type are smaller or larger in a way that tells somebody something.
fn has_order(kind: &DataType) -> bool {
    kind.is_numeric() || kind.is_temporal() || matches!(kind, DataType::Boolean)
}

/// The values as floats, where they can be put between others: numbers, days and moments.
fn as_numbers(column: &ArrayRef, kind: &DataType) -> Result<Option<Float64Array>, Error> {
    let as_integers = match kind {
        DataType::Date32 => cast(column, &DataType::Int32),
        DataType::Date64 | DataType::Timestamp(..) => cast(column, &DataType::Int64),
        kind if kind.is_numeric() => Ok(Arc::clone(column)),
        _ => return Ok(None),
    };
    let floats = as_integers.and_then(|column| cast(&column, &DataType::Float64));
    let floats = floats.map_err(failed)?;
    Ok(Some(floats.as_primitive::<Float64Type>().clone()))
}

/// A float that stands for a value of a type, as the value is written.
fn as_value(number: f64, kind: &DataType) -> Result<String, Error> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the number was made of an integer of 64 bits"
    )]
    let whole = || Arc::new(Int64Array::from(vec![number.round() as i64])) as ArrayRef;
    let value = match kind {
        kind if kind.is_integer() => return Ok(format!("{number:.0}")),
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => {
            let places = usize::try_from(*scale).unwrap_or_default();
            return Ok(format!("{number:.places$}"));
        }
        DataType::Date32 => cast(&whole(), &DataType::Int32).and_then(|days| cast(&days, kind)),
        DataType::Date64 | DataType::Timestamp(..) => cast(&whole(), kind),
        _ => cast(
            &(Arc::new(Float64Array::from(vec![number])) as ArrayRef),
            kind,
        ),
    };
    text_of(&value.map_err(failed)?)
}

fn scalar_text(value: &ScalarValue) -> Result<String, Error> {
    text_of(&value.to_array().map_err(failed)?)
}

/// The first value of an array.
fn text_of(array: &ArrayRef) -> Result<String, Error> {
    let formatter = ArrayFormatter::try_new(array.as_ref(), &OPTIONS).map_err(failed)?;
    let mut text = String::new();
    formatter.value(0).write(&mut text).map_err(failed)?;
    Ok(text)
}

/// A value as JSON: `NaN` and the like are no numbers there.
fn json(text: &str, is_number: bool) -> Result<Box<RawValue>, Error> {
    if is_number && let Ok(number) = RawValue::from_string(text.to_owned()) {
        return Ok(number);
    }
    serde_json::value::to_raw_value(text).map_err(failed)
}

/// The engine's own message may quote values, so it is kept for the log alone.
fn failed(error: impl Into<BoxError>) -> Error {
    Error::new(
        ErrorKind::Internal,
        "the values of a column cannot be summarised",
    )
    .with_source(error)
}
