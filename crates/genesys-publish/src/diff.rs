//! What differs between two documents of a data action, field by field.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};

use crate::document::DataAction;

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Where, such as `config.request.headers.Accept` or `contract.output.name`.
    pub path: String,
    /// What is published; nothing when the field is new.
    pub live: Option<Value>,
    /// What would be published; nothing when the field goes away.
    pub wanted: Option<Value>,
    /// What the change means to flows.
    pub effect: Effect,
}

/// What a change means to flows that use the action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Effect {
    /// Nothing: the action is changed in place.
    InPlace,
    /// It is published as a new version, and a flow can take that without a change.
    NewVersion,
    /// It is published as a new version, and a flow has to be changed to take that.
    Breaking,
}

/// Everything that differs, in order of path. Titles and descriptions of a contract do not count: they are part of what
/// can never change, and mean nothing to a flow.
#[must_use]
pub fn diff(live: &DataAction, wanted: &DataAction) -> Vec<Change> {
    let mut changes = Vec::new();
    let (ours, theirs) = (fields(wanted), fields(live));
    for path in keys(&theirs, &ours) {
        let (live, wanted) = (theirs.get(path).cloned(), ours.get(path).cloned());
        if live != wanted {
            changes.push(Change {
                path: path.clone(),
                live,
                wanted,
                effect: Effect::InPlace,
            });
        }
    }
    if live.secure != wanted.secure {
        changes.push(Change {
            path: "secure".to_owned(),
            live: Some(json!(live.secure)),
            wanted: Some(json!(wanted.secure)),
            // Flows refer to secure actions by another kind of step.
            effect: Effect::Breaking,
        });
    }
    contract_changes(live, wanted, &mut changes);
    changes.sort_by(|left, right| left.path.cmp(&right.path));
    changes
}

/// The category, when it differs.
pub(crate) fn category_change(live: &str, wanted: &str) -> Option<Change> {
    named_change("category", live, wanted)
}

/// What differs between a draft and a document, its name included.
pub(crate) fn draft_diff(draft: &DataAction, wanted: &DataAction) -> Vec<Change> {
    let mut changes = diff(draft, wanted);
    changes.extend(named_change("name", &draft.name, &wanted.name));
    changes
}

fn named_change(path: &str, live: &str, wanted: &str) -> Option<Change> {
    (live != wanted).then(|| Change {
        path: path.to_owned(),
        live: Some(json!(live)),
        wanted: Some(json!(wanted)),
        effect: Effect::InPlace,
    })
}

/// Whether two documents have one contract, so that one can replace the other in place.
pub(crate) fn same_contract(live: &DataAction, wanted: &DataAction) -> bool {
    let mut changes = Vec::new();
    contract_changes(live, wanted, &mut changes);
    changes.is_empty() && live.secure == wanted.secure
}

fn keys<'a, V>(
    left: &'a BTreeMap<String, V>,
    right: &'a BTreeMap<String, V>,
) -> BTreeSet<&'a String> {
    left.keys().chain(right.keys()).collect()
}

/// The configuration's fields by path.
fn fields(action: &DataAction) -> BTreeMap<String, Value> {
    let config = serde_json::to_value(&action.config).unwrap_or_default();
    let mut fields = BTreeMap::new();
    flatten("config", &config, &mut fields);
    fields
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                flatten(&format!("{path}.{name}"), value, into);
            }
        }
        value => {
            into.insert(path.to_owned(), value.clone());
        }
    }
}

fn contract_changes(live: &DataAction, wanted: &DataAction, changes: &mut Vec<Change>) {
    let (theirs, ours) = (&live.contract, &wanted.contract);
    let inputs = (
        typed("contract.input", &theirs.input.input_schema),
        typed("contract.input", &ours.input.input_schema),
    );
    for path in keys(&inputs.0, &inputs.1) {
        let (live, wanted) = (inputs.0.get(path), inputs.1.get(path));
        let effect = match (live, wanted) {
            (live, wanted) if live == wanted => continue,
            // An input that is new, or no longer demanded, is nothing that a flow has to know.
            (None, Some(wanted)) if !wanted.required => Effect::NewVersion,
            (Some(live), Some(wanted)) if live.kind == wanted.kind && !wanted.required => {
                Effect::NewVersion
            }
            _ => Effect::Breaking,
        };
        changes.push(change(path, live, wanted, effect));
    }
    let outputs = (
        typed("contract.output", &theirs.output.success_schema),
        typed("contract.output", &ours.output.success_schema),
    );
    for path in keys(&outputs.0, &outputs.1) {
        let (live, wanted) = (outputs.0.get(path), outputs.1.get(path));
        let effect = match (live, wanted) {
            (live, wanted) if live == wanted => continue,
            (None, Some(_)) => Effect::NewVersion,
            (Some(live), Some(wanted)) if live.kind == wanted.kind => Effect::NewVersion,
            _ => Effect::Breaking,
        };
        changes.push(change(path, live, wanted, effect));
    }
}

