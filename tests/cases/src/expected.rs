//! Answers and errors as the case files write them.

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use crate::action::{Asks, Case};

/// Codes of errors, and the kinds of `transform` that become them.
const CODES: &[(&str, &[&str])] = &[
    (
        "config.invalid",
        &["InvalidSpec", "InvalidParamSpec", "UndeclaredParam"],
    ),
    ("sql.invalid", &["InvalidSql"]),
    ("sql.not_allowed", &["NotAllowed", "NotAQuery"]),
    ("sql.unknown_column", &["UnknownColumn"]),
    ("sql.unknown_table", &["UnknownTable"]),
    ("sql.not_computable", &["NotComputable"]),
    ("param.invalid", &["InvalidParam"]),
    ("data.malformed", &["MalformedData"]),
    ("data.no_files", &["NoMatchingFiles"]),
    // A key that is missing is found so before `transform` looks.
    ("s3.no_such_key", &["NoMatchingFiles"]),
    ("limit.memory", &["MemoryLimit"]),
    ("limit.timeout", &["Timeout"]),
    ("limit.output", &["OutputLimit"]),
    ("limit.scan", &["ScanLimit"]),
];

/// An error as the case files write it: its kind and its message. None for a code that no case expects.
fn kinds_of(code: &str, message: &str) -> Vec<String> {
    let kinds = CODES.iter().filter(|(known, _)| *known == code);
    let kinds = kinds.flat_map(|(_, kinds)| kinds.iter());
    kinds.map(|kind| format!("{kind}: {message}")).collect()
}

/// An answer, as it came out of the pipeline or a program.
#[derive(Debug, Deserialize)]
pub struct Answered {
    data: Box<RawValue>,
    row_count: u64,
    truncated: bool,
    #[serde(default)]
    skipped_rows: u64,
    #[serde(default)]
    nulled_values: u64,
}

impl Answered {
    /// Reads the JSON of an answer. Its rows stay as they are written: numbers keep their digits.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// What the case files call a figure of the run.
    fn figure(&self, what: &str) -> String {
        match what {
            "rows_out" => self.row_count.to_string(),
            "truncated" => self.truncated.to_string(),
            "skipped_rows" => self.skipped_rows.to_string(),
            "nulled_values" => self.nulled_values.to_string(),
            other => format!("no figure is called {other}"),
        }
    }
}

impl Case {
    /// What is wrong with an answer, or with the code and message of an error; none when it is right.
    #[must_use]
    pub fn difference(&self, found: Result<&Answered, (&str, &str)>) -> Option<String> {
        match (&self.asks, found) {
            (Asks::Error(pattern), Err((code, message))) => {
                let matches = kinds_of(code, message)
                    .iter()
                    .any(|error| pattern.is_match(error));
                (!matches).then(|| format!("{code}: {message}, and not {pattern}"))
            }
            (Asks::Message(part), Err((code, message))) => {
                let is_right = message.contains(part) && code != "internal";
                (!is_right).then(|| format!("{code}: {message}, and not {part}"))
            }
            (Asks::Data(rows), Ok(answer)) => {
                let found = serde_json::from_str::<Value>(answer.data.get());
                let is_right = found.is_ok_and(|found| found == *rows);
                (!is_right).then(|| format!("{}, and not {rows}", answer.data))
            }
            (
                Asks::Rows {
                    rows,
                    in_order,
                    figures,
                },
                Ok(answer),
            ) => {
                let found = match rows_of(answer.data.get()) {
                    Ok(found) => normalized(&found, *in_order),
                    Err(error) => return Some(error.to_string()),
                };
                let expected = normalized(rows, *in_order);
                if found != expected {
                    return Some(format!("{found:?}, and not {expected:?}"));
                }
                let wrong = figures
                    .iter()
                    .find(|(what, value)| answer.figure(what) != *value);
                wrong.map(|(what, value)| {
                    format!("{what} is {}, and not {value}", answer.figure(what))
                })
            }
            (_, Ok(answer)) => Some(format!("{}, and no error", answer.data)),
            (_, Err((code, message))) => Some(format!("{code}: {message}")),
        }
    }

    /// What is wrong with the columns of an answer, each with its type.
    #[must_use]
    pub fn difference_of_columns(&self, found: &[(String, String)]) -> Option<String> {
        let Asks::Columns(expected) = &self.asks else {
            return Some("columns, and no answer".to_owned());
        };
        let found: Vec<String> = found
            .iter()
            .map(|(name, kind)| format!("{name} {kind}"))
            .collect();
        let (found, expected) = (normalized(&found, true), normalized(expected, true));
        (found != expected).then(|| format!("{found:?}, and not {expected:?}"))
    }
}

/// A value of JSON as both engines' runners show it.
#[must_use]
pub fn shown(json: &str) -> String {
    match json {
        "null" => "NULL".to_owned(),
        "\"\"" => "(empty)".to_owned(),
        text if text.starts_with('"') => serde_json::from_str::<String>(text)
            .unwrap_or_else(|_error| text.to_owned())
            .replace('\n', "\\n")
            .replace('\r', "\\r"),
        other => other.to_owned(),
    }
}

/// The rows of an answer's `data`, as lines.
fn rows_of(data: &str) -> Result<Vec<String>, serde_json::Error> {
    let rows: Vec<Row> = serde_json::from_str(data)?;
    let lines = rows.iter().map(|Row(values)| {
        let values: Vec<String> = values.iter().map(|value| shown(value.get())).collect();
        values.join(" ")
    });
    Ok(lines.collect())
}

/// Lines that are compared: blanks do not count, and the order only where the case says so.
fn normalized(lines: &[String], in_order: bool) -> Vec<String> {
    let words = |line: &String| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines: Vec<String> = lines.iter().map(words).collect();
    if !in_order {
        lines.sort();
    }
    lines
}

/// The values of an object in their order, as they are written.
struct Row(Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Row;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a row")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
                let mut values = Vec::new();
                while let Some((_, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    values.push(value);
                }
                Ok(Row(values))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
mod tests {
    use super::{kinds_of, normalized, rows_of};

    #[test]
    fn rows_and_errors_are_those_of_the_case_files() {
        let rows = rows_of(r#"[{"b":1.50,"a":null},{"b":"","a":"x\ny"}]"#);
        assert_eq!(
            rows.ok(),
            Some(vec!["1.50 NULL".into(), "(empty) x\\ny".into()])
        );
        assert_eq!(kinds_of("limit.scan", "too much"), ["ScanLimit: too much"]);
        assert!(kinds_of("internal", "").is_empty());
        let lines = ["b  2".to_owned(), "a 1".to_owned()];
        assert_eq!(normalized(&lines, true), ["b 2", "a 1"]);
        assert_eq!(normalized(&lines, false), ["a 1", "b 2"]);
    }
}
