//! Expected rows against an answer's, cell by cell.

use std::{borrow::Cow, collections::HashMap};

use rust_decimal::Decimal;
use serde_json::{Value, value::RawValue};

use super::{
    aligned::{Cell, Grid},
    file::Expect,
};

/// What an answer says beside its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) truncated: bool,
    pub(super) skipped_rows: u64,
    pub(super) nulled_values: u64,
}

/// How an answer differs from what is expected.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// Expected columns that the answer does not have.
    pub(super) missing_columns: Vec<String>,
    /// Columns of the answer that are not expected.
    pub(super) other_columns: Vec<String>,
    /// The rows that differ.
    pub(super) rows: Vec<RowDifference>,
    /// Whether the answer has the expected rows in another order.
    pub(super) is_order: bool,
    /// What is not rows, in words.
    pub(super) remarks: Vec<String>,
    /// For each row of the answer the expected row that it is, or is closest to.
    pub(super) pairs: Vec<Option<usize>>,
}

/// One row that differs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RowDifference {
    /// The expected row; none for a row that is not expected.
    pub(super) expected: Option<usize>,
    /// The row of the answer; none for a row that is missing.
    pub(super) answered: Option<usize>,
    /// The expected columns whose cells differ.
    pub(super) columns: Vec<usize>,
}

/// An answer's rows, in the order of its columns.
pub(super) fn answered(data: &RawValue, columns: &[String]) -> Result<Grid, serde_json::Error> {
    let rows: Vec<HashMap<Cow<'_, str>, &RawValue>> = serde_json::from_str(data.get())?;
    let rows = rows.iter().map(|row| {
        let cells = columns.iter().map(|name| {
            let value = row.get(name.as_str());
            value.map_or(Cell::Null, |value| Cell::Json(value.get().to_owned()))
        });
        cells.collect()
    });
    Ok(Grid {
        columns: columns.to_vec(),
        rows: rows.collect(),
    })
}

/// Rows of lines of JSON.
pub(super) fn of_ndjson(text: &str) -> Result<Grid, String> {
    let mut grid = Grid::default();
    let mut rows: Vec<HashMap<String, String>> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |_| format!("line {} is no JSON object", at + 1);
        // Twice: once for the order of the members, once for the digits of numbers.
        let members: serde_json::Map<String, Value> = serde_json::from_str(line).map_err(wrong)?;
        let raw: HashMap<String, &RawValue> = serde_json::from_str(line).map_err(wrong)?;
        for name in members.keys() {
            if !grid.columns.contains(name) {
                grid.columns.push(name.clone());
            }
        }
        let raw = raw.into_iter();
        rows.push(
            raw.map(|(name, value)| (name, value.get().to_owned()))
                .collect(),
        );
    }
    grid.rows = rows
        .into_iter()
        .map(|mut row| {
            let cells = grid
                .columns
                .iter()
                .map(|name| row.remove(name).map_or(Cell::Null, Cell::Json));
            cells.collect()
        })
        .collect();
    Ok(grid)
}

/// Compares; `None` when the answer is as expected.
impl Difference {
    /// Whether all rows are as expected, and only what is counted beside them differs.
    pub(super) const fn has_only_remarks(&self) -> bool {
        self.missing_columns.is_empty() && self.other_columns.is_empty() && self.rows.is_empty()
    }
}

