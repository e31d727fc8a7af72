//! The rows of one try in the format that the caller wants, in memory or in a file of the caller's.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    sync::Arc,
};

use flowlake_transform::{
    RowEncoder, RowFormat,
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    json::JsonRows,
};
use serde_json::value::RawValue;

use crate::{ActionError, ErrorCode, RowOutput};

/// Rows that are being encoded.
pub(super) enum Rows {
    Json(JsonRows),
    Encoded {
        encoder: Box<RowEncoder>,
        kept: Vec<u8>,
        file: Option<Arc<File>>,
    },
}

/// All rows of an answer; one of the two is empty.
#[derive(Debug, Clone)]
pub(super) struct EncodedRows {
    pub(super) data: Box<RawValue>,
    pub(super) encoded: Vec<u8>,
}

impl Rows {
    /// Begins anew: what an earlier try wrote to the file is gone.
    pub(super) fn begin(output: &RowOutput, schema: &SchemaRef) -> Result<Self, ActionError> {
        if output.format == RowFormat::Json {
            return Ok(Self::Json(JsonRows::new()));
        }
        if let Some(mut file) = output.file.as_deref() {
            file.set_len(0)
                .and_then(|()| file.seek(SeekFrom::Start(0)))
                .map_err(unwritable)?;
        }
        Ok(Self::Encoded {
            encoder: Box::new(RowEncoder::try_new(output.format, schema)?),
            kept: Vec::new(),
            file: output.file.clone(),
        })
    }

    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<(), ActionError> {
        match self {
            Self::Json(rows) => rows.push(batch)?,
            Self::Encoded {
                encoder,
                kept,
                file,
            } => {
                encoder.push(batch)?;
                give(&encoder.take(), kept, file.as_deref())?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<EncodedRows, ActionError> {
        Ok(match self {
            Self::Json(rows) => EncodedRows {
                data: rows.finish()?,
                encoded: Vec::new(),
            },
            Self::Encoded {
                encoder,
                mut kept,
                file,
            } => {
                give(&encoder.finish()?, &mut kept, file.as_deref())?;
                EncodedRows {
                    data: JsonRows::new().finish()?,
                    encoded: kept,
                }
            }
        })
    }
}

/// A write to a local file is short, and what it waits for is the disk that spilled rows go to as well.
fn give(bytes: &[u8], kept: &mut Vec<u8>, file: Option<&File>) -> Result<(), ActionError> {
    match file {
        Some(mut file) => file.write_all(bytes).map_err(unwritable),
        None => {
            kept.extend_from_slice(bytes);
            Ok(())
        }
    }
}

fn unwritable(error: io::Error) -> ActionError {
    ActionError::new(
        ErrorCode::OutputUnwritable,
        "the rows could not be written to their file",
        "Free space, or choose another place.",
    )
    .with_source(error)
}
