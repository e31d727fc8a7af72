//! From JSON values, or the text of a command line, to typed values.

use chrono::{DateTime, Days, NaiveDate, Utc};
use serde_json::Value;

use super::{BoundValue, ParamType};
use crate::{Error, ErrorKind};

/// Longest text of a parameter in bytes.
const LONGEST_TEXT: usize = 4096;
/// Most digits of a decimal: those of Arrow's `Decimal128`.
const DECIMAL_DIGITS: usize = 38;

impl ParamType {
    /// Reads `value` as this type. Errors name the parameter and what is expected, never the value.
    pub(super) fn parse(
        self,
        name: &str,
        value: &Value,
        now: DateTime<Utc>,
    ) -> Result<BoundValue, Error> {
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
            Self::Integer => text.parse().ok().map(BoundValue::Integer),
            Self::Decimal => decimal(&text),
            Self::Boolean => text.parse().ok().map(BoundValue::Boolean),
            Self::Date => date(&text, now).map(BoundValue::Date),
            Self::Timestamp => DateTime::parse_from_rfc3339(&text)
                .ok()
                .map(|moment| BoundValue::Timestamp(moment.to_utc())),
            Self::Phone => is_e164(&text).then_some(BoundValue::String(text)),
        };
        parsed.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidParam,
                format!("the parameter `{name}` must be {}", self.expectation()),
            )
        })
    }

    const fn expectation(self) -> &'static str {
        match self {
            Self::String | Self::Enum => "text of at most 4096 bytes",
            Self::Integer => "a whole number of 64 bits",
            Self::Decimal => "a decimal number of at most 38 digits",
            Self::Boolean => "true or false",
            Self::Date => "a day such as 2026-01-31, or today, yesterday or tomorrow",
            Self::Timestamp => "a moment such as 2026-01-31T12:00:00Z",
            Self::Phone => "a telephone number in E.164, such as +12025550142",
        }
    }
}

/// Days by name are days in UTC, as export folders usually are.
fn date(text: &str, now: DateTime<Utc>) -> Option<NaiveDate> {
    let today = now.date_naive();
    match text {
        "today" => Some(today),
        "yesterday" => today.checked_sub_days(Days::new(1)),
        "tomorrow" => today.checked_add_days(Days::new(1)),
        // The strict form only: `chrono` alone would also take 2026-1-3.
        _ if text.len() == 10 => NaiveDate::parse_from_str(text, "%Y-%m-%d").ok(),
        _ => None,
    }
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
fn is_e164(text: &str) -> bool {
    let Some(digits) = text.strip_prefix('+') else {
        return false;
    };
    (2..=15).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}
