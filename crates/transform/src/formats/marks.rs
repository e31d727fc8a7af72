//! Finds the ends of all fields and records of regular delimited text, 64 bytes at a time.
//!
//! Regular is what writers of CSV agree on: a quoted field begins with its quote and ends before a delimiter or the end of
//! the line, quotes inside are doubled, no line is empty, and lines end with `\n` or `\r\n`. Whatever else
//! [`super::records`] accepts is reported as [`Irregular`] and read by it.
//!
//! The quoted parts are found with a running exclusive-or over the quotes' bits, as in Langdale and Lemire, "Parsing
//! Gigabytes of JSON per Second" (VLDB Journal 2019).

#[cfg(test)]
mod tests;

use super::{
    compare::{self, BLOCK, Compare, Task},
    records::Dialect,
};

/// What divides and encloses, where each is one byte and quotes are doubled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Simple {
    delimiter: u8,
    quote: Option<u8>,
    comment: Option<u8>,
}

impl Simple {
    /// `None` when the dialect has more to it.
    pub(crate) fn of(dialect: Dialect) -> Option<Self> {
        let escaped = dialect.escape.is_some() && dialect.escape != dialect.quote;
        if escaped || dialect.trim && dialect.comment.is_some() {
            return None;
        }
        Some(Self {
            delimiter: dialect.delimiter.single()?,
            quote: dialect.quote,
            comment: dialect.comment,
        })
    }
}

/// The text is not regular, or does not end with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Irregular;

/// Places in a text, one bit for each byte.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    /// Delimiters and ends of lines outside of quotes.
    fields: Vec<u64>,
    /// Ends of lines outside of quotes.
    records: Vec<u64>,
    /// Number of records.
    pub(crate) rows: usize,
    /// Number of fields of all records together.
    pub(crate) cells: usize,
    /// Number of `\n`, inside of quotes too; with a lone `\r` inside of quotes, the text is irregular.
    pub(crate) lines: u64,
}

/// What one block leaves to the next, in bit 0.
struct Carry {
    /// All ones inside of quotes.
    quoted: u64,
    /// Whether the byte before was a closing quote.
    closed: u64,
    /// Whether a field may begin here with a quote.
    field_start: u64,
    /// Whether a record begins here.
    record_start: u64,
    /// Whether the byte before was `\r`.
    returned: u64,
}

struct Block {
    fields: u64,
    records: u64,
    irregular: u64,
    lines: u32,
}

/// Text that is to be marked.
struct Find<'a> {
    marks: &'a mut Marks,
    text: &'a [u8],
    dialect: Simple,
    fields: usize,
}

/// Text of which no place needs to be known.
struct Pass<'a> {
    text: &'a [u8],
    dialect: Simple,
    fields: usize,
}

/// Number of `\n` in a regular text that begins and ends with a record and whose records all have `fields` fields; as
/// [`Marks::find`], in less than half the time.
///
/// # Errors
/// [`Irregular`], also for text with `\r` or where lines may be comments.
pub(crate) fn pass(text: &[u8], dialect: Simple, fields: usize) -> Result<u64, Irregular> {
    if dialect.comment.is_some() || memchr::memchr(b'\r', text).is_some() {
        return Err(Irregular);
    }
    compare::run(Pass {
        text,
        dialect,
        fields,
    })
}

/// Counts the fields of records, one block after the other.
struct Even {
    /// Delimiters of all fields so far.
    delimiters: u64,
    /// Delimiters of all records so far, if each has as many as it should.
    expected: u64,
    each: u64,
    /// Not 0 when a record had more or fewer.
    uneven: u64,
}

impl Even {
    fn new(fields: usize) -> Self {
        Self {
            delimiters: 0,
            expected: 0,
            each: fields.saturating_sub(1) as u64,
            uneven: u64::from(fields == 0),
        }
    }

    #[inline(always)]
    fn see(&mut self, delimiters: u64, mut records: u64) {
        // Most blocks hold the end of one record or of none, in no order that a processor could foresee: both take one way.
        loop {
            let ends = u64::from(records != 0);
            // All, where there is no record.
            let before = delimiters & (records ^ records.wrapping_sub(1));
            self.expected += self.each & ends.wrapping_neg();
            let found = self.delimiters + u64::from(before.count_ones());
            self.uneven |= (found ^ self.expected) & ends.wrapping_neg();
            records &= records.wrapping_sub(1);
            if records == 0 {
                break;
            }
        }
        self.delimiters += u64::from(delimiters.count_ones());
    }
}

