//! Records that are written and synced at once.

use tokio::sync::oneshot;

use super::canonical::Hash;
use crate::error::Error;

/// Where a record is in the log.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) sequence: u64,
    pub(super) hash: Hash,
}

/// Tells a caller that its record is durable, or why it is not in the log.
pub(super) type Reply = oneshot::Sender<Result<Place, Error>>;

/// Answers a caller that wants the open segment sealed.
pub(super) type SealReply = oneshot::Sender<Result<(), Error>>;

/// Records, oldest first, each with its caller's reply channel.
///
/// The queue and the writer swap two batches, and records are copied into one buffer: allocating a text in one thread and freeing it
/// in another costs more than the copy.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: String,
    /// In bytes.
    lengths: Vec<usize>,
    replies: Vec<Reply>,
    /// Callers that want the segment sealed behind these records.
    seals: Vec<SealReply>,
}

impl Batch {
    /// Adds a record, in canonical form.
    pub(super) fn push(&mut self, record: &str, reply: Reply) {
        self.text.push_str(record);
        self.lengths.push(record.len());
        self.replies.push(reply);
    }

    /// Asks for a seal behind the records.
    pub(super) fn seal(&mut self, reply: SealReply) {
        self.seals.push(reply);
    }

    /// Whether somebody asked for a seal.
    pub(super) fn wants_seal(&self) -> bool {
        !self.seals.is_empty()
    }

    /// The callers that asked for a seal.
    pub(super) fn drain_seals(&mut self) -> impl Iterator<Item = SealReply> {
        self.seals.drain(..)
    }

    /// Whether there is a record to write.
    pub(super) fn has_records(&self) -> bool {
        !self.replies.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.replies.len()
    }

    /// Whether there is nothing to do: no record and no seal.
    pub(super) fn is_empty(&self) -> bool {
        self.replies.is_empty() && self.seals.is_empty()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.text.as_str();
        self.lengths.iter().map(move |length| {
            let (record, after) = rest.split_at(*length);
            rest = after;
            record
        })
    }

    /// Clears the batch and returns the callers' reply channels.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Reply> {
        self.text.clear();
        self.lengths.clear();
        self.replies.drain(..)
    }
}
