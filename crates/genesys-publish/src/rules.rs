//! The rules that Genesys Cloud holds contracts to, each with its name.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// Names that the platform keeps for itself.
const RESERVED: [&str; 3] = ["orgId", "integrationId", "rawRequest"];
/// The longest name of a data action.
pub(crate) const MAX_NAME_CHARS: usize = 256;

/// A rule of the platform that a document breaks. Display names the place and the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The action has no name, or one of more than 256 characters.
    ActionName,
    /// A property name does not start with a letter, or holds more than letters, digits, `-`, `_`.
    PropertyName {
        /// The name.
        name: String,
    },
    /// `orgId`, `integrationId` and `rawRequest` are the platform's.
    ReservedName {
        /// The name.
        name: String,
    },
    /// Two properties would have one name.
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A list of values would hold null.
    NullInList {
        /// The column.
        name: String,
    },
    /// The input must be one object of simple values.
    InputNotFlat {
        /// The property, or nothing for the schema itself.
        name: String,
    },
    /// A required name is not among the properties.
    RequiredUnknown {
        /// The name.
        name: String,
    },
    /// `$ref` is not supported.
    Reference {
        /// Where.
        path: String,
    },
    /// The output holds an array within an array.
    NestedArray {
        /// Where.
        path: String,
    },
    /// A schema has no type, or one that the platform does not know.
    UnknownType {
        /// Where.
        path: String,
    },
    /// The request type is not GET, PUT, POST, PATCH or DELETE.
    RequestType {
        /// What it is.
        found: String,
    },
    /// The request has no URL.
    MissingUrl,
    /// The timeout is not from 1 to 60 seconds.
    Timeout {
        /// What it is.
        seconds: u64,
    },
}

impl Violation {
    /// Names that are there twice, or are taken already.
    pub(crate) fn duplicates<'a>(
        names: impl Iterator<Item = &'a str>,
        taken: &[&'a str],
    ) -> Vec<Self> {
        let mut seen: BTreeSet<&str> = taken.iter().copied().collect();
        names
            .filter(|name| !seen.insert(*name))
            .map(|name| Self::DuplicateName {
                name: name.to_owned(),
            })
            .collect()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ActionName => write!(
                formatter,
                "the name of the action must have from 1 to {MAX_NAME_CHARS} characters"
            ),
            Self::PropertyName { name } => write!(
                formatter,
                "{name:?} must start with a letter and hold only letters, digits, - and _, \
                 give it another name (an alias in the SELECT)"
            ),
            Self::ReservedName { name } => {
                write!(
                    formatter,
                    "{name:?} is reserved by the platform, give it another name"
                )
            }
            Self::DuplicateName { name } => write!(formatter, "{name:?} is there twice"),
            Self::NullInList { name } => write!(
                formatter,
                "the column {name:?} can be null, which a list of values cannot hold, give it a value \
                 (`coalesce({name}, '')`) or take the shape `rows`"
            ),
            Self::InputNotFlat { name } if name.is_empty() => formatter.write_str(
                "the input schema must be one object of string, integer, number or boolean values",
            ),
            Self::InputNotFlat { name } => write!(
                formatter,
                "the input {name:?} must be a string, integer, number or boolean, not nested"
            ),
            Self::RequiredUnknown { name } => {
                write!(
                    formatter,
                    "{name:?} is required but not among the properties"
                )
            }
            Self::Reference { path } => {
                write!(
                    formatter,
                    "$ref at {path} is not supported, write the schema out"
                )
            }
            Self::NestedArray { path } => write!(
                formatter,
                "the array at {path} lies within another array, which is not supported"
            ),
            Self::UnknownType { path } => {
                write!(
                    formatter,
                    "the schema at {path} has no type that is supported"
                )
            }
            Self::RequestType { found } => write!(
                formatter,
                "the request type {found:?} is not GET, PUT, POST, PATCH or DELETE"
            ),
            Self::MissingUrl => formatter.write_str("the request has no URL"),
            Self::Timeout { seconds } => {
                write!(formatter, "a timeout of {seconds} s is not from 1 to 60 s")
            }
        }
    }
}

/// Every rule that the two schemas break.
pub(crate) fn violations(input: &Value, output: &Value) -> Vec<Violation> {
    let mut all = Vec::new();
    check_input(input, &mut all);
    check_references(input, "input", &mut all);
    check_references(output, "output", &mut all);
    check_output(output, "output", false, &mut all);
    all
}

/// Whether a name may stand in a contract.
pub(crate) fn check_name(name: &str, all: &mut Vec<Violation>) {
    let well_formed = name.starts_with(|char: char| char.is_ascii_alphabetic())
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_');
    if !well_formed {
        all.push(Violation::PropertyName {
            name: name.to_owned(),
        });
    }
    if RESERVED.contains(&name) {
        all.push(Violation::ReservedName {
            name: name.to_owned(),
        });
    }
}

