//! Rows and reports on standard output.

use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use flowlake_data_action::Answer;
use serde_json::{Map, Value};

use crate::{arguments::Format, failure::Failure};

/// Writes to standard output; a broken pipe comes back as an error that ends the command quietly.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// A remark that is not part of the answer, on standard error.
#[expect(
    clippy::print_stderr,
    reason = "remarks must not mix with rows on standard output"
)]
pub(crate) fn note(text: &str) {
    eprintln!("note: {text}");
}

/// The whole answer for people, or for programs.
pub(crate) fn answer(answer: &Answer, format: Format, full: bool) -> Result<String, Failure> {
    Ok(match format {
        Format::Table if full => format!("{}\n{}\n", table(answer)?, crate::text::report(answer)),
        Format::Table => format!("{}\n{}\n", table(answer)?, crate::text::summary(answer)),
        _ if full => json(answer)?,
        _ => json(&answer.to_flow())?,
    })
}

/// One line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::Io(error.into()))
}

/// The rows as objects, numbers kept digit by digit.
fn objects(answer: &Answer) -> Result<Vec<Map<String, Value>>, Failure> {
    serde_json::from_str(answer.data.get()).map_err(|error| Failure::Io(error.into()))
}

/// The rows as a table: numbers to the right, nulls empty.
pub(crate) fn table(answer: &Answer) -> Result<String, Failure> {
    let rows = objects(answer)?;
    let mut table = Table::new();
    table
        .load_preset(UTF8_FULL_CONDENSED)
        .set_header(&answer.columns);
    for row in &rows {
        table.add_row(
            answer
                .columns
                .iter()
                .map(|column| row.get(column).map_or_else(String::new, text)),
        );
    }
    for (index, column) in answer.columns.iter().enumerate() {
        let numeric = rows
            .iter()
            .any(|row| row.get(column).is_some_and(Value::is_number));
        if let Some(column) = table.column_mut(index).filter(|_| numeric) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(table.to_string())
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
