//! Cuts text into chunks and joins what they were decoded to, so that the rows are those of one reader that goes through
//! the whole text.
//!
//! Where a chunk is cut is a guess. A chunk whose text begins with a record is told by [`attempt`] to end with one or not, so
//! in the order of the text each chunk proves the next, and the first begins where the file does. From a chunk that does not
//! end with a record on, one reader goes on until a chunk does.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use datafusion::arrow::array::RecordBatch;

use super::{
    chunk::{Asked, Chunk, Chunked, Resumed, Space},
    csv::{CsvOptions, Layout},
    csv_chunks::CsvChunks,
    misfit::{MisfitCounts, Misfits},
    records::Divider,
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

    /// Gives the memory of a chunk back.
    pub(crate) fn recycle(&mut self, cut: Cut) {
        self.spare.push(cut.text);
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

    /// Decodes a chunk; `None` when it does not end with a record, or holds what is an error whose line is not known here.
    pub(crate) fn attempt(&self, cut: &Cut) -> Option<Attempt> {
        if !cut.whole {
            return None;
        }
        let lock = || self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        let mut space = lock().pop().unwrap_or_default();
        let quick = self.chunked.decode(&cut.text, &self.sieve, &mut space);
        lock().push(space);
        let counts = Arc::<MisfitCounts>::default();
        if let Some(chunk) = quick {
            return Some(Attempt { chunk, counts });
        }
        let misfits = Misfits {
            counts: Arc::clone(&counts),
            ..self.misfits.clone()
        };
        let mut decoder = self.chunked.decoder(1, misfits);
        let mut batches = Vec::new();
        decoder.push(&cut.text, &mut batches).ok()?;
        if !decoder.between_records() {
            return None;
        }
        let lines = decoder.line() - 1;
        decoder.finish(&mut batches).ok()?;
        Some(Attempt {
            chunk: Chunk {
                batches,
                lines,
                unlisted: Vec::new(),
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

    /// Takes the next chunk with what it was decoded to.
    pub(crate) fn join(
        &mut self,
        cut: &Cut,
        attempt: Option<Attempt>,
        out: &mut Vec<RecordBatch>,
    ) -> Result<(), Error> {
        let Decoding {
            chunked, misfits, ..
        } = self.decoding.as_ref();
        let mut reader = match (self.one_reader.take(), attempt) {
            (Some(reader), _) => reader,
            (None, None) => chunked.decoder(self.line, misfits.clone()),
            (None, Some(attempt)) => {
                misfits.counts.add(&attempt.counts);
                for column in &attempt.chunk.unlisted {
                    misfits.unlisted(column);
                }
                self.line += attempt.chunk.lines;
                out.extend(attempt.chunk.batches);
                return Ok(());
            }
        };
        reader.push(&cut.text, out)?;
        if reader.between_records() {
            self.line = reader.line();
            return reader.finish(out);
        }
        self.one_reader = Some(reader);
        Ok(())
    }

    /// No chunk comes any more.
    pub(crate) fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        match &mut self.one_reader {
            Some(reader) => reader.finish(out),
            None => Ok(()),
        }
    }
}

/// A file of delimited text whose columns have been found.
pub(crate) struct Started {
    pub(crate) chunks: CsvChunks,
    /// Bytes before the first record that is a row.
    pub(crate) skip: usize,
    /// The line of that record.
    pub(crate) line: u64,
}

/// Finds the columns from the first record, once it is complete.
pub(crate) fn start_csv(
    asked: &Asked,
    options: &CsvOptions,
    misfits: &Misfits,
    text: &[u8],
    last: bool,
) -> Result<Option<Started>, Error> {
    let mut divider = Divider::new(options.dialect);
    let broken = |broken: super::records::Broken| broken.told(misfits);
    let mut skip = divider.push(text, 1).map_err(broken)?;
    if divider.records().len() == 0 && last {
        divider.finish().map_err(broken)?;
    }
    // The line may end with two bytes.
    let cut_in_two = text[..skip].ends_with(b"\r");
    if cut_in_two && skip == text.len() && !last {
        return Ok(None);
    }
    if cut_in_two && text.get(skip) == Some(&b'\n') {
        skip += divider.push(&text[skip..=skip], 2).map_err(broken)?;
    }
    let (records, line) = (divider.take(), divider.line());
    let Some(first) = records.iter().next() else {
        return Ok(None);
    };
    let chunks = CsvChunks {
        layout: Arc::new(Layout::find(asked, options, &first, misfits)?),
        options: options.clone(),
        asked: asked.clone(),
    };
    // Without a header, the first record is a row.
    let (skip, line) = if options.header { (skip, line) } else { (0, 1) };
    Ok(Some(Started { chunks, skip, line }))
}
