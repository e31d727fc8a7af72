//! From JSON values, or the text of a command line, to typed values.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime};
use serde_json::{Value, value::RawValue};

use super::{BoundValue, ParamType, relative::Now};
use crate::{Error, ErrorKind};

/// Longest text of a parameter in bytes.
const LONGEST_TEXT: usize = 4096;
/// Years that ISO 8601 writes with four digits: what is bound can be written, in a key or a record, and read again.
const YEARS: std::ops::RangeInclusive<i32> = 0..=9999;
/// Most digits of a decimal: those of Arrow's `Decimal128`.
const DECIMAL_DIGITS: usize = 38;

impl ParamType {
    /// Reads `value` as this type. Errors name the parameter and what is expected, never the value.
    pub(super) fn parse(self, name: &str, value: &Value, now: Now) -> Result<BoundValue, Error> {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => String::new(),
        };
        let is_text = value.is_string();
        let parsed = match self {
            _ if value.is_array() || value.is_object() || text.len() > LONGEST_TEXT => None,
            Self::String | Self::Enum => {
                (is_text && !text.contains('\0')).then_some(BoundValue::String(text))
            }
            Self::Integer => integer(&text).map(BoundValue::Integer),
            Self::Decimal => decimal(&text),
            Self::Boolean => text.parse().ok().map(BoundValue::Boolean),
            Self::Date => date(&text, now).map(BoundValue::Date),
            Self::Timestamp => timestamp(&text, now),
            Self::Phone => (is_text && is_e164(&text)).then_some(BoundValue::String(text)),
            // Its items are read one by one.
            Self::List => None,
        };
        parsed.ok_or_else(|| {
            let message = if value.as_str().is_some_and(|text| text.contains('\0')) {
                format!(
                    "the parameter `{name}` holds the character U+0000, which no value may have"
                )
            } else {
                format!("the parameter `{name}` must be {}", self.expectation())
            };
            Error::new(ErrorKind::InvalidParam, message)
        })
    }

    pub(crate) const fn expectation(self) -> &'static str {
        match self {
            Self::String | Self::Enum => "text of at most 4096 bytes",
            Self::Integer => "a whole number of 64 bits",
            Self::Decimal => "a decimal number of at most 38 digits",
            Self::Boolean => "true or false",
            Self::Date => "a day such as 2026-01-31, or today, yesterday, tomorrow or -7d",
            Self::Timestamp => {
                "a moment such as 2026-01-31T12:00:00Z, with at most six digits behind the second, or now, today or -12h"
            }
            Self::Phone => "a telephone number in E.164, such as +12025550142",
            Self::List => "a list",
        }
    }
}

/// The items of a list: a JSON array, or text with commas between the items, as flows and command lines send it.
pub(super) fn items(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.clone()),
        Value::String(text) if text.trim_start().starts_with('[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            items.into_iter().map(item).collect()
        }
        Value::String(text) if text.trim().is_empty() => Some(Vec::new()),
        Value::String(text) => Some(
            text.split(',')
                .map(|item| Value::String(item.trim().to_owned()))
                .collect(),
        ),
        Value::Number(_) | Value::Bool(_) => Some(vec![value.clone()]),
        Value::Null | Value::Object(_) => None,
    }
}

/// An item of a JSON array. A fraction stays the text that it is: a float does not have all of its digits.
fn item(raw: &RawValue) -> Option<Value> {
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    Some(if value.is_f64() {
        Value::String(raw.get().to_owned())
    } else {
        value
    })
}

/// Digits with an optional `-`; `+5`, which Rust would take, is no number in JSON either.
fn integer(text: &str) -> Option<i64> {
    (!text.starts_with('+')).then(|| text.parse().ok())?
}

fn date(text: &str, now: Now) -> Option<NaiveDate> {
    let written = |day: &NaiveDate| YEARS.contains(&day.year());
    // The strict form only: `chrono` alone would also take 2026-1-3 and +2026-01-03.
    let strict = text.len() == 10 && text.starts_with(|c: char| c.is_ascii_digit());
    if strict && let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(day).filter(written);
    }
    now.day(text).filter(written)
}

/// With an offset as written, else on the clock of the parameter's zone; within what microseconds in 64 bits can say.
fn timestamp(text: &str, now: Now) -> Option<BoundValue> {
    let written = DateTime::parse_from_rfc3339(text)
        .map(|moment| moment.to_utc())
        .ok()
        .or_else(|| {
            let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f").ok()?;
            now.wall_clock(local)
        });
    let moment = match written {
        Some(moment) if moment.timestamp_subsec_nanos() % 1_000 != 0 => return None,
        Some(moment) => moment,
        None => now.moment(text)?,
    };
    // A leap second would be a moment that SQL cannot hold.
    let held = moment.timestamp_subsec_nanos() < 1_000_000_000 && YEARS.contains(&moment.year());
    held.then_some(BoundValue::Timestamp(moment))
}

/// `-12.340` as the digits -12340 and the scale 3.
fn decimal(text: &str) -> Option<BoundValue> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty()
        || whole.is_empty()
        || digits.len() > DECIMAL_DIGITS
        || !digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let magnitude: i128 = digits.parse().ok()?;
    let units = if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    };
    Some(BoundValue::Decimal {
        units,
        scale: u8::try_from(fraction.len()).ok()?,
    })
}

/// E.164 (ITU-T): a country code that does not begin with 0, at most 15 digits in all.
pub(crate) fn is_e164(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else {
        return false;
    };
    (2..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}
