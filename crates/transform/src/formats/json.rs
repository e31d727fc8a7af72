//! JSON rows as columns.
//!
//! A batch of rows is decoded at once. Only when that fails are its rows, and of a row that fails its columns, decoded one
//! by one to find what does not fit.

use std::{fmt::Display, sync::Arc};

use datafusion::arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    compute::concat_batches,
    datatypes::{Field, Schema, SchemaRef},
    error::ArrowError,
    json::ReaderBuilder,
};
use serde_json::value::RawValue;

use super::{
    BATCH_BYTES, Decode,
    chunk::{Asked, Resumed},
    csv::engine,
    infer::{self, Members},
    json_check, json_grammar,
    json_split::{DEEPEST, JsonRows, JsonSplitter, Place, Stopped, TakeRow, Torn},
    misfit::Misfits,
};
use crate::{Error, OnError};

/// Reads JSON into the columns that are asked for. It knows all cases; [`super::json_chunks`] is quicker at what most
/// files are.
pub(crate) struct JsonDecoder {
    splitter: JsonSplitter,
    rows: RowBuffer,
}

struct RowBuffer {
    misfits: Misfits,
    batch_rows: usize,
    /// The columns that are decoded: with [`OnError::Skip`], all of the table.
    decoded: SchemaRef,
    /// Those of them that batches are made of.
    kept: Vec<usize>,
    output: SchemaRef,
    text: Vec<u8>,
    ends: Vec<usize>,
    lines: Vec<u64>,
    ready: Vec<RecordBatch>,
}

impl JsonDecoder {
    pub(crate) fn new(asked: Asked, rows: JsonRows, misfits: Misfits) -> Self {
        let (decoded, kept) = if asked.all_must_fit {
            (asked.table, asked.wanted)
        } else {
            let all = (0..asked.wanted.len()).collect();
            (Arc::clone(&asked.output), all)
        };
        Self {
            splitter: JsonSplitter::new(rows),
            rows: RowBuffer {
                misfits,
                batch_rows: asked.batch_rows,
                decoded,
                kept,
                output: asked.output,
                text: Vec::new(),
                ends: Vec::new(),
                lines: Vec::new(),
                ready: Vec::new(),
            },
        }
    }

    /// For text that begins in `line`.
    pub(crate) fn at_line(mut self, line: u64) -> Self {
        self.splitter = self.splitter.at_line(line);
        self
    }
}

/// Why a text cannot be cut into rows, as an error that names its place.
pub(crate) fn torn(misfits: &Misfits, stopped: Stopped) -> Error {
    match stopped {
        Stopped::Taker(error) => error,
        Stopped::Torn(torn) => match torn {
            Torn::Wrong(place, wrong) => misfits.error(format_args!("{place} {wrong}")),
            Torn::CutOff(line) => misfits.error(format_args!(
                "the JSON ends inside the value of line {line}"
            )),
            Torn::TooLong(line) => {
                misfits.error(format_args!("the row of line {line} is larger than 64 MiB"))
            }
            Torn::TooDeep(line) => misfits.error(format_args!(
                "the row of line {line} is nested deeper than {DEEPEST}"
            )),
            Torn::NoArray => misfits.error("what lies at json_pointer is no array"),
            Torn::NothingThere => misfits.error("no array lies at json_pointer"),
        },
    }
}

impl Decode for JsonDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let result = self.splitter.push(bytes, &mut self.rows);
        let result = result.or_else(|stopped| self.rows.stop(stopped));
        out.append(&mut self.rows.ready);
        result
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let result = self.splitter.finish(&mut self.rows);
        result.or_else(|stopped| self.rows.stop(stopped))?;
        self.rows.flush()?;
        out.append(&mut self.rows.ready);
        Ok(())
    }
}

impl Resumed for JsonDecoder {
    fn between_records(&self) -> bool {
        self.splitter.between_lines()
    }

    fn line(&self) -> u64 {
        self.splitter.line()
    }
}

impl TakeRow for RowBuffer {
    fn take(&mut self, row: &[u8], place: Place) -> Result<(), Error> {
        if !json_check::is_value(row)
            && let Some((before, wrong)) = json_grammar::fault(row)
        {
            return self.misfit_row(place.after(&row[..before]), wrong);
        }
        if row.first() != Some(&b'{') {
            let what = infer::json_kind(row);
            return self.misfit_row(
                format_args!("line {}", place.line),
                format_args!("holds {what} where an object was expected"),
            );
        }
        self.text.extend_from_slice(row);
        self.text.push(b'\n');
        self.ends.push(self.text.len());
        self.lines.push(place.line);
        if self.ends.len() >= self.batch_rows || self.text.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }
}

