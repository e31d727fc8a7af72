//! Avro and Arrow IPC, streamed: what is held is a block or a message, never the file.

use std::{
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow_avro::reader::ReaderBuilder;
use datafusion::arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    buffer::Buffer,
    compute::filter_record_batch,
    datatypes::SchemaRef,
    ipc::reader::StreamDecoder,
};

use super::{Decode, LONGEST_RECORD_BYTES, chunk::Asked, csv::engine, exact, misfit::Misfits};
use crate::{Error, OnError};

/// Bytes of Avro blocks that are decoded together: each time, the file's header is read again.
const AVRO_PIECE_BYTES: usize = 1 << 20;
/// The beginning of an Arrow IPC file, before what is otherwise a stream.
const ARROW_FILE_MAGIC: &[u8] = b"ARROW1";

/// Brings batches of a file to the columns of the table, by name.
pub(crate) struct Adapter {
    asked: Asked,
    misfits: Misfits,
    /// Rows of the file that came before.
    rows: u64,
}

impl Adapter {
    pub(crate) fn new(asked: Asked, misfits: Misfits) -> Self {
        Self {
            asked,
            misfits,
            rows: 0,
        }
    }

    pub(crate) fn adapt(&mut self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let rows = batch.num_rows();
        if self.rows == 0 {
            for field in batch.schema_ref().fields() {
                if self.asked.is_unlisted(field.name()) {
                    self.misfits.unlisted(field.name());
                }
            }
        }
        let mut fits = vec![true; rows];
        let mut arrays = std::collections::HashMap::with_capacity(self.asked.wanted.len());
        for place in self.asked.decoded() {
            let field = self.asked.table.field(place);
            let array = match batch.column_by_name(field.name()) {
                None => new_null_array(field.data_type(), rows),
                Some(found) => self.convert(found, place, &mut fits)?,
            };
            arrays.insert(place, array);
        }
        self.rows += rows as u64;
        let wanted = self.asked.wanted.iter();
        let columns = wanted.filter_map(|place| arrays.get(place).map(Arc::clone));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.asked.output);
        let batch = RecordBatch::try_new_with_options(schema, columns.collect(), &options)
            .map_err(engine)?;
        if fits.iter().all(|&fits| fits) {
            return Ok(batch);
        }
        filter_record_batch(&batch, &BooleanArray::from(fits)).map_err(engine)
    }

    fn convert(
        &self,
        found: &ArrayRef,
        place: usize,
        fits: &mut [bool],
    ) -> Result<ArrayRef, Error> {
        let (has, name) = (found.data_type(), self.asked.table.field(place).name());
        let kind = &self.asked.types[place];
        let (column, misfits) = exact::column(found, kind).map_err(|_error| {
            self.misfits.error(format_args!(
                "column `{name}` is {has}, which cannot become {}",
                kind.kind
            ))
        })?;
        for row in misfits {
            match self.misfits.on_error {
                OnError::Fail => {
                    return Err(self.misfits.error(format_args!(
                        "row {}, column `{name}` holds a value of type {has} that is no {}",
                        self.rows + row as u64 + 1,
                        kind.kind
                    )));
                }
                OnError::Null => self.misfits.null_value(),
                OnError::Skip if fits[row] => {
                    fits[row] = false;
                    self.misfits.skip_row();
                }
                OnError::Skip => {}
            }
        }
        Ok(column)
    }
}

/// Reads Arrow IPC, file or stream.
pub(crate) struct ArrowDecoder {
    adapter: Adapter,
    decoder: StreamDecoder,
    start: Option<Vec<u8>>,
    is_file: bool,
    ended: bool,
}

impl ArrowDecoder {
    pub(crate) fn new(adapter: Adapter) -> Self {
        Self {
            adapter,
            decoder: StreamDecoder::new(),
            start: Some(Vec::new()),
            is_file: false,
            ended: false,
        }
    }

    pub(crate) fn schema(&self) -> Option<SchemaRef> {
        self.decoder.schema()
    }

    fn decode(&mut self, bytes: Vec<u8>, out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let mut buffer = Buffer::from_vec(bytes);
        while !buffer.is_empty() && !self.ended {
            let decoder = &mut self.decoder;
            // The decoder checks what it reads, but a crafted file must not end the process where it does not.
            let decoded = catch_unwind(AssertUnwindSafe(|| decoder.decode(&mut buffer)));
            match decoded {
                Ok(Ok(Some(batch))) => {
                    let batch = self.adapter.adapt(&batch)?;
                    out.push(batch);
                }
                Ok(Ok(None)) => {}
                // What follows the end of the stream in a file is its table of contents.
                Ok(Err(_))
                    if self.is_file && self.decoder.finish().is_ok() && self.schema().is_some() =>
                {
                    self.ended = true;
                }
                Ok(Err(_)) | Err(_) => {
                    return Err(self.adapter.misfits.error("is not valid Arrow IPC"));
                }
            }
        }
        Ok(())
    }
}

impl Decode for ArrowDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let Some(mut start) = self.start.take() else {
            return self.decode(bytes.to_vec(), out);
        };
        start.extend_from_slice(bytes);
        if start.len() < ARROW_FILE_MAGIC.len() {
            self.start = Some(start);
            return Ok(());
        }
        self.is_file = start.starts_with(ARROW_FILE_MAGIC);
        if self.is_file {
            // Zeros follow, up to a boundary that writers choose.
            let message = start[ARROW_FILE_MAGIC.len()..]
                .iter()
                .position(|byte| *byte != 0);
            match message {
                Some(zeros) => drop(start.drain(..ARROW_FILE_MAGIC.len() + zeros)),
                None if start.len() < 1024 => {
                    self.start = Some(start);
                    return Ok(());
                }
                None => return Err(self.adapter.misfits.error("is not valid Arrow IPC")),
            }
        }
        self.decode(start, out)
    }

    fn finish(&mut self, _out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let whole = self.ended || self.decoder.finish().is_ok();
        if !whole || self.schema().is_none() {
            return Err(self
                .adapter
                .misfits
                .error("is not valid Arrow IPC, or is cut off"));
        }
        Ok(())
    }
}

