//! Delimited text.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use datafusion::arrow::{
    array::{
        ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringBuilder, new_null_array,
    },
    compute::filter_record_batch,
    datatypes::DataType,
    error::ArrowError,
};

use super::{
    BATCH_BYTES, Decode,
    chunk::{Asked, Resumed},
    convert,
    misfit::{Misfits, fault, kind_of},
    records::{Broken, Dialect, Divider, Record, Records},
};
use crate::{Error, ErrorKind, OnError, schema::type_name};

/// How one file of delimited text is read.
#[derive(Debug, Clone)]
pub(crate) struct CsvOptions {
    pub(crate) dialect: Dialect,
    /// Lines in front of the table.
    pub(crate) skip_lines: usize,
    pub(crate) header: Header,
    /// Lines behind the table; blank ones do not count.
    pub(crate) footer_lines: usize,
    pub(crate) null_values: Arc<[String]>,
}

impl CsvOptions {
    /// Whether a field is null in a column of a type. An empty field in quotes is empty text, unless a spelling of null is in quotes.
    pub(crate) fn is_null(&self, text: &[u8], in_quotes: bool, kind: &DataType) -> bool {
        if text.is_empty() && *kind != DataType::Utf8 {
            return true;
        }
        let spelling: &[u8] = if text.is_empty() && in_quotes {
            b"\"\""
        } else {
            text
        };
        let mut nulls = self.null_values.iter();
        nulls.any(|null| null.as_bytes() == spelling)
    }

    /// What few files have, as `[tables.NAME]` writes it.
    pub(crate) fn rare(&self) -> Vec<String> {
        let mut rare = Vec::new();
        let mut lines = |name: &str, lines: usize, usual: usize| {
            if lines != usual {
                rare.push(format!("{name} = {lines}"));
            }
        };
        lines("skip_lines", self.skip_lines, 0);
        let header = self.header.records() + self.header.skipped();
        lines("header_lines", header.max(1), 1);
        lines("footer_lines", self.footer_lines, 0);
        if let Header::Skipped(_) = self.header {
            rare.push("header = \"skip\"".to_owned());
        }
        if self.dialect.trim {
            rare.push("trim = true".to_owned());
        }
        match self.dialect.quote {
            Some(b'"') => {}
            None => rare.push("quote = \"\"".to_owned()),
            Some(quote) => rare.push(format!("quote = {:?}", char::from(quote).to_string())),
        }
        rare
    }
}

/// What the first records are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// This many records name the columns together.
    Names(usize),
    /// This many lines are left out, and columns go by place. The lines need not be records. Blank lines do not count.
    Skipped(usize),
    /// The first record is a row already.
    None,
}

impl Header {
    /// How many records it has.
    pub(crate) const fn records(self) -> usize {
        match self {
            Self::Names(records) => records,
            Self::Skipped(_) | Self::None => 0,
        }
    }

    /// How many lines are left out.
    pub(crate) const fn skipped(self) -> usize {
        match self {
            Self::Skipped(lines) => lines,
            Self::Names(_) | Self::None => 0,
        }
    }
}

/// Reads delimited text into the columns that are asked for. It knows all cases; [`super::csv_chunks`] is quicker at what
/// most files are.
pub(crate) struct CsvDecoder {
    divider: Divider,
    options: CsvOptions,
    misfits: Misfits,
    asked: Asked,
    /// The places that are converted: with [`OnError::Skip`], all, so that a row counts or not whatever is selected.
    converted: Vec<usize>,
    layout: Arc<Layout>,
}

/// What is said of a record in which text follows a closing quote.
const TORN: &str = "has text after a closing quote";
/// What is said of text in another encoding.
const NOT_UTF8: &str = "holds bytes that are no UTF-8: set `encoding`";

/// Where each column of the table lies in the file.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Number of fields of a record.
    pub(crate) fields: usize,
    /// The field of each column of the table; `None` when the file does not have it.
    pub(crate) places: Vec<Option<usize>>,
}

