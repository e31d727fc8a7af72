//! Declared columns of a table: names with types, in the order in which they are written.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};

use crate::schema;

/// Columns in the order in which they were written: a table `{ ani = "string" }`, or a list of `["ani", "string"]` or of
/// `{ name = "ani", type = "string" }`.
#[derive(Debug, Clone)]
pub struct Columns {
    all: Vec<(String, ColumnType)>,
    /// The place of each. A table may have thousands. Ordered, so that a printed table is the same each time.
    places: BTreeMap<String, usize>,
}

/// The type of a column: `string`, `integer`, `float`, `decimal(p, s)`, `boolean`, `date`, `timestamp`, `timestamptz`, or a
/// type as Arrow writes it, such as `Int32`. `{ type = "timestamp", unit = "ms" }` is a moment that files hold as a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnType {
    pub(crate) kind: DataType,
    /// What files count since 1970-01-01 00:00 UTC, if a moment is a number in them.
    pub(crate) epoch: Option<TimeUnit>,
}

impl Columns {
    fn new(all: Vec<(String, ColumnType)>) -> Self {
        let mut places = BTreeMap::new();
        for (place, (name, _)) in all.iter().enumerate() {
            places.entry(name.clone()).or_insert(place);
        }
        Self { all, places }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(name, _)| name.as_str())
    }

    /// Names and types, in order.
    #[cfg(feature = "cluster")]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &ColumnType)> {
        self.all.iter().map(|(name, kind)| (name, kind))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&ColumnType> {
        self.place(name).map(|place| &self.all[place].1)
    }

    /// The place of a column among the declared ones.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    pub(crate) fn schema(&self) -> SchemaRef {
        let fields = self.all.iter();
        let fields = fields.map(|(name, kind)| Field::new(name, kind.kind.clone(), true));
        Schema::new(fields.collect::<Vec<_>>()).into()
    }
}

#[cfg(feature = "cluster")]
impl FromIterator<(String, ColumnType)> for Columns {
    fn from_iter<I: IntoIterator<Item = (String, ColumnType)>>(columns: I) -> Self {
        Self::new(columns.into_iter().collect())
    }
}

impl From<DataType> for ColumnType {
    fn from(kind: DataType) -> Self {
        Self { kind, epoch: None }
    }
}

impl ColumnType {
    /// A type by its name, and what files count where it is a moment that they hold as a number.
    fn parse(name: &str, unit: Option<&str>) -> Result<Self, String> {
        let kind = schema::parse_type(name)?;
        let Some(unit) = unit else {
            return Ok(kind.into());
        };
        let epoch = match unit {
            "s" => TimeUnit::Second,
            "ms" => TimeUnit::Millisecond,
            "us" => TimeUnit::Microsecond,
            "ns" => TimeUnit::Nanosecond,
            _ => return Err(format!("`{unit}` is no unit: use s, ms, us or ns")),
        };
        match kind {
            DataType::Timestamp(own, zone) => Ok(Self {
                kind: DataType::Timestamp(own.max(epoch), zone),
                epoch: Some(epoch),
            }),
            _ => Err("`unit` goes with the types timestamp and timestamptz".to_owned()),
        }
    }
}

impl<'de> Deserialize<'de> for ColumnType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// `{ type = "timestamp", unit = "ms" }`.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct WithUnit {
            r#type: String,
            #[serde(default)]
            unit: Option<String>,
        }
        struct NameOrUnit;
        impl<'de> Visitor<'de> for NameOrUnit {
            type Value = ColumnType;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "a type, such as \"integer\" or { type = \"timestamp\", unit = \"ms\" }",
                )
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<ColumnType, E> {
                ColumnType::parse(name, None).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ColumnType, A::Error> {
                let declared = WithUnit::deserialize(MapAccessDeserializer::new(map))?;
                ColumnType::parse(&declared.r#type, declared.unit.as_deref())
                    .map_err(A::Error::custom)
            }
        }
        deserializer.deserialize_any(NameOrUnit)
    }
}

