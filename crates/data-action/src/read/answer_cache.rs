//! Answers that are kept for a while, of actions with `cache`, and one execution for all who ask the same at a time.
//!
//! Each attempt has been allowed by itself, and has found the present versions, before it comes here.

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

/// The part of the memory that one answer may take.
const LARGEST_PART: u64 = 8;

/// What an answer takes beside its rows, and an object beside its key.
const OVERHEAD_BYTES: usize = 512;

/// What makes two questions the same: the action, its parameters and the versions are all in the tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) tag: Tag,
    format: RowFormat,
    reader: JsonReader,
}

/// An answer that others may have too.
#[derive(Debug, Clone)]
pub(super) struct KeptAnswer {
    pub(super) rows: Rows,
    /// The objects that it was read from.
    pub(super) objects: Vec<(String, Arc<ObjectMetadata>)>,
    /// When the read began.
    pub(super) since: Instant,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Kept {
    answers: Cache<Question, Arc<KeptAnswer>>,
    flights: SingleFlight<Question, Arc<KeptAnswer>>,
    largest_bytes: u64,
    clock: Arc<dyn Clock>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What the kept answers take and did since the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeptStatus {
    pub(crate) bytes: u64,
    pub(crate) hits: u64,
    pub(crate) joins: u64,
    pub(crate) misses: u64,
}

impl Question {
    pub(super) const fn new(tag: Tag, output: &RowOutput) -> Self {
        Self {
            tag,
            format: output.format,
            reader: output.reader,
        }
    }
}

impl KeptAnswer {
    fn bytes(&self) -> usize {
        let columns = self.rows.schema.fields().iter();
        let columns: usize = columns.map(|field| field.name().len()).sum();
        let rows = self.rows.data.get().len() + self.rows.encoded.len() + columns;
        rows + OVERHEAD_BYTES * (self.objects.len() + 1)
    }
}

impl Kept {
    pub(super) fn new(settings: &CacheSettings, clock: Arc<dyn Clock>) -> Self {
        let memory = settings.memory.as_u64();
        let answers = Cache::builder()
            .max_capacity(memory)
            .weigher(|_, answer: &Arc<KeptAnswer>| {
                u32::try_from(answer.bytes()).unwrap_or(u32::MAX)
            })
            // Whether an answer is fresh is judged by our clock; this only gives its memory back.
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

    /// The answer that is kept and no older than `fresh_for`; else that of `work`, or of the same work of another attempt.
    pub(super) async fn answer(
        &self,
        question: Question,
        fresh_for: Duration,
        work: impl Future<Output = Result<KeptAnswer, ActionError>>,
    ) -> Result<(Arc<KeptAnswer>, CacheServed), ActionError> {
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

    pub(super) fn status(&self) -> KeptStatus {
        KeptStatus {
            bytes: self.answers.weighted_size(),
            hits: self.hits.load(Relaxed),
            joins: self.flights.shared(),
            misses: self.misses.load(Relaxed),
        }
    }
}