impl CsvDecoder {
    /// A reader of text that begins with a record in `line`, of a file whose columns have been found.
    pub(crate) fn new(
        asked: Asked,
        options: CsvOptions,
        misfits: Misfits,
        layout: Arc<Layout>,
        line: u64,
    ) -> Self {
        let converted = asked.decoded();
        Self {
            divider: Divider::at_line(options.dialect, line),
            options,
            misfits,
            asked,
            converted,
            layout,
        }
    }

    fn flush(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let records = self.divider.take();
        let rows = records.iter();
        let layout = self.layout.as_ref();
        let mut kept = Vec::with_capacity(records.len());
        for record in rows {
            match self.admit(layout, &record) {
                Ok(true) => kept.push(record),
                Ok(false) => {}
                Err(error) => {
                    // Errors of the rows before are reported first.
                    self.batch_in_order(layout, &kept)?;
                    return Err(error);
                }
            }
        }
        if !kept.is_empty() {
            let batch = self.batch_in_order(layout, &kept)?;
            if batch.num_rows() > 0 {
                out.push(batch);
            }
        }
        Ok(())
    }

    /// Reports that the text cannot be divided any further, after the errors of the rows before.
    fn stop<T>(&mut self, broken: Broken, out: &mut Vec<RecordBatch>) -> Result<T, Error> {
        self.flush(out)?;
        Err(broken.told(&self.misfits))
    }

