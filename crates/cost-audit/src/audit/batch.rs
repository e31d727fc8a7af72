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

/// Tells who waits for a record that it is durable, or why it is not in the log.
pub(super) type Reply = oneshot::Sender<Result<Place, Error>>;

/// Records, oldest first, each with who waits for it.
///
/// They lie in memory that the queue and the writer take turns with: a text for each, which one thread makes and another drops, costs
/// an allocator more than the copy does.
#[derive(Debug, Default)]
pub(super) struct Batch {
    text: String,
    /// In bytes.
    lengths: Vec<usize>,
    replies: Vec<Reply>,
}

impl Batch {
    /// Adds a record, in canonical form.
    pub(super) fn push(&mut self, record: &str, reply: Reply) {
        self.text.push_str(record);
        self.lengths.push(record.len());
        self.replies.push(reply);
    }

    pub(super) fn len(&self) -> usize {
        self.replies.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    pub(super) fn records(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.text.as_str();
        self.lengths.iter().map(move |length| {
            let (record, after) = rest.split_at(*length);
            rest = after;
            record
        })
    }

    /// Empties it, and gives out who waits.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Reply> {
        self.text.clear();
        self.lengths.clear();
        self.replies.drain(..)
    }
}
