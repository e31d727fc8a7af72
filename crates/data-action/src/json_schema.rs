//! The JSON Schema of `flowlake.toml` and of action files, for editors. It is made of the types that read them and of what their
//! documentation says.

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Value, json};

use crate::{ActionDefinition, Config};

/// Of `flowlake.toml`.
#[must_use]
pub fn config_schema() -> Value {
    schema_of::<Config>("flowlake.toml")
}

/// Of `actions/*.toml`.
#[must_use]
pub fn action_schema() -> Value {
    schema_of::<ActionDefinition>("An action of flowlake")
}

/// Of a number of bytes, such as `64MiB`.
pub(crate) fn bytes(_generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "integer"] })
}

/// Of an amount in US dollars: its digits as text, or a number.
pub(crate) fn usd(_generator: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "number"] })
}

/// In the draft that editors of TOML know.
fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), title.into());
    }
    schema
}

/// TOML has no null, and editors know no Rust.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(members) => {
            members.retain(|name, value| !(name == "default" && value.is_null()));
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = plain(text);
            }
            if let Some(Value::Array(types)) = members.get_mut("type") {
                types.retain(|kind| kind != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(values)) = members.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if let Some(Value::Array(others)) = members.get_mut("anyOf") {
                others.retain(|other| *other != json!({ "type": "null" }));
                if others.len() == 1 {
                    let only = members.remove("anyOf").unwrap_or_default();
                    members.insert("allOf".to_owned(), only);
                }
            }
            members.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

/// A description without examples, line ends, and links into the documentation of the code.
fn plain(text: &str) -> String {
    let text = text.split("```").next().unwrap_or_default().trim_end();
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        plain.push_str(before);
        let Some((name, after)) = link.split_once("`]") else {
            rest = link;
            plain.push_str("[`");
            break;
        };
        plain.push('`');
        plain.push_str(name.rsplit("::").next().unwrap_or(name));
        plain.push('`');
        rest = match after
            .strip_prefix('(')
            .and_then(|link| link.split_once(')'))
        {
            Some((_, after)) => after,
            None => after,
        };
    }
    plain.push_str(rest);
    let paragraphs = plain.split("\n\n").map(|lines| lines.replace('\n', " "));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn descriptions_are_for_people() {
        assert_eq!(
            plain("See [`A::b`] and\n[`C`](super::C).\n\nMore."),
            "See `b` and `C`.\n\nMore."
        );
        assert_eq!(plain("Text.\n\n```toml\na = 1\n```"), "Text.");
        assert_eq!(plain("`keys = [`"), "`keys = [`");
    }
}
