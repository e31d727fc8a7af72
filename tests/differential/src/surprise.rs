//! Columns whose first values are of one kind and whose later ones are not: every value is answered as it is written, or the
//! answer is an error, or the value is counted as one that does not fit.

use crate::{
    check::Difference,
    dice::Dice,
    engine::{Answer, Engines, Refusal},
    files::Object,
    table::Table,
    way::{ENGINES, Way},
};

/// Values that a column begins with, and those that come later.
const COLUMNS: [(&[&str], &[&str]); 7] = [
    (
        &["1", "-20", "300", "9007199254740993"],
        &[
            "0071",
            "004930901820",
            "+4930901820",
            "1.9",
            "-0.6",
            "9007199254740993.0",
            "1e3",
            "true",
            "x",
            "12a",
            "0x10",
            "1_000",
            "9223372036854775808",
            "-0",
            "2026-01-05",
            "1,5",
            " 7",
            "",
        ],
    ),
    (
        &["1.5", "-0.25", "10.0"],
        &[
            "007.5",
            "1,5",
            "+1.5",
            "NaN",
            "inf",
            "x",
            "1e400",
            "0x1p3",
            ".5",
            "5.",
            "1_0.0",
            "12345678901234567890",
            "",
        ],
    ),
    (
        &["true", "false"],
        &[
            "no", "yes", "TRUE", "t", "f", "1", "0", "on", "wahr", "x", "",
        ],
    ),
    (
        &["2026-01-05", "2025-12-31"],
        &[
            "2026-01-05T23:30:00-05:00",
            "2026-01-05T10:00:00",
            "0000-00-00",
            "2026-13-45",
            "2026-02-30",
            "2026-1-5",
            "05.01.2026",
            "20260105",
            "9999-12-31",
            "0001-01-01",
            "tomorrow",
            "2026-01-05Z",
            "",
        ],
    ),
    (
        &["2026-01-05T10:00:00", "2026-01-06T11:30:15"],
        &[
            "2026-01-05T10:00:00.987",
            "2026-01-05 10:00:00",
            "2026-01-05T10:00:00Z",
            "2026-01-05T23:30:00-05:00",
            "2026-01-05",
            "2026-01-05T25:00:00",
            "2026-01-05T10:00",
            "1767605400000",
            "9999-12-31T23:59:59",
            "2026-01-05T10:00:00.123456789",
            "0000-00-00T00:00:00",
            "",
        ],
    ),
    (
        &["2026-01-05T10:00:00.5", "2026-01-06T11:30:15.25"],
        &[
            "2026-01-05T10:00:00.123456",
            "2026-01-05T10:00:00.1234567",
            "9999-12-31T23:59:59.999",
            "2026-01-05",
            "x",
        ],
    ),
    (
        &["Sales", "Billing"],
        &[
            "1",
            "007",
            "true",
            "2026-01-05",
            "1.50",
            "null",
            "NaN",
            "  x  ",
            "Müller",
        ],
    ),
];

/// One table with a surprise: the name of what was tried, and what is wrong.
pub(crate) async fn check(engines: &Engines, dice: &mut Dice) -> (String, Option<Difference>) {
    let (first, later) = dice.one(&COLUMNS);
    let surprise = *dice.one(later);
    let ndjson = dice.once_in(3);
    let (infer, before) = *dice.one(&[
        ("", 1000),
        ("infer_rows = 3\n", 3),
        ("infer_rows = 3\n", 20),
    ]);
    let policy = *dice.one(&["fail", "null", "skip"]);
    let mut values: Vec<&str> = (0..before + dice.below(3))
        .map(|_| *dice.one(first))
        .collect();
    values.push(surprise);
    values.extend((0..dice.below(3)).map(|_| *dice.one(first)));
    let (key, text) = if ndjson {
        ("t.ndjson", lines_of_json(&values, dice))
    } else {
        let rows = values.iter().enumerate();
        let rows = rows.map(|(id, value)| {
            let quoted = value.contains(',').then(|| format!("\"{value}\""));
            format!("{id};{}\n", quoted.as_deref().unwrap_or(value))
        });
        ("t.csv", format!("id;c\n{}", rows.collect::<String>()))
    };
    let way = Way {
        engine: dice.below(ENGINES.len()),
        piece_bytes: *dice.one(&[usize::MAX, 7]),
        ..Way::plain()
    };
    let table = Table {
        columns: Vec::new(),
        partition: None,
        parts: Vec::new(),
    };
    let object = Object {
        key: key.to_owned(),
        bytes: text.into_bytes(),
    };
    let placed = engines.place_objects(&table, &way, vec![object]).await;
    let sql = *dice.one(&[
        "SELECT c, id FROM t",
        "SELECT CAST(c AS VARCHAR) AS c, id FROM t",
    ]);
    let toml = placed.toml(sql, &[]).replace(
        "[limits]",
        &format!("delimiter = \";\"\n{infer}on_error = \"{policy}\"\n[limits]"),
    );
    let name = format!(
        "{} beginning with {first:?}, then `{surprise}` in row {before} or later, on_error = {policy}, {sql}",
        if ndjson { "NDJSON" } else { "CSV" }
    );
    let found = placed.ask_as(&toml, &[]).await;
    (name, judge(&values, policy, found))
}

