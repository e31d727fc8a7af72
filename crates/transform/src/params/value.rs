//! Values that have been checked against their declarations.

use std::{cmp::Ordering, collections::BTreeMap, fmt};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    scalar::ScalarValue,
};

use super::{ParamSpec, ParamType, is_e164};

/// Digits of the shortest telephone number of a person, with its country.
const SHORTEST_NUMBER: usize = 7;

/// The value of one parameter. `Display` is its text, as in a location or a record.
#[derive(Clone, PartialEq, Eq)]
pub enum BoundValue {
    /// Text, an enum's value, or a telephone number.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A decimal number: `units` divided by ten to the `scale`.
    Decimal {
        /// All digits, as one number.
        units: i128,
        /// How many of them are behind the point.
        scale: u8,
    },
    /// A flag.
    Boolean(bool),
    /// A day.
    Date(NaiveDate),
    /// A moment.
    Timestamp(DateTime<Utc>),
    /// Values of one type.
    List(ParamType, Vec<BoundValue>),
}

impl BoundValue {
    /// The value as SQL sees it.
    pub(crate) fn to_scalar(&self) -> ScalarValue {
        match self {
            Self::String(text) => ScalarValue::Utf8(Some(text.clone())),
            Self::Integer(number) => ScalarValue::Int64(Some(*number)),
            Self::Decimal { units, scale } => {
                ScalarValue::Decimal128(Some(*units), 38, i8::try_from(*scale).unwrap_or(i8::MAX))
            }
            Self::Boolean(flag) => ScalarValue::Boolean(Some(*flag)),
            Self::Date(day) => ScalarValue::Date32(Some(days_since_1970(*day))),
            Self::Timestamp(moment) => ScalarValue::TimestampMicrosecond(
                Some(moment.timestamp_micros()),
                Some("UTC".into()),
            ),
            Self::List(kind, items) => {
                let scale = items.iter().map(Self::scale).max().unwrap_or_default();
                let items: Vec<_> = items.iter().map(|item| item.rescaled(scale)).collect();
                ScalarValue::List(ScalarValue::new_list_nullable(
                    &items,
                    &kind.data_type(scale),
                ))
            }
        }
    }

    fn scale(&self) -> u8 {
        match self {
            Self::Decimal { scale, .. } => *scale,
            _ => 0,
        }
    }

    /// Whether the decimals of a list cannot all have one scale.
    pub(super) fn is_too_precise(&self) -> bool {
        let Self::List(_, items) = self else {
            return false;
        };
        let scale = items.iter().map(Self::scale).max().unwrap_or_default();
        items.iter().any(|item| item.rescaled(scale).is_null())
    }

    /// As an item of a list, whose decimals all have one scale; null where that takes more than 38 digits.
    fn rescaled(&self, to: u8) -> ScalarValue {
        match self {
            Self::Decimal { units, scale } => {
                let factor = 10_i128.checked_pow(u32::from(to - scale));
                let units = factor.and_then(|factor| units.checked_mul(factor));
                ScalarValue::Decimal128(units, 38, i8::try_from(to).unwrap_or(i8::MAX))
            }
            other => other.to_scalar(),
        }
    }

    /// Whether it is text that is written as a telephone number of E.164, long enough to be a person's.
    pub(super) fn holds_telephone_number(&self) -> bool {
        match self {
            Self::String(text) => text.len() > SHORTEST_NUMBER && is_e164(text),
            Self::List(_, items) => items.iter().any(Self::holds_telephone_number),
            _ => false,
        }
    }

    /// Some value of the parameter's type, for planning without running.
    pub(crate) fn stand_in(spec: &ParamSpec) -> Self {
        let one = |kind: ParamType| match kind {
            ParamType::String | ParamType::Enum | ParamType::Phone | ParamType::List => {
                Self::String(String::new())
            }
            ParamType::Integer => Self::Integer(1),
            ParamType::Decimal => Self::Decimal { units: 1, scale: 0 },
            ParamType::Boolean => Self::Boolean(false),
            ParamType::Date => Self::Date(NaiveDate::default()),
            ParamType::Timestamp => Self::Timestamp(DateTime::UNIX_EPOCH),
        };
        match spec.kind {
            ParamType::List => Self::List(spec.item_kind(), vec![one(spec.item_kind())]),
            kind => one(kind),
        }
    }

