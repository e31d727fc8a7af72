//! A large read as parallel ranged GETs, delivered in order.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::task::AbortOnDropHandle;

use crate::{Error, ErrorKind, ObjectMetadata, S3Stream};

/// The parts under way. Dropping it aborts them.
struct Parts {
    store: S3Stream,
    metadata: Arc<ObjectMetadata>,
    /// What no part has been started for yet.
    rest: Range<u64>,
    window: VecDeque<Part>,
}

/// One part under way, with the bytes of the budget that it holds until it is delivered.
struct Part {
    fetch: AbortOnDropHandle<Result<Vec<Bytes>, Error>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl S3Stream {
    /// The bytes of `range` in order. What fits into one part is one GET whose bytes are passed on as they arrive.
    pub(crate) fn read(
        &self,
        metadata: Arc<ObjectMetadata>,
        range: Range<u64>,
    ) -> stream::BoxStream<'static, Result<Bytes, Error>> {
        if range.end.saturating_sub(range.start) <= self.settings().part_bytes {
            return self.read_range(metadata, range).boxed();
        }
        self.read_parts(metadata, range).boxed()
    }

    fn read_parts(
        &self,
        metadata: Arc<ObjectMetadata>,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        let parts = Parts {
            store: self.clone(),
            metadata,
            rest: range,
            window: VecDeque::new(),
        };
        stream::try_unfold(parts, |mut parts| async move {
            parts.fill();
            let Some(part) = parts.window.pop_front() else {
                return Ok(None);
            };
            let pieces = part.fetch.await.map_err(|error| {
                Error::new(ErrorKind::Other, "a part was lost").with_source(error)
            })??;
            Ok::<_, Error>(Some((stream::iter(pieces.into_iter().map(Ok)), parts)))
        })
        .try_flatten()
    }
}

impl Parts {
    /// Starts parts up to the concurrency. The next one to be delivered is started whether the budget has room or not:
    /// it alone may be what somebody waits for.
    fn fill(&mut self) {
        let settings = self.store.settings();
        while self.window.len() < settings.concurrency && self.rest.start < self.rest.end {
            let end = (self.rest.start + settings.part_bytes).min(self.rest.end);
            let permit = self.store.budget().try_take(end - self.rest.start);
            if permit.is_none() && !self.window.is_empty() {
                return;
            }
            let (store, metadata, range) = (
                self.store.clone(),
                Arc::clone(&self.metadata),
                self.rest.start..end,
            );
            self.rest.start = end;
            let fetch = AbortOnDropHandle::new(tokio::spawn(async move {
                store.fetch_range(metadata, range).await
            }));
            self.window.push_back(Part {
                fetch,
                _permit: permit,
            });
        }
    }
}
