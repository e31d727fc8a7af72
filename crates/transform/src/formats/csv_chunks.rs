//! Delimited text in chunks: regular text is divided by [`Marks`] and decoded straight into columns.

use std::{borrow::Cow, sync::Arc};

use datafusion::arrow::{
    array::{ArrayRef, new_null_array},
    datatypes::DataType,
};

use super::{
    cells::{self, Cell},
    chunk::{Asked, Chunk, Chunked, Resumed, Rows, Space},
    csv::{CsvDecoder, CsvOptions, Layout},
    marks::Marks,
    misfit::Misfits,
    sieve::Sieve,
};

/// Where this share of the rows or more may hold a needle, it is quicker to decode all.
const FEW: usize = 4;

/// Delimited text of one file whose columns have been found.
#[derive(Debug)]
pub(crate) struct CsvChunks {
    pub(crate) options: CsvOptions,
    pub(crate) layout: Arc<Layout>,
    pub(crate) asked: Asked,
}

/// Rows of a chunk.
struct CsvRows<'a> {
    chunks: &'a CsvChunks,
    text: &'a [u8],
    /// Ends of the fields of all rows.
    ends: &'a [u32],
    /// Starts of the rows; none when each begins after the one before.
    starts: &'a [u32],
    rows: usize,
}

impl Chunked for CsvChunks {
    fn cut(&self, text: &[u8]) -> Option<usize> {
        cut(text, self.options.dialect.quote)
    }

    fn decode(&self, text: &[u8], sieve: &Sieve, space: &mut Space) -> Option<Chunk> {
        let dialect = self.options.dialect;
        if dialect.escape.is_some_and(|escape| escape != dialect.quote) {
            return None;
        }
        let Space {
            marks,
            ends,
            starts,
            ..
        } = space;
        marks.find(text, dialect).ok()?;
        let fields = self.layout.fields;
        let sifted = sieve.needles.is_some() && {
            let most = marks.rows / FEW;
            candidates(text, sieve, marks, most, starts, ends)
        };
        if sifted {
            if ends.len() != starts.len() * fields {
                return None;
            }
        } else {
            starts.clear();
            if marks.cells != marks.rows * fields {
                return None;
            }
            marks.field_ends(ends);
        }
        let rows = CsvRows {
            chunks: self,
            text,
            ends,
            starts,
            rows: if sifted { starts.len() } else { marks.rows },
        };
        // As many ends of lines as records, and each in the place of a record's last field.
        let lasts = ends
            .iter()
            .skip(fields.wrapping_sub(1))
            .step_by(fields.max(1));
        if !lasts.into_iter().all(|&end| marks.ends_record(end)) {
            return None;
        }
        Some(Chunk {
            batches: self.asked.batches(&rows, sieve)?,
            lines: marks.lines,
        })
    }

    fn decoder(&self, line: u64, misfits: Misfits) -> Box<dyn Resumed> {
        Box::new(CsvDecoder::resumed(
            self.asked.clone(),
            self.options.clone(),
            misfits,
            Arc::clone(&self.layout),
            line,
        ))
    }
}

/// The last end of line with an even number of quotes before it. Text is not always regular, so this is a guess that
/// whoever decodes the chunk has to verify.
fn cut(text: &[u8], quote: u8) -> Option<usize> {
    let mut quotes = memchr::memchr_iter(quote, text).count();
    let mut end = text.len();
    loop {
        let newline = memchr::memrchr(b'\n', &text[..end])?;
        quotes -= memchr::memchr_iter(quote, &text[newline..end]).count();
        if quotes.is_multiple_of(2) {
            return Some(newline + 1);
        }
        end = newline;
    }
}

/// Finds the records that hold a needle. Whether they are few enough to be worth while.
fn candidates(
    text: &[u8],
    sieve: &Sieve,
    marks: &Marks,
    most: usize,
    starts: &mut Vec<u32>,
    ends: &mut Vec<u32>,
) -> bool {
    starts.clear();
    ends.clear();
    let Some(needles) = &sieve.needles else {
        return false;
    };
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| needles.find(rest)) {
        let (start, end) = marks.record_around(from + found.start());
        if starts.len() >= most {
            return false;
        }
        starts.push(u32::try_from(start).unwrap_or(u32::MAX));
        marks.field_ends_between(start, end, ends);
        from = end;
    }
    true
}

/// One column of the rows.
struct CsvColumn<'a> {
    rows: &'a CsvRows<'a>,
    field: usize,
    fields: usize,
    empty_is_null: bool,
}

impl<'a> CsvColumn<'a> {
    fn cell(&self, row: usize) -> Cell<'a> {
        let CsvRows {
            text, ends, starts, ..
        } = self.rows;
        let first = row * self.fields;
        let of_row = &ends[first..first + self.fields];
        let start = match (self.field, starts.get(row)) {
            (0, Some(&start)) => start as usize,
            (0, None) if row == 0 => 0,
            (0, None) => ends[first - 1] as usize + 1,
            (field, _) => of_row[field - 1] as usize + 1,
        };
        let mut text = &text[start..of_row[self.field] as usize];
        if self.field + 1 == self.fields {
            text = text.strip_suffix(b"\r").unwrap_or(text);
        }
        let options = &self.rows.chunks.options;
        let cell = match text {
            [first, inner @ .., _] if *first == options.dialect.quote => {
                unquoted(inner, options.dialect.quote)
            }
            text => Cow::Borrowed(text),
        };
        let null = cell.is_empty() && self.empty_is_null
            || options
                .null_values
                .iter()
                .any(|null| null.as_bytes() == cell.as_ref());
        (!null).then_some(cell)
    }
}

impl Rows for CsvRows<'_> {
    fn len(&self) -> usize {
        self.rows
    }

    fn column(&self, place: usize, rows: Option<&[u32]>) -> Option<ArrayRef> {
        let kind = self.chunks.asked.table.field(place).data_type();
        let Some(field) = self.chunks.layout.places[place] else {
            let count = rows.map_or(self.rows, <[u32]>::len);
            return Some(new_null_array(kind, count));
        };
        let column = CsvColumn {
            rows: self,
            field,
            fields: self.chunks.layout.fields,
            empty_is_null: *kind != DataType::Utf8,
        };
        match rows {
            None => cells::column(kind, (0..self.rows).map(|row| column.cell(row))),
            Some(rows) => cells::column(kind, rows.iter().map(|&row| column.cell(row as usize))),
        }
    }
}

/// What is between the quotes of a field.
fn unquoted(inner: &[u8], quote: u8) -> Cow<'_, [u8]> {
    if memchr::memchr(quote, inner).is_some() {
        Cow::Owned(undoubled(inner, quote))
    } else {
        Cow::Borrowed(inner)
    }
}

/// Quotes that stand for one are doubled.
fn undoubled(text: &[u8], quote: u8) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(byte);
        if byte == quote {
            bytes.next();
        }
    }
    plain
}