pub(super) fn difference(
    expect: &Expect,
    expected: &Grid,
    answered: &Grid,
    counts: Counts,
) -> Option<Difference> {
    let mut found = Difference {
        remarks: remarks(expect, counts),
        ..Difference::default()
    };
    // No rows, of which nothing says the columns.
    let has_columns = !expected.columns.is_empty();
    let places: Vec<Option<usize>> = expected
        .columns
        .iter()
        .map(|name| answered.columns.iter().position(|other| other == name))
        .collect();
    let missing = expected.columns.iter().zip(&places);
    let missing = missing.filter(|(_, place)| place.is_none());
    found.missing_columns = missing.map(|(name, _)| name.clone()).collect();
    if has_columns && !expect.subset {
        let others = answered.columns.iter();
        let others = others.filter(|name| !expected.columns.contains(name));
        found.other_columns = others.cloned().collect();
    }
    let rows = Rows {
        expected,
        answered,
        places: &places,
        tolerance: expect.tolerance,
    };
    let pairs = match expect.ordered {
        true => (0..answered.rows.len())
            .map(|row| (row < expected.rows.len()).then_some(row))
            .collect(),
        false => rows.pairs(),
    };
    found.rows = rows.differences(&pairs);
    if expect.ordered && !found.rows.is_empty() {
        found.is_order = rows.differences(&rows.pairs()).is_empty();
    }
    found.pairs = pairs;
    let is_same = found.missing_columns.is_empty()
        && found.other_columns.is_empty()
        && found.rows.is_empty()
        && found.remarks.is_empty();
    (!is_same).then_some(found)
}

fn remarks(expect: &Expect, run: Counts) -> Vec<String> {
    let mut remarks = Vec::new();
    match (expect.truncated, run.truncated) {
        (false, true) => remarks.push(
            "the action's max_rows cuts rows off: say `truncated = true` where that is meant"
                .to_owned(),
        ),
        (true, false) => remarks.push("no row is cut off, and `truncated` is true".to_owned()),
        _ => {}
    }
    for (name, expected, found) in [
        ("skipped_rows", expect.skipped_rows, run.skipped_rows),
        ("nulled_values", expect.nulled_values, run.nulled_values),
    ] {
        if expected != found {
            remarks.push(format!("{name} is {found}, expected {expected}"));
        }
    }
    remarks
}

/// Two tables of rows, and where the expected columns stand in the answer.
struct Rows<'a> {
    expected: &'a Grid,
    answered: &'a Grid,
    places: &'a [Option<usize>],
    tolerance: f64,
}

impl Rows<'_> {
    /// The expected columns whose cells differ.
    fn wrong(&self, expected: usize, answered: usize) -> Vec<usize> {
        let row = &self.answered.rows[answered];
        let cells = self.expected.rows[expected].iter().zip(self.places);
        let wrong = cells.enumerate().filter(|(_, (cell, place))| {
            let found = place.map(|place| &row[place]);
            found.is_some_and(|found| !is_equal(cell, found, self.tolerance))
        });
        wrong.map(|(column, _)| column).collect()
    }

    fn is_match(&self, expected: usize, answered: usize) -> bool {
        self.wrong(expected, answered).is_empty()
    }

    /// For each row of the answer the expected row that it is; of those left over, the one with the most cells in common.
    fn pairs(&self) -> Vec<Option<usize>> {
        let (expected, answered) = (self.expected.rows.len(), self.answered.rows.len());
        let mut of_answered: Vec<Option<usize>> = vec![None; answered];
        let mut left = Vec::new();
        for row in 0..expected {
            let same = (0..answered)
                .find(|&other| of_answered[other].is_none() && self.is_match(row, other));
            match same {
                Some(other) => of_answered[other] = Some(row),
                None => left.push(row),
            }
        }
        // With a tolerance, rows can match several: an earlier choice may have to give way.
        if self.tolerance > 0.0 {
            left.retain(|&row| !self.give_way(row, &mut vec![false; answered], &mut of_answered));
        }
        let columns = self.expected.columns.len();
        for row in left {
            let others = (0..answered).filter(|&other| of_answered[other].is_none());
            let closest = others
                .map(|other| (self.wrong(row, other).len(), other))
                .min();
            if let Some((wrong, other)) = closest
                && wrong < columns
            {
                of_answered[other] = Some(row);
            }
        }
        of_answered
    }

    /// Finds a row of the answer for an expected one, and another for whichever had it (Kuhn's algorithm).
    fn give_way(&self, row: usize, seen: &mut [bool], taken: &mut [Option<usize>]) -> bool {
        for other in 0..taken.len() {
            if seen[other] || !self.is_match(row, other) {
                continue;
            }
            seen[other] = true;
            let is_free = match taken[other] {
                None => true,
                Some(owner) => self.give_way(owner, seen, taken),
            };
            if is_free {
                taken[other] = Some(row);
                return true;
            }
        }
        false
    }

    fn differences(&self, pairs: &[Option<usize>]) -> Vec<RowDifference> {
        let mut found = Vec::new();
        for expected in 0..self.expected.rows.len() {
            let answered = pairs.iter().position(|pair| *pair == Some(expected));
            let columns = answered.map_or_else(Vec::new, |other| self.wrong(expected, other));
            if answered.is_none() || !columns.is_empty() {
                found.push(RowDifference {
                    expected: Some(expected),
                    answered,
                    columns,
                });
            }
        }
        let others = pairs.iter().enumerate();
        let others = others.filter(|(_, pair)| pair.is_none());
        found.extend(others.map(|(answered, _)| RowDifference {
            expected: None,
            answered: Some(answered),
            columns: Vec::new(),
        }));
        found
    }
}