/// Reads Avro object container files.
pub(crate) struct AvroDecoder {
    adapter: Adapter,
    /// Magic, metadata and sync marker.
    header: Option<Vec<u8>>,
    bytes: Vec<u8>,
}

impl AvroDecoder {
    pub(crate) fn new(adapter: Adapter) -> Self {
        Self {
            adapter,
            header: None,
            bytes: Vec::new(),
        }
    }

    fn invalid(&self) -> Error {
        self.adapter
            .misfits
            .error("is not valid Avro, or is cut off")
    }

    /// The columns that the header declares.
    pub(crate) fn schema(&self) -> Option<SchemaRef> {
        let header = self.header.clone()?;
        let reader = catch_unwind(AssertUnwindSafe(|| {
            ReaderBuilder::new().build(Cursor::new(header))
        }));
        reader.ok()?.ok().map(|reader| reader.schema())
    }

    fn advance(&mut self, last: bool, out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        if self.header.is_none() {
            match header_end(&self.bytes) {
                Framing::Ends(end) => {
                    let rest = self.bytes.split_off(end);
                    self.header = Some(std::mem::replace(&mut self.bytes, rest));
                }
                Framing::More if !last && self.bytes.len() <= LONGEST_RECORD_BYTES => return Ok(()),
                Framing::More | Framing::Wrong => return Err(self.invalid()),
            }
        }
        let whole = self.whole_blocks(last)?;
        if whole == 0 || (!last && whole < AVRO_PIECE_BYTES) {
            return Ok(());
        }
        let rest = self.bytes.split_off(whole);
        let blocks = std::mem::replace(&mut self.bytes, rest);
        self.decode(&blocks, out)
    }

    /// Bytes of the blocks that are complete.
    fn whole_blocks(&self, last: bool) -> Result<usize, Error> {
        let sync = self
            .header
            .as_ref()
            .map(|header| &header[header.len() - 16..]);
        let mut whole = 0;
        while whole < self.bytes.len() {
            match block_end(&self.bytes[whole..]) {
                Framing::Ends(end) => {
                    let end = whole + end;
                    if Some(&self.bytes[end - 16..end]) != sync {
                        return Err(self.invalid());
                    }
                    whole = end;
                }
                Framing::More if !last => break,
                Framing::More | Framing::Wrong => return Err(self.invalid()),
            }
        }
        Ok(whole)
    }

    fn decode(&mut self, blocks: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let mut piece = self.header.clone().unwrap_or_default();
        piece.extend_from_slice(blocks);
        let rows = self.adapter.asked.batch_rows;
        let batches = catch_unwind(AssertUnwindSafe(|| {
            ReaderBuilder::new()
                .with_batch_size(rows)
                .build(Cursor::new(piece))?
                .collect::<Result<Vec<_>, _>>()
        }));
        let Ok(Ok(batches)) = batches else {
            return Err(self.invalid());
        };
        for batch in &batches {
            out.push(self.adapter.adapt(batch)?);
        }
        Ok(())
    }
}

impl Decode for AvroDecoder {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes);
        self.advance(false, out)
    }

    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        self.advance(true, out)
    }
}

enum Framing {
    Ends(usize),
    More,
    Wrong,
}

/// A zigzag number and the bytes it takes.
fn long(bytes: &[u8]) -> Result<(i64, usize), Framing> {
    let mut value = 0_u64;
    for (place, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let half = i64::try_from(value >> 1).map_err(|_error| Framing::Wrong)?;
            return Ok((if value & 1 == 0 { half } else { -half - 1 }, place + 1));
        }
    }
    Err(if bytes.len() < 10 {
        Framing::More
    } else {
        Framing::Wrong
    })
}

fn length(bytes: &[u8]) -> Result<(usize, usize), Framing> {
    let (value, taken) = long(bytes)?;
    match usize::try_from(value) {
        Ok(value) if value <= LONGEST_RECORD_BYTES => Ok((value, taken)),
        _ => Err(Framing::Wrong),
    }
}

fn block_end(bytes: &[u8]) -> Framing {
    let read = || {
        let (_, first) = long(bytes)?;
        let (size, second) = length(&bytes[first..])?;
        Ok(first + second + size + 16)
    };
    within(read(), bytes.len())
}

/// Magic, a map of metadata in blocks of entries, and 16 bytes of sync marker.
fn header_end(bytes: &[u8]) -> Framing {
    let read = || {
        if bytes.len() >= 4 && !bytes.starts_with(b"Obj\x01") {
            return Err(Framing::Wrong);
        }
        let mut at = 4;
        let rest = |at: usize| bytes.get(at..).ok_or(Framing::More);
        loop {
            let (mut entries, taken) = long(rest(at)?)?;
            at += taken;
            if entries == 0 {
                return Ok(at + 16);
            }
            if entries < 0 {
                entries = entries.saturating_neg();
                at += length(rest(at)?)?.1;
            }
            for _ in 0..entries.saturating_mul(2) {
                let (size, taken) = length(rest(at)?)?;
                at += taken + size;
            }
        }
    };
    within(read(), bytes.len())
}

fn within(end: Result<usize, Framing>, available: usize) -> Framing {
    match end {
        Ok(end) if end <= available => Framing::Ends(end),
        Ok(_) => Framing::More,
        Err(other) => other,
    }
}