impl Marks {
    /// Marks a text that begins with a record and should end with one; each should have `fields` fields.
    ///
    /// # Errors
    /// [`Irregular`]; the marks are then of no use.
    pub(crate) fn find(
        &mut self,
        text: &[u8],
        dialect: Simple,
        fields: usize,
    ) -> Result<(), Irregular> {
        let marks = self;
        compare::run(Find {
            marks,
            text,
            dialect,
            fields,
        })
    }

    /// The ends of all fields, record after record; the end of a record's last field is its end of line.
    pub(crate) fn field_ends(&self, ends: &mut Vec<u32>) {
        // Eight places are written at a time, whether there are as many or not: what is too much is written over.
        ends.resize(self.cells + BLOCK, 0);
        let mut written = 0;
        for (block, &marks) in self.fields.iter().enumerate() {
            let base = block_start(block);
            let mut left = marks;
            for places in ends[written..].chunks_exact_mut(8) {
                if left == 0 {
                    break;
                }
                for place in places {
                    *place = base + left.trailing_zeros();
                    left &= left.wrapping_sub(1);
                }
            }
            written += marks.count_ones() as usize;
        }
        ends.truncate(self.cells);
    }

    /// The ends of the fields between two places.
    pub(crate) fn field_ends_between(&self, start: usize, end: usize, ends: &mut Vec<u32>) {
        for block in start / BLOCK..=(end - 1) / BLOCK {
            let mut marks = self.fields[block];
            if block == start / BLOCK {
                marks &= u64::MAX << (start % BLOCK);
            }
            if block == (end - 1) / BLOCK {
                marks &= u64::MAX >> (BLOCK - 1 - (end - 1) % BLOCK);
            }
            push_places(marks, block, ends);
        }
    }

    /// Start of the record that holds the byte at `place`, and the place after its end of line.
    pub(crate) fn record_around(&self, place: usize) -> (usize, usize) {
        let (block, bit) = (place / BLOCK, place % BLOCK);
        let before = self.records[block] & ((1 << bit) - 1);
        let start = if before == 0 {
            let block = self.records[..block].iter().rposition(|&marks| marks != 0);
            block.map_or(0, |block| last_place(self.records[block], block) + 1)
        } else {
            last_place(before, block) + 1
        };
        let after = self.records[block] & (u64::MAX << bit);
        let end = if after == 0 {
            let next = self.records[block + 1..]
                .iter()
                .position(|&marks| marks != 0);
            next.map_or(self.records.len() * BLOCK, |next| {
                let block = block + 1 + next;
                block * BLOCK + self.records[block].trailing_zeros() as usize + 1
            })
        } else {
            block * BLOCK + after.trailing_zeros() as usize + 1
        };
        (start, end)
    }
}

fn last_place(marks: u64, block: usize) -> usize {
    block * BLOCK + (BLOCK - 1 - marks.leading_zeros() as usize)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a chunk is far below 4 GiB"
)]
const fn block_start(block: usize) -> u32 {
    (block * BLOCK) as u32
}

fn push_places(mut marks: u64, block: usize, ends: &mut Vec<u32>) {
    let base = block_start(block);
    while marks != 0 {
        ends.push(base + marks.trailing_zeros());
        marks &= marks - 1;
    }
}

impl Task for Find<'_> {
    type Output = Result<(), Irregular>;

    #[inline(always)]
    fn run(self, compare: impl Compare) -> Self::Output {
        let Self {
            marks,
            text,
            dialect,
            fields,
        } = self;
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        // Every place is written below, so that what is there from another text does not matter.
        for places in [&mut marks.fields, &mut marks.records] {
            places.resize(text.len().div_ceil(BLOCK), 0);
        }
        let mut all = marks.fields.iter_mut().zip(&mut marks.records);
        let mut even = Even::new(fields);
        let returns = memchr::memchr(b'\r', text).is_some();
        let mut carry = Carry::START;
        let (mut rows, mut cells, mut lines, mut irregular) = (0, 0, 0, 0);
        let mut put = |found: Block| {
            if let Some((fields, records)) = all.next() {
                (*fields, *records) = (found.fields, found.records);
            }
            rows += found.records.count_ones() as usize;
            cells += found.fields.count_ones() as usize;
            lines += u64::from(found.lines);
            irregular |= found.irregular;
            even.see(found.fields & !found.records, found.records);
        };
        for block in blocks {
            put(carry.block(block, dialect, returns, compare));
        }
        if !rest.is_empty() {
            put(carry.last_block(rest, dialect, returns, compare));
        }
        (marks.rows, marks.cells, marks.lines) = (rows, cells, lines);
        carry.ended(text, irregular | even.uneven)
    }
}

