//! A file's text as it comes, and the reading of files that only one reader can go through.

use std::{collections::VecDeque, io};

use bytes::Bytes;
use datafusion::{arrow::array::RecordBatch, common::DataFusionError};
use futures::StreamExt;

use super::{
    inspect::{self, Facts},
    opener::{Rows, external},
};
use crate::{
    Compression,
    formats::{
        Decode,
        bytes::{ByteStream, Transcoder},
        misfit::Misfits,
    },
};

/// Bytes that are taken at a time, however many come.
const PIECE_BYTES: usize = 256 << 10;

/// The plain text of a file; for binary formats, its plain bytes.
pub(crate) struct Text {
    bytes: ByteStream,
    pending: Bytes,
    transcoder: Option<Transcoder>,
    compression: Compression,
    misfits: Misfits,
    pub(crate) ended: bool,
}

impl Text {
    pub(crate) fn new(bytes: ByteStream, facts: &Facts, misfits: Misfits) -> Self {
        Self {
            bytes,
            pending: Bytes::new(),
            transcoder: facts.is_text().then(|| Transcoder::new(facts.encoding)),
            compression: facts.compression,
            misfits,
            ended: false,
        }
    }

    /// The next text; none when it has ended. Nothing is lost when the future is dropped before it is done.
    pub(crate) async fn next(&mut self) -> Result<Bytes, DataFusionError> {
        if self.pending.is_empty() {
            match self.bytes.next().await {
                Some(Ok(bytes)) => self.pending = bytes,
                Some(Err(error)) => return Err(self.failed(error)),
                None => self.ended = true,
            }
        }
        let piece = self.pending.split_to(self.pending.len().min(PIECE_BYTES));
        let Some(transcoder) = &mut self.transcoder else {
            return Ok(piece);
        };
        let encoding = transcoder.encoding().name();
        transcoder.push(piece, self.ended).ok_or_else(|| {
            let not_valid = format_args!("is not valid {encoding}: set `encoding`");
            external(self.misfits.error(not_valid))
        })
    }

    fn failed(&self, error: io::Error) -> DataFusionError {
        match error.downcast::<object_store::Error>() {
            Ok(store) => store.into(),
            Err(_) => external(self.misfits.error(inspect::broken(self.compression))),
        }
    }
}

/// A file that one reader goes through.
pub(crate) struct Reading {
    text: Text,
    decoder: Box<dyn Decode>,
    ready: VecDeque<RecordBatch>,
}

impl Reading {
    pub(crate) fn new(text: Text, decoder: Box<dyn Decode>) -> Self {
        Self {
            text,
            decoder,
            ready: VecDeque::new(),
        }
    }

    pub(crate) fn rows(self) -> Rows {
        futures::stream::try_unfold(self, Self::next).boxed()
    }

    async fn next(mut self) -> datafusion::common::Result<Option<(RecordBatch, Self)>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some((batch, self)));
            }
            if self.text.ended {
                return Ok(None);
            }
            let mut out = Vec::new();
            let text = self.text.next().await?;
            self.decoder.push(&text, &mut out).map_err(external)?;
            if self.text.ended {
                self.decoder.finish(&mut out).map_err(external)?;
            }
            self.ready.extend(out);
            // Decoding takes long enough for others to want their turn.
            tokio::task::consume_budget().await;
        }
    }
}
