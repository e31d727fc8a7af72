//! Copies finished segments and their seals to a second place, such as a bucket from which nobody may delete.
//!
//! Only what is sealed is copied, since only that no longer changes; an empty file `audit-….shipped` beside a segment says that it was.
//! The log never waits for it: while the second place cannot be reached, segments stay where they are and are tried again.
//! Only a caller that has to know that its record lies in the second place waits, in [`Shipper::ship_now`].
//! A segment that was shipped may be deleted after a set time; its seal and its marker stay, and the chain goes on from them.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Datelike, Months, Utc};
use serde::Serialize;
use tokio::task::AbortHandle;

use super::log_id;
use super::seal::Seal;
use super::segment::{self, Segment};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The wait after the first failure; it doubles up to [`ShipSettings::longest_wait`].
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The second place.
#[async_trait]
pub trait SegmentSink: Debug + Send + Sync {
    /// Stores `content` under `name` for good: the id of the log, a `/`, and the file's own name.
    ///
    /// The same name comes again with the same content when a crash came between storing and noting it: that is no error.
    ///
    /// # Errors
    /// Whatever kept it from being stored, other content under that name included; it is tried again later.
    async fn put(&self, name: &str, content: Vec<u8>) -> Result<(), BoxError>;
}

/// When a [`Shipper`] looks for finished segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShipSettings {
    /// The wait between two looks.
    pub check_every: Duration,
    /// The longest wait between two tries after failures.
    pub longest_wait: Duration,
    /// How long after its seal a segment is deleted here, once it is shipped; never, when left out.
    pub delete_after: Option<Duration>,
    /// Whether only the last segment is kept here, with its seal, of those that are shipped: the folder goes with its machine, and
    /// the second place holds the log.
    pub keep_only_last: bool,
}

impl Default for ShipSettings {
    fn default() -> Self {
        Self {
            check_every: Duration::from_secs(30),
            longest_wait: Duration::from_secs(300),
            delete_after: None,
            keep_only_last: false,
        }
    }
}

/// How shipping stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShipStatus {
    /// Finished segments that lie only here, as of the last look.
    pub pending_segments: u64,
    /// Segments shipped since the start.
    pub shipped_segments: u64,
    /// Segments deleted here since the start.
    pub deleted_segments: u64,
    /// Failed tries to ship a segment since the start.
    pub failures: u64,
    /// Since when something could not be shipped at every look.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why the first segment failed at the last look; none when none did.
    pub last_error: Option<String>,
}

/// Copies finished segments in a task of its own, until dropped.
#[derive(Debug)]
pub struct Shipper {
    work: Arc<Work>,
    task: AbortHandle,
}

impl Shipper {
    /// Starts to ship the log in `directory` to `sink`, on the runtime it is called in.
    #[must_use]
    pub fn start(
        directory: PathBuf,
        sink: Arc<dyn SegmentSink>,
        settings: ShipSettings,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let work = Arc::new(Work {
            directory,
            sink,
            clock,
            settings,
            status: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        });
        let task = tokio::spawn(Arc::clone(&work).run()).abort_handle();
        Self { work, task }
    }

    /// Ships everything that is sealed, and returns when it lies in the second place.
    ///
    /// # Errors
    /// [`ErrorKind::Unshipped`] when a segment could not be shipped; the shipper goes on trying.
    pub async fn ship_now(&self) -> Result<(), Error> {
        let shipped = self.work.ship_all().await;
        if shipped.is_ok() {
            self.work.note_success();
        }
        shipped.map_err(|error| {
            self.work.note_failure(&error);
            Error::new(
                ErrorKind::Unshipped,
                "the audit record cannot be copied to its second place",
            )
            .with_source(error)
        })
    }