impl Task for Pass<'_> {
    type Output = Result<u64, Irregular>;

    #[inline(always)]
    fn run(self, compare: impl Compare) -> Self::Output {
        let Self {
            text,
            dialect,
            fields,
        } = self;
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let mut carry = Carry::START;
        let mut even = Even::new(fields);
        let (mut lines, mut irregular) = (0, 0);
        for block in blocks {
            let quotes = dialect.quote.map_or(0, |quote| compare.equal(block, quote));
            if carry.quoted | carry.closed | quotes == 0 {
                let newlines = compare.equal(block, b'\n');
                lines += u64::from(newlines.count_ones());
                even.see(compare.equal(block, dialect.delimiter), newlines);
                carry.pass(block[BLOCK - 1], dialect);
            } else {
                let found = carry.block(block, dialect, false, compare);
                lines += u64::from(found.lines);
                irregular |= found.irregular;
                even.see(found.fields & !found.records, found.records);
            }
        }
        if !rest.is_empty() {
            let found = carry.last_block(rest, dialect, false, compare);
            lines += u64::from(found.lines);
            irregular |= found.irregular;
            even.see(found.fields & !found.records, found.records);
        }
        carry.ended(text, irregular | even.uneven)?;
        Ok(lines)
    }
}

impl Carry {
    const START: Self = Self {
        quoted: 0,
        closed: 0,
        field_start: 1,
        record_start: 1,
        returned: 0,
    };

    /// A block without quotes, before which none is open.
    #[inline(always)]
    const fn pass(&mut self, last: u8, dialect: Simple) {
        self.record_start = (last == b'\n') as u64;
        self.field_start = self.record_start | (last == dialect.delimiter) as u64;
    }

    /// What is left of the text. Its last byte is an end of line, and so is what fills the block up; none of that is counted.
    #[inline(always)]
    fn last_block(
        &mut self,
        rest: &[u8],
        dialect: Simple,
        returns: bool,
        compare: impl Compare,
    ) -> Block {
        let mut block = [0; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        let mut found = self.block(&block, dialect, returns, compare);
        found.irregular &= (1 << rest.len()) - 1;
        found
    }

    fn ended(&self, text: &[u8], irregular: u64) -> Result<(), Irregular> {
        let whole = irregular == 0 && self.quoted == 0 && text.last() == Some(&b'\n');
        if whole { Ok(()) } else { Err(Irregular) }
    }

    #[inline(always)]
    fn block(
        &mut self,
        block: &[u8; BLOCK],
        dialect: Simple,
        returns: bool,
        compare: impl Compare,
    ) -> Block {
        let where_is = |byte: u8| compare.equal(block, byte);
        let quotes = dialect.quote.map_or(0, where_is);
        let delimiters = where_is(dialect.delimiter);
        let newlines = where_is(b'\n');
        let carriage_returns = if returns { where_is(b'\r') } else { 0 };
        // From each opening quote up to, and without, the closing one.
        let quoted = running_xor(quotes) ^ self.quoted;
        let (opens, closes) = (quotes & quoted, quotes & !quoted);
        let records = newlines & !quoted;
        let fields = (delimiters & !quoted) | records;
        let ends = carriage_returns & !quoted;

        let may_open = ((fields | closes) << 1) | self.field_start;
        let after_close = (closes << 1) | self.closed;
        let record_start = (records << 1) | self.record_start;
        let after_return = (ends << 1) | self.returned;
        let mut irregular = opens & !may_open
            | after_close & !(fields | ends | opens)
            | record_start & (records | ends)
            | after_return & !records
            | carriage_returns & quoted;
        if let Some(comment) = dialect.comment {
            irregular |= record_start & where_is(comment);
        }

        self.quoted = 0_u64.wrapping_sub(quoted >> (BLOCK - 1));
        self.closed = closes >> (BLOCK - 1);
        self.field_start = (fields | closes) >> (BLOCK - 1);
        self.record_start = records >> (BLOCK - 1);
        self.returned = ends >> (BLOCK - 1);
        Block {
            fields,
            records,
            irregular,
            lines: newlines.count_ones(),
        }
    }
}

/// Bit `i` is the exclusive or of bits `0..=i`.
#[inline]
pub(super) const fn running_xor(mut bits: u64) -> u64 {
    if bits == 0 {
        return 0;
    }
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ (bits << 32)
}
