//! How large the result of a function can be, told from its arguments before it is computed.

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray},
        compute::cast,
        datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit},
    },
    common::Result,
    logical_expr::ScalarFunctionArgs,
};

use super::{
    arguments::{counts, moments},
    series::shortest,
};
use crate::sizes::array_bytes;

/// Longest text of a format or a delimiter that is looked at as bytes for each row.
const BYTES_PER_CHARACTER: u64 = 4;

/// Bytes that the result can have at most, for functions whose result can be much larger than their arguments.
pub(super) fn estimate(name: &str, call: &ScalarFunctionArgs) -> Result<u64> {
    let rows = call.number_rows;
    let argument = |index: usize| call.args.get(index).map(|value| value.to_array(rows));
    let argument = |index: usize| argument(index).transpose();
    match name {
        "repeat" => Ok(sum(rows, &lengths(argument(0)?)?, &numbers(argument(1)?)?)),
        "lpad" | "rpad" => {
            let wanted = numbers(argument(1)?)?;
            Ok(wanted.iter().fold(0, |sum: u64, count| {
                sum.saturating_add(count.saturating_mul(BYTES_PER_CHARACTER))
            }))
        }
        "replace" => {
            let (texts, from, to) = (
                lengths(argument(0)?)?,
                lengths(argument(1)?)?,
                lengths(argument(2)?)?,
            );
            // Each piece of the text that is as long as `from` can become `to`; of an empty `from`, each place between two.
            Ok((0..rows).fold(0, |sum: u64, row| {
                let places = texts[row] / from[row].max(1) + 1;
                sum.saturating_add(texts[row])
                    .saturating_add(places.saturating_mul(to[row]))
            }))
        }
        "regexp_replace" => {
            let (texts, to) = (lengths(argument(0)?)?, lengths(argument(2)?)?);
            // A match can be empty, and what replaces it can name the match again and again.
            Ok((0..rows).fold(0, |sum: u64, row| {
                sum.saturating_add((texts[row] + 1).saturating_mul(to[row] + 1))
            }))
        }
        "concat" | "concat_ws" | "flowlake_concat" => {
            let mut total = 0_u64;
            for index in 0..call.args.len() {
                if let Some(array) = argument(index)? {
                    total = total.saturating_add(array_bytes(array.as_ref()));
                    if name == "concat_ws" && index == 0 {
                        let between = array_bytes(array.as_ref());
                        total =
                            total.saturating_add(between.saturating_mul(call.args.len() as u64));
                    }
                }
            }
            Ok(total)
        }
        "array_repeat" => {
            let counts = numbers(argument(1)?)?;
            Ok(each(argument(0)?, rows).saturating_mul(total(&counts)))
        }
        "array_resize" => {
            let counts = numbers(argument(1)?)?;
            let filler = match argument(2)? {
                Some(filler) => each(Some(filler), rows),
                None => 8,
            };
            Ok(total(&counts).saturating_mul(filler.max(8)))
        }
        "array_to_string" => {
            let (Some(lists), between) = (argument(0)?, lengths(argument(1)?)?) else {
                return Ok(0);
            };
            let longest = between.into_iter().max().unwrap_or(0);
            let bytes = array_bytes(lists.as_ref());
            // An item takes a byte at least, and is followed by the delimiter.
            Ok(bytes.saturating_add(bytes.saturating_mul(longest)))
        }
        "range" | "generate_series" => series(&argument(0)?, &argument(1)?, &argument(2)?, rows),
        _ => Ok(0),
    }
}

/// Bytes of the list of numbers or days that a series has.
fn series(
    start: &Option<ArrayRef>,
    stop: &Option<ArrayRef>,
    step: &Option<ArrayRef>,
    rows: usize,
) -> Result<u64> {
    let Some(first) = start else { return Ok(0) };
    let of_time = matches!(
        first.data_type(),
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)
    );
    if of_time {
        let (Some(stop), Some(step)) = (stop, step) else {
            return Ok(0);
        };
        let kind = DataType::Interval(IntervalUnit::MonthDayNano);
        let steps = cast(step, &kind)?;
        let steps = steps.as_primitive::<IntervalMonthDayNanoType>();
        let (from, to) = (moments(first)?, moments(stop)?);
        let ends = from.iter().zip(to).zip(steps);
        return Ok(ends.fold(0, |sum: u64, ((from, to), step)| {
            let items = match (from, to, step) {
                (Some(from), Some(to), Some(step)) => {
                    let span = to.signed_duration_since(*from).num_milliseconds();
                    let span = u128::from(span.unsigned_abs()) * 1_000_000;
                    let items = span / shortest(step).unsigned_abs().max(1) + 1;
                    u64::try_from(items).unwrap_or(u64::MAX)
                }
                _ => 0,
            };
            sum.saturating_add(items.saturating_mul(8))
        }));
    }
    let first = counts(first)?;
    let (starts, stops) = match stop {
        Some(stop) => (first, counts(stop)?),
        None => (vec![Some(0); rows], first),
    };
    let steps = match step {
        Some(step) => counts(step)?,
        None => vec![Some(1); rows],
    };
    Ok((0..rows).fold(0, |sum: u64, row| {
        let items = match (starts[row], stops[row], steps[row]) {
            (Some(start), Some(stop), Some(step)) => {
                (stop.abs_diff(start) / step.unsigned_abs().max(1)).saturating_add(1)
            }
            _ => 0,
        };
        sum.saturating_add(items.saturating_mul(8))
    }))
}

/// Bytes of one item, of the largest row if there are several.
fn each(items: Option<ArrayRef>, rows: usize) -> u64 {
    items.map_or(0, |items| {
        let rows = items.len().min(rows);
        (0..rows)
            .map(|row| array_bytes(items.slice(row, 1).as_ref()))
            .max()
            .unwrap_or(0)
    })
}

fn total(counts: &[u64]) -> u64 {
    counts
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
}

fn sum(rows: usize, left: &[u64], right: &[u64]) -> u64 {
    (0..rows).fold(0, |sum: u64, row| {
        sum.saturating_add(left[row].saturating_mul(right[row]))
    })
}

/// Bytes of each text.
fn lengths(texts: Option<ArrayRef>) -> Result<Vec<u64>> {
    let Some(texts) = texts else {
        return Ok(Vec::new());
    };
    let texts = cast(&texts, &DataType::Utf8View)?;
    let views = texts.as_string_view();
    Ok(views
        .iter()
        .map(|text| text.map_or(0, |text| text.len() as u64))
        .collect())
}

/// Counts; a negative one is none.
fn numbers(counts: Option<ArrayRef>) -> Result<Vec<u64>> {
    let Some(counts) = counts else {
        return Ok(Vec::new());
    };
    let counts = cast(&counts, &DataType::Int64)?;
    Ok(counts
        .as_primitive::<Int64Type>()
        .iter()
        .map(|count| count.map_or(0, |count| u64::try_from(count).unwrap_or(0)))
        .collect())
}
