//! The columns of an action's answer.

use flowlake_transform::{arrow::datatypes::Schema, type_name};
use serde::Serialize;

/// The columns of an action's answer, as its SQL and the present files have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnswerColumns {
    /// In the order of the SELECT.
    pub columns: Vec<AnswerColumn>,
    /// Whether the SQL gives one row at most: `LIMIT 1`, or an aggregate without GROUP BY.
    pub at_most_one_row: bool,
}

/// One column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnswerColumn {
    /// Its name.
    pub name: String,
    /// Its type in the words of docs/tables.md, such as `integer`.
    pub data_type: String,
    /// Whether it can hold null.
    pub nullable: bool,
}

impl AnswerColumn {
    /// The columns of rows.
    pub(crate) fn of(schema: &Schema) -> Vec<Self> {
        let columns = schema.fields().iter().map(|field| Self {
            name: field.name().clone(),
            data_type: type_name(field.data_type()),
            nullable: field.is_nullable(),
        });
        columns.collect()
    }
}