    /// How shipping stands.
    #[must_use]
    pub fn status(&self) -> ShipStatus {
        lock(&self.work.status).clone()
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the task holds.
#[derive(Debug)]
struct Work {
    directory: PathBuf,
    sink: Arc<dyn SegmentSink>,
    clock: Arc<dyn Clock>,
    settings: ShipSettings,
    status: Mutex<ShipStatus>,
    /// Held while segments are shipped, so that nobody ships one twice.
    turn: tokio::sync::Mutex<()>,
}

impl Work {
    async fn run(self: Arc<Self>) {
        let settings = &self.settings;
        let mut wait = FIRST_WAIT;
        loop {
            let shipped = self.ship_all().await;
            let deleted = match settings.delete_after {
                Some(after) => self.delete_old(after).await,
                None => Ok(()),
            };
            match shipped.and(deleted) {
                Ok(()) => {
                    self.note_success();
                    wait = FIRST_WAIT;
                    tokio::time::sleep(settings.check_every).await;
                }
                Err(error) => {
                    self.note_failure(&error);
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(settings.longest_wait.max(FIRST_WAIT));
                }
            }
        }
    }

    /// Ships what is finished, oldest first. One segment that cannot be shipped does not hold up the others.
    ///
    /// # Errors
    /// The first failure.
    async fn ship_all(&self) -> Result<(), BoxError> {
        let _turn = self.turn.lock().await;
        let directory = self.directory.clone();
        let (segments, log_id) = blocking(move || {
            let segments = pending(&directory)?;
            let is_needed = !segments.is_empty();
            let log_id = is_needed.then(|| log_id::read(&directory)).transpose()?;
            Ok((segments, log_id.unwrap_or_default()))
        })
        .await?;
        let mut left = segments.len() as u64;
        lock(&self.status).pending_segments = left;
        let mut first_failure = None;
        for segment in segments {
            if let Err(error) = self.ship(&log_id, segment).await {
                lock(&self.status).failures += 1;
                first_failure.get_or_insert(error);
                continue;
            }
            left -= 1;
            let mut status = lock(&self.status);
            status.pending_segments = left;
            status.shipped_segments += 1;
        }
        if let Some(error) = first_failure {
            return Err(error);
        }
        if self.settings.keep_only_last {
            let directory = self.directory.clone();
            blocking(move || Ok(forget_all_but_last(&directory)?)).await?;
        }
        Ok(())
    }

    async fn ship(&self, log_id: &str, segment: Segment) -> Result<(), BoxError> {
        let marker = segment.shipped_path();
        self.put(log_id, &segment).await?;
        blocking(move || Ok(fs::File::create(marker)?.sync_all()?)).await
    }

    /// Deletes what is old enough, oldest first, so that the log has no gap.
    ///
    /// What was shipped may have been deleted or changed since: it is put once more, which succeeds only where the same content lies.
    async fn delete_old(&self, after: Duration) -> Result<(), BoxError> {
        let (directory, now) = (self.directory.clone(), self.clock.now());
        let (segments, log_id) = blocking(move || {
            let segments = deletable(&directory, now, after)?;
            let is_needed = !segments.is_empty();
            let log_id = is_needed.then(|| log_id::read(&directory)).transpose()?;
            Ok((segments, log_id.unwrap_or_default()))
        })
        .await?;
        for segment in segments {
            self.put(&log_id, &segment).await?;
            blocking(move || Ok(fs::remove_file(&segment.path)?)).await?;
            lock(&self.status).deleted_segments += 1;
        }
        Ok(())
    }

    /// The segment first: where a seal lies, what it seals lies too.
    async fn put(&self, log_id: &str, segment: &Segment) -> Result<(), BoxError> {
        for path in [segment.path.clone(), segment.seal_path()] {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let name = format!("{log_id}/{name}");
            let content = blocking(move || Ok(fs::read(path)?)).await?;
            self.sink.put(&name, content).await?;
        }
        Ok(())
    }

    fn note_success(&self) {
        let mut status = lock(&self.status);
        if status.failing_since.take().is_some() {
            tracing::info!("audit segments are shipped again");
        }
        status.last_error = None;
    }

    fn note_failure(&self, error: &BoxError) {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        let mut status = lock(&self.status);
        if status.failing_since.is_none() {
            status.failing_since = Some(self.clock.now());
            tracing::warn!(error = message, "audit segments cannot be shipped");
        }
        status.last_error = Some(message);
    }
}

/// The segments that are sealed and not marked as shipped.
fn pending(directory: &Path) -> Result<Vec<Segment>, Error> {
    let mut segments = segment::list(directory)?;
    segments.retain(|segment| segment.seal_path().exists() && !segment.shipped_path().exists());
    Ok(segments)
}

/// The oldest segments that are shipped and old enough, up to the first that is not.
///
/// Nothing of this month or the last is among them: what was spent of a budget is read from the log.
fn deletable(directory: &Path, now: DateTime<Utc>, after: Duration) -> Result<Vec<Segment>, Error> {
    let first_of_month = now.date_naive().with_day(1).unwrap_or_default();
    let kept_from = first_of_month - Months::new(1);
    let mut old = Vec::new();
    for segment in segment::list(directory)? {
        let Some(Ok(seal)) = Seal::read(&segment)? else {
            break;
        };
        let sealed_at = seal.body.sealed_at;
        let age = (now - sealed_at).to_std().unwrap_or_default();
        let is_old = age >= after && sealed_at.date_naive() < kept_from;
        if !is_old || !segment.shipped_path().exists() {
            break;
        }
        old.push(segment);
    }
    Ok(old)
}

/// Deletes the segments that are shipped, with their seals and markers, but for the last: the chain goes on from its seal.
fn forget_all_but_last(directory: &Path) -> Result<(), std::io::Error> {
    let mut shipped = segment::list(directory).map_err(std::io::Error::other)?;
    shipped.retain(|segment| segment.shipped_path().exists());
    shipped.pop();
    for segment in shipped {
        // The marker last: without the others it stands for nothing, and without it they would be shipped again.
        for path in [
            segment.path.clone(),
            segment.seal_path(),
            segment.shipped_path(),
        ] {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BoxError> + Send + 'static,
) -> Result<T, BoxError> {
    tokio::task::spawn_blocking(work).await?
}

fn lock(status: &Mutex<ShipStatus>) -> MutexGuard<'_, ShipStatus> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}
