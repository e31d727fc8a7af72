//! The JSON Schema of what tables and parameters write in more than one way.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use crate::{ColumnType, Columns, HeaderKind, Quote};

/// One text or a list of them.
pub(crate) enum OneOrMany {}

/// A number of bytes, such as `64MiB`.
pub(crate) enum Bytes {}

/// Says what values of a type are, without a name for others to refer to.
macro_rules! inline_schemas {
    ($($type:ident($generator:ident) $schema:expr;)*) => {
        $(impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })*
    };
}

inline_schemas! {
    OneOrMany(_generator) json_schema!({ "anyOf": [
        { "type": "string" },
        { "type": "array", "items": { "type": "string" }, "minItems": 1 },
    ] });
    Bytes(_generator) json_schema!({ "type": ["string", "integer"] });
    HeaderKind(_generator) json_schema!({ "enum": [true, false, "skip"] });
    Quote(_generator) json_schema!({ "type": "string", "maxLength": 1 });
    ColumnType(_generator) json_schema!({ "anyOf": [{ "type": "string" }, with_unit(&[])] });
    Columns(generator) json_schema!({ "anyOf": [
        { "type": "object", "additionalProperties": ColumnType::json_schema(generator) },
        { "type": "array", "items": { "anyOf": [
            { "type": "array", "minItems": 2, "maxItems": 2 },
            with_unit(&["name"]),
        ] } },
    ] });
}

/// A table of a type and the unit of moments, and more that it has to have.
fn with_unit(more: &[&str]) -> Value {
    let mut properties = json!({
        "type": { "type": "string", "description": "The type." },
        "unit": {
            "enum": ["s", "ms", "us", "ns"],
            "description": "What numbers in the files count since 1970-01-01 00:00 UTC, of a timestamp.",
        },
    });
    for &name in more {
        let description = format!("The column's {name}.");
        properties[name] = json!({ "type": "string", "description": description });
    }
    let required = [more, &["type"]].concat();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}
