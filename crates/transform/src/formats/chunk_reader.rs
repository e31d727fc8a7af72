//! Cuts text into chunks and joins what they were decoded to, so that the rows are those of one reader that goes through
//! the whole text.
//!
//! Where a chunk is cut is a guess. [`attempt`] says of a chunk that begins with a record whether it ends with one, so in the
//! order of the text each chunk proves the next, and the first begins where the file does. From a chunk that does not end
//! with a record on, one reader goes on until a chunk does.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use datafusion::arrow::array::RecordBatch;

use super::{
    LONGEST_RECORD_BYTES,
    chunk::{Asked, Chunk, Chunked, Resumed, Space},
    csv::{CsvOptions, Header, Layout},
    csv_chunks::CsvChunks,
    misfit::{MisfitCounts, Misfits},
    records::{Broken, Divider, Records, trim},
    sieve::Sieve,
};
use crate::Error;

/// Chunks are searched for an end up to this multiple of their size; then one reader goes on.
const LONGEST_CHUNKS: usize = 8;

/// Text on its way to be decoded.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) text: Vec<u8>,
    /// Whether it seems to end with a record.
    whole: bool,
}

/// Collects text until there is enough for a chunk.
#[derive(Debug)]
pub(crate) struct Cutter {
    pub(crate) text: Vec<u8>,
    chunk_bytes: usize,
    enough: usize,
    spare: Vec<Vec<u8>>,
}

impl Cutter {
    pub(crate) fn new(chunk_bytes: usize) -> Self {
        Self {
            text: Vec::new(),
            chunk_bytes,
            enough: chunk_bytes,
            spare: Vec::new(),
        }
    }

    /// The next chunk, if there is one yet; `last` says that no more text comes.
    pub(crate) fn next(&mut self, chunked: &dyn Chunked, last: bool) -> Option<Cut> {
        if last {
            let mut text = mem::take(&mut self.text);
            if text.last().is_some_and(|&byte| byte != b'\n') {
                text.push(b'\n');
            }
            return (!text.is_empty()).then_some(Cut { text, whole: true });
        }
        if self.text.len() < self.enough {
            return None;
        }
        let Some(end) = chunked.cut(&self.text) else {
            if self.text.len() < self.chunk_bytes * LONGEST_CHUNKS {
                self.enough = self.text.len() + self.chunk_bytes;
                return None;
            }
            self.enough = self.chunk_bytes;
            return Some(Cut {
                text: mem::take(&mut self.text),
                whole: false,
            });
        };
        self.enough = self.chunk_bytes;
        let mut next = self.spare.pop().unwrap_or_default();
        next.clear();
        next.extend_from_slice(&self.text[end..]);
        self.text.truncate(end);
        Some(Cut {
            text: mem::replace(&mut self.text, next),
            whole: true,
        })
    }

    /// Gives the memory of a chunk back. That of a record far larger than a chunk is not kept.
    pub(crate) fn recycle(&mut self, cut: Cut) {
        if cut.text.capacity() <= 2 * LONGEST_CHUNKS * self.chunk_bytes {
            self.spare.push(cut.text);
        }
    }
}

/// What the chunks of one file need to be decoded.
pub(crate) struct Decoding {
    pub(crate) chunked: Box<dyn Chunked>,
    pub(crate) sieve: Arc<Sieve>,
    pub(crate) misfits: Misfits,
    spaces: Mutex<Vec<Space>>,
}

/// A chunk that was decoded on the condition that its text begins with a record.
#[derive(Debug)]
pub(crate) struct Attempt {
    chunk: Chunk,
    counts: Arc<MisfitCounts>,
}

impl Decoding {
    pub(crate) fn new(chunked: Box<dyn Chunked>, sieve: Arc<Sieve>, misfits: Misfits) -> Self {
        Self {
            chunked,
            sieve,
            misfits,
            spaces: Mutex::default(),
        }
    }

