//! The JSON Schema of `flowlake.toml` and of action files, for editors. It is made of the types that read them and of what their
//! documentation says; `keys.txt` says since which version a key is there.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Value, json};

use crate::{ActionDefinition, Config};

/// The version that each key came with, a line each: its type, its name and the version. A released line stays as it is.
const KEYS: &str = include_str!("../keys.txt");

/// The keyword of a key's schema with that version.
const SINCE: &str = "x-since";

/// Of `flowlake.toml`. `x-since` of a key is the version that it came with.
#[must_use]
pub fn config_schema() -> Value {
    schema_of::<Config>("flowlake.toml")
}

/// Of `actions/*.toml`, in the same way.
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
    let since = since();
    each_key(&mut schema, &mut |key, property| {
        if let (Some(version), Some(property)) = (since.get(key), property.as_object_mut()) {
            property.insert(SINCE.to_owned(), (*version).into());
        }
    });
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".to_owned(), title.into());
    }
    schema
}

/// The versions of [`KEYS`], by type and key.
fn since() -> BTreeMap<&'static str, &'static str> {
    let lines = KEYS.lines().filter_map(|line| line.split_once(' '));
    lines.collect()
}

/// Visits the keys of every type, as `Type.key`.
fn each_key(schema: &mut Value, visit: &mut impl FnMut(&str, &mut Value)) {
    let title = schema["title"].as_str().unwrap_or_default().to_owned();
    let definitions = schema
        .as_object_mut()
        .and_then(|schema| schema.remove("definitions"));
    keys_of(&title, schema, visit);
    let Some(Value::Object(mut definitions)) = definitions else {
        return;
    };
    for (name, definition) in &mut definitions {
        keys_of(name, definition, visit);
    }
    schema["definitions"] = Value::Object(definitions);
}

/// The keys of one type, those of its variants too.
fn keys_of(name: &str, schema: &mut Value, visit: &mut impl FnMut(&str, &mut Value)) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| keys_of(name, item, visit)),
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                for (key, property) in properties {
                    visit(&format!("{name}.{key}"), property);
                }
            }
            for (keyword, member) in members {
                match (keyword.as_str(), member) {
                    ("properties", Value::Object(properties)) => properties
                        .values_mut()
                        .for_each(|property| keys_of(name, property, visit)),
                    ("default" | "enum" | "const", _) => {}
                    (_, member) => keys_of(name, member, visit),
                }
            }
        }
        _ => {}
    }
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
    use std::collections::BTreeSet;

    use super::{KEYS, action_schema, config_schema, each_key, plain, since};

    #[test]
    fn every_key_says_since_which_version_it_is_there() {
        let mut keys = BTreeSet::new();
        for mut schema in [config_schema(), action_schema()] {
            // The title is that of the file.
            let title = match schema["title"].as_str() {
                Some("flowlake.toml") => "Config",
                _ => "ActionDefinition",
            };
            schema["title"] = title.into();
            each_key(&mut schema, &mut |key, _| {
                keys.insert(key.to_owned());
            });
        }
        let since = since();
        let version = env!("CARGO_PKG_VERSION");
        let missing: Vec<String> = keys
            .iter()
            .filter(|key| !since.contains_key(key.as_str()))
            .map(|key| format!("{key} {version}"))
            .collect();
        assert!(
            missing.is_empty(),
            "new keys; add these lines to keys.txt:\n{}",
            missing.join("\n")
        );
        for key in since.keys() {
            assert!(keys.contains(*key), "{key} of keys.txt is no key any more");
        }
        let lines: Vec<&str> = KEYS.lines().collect();
        assert!(lines.is_sorted() && lines.len() == since.len());
        // No key is of a version to come.
        let number = |version: &str| -> Vec<u64> {
            let parts = version.split('.').map(|part| part.parse().unwrap());
            parts.collect()
        };
        for (key, then) in since {
            assert!(number(then) <= number(version), "{key} {then}");
        }
    }

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