/// Whether a value of an answer is what is expected.
fn is_equal(expected: &Cell, answered: &Cell, tolerance: f64) -> bool {
    let Cell::Json(answered) = answered else {
        return *expected == Cell::Null;
    };
    let Ok(value) = serde_json::from_str::<Value>(answered) else {
        return false;
    };
    match (expected, &value) {
        (Cell::Null, value) => value.is_null(),
        (_, Value::Null) => matches!(expected, Cell::Json(json) if json == "null"),
        (Cell::Text(text), Value::String(found)) => text == found,
        (Cell::Text(_), _) => false,
        (Cell::Bare(text), Value::String(found)) => text == found,
        (Cell::Bare(text), Value::Bool(found)) => *text == found.to_string(),
        (Cell::Bare(text) | Cell::Json(text), Value::Number(_)) => {
            is_same_number(text, answered, tolerance)
        }
        (Cell::Bare(text) | Cell::Json(text), value) => {
            serde_json::from_str::<Value>(text).is_ok_and(|text| text == *value)
        }
    }
}

/// Whether two texts are the same number, to its last digit unless a tolerance is given.
fn is_same_number(expected: &str, answered: &str, tolerance: f64) -> bool {
    if let (Some(expected), Some(answered)) = (digits(expected), digits(answered)) {
        if expected == answered {
            return true;
        }
        if tolerance == 0.0 {
            return false;
        }
    }
    // As people reckon: 1.5 and 1.4 are 0.1 apart, which they are not as floats.
    let decimal = |text: &str| text.parse::<Decimal>().ok();
    let decimals = (
        decimal(expected),
        decimal(answered),
        decimal(&tolerance.to_string()),
    );
    if let (Some(expected), Some(answered), Some(tolerance)) = decimals {
        let apart = expected.checked_sub(answered);
        return apart.is_some_and(|apart| apart.abs() <= tolerance);
    }
    let (Ok(left), Ok(right)) = (expected.parse::<f64>(), answered.parse::<f64>()) else {
        return false;
    };
    (left - right).abs() <= tolerance
}

/// Sign, digits before and digits behind the point, without zeros that say nothing; none for a number with an exponent.
fn digits(text: &str) -> Option<(bool, &str, &str)> {
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_plain(whole) || !is_plain(fraction) {
        return None;
    }
    let (whole, fraction) = (
        whole.trim_start_matches('0'),
        fraction.trim_end_matches('0'),
    );
    let is_zero = whole.is_empty() && fraction.is_empty();
    Some((is_negative && !is_zero, whole, fraction))
}

#[cfg(test)]
mod tests {
    use super::{Counts, Difference, RowDifference, difference, is_same_number, of_ndjson};
    use crate::test::{
        aligned::{Cell, parse},
        file::Expect,
    };

    fn compared(expect: &Expect, expected: &str, answered: &str) -> Option<Difference> {
        let answered = of_ndjson(answered).unwrap();
        difference(
            expect,
            &parse(expected).unwrap(),
            &answered,
            Counts::default(),
        )
    }

