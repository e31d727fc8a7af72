//! Writes what an action answers into the expectation of a case, and leaves the rest of the file as it is.

use std::path::Path;

use flowlake_data_action::ActionError;
use toml_edit::{DocumentMut, Item, Table, TableLike, Value};

use super::{
    aligned::{Cell, Grid},
    compare::{Counts, Difference},
    file::Expect,
};

/// What is to be expected from now on.
pub(super) enum Wanted<'a> {
    Rows {
        /// The answer, in the columns and the order that are kept; none where the rows are as expected already.
        rows: Option<Grid>,
        counts: Counts,
    },
    Error(&'a ActionError),
}

/// Whether an answer is of another kind than what is expected: an error in place of rows, rows in place of an error, or rows that are cut
/// off. Such an expectation stays as it is, since a fault of the SQL looks the same.
pub(super) fn is_of_other_kind(
    expect: Option<&Expect>,
    answer: &Result<(Counts, Grid), ActionError>,
) -> bool {
    expect.is_some_and(|expect| match answer {
        Err(_) => expect.error.is_none(),
        Ok((counts, _)) => expect.error.is_some() || counts.truncated && !expect.truncated,
    })
}

/// An answer as it is written: the columns that were expected, and rows that were expected where they were.
pub(super) fn kept(
    expect: Option<&Expect>,
    difference: Option<&Difference>,
    expected: &Grid,
    answered: &Grid,
) -> Grid {
    let subset = expect.is_some_and(|expect| expect.subset);
    let stay = expected.columns.iter();
    let stay = stay.filter(|name| answered.columns.contains(name)).cloned();
    let mut columns: Vec<String> = stay.collect();
    if !subset || columns.is_empty() {
        let others = answered.columns.iter();
        let others = others.filter(|name| !expected.columns.contains(name));
        columns.extend(others.cloned());
    }
    let is_ordered = expect.is_some_and(|expect| expect.ordered);
    let pairs = difference.map_or(&[][..], |difference| &difference.pairs);
    let mut order: Vec<usize> = (0..answered.rows.len()).collect();
    if !is_ordered {
        order.sort_by_key(|&row| pairs.get(row).copied().flatten().unwrap_or(usize::MAX));
    }
    let rows = order.into_iter().map(|row| {
        let cells = columns.iter().map(|name| {
            let mut others = answered.columns.iter();
            let place = others.position(|other| other == name);
            place.map_or(Cell::Null, |place| answered.rows[row][place].clone())
        });
        cells.collect()
    });
    Grid {
        rows: rows.collect(),
        columns,
    }
}

/// The file's text with the expectation of case number `index`; and, where the rows are in a file of their own, that file's.
pub(super) fn updated(
    text: &str,
    index: usize,
    expect: Option<&Expect>,
    wanted: &Wanted<'_>,
) -> Result<(String, Option<String>), String> {
    let mut document: DocumentMut = text.parse().map_err(|error| format!("{error}"))?;
    let case = case(&mut document, index).ok_or("the case is not where it was")?;
    if !case.contains_key("expect") {
        case.insert("expect", Item::Table(Table::new()));
    }
    let table = case.get_mut("expect").and_then(Item::as_table_like_mut);
    let table = table.ok_or("`expect` is no table")?;
    let mut beside = None;
    match wanted {
        Wanted::Error(error) => {
            for key in [
                "rows",
                "ndjson",
                "file",
                "message",
                "truncated",
                "skipped_rows",
                "nulled_values",
            ] {
                table.remove(key);
            }
            set(table, "error", Value::from(error.code().as_str()));
        }
        Wanted::Rows { rows, counts } => {
            table.remove("error");
            table.remove("message");
            let is_lines = |path: &Path| {
                let end = path.extension().unwrap_or_default();
                end == "ndjson" || end == "jsonl"
            };
            match (rows, expect) {
                (None, _) => {}
                (
                    Some(rows),
                    Some(Expect {
                        file: Some(path), ..
                    }),
                ) => {
                    beside = Some(match is_lines(path) {
                        true => lines(rows),
                        false => text_of(rows),
                    });
                }
                (
                    Some(rows),
                    Some(Expect {
                        ndjson: Some(_), ..
                    }),
                ) => {
                    set(table, "ndjson", multi_line(&lines(rows))?);
                }
                (Some(rows), _) => set(table, "rows", multi_line(&text_of(rows))?),
            }
            flag(table, "truncated", counts.truncated.then_some(true.into()));
            let count = |count: u64| i64::try_from(count).ok().filter(|count| *count > 0);
            flag(
                table,
                "skipped_rows",
                count(counts.skipped_rows).map(Value::from),
            );
            flag(
                table,
                "nulled_values",
                count(counts.nulled_values).map(Value::from),
            );
        }
    }
    Ok((document.to_string(), beside))
}

fn case(document: &mut DocumentMut, index: usize) -> Option<&mut dyn TableLike> {
    match document.get_mut("case")? {
        Item::ArrayOfTables(cases) => Some(cases.get_mut(index)?),
        Item::Value(Value::Array(cases)) => Some(cases.get_mut(index)?.as_inline_table_mut()?),
        _ => None,
    }
}

/// Sets a value and keeps the comment behind it.
fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    if let Some(old) = table.get(key).and_then(Item::as_value) {
        *value.decor_mut() = old.decor().clone();
    }
    match table.get_mut(key) {
        Some(item) => *item = Item::Value(value),
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

/// Sets a value that differs from what holds when nothing is said, or takes it away.
fn flag(table: &mut dyn TableLike, key: &str, value: Option<Value>) {
    match value {
        Some(value) => set(table, key, value),
        None => {
            table.remove(key);
        }
    }
}

/// Text over several lines, as it reads best.
fn multi_line(text: &str) -> Result<Value, String> {
    let is_literal = !text.contains("'''") && !text.contains(|c: char| c.is_control() && c != '\n');
    let written = match (text.contains('\\') || text.contains("\"\"\""), is_literal) {
        (false, _) => format!("\"\"\"\n{text}\"\"\""),
        (true, true) => format!("'''\n{text}'''"),
        (true, false) => Value::from(text).to_string(),
    };
    written.parse().map_err(|error| format!("{error}"))
}

/// Rows of an answer as aligned text.
pub(super) fn text_of(rows: &Grid) -> String {
    let cell = |cell: &Cell| match cell {
        Cell::Json(json) => Cell::of_json(json),
        cell => cell.clone(),
    };
    let plain = rows.rows.iter();
    let plain = plain.map(|row| row.iter().map(cell).collect());
    Grid {
        columns: rows.columns.clone(),
        rows: plain.collect(),
    }
    .written()
}

/// Rows as lines of JSON.
fn lines(rows: &Grid) -> String {
    let line = |row: &Vec<Cell>| {
        let members = rows.columns.iter().zip(row).map(|(name, cell)| {
            let value = match cell {
                Cell::Null => "null".to_owned(),
                Cell::Json(json) => json.clone(),
                Cell::Bare(text) | Cell::Text(text) => {
                    serde_json::Value::from(text.as_str()).to_string()
                }
            };
            format!("{}: {value}", serde_json::Value::from(name.as_str()))
        });
        format!("{{{}}}\n", members.collect::<Vec<_>>().join(", "))
    };
    rows.rows.iter().map(line).collect()
}
