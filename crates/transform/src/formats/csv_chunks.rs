//! Delimited text in chunks: regular text is divided by [`Marks`] and decoded straight into columns.

use std::{ops::Range, sync::Arc};

use datafusion::arrow::{
    array::{ArrayRef, new_null_array},
    datatypes::DataType,
};

use super::{
    cells::{self, Cell},
    chunk::{Asked, Chunk, Chunked, Resumed, Rows, Space},
    csv::{CsvDecoder, CsvOptions, Layout},
    marks::{self, Marks, Simple},
    misfit::Misfits,
    records::trim,
    sieve::{Occurrences, Sieve},
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
        let simple = Simple::of(dialect)?;
        // A needle is not found in text of another encoding.
        simdutf8::basic::from_utf8(text).ok()?;
        let fields = self.layout.fields;
        if dialect.trim && fields == 1 {
            // A line of blanks is no row.
            return None;
        }
        let Space {
            marks,
            ends,
            starts,
            ..
        } = space;
        let mut found = sieve.needles.as_ref().map(|all| all.occurrences(text));
        if let Some(found) = &mut found
            && found.next(0).is_none()
            && let Ok(lines) = marks::pass(text, simple, fields)
        {
            return Some(Chunk {
                lines,
                ..Chunk::default()
            });
        }
        marks.find(text, simple, fields).ok()?;
        let sifted = found.is_some_and(|found| {
            let most = marks.rows / FEW;
            candidates(found, marks, most, starts, ends)
        });
        if !sifted {
            starts.clear();
            marks.field_ends(ends);
        }
        let rows = CsvRows {
            chunks: self,
            text,
            ends,
            starts,
            rows: if sifted { starts.len() } else { marks.rows },
        };
        Some(Chunk {
            batches: self.asked.batches(&rows, sieve)?,
            lines: marks.lines,
            ..Chunk::default()
        })
    }

    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn decoder(&self, line: u64, misfits: Misfits) -> Box<dyn Resumed> {
        Box::new(CsvDecoder::new(
            self.asked.clone(),
            self.options.clone(),
            misfits,
            Arc::clone(&self.layout),
            line,
        ))
    }
}

/// The last end of line with an even number of quotes before it. Text is not always regular, so this is a guess that
/// the decoder of the chunk has to verify.
fn cut(text: &[u8], quote: Option<u8>) -> Option<usize> {
    let Some(quote) = quote else {
        return memchr::memrchr(b'\n', text).map(|newline| newline + 1);
    };
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
    mut found: Occurrences<'_>,
    marks: &Marks,
    most: usize,
    starts: &mut Vec<u32>,
    ends: &mut Vec<u32>,
) -> bool {
    starts.clear();
    ends.clear();
    let mut from = 0;
    while let Some(place) = found.next(from) {
        let (start, end) = marks.record_around(place);
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
    quote: Option<u8>,
    trim: bool,
    kind: &'a DataType,
    /// No longer text is one that stands for null.
    longest_null: usize,
}

impl<'a> CsvColumn<'a> {
    #[inline(always)]
    fn cell(&self, row: usize) -> Cell<'a> {
        let CsvRows { ends, starts, .. } = self.rows;
        let first = row * self.fields;
        let end = ends[first + self.field] as usize;
        let start = match starts.get(row) {
            Some(&start) if self.field == 0 => start as usize,
            // The field before is that of the record before, if there is one.
            _ if first + self.field == 0 => 0,
            _ => ends[first + self.field - 1] as usize + 1,
        };
        if self.field + 1 == self.fields {
            return self.unusual(start..end);
        }
        self.between(start, end)
    }

    /// A cell that is not the last of its row.
    #[inline(always)]
    fn between(&self, start: usize, end: usize) -> Cell<'a> {
        let text = self.rows.text;
        let is_quoted = text
            .get(start)
            .copied()
            .is_some_and(|byte| self.quote == Some(byte));
        if is_quoted || self.trim || end - start <= self.longest_null {
            return self.unusual(start..end);
        }
        Cell::plain(text, start..end)
    }

    /// A cell that may be quoted, null, or have a `\r` after it.
    #[inline(never)]
    fn unusual(&self, place: Range<usize>) -> Cell<'a> {
        let (text, quote) = (self.rows.text, self.quote);
        let mut place = place;
        if self.field + 1 == self.fields && text[place.clone()].ends_with(b"\r") {
            place.end -= 1;
        }
        if self.trim {
            let inner = trim(&text[place.clone()]);
            place = place.start + inner.start..place.start + inner.end;
        }
        if let Some(quote) = quote
            && let [first, inner @ .., _] = &text[place.clone()]
            && *first == quote
        {
            if memchr::memchr(quote, inner).is_some() {
                let made = undoubled(inner, quote);
                return if self.is_null(&made, true) {
                    Cell::Null
                } else {
                    Cell::Made(made)
                };
            }
            place = place.start + 1..place.end - 1;
            if self.is_null(&text[place.clone()], true) {
                return Cell::Null;
            }
        } else if self.is_null(&text[place.clone()], false) {
            return Cell::Null;
        }
        Cell::plain(text, place)
    }

    fn is_null(&self, text: &[u8], in_quotes: bool) -> bool {
        let options = &self.rows.chunks.options;
        options.is_null(text, in_quotes, self.kind)
    }
}

impl Rows for CsvRows<'_> {
    fn len(&self) -> usize {
        self.rows
    }

    fn column(&self, place: usize, rows: Option<&[u32]>) -> Option<ArrayRef> {
        let kind = &self.chunks.asked.types[place];
        let Some(field) = self.chunks.layout.places[place] else {
            let count = rows.map_or(self.rows, <[u32]>::len);
            return Some(new_null_array(&kind.kind, count));
        };
        let null_values = self.chunks.options.null_values.iter();
        let column = CsvColumn {
            rows: self,
            field,
            fields: self.chunks.layout.fields,
            quote: self.chunks.options.dialect.quote,
            trim: self.chunks.options.dialect.trim,
            kind: &kind.kind,
            longest_null: null_values.map(String::len).max().unwrap_or(0),
        };
        let is_inner = field > 0 && field + 1 < column.fields;
        match rows {
            None if is_inner && self.starts.is_empty() => {
                // Nearly all cells: there is nothing to tell apart.
                let rows = self.ends.chunks_exact(column.fields);
                let cell = |ends: &[u32]| {
                    column.between(ends[field - 1] as usize + 1, ends[field] as usize)
                };
                cells::column(kind, rows.map(cell))
            }
            None => cells::column(kind, (0..self.rows).map(|row| column.cell(row))),
            Some(rows) => cells::column(kind, rows.iter().map(|&row| column.cell(row as usize))),
        }
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
