//! Whether a published version can still be answered by the SQL action that it calls: the version keeps its contract, and
//! the action changes.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::contract::Field;
use crate::document::DataAction;

/// Outputs that say something about the answer as a whole, with their paths.
const ABOUT_THE_ANSWER: [&str; 2] = ["$.row_count", "$.truncated"];

/// Why flows that use a published version fail, or get less, with the action as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misfit {
    /// The version has an input that the action does not know, and the web service refuses what it does not know.
    UnknownInput(String),
    /// The action demands a parameter that the version does not send.
    MissingInput(String),
    /// The action demands a parameter that flows may leave out.
    RequiredInput(String),
    /// An input is sent as another type.
    InputType {
        /// The input.
        name: String,
        /// The type that flows send.
        sent: String,
        /// The type of the parameter.
        wanted: String,
    },
    /// There is no such column any more, so the output is not set.
    MissingOutput(String),
    /// A column has another type, and the platform holds the output to the contract.
    OutputType {
        /// The output.
        name: String,
        /// The type of the contract.
        promised: String,
        /// The type of the column.
        given: String,
    },
    /// A list of values cannot hold a null, and its column can be null now.
    NullInList(String),
    /// An output comes from a place of the answer that no shape reads.
    ForeignPath {
        /// The output.
        name: String,
        /// Its path.
        path: String,
    },
}

impl fmt::Display for Misfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownInput(name) => write!(
                formatter,
                "a flow that sends `{name}` fails: there is no such parameter"
            ),
            Self::MissingInput(name) => write!(
                formatter,
                "every flow fails: the parameter `{name}` is required, and this version does not send it"
            ),
            Self::RequiredInput(name) => write!(
                formatter,
                "a flow that leaves `{name}` out fails: the parameter is required"
            ),
            Self::InputType { name, sent, wanted } => write!(
                formatter,
                "a flow that sends `{name}` as {sent} fails: the parameter is {wanted}"
            ),
            Self::MissingOutput(name) => write!(
                formatter,
                "the output `{name}` is not set any more: there is no such column"
            ),
            Self::OutputType {
                name,
                promised,
                given,
            } => write!(
                formatter,
                "every flow fails: the output `{name}` is {promised}, and the column is {given}"
            ),
            Self::NullInList(name) => write!(
                formatter,
                "a flow fails when the column `{name}` is null: a list holds no null"
            ),
            Self::ForeignPath { name, path } => write!(
                formatter,
                "the output `{name}` comes from {path}, where answers have nothing"
            ),
        }
    }
}

impl Serialize for Misfit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why flows that use this published document fail, or get less, when an action with these parameters and columns answers.
#[must_use]
pub fn misfits(live: &DataAction, inputs: &[Field], columns: &[Field]) -> Vec<Misfit> {
    let mut all = of_inputs(&live.contract.input.input_schema, inputs);
    let outputs = &live.contract.output.success_schema["properties"];
    for (name, path) in &live.config.response.translation_map {
        let schema = &outputs[name];
        if path == "$.data" {
            let members = schema["items"]["properties"].as_object();
            for (member, schema) in members.into_iter().flatten() {
                all.extend(of_output(member, &schema["type"], false, columns));
            }
        } else if let Some(column) = path.strip_prefix("$.data[0].") {
            all.extend(of_output(column, &schema["type"], false, columns));
        } else if let Some(column) = path.strip_prefix("$.data[*].") {
            all.extend(of_output(column, &schema["items"]["type"], true, columns));
        } else if !ABOUT_THE_ANSWER.contains(&path.as_str()) {
            all.push(Misfit::ForeignPath {
                name: name.clone(),
                path: path.clone(),
            });
        }
    }
    all
}

