//! Rows as JSON: columns in order, numbers digit by digit, nulls written, non-finite numbers as null.

use datafusion::arrow::{array::RecordBatch, json::writer::JsonArray};
use serde_json::value::RawValue;

use crate::{
    Error, ErrorKind,
    encode::{json, without_brackets},
};

/// Collects batches as one JSON array of objects.
///
/// Integers of 64 bits and decimals are written with all their digits, as JSON numbers; timestamps as ISO 8601, with their
/// offset where they have one; binary as hexadecimal.
#[derive(Debug, Default)]
pub struct JsonRows {
    text: Vec<u8>,
}

impl JsonRows {
    /// An empty array.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSql`] for a column of a type that JSON cannot hold.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let array = json::<JsonArray>(batch)?;
        let rows = without_brackets(&array);
        if !self.text.is_empty() {
            self.text.push(b',');
        }
        self.text.extend_from_slice(rows);
        Ok(())
    }

    /// The array.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the rows are not valid JSON, which would be a fault of the encoder.
    pub fn finish(self) -> Result<Box<RawValue>, Error> {
        let internal = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Internal, "the rows could not be encoded").with_source(error)
        };
        let rows = String::from_utf8(self.text).map_err(|error| internal(error.into()))?;
        RawValue::from_string(format!("[{rows}]")).map_err(|error| internal(error.into()))
    }
}
