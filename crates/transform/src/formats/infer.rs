//! Types of columns, told from the first records of a file.

use std::{fmt, sync::LazyLock};

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use regex::Regex;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    json_split::{Place, TakeRow},
    records::Record,
};
use crate::{Error, schema};

/// The type of the text of one field.
pub(crate) fn text_type(text: &str) -> DataType {
    static DATE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\d{4}-\d\d-\d\d$").expect("the pattern is valid"));
    static TIMESTAMP: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.(\d{1,9}))?(?:[Zz]|[+-]\d\d:?\d\d)?$")
            .expect("the pattern is valid")
    });
    let first = text.bytes().next().unwrap_or_default();
    if first.is_ascii_digit() || first == b'-' || first == b'.' {
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() {
            return integer_type(text, digits);
        }
        if DATE.is_match(text) {
            return DataType::Date32;
        }
        if let Some(found) = TIMESTAMP.captures(text) {
            let unit = match found.get(1).map_or(0, |fraction| fraction.len()) {
                0 => TimeUnit::Second,
                1..=3 => TimeUnit::Millisecond,
                4..=6 => TimeUnit::Microsecond,
                _ => TimeUnit::Nanosecond,
            };
            return DataType::Timestamp(unit, None);
        }
        // A leading zero belongs to a code, not to a number.
        let code = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        let number = text.bytes().all(|byte| b"0123456789.eE+-".contains(&byte));
        if number && !code && text.parse::<f64>().is_ok_and(f64::is_finite) {
            return DataType::Float64;
        }
    }
    if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
        return DataType::Boolean;
    }
    DataType::Utf8
}

fn integer_type(text: &str, digits: &str) -> DataType {
    if digits.len() > 1 && digits.starts_with('0') {
        DataType::Utf8
    } else if text.parse::<i64>().is_ok() {
        DataType::Int64
    } else if digits.len() <= 38 {
        DataType::Decimal128(38, 0)
    } else {
        DataType::Utf8
    }
}

/// Types of the fields of delimited text.
#[derive(Debug, Default)]
pub(crate) struct TextTypes(Vec<DataType>);

impl TextTypes {
    pub(crate) fn see(&mut self, record: &Record<'_>, null_values: &[String]) {
        if self.0.len() < record.fields() {
            self.0.resize(record.fields(), DataType::Null);
        }
        for (place, known) in self.0.iter_mut().enumerate() {
            if *known == DataType::Utf8 {
                continue;
            }
            let text = record.field(place).unwrap_or_default();
            let text = std::str::from_utf8(text).unwrap_or("\u{fffd}");
            if text.is_empty() || null_values.iter().any(|null| null == text) {
                continue;
            }
            *known = together(known, &text_type(text));
        }
    }

    pub(crate) fn into_types(self) -> Vec<DataType> {
        self.0
    }
}

/// Two types of text as one; a date and a number, say, only have text in common.
fn together(left: &DataType, right: &DataType) -> DataType {
    schema::widen(left, right, true).unwrap_or(DataType::Utf8)
}

/// The members of a JSON object, in order, with their texts.
#[derive(Debug)]
pub(crate) struct Members<'a>(pub(crate) Vec<(String, &'a RawValue)>);

impl<'a> Members<'a> {
    /// The value of a key: of the last, when it stands more than once.
    pub(crate) fn last(&self, key: &str) -> Option<&'a RawValue> {
        self.0
            .iter()
            .rev()
            .find(|(name, _)| name == key)
            .map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// What kind of JSON value a text is.
pub(crate) fn json_kind(text: &[u8]) -> &'static str {
    match text.first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') if text.iter().any(|byte| b".eE".contains(byte)) => "a number",
        Some(b'-' | b'0'..=b'9') if text.len() > 18 => "a very large integer",
        Some(b'-' | b'0'..=b'9') => "an integer",
        _ => "a value",
    }
}

/// Columns of JSON rows.
#[derive(Debug)]
pub(crate) struct JsonTypes {
    pub(crate) schema: Schema,
    pub(crate) rows: usize,
    pub(crate) limit: usize,
}

impl JsonTypes {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            schema: Schema::empty(),
            rows: 0,
            limit,
        }
    }
}

impl TakeRow for JsonTypes {
    fn take(&mut self, row: &[u8], _place: Place) -> Result<(), Error> {
        if self.rows >= self.limit || super::json::shape(row) != super::json::Shape::One {
            return Ok(());
        }
        // What does not fit is told when the file is read, with its place.
        let Ok(members) = serde_json::from_slice::<Members<'_>>(row) else {
            return Ok(());
        };
        self.rows += 1;
        let fields = object_fields(&members);
        if let Ok(both) = schema::union(&self.schema, &Schema::new(fields), true) {
            self.schema = both;
        }
        Ok(())
    }
}

fn object_fields(members: &Members<'_>) -> Fields {
    let mut fields: Vec<Field> = Vec::with_capacity(members.0.len());
    let mut seen = std::collections::HashSet::new();
    for (name, _) in &members.0 {
        if seen.insert(name)
            && let Some(value) = members.last(name)
        {
            fields.push(Field::new(name, json_type(value.get()), true));
        }
    }
    fields.into()
}

fn json_type(text: &str) -> DataType {
    match text.as_bytes().first() {
        Some(b'{') => serde_json::from_str::<Members<'_>>(text).map_or(DataType::Null, |members| {
            DataType::Struct(object_fields(&members))
        }),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
            let item = items.iter().fold(DataType::Null, |known, item| {
                let kind = json_type(item.get());
                schema::widen(&known, &kind, true).unwrap_or(known)
            });
            DataType::List(Field::new("item", item, true).into())
        }
        Some(b'"') => DataType::Utf8,
        Some(b't' | b'f') => DataType::Boolean,
        Some(b'n') | None => DataType::Null,
        Some(_) => {
            let digits = text.strip_prefix('-').unwrap_or(text);
            if digits.bytes().all(|byte| byte.is_ascii_digit()) {
                integer_type(text, digits)
            } else if text.parse::<f64>().is_ok_and(f64::is_finite) {
                DataType::Float64
            } else {
                DataType::Utf8
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, TimeUnit};

    use super::text_type;

    #[test]
    fn the_text_of_a_field_tells_its_type() {
        use DataType::{Boolean, Date32, Decimal128, Float64, Int64, Utf8};
        for (text, kind) in [
            ("12", Int64),
            ("-9223372036854775808", Int64),
            ("9223372036854775808", Decimal128(38, 0)),
            ("007", Utf8),
            ("00.5", Utf8),
            ("0.5", Float64),
            ("1e400", Utf8),
            ("1e3", Float64),
            ("+12025550142", Utf8),
            ("true", Boolean),
            ("2026-01-02", Date32),
            (
                "2026-01-02T03:04:05",
                DataType::Timestamp(TimeUnit::Second, None),
            ),
            (
                "2026-01-02 03:04:05.123Z",
                DataType::Timestamp(TimeUnit::Millisecond, None),
            ),
            ("NaN", Utf8),
            ("-", Utf8),
            ("1.2.3", Utf8),
        ] {
            assert_eq!(text_type(text), kind, "{text}");
        }
    }
}