    #[test]
    fn numbers_are_compared_by_their_digits() {
        for (expected, answered, tolerance, same) in [
            ("12.50", "12.5", 0.0, true),
            ("-0", "0", 0.0, true),
            ("007", "7", 0.0, true),
            ("9007199254740993", "9007199254740992", 0.0, false),
            ("0.1", "0.10000000000000001", 0.0, false),
            ("1e3", "1000", 0.0, true),
            ("1e3", "1001", 0.0, false),
            (
                "123456789012345678901234567890",
                "123456789012345678901234567891",
                0.0,
                false,
            ),
            ("1.4", "1.5", 0.1, true),
            ("1", "1.1", 0.2, true),
            ("1", "1.3", 0.2, false),
            ("x", "1", 9.0, false),
            ("", "0", 9.0, false),
        ] {
            let found = is_same_number(expected, answered, tolerance);
            assert_eq!(found, same, "{expected} {answered}");
        }
    }

    #[test]
    fn values_have_the_kind_that_is_expected() {
        let expect = Expect::default();
        let same = |cell: &str, json: &str| {
            compared(
                &expect,
                &format!("a\n{cell}"),
                &format!("{{\"a\": {json}}}"),
            )
            .is_none()
        };
        assert!(same("5", "5") && same("5", "\"5\"") && same("\"5\"", "\"5\""));
        assert!(!same("\"5\"", "5") && !same("true", "\"false\"") && same("true", "true"));
        assert!(same("[1, 2]", "[1,2]") && !same("[1]", "[1,2]"));
        assert!(!same("null", "null") && same("\"\"", "\"\"") && !same("\"\"", "null"));
        let null = parse("a | b\n | x").unwrap();
        assert_eq!(null.rows[0][0], Cell::Null);
        assert!(compared(&expect, "a | b\n | x", "{\"a\": null, \"b\": \"x\"}").is_none());
        assert!(compared(&expect, "a | b\n | x", "{\"a\": \"\", \"b\": \"x\"}").is_some());
    }

    #[test]
    fn rows_in_any_order_unless_it_counts() {
        let answer = "{\"a\": 2, \"b\": \"y\"}\n{\"a\": 1, \"b\": \"x\"}";
        let mut expect = Expect::default();
        assert_eq!(compared(&expect, "b | a\nx | 1\ny | 2", answer), None);
        expect.ordered = true;
        let found = compared(&expect, "b | a\nx | 1\ny | 2", answer).unwrap();
        assert!(found.is_order && found.rows.len() == 2);
    }

    #[test]
    fn a_row_is_compared_with_the_one_that_is_closest() {
        let answer = "{\"a\": 1, \"b\": \"x\"}\n{\"a\": 3, \"b\": \"y\"}\n{\"a\": 9, \"b\": \"q\"}";
        let found = compared(&Expect::default(), "a | b\n2 | y\n1 | x\n5 | w", answer).unwrap();
        let row = |expected, answered, columns: &[usize]| RowDifference {
            expected,
            answered,
            columns: columns.to_vec(),
        };
        assert_eq!(
            found.rows,
            [
                row(Some(0), Some(1), &[0]),
                row(Some(2), None, &[]),
                row(None, Some(2), &[])
            ]
        );
    }

    #[test]
    fn with_a_tolerance_rows_are_matched_as_a_whole() {
        let expect = Expect {
            tolerance: 0.5,
            ..Expect::default()
        };
        // The first could take either; the second only the first's first choice.
        let answer = "{\"a\": 1.0}\n{\"a\": 1.5}";
        assert_eq!(compared(&expect, "a\n1.2\n0.6", answer), None);
        assert!(compared(&expect, "a\n1.2\n0.4", answer).is_some());
    }

    #[test]
    fn columns_have_to_be_all_unless_a_subset_is_expected() {
        let mut expect = Expect::default();
        let answer = "{\"a\": 1, \"b\": \"x\"}";
        let found = compared(&expect, "a | c\n1 | 2", answer).unwrap();
        assert_eq!(found.missing_columns, ["c"]);
        assert_eq!(found.other_columns, ["b"]);
        expect.subset = true;
        assert_eq!(compared(&expect, "a\n1", answer), None);
        assert_eq!(compared(&expect, "", "").map(|found| found.rows), None);
        assert_eq!(compared(&expect, "", answer).unwrap().rows.len(), 1);
    }
}
