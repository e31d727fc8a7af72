//! How files are written: from a stream of their bytes to batches of their columns.
//!
//! Bytes of an object pass through [`bytes`] (decompressed, decoded to UTF-8) into a [`Decode`], one per format. Nothing
//! here knows of stores or of the engine's plans; that is `scan`.

pub(crate) mod binary;
pub(crate) mod bytes;
pub(crate) mod cells;
pub(crate) mod chunk;
pub(crate) mod chunk_reader;
pub(crate) mod compare;
pub(crate) mod convert;
pub(crate) mod csv;
pub(crate) mod csv_chunks;
pub(crate) mod detect;
pub(crate) mod exact;
pub(crate) mod floats;
pub(crate) mod infer;
pub(crate) mod json;
pub(crate) mod json_check;
pub(crate) mod json_chunks;
mod json_fit;
pub(crate) mod json_flat;
pub(crate) mod json_grammar;
pub(crate) mod json_keys;
pub(crate) mod json_split;
pub(crate) mod known;
pub(crate) mod marks;
pub(crate) mod misfit;
pub(crate) mod records;
pub(crate) mod sieve;
pub(crate) mod values;

use datafusion::arrow::array::RecordBatch;

use crate::Error;

/// Longest record that is held in memory; a longer one is most likely a quote or bracket that was never closed.
pub(crate) const LONGEST_RECORD_BYTES: usize = 64 << 20;
/// Rows nested deeper than this are refused, so that nothing that reads them can be made to run out of stack.
pub(crate) const DEEPEST: usize = 128;
/// Bytes of text after which a batch is made, however few rows it has.
pub(crate) const BATCH_BYTES: usize = 4 << 20;

/// Turns the bytes of one file into batches.
pub(crate) trait Decode: Send {
    /// Takes the next bytes; batches that are complete go to `out`.
    ///
    /// # Errors
    /// [`crate::ErrorKind::MalformedData`], with the place.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<RecordBatch>) -> Result<(), Error>;

    /// Gives the next of the batches that formats have left to come whose text may take little room and its rows much;
    /// whether there may be more.
    ///
    /// # Errors
    /// As [`Self::push`].
    fn more(&mut self, _out: &mut Vec<RecordBatch>) -> Result<bool, Error> {
        Ok(false)
    }

    /// The file has ended; [`Self::more`] may give more batches.
    ///
    /// # Errors
    /// As [`Self::push`].
    fn finish(&mut self, out: &mut Vec<RecordBatch>) -> Result<(), Error>;
}
