//! A large read as parallel ranged GETs, delivered in order as their bytes arrive.
//!
//! `tests/suite/faults` tests it with generated faults.

use std::{collections::VecDeque, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{
    Stream, StreamExt, TryStreamExt,
    future::Either,
    stream::{self, BoxStream},
};
use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Clock, Error, ErrorKind, ObjectMetadata, S3Stream,
    budget::BudgetShare,
    key,
    read_ahead::{PartTiming, ReadAhead},
};

/// The parts in flight. Dropping it aborts them.
struct Parts {
    store: S3Stream,
    metadata: Arc<ObjectMetadata>,
    /// The object's name, for errors.
    what: String,
    /// What no part has been started for yet.
    rest: Range<u64>,
    window: VecDeque<Part>,
    read_ahead: ReadAhead,
}

/// One part in flight.
struct Part {
    /// Bytes still to come.
    left: u64,
    timing: PartTiming,
    source: Source,
}

/// Where the bytes of a part come from. `Opening` becomes `Open` with the first piece; `Ahead` stays.
enum Source {
    /// A task that fetches ahead, and at its end gives the time that its connection took. What it holds is in the budget until
    /// it is delivered.
    Ahead {
        pieces: UnboundedReceiver<Result<Bytes, Error>>,
        held: BudgetShare,
        task: AbortOnDropHandle<Duration>,
    },
    /// A task that waits for the first piece of a body, because no budget is left or a single connection is fast enough.
    Opening(AbortOnDropHandle<(Result<Option<Bytes>, Error>, Body)>),
    /// The open body, read as fast as the caller takes it. Nothing is buffered, so it does not count against the budget.
    Open(Body),
}

type Body = BoxStream<'static, Result<Bytes, Error>>;

impl S3Stream {
    /// The bytes of `range` in order.
    pub(crate) fn read(&self, metadata: Arc<ObjectMetadata>, range: Range<u64>) -> Body {
        if metadata.size == 0 {
            let store = self.clone();
            let nothing = stream::once(async move { store.read_nothing(metadata).await });
            return nothing
                .filter_map(async |result| result.err().map(Err))
                .boxed();
        }
        self.read_in_order(metadata, range).boxed()
    }

    /// What a cache has of it from there, the rest from S3.
    fn read_in_order(
        &self,
        metadata: Arc<ObjectMetadata>,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        match self.kept(&metadata) {
            Some(kept) => Either::Left(kept.read_through(self.clone(), metadata, range)),
            None => Either::Right(self.read_from_s3(metadata, range)),
        }
    }

    /// What fits into one part is one GET whose bytes are passed on as they arrive.
    pub(crate) fn read_from_s3(
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
            read_ahead: ReadAhead::new(settings, length, self.clock().now()),
            what: key::display(self.bucket(), &metadata.location),
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
            let clock = self.store.clock();
            if let Some(piece) = part.next(&mut self.read_ahead, clock, &self.what).await? {
                if part.timing.single {
                    self.judge_single();
                }
                return Ok(Some(piece));
            }
            if part.left != 0 {
                return Err(lost(&self.what));
            }
            self.read_ahead.delivered(part.timing, clock.now());
            self.window.pop_front();
        }
    }

    /// Checks whether a single connection is still fast enough. If not, what it has not brought is asked for in parts.
    fn judge_single(&mut self) {
        let Some(part) = self.window.front_mut() else {
            return;
        };
        let now = self.store.clock().now();
        match self.read_ahead.keeps_single_connection(part.timing, now) {
            None => {}
            Some(true) => part.timing = PartTiming::SINGLE,
            Some(false) => {
                let left: u64 = self.window.drain(..).map(|part| part.left).sum();
                self.rest.start -= left;
            }
        }
    }

    /// Starts as many parts as the window and the budget allow. The next one to be delivered is started whether the budget has
    /// room or not: the reader may be waiting for it.
    fn fill(&mut self) {
        while self.window.len() < self.read_ahead.window() && self.rest.start < self.rest.end {
            let next = self.rest.start.saturating_add(self.read_ahead.part_bytes());
            let end = next.min(self.rest.end);
            let range = self.rest.start..end;
            let bytes = range.end - range.start;
            let single = self.read_ahead.is_single();
            let held = if single {
                None
            } else {
                self.store.budget().try_take(bytes)
            };
            let source = match held {
                Some(held) => self.fetch_ahead(range, held),
                None if single || self.window.is_empty() => self.open(range),
                None => return,
            };
            self.rest.start = end;
            self.window.push_back(Part {
                left: bytes,
                timing: if single {
                    PartTiming::SINGLE
                } else {
                    PartTiming::default()
                },
                source,
            });
        }
    }

    fn open(&self, range: Range<u64>) -> Source {
        let body = self.store.read_range(Arc::clone(&self.metadata), range);
        let mut body = body.boxed();
        let task = tokio::spawn(async move { (body.try_next().await, body) });
        Source::Opening(AbortOnDropHandle::new(task))
    }

    fn fetch_ahead(&self, range: Range<u64>, held: BudgetShare) -> Source {
        // The channel needs no bound: a part sends its own bytes and one error at most.
        let (sender, pieces) = unbounded_channel();
        let store = self.store.clone();
        let body = store.read_range(Arc::clone(&self.metadata), range);
        let task = tokio::spawn(async move {
            let mut body = std::pin::pin!(body);
            let mut time = Duration::ZERO;
            let mut piece = body.next().await;
            while let Some(came) = piece {
                if sender.send(came).is_err() {
                    break;
                }
                let began = store.clock().now();
                piece = body.next().await;
                time += store.clock().now().saturating_duration_since(began);
            }
            time
        });
        Source::Ahead {
            pieces,
            held,
            task: AbortOnDropHandle::new(task),
        }
    }
}

impl Part {
    /// The next piece. Tells `read_ahead` when the reader had to wait for it.
    async fn next(
        &mut self,
        read_ahead: &mut ReadAhead,
        clock: &dyn Clock,
        what: &str,
    ) -> Result<Option<Bytes>, Error> {
        let piece = match &mut self.source {
            Source::Ahead { pieces, held, task } => {
                let piece = match pieces.try_recv() {
                    Ok(piece) => Some(piece?),
                    Err(TryRecvError::Disconnected) => None,
                    Err(TryRecvError::Empty) => {
                        read_ahead.note_reader_waited();
                        pieces.recv().await.transpose()?
                    }
                };
                match &piece {
                    Some(piece) => held.release(piece.len() as u64),
                    None => {
                        self.timing.time =
                            task.await.map_err(|error| lost(what).with_source(error))?;
                    }
                }
                piece
            }
            Source::Opening(task) => {
                let (first, body) = task.await.map_err(|error| lost(what).with_source(error))?;
                self.source = Source::Open(body);
                first?
            }
            Source::Open(body) => {
                let began = clock.now();
                let piece = body.try_next().await?;
                self.timing.time += clock.now().saturating_duration_since(began);
                piece
            }
        };
        let bytes = piece.as_ref().map_or(0, |piece| piece.len() as u64);
        self.timing.add(bytes);
        self.left = self.left.checked_sub(bytes).ok_or_else(|| lost(what))?;
        Ok(piece)
    }
}

/// A defect of this crate, such as a task that panicked.
fn lost(what: &str) -> Error {
    Error::new(ErrorKind::Other, format!("{what}: a part was lost"))
}
