//! JSON rows as columns.
//!
//! A batch of rows is decoded at once, to objects and lists of text, and the text is read as columns of delimited text are.
//! Where objects and lists are not where the types have them, the rows are first made to fit ([`super::json_fit`]).

use std::{fmt::Display, sync::Arc};

use datafusion::arrow::{
    array::{BooleanArray, RecordBatch, RecordBatchOptions},
    compute::filter_record_batch,
    datatypes::{Field, Schema, SchemaRef},
};
use serde_json::value::RawValue;

use super::{
    BATCH_BYTES, DEEPEST, Decode,
    chunk::{Asked, Resumed},
    convert::{self, Misfit},
    csv::{engine, unsupported},
    infer::{self, Members},
    json_check,
    json_fit::{decode, fit},
    json_grammar,
    json_keys::{KeyWatch, has_key},
    json_split::{JsonRows, JsonSplitter, Place, Stopped, TakeRow, Torn},
    misfit::{Misfits, fault, inner_fault},
};
use crate::{ColumnType, Error, OnError};

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
    types: Vec<ColumnType>,
    /// These columns with text for values.
    as_text: SchemaRef,
    /// Those of them that batches are made of.
    kept: Vec<usize>,
    output: SchemaRef,
    keys: Option<KeyWatch>,
    /// The table, where its columns are declared, and which of those that are decoded rows have had so far.
    declared: Option<(Arc<str>, Vec<bool>)>,
    text: Vec<u8>,
    ends: Vec<usize>,
    lines: Vec<u64>,
    ready: Vec<RecordBatch>,
}

impl JsonDecoder {
    pub(crate) fn new(asked: Asked, rows: JsonRows, misfits: Misfits) -> Self {
        let places = asked.decoded();
        let types = places.iter().map(|&place| asked.types[place].clone());
        let types: Vec<_> = types.collect();
        let keys = asked.known.clone().map(KeyWatch::new);
        let table = asked.declared.clone();
        let declared = table.map(|table| (table, vec![false; places.len()]));
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
                as_text: as_text(&decoded),
                decoded,
                types,
                kept,
                output: asked.output,
                keys,
                declared,
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
            Torn::CutOff {
                line,
                place,
                expected,
            } => misfits.error(format_args!(
                "the JSON ends at {place}, inside the value of line {line}: {expected}"
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
        // Only now, when the splitter holds no copy of a large row any more.
        let result = result.and_then(|()| self.rows.flush_if_full());
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
            let place = place.after(&row[..before]);
            return self.misfit_row(place, place.line, wrong);
        }
        if row.first() != Some(&b'{') {
            let what = infer::json_kind(row);
            return self.misfit_row(
                format_args!("line {}", place.line),
                place.line,
                format_args!("holds {what} where an object was expected"),
            );
        }
        if let Some(keys) = &mut self.keys {
            keys.look_at(row, |name| self.misfits.unlisted(name));
        }
        self.flush_if_full()?;
        self.text.extend_from_slice(row);
        self.text.push(b'\n');
        self.ends.push(self.text.len());
        self.lines.push(place.line);
        Ok(())
    }
}

impl RowBuffer {
    /// Reports a malformed row, after the errors of the rows before it.
    fn misfit_row(
        &mut self,
        place: impl Display,
        line: u64,
        what: impl Display,
    ) -> Result<(), Error> {
        if self.misfits.on_error == OnError::Fail {
            self.flush()?;
        }
        self.misfits.row(place, line, what)
    }

    /// Reports that the text cannot be cut any further, after the errors of the rows before.
    fn stop(&mut self, stopped: Stopped) -> Result<(), Error> {
        if matches!(stopped, Stopped::Torn(_)) {
            self.flush()?;
        }
        Err(torn(&self.misfits, stopped))
    }

