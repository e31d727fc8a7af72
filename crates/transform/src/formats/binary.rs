//! Avro and Arrow IPC, streamed: what is held is a block or a message, never the file.

use std::{
    borrow::Cow,
    io::Cursor,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use arrow_avro::reader::{Reader, ReaderBuilder};
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use datafusion::arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array},
    buffer::Buffer,
    compute::filter_record_batch,
    datatypes::{DataType, SchemaRef},
    ipc::{Message, convert::fb_to_schema, reader::StreamDecoder, root_as_message},
};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use flowlake_gunzip::inflate;
use futures::StreamExt;

use super::{
    Decode, LONGEST_RECORD_BYTES,
    bytes::decompress,
    chunk::{self, Asked},
    csv::engine,
    exact,
    misfit::Misfits,
};
use crate::{Compression, Error, ErrorKind, OnError, schema::type_name};

/// Bytes of Avro blocks that are decoded together: each time, the file's header is read again.
const AVRO_PIECE_BYTES: usize = 1 << 20;
/// Bytes at the end of each Avro block.
const SYNC_BYTES: usize = 16;
/// Entries that the header of an Avro file may have.
const MOST_ENTRIES: usize = 10_000;
/// The beginning of an Arrow IPC file, before what is otherwise a stream.
const ARROW_FILE_MAGIC: &[u8] = b"ARROW1";
/// The header of an Avro file and what describes a message of Arrow IPC may not be longer.
const LONGEST_DESCRIPTION_BYTES: usize = 16 << 20;
/// The rows of a message of Arrow IPC may not take more, compressed or not.
const LONGEST_MESSAGE_BYTES: usize = 128 << 20;
/// Bytes of a message of Arrow IPC, with its rows, that a reader may hold without asking the engine's pool.
const FREE_MESSAGE_BYTES: usize = 16 << 20;
/// Rows without a byte that a block or message may have.
const MOST_EMPTY_ROWS: u64 = 1 << 20;

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
            for name in self.asked.unlisted(batch.schema_ref()) {
                self.misfits.unlisted(&name);
            }
            let has = |_, name: &str| batch.column_by_name(name).is_some();
            self.asked.report_declared(&self.misfits, has);
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
        let has = type_name(found.data_type());
        let name = self.asked.table.field(place).name();
        let kind = &self.asked.types[place];
        let (column, misfits) = exact::column(found, kind).map_err(|_error| {
            self.misfits.error(format_args!(
                "column `{name}` is {has}, which cannot become {}",
                type_name(&kind.kind)
            ))
        })?;
        for row in misfits {
            let number = self.rows + row as u64 + 1;
            let what = || {
                let wanted = type_name(&kind.kind);
                format!("holds a value of type {has} that is no {wanted}")
            };
            if self.misfits.on_error == OnError::Fail {
                let place = format_args!("row {number}, column `{name}`");
                return Err(self.misfits.error(format_args!("{place} {}", what())));
            }
            self.misfits.note(number, Some(name), what);
            match self.misfits.on_error {
                OnError::Fail => {}
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
    bytes: Vec<u8>,
    /// Bytes that are used up.
    done: usize,
    /// Bytes that the message has which comes next, as far as that is known.
    wanted: usize,
    begun: bool,
    is_file: bool,
    ended: bool,
    /// Whether the last message is the mark of an end.
    is_marked: bool,
    /// The last bytes so far, of which a file ends with its magic.
    tail: Vec<u8>,
    /// The memory of a large message.
    reserved: Option<MemoryReservation>,
}

impl ArrowDecoder {
    pub(crate) fn new(adapter: Adapter) -> Self {
        Self {
            reserved: None,
            adapter,
            decoder: StreamDecoder::new(),
            bytes: Vec::new(),
            done: 0,
            wanted: 0,
            begun: false,
            is_file: false,
            ended: false,
            is_marked: false,
            tail: Vec::new(),
        }
    }

    /// Takes the memory of large messages out of a pool.
    pub(crate) fn with_pool(mut self, pool: &Arc<dyn MemoryPool>) -> Self {
        self.reserved = Some(MemoryConsumer::new("messages of Arrow").register(pool));
        self
    }

    fn reserve(&self, bytes: usize) -> Result<(), Error> {
        let Some(reserved) = &self.reserved else {
            return Ok(());
        };
        let more = bytes.saturating_sub(FREE_MESSAGE_BYTES);
        reserved.try_resize(more).map_err(|_full| {
            let file = &self.adapter.misfits.file;
            let message = format!(
                "{file}: reading one batch of its rows takes {} MiB, which is more memory than is left",
                bytes >> 20
            );
            Error::new(ErrorKind::MemoryLimit, message)
        })
    }

    /// The columns that the first message declares; `None` when it is not complete.
    pub(crate) fn schema(&mut self, bytes: &[u8]) -> Result<Option<SchemaRef>, Error> {
        self.bytes.extend_from_slice(bytes);
        if !self.begin()? {
            return Ok(None);
        }
        let Some(end) = self.message_end()? else {
            return Ok(None);
        };
        let start = self.message_start(&self.bytes[self.done..]);
        let message = root_as_message(&self.bytes[self.done + start..self.done + end]);
        let schema = message.ok().and_then(|message| message.header_as_schema());
        let schema = schema.ok_or_else(|| self.invalid())?;
        // It checks what it reads, but a crafted file must not end the process where it does not.
        catch_unwind(AssertUnwindSafe(|| fb_to_schema(schema)))
            .map(|schema| Some(Arc::new(schema)))
            .map_err(|_panicked| self.invalid())
    }

    fn invalid(&self) -> Error {
        let what = "is not valid Arrow IPC, or is cut off";
        self.adapter.misfits.error(what)
    }

    /// Passes over the beginning of a file; whether it is complete.
    fn begin(&mut self) -> Result<bool, Error> {
        if self.begun {
            return Ok(true);
        }
        if self.bytes.len() < ARROW_FILE_MAGIC.len() {
            return Ok(false);
        }
        self.is_file = self.bytes.starts_with(ARROW_FILE_MAGIC);
        if self.is_file {
            // Zeros follow, up to a boundary that writers choose.
            let after = &self.bytes[ARROW_FILE_MAGIC.len()..];
            match after.iter().position(|byte| *byte != 0) {
                Some(zeros) => self.done = ARROW_FILE_MAGIC.len() + zeros,
                None if self.bytes.len() < 1024 => return Ok(false),
                None => return Err(self.invalid()),
            }
        }
        self.begun = true;
        Ok(true)
    }

    /// Where the description of a message begins: its length comes first, in newer files behind a mark.
    fn message_start(&self, bytes: &[u8]) -> usize {
        if bytes.starts_with(&[0xff; 4]) { 8 } else { 4 }
    }

    /// The end of the next message, when it is complete.
    fn message_end(&mut self) -> Result<Option<usize>, Error> {
        let bytes = &self.bytes[self.done..];
        if bytes.len() < self.wanted.max(4) {
            return Ok(None);
        }
        let start = self.message_start(bytes);
        let Some([a, b, c, d]) = bytes.get(start - 4..start) else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        if length == 0 {
            return Ok(Some(start));
        }
        if length > LONGEST_DESCRIPTION_BYTES {
            return Err(self.invalid());
        }
        let Some(description) = bytes.get(start..start + length) else {
            self.wanted = start + length;
            return Ok(None);
        };
        let message = root_as_message(description).map_err(|_invalid| self.invalid())?;
        let body = usize::try_from(message.bodyLength()).map_err(|_negative| self.invalid())?;
        if body > LONGEST_MESSAGE_BYTES {
            return Err(self.too_large());
        }
        let end = start + length + body;
        let Some(body) = bytes.get(start + length..end) else {
            self.reserve(end)?;
            self.wanted = end;
            return Ok(None);
        };
        let unpacked = unpacked_bytes(&message, body).ok_or_else(|| self.invalid())?;
        if unpacked > LONGEST_MESSAGE_BYTES as u64 {
            return Err(self.too_large());
        }
        self.reserve(end + usize::try_from(unpacked).unwrap_or(usize::MAX))?;
        self.wanted = 0;
        Ok(Some(end))
    }

    fn too_large(&self) -> Error {
        let what = "holds a batch of rows that is larger than 128 MiB: write smaller batches";
        self.adapter.misfits.error(what)
    }

    /// Decodes the next message.
    fn message(&mut self, end: usize) -> Result<Option<RecordBatch>, Error> {
        // A large message is not held twice: what is behind it is moved instead.
        let message = if end > self.bytes.len() / 2 {
            let behind = self.bytes.split_off(self.done + end);
            let message = std::mem::replace(&mut self.bytes, behind);
            Buffer::from_vec(message).slice(std::mem::take(&mut self.done))
        } else {
            let message = self.bytes[self.done..self.done + end].to_vec();
            self.done += end;
            Buffer::from_vec(message)
        };
        let mut buffer = message;
        let mut found = None;
        while !buffer.is_empty() {
            let decoder = &mut self.decoder;
            // It checks what it reads, but a crafted file must not end the process where it does not.
            let decoded = catch_unwind(AssertUnwindSafe(|| decoder.decode(&mut buffer)));
            match decoded {
                Ok(Ok(batch)) => found = found.or(batch),
                Ok(Err(_)) | Err(_) => return Err(self.invalid()),
            }
        }
        found.map(|batch| self.adapter.adapt(&batch)).transpose()
    }
}

/// Bytes that the buffers of a message have in memory; `None` when they cannot be as they say.
fn unpacked_bytes(message: &Message<'_>, body: &[u8]) -> Option<u64> {
    let batch = match message.header_as_dictionary_batch() {
        Some(dictionary) => dictionary.data(),
        None => message.header_as_record_batch(),
    };
    let Some(batch) = batch else {
        return Some(0);
    };
    // Columns without a byte have rows as well, but not more than somebody meant.
    let rows = u64::try_from(batch.length()).ok()?;
    if rows > 8 * body.len() as u64 + MOST_EMPTY_ROWS {
        return None;
    }
    if batch.compression().is_none() {
        return Some(body.len() as u64);
    }
    let mut all = 0_u64;
    for buffer in batch.buffers().into_iter().flatten() {
        let start = usize::try_from(buffer.offset()).ok()?;
        let length = usize::try_from(buffer.length()).ok()?;
        let Some(prefix) = body.get(start..)?.first_chunk().filter(|_| length >= 8) else {
            continue;
        };
        // -1 stands for a buffer that is not compressed.
        let unpacked = u64::try_from(i64::from_le_bytes(*prefix)).unwrap_or(length as u64);
        all = all.saturating_add(unpacked);
    }
    Some(all)
}

impl Decode for ArrowDecoder {
    fn push(&mut self, bytes: &[u8], _out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        self.bytes.drain(..self.done);
        self.done = 0;
        let last = bytes.len().saturating_sub(ARROW_FILE_MAGIC.len());
        self.tail.extend_from_slice(&bytes[last..]);
        let before = self.tail.len().saturating_sub(ARROW_FILE_MAGIC.len());
        self.tail.drain(..before);
        if !self.ended {
            self.bytes.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn more(&mut self, out: &mut Vec<RecordBatch>) -> Result<bool, Error> {
        while !self.ended && self.begin()? {
            let end = match self.message_end() {
                Ok(Some(end)) => end,
                Ok(None) => return Ok(false),
                // What follows the last message in a file is its table of contents.
                Err(_) if self.is_file && self.at_end() => {
                    self.ended = true;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            };
            self.is_marked = end <= 8;
            let batch = self.message(end)?;
            self.ended = self.is_marked && self.is_file;
            if let Some(batch) = batch {
                out.push(batch);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn finish(&mut self, _out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        let whole = self.ended || self.done == self.bytes.len() && self.at_end();
        if !whole {
            return Err(self.invalid());
        }
        let misfits = &self.adapter.misfits;
        if self.is_file && self.tail != ARROW_FILE_MAGIC {
            return Err(misfits.error(
                "does not end as an Arrow file does: it is cut off, or other bytes are behind it",
            ));
        }
        if !self.is_file && !self.is_marked {
            return Err(misfits.error("has no mark of its end, so that it may be cut off: writers of Arrow streams put one when they are closed"));
        }
        Ok(())
    }
}

impl ArrowDecoder {
    /// Whether a message has ended, and the first has been there.
    fn at_end(&mut self) -> bool {
        self.decoder.finish().is_ok() && self.decoder.schema().is_some()
    }
}

/// Reads Avro object container files.
pub(crate) struct AvroDecoder {
    adapter: Adapter,
    batch_rows: usize,
    header: Option<AvroHeader>,
    /// Bytes that the header is looked for in next.
    enough: usize,
    bytes: Vec<u8>,
    last: bool,
    blocks: Option<Reader<Cursor<Vec<u8>>>>,
    /// Rows that those have which are still to come.
    rows: i64,
}

/// What an Avro file begins with.
#[derive(Debug)]
struct AvroHeader {
    /// As of a file that is not compressed.
    bytes: Vec<u8>,
    codec: AvroCodec,
    columns: SchemaRef,
}

/// How the blocks of an Avro file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AvroCodec {
    Null,
    Deflate,
    Snappy,
    Other(Compression),
}

impl AvroDecoder {
    pub(crate) fn new(adapter: Adapter) -> Self {
        Self {
            batch_rows: adapter.asked.batch_rows,
            adapter,
            header: None,
            enough: 0,
            bytes: Vec::new(),
            last: false,
            blocks: None,
            rows: 0,
        }
    }

    fn invalid(&self) -> Error {
        self.adapter
            .misfits
            .error("is not valid Avro, or is cut off")
    }

    /// The columns that the header declares; `None` when it is not complete.
    pub(crate) fn schema(&mut self, bytes: &[u8]) -> Result<Option<SchemaRef>, Error> {
        self.bytes.extend_from_slice(bytes);
        self.header()?;
        let columns = self.header.as_ref().map(|header| &header.columns);
        Ok(columns.map(Arc::clone))
    }

    /// Reads the header when it is complete.
    fn header(&mut self) -> Result<(), Error> {
        if self.header.is_some() || self.bytes.len() < self.enough && !self.last {
            return Ok(());
        }
        let (end, entries) = match header_entries(&self.bytes) {
            Ok((end, entries)) if end <= self.bytes.len() => (end, entries),
            Ok(_) | Err(Framing::More)
                if !self.last && self.bytes.len() <= LONGEST_DESCRIPTION_BYTES =>
            {
                self.enough = self.bytes.len() * 2;
                return Ok(());
            }
            _ => return Err(self.invalid()),
        };
        let value = |key: &[u8]| {
            let mut entries = entries.iter().rev();
            let (_, value) = entries.find(|(name, _)| self.bytes.get(name.clone()) == Some(key))?;
            self.bytes.get(value.clone())
        };
        let codec = match value(b"avro.codec") {
            None | Some(b"null") => AvroCodec::Null,
            Some(b"deflate") => AvroCodec::Deflate,
            Some(b"snappy") => AvroCodec::Snappy,
            Some(b"zstandard") => AvroCodec::Other(Compression::Zstd),
            Some(b"bzip2") => AvroCodec::Other(Compression::Bzip2),
            Some(b"xz") => AvroCodec::Other(Compression::Xz),
            Some(other) => {
                let name: String = String::from_utf8_lossy(other).chars().take(20).collect();
                return Err(self.adapter.misfits.error(format_args!(
                    "is Avro with the codec `{}`, which cannot be read",
                    name.escape_debug()
                )));
            }
        };
        let schema = value(b"avro.schema").ok_or_else(|| self.invalid())?;
        let mut header = b"Obj\x01".to_vec();
        put_long(1, &mut header);
        for text in [&b"avro.schema"[..], schema] {
            put_long(text.len() as i64, &mut header);
            header.extend_from_slice(text);
        }
        put_long(0, &mut header);
        header.extend_from_slice(&self.bytes[end - SYNC_BYTES..end]);
        let reader = catch_unwind(AssertUnwindSafe(|| {
            ReaderBuilder::new().build(Cursor::new(header.clone()))
        }));
        let Ok(Ok(reader)) = reader else {
            return Err(self.invalid());
        };
        let columns = reader.schema();
        let mut kinds = columns.fields().iter().map(|field| field.data_type());
        if kinds.any(has_empty_items) {
            return Err(self
                .adapter
                .misfits
                .error("has arrays of values without content"));
        }
        self.batch_rows = self
            .batch_rows
            .min(chunk::most_rows(columns.flattened_fields().len()));
        self.bytes.drain(..end);
        self.header = Some(AvroHeader {
            bytes: header,
            codec,
            columns,
        });
        Ok(())
    }

    /// Makes a reader of the next blocks; whether there are any that are complete.
    fn next_blocks(&mut self) -> Result<bool, Error> {
        self.header()?;
        let Some(header) = &self.header else {
            return if self.last {
                Err(self.invalid())
            } else {
                Ok(false)
            };
        };
        if self.bytes.len() < AVRO_PIECE_BYTES && !self.last {
            return Ok(false);
        }
        let sync = &header.bytes[header.bytes.len() - SYNC_BYTES..];
        let mut piece = header.bytes.clone();
        let mut done = 0;
        while done < self.bytes.len() && piece.len() < AVRO_PIECE_BYTES {
            let rest = &self.bytes[done..];
            let (rows, data) = match block(rest) {
                Ok(found) => found,
                Err(Framing::More) if !self.last => break,
                Err(_) => return Err(self.invalid()),
            };
            let end = data.end + SYNC_BYTES;
            if rest.get(data.end..end) != Some(sync) {
                return Err(self.invalid());
            }
            let plain = header.codec.unpacked(&rest[data]);
            let plain = plain.ok_or_else(|| {
                self.adapter.misfits.error(
                    "is not valid Avro, or has a block that is larger than 64 MiB when it is decompressed",
                )
            })?;
            // Rows without a byte are rows as well, but not more than somebody meant.
            if u64::try_from(rows).is_ok_and(|rows| rows > plain.len() as u64 + MOST_EMPTY_ROWS)
                || rows < 0
            {
                return Err(self.invalid());
            }
            self.rows += rows;
            put_long(rows, &mut piece);
            put_long(plain.len() as i64, &mut piece);
            piece.extend_from_slice(&plain);
            piece.extend_from_slice(sync);
            done += end;
        }
        if done == 0 {
            return Ok(false);
        }
        self.bytes.drain(..done);
        let rows = self.batch_rows;
        let reader = catch_unwind(AssertUnwindSafe(|| {
            ReaderBuilder::new()
                .with_batch_size(rows)
                .build(Cursor::new(piece))
        }));
        let Ok(Ok(reader)) = reader else {
            return Err(self.invalid());
        };
        self.blocks = Some(reader);
        Ok(true)
    }
}

impl AvroCodec {
    /// The plain bytes of a block; `None` when it is damaged or too large.
    fn unpacked(self, block: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Null => Some(block.into()),
            Self::Deflate => inflate(block, LONGEST_RECORD_BYTES).map(Cow::Owned),
            Self::Snappy => {
                let (block, sum) = block.split_last_chunk()?;
                let length = snap::raw::decompress_len(block).ok()?;
                if length > LONGEST_RECORD_BYTES {
                    return None;
                }
                let plain = snap::raw::Decoder::new().decompress_vec(block).ok()?;
                let found = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, &plain);
                (found == u64::from(u32::from_be_bytes(*sum))).then_some(Cow::Owned(plain))
            }
            Self::Other(compression) => {
                let bytes = Bytes::copy_from_slice(block);
                let bytes = futures::stream::once(async { Ok(bytes) }).boxed();
                let mut pieces = decompress(bytes, compression);
                let mut plain = Vec::new();
                futures::executor::block_on(async {
                    while let Some(piece) = pieces.next().await {
                        plain.extend_from_slice(&piece.ok()?);
                        if plain.len() > LONGEST_RECORD_BYTES {
                            return None;
                        }
                    }
                    Some(())
                })?;
                Some(Cow::Owned(plain))
            }
        }
    }
}

/// Whether the type has lists whose items take no byte: a few bytes could stand for any number of them.
fn has_empty_items(kind: &DataType) -> bool {
    fn is_empty(kind: &DataType) -> bool {
        match kind {
            DataType::Null | DataType::FixedSizeBinary(0) => true,
            DataType::Struct(fields) => fields.iter().all(|field| is_empty(field.data_type())),
            _ => false,
        }
    }
    match kind {
        DataType::List(item) | DataType::LargeList(item) => {
            // A value that may be null takes a byte that says whether it is, unless it is nothing else.
            let kind = item.data_type();
            let empty = *kind == DataType::Null || !item.is_nullable() && is_empty(kind);
            empty || has_empty_items(kind)
        }
        DataType::Map(entries, _) => has_empty_items(entries.data_type()),
        DataType::Struct(fields) => fields
            .iter()
            .any(|field| has_empty_items(field.data_type())),
        DataType::Union(fields, _) => fields
            .iter()
            .any(|(_, field)| has_empty_items(field.data_type())),
        _ => false,
    }
}

impl Decode for AvroDecoder {
    fn push(&mut self, bytes: &[u8], _out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn more(&mut self, out: &mut Vec<RecordBatch>) -> Result<bool, Error> {
        loop {
            if let Some(blocks) = &mut self.blocks {
                // It checks what it reads, but a crafted file must not end the process where it does not.
                match catch_unwind(AssertUnwindSafe(|| blocks.next())) {
                    Ok(Some(Ok(batch))) => {
                        self.rows -= batch.num_rows() as i64;
                        out.push(self.adapter.adapt(&batch)?);
                        return Ok(true);
                    }
                    Ok(None) if self.rows == 0 => self.blocks = None,
                    Ok(Some(Err(_)) | None) | Err(_) => return Err(self.invalid()),
                }
            }
            if !self.next_blocks()? {
                return Ok(false);
            }
        }
    }

    fn finish(&mut self, _out: &mut Vec<RecordBatch>) -> Result<(), Error> {
        self.last = true;
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
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

fn put_long(value: i64, out: &mut Vec<u8>) {
    let mut left = (value << 1 ^ value >> 63).cast_unsigned();
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).unwrap_or_default() | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).unwrap_or_default());
}

fn length(bytes: &[u8]) -> Result<(usize, usize), Framing> {
    let (value, taken) = long(bytes)?;
    match usize::try_from(value) {
        Ok(value) if value <= LONGEST_RECORD_BYTES => Ok((value, taken)),
        _ => Err(Framing::Wrong),
    }
}

/// Rows of a block and where their bytes are; after them comes the sync marker.
fn block(bytes: &[u8]) -> Result<(i64, Range<usize>), Framing> {
    let (rows, first) = long(bytes)?;
    let (size, second) = length(&bytes[first..])?;
    let start = first + second;
    if start + size + SYNC_BYTES > bytes.len() {
        return Err(Framing::More);
    }
    Ok((rows, start..start + size))
}

/// Where the keys and values of a header are.
type Entries = Vec<(Range<usize>, Range<usize>)>;

/// Magic, a map of metadata in blocks of entries, and 16 bytes of sync marker: the end of it, and the entries.
fn header_entries(bytes: &[u8]) -> Result<(usize, Entries), Framing> {
    if bytes.len() >= 4 && !bytes.starts_with(b"Obj\x01") {
        return Err(Framing::Wrong);
    }
    let mut at = 4;
    let mut found = Vec::new();
    let rest = |at: usize| bytes.get(at..).ok_or(Framing::More);
    loop {
        let (mut entries, taken) = long(rest(at)?)?;
        at += taken;
        if entries == 0 {
            return Ok((at + SYNC_BYTES, found));
        }
        if entries < 0 {
            entries = entries.saturating_neg();
            at += length(rest(at)?)?.1;
        }
        for _ in 0..entries {
            let mut text = || -> Result<Range<usize>, Framing> {
                let (size, taken) = length(rest(at)?)?;
                let start = at + taken;
                at = start + size;
                Ok(start..at)
            };
            found.push((text()?, text()?));
            if found.len() > MOST_ENTRIES {
                return Err(Framing::Wrong);
            }
        }
    }
}
