//! A large read as parallel ranged GETs, delivered in order as their bytes arrive.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, future::Either, stream};
use tokio::sync::{
    Semaphore,
    mpsc::{Receiver, Sender, channel, error::TryRecvError},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Error, ErrorKind, ObjectMetadata, S3Stream,
    budget::Held,
    checksum::verified,
    key,
    pace::{Came, Pace},
};

/// Bytes that one connection alone gathers before they are passed on: its reader need not wake up for each piece.
const GATHERED_BYTES: u64 = 1 << 20;
/// What it then holds: being gathered, passed on, and being delivered.
const GATHERED_AHEAD: u64 = 3 * GATHERED_BYTES;

/// The parts under way. Dropping it aborts them.
struct Parts {
    store: S3Stream,
    metadata: Arc<ObjectMetadata>,
    /// What no part has been started for yet.
    rest: Range<u64>,
    window: VecDeque<Part>,
    pace: Pace,
}

/// Pieces of a body, in order.
type Gathered = VecDeque<Bytes>;

/// One part under way: a task that reads its body.
struct Part {
    bytes: u64,
    came: Came,
    pieces: Receiver<Result<Gathered, Error>>,
    /// What has come and is still to be delivered.
    ready: Gathered,
    /// What it may fetch ahead is in the budget until it is delivered.
    held: Option<Held>,
    /// Gives the time that the connection took.
    task: AbortOnDropHandle<Duration>,
}

impl S3Stream {
    /// The bytes of `range` in order, verified when they are the whole object and S3 keeps a checksum of it.
    pub(crate) fn read(
        &self,
        metadata: Arc<ObjectMetadata>,
        range: Range<u64>,
    ) -> stream::BoxStream<'static, Result<Bytes, Error>> {
        if metadata.size == 0 {
            let store = self.clone();
            let nothing = stream::once(async move { store.read_nothing(metadata).await });
            return nothing
                .filter_map(async |result| result.err().map(Err))
                .boxed();
        }
        let expected = metadata
            .checksum
            .clone()
            .filter(|_| range == (0..metadata.size));
        let what = key::display(self.bucket(), &metadata.location);
        let bytes = self.read_in_order(metadata, range);
        match expected {
            Some(expected) => verified(bytes.boxed(), expected, what).boxed(),
            None => bytes.boxed(),
        }
    }

    /// What fits into one part is one GET whose bytes are passed on as they arrive.
    fn read_in_order(
        &self,
        metadata: Arc<ObjectMetadata>,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        let length = range.end.saturating_sub(range.start);
        let settings = self.settings();
        if length <= settings.min_part_bytes.min(settings.part_bytes) {
            return Either::Left(self.read_range(metadata, range));
        }
        let parts = Parts {
            pace: Pace::new(settings, length, self.clock().now()),
            store: self.clone(),
            metadata,
            rest: range,
            window: VecDeque::new(),
        };
        Either::Right(stream::try_unfold(parts, |mut parts| async move {
            Ok(parts.next().await?.map(|piece| (piece, parts)))
        }))
    }
}

impl Parts {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            self.fill();
            let Some(part) = self.window.front_mut() else {
                return Ok(None);
            };
            if let Some(piece) = part.next(&mut self.pace).await? {
                return Ok(Some(piece));
            }
            if part.came.bytes != part.bytes {
                return Err(Error::new(ErrorKind::Other, "a part was lost"));
            }
            self.pace.delivered(part.came, self.store.clock().now());
            self.window.pop_front();
        }
    }

    /// Starts parts as far as the pace and the budget let it. The next one to be delivered is started whether the budget has
    /// room or not: it alone may be what somebody waits for.
    fn fill(&mut self) {
        while self.window.len() < self.pace.window() && self.rest.start < self.rest.end {
            let end = (self.rest.start + self.pace.part_bytes()).min(self.rest.end);
            let range = self.rest.start..end;
            let bytes = range.end - range.start;
            let alone = self.pace.is_alone();
            let ahead_bytes = if alone { GATHERED_AHEAD } else { bytes };
            let held = self.store.budget().try_take(ahead_bytes);
            if held.is_none() && !self.window.is_empty() {
                return;
            }
            let (gathered_bytes, ahead) = match &held {
                Some(_) if alone => (GATHERED_BYTES, 1),
                // Sends nothing but its own bytes, and one error at most.
                Some(_) => (0, Semaphore::MAX_PERMITS),
                None => (0, 1),
            };
            let (sender, pieces) = channel(ahead);
            let task = tokio::spawn(self.send(range, gathered_bytes, sender));
            self.rest.start = end;
            self.window.push_back(Part {
                bytes,
                came: Came {
                    alone,
                    ..Came::default()
                },
                pieces,
                ready: Gathered::new(),
                held,
                task: AbortOnDropHandle::new(task),
            });
        }
    }

    /// Reads the body of a part; the time that its connection took, from the first piece on.
    fn send(
        &self,
        range: Range<u64>,
        gathered_bytes: u64,
        pieces: Sender<Result<Gathered, Error>>,
    ) -> impl Future<Output = Duration> + Send + use<> {
        let store = self.store.clone();
        let body = store.read_range(Arc::clone(&self.metadata), range);
        async move {
            let mut body = std::pin::pin!(body);
            let mut time = Duration::ZERO;
            let mut is_first = true;
            let (mut gathered, mut bytes) = (Gathered::new(), 0);
            loop {
                let began = store.clock().now();
                let came = body.try_next().await;
                if !std::mem::take(&mut is_first) {
                    time += store.clock().now().saturating_duration_since(began);
                }
                let has_ended = match came {
                    Ok(Some(piece)) => {
                        bytes += piece.len() as u64;
                        gathered.push_back(piece);
                        if bytes < gathered_bytes {
                            continue;
                        }
                        false
                    }
                    Ok(None) => true,
                    Err(error) => {
                        // What came before it is told first. Nobody may be there any more to be told.
                        let _ = pieces.send(Ok(gathered)).await;
                        let _ = pieces.send(Err(error)).await;
                        return time;
                    }
                };
                bytes = 0;
                let is_wanted = pieces.send(Ok(std::mem::take(&mut gathered))).await.is_ok();
                if has_ended || !is_wanted {
                    return time;
                }
            }
        }
    }
}

impl Part {
    /// The next piece, telling the pace when it was not there yet.
    async fn next(&mut self, pace: &mut Pace) -> Result<Option<Bytes>, Error> {
        let piece = loop {
            if let Some(piece) = self.ready.pop_front() {
                break piece;
            }
            let came = match self.pieces.try_recv() {
                Err(TryRecvError::Empty) => {
                    pace.waited();
                    self.pieces.recv().await
                }
                came => came.ok(),
            };
            let Some(came) = came else {
                self.came.time = (&mut self.task).await.unwrap_or_default();
                return Ok(None);
            };
            self.ready = came?;
        };
        self.came.bytes += piece.len() as u64;
        if let Some(held) = &mut self.held
            && !self.came.alone
        {
            held.release(piece.len() as u64);
        }
        Ok(Some(piece))
    }
}