    fn flush_if_full(&mut self) -> Result<(), Error> {
        if self.ends.len() >= self.batch_rows || self.text.len() >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        let rows = self.ends.len();
        if rows == 0 {
            return Ok(());
        }
        self.report_declared();
        let batch = match decode(&self.as_text, &self.text, rows) {
            Ok(found) => self.typed(&found)?,
            Err(_) => {
                self.make_fit()?;
                match self.ends.len() {
                    0 => RecordBatch::new_empty(Arc::clone(&self.decoded)),
                    rows => {
                        let found = decode(&self.as_text, &self.text, rows);
                        self.typed(&found.map_err(engine)?)?
                    }
                }
            }
        };
        self.text.clear();
        self.text.shrink_to(2 * BATCH_BYTES);
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

    /// Reports which declared columns the rows have.
    fn report_declared(&mut self) {
        let Some((table, met)) = &mut self.declared else {
            return;
        };
        for (field, met) in self.decoded.fields().iter().zip(met) {
            if !*met {
                *met = has_key(&self.text, field.name());
                self.misfits.declared(table, field.name(), *met);
            }
        }
    }

    /// The text of a row.
    fn row(&self, row: usize) -> &[u8] {
        let before = row.checked_sub(1);
        &self.text[before.map_or(0, |before| self.ends[before])..self.ends[row]]
    }

    /// Reads the values of the first rows.
    fn typed(&self, found: &RecordBatch) -> Result<RecordBatch, Error> {
        let fields = self.decoded.fields().iter().zip(&self.types);
        let mut columns = Vec::with_capacity(self.types.len());
        let mut misfits: Vec<(&Field, Misfit)> = Vec::new();
        for (found, (field, kind)) in found.columns().iter().zip(fields) {
            let (column, own) = convert::nested(found, kind)
                .map_err(|error| unsupported(field.name(), field.data_type(), &error))?;
            columns.push(column);
            misfits.extend(own.into_iter().map(|misfit| (field.as_ref(), misfit)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(found.num_rows()));
        let schema = Arc::clone(&self.decoded);
        let batch = RecordBatch::try_new_with_options(schema, columns, &options).map_err(engine)?;
        // Of the misfits of one row, the first is that of the first column.
        let Some((field, misfit)) = misfits.iter().min_by_key(|(_, misfit)| misfit.row) else {
            return Ok(batch);
        };
        if self.misfits.on_error != OnError::Fail {
            for (field, misfit) in &misfits {
                let fault = || self.fault(field, misfit);
                self.misfits
                    .note(self.lines[misfit.row], Some(field.name()), fault);
            }
        }
        match self.misfits.on_error {
            OnError::Fail => {
                let fault = self.fault(field, misfit);
                Err(self.told(misfit.row, field.name(), &fault))
            }
            OnError::Null => {
                misfits.iter().for_each(|_| self.misfits.null_value());
                Ok(batch)
            }
            OnError::Skip => {
                let mut fits = vec![true; batch.num_rows()];
                for (_, misfit) in &misfits {
                    if std::mem::replace(&mut fits[misfit.row], false) {
                        self.misfits.skip_row();
                    }
                }
                filter_record_batch(&batch, &BooleanArray::from(fits)).map_err(engine)
            }
        }
    }

    /// The error of a value that does not fit.
    fn told(&self, row: usize, column: &str, fault: &str) -> Error {
        let line = self.lines[row];
        self.misfits
            .error(format_args!("line {line}, column `{column}` {fault}"))
    }

    /// What is wrong with a value that does not fit.
    fn fault(&self, field: &Field, misfit: &Misfit) -> String {
        let (name, kind) = (field.name(), field.data_type());
        if kind.is_nested() {
            return inner_fault(misfit.holds, &misfit.kind);
        }
        let row = self.row(misfit.row);
        let members: Option<Members<'_>> = serde_json::from_slice(row).ok();
        let value: Option<&RawValue> = members.as_ref().and_then(|row| row.last(name));
        let holds = value.map_or("a value", |value| infer::json_kind(value.get().as_bytes()));
        fault(holds, kind)
    }

    /// Puts null in the place of each object or list where there should be none, or the other way round, counted; or leaves
    /// the rows out that have one.
    fn make_fit(&mut self) -> Result<(), Error> {
        // What the columns are declared as may be nothing that is read from JSON.
        for (field, of_text) in self.decoded.fields().iter().zip(self.as_text.fields()) {
            let alone = Arc::new(Schema::new(vec![Arc::clone(of_text)]));
            decode(&alone, b"{}", 1)
                .map_err(|error| unsupported(field.name(), field.data_type(), &error))?;
        }
        let (mut text, mut ends, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for row in 0..self.ends.len() {
            let (line, start) = (self.lines[row], text.len());
            let Some(unfit) = fit(self.row(row), &self.decoded, &mut text) else {
                let place = format_args!("line {line}");
                self.misfits.row(place, line, "is not valid JSON")?;
                continue;
            };
            if self.misfits.on_error == OnError::Fail
                && let Some(first) = unfit.first()
            {
                if row > 0 {
                    // An error of the rows before it comes first.
                    let before = decode(&self.as_text, &text[..start], row).map_err(engine)?;
                    self.typed(&before)?;
                }
                return Err(self.told(row, first.column, &first.fault()));
            }
            for unfit in &unfit {
                self.misfits
                    .note(line, Some(unfit.column), || unfit.fault());
            }
            if self.misfits.on_error == OnError::Skip && !unfit.is_empty() {
                self.misfits.skip_row();
                text.truncate(start);
                continue;
            }
            unfit.iter().for_each(|_| self.misfits.null_value());
            ends.push(text.len());
            lines.push(line);
        }
        (self.text, self.ends, self.lines) = (text, ends, lines);
        Ok(())
    }
}

/// The columns with text for values.
fn as_text(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields =
        fields.map(|field| Field::new(field.name(), convert::as_text(field.data_type()), true));
    Schema::new(fields.collect::<Vec<_>>()).into()
}
