//! Values of a generated table: as JSON answers them, as SQL and parameters write them.

use chrono::{DateTime, Days, NaiveDate};
use serde::{Deserialize, Serialize};

/// The kind of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// 64 bits.
    Integer,
    /// 64 bits, finite.
    Float,
    /// `decimal(12, 2)`.
    Decimal,
    /// Text.
    String,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// A moment on a clock without a zone.
    Timestamp,
    /// A moment of UTC.
    Timestamptz,
    /// A list of integers.
    Integers,
    /// An object of an integer `n` and a text `s`.
    Object,
}

/// One value. Moments are microseconds since 1970, days are days since 1970, decimals are hundredths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Null, of any kind.
    Null,
    /// Of [`Kind::Integer`].
    Integer(i64),
    /// Of [`Kind::Float`].
    Float(f64),
    /// Of [`Kind::Decimal`].
    Decimal(i64),
    /// Of [`Kind::String`].
    String(String),
    /// Of [`Kind::Boolean`].
    Boolean(bool),
    /// Of [`Kind::Date`].
    Date(i32),
    /// Of [`Kind::Timestamp`].
    Timestamp(i64),
    /// Of [`Kind::Timestamptz`].
    Timestamptz(i64),
    /// Of [`Kind::Integers`]: integers and nulls.
    Integers(Vec<Option<i64>>),
    /// Of [`Kind::Object`]: its members, each of which may be null.
    Object(Option<i64>, Option<String>),
    /// Values of one kind, for `IN`; never in a table.
    Many(Vec<Self>),
}

impl Kind {
    /// The kinds that every format has.
    pub(crate) const FLAT: [Self; 8] = [
        Self::Integer,
        Self::Float,
        Self::Decimal,
        Self::String,
        Self::Boolean,
        Self::Date,
        Self::Timestamp,
        Self::Timestamptz,
    ];

    /// As `types` of an action's table writes it.
    #[must_use]
    pub const fn declared(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Decimal => "decimal(12, 2)",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamptz",
            Self::Integers => "List(Int64)",
            Self::Object => r#"Struct("n": Int64, "s": Utf8)"#,
        }
    }

    /// Whether its values hold others.
    pub(crate) const fn is_nested(self) -> bool {
        matches!(self, Self::Integers | Self::Object)
    }

    /// The type of a parameter that holds such values; none is a float.
    pub(crate) const fn param(self) -> Option<&'static str> {
        Some(match self {
            Self::Integer => "integer",
            Self::Float | Self::Integers | Self::Object => return None,
            Self::Decimal => "decimal",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Timestamp | Self::Timestamptz => "timestamp",
        })
    }
}

impl Value {
    pub(crate) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// As text formats write it, without quotes; nothing for null.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => format!("{number:?}"),
            Self::Decimal(hundredths) => decimal(*hundredths),
            Self::String(text) => text.clone(),
            Self::Boolean(is) => is.to_string(),
            Self::Date(days) => date(*days).to_string(),
            Self::Timestamp(micros) => moment(*micros),
            Self::Timestamptz(micros) => moment(*micros) + "Z",
            Self::Integers(_) | Self::Object(..) => self.json(),
            Self::Many(values) => format!("{values:?}"),
        }
    }

    /// As JSON answers it.
    pub(crate) fn json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Integer(_) | Self::Float(_) | Self::Decimal(_) | Self::Boolean(_) => self.plain(),
            Self::Integers(items) => serde_json::json!(items).to_string(),
            Self::Object(number, text) => serde_json::json!({ "n": number, "s": text }).to_string(),
            _ => serde_json::Value::String(self.plain()).to_string(),
        }
    }

    /// As a literal of SQL.
    pub(crate) fn sql(&self) -> String {
        let text = self.plain().replace('\'', "''");
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Integer(_) | Self::Float(_) | Self::Boolean(_) => text,
            Self::Decimal(_) => format!("CAST('{text}' AS DECIMAL(12, 2))"),
            Self::String(_) | Self::Integers(_) | Self::Object(..) => format!("'{text}'"),
            Self::Date(_) => format!("DATE '{text}'"),
            Self::Timestamp(_) | Self::Timestamptz(_) => format!("TIMESTAMP '{text}'"),
            Self::Many(values) => values.iter().map(Self::sql).collect::<Vec<_>>().join(", "),
        }
    }

    /// As it is sent for a parameter.
    pub(crate) fn sent(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Integer(number) => (*number).into(),
            Self::Boolean(is) => (*is).into(),
            Self::Timestamp(_) => (self.plain() + "Z").into(),
            Self::Many(values) => values.iter().map(Self::sent).collect(),
            _ => self.plain().into(),
        }
    }

    pub(crate) fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Null => return None,
            Self::Many(values) => return values.first().and_then(Self::kind),
            Self::Integer(_) => Kind::Integer,
            Self::Float(_) => Kind::Float,
            Self::Decimal(_) => Kind::Decimal,
            Self::String(_) => Kind::String,
            Self::Boolean(_) => Kind::Boolean,
            Self::Date(_) => Kind::Date,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Timestamptz(_) => Kind::Timestamptz,
            Self::Integers(_) => Kind::Integers,
            Self::Object(..) => Kind::Object,
        })
    }
}

