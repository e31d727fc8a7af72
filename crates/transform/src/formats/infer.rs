//! Types of columns, found from the first records of a file: the types that the functions which read values find all of them
//! to be of.

use std::{collections::HashMap, fmt, sync::Arc};

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    json_keys::KeyWatch,
    json_split::{Place, TakeRow},
    known::Known,
    misfit::{ARRAY, LARGE_INTEGER, MOST_UNLISTED, OBJECT},
    records::Record,
    values,
};
use crate::Error;

/// Digits that the engine's decimals have.
const MOST_DIGITS: usize = 38;

/// The types that all values seen so far are of.
#[derive(Debug, Clone)]
pub(crate) struct Candidates {
    seen: bool,
    integer: bool,
    float: bool,
    /// Most digits before and after the point.
    decimal: Option<(usize, usize)>,
    boolean: bool,
    date: bool,
    microseconds: bool,
    nanoseconds: bool,
}

impl Default for Candidates {
    fn default() -> Self {
        Self {
            seen: false,
            integer: true,
            float: true,
            decimal: Some((0, 0)),
            boolean: true,
            date: true,
            microseconds: true,
            nanoseconds: true,
        }
    }
}

impl Candidates {
    pub(crate) fn see(&mut self, text: &[u8]) {
        self.seen = true;
        self.integer = self.integer && values::integer(text).is_some();
        self.float = self.float && values::float(text).is_some();
        self.decimal = self.decimal.and_then(|(whole, fraction)| {
            let (own_whole, own_fraction) = values::decimal_digits(text)?;
            let (whole, fraction) = (whole.max(own_whole), fraction.max(own_fraction));
            (whole + fraction <= MOST_DIGITS).then_some((whole, fraction))
        });
        self.boolean = self.boolean && values::boolean(text).is_some();
        self.date = self.date && values::date(text).is_some();
        if self.microseconds || self.nanoseconds {
            let moment = values::moment(text);
            let is_of = |unit| moment.is_some_and(|moment| moment.in_unit(unit).is_some());
            self.microseconds = self.microseconds && is_of(TimeUnit::Microsecond);
            self.nanoseconds = self.nanoseconds && is_of(TimeUnit::Nanosecond);
        }
    }

    /// The narrowest of the types; text when there is none, and nothing known when no value was seen.
    pub(crate) fn kind(&self) -> DataType {
        if !self.seen {
            return DataType::Null;
        }
        match self.decimal {
            _ if self.integer => DataType::Int64,
            Some((_, 0)) => DataType::Decimal128(38, 0),
            _ if self.float => DataType::Float64,
            // Integers that a float would take digits from, beside numbers with a fraction.
            Some((_, fraction)) => i8::try_from(fraction).map_or(DataType::Utf8, |fraction| {
                DataType::Decimal128(38, fraction)
            }),
            None if self.boolean => DataType::Boolean,
            None if self.date => DataType::Date32,
            None if self.microseconds => DataType::Timestamp(TimeUnit::Microsecond, None),
            None if self.nanoseconds => DataType::Timestamp(TimeUnit::Nanosecond, None),
            None => DataType::Utf8,
        }
    }

    /// Whether a value is of the type that those seen so far have, which is not text.
    pub(crate) fn is_like(&self, text: &[u8]) -> bool {
        let mut with = self.clone();
        with.see(text);
        self.seen && with.kind() != DataType::Utf8
    }

    /// Whether a value has been seen that is nothing but text.
    pub(crate) fn is_text(&self) -> bool {
        self.seen && self.kind() == DataType::Utf8
    }
}

/// The type of one text.
pub(crate) fn text_type(text: &str) -> DataType {
    let mut candidates = Candidates::default();
    candidates.see(text.as_bytes());
    candidates.kind()
}

/// Types of the fields of delimited text.
#[derive(Debug, Default)]
pub(crate) struct TextTypes(Vec<Candidates>);

impl TextTypes {
    pub(crate) fn see(&mut self, record: &Record<'_>, null_values: &[String]) {
        if self.0.len() < record.fields() {
            self.0.resize(record.fields(), Candidates::default());
        }
        for (place, known) in self.0.iter_mut().enumerate() {
            let text = record.field(place).unwrap_or_default();
            let is_null = text.is_empty() || null_values.iter().any(|null| null.as_bytes() == text);
            if !is_null && !known.is_text() {
                known.see(text);
            }
        }
    }

    /// What is known of the fields in a place.
    pub(crate) fn at(&self, place: usize) -> Option<&Candidates> {
        self.0.get(place)
    }

    pub(crate) fn into_types(self) -> Vec<DataType> {
        self.0.iter().map(Candidates::kind).collect()
    }
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
        Some(b'{') => OBJECT,
        Some(b'[') => ARRAY,
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') if text.iter().any(|byte| b".eE".contains(byte)) => "a number",
        Some(b'-' | b'0'..=b'9') if text.len() > 15 => LARGE_INTEGER,
        Some(b'-' | b'0'..=b'9') => "an integer",
        _ => "a value",
    }
}

