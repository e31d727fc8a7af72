//! A file's text as it comes, and the reading of files that only one reader can go through.

use std::io;

use bytes::Bytes;
use datafusion::{
    arrow::array::RecordBatch,
    common::{DataFusionError, runtime::SpawnedTask},
};
use futures::{StreamExt, stream};
use tokio::{runtime::Handle, sync::mpsc};

use super::{
    inspect::{self, Facts},
    opener::{Rows, external},
};
use crate::{
    Compression, Error, ErrorKind,
    formats::{
        Decode,
        bytes::{ByteStream, Transcoder},
        misfit::Misfits,
    },
};

/// Bytes that are taken at a time, however many come.
pub(crate) const PIECE_BYTES: usize = 256 << 10;
/// Batches that are decoded before they are asked for.
const BATCHES_AHEAD: usize = 2;

type Sender = mpsc::Sender<datafusion::common::Result<RecordBatch>>;

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
            Err(error) => external(error.downcast::<Error>().unwrap_or_else(|error| {
                self.misfits
                    .error(inspect::broken(self.compression, &error))
            })),
        }
    }
}

/// A file that one reader goes through, in a thread of its own: what it decodes at a time may take long, and is not to keep a
/// worker from its other tasks.
pub(crate) struct Reading {
    pub(crate) text: Text,
    pub(crate) decoder: Box<dyn Decode>,
    /// Bytes that are decoded at a time.
    pub(crate) piece_bytes: usize,
}

impl Reading {
    pub(crate) fn rows(self) -> Rows {
        let (rows, received) = mpsc::channel(BATCHES_AHEAD);
        let runtime = Handle::current();
        let task = SpawnedTask::spawn_blocking(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = self.send_all(&rows) => {}
                    () = rows.closed() => {}
                }
            });
        });
        stream::unfold(Some((received, task)), |state| async {
            let (mut received, task) = state?;
            if let Some(rows) = received.recv().await {
                return Some((rows, Some((received, task))));
            }
            // A decoder that broke down must not look like the end of the file.
            task.join().await.err()?;
            let error = Error::new(ErrorKind::Internal, "a file could not be decoded");
            Some((Err(external(error)), None))
        })
        .boxed()
    }

    async fn send_all(mut self, rows: &Sender) {
        if let Err(Some(error)) = self.send_rows(rows).await {
            rows.send(Err(error)).await.ok();
        }
    }

    /// Sends rows until the file ends; an error without a cause when nobody wants more of them.
    async fn send_rows(&mut self, rows: &Sender) -> Result<(), Option<DataFusionError>> {
        loop {
            let text = self.text.next().await.map_err(Some)?;
            for piece in text.chunks(self.piece_bytes) {
                let push = |decoder: &mut dyn Decode, out: &mut Vec<_>| decoder.push(piece, out);
                self.decode(rows, push).await?;
            }
            if self.text.ended {
                let finish = |decoder: &mut dyn Decode, out: &mut Vec<_>| decoder.finish(out);
                return self.decode(rows, finish).await;
            }
        }
    }

    async fn decode(
        &mut self,
        rows: &Sender,
        step: impl FnOnce(&mut dyn Decode, &mut Vec<RecordBatch>) -> Result<(), Error>,
    ) -> Result<(), Option<DataFusionError>> {
        let mut out = Vec::new();
        let mut more = step(self.decoder.as_mut(), &mut out).map(|()| true);
        loop {
            // The rows before an error come first.
            for batch in out.drain(..) {
                rows.send(Ok(batch)).await.map_err(|_closed| None)?;
            }
            if !more.map_err(|error| Some(external(error)))? {
                return Ok(());
            }
            more = self.decoder.more(&mut out);
        }
    }
}
