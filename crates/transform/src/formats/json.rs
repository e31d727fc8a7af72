//! JSON rows as columns.
//!
//! A batch of rows is decoded at once, to objects and lists of text, and the text is read as columns of delimited text are.
//! Only where objects and lists are not where the types have them are rows, and of such a row its columns, decoded one by
//! one.

use std::{fmt::Display, sync::Arc};

use datafusion::arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    compute::{concat_batches, filter_record_batch},
    datatypes::{Field, Schema, SchemaRef},
    error::ArrowError,
    json::ReaderBuilder,
};
use serde_json::value::RawValue;

use super::{
    BATCH_BYTES, DEEPEST, Decode,
    chunk::{Asked, Resumed},
    convert::{self, Misfit},
    csv::{engine, unsupported},
    infer::{self, Members},
    json_check, json_grammar,
    json_keys::KeyWatch,
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
            keys.look_at(row, &self.misfits);
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
        let batch = match decode(&self.as_text, &self.text, rows) {
            Ok(found) => self.typed(&found, 0)?,
            Err(_) => self.row_by_row()?,
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

    /// The text of a row.
    fn row(&self, row: usize) -> &[u8] {
        let before = row.checked_sub(1);
        &self.text[before.map_or(0, |before| self.ends[before])..self.ends[row]]
    }

    /// Reads the values of rows of which `first` is the first.
    fn typed(&self, found: &RecordBatch, first: usize) -> Result<RecordBatch, Error> {
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
                let row = first + misfit.row;
                let fault = || self.fault(row, field, Some(misfit));
                self.misfits
                    .note(self.lines[row], Some(field.name()), fault);
            }
        }
        match self.misfits.on_error {
            OnError::Fail => Err(self.told(first + misfit.row, field, Some(misfit))),
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
    fn told(&self, row: usize, field: &Field, misfit: Option<&Misfit>) -> Error {
        let (line, name) = (self.lines[row], field.name());
        let fault = self.fault(row, field, misfit);
        self.misfits
            .error(format_args!("line {line}, column `{name}` {fault}"))
    }

    /// What is wrong with a value that does not fit.
    fn fault(&self, row: usize, field: &Field, misfit: Option<&Misfit>) -> String {
        let (name, kind) = (field.name(), field.data_type());
        if let Some(misfit) = misfit
            && kind.is_nested()
        {
            return inner_fault(misfit.holds, &misfit.kind);
        }
        let members: Option<Members<'_>> = serde_json::from_slice(self.row(row)).ok();
        let value: Option<&RawValue> = members.as_ref().and_then(|row| row.last(name));
        let holds = value.map_or("a value", |value| infer::json_kind(value.get().as_bytes()));
        fault(holds, kind)
    }

    fn row_by_row(&self) -> Result<RecordBatch, Error> {
        let mut batches = Vec::with_capacity(self.ends.len());
        for row in 0..self.ends.len() {
            match decode(&self.as_text, self.row(row), 1) {
                Ok(found) => batches.push(self.typed(&found, row)?),
                Err(_) => batches.extend(self.misshapen(row)?),
            }
        }
        concat_batches(&self.decoded, &batches).map_err(engine)
    }

    /// A row with an object or a list where there should be none, or the other way round: an error, left out, or without
    /// the columns that do not fit.
    fn misshapen(&self, row: usize) -> Result<Option<RecordBatch>, Error> {
        let text = self.row(row);
        if serde_json::from_slice::<Members<'_>>(text).is_err() {
            let line = self.lines[row];
            let place = format_args!("line {line}");
            self.misfits.row(place, line, "is not valid JSON")?;
            return Ok(None);
        }
        if self.misfits.on_error == OnError::Skip {
            let what = || "holds values of other kinds than its columns".to_owned();
            self.misfits.note(self.lines[row], None, what);
            self.misfits.skip_row();
            return Ok(None);
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.as_text.fields().len());
        for (field, text_field) in self.decoded.fields().iter().zip(self.as_text.fields()) {
            let single = Arc::new(Schema::new(vec![Arc::clone(text_field)]));
            if let Ok(batch) = decode(&single, text, 1) {
                columns.push(Arc::clone(batch.column(0)));
                continue;
            }
            if self.misfits.on_error == OnError::Fail {
                return Err(self.told(row, field, None));
            }
            let fault = || self.fault(row, field, None);
            self.misfits
                .note(self.lines[row], Some(field.name()), fault);
            self.misfits.null_value();
            columns.push(new_null_array(text_field.data_type(), 1));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let schema = Arc::clone(&self.as_text);
        let found = RecordBatch::try_new_with_options(schema, columns, &options).map_err(engine)?;
        self.typed(&found, row).map(Some)
    }
}

/// The columns with text for values.
fn as_text(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields =
        fields.map(|field| Field::new(field.name(), convert::as_text(field.data_type()), true));
    Schema::new(fields.collect::<Vec<_>>()).into()
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
