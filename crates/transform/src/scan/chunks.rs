//! The reading of files whose text is decoded in chunks, side by side, and whose rows keep their order.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use datafusion::{
    arrow::array::RecordBatch,
    common::{DataFusionError, runtime::SpawnedTask},
};
use futures::StreamExt;

use super::{
    inspect::Facts,
    opener::{Rows, external},
    reading::Text,
};
use crate::{
    Error, ErrorKind,
    formats::{
        chunk::Asked,
        chunk_reader::{Attempt, Cut, Cutter, Decoding, Joiner, start_csv},
        json_chunks::JsonChunks,
        misfit::Misfits,
        sieve::Sieve,
    },
};

/// Bytes of a chunk: enough to make up for handing it over, few enough to stay in a core's cache.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// How a file is read.
pub(crate) struct Setting {
    pub(crate) asked: Asked,
    pub(crate) sieve: Arc<Sieve>,
    pub(crate) misfits: Misfits,
    pub(crate) at_a_time: usize,
    pub(crate) chunk_bytes: usize,
}

/// A file that is read in chunks.
pub(crate) struct ChunkReading {
    text: Text,
    facts: Arc<Facts>,
    setting: Setting,
    cutter: Cutter,
    started: Option<(Arc<Decoding>, Joiner)>,
    decoded: VecDeque<SpawnedTask<(Cut, Option<Attempt>)>>,
    ready: VecDeque<RecordBatch>,
    /// What keeps more text from coming; told after the rows before it.
    failed: Option<DataFusionError>,
    all_cut: bool,
    joined: bool,
}

impl ChunkReading {
    pub(crate) fn new(text: Text, facts: Arc<Facts>, setting: Setting) -> Self {
        Self {
            text,
            facts,
            cutter: Cutter::new(setting.chunk_bytes),
            setting,
            started: None,
            decoded: VecDeque::new(),
            ready: VecDeque::new(),
            failed: None,
            all_cut: false,
            joined: false,
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
            if self.joined {
                return Ok(None);
            }
            self.step().await?;
        }
    }

    /// Cuts one more chunk, or joins the one that was cut first.
    async fn step(&mut self) -> datafusion::common::Result<()> {
        let more = !self.all_cut && self.decoded.len() < self.setting.at_a_time;
        let Some(first) = self.decoded.front_mut() else {
            if self.all_cut {
                return self.finish();
            }
            let text = self.text.next().await;
            self.cut(text);
            return Ok(());
        };
        if !more {
            let first = first.await;
            return self.join(first);
        }
        tokio::select! {
            biased;
            text = self.text.next() => self.cut(text),
            first = first => self.join(first)?,
        }
        Ok(())
    }

    /// Sends the next chunk to be decoded, if there is one.
    fn cut(&mut self, text: Result<Bytes, DataFusionError>) {
        let started = text.and_then(|text| {
            self.cutter.text.extend_from_slice(&text);
            self.start().map_err(external)
        });
        if let Err(error) = started {
            self.failed = Some(error);
            self.all_cut = true;
            return;
        }
        let last = self.text.ended;
        self.all_cut = last;
        let Some((decoding, _)) = &self.started else {
            return;
        };
        if let Some(cut) = self.cutter.next(decoding.chunked.as_ref(), last) {
            let decoding = Arc::clone(decoding);
            self.decoded.push_back(SpawnedTask::spawn(async move {
                let attempt = decoding.attempt(&cut);
                (cut, attempt)
            }));
        }
    }

    /// Finds out where rows begin, once there is enough text to tell.
    fn start(&mut self) -> Result<(), Error> {
        if self.started.is_some() {
            return Ok(());
        }
        let Setting {
            asked,
            sieve,
            misfits,
            ..
        } = &self.setting;
        let (chunked, line): (Box<_>, _) = if self.facts.is_lines() {
            (Box::new(JsonChunks::new(asked.clone())) as _, 1)
        } else {
            let text = &self.cutter.text;
            let options = &self.facts.csv;
            let Some(started) = start_csv(asked, options, misfits, text, self.text.ended)? else {
                return Ok(());
            };
            self.cutter.text.drain(..started.skip);
            (Box::new(started.chunks) as _, started.line)
        };
        let decoding = Decoding::new(chunked, Arc::clone(sieve), misfits.clone());
        let decoding = Arc::new(decoding);
        self.started = Some((Arc::clone(&decoding), Joiner::new(decoding, line)));
        Ok(())
    }

    fn join(
        &mut self,
        decoded: Result<(Cut, Option<Attempt>), tokio::task::JoinError>,
    ) -> datafusion::common::Result<()> {
        self.decoded.pop_front();
        let (cut, attempt) = decoded.map_err(|_panicked| {
            external(Error::new(
                ErrorKind::Internal,
                "a part of a file could not be decoded",
            ))
        })?;
        let mut out = Vec::new();
        if let Some((_, joiner)) = &mut self.started {
            joiner.join(&cut, attempt, &mut out).map_err(external)?;
        }
        self.cutter.recycle(cut);
        self.ready.extend(out);
        Ok(())
    }

    fn finish(&mut self) -> datafusion::common::Result<()> {
        self.joined = true;
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let mut out = Vec::new();
        if let Some((_, joiner)) = &mut self.started {
            joiner.finish(&mut out).map_err(external)?;
        }
        self.ready.extend(out);
        Ok(())
    }
}
