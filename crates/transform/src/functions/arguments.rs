//! Arguments of our functions: days, texts and counts as plain values, whatever Arrow type they came as.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta};
use chrono_tz::Tz;
use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray},
        compute::cast,
        datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType},
    },
    common::{DataFusionError, Result, plan_err},
    logical_expr::ColumnarValue,
};

/// The type that an argument which is a day or a moment is brought to: a moment stays one.
pub(super) fn day_type(function: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Timestamp(_, zone) => {
            Ok(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        DataType::Date32
        | DataType::Date64
        | DataType::Null
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View => Ok(DataType::Date32),
        other => plan_err!("{function} needs a date or a timestamp and was given {other}"),
    }
}

/// A timestamp, in microseconds, with its zone if it has one.
pub(super) fn moment_type(function: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Timestamp(_, zone) => {
            Ok(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        DataType::Date32
        | DataType::Date64
        | DataType::Null
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View => Ok(DataType::Timestamp(TimeUnit::Microsecond, None)),
        other => plan_err!("{function} needs a timestamp and was given {other}"),
    }
}

/// The argument as one array of `rows`.
pub(super) fn array(value: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    value.to_array(rows)
}

/// Days; of a moment, the day that its own zone has then, and UTC if it has none.
pub(super) fn days(array: &ArrayRef) -> Result<Vec<Option<NaiveDate>>> {
    if let DataType::Timestamp(_, zone) = array.data_type() {
        let zone = zone.as_deref().map_or(Ok(Tz::UTC), parse_zone)?;
        return Ok(moments(array)?
            .into_iter()
            .map(|moment| moment.map(|moment| moment.with_timezone(&zone).date_naive()))
            .collect());
    }
    let days = cast(array, &DataType::Date32)?;
    Ok(days
        .as_primitive::<Date32Type>()
        .iter()
        .map(|day| day.and_then(day_of))
        .collect())
}

/// Moments of UTC; a timestamp without a zone is one of UTC.
pub(super) fn moments(array: &ArrayRef) -> Result<Vec<Option<DateTime<chrono::Utc>>>> {
    let zone = match array.data_type() {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    let array = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
    Ok(array
        .as_primitive::<TimestampMicrosecondType>()
        .iter()
        .map(|micros| micros.and_then(DateTime::from_timestamp_micros))
        .collect())
}

pub(super) fn texts(array: &ArrayRef) -> Result<Vec<Option<String>>> {
    let array = cast(array, &DataType::Utf8)?;
    Ok(array
        .as_string::<i32>()
        .iter()
        .map(|text| text.map(str::to_owned))
        .collect())
}

pub(super) fn counts(array: &ArrayRef) -> Result<Vec<Option<i64>>> {
    let array = cast(array, &DataType::Int64)?;
    Ok(array.as_primitive::<Int64Type>().iter().collect())
}

/// The days of each row: of a list, or of a text with commas between them.
pub(super) fn day_lists(array: &ArrayRef) -> Result<Vec<Option<Vec<NaiveDate>>>> {
    if let DataType::List(_) = array.data_type() {
        let lists = array.as_list::<i32>();
        return lists
            .iter()
            .map(|list| {
                list.map(|list| Ok(days(&list)?.into_iter().flatten().collect()))
                    .transpose()
            })
            .collect();
    }
    texts(array)?
        .into_iter()
        .map(|text| {
            text.map(|text| {
                text.split(',')
                    .map(str::trim)
                    .filter(|day| !day.is_empty())
                    .map(|day| {
                        NaiveDate::parse_from_str(day, "%Y-%m-%d").map_err(|_error| {
                            invalid("a holiday is no day such as 2026-12-25".to_owned())
                        })
                    })
                    .collect()
            })
            .transpose()
        })
        .collect()
}

/// A zone of the IANA database, such as `Europe/Berlin`, or an offset such as `+02:00` as timestamps carry them.
pub(super) fn parse_zone(name: &str) -> Result<Tz> {
    if matches!(name, "+00:00" | "Z") {
        return Ok(Tz::UTC);
    }
    name.parse().map_err(|_error| {
        invalid("a time zone is no name of the IANA database, such as Europe/Berlin".to_owned())
    })
}

/// An error of a value; it does not quote the value.
pub(super) fn invalid(message: String) -> DataFusionError {
    DataFusionError::External(Box::new(InvalidArgument(message)))
}

/// A value that one of our functions cannot take. Its text is for callers: it never holds the value.
#[derive(Debug)]
pub(crate) struct InvalidArgument(String);

impl std::fmt::Display for InvalidArgument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for InvalidArgument {}

fn day_of(days_since_1970: i32) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(TimeDelta::try_days(i64::from(days_since_1970))?)
}

/// Days as Arrow has them.
pub(super) fn days_array(days: impl IntoIterator<Item = Option<NaiveDate>>) -> ArrayRef {
    let days = days.into_iter().map(|day| {
        day.and_then(|day| {
            i32::try_from(day.signed_duration_since(NaiveDate::default()).num_days()).ok()
        })
    });
    Arc::new(days.collect::<datafusion::arrow::array::Date32Array>())
}