    /// The order of two values of one type; none for types that have no order here.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (Self::Timestamp(a), Self::Timestamp(b)) => Some(a.cmp(b)),
            (Self::String(a), Self::String(b)) => Some(a.cmp(b)),
            (Self::Decimal { units: a, scale: s }, Self::Decimal { units: b, scale: t }) => {
                let common = (*s).max(*t);
                let a = a.checked_mul(10_i128.checked_pow(u32::from(common - s))?)?;
                let b = b.checked_mul(10_i128.checked_pow(u32::from(common - t))?)?;
                Some(a.cmp(&b))
            }
            _ => None,
        }
    }
}

impl ParamType {
    /// The type of one such value in SQL.
    fn data_type(self, scale: u8) -> DataType {
        match self {
            Self::String | Self::Enum | Self::Phone | Self::List => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Decimal => DataType::Decimal128(38, i8::try_from(scale).unwrap_or(i8::MAX)),
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

fn days_since_1970(day: NaiveDate) -> i32 {
    i32::try_from(day.signed_duration_since(NaiveDate::default()).num_days()).unwrap_or(i32::MAX)
}

impl fmt::Display for BoundValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => formatter.write_str(text),
            Self::Integer(number) => number.fmt(formatter),
            Self::Decimal { units, scale } => {
                let scale = usize::from(*scale);
                let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                let (sign, point) = (
                    if *units < 0 { "-" } else { "" },
                    if scale > 0 { "." } else { "" },
                );
                write!(formatter, "{sign}{whole}{point}{fraction}")
            }
            Self::Boolean(flag) => flag.fmt(formatter),
            Self::Date(day) => day.fmt(formatter),
            Self::Timestamp(moment) => {
                formatter.write_str(&moment.to_rfc3339_opts(SecondsFormat::AutoSi, true))
            }
            Self::List(_, items) => items.iter().enumerate().try_for_each(|(index, item)| {
                formatter.write_str(if index == 0 { "" } else { "," })?;
                item.fmt(formatter)
            }),
        }
    }
}

/// Values in `Debug` would end up in logs: only the type is shown.
impl fmt::Debug for BoundValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::String(_) => "String(..)",
            Self::Integer(_) => "Integer(..)",
            Self::Decimal { .. } => "Decimal(..)",
            Self::Boolean(_) => "Boolean(..)",
            Self::Date(_) => "Date(..)",
            Self::Timestamp(_) => "Timestamp(..)",
            Self::List(..) => "List(..)",
        })
    }
}

/// A value for every parameter of an action.
#[derive(Debug, Clone, Default)]
pub struct BoundParams {
    values: BTreeMap<String, Bound>,
    now: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone)]
struct Bound {
    value: BoundValue,
    sensitive: bool,
}

impl BoundParams {
    /// No values yet. `now` is the time of the request, which `yesterday` and `now()` are relative to.
    pub(super) const fn at(now: DateTime<Utc>) -> Self {
        Self {
            values: BTreeMap::new(),
            now: Some(now),
        }
    }

    /// The time that `now()` and the other functions of the present time give in the SQL; the machine's time where no request was bound.
    pub(crate) const fn now(&self) -> Option<DateTime<Utc>> {
        self.now
    }

    pub(super) fn insert(&mut self, name: String, value: BoundValue, sensitive: bool) {
        self.values.insert(name, Bound { value, sensitive });
    }

    /// The value of one parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&BoundValue> {
        self.values.get(name).map(|bound| &bound.value)
    }

    /// Name, value, and whether the value is sensitive, in order of name.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &BoundValue, bool)> {
        self.values
            .iter()
            .map(|(name, bound)| (name.as_str(), &bound.value, bound.sensitive))
    }
}