    /// Decodes a chunk that holds nothing unusual.
    pub(crate) fn quick(&self, cut: &Cut) -> Option<Attempt> {
        if !cut.whole {
            return None;
        }
        let lock = || self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut space = lock().pop().unwrap_or_default();
        let quick = self.chunked.decode(&cut.text, &self.sieve, &mut space);
        lock().push(space);
        let counts = Arc::default();
        quick.map(|chunk| Attempt { chunk, counts })
    }

    /// Decodes any chunk; `None` when it does not end with a record, or holds what is an error whose line is not known here.
    pub(crate) fn complete(&self, cut: &Cut) -> Option<Attempt> {
        if !cut.whole {
            return None;
        }
        let counts = Arc::new(self.misfits.counts.alike());
        let misfits = Misfits {
            counts: Arc::clone(&counts),
            ..self.misfits.clone()
        };
        let mut decoder = self.chunked.decoder(1, misfits);
        let asked = self.chunked.asked();
        let (mut batches, mut rows, mut counted) = (Vec::<RecordBatch>::new(), 0, 0);
        for piece in cut.text.chunks(asked.piece_bytes()) {
            decoder.push(piece, &mut batches).ok()?;
            let new = &batches[counted..];
            rows += new.iter().map(RecordBatch::num_rows).sum::<usize>();
            counted = batches.len();
            if asked.are_too_many(rows) {
                return None;
            }
        }
        if !decoder.between_records() {
            return None;
        }
        let lines = decoder.line() - 1;
        decoder.finish(&mut batches).ok()?;
        Some(Attempt {
            chunk: Chunk {
                batches,
                lines,
                ..Chunk::default()
            },
            counts,
        })
    }
}

/// Joins chunks in the order of the text.
pub(crate) struct Joiner {
    decoding: Arc<Decoding>,
    line: u64,
    one_reader: Option<Box<dyn Resumed>>,
}

impl Joiner {
    /// For text that begins in `line`.
    pub(crate) fn new(decoding: Arc<Decoding>, line: u64) -> Self {
        Self {
            decoding,
            line,
            one_reader: None,
        }
    }

    /// Takes the next chunk as it was decoded. Gives back what has to be read with [`Self::read`] instead.
    pub(crate) fn join(
        &mut self,
        cut: Cut,
        attempt: Option<Attempt>,
        out: &mut Vec<RecordBatch>,
    ) -> Result<Cut, Unread> {
        match attempt {
            Some(attempt) if self.one_reader.is_none() => {
                let misfits = &self.decoding.misfits;
                misfits.counts.add(&attempt.counts, self.line - 1);
                let asked = self.decoding.chunked.asked();
                attempt.chunk.report(asked, misfits);
                self.line += attempt.chunk.lines;
                out.extend(attempt.chunk.batches);
                Ok(cut)
            }
            _ => Err(Unread { cut, done: 0 }),
        }
    }

    /// Reads a part of a chunk, up to its first batch; whether the chunk has been read.
    pub(crate) fn read(
        &mut self,
        unread: &mut Unread,
        out: &mut Vec<RecordBatch>,
    ) -> Result<bool, Error> {
        let Decoding {
            chunked, misfits, ..
        } = self.decoding.as_ref();
        let line = self.line;
        let reader = self
            .one_reader
            .get_or_insert_with(|| chunked.decoder(line, misfits.clone()));
        let before = out.len();
        while unread.done < unread.cut.text.len() {
            let text = &unread.cut.text[unread.done..];
            let piece = &text[..text.len().min(chunked.asked().piece_bytes())];
            unread.done += piece.len();
            reader.push(piece, out)?;
            if out.len() > before {
                return Ok(false);
            }
        }
        if reader.between_records() {
            self.line = reader.line();
            reader.finish(out)?;
            self.one_reader = None;
        }
        Ok(true)
    }

    /// Whether all text so far is of complete records.
    #[cfg(feature = "cluster")]
    pub(crate) const fn is_between_records(&self) -> bool {
        self.one_reader.is_none()
    }

