//! Rows as aligned text: a line of names, then a line for each row, with `|` between cells.
//!
//! ```text
//! queue   | calls | note
//! Sales   |    12 |
//! Support |     3 | "a | b"
//! ```
//!
//! Blanks around cells do not count. An empty cell is null; a cell in double quotes is text as JSON writes it, `""` empty text.

use unicode_width::UnicodeWidthStr;

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Null,
    /// A value as it is written: text, a number, whatever its column is.
    Bare(String),
    /// Text, whatever it looks like.
    Text(String),
    /// A value as JSON writes it.
    Json(String),
}

/// Named columns and rows of as many cells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// Reads aligned text; an error names the line, from 1.
pub(super) fn parse(text: &str) -> Result<Grid, String> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    let mut lines = lines.filter(|(_, line)| !line.trim().is_empty()).peekable();
    let Some((at, header)) = lines.next() else {
        return Ok(Grid::default());
    };
    let has_edges = header.trim().starts_with('|');
    let mut columns = Vec::new();
    for cell in cells(header, has_edges, at)? {
        match cell {
            Cell::Bare(name) | Cell::Text(name) if !columns.contains(&name) => columns.push(name),
            Cell::Bare(name) | Cell::Text(name) => {
                return Err(format!("line {at}: a second column is named `{name}`"));
            }
            _ => return Err(format!("line {at}: a column has no name")),
        }
    }
    // A line of dashes below the names, as Markdown has it.
    lines.next_if(|(_, line)| {
        line.contains("--")
            && line
                .chars()
                .all(|c| matches!(c, '-' | '+' | '|' | ':' | ' '))
    });
    let mut rows = Vec::new();
    for (at, line) in lines {
        let row = cells(line, has_edges, at)?;
        if row.len() != columns.len() {
            return Err(format!(
                "line {at}: {} cells stand under {} columns",
                row.len(),
                columns.len()
            ));
        }
        rows.push(row);
    }
    Ok(Grid { columns, rows })
}

/// The cells of a line.
fn cells(line: &str, has_edges: bool, at: usize) -> Result<Vec<Cell>, String> {
    let mut rest = line.trim();
    if has_edges {
        let inner = rest.strip_prefix('|');
        let inner = inner.and_then(|rest| rest.strip_suffix('|'));
        rest = inner.ok_or_else(|| format!("line {at}: `|` is missing at an end"))?;
    }
    let mut cells = Vec::new();
    loop {
        rest = rest.trim_start();
        let (cell, after) = match rest.starts_with('"') {
            true => quoted(rest, at)?,
            false => {
                let end = rest.find('|').unwrap_or(rest.len());
                let text = rest[..end].trim_end();
                let cell = match text {
                    "" => Cell::Null,
                    text => Cell::Bare(text.to_owned()),
                };
                (cell, &rest[end..])
            }
        };
        cells.push(cell);
        match after.strip_prefix('|') {
            Some(next) => rest = next,
            None => return Ok(cells),
        }
    }
}

/// A cell in quotes, and what follows it.
fn quoted(rest: &str, at: usize) -> Result<(Cell, &str), String> {
    let wrong = |what: &str| format!("line {at}: {what}");
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    let text = values.next();
    let text = text
        .and_then(Result::ok)
        .ok_or_else(|| wrong("a cell in quotes is no JSON text"))?;
    let after = rest[values.byte_offset()..].trim_start();
    match after.is_empty() || after.starts_with('|') {
        true => Ok((Cell::Text(text), after)),
        false => Err(wrong("something follows a cell in quotes")),
    }
}

impl Cell {
    /// A value of an answer, in JSON, as [`parse`] reads it.
    pub(super) fn of_json(json: &str) -> Self {
        if json == "null" {
            return Self::Null;
        }
        let Ok(text) = serde_json::from_str::<String>(json) else {
            return Self::Bare(json.to_owned());
        };
        let is_plain = !text.is_empty()
            && text.trim() == text
            && !text.starts_with('"')
            && !text.contains(|c: char| c == '|' || c.is_control());
        match is_plain {
            true => Self::Bare(text),
            false => Self::Text(text),
        }
    }

