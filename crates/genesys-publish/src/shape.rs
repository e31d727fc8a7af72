//! How rows become the outputs of a data action: names, schema, paths and template of each shape.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::contract::Field;
use crate::document::ResponseConfig;
use crate::rules::Violation;
use crate::template;

/// How rows become the outputs that a flow can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OutputShape {
    /// Each column is the value of the first row, for look-ups; `found` says whether there is one. All outputs are
    /// scalars, as rules of outbound dialling need. A value that is null, and every value when there is no row, is left
    /// out: the flow sees the output not set.
    #[default]
    FirstRow,
    /// Each column is a list with one value for each row. The platform allows no null in a list, and leaving one out
    /// would shift the rest: a column that can be null is refused.
    Columns,
    /// One list of objects. A member that is null is left out of its object, which the web service has to do.
    Rows,
}

impl OutputShape {
    /// The name in action files and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstRow => "first-row",
            Self::Columns => "columns",
            Self::Rows => "rows",
        }
    }

    /// The outputs beside the columns: name, type, what the path finds when it finds nothing, and a description.
    const fn extras(self) -> &'static [(&'static str, &'static str, &'static str)] {
        match self {
            Self::FirstRow => &[
                ("found", "boolean", "Whether there is a row."),
                ("row_count", "integer", "How many rows were found."),
                (
                    "truncated",
                    "boolean",
                    "Whether the row limit cut rows off.",
                ),
            ],
            Self::Columns | Self::Rows => &[
                ("row_count", "integer", "How many rows were found."),
                (
                    "truncated",
                    "boolean",
                    "Whether the row limit cut rows off.",
                ),
            ],
        }
    }

    /// The rules that these columns break in this shape.
    pub(crate) fn violations(self, columns: &[Field]) -> Vec<Violation> {
        let mut all = Vec::new();
        let beside: Vec<&str> = match self {
            Self::Rows => Vec::new(),
            _ => self.extras().iter().map(|(name, ..)| *name).collect(),
        };
        let names = columns.iter().map(|column| column.name.as_str());
        all.extend(Violation::duplicates(names, &beside));
        if self == Self::Columns {
            let nullable = columns.iter().filter(|column| column.nullable);
            all.extend(nullable.map(|column| Violation::NullInList {
                name: column.name.clone(),
            }));
        }
        all
    }

    /// The properties of the success schema.
    pub(crate) fn properties(self, columns: &[Field]) -> Map<String, Value> {
        let mut properties: Map<String, Value> = match self {
            Self::FirstRow => columns
                .iter()
                .map(|column| (column.name.clone(), column.schema()))
                .collect(),
            Self::Columns => columns
                .iter()
                .map(|column| {
                    let list = json!({ "type": "array", "items": column.schema() });
                    (column.name.clone(), list)
                })
                .collect(),
            Self::Rows => {
                let row: Map<String, Value> = columns
                    .iter()
                    .map(|column| (column.name.clone(), column.schema()))
                    .collect();
                let items =
                    json!({ "type": "object", "properties": row, "additionalProperties": true });
                let list = json!({ "type": "array", "items": items });
                Map::from_iter([("rows".to_owned(), list)])
            }
        };
        for (name, kind, description) in self.extras() {
            let schema = json!({ "type": kind, "description": description });
            properties.insert((*name).to_owned(), schema);
        }
        properties
    }

    /// The paths into `{"data": […], "row_count": n, "truncated": bool, …}`, their defaults, and the output's template.
    pub(crate) fn response(self, columns: &[Field]) -> ResponseConfig {
        let mut paths = BTreeMap::new();
        let mut defaults = BTreeMap::new();
        let mut map = |name: &str, path: String, default: &str| {
            paths.insert(name.to_owned(), path);
            defaults.insert(name.to_owned(), default.to_owned());
        };
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        match self {
            Self::FirstRow => {
                for name in &names {
                    map(name, format!("$.data[0].{name}"), "null");
                }
            }
            Self::Columns => {
                for name in &names {
                    map(name, format!("$.data[*].{name}"), "[]");
                }
            }
            Self::Rows => map("rows", "$.data".to_owned(), "[]"),
        }
        map("row_count", "$.row_count".to_owned(), "0");
        map("truncated", "$.truncated".to_owned(), "false");
        let success_template = match self {
            Self::FirstRow => {
                template::success(&[template::FOUND], &["row_count", "truncated"], &names)
            }
            Self::Columns => {
                let mut always = vec!["row_count", "truncated"];
                always.extend(names);
                template::success(&[], &always, &[])
            }
            Self::Rows => template::success(&[], &["rows", "row_count", "truncated"], &[]),
        };
        ResponseConfig {
            translation_map: paths,
            translation_map_defaults: defaults,
            success_template,
        }
    }
}