    /// No chunk comes any more.
    pub(crate) fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        match &mut self.one_reader {
            Some(reader) => reader.finish(out),
            None => Ok(()),
        }
    }
}

/// A chunk that one reader goes through.
pub(crate) struct Unread {
    pub(crate) cut: Cut,
    /// Bytes that it has gone through.
    done: usize,
}

/// A file of delimited text whose columns have been found.
pub(crate) struct Started {
    pub(crate) chunks: CsvChunks,
    /// Bytes before the first record that is a row.
    pub(crate) skip: usize,
    /// The line of that record.
    pub(crate) line: u64,
}

/// Finds the columns of delimited text as it comes, by its first records.
pub(crate) struct CsvStart {
    asked: Asked,
    options: CsvOptions,
    misfits: Misfits,
    divider: Divider,
    before: LinesBefore,
    /// Bytes that have been looked at.
    seen: usize,
    header: Option<Records>,
    skip: usize,
    line: u64,
}

impl CsvStart {
    pub(crate) fn new(asked: Asked, options: CsvOptions, misfits: Misfits) -> Self {
        Self {
            divider: Divider::new(options.dialect),
            before: LinesBefore::of(&options),
            asked,
            options,
            misfits,
            seen: 0,
            header: None,
            skip: 0,
            line: 1,
        }
    }

    /// Finds the columns; `None` when there is not enough text yet. The text is that of earlier calls, with more behind it;
    /// `last` says that none comes any more.
    pub(crate) fn next(&mut self, text: &[u8], last: bool) -> Result<Option<Started>, Error> {
        if !self.before.are_passed() {
            let passed = self.before.pass(&text[self.seen..], last);
            self.seen += passed;
            if !self.before.are_passed() {
                return self.wait(text.len() - self.seen, last);
            }
            self.line = self.before.line;
            self.divider = Divider::at_line(self.options.dialect, self.line);
            self.skip = self.seen;
        }
        if self.header.is_none() {
            let records = self.options.header.records();
            if !self.divide(text, records, last)? {
                return Ok(None);
            }
            if records > 0 {
                (self.skip, self.line) = (self.seen, self.divider.line());
            }
            self.header = Some(self.divider.take());
        }
        let header = self.header.as_ref().map_or(0, Records::len);
        let layout = match &self.header {
            Some(names) if matches!(self.options.header, Header::Names(_)) => {
                if header == 0 {
                    return Ok(None);
                }
                Layout::by_name(&self.asked, names, &self.misfits)?
            }
            _ => {
                if !self.divide(text, 1, last)? {
                    return Ok(None);
                }
                let Some(first) = self.divider.records().iter().next() else {
                    return Ok(None);
                };
                Layout::by_place(&self.asked, first.fields())
            }
        };
        Ok(Some(Started {
            chunks: CsvChunks {
                layout: Arc::new(layout),
                options: self.options.clone(),
                asked: self.asked.clone(),
            },
            skip: self.skip,
            line: self.line,
        }))
    }

    /// Waits for the end of a line in front of the table.
    fn wait(&self, bytes: usize, last: bool) -> Result<Option<Started>, Error> {
        if last && self.before.skip == 0 {
            return Err(self.misfits.error("ends within its header"));
        }
        if last {
            return Err(self.misfits.error(format_args!(
                "ends within the {} lines of `skip_lines`",
                self.options.skip_lines
            )));
        }
        if bytes > LONGEST_RECORD_BYTES {
            return Err(Broken::TooLong(self.before.line).told(&self.misfits));
        }
        Ok(None)
    }

