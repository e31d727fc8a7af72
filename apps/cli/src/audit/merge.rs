//! The records of several logs, by their time.

use std::iter::Peekable;

use flowlake_cost_audit::{Error, audit::AuditEntry};

type Read = Result<AuditEntry, Error>;

/// See the module. Each log is in order already; the first error comes before all records.
pub(super) struct Merged<I: Iterator<Item = Read>>(Vec<Peekable<I>>);

impl<I: Iterator<Item = Read>> Merged<I> {
    pub(super) fn new(logs: Vec<I>) -> Self {
        Self(logs.into_iter().map(Iterator::peekable).collect())
    }
}

impl<I: Iterator<Item = Read>> Iterator for Merged<I> {
    type Item = Read;

    fn next(&mut self) -> Option<Read> {
        let Self(logs) = self;
        let first = logs
            .iter_mut()
            .enumerate()
            .filter_map(|(log, entries)| {
                let time = entries.peek()?.as_ref().ok().map(|entry| entry.record.time);
                Some((time, log))
            })
            .min()?;
        logs[first.1].next()
    }
}