/// One column in a list: `["ani", "string"]` or `{ name = "ani", type = "string" }`.
struct Listed(String, ColumnType);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Named {
            name: String,
            r#type: String,
            #[serde(default)]
            unit: Option<String>,
        }
        struct PairOrTable;
        impl<'de> Visitor<'de> for PairOrTable {
            type Value = Listed;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "a column, such as [\"ani\", \"string\"] or { name = \"ani\", type = \"string\" }",
                )
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Listed, A::Error> {
                let missing = |length| A::Error::invalid_length(length, &self);
                let name = items.next_element()?.ok_or_else(|| missing(0))?;
                let kind = items.next_element()?.ok_or_else(|| missing(1))?;
                match items.next_element::<serde::de::IgnoredAny>()? {
                    None => Ok(Listed(name, kind)),
                    Some(_) => Err(missing(3)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Listed, A::Error> {
                let named = Named::deserialize(MapAccessDeserializer::new(map))?;
                let kind = ColumnType::parse(&named.r#type, named.unit.as_deref())
                    .map_err(A::Error::custom)?;
                Ok(Listed(named.name, kind))
            }
        }
        deserializer.deserialize_any(PairOrTable)
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Columns;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("names of columns and their types")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Columns::new(columns))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Columns, A::Error> {
                let mut columns = Vec::new();
                let mut names = HashSet::new();
                while let Some(Listed(name, kind)) = items.next_element()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom(format_args!(
                            "column `{name}` is declared twice"
                        )));
                    }
                    columns.push((name, kind));
                }
                Ok(Columns::new(columns))
            }
        }
        deserializer.deserialize_any(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, TimeUnit};
    use serde_json::json;

    use super::Columns;

    fn columns(declared: serde_json::Value) -> Result<Vec<(String, DataType)>, String> {
        let columns: Columns =
            serde_json::from_value(declared).map_err(|error| error.to_string())?;
        let schema = columns.schema();
        let fields = schema.fields().iter();
        Ok(fields
            .map(|field| (field.name().clone(), field.data_type().clone()))
            .collect())
    }

    #[test]
    fn all_forms_keep_the_order() {
        let expected = Ok(vec![
            ("zed".to_owned(), DataType::Utf8),
            ("alpha".to_owned(), DataType::Int64),
        ]);
        for declared in [
            json!({ "zed": "string", "alpha": "integer" }),
            json!([["zed", "string"], ["alpha", "integer"]]),
            json!([{ "name": "zed", "type": "string" }, { "name": "alpha", "type": "integer" }]),
        ] {
            assert_eq!(columns(declared.clone()), expected, "{declared}");
        }
    }

    #[test]
    fn moments_may_be_numbers_in_files() {
        for (unit, kind) in [
            ("s", TimeUnit::Microsecond),
            ("ms", TimeUnit::Microsecond),
            ("us", TimeUnit::Microsecond),
            ("ns", TimeUnit::Nanosecond),
        ] {
            let found = columns(json!({ "at": { "type": "timestamp", "unit": unit } }));
            let expected = DataType::Timestamp(kind, None);
            assert_eq!(found, Ok(vec![("at".to_owned(), expected)]));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (declared, says) in [
            (
                json!([["a", "string"], ["a", "date"]]),
                "`a` is declared twice",
            ),
            (json!([["a"]]), "a column, such as"),
            (json!([["a", "string", "date"]]), "a column, such as"),
            (
                json!({ "a": { "type": "date", "unit": "ms" } }),
                "`unit` goes with",
            ),
            (
                json!({ "a": { "type": "timestamp", "unit": "h" } }),
                "`h` is no unit",
            ),
            (
                json!({ "a": { "type": "timestamp", "units": "s" } }),
                "unknown field `units`",
            ),
            (json!({ "a": 1 }), "a type, such as"),
        ] {
            let error = columns(declared.clone()).unwrap_err();
            assert!(error.contains(says), "{declared}: {error}");
        }
    }
}