fn decimal(hundredths: i64) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    let all = hundredths.unsigned_abs();
    format!("{sign}{}.{:02}", all / 100, all % 100)
}

fn date(days: i32) -> NaiveDate {
    let epoch = DateTime::UNIX_EPOCH.date_naive();
    let count = Days::new(days.unsigned_abs().into());
    let found = if days < 0 {
        epoch.checked_sub_days(count)
    } else {
        epoch.checked_add_days(count)
    };
    found.expect("generated days are of four-digit years")
}

/// ISO 8601 with the digits of a second that the moment has.
fn moment(micros: i64) -> String {
    let at = DateTime::from_timestamp_micros(micros).expect("generated moments can be written");
    let seconds = at.format("%Y-%m-%dT%H:%M:%S");
    match at.timestamp_subsec_micros() {
        0 => seconds.to_string(),
        fraction if fraction % 1000 == 0 => format!("{seconds}.{:03}", fraction / 1000),
        fraction => format!("{seconds}.{fraction:06}"),
    }
}

/// A cell of an answer in one spelling: numbers without zeros behind the point, moments without fractions of zero.
pub(crate) fn canonical(json: &str) -> String {
    match json.as_bytes().first() {
        Some(b'-' | b'0'..=b'9') => number(json),
        Some(b'"') if is_moment(json) => {
            let (zone, text) = match json.strip_suffix("Z\"") {
                Some(text) => ("Z\"", text),
                None => ("\"", &json[..json.len() - 1]),
            };
            let text = text.split_once('.').map_or_else(
                || text.to_owned(),
                |(seconds, fraction)| match fraction.trim_end_matches('0') {
                    "" => seconds.to_owned(),
                    digits => format!("{seconds}.{digits}"),
                },
            );
            text + zone
        }
        _ => json.to_owned(),
    }
}

fn number(json: &str) -> String {
    let plain = if json.contains(['e', 'E']) {
        json.parse::<f64>()
            .map_or_else(|_| json.to_owned(), |number| number.to_string())
    } else {
        json.to_owned()
    };
    let short = if plain.contains('.') {
        plain.trim_end_matches('0').trim_end_matches('.')
    } else {
        plain.as_str()
    };
    if short == "-0" { "0" } else { short }.to_owned()
}

fn is_moment(json: &str) -> bool {
    let text = json.as_bytes();
    text.len() >= 21 && text[5] == b'-' && text[11] == b'T' && text[14] == b':' && text[17] == b':'
}

/// Whether two canonical cells are the same value; sums of floats may differ by rounding.
pub(crate) fn same(left: &str, right: &str) -> bool {
    if left == right {
        return true;
    }
    let is_number = |text: &str| matches!(text.as_bytes().first(), Some(b'-' | b'0'..=b'9'));
    if !is_number(left) || !is_number(right) || !(left.contains('.') || right.contains('.')) {
        return false;
    }
    match (left.parse::<f64>(), right.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 1e-12 * a.abs().max(b.abs()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Value, canonical, same};

    #[test]
    fn spellings_of_one_value_are_one_and_others_are_not() {
        for (json, expected) in [
            ("1.50", "1.5"),
            ("1.0", "1"),
            ("-0.0", "0"),
            ("9007199254740993", "9007199254740993"),
            ("1e3", "1000"),
            ("\"2026-01-05T10:00:00.000\"", "\"2026-01-05T10:00:00\""),
            (
                "\"2026-01-05T10:00:00.120Z\"",
                "\"2026-01-05T10:00:00.12Z\"",
            ),
            ("\"1.50\"", "\"1.50\""),
        ] {
            assert_eq!(canonical(json), expected);
        }
        assert!(same("0.30000000000000004", "0.3"));
        assert!(!same("9007199254740993", "9007199254740992"));
        assert!(!same("\"1\"", "1"));
        assert!(!same("null", "0"));
    }

    #[test]
    fn values_are_written_as_answers_have_them() {
        assert_eq!(Value::Decimal(-5).plain(), "-0.05");
        assert_eq!(Value::Date(20_458).plain(), "2026-01-05");
        assert_eq!(
            Value::Timestamp(1_500_000).plain(),
            "1970-01-01T00:00:01.500"
        );
        assert_eq!(
            Value::Timestamptz(1).json(),
            "\"1970-01-01T00:00:00.000001Z\""
        );
        assert_eq!(Value::String("it's".to_owned()).sql(), "'it''s'");
    }
}