fn of_inputs(schema: &Value, inputs: &[Field]) -> Vec<Misfit> {
    let properties = schema["properties"].as_object();
    let sent: BTreeMap<&str, &Value> = properties
        .into_iter()
        .flatten()
        .map(|(name, property)| (name.as_str(), &property["type"]))
        .collect();
    let always: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut all = Vec::new();
    for input in inputs {
        let name = input.name.as_str();
        match sent.get(name) {
            None if input.required => all.push(Misfit::MissingInput(name.to_owned())),
            None => {}
            Some(kind) if !fits(kind, input.value_type.as_str()) => all.push(Misfit::InputType {
                name: name.to_owned(),
                sent: text(kind),
                wanted: input.value_type.to_string(),
            }),
            Some(_) if input.required && !always.contains(&name) => {
                all.push(Misfit::RequiredInput(name.to_owned()));
            }
            Some(_) => {}
        }
    }
    for name in sent.into_keys() {
        if !inputs.iter().any(|input| input.name == name) {
            all.push(Misfit::UnknownInput(name.to_owned()));
        }
    }
    all
}

fn of_output(name: &str, promised: &Value, in_list: bool, columns: &[Field]) -> Option<Misfit> {
    let name = name.to_owned();
    let Some(column) = columns.iter().find(|column| column.name == name) else {
        return Some(Misfit::MissingOutput(name));
    };
    let given = Value::from(column.value_type.as_str());
    if !fits(&given, promised.as_str().unwrap_or_default()) {
        return Some(Misfit::OutputType {
            name,
            promised: text(promised),
            given: text(&given),
        });
    }
    (in_list && column.nullable).then_some(Misfit::NullInList(name))
}

/// Whether values of one type are values of another: an integer is a number.
fn fits(kind: &Value, wanted: &str) -> bool {
    kind == wanted || (kind == "integer" && wanted == "number")
}

fn text(kind: &Value) -> String {
    kind.as_str()
        .map_or_else(|| kind.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DocumentBuilder, OutputShape, ValueType};
    use url::Url;

    fn text_field(name: &str) -> Field {
        Field::new(name, ValueType::String)
    }

    fn number(name: &str) -> Field {
        Field::new(name, ValueType::Integer)
    }

    #[test]
    fn what_a_published_version_needs_is_compared_with_what_the_action_has() {
        let inputs = || vec![text_field("a"), text_field("b").optional()];
        let columns = || vec![text_field("x"), number("n")];
        let url = Url::parse("https://flowlake.example/v1/actions/x").unwrap();
        for (shape, inputs_now, columns_now, expected) in [
            (OutputShape::Rows, inputs(), columns(), vec![]),
            // The other shape reads the same answer.
            (
                OutputShape::FirstRow,
                vec![
                    text_field("a").optional(),
                    text_field("b").optional(),
                    text_field("c").optional(),
                ],
                vec![text_field("x"), number("n"), text_field("y")],
                vec![],
            ),
            (
                OutputShape::FirstRow,
                vec![text_field("b"), text_field("c")],
                vec![text_field("x"), text_field("n")],
                vec![
                    Misfit::RequiredInput("b".to_owned()),
                    Misfit::MissingInput("c".to_owned()),
                    Misfit::UnknownInput("a".to_owned()),
                    Misfit::OutputType {
                        name: "n".to_owned(),
                        promised: "integer".to_owned(),
                        given: "string".to_owned(),
                    },
                ],
            ),
            (
                OutputShape::Rows,
                vec![number("a"), text_field("b").optional()],
                vec![number("n")],
                vec![
                    Misfit::InputType {
                        name: "a".to_owned(),
                        sent: "string".to_owned(),
                        wanted: "integer".to_owned(),
                    },
                    Misfit::MissingOutput("x".to_owned()),
                ],
            ),
            (
                OutputShape::Columns,
                inputs(),
                vec![text_field("x").nullable(), number("n")],
                vec![Misfit::NullInList("x".to_owned())],
            ),
        ] {
            let live = DocumentBuilder::new("x", url.clone())
                .with_inputs(inputs())
                .with_columns(columns())
                .with_shape(shape)
                .build()
                .unwrap();
            assert_eq!(
                misfits(&live, &inputs_now, &columns_now),
                expected,
                "{shape:?}"
            );
        }
    }
}