fn check_input(schema: &Value, all: &mut Vec<Violation>) {
    let properties = match (schema["type"].as_str(), &schema["properties"]) {
        (Some("object"), Value::Object(properties)) => properties,
        _ => {
            all.push(Violation::InputNotFlat {
                name: String::new(),
            });
            return;
        }
    };
    for (name, property) in properties {
        check_name(name, all);
        if !is_simple(&property["type"]) {
            all.push(Violation::InputNotFlat { name: name.clone() });
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap_or_default();
        if !properties.contains_key(name) {
            all.push(Violation::RequiredUnknown {
                name: name.to_owned(),
            });
        }
    }
}

/// One simple type, or a list of them such as `["string", "null"]`.
fn is_simple(kind: &Value) -> bool {
    const SIMPLE: [&str; 5] = ["string", "integer", "number", "boolean", "null"];
    match kind {
        Value::String(kind) => SIMPLE.contains(&kind.as_str()),
        Value::Array(kinds) => {
            !kinds.is_empty() && kinds.iter().all(|kind| kind.is_string() && is_simple(kind))
        }
        _ => false,
    }
}

fn check_references(schema: &Value, path: &str, all: &mut Vec<Violation>) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                // A property may be called $ref only where names of properties are listed.
                if key == "$ref" && value.is_string() {
                    all.push(Violation::Reference {
                        path: path.to_owned(),
                    });
                }
                check_references(value, &format!("{path}.{key}"), all);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                check_references(value, &format!("{path}[{index}]"), all);
            }
        }
        _ => {}
    }
}

fn check_output(schema: &Value, path: &str, in_array: bool, all: &mut Vec<Violation>) {
    match schema["type"].as_str() {
        Some("object") => {
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                check_name(name, all);
                check_output(property, &format!("{path}.{name}"), in_array, all);
            }
        }
        Some("array") if in_array => all.push(Violation::NestedArray {
            path: path.to_owned(),
        }),
        Some("array") => check_output(&schema["items"], &format!("{path}[]"), true, all),
        _ if is_simple(&schema["type"]) => {}
        _ => all.push(Violation::UnknownType {
            path: path.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(properties: &Value) -> Value {
        json!({ "type": "object", "properties": properties })
    }

    #[test]
    fn each_rule_has_its_name() {
        let simple = json!({ "type": "string" });
        let fine = object(&json!({ "a": simple }));
        let name = |name: &str| name.to_owned();
        let cases = [
            (fine.clone(), fine.clone(), vec![]),
            (
                object(&json!({ "1a": simple })),
                fine.clone(),
                vec![Violation::PropertyName { name: name("1a") }],
            ),
            (
                object(&json!({ "a b": simple })),
                fine.clone(),
                vec![Violation::PropertyName { name: name("a b") }],
            ),
            (
                object(&json!({ "orgId": simple })),
                fine.clone(),
                vec![Violation::ReservedName {
                    name: name("orgId"),
                }],
            ),
            (
                object(&json!({ "a": { "type": "object" } })),
                fine.clone(),
                vec![Violation::InputNotFlat { name: name("a") }],
            ),
            (
                object(&json!({ "a": { "type": ["string", "null"] } })),
                fine.clone(),
                vec![],
            ),
            (
                json!({ "type": "array" }),
                fine.clone(),
                vec![Violation::InputNotFlat { name: name("") }],
            ),
            (
                json!({ "type": "object", "required": ["b"], "properties": { "a": simple } }),
                fine.clone(),
                vec![Violation::RequiredUnknown { name: name("b") }],
            ),
            (
                fine.clone(),
                object(&json!({ "a": { "$ref": "#/x" } })),
                vec![
                    Violation::Reference {
                        path: name("output.properties.a"),
                    },
                    Violation::UnknownType {
                        path: name("output.a"),
                    },
                ],
            ),
            (
                fine.clone(),
                object(
                    &json!({ "a": { "type": "array", "items": { "type": "array", "items": simple } } }),
                ),
                vec![Violation::NestedArray {
                    path: name("output.a[]"),
                }],
            ),
            (
                fine.clone(),
                object(
                    &json!({ "a": { "type": "array", "items": object(&json!({ "b": { "type": "array" } })) } }),
                ),
                vec![Violation::NestedArray {
                    path: name("output.a[].b"),
                }],
            ),
            (
                fine.clone(),
                object(&json!({ "a": {} })),
                vec![Violation::UnknownType {
                    path: name("output.a"),
                }],
            ),
        ];
        for (input, output, expected) in cases {
            assert_eq!(violations(&input, &output), expected, "{input} {output}");
        }
    }
}
