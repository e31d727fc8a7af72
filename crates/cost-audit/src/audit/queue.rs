//! What waits for the writer, and how the writer waits for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::batch::{Batch, Reply, SealReply};
use super::gather::Gather;

/// Records on their way to the writer.
///
/// A channel would wake the writer for each of them; here it sleeps until there are as many as it waits for.
#[derive(Debug)]
pub(super) struct Queue {
    capacity: usize,
    /// A permit for each record that can still be put in. Callers get them in the order they asked.
    room: Semaphore,
    state: Mutex<State>,
    writer: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    /// How many the sleeping writer waits for; 0 while it does not sleep.
    wanted: usize,
    /// Whether one of the two sides is gone.
    closed: bool,
}

/// A record was not taken, because the writer is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// Why the queue gave the writer nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Empty {
    /// Nobody has brought a record yet.
    Idle,
    /// Nobody can bring one any more.
    Closed,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.min(Semaphore::MAX_PERMITS);
        Self {
            capacity,
            room: Semaphore::new(capacity),
            state: Mutex::default(),
            writer: Condvar::new(),
        }
    }

    /// Puts a record behind the others. While the queue is full, callers wait in order for the writer to empty it.
    pub(super) async fn push(&self, record: &str, reply: Reply) -> Result<(), Closed> {
        let permit = self.room.acquire().await.map_err(|_| Closed)?;
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        // The writer gives it back when it takes the record.
        permit.forget();
        state.waiting.push(record, reply);
        if state.waiting.len() == state.wanted {
            // The mutex is free when the writer wakes.
            drop(state);
            self.writer.notify_one();
        }
        Ok(())
    }

    /// Wakes the writer to seal the segment behind the records that wait.
    pub(super) fn seal(&self, reply: SealReply) -> Result<(), Closed> {
        let mut state = self.lock();
        if state.closed {
            return Err(Closed);
        }
        state.waiting.seal(reply);
        drop(state);
        self.writer.notify_one();
        Ok(())
    }

    /// Swaps the queued records for an empty batch, once as many as `gather` names are queued, or one has come within `idle`.
    pub(super) fn take(
        &self,
        gather: Gather,
        idle: Duration,
        batch: &mut Batch,
    ) -> Result<(), Empty> {
        let mut state = self.lock();
        if gather.records > 1 {
            state = self.wait(state, gather.records.min(self.capacity), gather.limit);
        }
        if state.waiting.is_empty() {
            state = self.wait(state, 1, idle);
        }
        if state.waiting.is_empty() {
            return Err(if state.closed {
                Empty::Closed
            } else {
                Empty::Idle
            });
        }
        std::mem::swap(&mut state.waiting, batch);
        drop(state);
        self.room.add_permits(batch.len());
        Ok(())
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Takes nothing any more; what waits can still be written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.room.close();
        self.writer.notify_one();
    }

    /// Without a writer, nothing that waits will be written.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting = Batch::default();
        drop(state);
        self.room.close();
    }

    /// Sleeps until `wanted` records are queued, at most for the time given.
    fn wait<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        wanted: usize,
        limit: Duration,
    ) -> MutexGuard<'a, State> {
        state.wanted = wanted;
        let (mut state, _) = self
            .writer
            .wait_timeout_while(state, limit, |state| {
                state.waiting.len() < wanted && !state.waiting.wants_seal() && !state.closed
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.wanted = 0;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
