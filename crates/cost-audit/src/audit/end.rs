//! Where the chain of an opened log goes on, by its last segment and the journal.

use std::path::Path;

use chrono::NaiveDate;

use super::batch::Place;
use super::canonical;
use super::journal::JournalRecord;
use super::record::AuditRecord;
use super::seal::Seal;
use super::segment::{self, Line, Segment};
use crate::error::{Error, ErrorKind};

/// What is known to be on disk, and where the chain goes on.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// Bytes of the open segment.
    pub(super) bytes: u64,
    pub(super) previous: String,
    pub(super) next: u64,
    /// The day of the segment's records.
    pub(super) day: Option<NaiveDate>,
}

impl End {
    /// Where a log goes on without a segment: at its beginning, or after what was deleted of it.
    pub(super) fn after_deleted(directory: &Path) -> Result<Self, Error> {
        let mut end = Self {
            bytes: 0,
            previous: canonical::GENESIS.to_owned(),
            next: 1,
            day: None,
        };
        let Some(last) = segment::deleted(directory)?.pop() else {
            return Ok(end);
        };
        let seal = Seal::read(&last)?.and_then(Result::ok).ok_or_else(|| {
            let path = last.seal_path();
            let message = format!("{} is no seal, and its segment is deleted", path.display());
            Error::new(ErrorKind::Broken, message)
        })?;
        end.previous = seal.body.last_hash;
        end.next = seal.body.last_sequence + 1;
        Ok(end)
    }

    /// Finds the end of the last whole line of the last segment, or of the last line before one that differs from the journal;
    /// `start` when there is no line.
    pub(super) fn read(
        segments: &[Segment],
        kept: &[JournalRecord],
        start: Self,
    ) -> Result<Self, Error> {
        let mut end = start;
        let Some((last, earlier)) = segments.split_last() else {
            return Ok(end);
        };
        let mut found = None;
        let mut lines = last.lines()?;
        while let Some(line) = lines.next()? {
            let sequence = last.first + line.number - 1;
            let stands = line.complete
                && match in_journal(sequence, kept) {
                    InJournal::Before => true,
                    InJournal::Line(kept) if kept.line == line.bytes => true,
                    // A power failure leaves no line that proves itself.
                    InJournal::Line(_) if JournalRecord::of(line.bytes).is_some() => {
                        return Err(contradiction(last, sequence));
                    }
                    InJournal::Line(_) => false,
                    // Never acknowledged: without proof it is torn.
                    InJournal::Behind => JournalRecord::of(line.bytes).is_some(),
                };
            if !stands {
                tracing::warn!(
                    segment = last.name(),
                    bytes = line.bytes.len(),
                    "cut off a torn last line: a write that was never acknowledged, or that is in the journal"
                );
                break;
            }
            end.take(line.bytes, &mut Vec::new());
            found = Some(line.bytes.to_vec());
        }
        match found {
            Some(bytes) => end.continue_after(last, &bytes)?,
            // An empty segment goes on from the one before it.
            None => {
                end = Self::read(earlier, &[], end)?;
                end.start_segment();
            }
        }
        Ok(end)
    }

    /// Counts a line of the segment, and writes it.
    pub(super) fn take(&mut self, line: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(line);
        out.push(b'\n');
        self.bytes += line.len() as u64 + 1;
    }

    /// Chains a new record to the last, and writes its line.
    pub(super) fn chain(&mut self, record: &str, out: &mut Vec<u8>) -> Place {
        let from = out.len();
        let hash = canonical::chain_line(out, &self.previous, record, self.next);
        let sequence = self.next;
        hash.as_str().clone_into(&mut self.previous);
        self.next += 1;
        self.bytes += (out.len() - from) as u64;
        Place { sequence, hash }
    }

    pub(super) fn continue_after(&mut self, last: &Segment, bytes: &[u8]) -> Result<(), Error> {
        let broken = || {
            Error::new(
                ErrorKind::Broken,
                format!(
                    "the last record of {} is damaged, verify the log and move it away",
                    last.name()
                ),
            )
        };
        let line: Line<'_> =
            serde_json::from_slice(bytes).map_err(|error| broken().with_source(error))?;
        if !line.proves_itself() {
            return Err(broken());
        }
        line.hash.clone_into(&mut self.previous);
        self.next = line.sequence + 1;
        self.day = serde_json::from_str::<AuditRecord>(line.record.get())
            .ok()
            .map(|record| record.time.date_naive());
        Ok(())
    }

    pub(super) fn start_segment(&mut self) {
        self.bytes = 0;
        self.day = None;
    }
}

/// What the journal says of a line of the last segment.
enum InJournal<'a> {
    /// It begins later, or has nothing at all.
    Before,
    Line(&'a JournalRecord),
    /// It ends earlier.
    Behind,
}

fn in_journal(sequence: u64, kept: &[JournalRecord]) -> InJournal<'_> {
    let Some(place) = kept
        .first()
        .and_then(|first| sequence.checked_sub(first.sequence))
    else {
        return InJournal::Before;
    };
    let place = usize::try_from(place).unwrap_or(usize::MAX);
    kept.get(place).map_or(InJournal::Behind, InJournal::Line)
}

pub(super) fn contradiction(segment: &Segment, sequence: u64) -> Error {
    Error::new(
        ErrorKind::Broken,
        format!(
            "record {sequence} of {} is another than that of the journal, verify the log and move the false one away",
            segment.name()
        ),
    )
}
