//! The reading of files whose text is decoded in chunks, side by side, and whose rows keep their order.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use datafusion::{
    arrow::array::RecordBatch,
    common::{DataFusionError, runtime::SpawnedTask},
};
use futures::StreamExt;
use tokio::task::JoinError;

#[cfg(feature = "cluster")]
use super::part::{Part, PartEnd};
use super::{
    inspect::Facts,
    opener::{Rows, external},
    reading::Text,
};
use crate::{
    Error, ErrorKind,
    formats::{
        LONGEST_RECORD_BYTES,
        bytes::Transcoder,
        chunk::{Asked, Chunked, Space},
        chunk_reader::{Attempt, CsvStart, Cut, Cutter, Decoding, Joiner, Unread, last_lines},
        json_chunks::JsonChunks,
        misfit::Misfits,
        sieve::Sieve,
    },
};

/// Bytes of a chunk: enough to make up for handing it over, few enough to stay in a core's cache.
const CHUNK_BYTES: usize = 1 << 20;
/// Bytes of a chunk for each row of a batch: with batches of the default size, chunks are as large as they may be.
const BYTES_OF_ROW: usize = 128;

/// Bytes of a chunk: fewer where batches are smaller than they are by default.
pub(crate) fn chunk_bytes(batch_rows: usize) -> usize {
    CHUNK_BYTES.min(batch_rows.saturating_mul(BYTES_OF_ROW))
}

/// A chunk with what it was decoded to, or how that broke down.
type Decoded = Result<(Cut, Option<Attempt>), JoinError>;

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
    /// Text that may be of the lines behind the table.
    held: Vec<u8>,
    starting: Option<CsvStart>,
    started: Option<(Arc<Decoding>, Joiner)>,
    decoded: VecDeque<SpawnedTask<Decoded>>,
    /// The chunk before those, as long as one reader goes through it.
    unread: Option<Unread>,
    ready: VecDeque<RecordBatch>,
    /// What keeps more text from coming; told after the rows before it.
    failed: Option<DataFusionError>,
    all_cut: bool,
    joined: bool,
    /// Of a part of a file.
    #[cfg(feature = "cluster")]
    end: Option<PartEnd>,
}

impl Setting {
    fn decoding(&self, chunked: Box<dyn Chunked>, line: u64) -> (Arc<Decoding>, Joiner) {
        let decoding = Decoding::new(chunked, Arc::clone(&self.sieve), self.misfits.clone());
        let decoding = Arc::new(decoding);
        (Arc::clone(&decoding), Joiner::new(decoding, line))
    }
}

impl ChunkReading {
    pub(crate) fn new(text: Text, facts: Arc<Facts>, setting: Setting) -> Self {
        let Setting { asked, misfits, .. } = &setting;
        let (mut starting, mut started) = (None, None);
        if facts.is_lines() {
            started = Some(setting.decoding(Box::new(JsonChunks::new(asked.clone())), 1));
        } else {
            starting = Some(CsvStart::new(
                asked.clone(),
                facts.csv.clone(),
                misfits.clone(),
            ));
        }
        Self {
            text,
            facts,
            cutter: Cutter::new(setting.chunk_bytes),
            setting,
            held: Vec::new(),
            starting,
            started,
            decoded: VecDeque::new(),
            unread: None,
            ready: VecDeque::new(),
            failed: None,
            all_cut: false,
            joined: false,
            #[cfg(feature = "cluster")]
            end: None,
        }
    }

