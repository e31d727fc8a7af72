//! What a case came to, in lines for people.

use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::{
    aligned::{Cell, Grid, padded},
    compare::Difference,
    outcome::{Outcome, Verdict},
    update::text_of,
};
use crate::colour::Colour;

/// Rows of a difference that are shown.
const SHOWN_ROWS: usize = 20;

/// The line of a case, and below it what is wrong.
pub(super) fn lines(outcome: &Outcome, colour: Colour) -> String {
    let Outcome {
        action,
        case,
        verdict,
        ..
    } = outcome;
    let name = format!("{action}: {case}");
    let time = colour.dim(&format!("({:.1} ms)", outcome.milliseconds()));
    let mark = match verdict {
        Verdict::Passed => return format!("{} {name} {time}\n", colour.green("✓")),
        Verdict::Updated => return format!("{} {name} {time} updated\n", colour.green("✎")),
        _ => colour.red("✗"),
    };
    let place = colour.dim(&format!("{}:{}", outcome.path.display(), outcome.line));
    let mut text = format!("{mark} {} {place}\n", colour.bold(&name));
    for line in detail(verdict, colour).lines() {
        writeln!(text, "    {line}").expect("a text takes every line");
    }
    if outcome.stays {
        text += "    --update leaves the expectation as it is: where this answer is meant, take `expect` out and update again\n";
    }
    text
}

/// What is wrong.
pub(super) fn detail(verdict: &Verdict, colour: Colour) -> String {
    match verdict {
        Verdict::Passed | Verdict::Updated => String::new(),
        Verdict::Fault(error) => format!(
            "[{}] {}\n{}\n",
            error.code(),
            error.message(),
            error.advice()
        ),
        Verdict::WrongError { expected, found } => {
            let found = match found {
                Some(error) => {
                    format!("[{}] {}\n{}", error.code(), error.message(), error.advice())
                }
                None => "it answers with rows".to_owned(),
            };
            match expected {
                Some(expected) => format!("expected {expected}\n{found}\n"),
                None => format!("{found}\n"),
            }
        }
        Verdict::Unexpected(grid) => format!(
            "nothing is expected; `flowlake test --update` writes what it answers:\n{}",
            text_of(grid)
        ),
        Verdict::Different {
            difference,
            expected,
            answered,
        } => different(difference, expected, answered, colour),
    }
}

/// How rows differ.
pub(super) fn different(
    found: &Difference,
    expected: &Grid,
    answered: &Grid,
    colour: Colour,
) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for remark in &found.remarks {
        say(remark.clone());
    }
    let quoted = |names: &[String]| {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    if !found.missing_columns.is_empty() {
        let has = quoted(&answered.columns);
        say(format!(
            "the answer has no column {}; it has {has}",
            quoted(&found.missing_columns)
        ));
    }
    if !found.other_columns.is_empty() {
        say(format!(
            "the answer has columns that are not expected: {}; say `subset = true` where that is meant",
            quoted(&found.other_columns)
        ));
    }
    if found.is_order {
        say("the rows are as expected, in another order".to_owned());
    }
    if !found.rows.is_empty() {
        say(format!(
            "{} of {} rows differ ({} expected, {} answered)",
            found.rows.len(),
            // Rows that have nothing in common are shown one by one.
            expected
                .rows
                .len()
                .max(answered.rows.len())
                .max(found.rows.len()),
            colour.red("-"),
            colour.green("+")
        ));
        let columns = match expected.columns.is_empty() {
            true => &answered.columns,
            false => &expected.columns,
        };
        for line in rows(found, columns, expected, answered, colour) {
            say(line);
        }
    }
    text
}

/// One line of a table of differences.
struct Line {
    mark: &'static str,
    cells: Vec<String>,
    /// The cells that differ; all of a row that has no counterpart.
    wrong: Vec<usize>,
    remark: &'static str,
}

/// The rows that differ, below each other, cell by cell.
fn rows(
    found: &Difference,
    columns: &[String],
    expected: &Grid,
    answered: &Grid,
    colour: Colour,
) -> Vec<String> {
    let all: Vec<usize> = (0..columns.len()).collect();
    let of_expected = |row: usize| expected.rows[row].iter().map(shown).collect();
    let of_answered = |row: usize| {
        let cells = columns.iter().map(|name| {
            let place = answered.columns.iter().position(|other| other == name);
            place.map_or_else(String::new, |place| shown(&answered.rows[row][place]))
        });
        cells.collect()
    };
    let mut lines = vec![Line {
        mark: " ",
        cells: columns.to_vec(),
        wrong: Vec::new(),
        remark: "",
    }];
    for row in found.rows.iter().take(SHOWN_ROWS) {
        let (wrong, missing, other) = match (row.expected, row.answered) {
            (Some(_), Some(_)) => (&row.columns, "", ""),
            _ => (&all, "missing", "not expected"),
        };
        if let Some(expected) = row.expected {
            lines.push(Line {
                mark: "-",
                cells: of_expected(expected),
                wrong: wrong.clone(),
                remark: missing,
            });
        }
        if let Some(answered) = row.answered {
            lines.push(Line {
                mark: "+",
                cells: of_answered(answered),
                wrong: wrong.clone(),
                remark: other,
            });
        }
    }
    let width = |column: usize| lines.iter().map(|line| line.cells[column].width()).max();
    let widths: Vec<usize> = all.iter().filter_map(|&column| width(column)).collect();
    let right: Vec<bool> = all
        .iter()
        .map(|&column| expected.columns.is_empty() || expected.is_number(column))
        .collect();
    let mut drawn = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        drawn.push(line.drawn(&widths, &right, colour));
        // Below a pair, where no colour says which cells differ.
        let is_pair = at > 0 && line.mark == "+" && line.remark.is_empty();
        if is_pair && colour.red("x") == "x" {
            let marks = all.iter().map(|column| match line.wrong.contains(column) {
                true => "~".repeat(widths[*column].max(1)),
                false => " ".repeat(widths[*column]),
            });
            let marks = marks.collect::<Vec<_>>().join("   ");
            drawn.push(format!("  {}", marks.trim_end()));
        }
    }
    if found.rows.len() > SHOWN_ROWS {
        drawn.push(format!("  … and {} more", found.rows.len() - SHOWN_ROWS));
    }
    drawn
}

impl Line {
    fn drawn(&self, widths: &[usize], right: &[bool], colour: Colour) -> String {
        let cells = self.cells.iter().enumerate().map(|(column, cell)| {
            let cell = padded(cell, widths[column], right[column]);
            match (self.wrong.contains(&column), self.mark) {
                (true, "-") => colour.red(&cell),
                (true, _) => colour.green(&cell),
                (false, _) => cell,
            }
        });
        let cells = cells.collect::<Vec<_>>().join(" | ");
        let line = match self.remark {
            "" => format!("{} {cells}", self.mark),
            remark => format!("{} {cells}   ({remark})", self.mark),
        };
        line.trim_end().to_owned()
    }
}

/// A value of an answer, as a test file would have it.
fn shown(cell: &Cell) -> String {
    match cell {
        Cell::Json(json) => Cell::of_json(json).written(),
        cell => cell.written(),
    }
}