/// Columns of JSON rows.
#[derive(Debug)]
pub(crate) struct JsonTypes {
    columns: ObjectTypes,
    pub(crate) rows: usize,
    limit: usize,
    /// Compares rows beyond the limit with those before, once there is one.
    beyond: Option<KeyWatch>,
    /// Keys that only rows beyond the limit have.
    late: Vec<String>,
}

/// What is known of a value by those seen so far.
#[derive(Debug, Default)]
enum JsonType {
    /// Nothing but null.
    #[default]
    Unknown,
    Number(Candidates),
    Boolean,
    Text,
    Object(ObjectTypes),
    List(Box<Self>),
}

/// What is known of the members of an object, in the order in which they came up.
#[derive(Debug, Default)]
struct ObjectTypes {
    members: Vec<(String, JsonType)>,
    places: HashMap<String, usize>,
}

impl JsonTypes {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            columns: ObjectTypes::default(),
            rows: 0,
            limit,
            beyond: None,
            late: Vec::new(),
        }
    }

    pub(crate) fn schema(&self) -> Schema {
        Schema::new(self.columns.fields())
    }

    /// Keys that were only seen in rows beyond the limit; of those inside of an object, with the keys before them: `o.late`.
    pub(crate) fn into_late(self) -> Vec<String> {
        self.late
    }
}

impl TakeRow for JsonTypes {
    fn take(&mut self, row: &[u8], _place: Place) -> Result<(), Error> {
        if self.rows >= self.limit && self.late.len() >= MOST_UNLISTED {
            return Ok(());
        }
        if super::json_check::shape(row) != super::json_check::Shape::One {
            return Ok(());
        }
        // What does not fit is reported when the file is read, with its place.
        if self.rows < self.limit {
            if let Ok(members) = serde_json::from_slice::<Members<'_>>(row) {
                self.rows += 1;
                self.columns.see(&members);
            }
        } else if row.first() == Some(&b'{') && super::json_check::is_value(row) {
            let Self {
                columns,
                beyond,
                late,
                ..
            } = self;
            let known = || KeyWatch::new(Arc::new(Known::of(&columns.fields())));
            let beyond = beyond.get_or_insert_with(known);
            beyond.look_at(row, |name| {
                if late.len() < MOST_UNLISTED {
                    late.push(name.to_owned());
                }
            });
        }
        Ok(())
    }
}

impl ObjectTypes {
    fn see(&mut self, members: &Members<'_>) {
        // Of a key that stands twice, the last value counts.
        let values: HashMap<&str, &RawValue> = members
            .0
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        for (name, _) in &members.0 {
            let place = *self.places.entry(name.clone()).or_insert_with(|| {
                self.members.push((name.clone(), JsonType::Unknown));
                self.members.len() - 1
            });
            if let Some(value) = values.get(name.as_str()) {
                self.members[place].1.see(value.get());
            }
        }
    }

    fn fields(&self) -> Fields {
        let members = self.members.iter();
        let fields = members.map(|(name, kind)| Field::new(name, kind.kind(), true));
        fields.collect()
    }
}

impl JsonType {
    /// Takes a value in. An object among values of another kind, or the other way round, leaves what is known: it is found
    /// not to fit when it is read.
    fn see(&mut self, text: &str) {
        let first = text.bytes().next();
        if self.is_empty_list() && !matches!(first, Some(b'[' | b'n') | None) {
            *self = Self::Unknown;
        }
        match (first, &mut *self) {
            (Some(b'n') | None, _)
            | (Some(b'{' | b'['), Self::Number(_) | Self::Boolean | Self::Text) => {}
            (Some(b'{'), Self::Unknown | Self::Object(_)) => {
                if matches!(self, Self::Unknown) {
                    *self = Self::Object(ObjectTypes::default());
                }
                if let (Self::Object(known), Ok(members)) = (self, serde_json::from_str(text)) {
                    known.see(&members);
                }
            }
            (Some(b'['), Self::Unknown | Self::List(_)) => {
                if matches!(self, Self::Unknown) {
                    *self = Self::List(Box::default());
                }
                let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
                if let Self::List(known) = self {
                    items.iter().for_each(|item| known.see(item.get()));
                }
            }
            (_, Self::Object(_) | Self::List(_) | Self::Text) => {}
            (Some(b'"'), _) => *self = Self::Text,
            (Some(b't' | b'f'), Self::Unknown | Self::Boolean) => *self = Self::Boolean,
            (Some(b't' | b'f'), Self::Number(_)) | (_, Self::Boolean) => *self = Self::Text,
            (_, Self::Unknown) => {
                let mut candidates = Candidates::default();
                candidates.see(text.as_bytes());
                *self = Self::Number(candidates);
            }
            (_, Self::Number(candidates)) => candidates.see(text.as_bytes()),
        }
    }

    /// Whether nothing has been seen but arrays without a value.
    fn is_empty_list(&self) -> bool {
        matches!(self, Self::List(item) if matches!(**item, Self::Unknown))
    }