/// Whether a text that begins with a bracket is one value, by its brackets alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    Torn,
    TooDeep,
}

/// Looks at the brackets of a row, so that no row can borrow brackets from the next.
pub(crate) fn shape(text: &[u8]) -> Shape {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (place, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > DEEPEST {
                    return Shape::TooDeep;
                }
            }
            b'}' | b']' if !in_string => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return if place + 1 == text.len() {
                        Shape::One
                    } else {
                        Shape::Torn
                    };
                }
            }
            _ => {}
        }
    }
    Shape::Torn
}

impl RowBuffer {
    /// A row that is none. What does not fit in the rows before is told first.
    fn misfit_row(&mut self, place: impl Display, what: impl Display) -> Result<(), Error> {
        if self.misfits.on_error == OnError::Fail {
            self.flush()?;
        }
        self.misfits.row(place, what)
    }

    /// The text cannot be cut any further. What does not fit in the rows before is told first.
    fn stop(&mut self, stopped: Stopped) -> Result<(), Error> {
        if matches!(stopped, Stopped::Torn(_)) {
            self.flush()?;
        }
        Err(torn(&self.misfits, stopped))
    }

    fn flush(&mut self) -> Result<(), Error> {
        let rows = self.ends.len();
        if rows == 0 {
            return Ok(());
        }
        let batch = match decode(&self.decoded, &self.text, rows) {
            Ok(batch) => batch,
            Err(_) => self.row_by_row()?,
        };
        self.text.clear();
        self.ends.clear();
        self.lines.clear();
        let columns = self
            .kept
            .iter()
            .map(|&place| Arc::clone(batch.column(place)))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        if batch.num_rows() > 0 {
            self.ready.push(
                RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)
                    .map_err(engine)?,
            );
        }
        Ok(())
    }

    fn row_by_row(&self) -> Result<RecordBatch, Error> {
        let mut batches = Vec::with_capacity(self.ends.len());
        let mut start = 0;
        for (&end, &line) in self.ends.iter().zip(&self.lines) {
            let text = &self.text[start..end];
            start = end;
            match decode(&self.decoded, text, 1) {
                Ok(batch) => batches.push(batch),
                Err(_) => batches.extend(self.misfit(text, line)?),
            }
        }
        concat_batches(&self.decoded, &batches).map_err(engine)
    }

    /// A row that does not fit: an error, left out, or without the columns that do not.
    fn misfit(&self, text: &[u8], line: u64) -> Result<Option<RecordBatch>, Error> {
        let Ok(row) = serde_json::from_slice::<Members<'_>>(text) else {
            self.misfits
                .row(format_args!("line {line}"), "is not valid JSON")?;
            return Ok(None);
        };
        if self.misfits.on_error == OnError::Skip {
            self.misfits.skip_row();
            return Ok(None);
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.decoded.fields().len());
        for field in self.decoded.fields() {
            let single = Arc::new(Schema::new(vec![Field::clone(field)]));
            if let Ok(batch) = decode(&single, text, 1) {
                columns.push(Arc::clone(batch.column(0)));
                continue;
            }
            if self.misfits.on_error == OnError::Fail {
                let value: Option<&RawValue> = row.last(field.name());
                let holds =
                    value.map_or("a value", |value| infer::json_kind(value.get().as_bytes()));
                return Err(self.misfits.error(format_args!(
                    "line {line}, column `{}` holds {holds} and is {}",
                    field.name(),
                    field.data_type()
                )));
            }
            self.misfits.null_value();
            columns.push(new_null_array(field.data_type(), 1));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        RecordBatch::try_new_with_options(Arc::clone(&self.decoded), columns, &options)
            .map(Some)
            .map_err(engine)
    }
}

fn decode(schema: &SchemaRef, text: &[u8], rows: usize) -> Result<RecordBatch, ArrowError> {
    let incomplete = || ArrowError::JsonError("rows are incomplete".to_owned());
    let mut decoder = ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(rows)
        .with_coerce_primitive(true)
        .build_decoder()?;
    let taken = decoder.decode(text)?;
    if !text[taken..].trim_ascii().is_empty() || decoder.has_partial_record() {
        return Err(incomplete());
    }
    let batch = decoder.flush()?.ok_or_else(incomplete)?;
    if batch.num_rows() == rows {
        Ok(batch)
    } else {
        Err(incomplete())
    }
}
