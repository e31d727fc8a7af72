//! The cache of answers, for actions with `cache`. Identical questions at the same time share one execution.
//!
//! Each attempt has passed its own access checks, and has found the present versions of the objects, before it comes here.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::{RowFormat, json::JsonReader};
use moka::future::Cache;

use super::{rows::Rows, single_flight::SingleFlight};
use crate::{ActionError, CacheServed, CacheSettings, Clock, RowOutput, versions::Tag};

/// The largest answer that is kept takes this part of the memory: an eighth.
const LARGEST_PART: u64 = 8;

/// Estimated memory of an answer beside its rows, and of an object's metadata.
const OVERHEAD_BYTES: usize = 512;

/// The key of an answer. The tag covers the action, its parameters and the versions of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CacheKey {
    pub(super) tag: Tag,
    format: RowFormat,
    reader: JsonReader,
}

/// An answer that other attempts may be given.
#[derive(Debug, Clone)]
pub(super) struct CachedAnswer {
    pub(super) rows: Rows,
    /// The objects that it was read from.
    pub(super) objects: Vec<(String, Arc<ObjectMetadata>)>,
    /// When the read began.
    pub(super) since: Instant,
}

/// Answers by their keys, in bounded memory.
#[derive(Debug)]
pub(super) struct AnswerCache {
    answers: Cache<CacheKey, Arc<CachedAnswer>>,
    flights: SingleFlight<CacheKey, Arc<CachedAnswer>>,
    largest_bytes: u64,
    clock: Arc<dyn Clock>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// The size of the cache, and its use since the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AnswerCacheStatus {
    pub(crate) bytes: u64,
    pub(crate) hits: u64,
    pub(crate) joins: u64,
    pub(crate) misses: u64,
}

impl CacheKey {
    pub(super) const fn new(tag: Tag, output: &RowOutput) -> Self {
        Self {
            tag,
            format: output.format,
            reader: output.reader,
        }
    }
}

impl CachedAnswer {
    fn bytes(&self) -> usize {
        let columns = self.rows.schema.fields().iter();
        let columns: usize = columns.map(|field| field.name().len()).sum();
        let rows = self.rows.data.get().len() + self.rows.encoded.len() + columns;
        rows + OVERHEAD_BYTES * (self.objects.len() + 1)
    }
}

impl AnswerCache {
    pub(super) fn new(settings: &CacheSettings, clock: Arc<dyn Clock>) -> Self {
        let memory = settings.memory.as_u64();
        let answers = Cache::builder()
            .max_capacity(memory)
            .weigher(|_, answer: &Arc<CachedAnswer>| {
                u32::try_from(answer.bytes()).unwrap_or(u32::MAX)
            })
            // Freshness is judged with our own clock; this only frees the memory.
            .time_to_live(crate::definition::LONGEST_CACHE)
            .build();
        Self {
            answers,
            flights: SingleFlight::default(),
            largest_bytes: memory / LARGEST_PART,
            clock,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Returns the cached answer if it is younger than `fresh_for`. Otherwise runs `work`, or waits for another attempt that already
    /// runs it.
    pub(super) async fn answer(
        &self,
        question: CacheKey,
        fresh_for: Duration,
        work: impl Future<Output = Result<CachedAnswer, ActionError>>,
    ) -> Result<(Arc<CachedAnswer>, CacheServed), ActionError> {
        let now = self.clock.instant();
        if let Some(kept) = self.answers.get(&question).await {
            let age = now.saturating_duration_since(kept.since);
            if age < fresh_for {
                self.hits.fetch_add(1, Relaxed);
                let left = fresh_for.saturating_sub(age);
                return Ok((kept, CacheServed::hit(age, left)));
            }
        }
        let mut own = None;
        let work = async {
            let answer = Arc::new(work.await?);
            let is_kept = answer.bytes() as u64 <= self.largest_bytes;
            if is_kept {
                self.answers.insert(question, Arc::clone(&answer)).await;
            }
            own = Some(CacheServed::Miss { kept: is_kept });
            Ok(answer)
        };
        let answer = self.flights.share(question, work).await?;
        if own.is_some() {
            self.misses.fetch_add(1, Relaxed);
        }
        Ok((answer, own.unwrap_or(CacheServed::Joined)))
    }

    pub(super) fn status(&self) -> AnswerCacheStatus {
        AnswerCacheStatus {
            bytes: self.answers.weighted_size(),
            hits: self.hits.load(Relaxed),
            joins: self.flights.shared(),
            misses: self.misses.load(Relaxed),
        }
    }
}