    /// Divides the text into `records` records. Returns whether there are as many, or no more can come.
    fn divide(&mut self, text: &[u8], records: usize, last: bool) -> Result<bool, Error> {
        let broken = |broken: Broken| broken.told(&self.misfits);
        let rest = &text[self.seen..];
        self.seen += self.divider.push(rest, records).map_err(broken)?;
        if self.divider.records().len() < records {
            if !last {
                return Ok(false);
            }
            self.divider.finish().map_err(broken)?;
            let found = self.divider.records().len();
            if (1..records).contains(&found) {
                return Err(self.misfits.error("ends within its header"));
            }
        }
        // The line may end with two bytes.
        if records > 0 && text[..self.seen].ends_with(b"\r") {
            match text.get(self.seen) {
                Some(b'\n') => {
                    self.seen += self.divider.push(b"\n", records + 1).map_err(broken)?
                }
                Some(_) => {}
                None if last => {}
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// Lines in front of the rows that are still to come.
pub(crate) struct LinesBefore {
    skip: usize,
    /// Those of a header that is left out: blank ones do not count.
    header: usize,
    /// The line that comes next.
    line: u64,
    /// Bytes of that line which hold no end.
    searched: usize,
}

impl LinesBefore {
    pub(crate) fn of(options: &CsvOptions) -> Self {
        Self {
            skip: options.skip_lines,
            header: options.header.skipped(),
            line: 1,
            searched: 0,
        }
    }

    /// The line that comes next.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    pub(crate) const fn are_passed(&self) -> bool {
        self.skip == 0 && self.header == 0
    }

    /// Passes over as many of them as are complete and returns their number of bytes. The text goes on where the last one ended
    /// that was passed over; `last` says that no more comes.
    pub(crate) fn pass(&mut self, text: &[u8], last: bool) -> usize {
        let mut start = 0;
        while !self.are_passed() {
            let rest = &text[start..];
            let end = match line_end(&rest[self.searched..], last) {
                Some(end) => self.searched + end,
                None if last && !rest.is_empty() => rest.len(),
                None => {
                    self.searched = rest.len() - usize::from(rest.ends_with(b"\r"));
                    break;
                }
            };
            self.searched = 0;
            if self.skip > 0 {
                self.skip -= 1;
            } else if !rest[..end].trim_ascii().is_empty() {
                self.header -= 1;
            }
            start += end;
            self.line += 1;
        }
        start
    }
}

/// The place after the first line, when it is complete.
pub(crate) fn line_end(text: &[u8], last: bool) -> Option<usize> {
    let end = memchr::memchr2(b'\n', b'\r', text)?;
    match (text[end], text.get(end + 1)) {
        (b'\r', Some(b'\n')) => Some(end + 2),
        (b'\r', None) if !last => None,
        _ => Some(end + 1),
    }
}

/// The place where the last lines begin that are not blank, `lines` of them; `None` when there are fewer.
pub(crate) fn last_lines(text: &[u8], lines: usize) -> Option<usize> {
    let mut start = text.len();
    for _ in 0..lines {
        loop {
            let end = start;
            // The line that ends in front of `end`, without its own end.
            let inner = text[..end].strip_suffix(b"\n").unwrap_or(&text[..end]);
            let inner = inner.strip_suffix(b"\r").unwrap_or(inner);
            start = memchr::memrchr2(b'\n', b'\r', inner).map_or(0, |before| before + 1);
            if !trim(&inner[start..]).is_empty() {
                break;
            }
            if start == 0 {
                return None;
            }
        }
    }
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::last_lines;

    #[test]
    fn the_last_lines_that_are_not_blank() {
        for (text, lines, start) in [
            ("a\nb\nc\n", 1, Some(4)),
            ("a\nb\nc", 2, Some(2)),
            ("a\nb\r\n \t\r\n\n", 1, Some(2)),
            ("a\rb\rc\r", 2, Some(2)),
            ("a\nb", 2, Some(0)),
            ("a\nb", 3, None),
            ("\n\n", 1, None),
            ("", 1, None),
            ("a\n", 0, Some(2)),
        ] {
            assert_eq!(
                last_lines(text.as_bytes(), lines),
                start,
                "{text:?} {lines}"
            );
        }
    }
}
