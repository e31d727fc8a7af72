//! RFC 4180, in which null and empty text are two things, and the same with tabs or with the lines of Unix.

use std::{
    fmt::{self, Write},
    sync::Arc,
};

use datafusion::arrow::{
    array::{Array, RecordBatch, StructArray},
    datatypes::{Field, Schema, SchemaRef},
    json::writer::LineDelimited,
    util::display::{ArrayFormatter, FormatOptions},
};

use super::{json, not_encoded, range};
use crate::Error;

/// Lines of CSV, the header first.
pub(super) struct CsvRows {
    text: String,
    delimiter: char,
    line_end: &'static str,
}

impl CsvRows {
    pub(super) fn new(schema: &SchemaRef, delimiter: char, line_end: &'static str) -> Self {
        let mut rows = Self {
            text: String::new(),
            delimiter,
            line_end,
        };
        for (index, field) in schema.fields().iter().enumerate() {
            rows.separate(index);
            rows.field(field.name());
        }
        rows.text.push_str(line_end);
        rows
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text).into_bytes()
    }

    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        range::check(batch)?;
        // A column of the type null, or of a dictionary with a null in it, has no nulls of its own.
        let nulls: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| column.logical_nulls())
            .collect();
        let columns = batch
            .columns()
            .iter()
            .map(TextValues::try_new)
            .collect::<Result<Vec<_>, _>>()?;
        let mut value = String::new();
        for row in 0..batch.num_rows() {
            for (index, (nulls, values)) in nulls.iter().zip(&columns).enumerate() {
                self.separate(index);
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    continue;
                }
                value.clear();
                values.write(row, &mut value)?;
                if value.is_empty() {
                    self.text.push_str("\"\"");
                } else {
                    self.field(&value);
                }
            }
            self.text.push_str(self.line_end);
        }
        Ok(())
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.text.push(self.delimiter);
        }
    }

    fn field(&mut self, text: &str) {
        if text.contains([self.delimiter, '"', '\r', '\n']) || text != text.trim() {
            let _ = write!(self.text, "\"{}\"", text.replace('"', "\"\""));
        } else {
            self.text.push_str(text);
        }
    }
}

/// The values of one column as the text that CSV has of them.
pub struct TextValues<'a>(Kind<'a>);

enum Kind<'a> {
    Plain(ArrayFormatter<'a>),
    /// A line of JSON each.
    Nested(Vec<String>),
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);

impl<'a> TextValues<'a> {
    /// The values of a column.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSql`](crate::ErrorKind::InvalidSql) for a type that has no text.
    pub fn try_new(column: &'a Arc<dyn Array>) -> Result<Self, Error> {
        if column.data_type().is_nested() {
            return Ok(Self(Kind::Nested(lines(column)?)));
        }
        ArrayFormatter::try_new(column.as_ref(), &OPTIONS)
            .map(|values| Self(Kind::Plain(values)))
            .map_err(|error| not_encoded(&error, "CSV"))
    }

    /// Adds the value of a row, which is not null, to a text.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSql`](crate::ErrorKind::InvalidSql) for a value that has no text.
    pub fn write(&self, row: usize, text: &mut String) -> Result<(), Error> {
        match &self.0 {
            Kind::Plain(values) => values
                .value(row)
                .write(text)
                .map_err(|error| not_encoded(&error, "CSV")),
            Kind::Nested(lines) => {
                text.push_str(lines.get(row).map_or("", String::as_str));
                Ok(())
            }
        }
    }
}

impl fmt::Debug for TextValues<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TextValues").finish_non_exhaustive()
    }
}

/// Each value of a nested column as JSON: that of a row `{"":value}` without what is around it.
fn lines(column: &Arc<dyn Array>) -> Result<Vec<String>, Error> {
    let schema = Schema::new(vec![Field::new("", column.data_type().clone(), true)]);
    let row = StructArray::new(schema.fields().clone(), vec![Arc::clone(column)], None);
    let text = json::<LineDelimited>(&RecordBatch::from(row))?;
    let text = String::from_utf8_lossy(&text);
    Ok(text
        .lines()
        .map(|line| {
            let value = line
                .strip_prefix("{\"\":")
                .and_then(|l| l.strip_suffix('}'));
            value.unwrap_or(line).to_owned()
        })
        .collect())
}
