//! Rows in the format that the caller wants, in memory or in a file of the caller's, and what reading them took.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    sync::Arc,
};

use flowlake_cost_audit::Cost;
use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::{
    RowEncoder, RowFormat, RunStats, Step, Summariser, Summary,
    arrow::{
        array::RecordBatch,
        datatypes::{Schema, SchemaRef},
    },
    json::JsonRows,
};
use serde_json::value::RawValue;

use super::inspected::Inspected;
use crate::{
    ActionError, AnswerObject, CacheServed, ErrorCode, HotServed, RowOutput, versions::Tag,
};

/// What was read for an attempt.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) rows: Rows,
    /// What the read was thought to cost.
    pub(crate) estimate: Option<Cost>,
    /// The objects that were answered from.
    pub(crate) metadata: Vec<AnswerObject>,
    /// How old the tables in memory were.
    pub(crate) hot: Option<HotServed>,
    /// How it was served, where the action keeps answers.
    pub(crate) cache: Option<CacheServed>,
    /// What the caller may name the answer by.
    pub(crate) tag: Option<Tag>,
    /// Whether the caller has it already.
    pub(crate) not_modified: bool,
}

/// The rows of an answer; of `data` and `encoded` one is empty.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) data: Box<RawValue>,
    pub(crate) encoded: Vec<u8>,
    pub(crate) schema: SchemaRef,
    pub(crate) stats: RunStats,
    /// What each step of the query did; empty where nobody asked, and for rows from memory, which come through no steps.
    pub(crate) steps: Vec<Step>,
    /// The report about the files, if the request asked for one.
    pub(crate) inspected: Option<Box<Inspected>>,
}

/// Encodes the rows of one try as they come; only the encoded ones are kept.
pub(super) struct RowWriter {
    schema: SchemaRef,
    encoding: Encoding,
    /// Takes all rows of an inspection, of which only the first are encoded.
    summary: Option<Summariser>,
    /// Rows that are still encoded.
    left: usize,
}

enum Encoding {
    Json(JsonRows),
    Encoded {
        encoder: Box<RowEncoder>,
        kept: Vec<u8>,
        file: Option<Arc<File>>,
    },
}

impl Answered {
    pub(super) fn cold(
        rows: Rows,
        objects: Vec<(String, Arc<ObjectMetadata>)>,
        estimate: Option<Cost>,
    ) -> Self {
        Self {
            rows,
            estimate,
            metadata: described(objects),
            hot: None,
            cache: None,
            tag: None,
            not_modified: false,
        }
    }

    /// What the caller has already.
    pub(super) fn not_modified(
        objects: Vec<(String, Arc<ObjectMetadata>)>,
        nothing: Cost,
    ) -> Result<Self, ActionError> {
        let rows = Rows {
            data: JsonRows::new().finish()?,
            encoded: Vec::new(),
            schema: Arc::new(Schema::empty()),
            stats: RunStats::default(),
            steps: Vec::new(),
            inspected: None,
        };
        Ok(Self {
            not_modified: true,
            ..Self::cold(rows, objects, Some(nothing))
        })
    }

    pub(super) fn with_tag(self, tag: Option<Tag>) -> Self {
        Self { tag, ..self }
    }

    pub(super) fn from_memory(
        rows: Rows,
        objects: Vec<(String, Arc<ObjectMetadata>)>,
        estimate: Option<Cost>,
        hot: HotServed,
    ) -> Self {
        Self {
            hot: Some(hot),
            ..Self::cold(rows, objects, estimate)
        }
    }
}

fn described(objects: Vec<(String, Arc<ObjectMetadata>)>) -> Vec<AnswerObject> {
    let objects = objects.into_iter();
    let objects = objects.map(|(bucket, object)| AnswerObject { bucket, object });
    objects.collect()
}

impl RowWriter {
    /// Begins with no rows: what an earlier try wrote to the file is gone.
    pub(super) fn begin(output: &RowOutput, schema: &SchemaRef) -> Result<Self, ActionError> {
        Ok(Self {
            schema: Arc::clone(schema),
            encoding: Encoding::begin(output, schema)?,
            summary: output.inspect.map(|_| Summariser::new(schema)),
            left: output.inspect.unwrap_or(usize::MAX),
        })
    }

    pub(super) fn push(&mut self, batch: &RecordBatch) -> Result<(), ActionError> {
        let Some(summary) = &mut self.summary else {
            return self.encoding.push(batch);
        };
        summary.push(batch)?;
        let first = self.left.min(batch.num_rows());
        self.left -= first;
        self.encoding.push(&batch.slice(0, first))
    }

    /// The summary of an inspection.
    pub(super) fn take_summary(&mut self) -> Result<Option<Summary>, ActionError> {
        let summary = self.summary.take().map(Summariser::finish);
        Ok(summary.transpose()?)
    }

    pub(super) fn finish(self, stats: RunStats, steps: Vec<Step>) -> Result<Rows, ActionError> {
        let (data, encoded) = self.encoding.finish()?;
        Ok(Rows {
            data,
            encoded,
            schema: self.schema,
            stats,
            steps,
            inspected: None,
        })
    }
}

impl Encoding {
    fn begin(output: &RowOutput, schema: &SchemaRef) -> Result<Self, ActionError> {
        if output.format == RowFormat::Json && output.file.is_none() {
            return Ok(Self::Json(JsonRows::of(output.reader)));
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

    fn push(&mut self, batch: &RecordBatch) -> Result<(), ActionError> {
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

    fn finish(self) -> Result<(Box<RawValue>, Vec<u8>), ActionError> {
        match self {
            Self::Json(rows) => Ok((rows.finish()?, Vec::new())),
            Self::Encoded {
                encoder,
                mut kept,
                file,
            } => {
                give(&encoder.finish()?, &mut kept, file.as_deref())?;
                Ok((JsonRows::new().finish()?, kept))
            }
        }
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