/// Lines of JSON: what can be a number, true or false is written so, else, or now and then, as a string.
fn lines_of_json(values: &[&str], dice: &mut Dice) -> String {
    let as_text = dice.once_in(3);
    let rows = values.iter().enumerate().map(|(id, value)| {
        // Blanks around a number are none of the value.
        let is_json = value.trim() == *value
            && serde_json::from_str::<serde_json::Value>(value)
                .is_ok_and(|value| value.is_number() || value.is_boolean());
        let value = if is_json && !as_text {
            (*value).to_owned()
        } else if value.is_empty() {
            "null".to_owned()
        } else {
            serde_json::Value::from(*value).to_string()
        };
        format!("{{\"id\": {id}, \"c\": {value}}}\n")
    });
    rows.collect()
}

fn judge(values: &[&str], policy: &str, found: Result<Answer, Refusal>) -> Option<Difference> {
    let different = |what: &str, expected: &str, found: String| {
        Some(Difference {
            what: what.to_owned(),
            expected: expected.to_owned(),
            found,
        })
    };
    let answer = match found {
        Ok(answer) => answer,
        Err(refusal) if refusal.kind == Some(flowlake_transform::ErrorKind::MalformedData) => {
            return None;
        }
        Err(refusal) => {
            return different(
                "refused for another reason than its data",
                "rows, or malformed data",
                format!("{refusal:?}"),
            );
        }
    };
    let mut nulls = 0;
    for row in &answer.rows {
        let (cell, id) = (&row[0], &row[1]);
        let written = values[id.parse::<usize>().unwrap_or_default()];
        // JSON has no NaN and no infinity: answers write null for these floats.
        if cell == "null" && matches!(written, "NaN" | "inf") {
            continue;
        }
        if cell == "null" && !written.is_empty() {
            nulls += 1;
        } else if !is_same(cell, written) {
            return different("a value that was not written", written, cell.clone());
        }
    }
    let missing = values.len() - answer.rows.len();
    let counted = policy != "fail" || nulls == 0 && missing == 0;
    if !counted || nulls != answer.nulled || missing as u64 != answer.skipped {
        return different(
            "values or rows are missing and not counted",
            "as many as are counted",
            format!(
                "{nulls} null, {} counted; {missing} missing, {} counted",
                answer.nulled, answer.skipped
            ),
        );
    }
    None
}

/// Whether a cell is what was written, as text or as the very number, day or moment.
fn is_same(cell: &str, written: &str) -> bool {
    if cell == "null" {
        return written.is_empty();
    }
    let text: String = serde_json::from_str(cell).unwrap_or_else(|_| cell.to_owned());
    if text == written
        || text.eq_ignore_ascii_case(written) && matches!(text.as_str(), "true" | "false")
    {
        return true;
    }
    let (number, is_number) = (plain_number(written), plain_number(&text));
    if number.is_some() && number == is_number {
        return true;
    }
    moment(written).is_some_and(|written| moment(&text) == Some(written))
}

/// A number that is no code: no zeros before it and no plus; in one spelling.
fn plain_number(text: &str) -> Option<String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let code = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    let shape = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    (shape && !code && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
        .then(|| {
            crate::value::canonical(&digits.replacen(
                '.',
                "0.",
                usize::from(digits.starts_with('.')),
            ))
        })
        .map(|number| {
            format!(
                "{}{number}",
                if text.starts_with('-') && number != "0" {
                    "-"
                } else {
                    ""
                }
            )
        })
}

/// A moment in nanoseconds; a day is its beginning, a clock without an offset is one of UTC.
fn moment(text: &str) -> Option<i128> {
    let text = text.replacen(' ', "T", 1);
    let text = if text.len() == 10 {
        text + "T00:00:00"
    } else {
        text
    };
    // Seconds may be missing.
    let text = if text.len() == 16 { text + ":00" } else { text };
    let with_zone = chrono::DateTime::parse_from_rfc3339(&text)
        .or_else(|_| chrono::DateTime::parse_from_rfc3339(&format!("{text}Z")))
        .ok()?;
    Some(
        i128::from(with_zone.timestamp()) * 1_000_000_000
            + i128::from(with_zone.timestamp_subsec_nanos()),
    )
}
