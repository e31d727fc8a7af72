//! The handle that requests append through.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use serde::Serialize;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::record::AuditRecord;
use super::seal::SealingKey;
use super::settings::AuditSettings;
use super::store::Store;
use super::writer::{self, Writer};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind};

/// An open audit log; cheap to clone, and the only writer of its folder.
#[derive(Debug, Clone)]
pub struct AuditLog {
    writer: Arc<Writer>,
    clock: Arc<dyn Clock>,
    settings: Arc<AuditSettings>,
    id: Arc<str>,
}

/// Proof that a record is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReceipt {
    /// The record's number in the log, from 1.
    pub sequence: u64,
    /// The record's chained hash.
    pub hash: String,
    /// The attempt's id.
    pub id: String,
}

/// Makes an [`AuditLog`].
#[derive(Debug, Clone)]
pub struct AuditLogBuilder {
    settings: AuditSettings,
    clock: Arc<dyn Clock>,
    sealing_key: Option<SealingKey>,
    idle: Duration,
}

impl AuditLogBuilder {
    /// Signs the seals of finished segments.
    #[must_use]
    pub fn with_sealing_key(mut self, key: SealingKey) -> Self {
        self.sealing_key = Some(key);
        self
    }

    /// Another clock than the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// How often a log without requests looks whether the day is over; every minute otherwise.
    #[must_use]
    pub fn with_idle_check(mut self, interval: Duration) -> Self {
        self.idle = interval;
        self
    }

    /// Opens the log: takes its lock, repairs a torn last line and continues its chain.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] when another process has it open, [`ErrorKind::Unwritable`] when the folder cannot be written,
    /// [`ErrorKind::Broken`] when the end of the chain is damaged in a way a crash does not explain.
    pub fn open(self) -> Result<AuditLog, Error> {
        let figures = [
            ("max_batch_records", self.settings.max_batch_records == 0),
            ("max_segment_bytes", self.settings.max_segment_bytes == 0),
        ];
        if let Some((key, _)) = figures.iter().find(|(_, is_zero)| *is_zero) {
            let message = format!("{key} in [audit.log] must be at least 1");
            return Err(Error::new(ErrorKind::InvalidSetting, message));
        }
        let store = Store::open(&self.settings, Arc::clone(&self.clock), self.sealing_key)?;
        let id = store.log_id().into();
        let writer = Writer::start(store, self.settings.max_batch_records, self.idle)?;
        Ok(AuditLog {
            writer: Arc::new(writer),
            clock: self.clock,
            settings: Arc::new(self.settings),
            id,
        })
    }
}

impl AuditLog {
    /// Opens the log with the machine's clock.
    ///
    /// # Errors
    /// Those of [`AuditLogBuilder::open`].
    pub fn open(settings: AuditSettings) -> Result<Self, Error> {
        Self::builder(settings).open()
    }

    /// Opens a log step by step.
    #[must_use]
    pub fn builder(settings: AuditSettings) -> AuditLogBuilder {
        AuditLogBuilder {
            settings,
            clock: Arc::new(SystemClock),
            sealing_key: None,
            idle: writer::IDLE_INTERVAL,
        }
    }

    /// Writes `record` and returns when it is on disk.
    ///
    /// Requests that append at the same time share one write and one fsync. The queue is bounded: when it is full, callers wait
    /// for the disk, in order, instead of piling up in memory.
    /// A record that is in the queue is written even when its caller stops waiting.
    ///
    /// # Errors
    /// [`ErrorKind::Unwritable`] when it could not be made durable: then it is not in the log, and no data may be returned to the caller;
    /// [`ErrorKind::Closed`] when the writer is gone.
    pub async fn append(&self, record: &AuditRecord) -> Result<AuditReceipt, Error> {
        let (id, record) = self.written(record)?;
        let (reply, answer) = oneshot::channel();
        self.writer
            .push(&record, reply)
            .await
            .map_err(|_| closed())?;
        let place = answer.await.map_err(|_| closed())??;
        Ok(AuditReceipt {
            sequence: place.sequence,
            hash: place.hash.as_str().to_owned(),
            id,
        })
    }

    /// Seals the open segment, so that it can be shipped at once, and returns when its seal is on disk. A segment without records
    /// is left as it is.
    ///
    /// # Errors
    /// Those of [`Self::append`]; the records are in the log all the same.
    pub async fn seal(&self) -> Result<(), Error> {
        let (reply, answer) = oneshot::channel();
        self.writer.seal(reply).map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Whether the last write succeeded; while it is `false`, refuse requests and report not ready.
    ///
    /// The writer tries again by itself, and turns this back to `true` when the disk takes writes. When the writer itself has died,
    /// it stays `false`.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.writer.is_healthy()
    }

    /// Takes no more records, and returns when those in the queue are on disk and the folder is unlocked.
    ///
    /// Appends that come later, from any handle, fail with [`ErrorKind::Closed`]. A log that is only dropped ends in the same way,
    /// but nobody knows when.
    pub async fn close(&self) {
        self.writer.close().await;
    }

    /// Its id, which it keeps.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The settings it was opened with.
    #[must_use]
    pub fn settings(&self) -> &AuditSettings {
        &self.settings
    }

    /// The record's id and its canonical form, an id and a time added where it has none.
    fn written(&self, record: &AuditRecord) -> Result<(String, String), Error> {
        if record.id.is_empty() || record.time == DateTime::UNIX_EPOCH {
            let mut record = record.clone();
            if record.id.is_empty() {
                record.id = Uuid::now_v7().to_string();
            }
            if record.time == DateTime::UNIX_EPOCH {
                record.time = self.clock.now();
            }
            let text = record.to_json()?;
            return Ok((record.id, text));
        }
        Ok((record.id.clone(), record.to_json()?))
    }
}

fn closed() -> Error {
    Error::new(
        ErrorKind::Closed,
        "the audit log's writer has stopped, open it again",
    )
}
