//! Rows and reports on standard output.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use flowlake_data_action::Answer;
use serde_json::value::RawValue;

use crate::{
    failure::Failure,
    format::Format,
    grid::{GridColumn, grid, terminal_width, visible},
    terminal::Terminal,
};

/// Writes to standard output; a broken pipe comes back as an error that ends the command quietly.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// A remark that is not part of the answer, on standard error.
pub(crate) fn note(text: &str) {
    if Terminal::get().has_remarks {
        missing(text);
    }
}

/// What an answer lacks, on standard error: it is said to the quiet too.
#[expect(
    clippy::print_stderr,
    reason = "remarks must not mix with rows on standard output"
)]
pub(crate) fn missing(text: &str) {
    let terminal = Terminal::get();
    // Names of files are in it, which may hold what drives a terminal.
    eprintln!("{} {}", terminal.stderr.remark("note:"), visible(text));
}

/// The whole answer for people, or for programs.
pub(crate) fn answer(answer: &Answer, format: Format, is_full: bool) -> Result<String, Failure> {
    Ok(match format {
        Format::Table if is_full => format!(
            "{}\n{}\n",
            table(answer, terminal_width())?,
            crate::text::report(answer)
        ),
        Format::Table => format!(
            "{}\n{}\n",
            table(answer, terminal_width())?,
            crate::text::summary(answer)
        ),
        _ if is_full => json(answer)?,
        _ => json(&answer.to_flow())?,
    })
}

/// One line of JSON.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map(|text| text + "\n")
        .map_err(|error| Failure::Io(error.into()))
}

/// The rows as a table, no wider than `width`: numbers to the right and digit by digit, nulls empty.
pub(crate) fn table(answer: &Answer, width: Option<usize>) -> Result<String, Failure> {
    Ok(grid(cells(answer)?, width))
}

/// The columns of an answer with their cells as people write them.
pub(crate) fn cells(answer: &Answer) -> Result<Vec<GridColumn>, Failure> {
    let rows: Vec<HashMap<String, &RawValue>> =
        serde_json::from_str(answer.data.get()).map_err(|error| Failure::Io(error.into()))?;
    let columns = answer.columns.iter().map(|name| {
        let values = || {
            rows.iter()
                .map(|row| row.get(name).map(|value| value.get()))
        };
        GridColumn {
            name: name.clone(),
            is_number: values().flatten().any(is_number),
            cells: values()
                .map(|value| value.map_or_else(String::new, text))
                .collect(),
        }
    });
    Ok(columns.collect())
}

/// Whether a value is a number, or one that JSON has as text since it is not finite.
fn is_number(json: &str) -> bool {
    let is_finite = json.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    is_finite || matches!(json, r#""NaN""# | r#""inf""# | r#""-inf""#)
}

/// A value as people write it.
fn text(json: &str) -> String {
    match json {
        "null" => String::new(),
        json => serde_json::from_str(json).unwrap_or_else(|_| json.to_owned()),
    }
}