fn change(path: &str, live: Option<&Typed>, wanted: Option<&Typed>, effect: Effect) -> Change {
    Change {
        path: path.to_owned(),
        live: live.map(Typed::to_json),
        wanted: wanted.map(Typed::to_json),
        effect,
    }
}

/// What a contract says about one property.
#[derive(Debug, Clone, PartialEq)]
struct Typed {
    kind: Value,
    required: bool,
}

impl Typed {
    fn to_json(&self) -> Value {
        if self.required {
            json!({ "type": self.kind, "required": true })
        } else {
            json!({ "type": self.kind })
        }
    }
}

/// The properties of a schema by path, those of lists under `[]`.
fn typed(path: &str, schema: &Value) -> BTreeMap<String, Typed> {
    let mut all = BTreeMap::new();
    collect(path, schema, false, &mut all);
    all
}

fn collect(path: &str, schema: &Value, required: bool, into: &mut BTreeMap<String, Typed>) {
    let kind = schema["type"].clone();
    into.insert(path.to_owned(), Typed { kind, required });
    let demanded: BTreeSet<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let required = demanded.contains(name.as_str());
        collect(&format!("{path}.{name}"), property, required, into);
    }
    if schema["items"].is_object() {
        collect(&format!("{path}[]"), &schema["items"], false, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DocumentBuilder, Field, OutputShape, ValueType};
    use url::Url;

    fn document(inputs: Vec<Field>, columns: Vec<Field>) -> DataAction {
        let url = Url::parse("https://flowlake.example/v1/actions/x").unwrap();
        DocumentBuilder::new("x", url)
            .with_inputs(inputs)
            .with_columns(columns)
            .with_shape(OutputShape::Rows)
            .build()
            .unwrap()
    }

    fn text(name: &str) -> Field {
        Field::new(name, ValueType::String)
    }

    fn number(name: &str) -> Field {
        Field::new(name, ValueType::Integer)
    }

    #[test]
    fn each_change_of_a_contract_has_its_effect() {
        let live = document(vec![text("a"), text("b").optional()], vec![text("x")]);
        for (inputs, columns, path, effect) in [
            (
                vec![text("a")],
                vec![text("x")],
                "contract.input.b",
                Effect::Breaking,
            ),
            (
                vec![text("a"), text("b")],
                vec![text("x")],
                "contract.input.b",
                Effect::Breaking,
            ),
            (
                vec![text("a").optional(), text("b").optional()],
                vec![text("x")],
                "contract.input.a",
                Effect::NewVersion,
            ),
            (
                vec![number("a"), text("b").optional()],
                vec![text("x")],
                "contract.input.a",
                Effect::Breaking,
            ),
            (
                vec![text("a"), text("b").optional(), text("c").optional()],
                vec![text("x")],
                "contract.input.c",
                Effect::NewVersion,
            ),
            (
                vec![text("a"), text("b").optional()],
                vec![text("x"), text("y")],
                "contract.output.rows[].y",
                Effect::NewVersion,
            ),
            (
                vec![text("a"), text("b").optional()],
                vec![number("x")],
                "contract.output.rows[].x",
                Effect::Breaking,
            ),
            (
                vec![text("a"), text("b").optional()],
                vec![text("y")],
                "contract.output.rows[].x",
                Effect::Breaking,
            ),
        ] {
            let wanted = document(inputs, columns);
            let changes = diff(&live, &wanted);
            let found = changes.iter().find(|change| change.path == path);
            assert_eq!(
                found.map(|change| change.effect),
                Some(effect),
                "{changes:#?}"
            );
            assert!(!same_contract(&live, &wanted));
        }
    }

    #[test]
    fn words_in_a_contract_do_not_count_and_each_field_of_the_configuration_does() {
        let live = document(vec![text("a")], vec![text("x")]);
        let described = document(
            vec![text("a").with_description("words")],
            vec![text("x").with_description("words")],
        );
        assert_eq!(diff(&live, &described), []);
        let mut wanted = live.clone();
        wanted.config.timeout_seconds = Some(9);
        wanted.config.request.headers.remove("Content-Type");
        wanted.secure = true;
        let changes = diff(&live, &wanted);
        let paths: Vec<_> = changes
            .iter()
            .map(|change| (change.path.as_str(), change.effect))
            .collect();
        assert_eq!(
            paths,
            [
                ("config.request.headers.Content-Type", Effect::InPlace),
                ("config.timeoutSeconds", Effect::InPlace),
                ("secure", Effect::Breaking),
            ]
        );
    }
}