    fn kind(&self) -> DataType {
        match self {
            Self::Unknown => DataType::Null,
            Self::Number(candidates) => candidates.kind(),
            Self::Boolean => DataType::Boolean,
            Self::Text => DataType::Utf8,
            Self::Object(members) => DataType::Struct(members.fields()),
            Self::List(item) => DataType::List(Field::new("item", item.kind(), true).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, TimeUnit};
    use serde_json::{Value, json};

    use super::{Candidates, JsonTypes, Place, TakeRow, text_type};

    const FIRST: Place = Place { line: 1, column: 1 };
    const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
    const NANOS: DataType = DataType::Timestamp(TimeUnit::Nanosecond, None);

    #[test]
    fn the_text_of_a_field_has_a_type() {
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
            ("no", Utf8),
            ("2026-01-02", Date32),
            ("0000-00-00", Utf8),
            ("2026-13-45", Utf8),
            ("2026-01-02T03:04:05", MICROS),
            ("2026-01-02 03:04:05.123Z", MICROS),
            ("2026-01-02 03:04:05.1234567", NANOS),
            ("2026-01-02 03:04:65", Utf8),
            ("NaN", Float64),
            ("-", Utf8),
            ("1.2.3", Utf8),
        ] {
            assert_eq!(text_type(text), kind, "{text}");
        }
    }

    #[test]
    fn all_values_are_of_the_type() {
        use DataType::{Decimal128, Float64, Int64, Null, Utf8};
        for (texts, kind) in [
            (&[][..], Null),
            (&["1", "-2"], Int64),
            (&["1", "2.5"], Float64),
            (&["9007199254740993", "2"], Int64),
            (&["9007199254740993", "2.50"], Decimal128(38, 2)),
            (&["9007199254740992", "2.50"], Float64),
            (&["9223372036854775808", "2"], Decimal128(38, 0)),
            (&["9007199254740993", "1e300"], Utf8),
            (&["1", "true"], Utf8),
            (&["2026-01-02", "2026-01-02T03:04:05.123456"], MICROS),
            (&["2026-01-02", "2026-01-02T03:04:05.123456789"], NANOS),
            (&["9999-12-31", "2026-01-02T03:04:05.123"], MICROS),
            (&["9999-12-31", "2026-01-02T03:04:05.123456789"], Utf8),
            (&["2026-01-02", "20260102"], Utf8),
        ] {
            let mut candidates = Candidates::default();
            texts
                .iter()
                .for_each(|text| candidates.see(text.as_bytes()));
            assert_eq!(candidates.kind(), kind, "{texts:?}");
        }
    }

    fn columns(rows: &[Value]) -> Vec<(String, DataType)> {
        let mut types = JsonTypes::new(1000);
        for row in rows {
            types.take(row.to_string().as_bytes(), FIRST).unwrap();
        }
        let schema = types.schema();
        let fields = schema.fields().iter();
        let columns = fields.map(|field| (field.name().clone(), field.data_type().clone()));
        columns.collect()
    }

    #[test]
    fn a_key_that_changes_its_kind_takes_no_other_key_along() {
        let found = columns(&[
            json!({ "a": 1, "o": { "x": 1 }, "l": [1] }),
            json!({ "a": { "x": 1 }, "o": 7, "l": "text", "b": true, "c": 1.5 }),
        ]);
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "o", "l", "b", "c"]);
        let kinds: Vec<_> = found.iter().map(|(_, kind)| kind.to_string()).collect();
        assert!(
            kinds[1].contains("Int64") && kinds[1].starts_with("Struct"),
            "{kinds:?}"
        );
        assert!(
            kinds[2].contains("Int64") && kinds[2].starts_with("List"),
            "{kinds:?}"
        );
        assert_eq!(
            (&kinds[0], &kinds[3], &kinds[4]),
            (&"Int64".into(), &"Boolean".into(), &"Float64".into())
        );
    }

    #[test]
    fn values_of_several_kinds_are_text_and_nothing_is_unknown() {
        let found = columns(&[
            json!({ "a": 1, "n": null, "l": [], "o": {} }),
            json!({ "a": true, "n": null, "l": [null] }),
        ]);
        assert_eq!(found[0].1, DataType::Utf8);
        assert_eq!(found[1].1, DataType::Null);
        assert!(matches!(&found[2].1, DataType::List(item) if *item.data_type() == DataType::Null));
    }

    #[test]
    fn keys_beyond_the_sample_are_remembered() {
        let mut types = JsonTypes::new(1);
        for row in [
            r#"{"a":1,"o":[{"x":1}]}"#,
            r#"{"a":1,"b":2}"#,
            r#"{"c":1,"b":2,"o":[{"x":1,"y":2}]}"#,
            r#"{"o":[{"y":2}]}"#,
        ] {
            types.take(row.as_bytes(), FIRST).unwrap();
        }
        assert_eq!(types.schema().fields().len(), 2);
        assert_eq!(types.into_late(), ["b", "c", "o.y"]);
    }
}
