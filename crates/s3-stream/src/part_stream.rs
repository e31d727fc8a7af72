//! A large read as parallel ranged GETs, delivered in order as their bytes arrive.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt, future::Either, stream};
use tokio::sync::mpsc::{UnboundedReceiver, error::TryRecvError, unbounded_channel};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Error, ErrorKind, ObjectMetadata, S3Stream, budget::Held, checksum::verified, key, pace::Pace,
};

/// The parts under way. Dropping it aborts them.
struct Parts {
    store: S3Stream,
    metadata: Arc<ObjectMetadata>,
    /// What no part has been started for yet.
    rest: Range<u64>,
    window: VecDeque<Part>,
    pace: Pace,
}

/// One part under way.
struct Part {
    bytes: u64,
    delivered: u64,
    source: Source,
}

/// Where the bytes of a part come from.
enum Source {
    /// A task that fetches ahead. What it holds is in the budget until it is delivered.
    Ahead {
        pieces: UnboundedReceiver<Result<Bytes, Error>>,
        held: Held,
        _task: AbortOnDropHandle<()>,
    },
    /// A body that is read as fast as it is taken, for want of budget, or because that is fast enough.
    Direct(stream::BoxStream<'static, Result<Bytes, Error>>),
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
            if let Some(piece) = part.source.next(&mut self.pace).await? {
                part.delivered += piece.len() as u64;
                if let Source::Ahead { held, .. } = &mut part.source {
                    held.release(piece.len() as u64);
                }
                return Ok(Some(piece));
            }
            if part.delivered != part.bytes {
                return Err(Error::new(ErrorKind::Other, "a part was lost"));
            }
            self.pace.delivered(part.bytes, self.store.clock().now());
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
            let held = if self.pace.is_fast() {
                None
            } else {
                self.store.budget().try_take(bytes)
            };
            let source = match held {
                Some(held) => self.fetch_ahead(range, held),
                None if self.window.is_empty() => {
                    let body = self.store.read_range(Arc::clone(&self.metadata), range);
                    Source::Direct(body.boxed())
                }
                None => return,
            };
            self.rest.start = end;
            self.window.push_back(Part {
                bytes,
                delivered: 0,
                source,
            });
        }
    }

    fn fetch_ahead(&self, range: Range<u64>, held: Held) -> Source {
        // Unbounded, and yet bounded: a part sends its own bytes and one error at most.
        let (sender, pieces) = unbounded_channel();
        let body = self.store.read_range(Arc::clone(&self.metadata), range);
        let task = tokio::spawn(async move {
            let mut body = std::pin::pin!(body);
            while let Some(piece) = body.next().await {
                if sender.send(piece).is_err() {
                    return;
                }
            }
        });
        Source::Ahead {
            pieces,
            held,
            _task: AbortOnDropHandle::new(task),
        }
    }
}

impl Source {
    /// The next piece, telling the pace when it was not there yet.
    async fn next(&mut self, pace: &mut Pace) -> Result<Option<Bytes>, Error> {
        match self {
            Self::Direct(body) => body.next().await,
            Self::Ahead { pieces, .. } => match pieces.try_recv() {
                Ok(piece) => Some(piece),
                Err(TryRecvError::Disconnected) => None,
                Err(TryRecvError::Empty) => {
                    pace.waited();
                    pieces.recv().await
                }
            },
        }
        .transpose()
    }
}
