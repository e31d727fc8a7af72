//! The text formats: CSV with quotes where they are needed, JSON lines, and one JSON array.

use std::fmt::Display;
use std::io::{self, Write};

use chrono::NaiveDate;

use super::row::{COLUMNS, Row};

/// Which text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Csv,
    Ndjson,
    JsonArray,
}

/// Writes all rows.
pub(crate) fn write(
    out: &mut impl Write,
    format: Format,
    day: NaiveDate,
    rows: impl Iterator<Item = Row>,
) -> io::Result<()> {
    match format {
        Format::Csv => writeln!(out, "{}", COLUMNS.join(","))?,
        Format::JsonArray => writeln!(out, "[")?,
        Format::Ndjson => {}
    }
    for (index, row) in rows.enumerate() {
        match format {
            Format::Csv => csv(out, day, &row)?,
            Format::Ndjson => {
                json(out, day, &row)?;
                out.write_all(b"\n")?;
            }
            Format::JsonArray => {
                if index > 0 {
                    out.write_all(b",\n")?;
                }
                json(out, day, &row)?;
            }
        }
    }
    if format == Format::JsonArray {
        out.write_all(b"\n]\n")?;
    }
    Ok(())
}

fn csv(out: &mut impl Write, day: NaiveDate, row: &Row) -> io::Result<()> {
    write!(
        out,
        "{},{} {},{},{},{},{},{},{},{},{},{},{},",
        row.conversation_id,
        day,
        Time(row.second),
        row.queue_name,
        row.agent_id(),
        row.media_type,
        row.direction,
        row.ani(),
        row.t_handle_ms,
        row.t_talk_ms,
        row.t_acw_ms,
        row.t_wait_ms,
        Hundredths(row.nps_score),
    )?;
    if let Some(wrapup) = row.wrapup {
        quoted(out, wrapup)?;
    }
    out.write_all(b"\n")
}

/// A CSV field, in quotes only when it must be.
pub(crate) fn quoted(out: &mut impl Write, text: &str) -> io::Result<()> {
    if text.contains([',', '"', '\n', '\r']) {
        write!(out, "\"{}\"", text.replace('"', "\"\""))
    } else {
        out.write_all(text.as_bytes())
    }
}

fn json(out: &mut impl Write, day: NaiveDate, row: &Row) -> io::Result<()> {
    write!(
        out,
        "{{\"conversation_id\":\"{}\",\"conversation_start\":\"{} {}\",\"queue_name\":\"{}\",\
         \"agent_id\":\"{}\",\"media_type\":\"{}\",\"direction\":\"{}\",\"ani\":\"{}\",\
         \"t_handle_ms\":{},\"t_talk_ms\":{},\"t_acw_ms\":{},\"t_wait_ms\":{},\
         \"nps_score\":{},\"wrapup\":",
        row.conversation_id,
        day,
        Time(row.second),
        row.queue_name,
        row.agent_id(),
        row.media_type,
        row.direction,
        row.ani(),
        row.t_handle_ms,
        row.t_talk_ms,
        row.t_acw_ms,
        row.t_wait_ms,
        Hundredths(row.nps_score),
    )?;
    match row.wrapup {
        // Quotes are all that these texts need escaped.
        Some(wrapup) if wrapup.contains('"') => {
            write!(out, "\"{}\"}}", wrapup.replace('"', "\\\""))
        }
        Some(wrapup) => write!(out, "\"{wrapup}\"}}"),
        None => out.write_all(b"null}"),
    }
}

/// `08:15:30`.
struct Time(u32);

impl Display for Time {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{:02}:{:02}:{:02}",
            self.0 / 3600,
            self.0 / 60 % 60,
            self.0 % 60
        )
    }
}

/// `7.25`, `7.3`, `7.0`: as short as a number can be that is not an integer.
pub(crate) struct Hundredths(pub(crate) u32);

impl Display for Hundredths {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        if part % 10 == 0 {
            write!(formatter, "{whole}.{}", part / 10)
        } else {
            write!(formatter, "{whole}.{part:02}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortest_numbers_and_needed_quotes() {
        let text = |hundredths| Hundredths(hundredths).to_string();
        assert_eq!(
            [text(725), text(730), text(700), text(5), text(1000)],
            ["7.25", "7.3", "7.0", "0.05", "10.0"]
        );
        let mut out = Vec::new();
        quoted(&mut out, "a \"b\", c").unwrap();
        assert_eq!(out, b"\"a \"\"b\"\", c\"");
    }
}