    /// As it is written.
    pub(super) fn written(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bare(text) | Self::Json(text) => text.clone(),
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        }
    }
}

impl Grid {
    /// The text that [`parse`] reads, with numbers to the right.
    pub(super) fn written(&self) -> String {
        let names = self.columns.iter().map(|name| match name.is_empty() {
            true => "\"\"".to_owned(),
            false => Cell::of_json(&serde_json::Value::from(name.as_str()).to_string()).written(),
        });
        let mut lines = vec![names.collect::<Vec<_>>()];
        let rows = self.rows.iter();
        lines.extend(rows.map(|row| row.iter().map(Cell::written).collect()));
        let right: Vec<bool> = (0..self.columns.len())
            .map(|column| self.is_number(column))
            .collect();
        aligned(&lines, &right)
            .iter()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }

    /// Whether a column has numbers and nothing else.
    pub(super) fn is_number(&self, column: usize) -> bool {
        let mut cells = self.rows.iter().map(|row| &row[column]);
        let is_number = |cell: &Cell| match cell {
            Cell::Null => true,
            Cell::Bare(text) | Cell::Json(text) => text.parse::<f64>().is_ok(),
            Cell::Text(_) => false,
        };
        cells.clone().any(|cell| *cell != Cell::Null) && cells.all(is_number)
    }
}

/// Lines with their cells below each other.
pub(super) fn aligned(lines: &[Vec<String>], right: &[bool]) -> Vec<String> {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].width()).max();
    let widths: Vec<usize> = (0..columns).filter_map(width).collect();
    let line = |cells: &Vec<String>| {
        let cells = cells.iter().zip(&widths).zip(right);
        let cells = cells.map(|((cell, width), right)| padded(cell, *width, *right));
        cells.collect::<Vec<_>>().join(" | ")
    };
    lines.iter().map(line).collect()
}

/// A cell with blanks around it.
pub(super) fn padded(cell: &str, width: usize, right: bool) -> String {
    let blanks = " ".repeat(width.saturating_sub(cell.width()));
    match right {
        true => format!("{blanks}{cell}"),
        false => format!("{cell}{blanks}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Grid, parse};

    #[test]
    fn what_is_written_is_read_back() {
        let cell = |json: &str| Cell::of_json(json);
        let grid = Grid {
            columns: vec!["queue".to_owned(), "a|b".to_owned(), "n".to_owned()],
            rows: vec![
                vec![cell("\"Köln 日本\""), cell("null"), cell("-12.50")],
                vec![cell("\"\""), cell("\"x | y\\n\""), cell("null")],
                vec![cell("\" blank \""), cell("\"\\\"q\\\"\""), cell("7")],
            ],
        };
        let text = grid.written();
        assert_eq!(parse(&text).unwrap(), grid, "{text}");
        assert!(
            text.starts_with("queue     | \"a|b\"     |      n\n"),
            "{text}"
        );
    }

    #[test]
    fn lines_may_have_edges_and_a_rule() {
        let grid = parse("\n  | a | b |\n  |---|--:|\n  | x |   |\n").unwrap();
        assert_eq!(grid.columns, ["a", "b"]);
        assert_eq!(grid.rows, [[Cell::Bare("x".to_owned()), Cell::Null]]);
        assert_eq!(parse(" \n").unwrap(), Grid::default());
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        for (text, what) in [
            ("a | a", "line 1: a second column is named `a`"),
            ("a |  | b", "line 1: a column has no name"),
            ("a | b\n\n1", "line 3: 1 cells stand under 2 columns"),
            ("a\n\"x", "line 2: a cell in quotes is no JSON text"),
            ("a\n\"x\" y", "line 2: something follows a cell in quotes"),
            ("| a |\n| x", "line 2: `|` is missing at an end"),
        ] {
            assert_eq!(parse(text).unwrap_err(), what);
        }
    }
}
