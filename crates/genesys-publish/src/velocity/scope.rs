//! What goes into a template, and what comes out.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What references stand for.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    pub(super) values: BTreeMap<String, Value>,
}

impl Scope {
    /// Adds a value under a name, such as `input` or a variable of a translation map.
    pub(crate) fn with(mut self, name: &str, value: Value) -> Self {
        self.values.insert(name.to_owned(), value);
        self
    }

    /// Adds each member under its own name.
    pub(crate) fn with_all(mut self, members: Map<String, Value>) -> Self {
        self.values.extend(members);
        self
    }
}

/// A rendered template.
#[derive(Debug, PartialEq)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// References without a value that stand in the text as they are written.
    pub(crate) unresolved: Vec<String>,
}
