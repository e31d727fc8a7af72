//! Rows as delimited text, in the dialect that a table declares.

use flowlake_transform::{Format, HeaderKind, TableSpec};

use crate::test::aligned::{Cell, Grid};

/// What stands in lines that are not read.
const FILLER: &str = "-";

/// How fields are written.
struct Dialect<'a> {
    delimiter: &'a str,
    quote: Option<char>,
    comment: Option<char>,
    nulls: &'a [String],
}

/// A table of delimited text that can hold null beside empty text.
pub(super) fn plain() -> TableSpec {
    TableSpec {
        format: Some(Format::Csv),
        header: Some(HeaderKind::Names),
        delimiter: Some(",".to_owned()),
        trim: Some(false),
        null_values: vec!["\\N".to_owned()],
        ..TableSpec::at("rows")
    }
}

/// Rows as a table's files hold them.
pub(super) fn written(grid: &Grid, spec: &TableSpec, is_tsv: bool) -> Result<Vec<u8>, String> {
    let dialect = Dialect {
        delimiter: spec
            .delimiter
            .as_deref()
            .unwrap_or(if is_tsv { "\t" } else { "," }),
        quote: spec.quote.0,
        comment: spec.comment,
        nulls: &spec.null_values,
    };
    if spec.header_lines > 1 {
        return Err("its header has several lines: give the text with `csv`".to_owned());
    }
    let mut text = String::new();
    for _ in 0..spec.skip_lines.unwrap_or_default() {
        text.push_str(FILLER);
        text.push('\n');
    }
    let by_place = matches!(spec.header, Some(HeaderKind::None | HeaderKind::Skip));
    let order = match by_place {
        true => places(grid, spec)?,
        false => (0..grid.columns.len()).collect(),
    };
    if spec.header != Some(HeaderKind::None) && !grid.columns.is_empty() {
        let names = order.iter().map(|&at| Cell::Text(grid.columns[at].clone()));
        text.push_str(&dialect.line(&names.collect::<Vec<_>>())?);
    }
    for row in &grid.rows {
        let cells: Vec<_> = order.iter().map(|&at| row[at].clone()).collect();
        text.push_str(&dialect.line(&cells)?);
    }
    for _ in 0..spec.footer_lines {
        text.push_str(FILLER);
        text.push('\n');
    }
    Ok(text.into_bytes())
}

/// Where each column of the file stands in the rows, for a table whose columns go by place.
fn places(grid: &Grid, spec: &TableSpec) -> Result<Vec<usize>, String> {
    let wanted: Vec<String> = match &spec.columns {
        Some(declared) => declared.names().map(str::to_owned).collect(),
        None => (1..=grid.columns.len())
            .map(|number| format!("column_{number}"))
            .collect(),
    };
    let places = wanted.iter().map(|name| {
        let mut columns = grid.columns.iter();
        columns.position(|column| column == name)
    });
    let places: Option<Vec<usize>> = places.collect();
    places
        .filter(|places| places.len() == grid.columns.len())
        .ok_or_else(|| {
            format!(
                "its columns go by place: the rows need the columns {}",
                wanted.join(", ")
            )
        })
}

impl Dialect<'_> {
    fn line(&self, cells: &[Cell]) -> Result<String, String> {
        let fields = cells.iter().map(|cell| self.field(cell));
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        Ok(fields.join(self.delimiter) + "\n")
    }

    fn field(&self, cell: &Cell) -> Result<String, String> {
        let (text, is_text) = match cell {
            Cell::Null => {
                let null = self.nulls.first().cloned();
                return null.ok_or_else(|| {
                    "a cell is null, and the table's `null_values` has no spelling of it".to_owned()
                });
            }
            Cell::Bare(text) | Cell::Json(text) => (text, false),
            Cell::Text(text) => (text, true),
        };
        if self.nulls.contains(text) {
            return Err(format!(
                "the text {text:?} is one of the table's `null_values`: leave the cell empty for null"
            ));
        }
        let is_special = |c: char| {
            self.delimiter.contains(c)
                || Some(c) == self.quote
                || Some(c) == self.comment
                || matches!(c, '\n' | '\r')
        };
        let needs_quotes = text.contains(is_special) || text.trim() != text;
        match self.quote {
            Some(quote) if needs_quotes || (is_text && text.is_empty()) => {
                let doubled = text.replace(quote, &format!("{quote}{quote}"));
                Ok(format!("{quote}{doubled}{quote}"))
            }
            None if needs_quotes => Err(format!(
                "the table has no quotes, which the text {text:?} needs"
            )),
            _ => Ok(text.clone()),
        }
    }
}

/// Text of a test file is UTF-8; a table that says another encoding reads it only where the two agree.
pub(super) fn check_encoding(spec: &TableSpec, bytes: &[u8]) -> Result<(), String> {
    let Some(label) = &spec.encoding else {
        return Ok(());
    };
    let label = label.to_lowercase();
    let is_utf8 = matches!(label.as_str(), "utf-8" | "utf8");
    match is_utf8 || (bytes.is_ascii() && !label.starts_with("utf-16")) {
        true => Ok(()),
        false => Err(format!(
            "its files are written in {label}: give one with `file`"
        )),
    }
}