    /// Whether a record has the fields it should; if not, that is an error or counted.
    fn admit(&self, layout: &Layout, record: &Record<'_>) -> Result<bool, Error> {
        let line = record.line();
        if record.is_torn() {
            self.misfits.row(format_args!("line {line}"), line, TORN)?;
            return Ok(false);
        }
        if self.misfits.on_error == OnError::Fail {
            // The text is in another encoding, whatever columns are asked for.
            let mut fields = (0..record.fields()).filter_map(|place| record.field(place));
            if let Some(place) = fields.position(|text| simdutf8::basic::from_utf8(text).is_err()) {
                return Err(self
                    .misfits
                    .error(format_args!("{} {NOT_UTF8}", self.place(record, place))));
            }
        }
        let (fields, expected) = (record.fields(), layout.fields);
        if fields != expected {
            let more = if fields == 1 { "field" } else { "fields" };
            let hint = hint(record, expected);
            let what = format_args!("has {fields} {more} and {expected} were expected{hint}");
            match self.misfits.on_error {
                OnError::Null => {
                    self.misfits.note(line, None, || what.to_string());
                    self.misfits.null_value();
                }
                OnError::Fail | OnError::Skip => {
                    let place = format_args!("line {line}");
                    self.misfits.row(place, line, what)?;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The batch, or the error of the first value in the order of the file that does not fit.
    fn batch_in_order(&self, layout: &Layout, rows: &[Record<'_>]) -> Result<RecordBatch, Error> {
        self.batch(layout, rows).or_else(|error| {
            for row in rows {
                self.batch(layout, std::slice::from_ref(row))?;
            }
            Err(error)
        })
    }

    fn batch(&self, layout: &Layout, rows: &[Record<'_>]) -> Result<RecordBatch, Error> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let mut fits = vec![true; rows.len()];
        let mut arrays: HashMap<usize, ArrayRef> = HashMap::with_capacity(self.converted.len());
        for &place in &self.converted {
            let column = &self.asked.table.fields()[place];
            let array = match layout.places[place] {
                None => new_null_array(column.data_type(), rows.len()),
                Some(field) => {
                    let text = self.text(rows, field, column.data_type(), &mut fits)?;
                    let (values, misfits) = convert::column(text, &self.asked.types[place])
                        .map_err(|error| unsupported(column.name(), column.data_type(), &error))?;
                    for row in misfits {
                        let text = rows[row].field(field).unwrap_or_default();
                        let kind = kind_of(&String::from_utf8_lossy(text));
                        self.misfit(&rows[row], field, kind, column.data_type(), &mut fits[row])?;
                    }
                    values
                }
            };
            arrays.insert(place, array);
        }
        let columns = self
            .asked
            .wanted
            .iter()
            .filter_map(|place| arrays.get(place).map(Arc::clone))
            .collect();
        let batch =
            RecordBatch::try_new_with_options(Arc::clone(&self.asked.output), columns, &options)
                .map_err(engine)?;
        if fits.iter().all(|&fits| fits) {
            return Ok(batch);
        }
        filter_record_batch(&batch, &BooleanArray::from(fits)).map_err(engine)
    }

    /// A field of each row; null where it is missing or spelled so.
    fn text(
        &self,
        rows: &[Record<'_>],
        field: usize,
        kind: &DataType,
        fits: &mut [bool],
    ) -> Result<datafusion::arrow::array::StringArray, Error> {
        let bytes = rows
            .iter()
            .map(|row| row.field(field).map_or(0, <[u8]>::len))
            .sum();
        let mut builder = StringBuilder::with_capacity(rows.len(), bytes);
        for (row, record) in rows.iter().enumerate() {
            let Some(text) = record.field(field) else {
                builder.append_null();
                continue;
            };
            let Ok(text) = std::str::from_utf8(text) else {
                self.misfit(record, field, "no UTF-8", kind, &mut fits[row])?;
                builder.append_null();
                continue;
            };
            let in_quotes = text.is_empty() && record.is_empty_in_quotes(field);
            if self.options.is_null(text.as_bytes(), in_quotes, kind) {
                builder.append_null();
            } else {
                builder.append_value(text);
            }
        }
        Ok(builder.finish())
    }

    /// Line and column of a field.
    fn place(&self, record: &Record<'_>, field: usize) -> String {
        let place = format!("line {}, column {}", record.line(), field + 1);
        match self.column_name(field) {
            Some(name) => format!("{place} (`{name}`)"),
            None => place,
        }
    }

    /// The column of the table that a field belongs to.
    fn column_name(&self, field: usize) -> Option<&str> {
        let mut places = self.layout.places.iter();
        let column = places.position(|place| *place == Some(field))?;
        Some(self.asked.table.field(column).name())
    }

    fn misfit(
        &self,
        record: &Record<'_>,
        field: usize,
        holds: &str,
        kind: &DataType,
        fits: &mut bool,
    ) -> Result<(), Error> {
        if self.misfits.on_error == OnError::Fail {
            let place = self.place(record, field);
            let fault = fault(holds, kind);
            return Err(self.misfits.error(format_args!("{place} {fault}")));
        }
        let column = self.column_name(field);
        self.misfits
            .note(record.line(), column, || fault(holds, kind));
        match self.misfits.on_error {
            OnError::Fail => {}
            OnError::Null => self.misfits.null_value(),
            OnError::Skip if *fits => {
                *fits = false;
                self.misfits.skip_row();
            }
            OnError::Skip => {}
        }
        Ok(())
    }
}

impl Decode for CsvDecoder {
    fn push(&mut self, mut bytes: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        while !bytes.is_empty() {
            let divided = self.divider.push(bytes, self.asked.batch_rows);
            let taken = divided.or_else(|broken| self.stop(broken, out))?;
            bytes = &bytes[taken..];
            let records: &Records = self.divider.records();
            if records.len() >= self.asked.batch_rows
                || (records.len() > 0 && records.text_bytes() >= BATCH_BYTES)
            {
                self.flush(out)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let divided = self.divider.finish();
        divided.or_else(|broken| self.stop(broken, out))?;
        self.flush(out)
    }
}

impl Resumed for CsvDecoder {
    fn between_records(&self) -> bool {
        self.divider.between_records()
    }

    fn line(&self) -> u64 {
        self.divider.line()
    }
}

impl Layout {
    /// Finds the columns by the names of the header.
    pub(crate) fn by_name(
        asked: &Asked,
        header: &Records,
        misfits: &Misfits,
    ) -> Result<Self, Error> {
        whole_header(header, misfits)?;
        for record in header.iter() {
            let mut fields = (0..record.fields()).filter_map(|place| record.field(place));
            if let Some(place) = fields.position(|text| std::str::from_utf8(text).is_err()) {
                let line = record.line();
                return Err(
                    misfits.error(format_args!("line {line}, column {} {NOT_UTF8}", place + 1))
                );
            }
        }
        let names = header_names(header);
        for name in names.iter().filter(|name| asked.is_unlisted(name)) {
            misfits.unlisted(name);
        }
        let by_name: HashMap<_, _> = names.iter().zip(0..).collect();
        let columns = asked.table.fields().iter();
        let places: Vec<_> = columns
            .map(|column| by_name.get(column.name()).copied())
            .collect();
        asked.report_declared(misfits, |place, _| places[place].is_some());
        if places.iter().all(Option::is_none) {
            return Err(misfits.error(
                "the header names none of the table's columns: header or delimiter may not be as declared",
            ));
        }
        Ok(Self {
            fields: names.len(),
            places,
        })
    }

    /// Takes the columns in their order. `fields` is how many the first row has.
    pub(crate) fn by_place(asked: &Asked, fields: usize) -> Self {
        let columns = asked.table.fields().len();
        Self {
            fields: columns.max(fields),
            places: (0..columns)
                .map(|place| (place < fields).then_some(place))
                .collect(),
        }
    }
}

impl Broken {
    /// As an error that names the place.
    pub(crate) fn told(self, misfits: &Misfits) -> Error {
        match self {
            Self::OpenQuote(line) => misfits.error(format_args!(
                "a quote in the record of line {line} is never closed: set `quote = \"\"` if nothing encloses fields"
            )),
            Self::TooManyFields(line) => misfits.error(format_args!(
                "the record of line {line} has more than 100,000 fields"
            )),
            Self::TooLong(line) => misfits.error(format_args!(
                "the record of line {line} is larger than 64 MiB: a quote may not be closed"
            )),
        }
    }
}

/// Refuses a header in which text follows a closing quote: its names are not what they seem.
pub(crate) fn whole_header(header: &Records, misfits: &Misfits) -> Result<(), Error> {
    match header.iter().find(Record::is_torn) {
        Some(record) => Err(misfits.error(format_args!("line {} {TORN}", record.line()))),
        None => Ok(()),
    }
}

/// Names of columns, of one record or joined from several: a name that stands twice gets a number, and one that is missing
/// its place.
pub(crate) fn header_names(header: &Records) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let fields = header.iter().map(|record| record.fields()).max();
    let given: Vec<String> = (0..fields.unwrap_or_default())
        .map(|place| {
            let parts = header.iter().map(|record| {
                let text = record.field(place).unwrap_or_default();
                String::from_utf8_lossy(text).trim().to_owned()
            });
            let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
            if parts.is_empty() {
                format!("column_{}", place + 1)
            } else {
                parts.join("_")
            }
        })
        .collect();
    let mut used: HashSet<String> = given.iter().cloned().collect();
    let mut names = Vec::with_capacity(given.len());
    for name in given {
        let count = seen.entry(name.clone()).or_insert(0);
        *count += 1;
        if *count == 1 {
            names.push(name);
            continue;
        }
        let mut number = *count - 1;
        while !used.insert(format!("{name}_{number}")) {
            number += 1;
        }
        names.push(format!("{name}_{number}"));
    }
    names
}

/// The engine's own message may quote values, so it is not kept.
pub(crate) fn engine(_error: ArrowError) -> Error {
    Error::new(
        ErrorKind::Internal,
        "a batch of rows cannot be put together",
    )
}

pub(crate) fn unsupported(column: &str, kind: &DataType, _error: &ArrowError) -> Error {
    Error::new(
        ErrorKind::InvalidSpec,
        format!(
            "column `{column}` is declared {}, which its values cannot be read as",
            type_name(kind)
        ),
    )
}

/// What a record with more fields than the header may come of.
fn hint(record: &Record<'_>, expected: usize) -> &'static str {
    let fields = record.fields();
    let ends_empty = fields > 0 && record.field(fields - 1).is_some_and(<[u8]>::is_empty);
    if fields == expected + 1 && ends_empty {
        ": a delimiter ends this line, and none ends the header"
    } else if fields > expected && (expected == 1 || record.line() == 2) {
        ": a title in front of the header is left out by `skip_lines`, and text with a delimiter in it stands in quotes"
    } else {
        ""
    }
}
