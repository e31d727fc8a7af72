//! One column.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int32Array, Int64Array},
        compute::cast,
        datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, Field, Float64Type},
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
use crate::{
    BoxError, Error, ErrorKind,
    schema::{is_text, type_name},
};

const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);

#[derive(Debug)]
pub(super) struct ColumnSketch {
    name: String,
    kind: DataType,
    rows: u64,
    nulls: u64,
    distinct: Distinct,
    range: Option<(MinAccumulator, MaxAccumulator)>,
    top: Top,
    sample: Numbers,
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
            rows: 0,
            nulls: 0,
            distinct: Distinct::default(),
            top: Top::default(),
            sample: Numbers::of(&kind),
            text: is_text(&kind).then(TextSketch::default),
            kind,
        }
    }

    pub(super) fn push(&mut self, column: &ArrayRef) -> Result<(), Error> {
        self.rows += column.len() as u64;
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
        self.sample.push(column, &self.kind)
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
        let quantiles = self.sample.quantiles(kind)?.into_iter();
        let quantiles = quantiles
            .map(|(percent, value)| {
                let value = json(&value)?;
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
            distinct: exact.unwrap_or_else(|| self.distinct.estimate().min(self.rows - self.nulls)),
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

/// Whether values of a type are smaller or larger in a way that tells somebody something.
fn has_order(kind: &DataType) -> bool {
    kind.is_numeric() || kind.is_temporal() || matches!(kind, DataType::Boolean)
}

/// A sample of what can be put between others: numbers, days and moments. Values are kept as they are, so that a quantile is a value of
/// the column.
#[derive(Debug)]
enum Numbers {
    Floats(Sample<f64>),
    /// Integers, decimals without their point, days, and units of time.
    Whole(Sample<i128>),
    None,
}

impl Numbers {
    fn of(kind: &DataType) -> Self {
        match kind {
            kind if kind.is_floating() => Self::Floats(Sample::default()),
            kind if as_whole(kind).is_some() => Self::Whole(Sample::default()),
            _ => Self::None,
        }
    }

    fn push(&mut self, column: &ArrayRef, kind: &DataType) -> Result<(), Error> {
        match self {
            Self::Floats(sample) => {
                let floats = cast(column, &DataType::Float64).map_err(failed)?;
                let floats = floats.as_primitive::<Float64Type>();
                floats.iter().flatten().for_each(|value| sample.see(value));
            }
            Self::Whole(sample) => {
                let mut whole = Arc::clone(column);
                for kind in as_whole(kind).into_iter().flatten() {
                    whole = cast(&whole, &kind).map_err(failed)?;
                }
                if whole.null_count() > column.null_count() {
                    // Beyond 38 digits. A sample without these values would give wrong quantiles.
                    *self = Self::None;
                    return Ok(());
                }
                let whole = whole.as_primitive::<Decimal128Type>();
                whole.iter().flatten().for_each(|value| sample.see(value));
            }
            Self::None => {}
        }
        Ok(())
    }

    /// The values that shares of the sample do not exceed, as they are written.
    fn quantiles(&mut self, kind: &DataType) -> Result<Vec<(u8, String)>, Error> {
        let written =
            |(percent, value): (u8, Result<String, Error>)| Ok::<_, Error>((percent, value?));
        match self {
            Self::Floats(sample) => {
                let values = sample.quantiles().into_iter();
                let values = values.map(|(percent, value)| (percent, float_text(value, kind)));
                values.map(written).collect()
            }
            Self::Whole(sample) => {
                let values = sample.quantiles().into_iter();
                let values = values.map(|(percent, value)| (percent, whole_text(value, kind)));
                values.map(written).collect()
            }
            Self::None => Ok(Vec::new()),
        }
    }

    fn histogram(&self) -> Vec<u64> {
        match self {
            Self::Floats(sample) => sample.histogram(),
            Self::Whole(sample) => sample.histogram(),
            Self::None => Vec::new(),
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Floats(sample) => sample.len(),
            Self::Whole(sample) => sample.len(),
            Self::None => 0,
        }
    }
}

/// The casts that make integers of a type's values, the last one to `Decimal128`; none for types without an order.
fn as_whole(kind: &DataType) -> Option<Vec<DataType>> {
    let decimal = |scale| DataType::Decimal128(DECIMAL128_MAX_PRECISION, scale);
    Some(match kind {
        DataType::Date32 => vec![DataType::Int32, decimal(0)],
        DataType::Date64 | DataType::Timestamp(..) => vec![DataType::Int64, decimal(0)],
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => vec![decimal(*scale)],
        kind if kind.is_integer() => vec![decimal(0)],
        _ => return None,
    })
}

/// A float as its column writes it.
fn float_text(value: f64, kind: &DataType) -> Result<String, Error> {
    let value: ArrayRef = Arc::new(Float64Array::from(vec![value]));
    text_of(&cast(&value, kind).map_err(failed)?)
}

/// What stands for a value in a sample, as the column writes the value.
fn whole_text(value: i128, kind: &DataType) -> Result<String, Error> {
    let array: ArrayRef = match kind {
        kind if kind.is_integer() => return Ok(value.to_string()),
        DataType::Date32 => {
            let days = i32::try_from(value).map_err(failed)?;
            Arc::new(Int32Array::from(vec![days]))
        }
        DataType::Date64 | DataType::Timestamp(..) => {
            let units = i64::try_from(value).map_err(failed)?;
            Arc::new(Int64Array::from(vec![units]))
        }
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => {
            let decimal = Decimal128Array::from(vec![value]);
            let decimal = decimal.with_precision_and_scale(DECIMAL128_MAX_PRECISION, *scale);
            Arc::new(decimal.map_err(failed)?)
        }
        _ => return Err(failed("a type without an order")),
    };
    text_of(&cast(&array, kind).map_err(failed)?)
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
