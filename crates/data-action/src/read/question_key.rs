//! What makes two questions to tables in memory the same.

use std::fmt::Write as _;

use flowlake_transform::{BoundParams, BoundValue, HotView, RowFormat, json::JsonReader};

use crate::RowOutput;

/// Equal keys have equal answers. The caller is no part of it: a process reads as one principal, and each attempt has been
/// allowed by itself before it comes here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct QuestionKey {
    action: String,
    params: String,
    version: u64,
    format: RowFormat,
    reader: JsonReader,
}

impl QuestionKey {
    pub(super) fn new(
        action: &str,
        bound: &BoundParams,
        view: &HotView,
        output: &RowOutput,
    ) -> Self {
        let mut params = String::new();
        for (name, value, _) in bound.entries() {
            params.push_str(name);
            write_value(&mut params, value);
        }
        Self {
            action: action.to_owned(),
            params,
            version: view.version(),
            format: output.format,
            reader: output.reader,
        }
    }
}

/// Each value behind its length, so that no two lists of values are written alike.
fn write_value(out: &mut String, value: &BoundValue) {
    if let BoundValue::List(_, items) = value {
        let _ = write!(out, "[{}]", items.len());
        items.iter().for_each(|item| write_value(out, item));
        return;
    }
    let text = value.to_string();
    let _ = write!(out, "={}:{text};", text.len());
}
