//! Reading through a cache: what it has from the disk, the rest from S3, and kept.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use super::{CachedVersion, piece};
use crate::{Error, ObjectMetadata, S3Stream};

type Body = BoxStream<'static, Result<Bytes, Error>>;

/// Pieces that are read from the disk ahead of their reader, the one that it waits for included.
const AHEAD: usize = 2;

/// Neighbouring pieces that are all in the cache, or all missing.
#[derive(Debug)]
struct PieceRun {
    is_there: bool,
    pieces: Vec<Range<u64>>,
}

impl CachedVersion {
    /// The bytes of a range of this version in order.
    pub(crate) fn read_through(
        self,
        store: S3Stream,
        metadata: Arc<ObjectMetadata>,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        let reading = async move {
            let kept = self.clone();
            let pieces: Vec<_> = piece::cut(range).collect();
            let runs = if pieces.len() == 1 {
                // Whether it is there is seen when it is read.
                let is_there = true;
                vec![PieceRun { is_there, pieces }]
            } else {
                let looked = tokio::task::spawn_blocking(move || kept.runs(pieces));
                looked.await.map_err(|error| {
                    Error::new(crate::ErrorKind::Other, "a look at the cache was lost")
                        .with_source(error)
                })?
            };
            let runs = stream::iter(runs).map(move |run| {
                if run.is_there {
                    self.held(&store, &metadata, run.pieces)
                } else {
                    self.missing(&store, &metadata, run.pieces)
                }
            });
            Ok::<_, Error>(runs.flatten())
        };
        stream::once(reading).try_flatten()
    }

    fn runs(&self, pieces: Vec<Range<u64>>) -> Vec<PieceRun> {
        let mut runs: Vec<PieceRun> = Vec::new();
        for piece in pieces {
            let is_there = self.is_there(&piece);
            match runs.last_mut().filter(|run| run.is_there == is_there) {
                Some(run) => run.pieces.push(piece),
                None => runs.push(PieceRun {
                    is_there,
                    pieces: vec![piece],
                }),
            }
        }
        runs
    }

    /// Pieces from the disk; one that is not there after all, or damaged, from S3.
    fn held(
        &self,
        store: &S3Stream,
        metadata: &Arc<ObjectMetadata>,
        pieces: Vec<Range<u64>>,
    ) -> Body {
        let (kept, store, metadata) = (self.clone(), store.clone(), Arc::clone(metadata));
        let loaded = stream::iter(pieces).map(move |piece| {
            let (kept, store, metadata) = (kept.clone(), store.clone(), Arc::clone(&metadata));
            async move {
                match kept.load(piece.clone()).await {
                    Some(bytes) => {
                        store.meter().kept(bytes.len() as u64);
                        stream::once(async move { Ok(bytes) }).boxed()
                    }
                    None => kept.missing(&store, &metadata, vec![piece]),
                }
            }
        });
        loaded.buffered(AHEAD).flatten().boxed()
    }

    /// Neighbouring pieces from S3, as one read, each kept when it has come whole.
    fn missing(
        &self,
        store: &S3Stream,
        metadata: &Arc<ObjectMetadata>,
        pieces: Vec<Range<u64>>,
    ) -> Body {
        let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else {
            return stream::empty().boxed();
        };
        let range = first.start..last.end;
        let mut passing = PieceCollector {
            kept: self.clone(),
            pieces: pieces.into_iter(),
            now: None,
        };
        let bytes = store.read_from_s3(Arc::clone(metadata), range);
        bytes
            .inspect_ok(move |bytes| passing.pass(bytes.clone()))
            .boxed()
    }
}

/// Collects the bytes of pieces as they pass to the reader, and writes each complete piece to the cache.
struct PieceCollector {
    kept: CachedVersion,
    pieces: std::vec::IntoIter<Range<u64>>,
    /// The current piece, the bytes of it that have arrived, and the number of bytes still missing.
    now: Option<(Range<u64>, Vec<Bytes>, u64)>,
}

impl PieceCollector {
    fn pass(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let now = self.now.take().or_else(|| {
                let piece = self.pieces.next()?;
                let left = piece.end - piece.start;
                Some((piece, Vec::new(), left))
            });
            let Some((piece, mut came, left)) = now else {
                return;
            };
            let here = left.min(bytes.len() as u64);
            came.push(bytes.split_to(usize::try_from(here).unwrap_or(bytes.len())));
            if here == left {
                self.kept.keep(piece, came);
            } else {
                self.now = Some((piece, came, left - here));
            }
        }
    }
}