    /// The reading of a part of a file, whose lines are not counted from the file's first.
    #[cfg(feature = "cluster")]
    pub(crate) fn of_part(part: Part, setting: Setting) -> Self {
        let Part {
            facts,
            chunked,
            bytes,
            end,
        } = part;
        let text = Text::new(bytes, &facts, setting.misfits.clone());
        let started = setting.decoding(chunked, 1);
        let mut reading = Self::new(text, facts, setting);
        reading.starting = None;
        reading.started = Some(started);
        reading.end = end;
        reading
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
        if let Some(unread) = self.unread.take() {
            return self.read(unread).await;
        }
        let more = !self.all_cut && self.decoded.len() < self.setting.at_a_time;
        let Some(first) = self.decoded.front_mut() else {
            if self.all_cut {
                return self.finish().await;
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
            self.take(&text).map_err(external)?;
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
            let usual = cut.text.len() <= 2 * self.setting.chunk_bytes;
            self.decoded
                .push_back(SpawnedTask::spawn(decode(decoding, cut, usual)));
        }
    }

    /// Takes more text, but for the lines behind the table.
    fn take(&mut self, text: &[u8]) -> Result<(), Error> {
        let lines = self.facts.csv.footer_lines;
        if lines == 0 || self.facts.is_lines() {
            self.cutter.text.extend_from_slice(text);
            return Ok(());
        }
        self.held.extend_from_slice(text);
        let misfits = &self.setting.misfits;
        let Some(end) = last_lines(&self.held, lines) else {
            if self.text.ended {
                return Err(misfits.error(format_args!(
                    "has fewer lines than the {lines} of `footer_lines`"
                )));
            }
            return Ok(());
        };
        let table = self.held.drain(..end);
        self.cutter.text.extend(table);
        if self.held.len() > LONGEST_RECORD_BYTES {
            return Err(misfits.error("the lines of `footer_lines` are larger than 64 MiB"));
        }
        Ok(())
    }

    /// Finds out where rows begin, once there is enough text to tell.
    fn start(&mut self) -> Result<(), Error> {
        let Some(starting) = &mut self.starting else {
            return Ok(());
        };
        let Some(found) = starting.next(&self.cutter.text, self.text.ended)? else {
            return Ok(());
        };
        self.starting = None;
        self.cutter.text.drain(..found.skip);
        self.started = Some(self.setting.decoding(Box::new(found.chunks), found.line));
        Ok(())
    }

    fn join(&mut self, decoded: Result<Decoded, JoinError>) -> datafusion::common::Result<()> {
        self.decoded.pop_front();
        let (cut, attempt) = decoded.flatten().map_err(broken_down)?;
        let Some((_, joiner)) = &mut self.started else {
            return Ok(());
        };
        let mut out = Vec::new();
        match joiner.join(cut, attempt, &mut out) {
            Ok(cut) => self.cutter.recycle(cut),
            Err(unread) => self.unread = Some(unread),
        }
        self.ready.extend(out);
        Ok(())
    }

    /// Lets the one reader go on through a chunk.
    async fn read(&mut self, mut unread: Unread) -> datafusion::common::Result<()> {
        let Some((decoding, mut joiner)) = self.started.take() else {
            return Ok(());
        };
        let reading = SpawnedTask::spawn_blocking(move || {
            let mut out = Vec::new();
            let read = joiner.read(&mut unread, &mut out);
            (joiner, unread, out, read)
        });
        let (joiner, unread, out, read) = reading.await.map_err(broken_down)?;
        self.started = Some((decoding, joiner));
        self.ready.extend(out);
        if read.map_err(external)? {
            self.cutter.recycle(unread.cut);
        } else {
            self.unread = Some(unread);
        }
        Ok(())
    }

    async fn finish(&mut self) -> datafusion::common::Result<()> {
        self.joined = true;
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if let Some((_, mut joiner)) = self.started.take() {
            #[cfg(feature = "cluster")]
            if let Some(end) = self.end.take() {
                let between_records = joiner.is_between_records();
                return end.reached(between_records).map_err(external);
            }
            let finishing = SpawnedTask::spawn_blocking(move || {
                let mut out = Vec::new();
                joiner.finish(&mut out).map(|()| out)
            });
            let finished = finishing.await.map_err(broken_down)?;
            self.ready.extend(finished.map_err(external)?);
        }
        Ok(())
    }
}

/// The rows of a file whose plain bytes are all there, if there is nothing unusual about them: it is its own only chunk, so nothing
/// has to be proved.
pub(crate) fn at_once(
    plain: &Bytes,
    facts: &Facts,
    asked: &Asked,
    sieve: &Sieve,
    misfits: &Misfits,
    space: &mut Space,
) -> Option<Vec<RecordBatch>> {
    let text = Transcoder::new(facts.encoding).push(plain.clone(), true)?;
    let (chunked, skip): (Box<dyn Chunked>, usize) = if facts.is_lines() {
        (Box::new(JsonChunks::new(asked.clone())), 0)
    } else {
        if facts.csv.footer_lines > 0 {
            return None;
        }
        let mut start = CsvStart::new(asked.clone(), facts.csv.clone(), misfits.clone());
        // The reader that knows all cases decides what is not clear here.
        let found = start.next(&text, true).ok()??;
        (Box::new(found.chunks), found.skip)
    };
    let rows = &text[skip..];
    if rows.is_empty() {
        return Some(Vec::new());
    }
    let chunk = if rows.ends_with(b"\n") {
        chunked.decode(rows, sieve, space)?
    } else {
        chunked.decode(&[rows, b"\n"].concat(), sieve, space)?
    };
    chunk.report(asked, misfits);
    Some(chunk.batches)
}

/// Decodes a chunk. What is unusual takes long, and is not to keep a worker from its other tasks.
async fn decode(decoding: Arc<Decoding>, cut: Cut, usual: bool) -> Decoded {
    if usual && let Some(attempt) = decoding.quick(&cut) {
        return Ok((cut, Some(attempt)));
    }
    let decoding = SpawnedTask::spawn_blocking(move || {
        let quick = if usual { None } else { decoding.quick(&cut) };
        let attempt = quick.or_else(|| decoding.complete(&cut));
        (cut, attempt)
    });
    decoding.await
}

/// A decoder that broke down must not look like the end of the file.
fn broken_down(_panicked: JoinError) -> DataFusionError {
    external(Error::new(
        ErrorKind::Internal,
        "a part of a file could not be decoded",
    ))
}
