//! Reads a whole log and proves its chain, or names the first record that breaks it.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::canonical;
use super::logs::stated_id;
use super::seal::{Seal, SealBody};
use super::segment::{self, Line, RawLine, Segment};
use crate::error::Error;

/// What [`verify`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Segments read.
    pub segments: u64,
    /// Records proven, up to the first problem.
    pub records: u64,
    /// Sequence number of the first record.
    pub first_sequence: Option<u64>,
    /// Sequence number of the last proven record.
    pub last_sequence: Option<u64>,
    /// Its hash: keep it elsewhere, and a later cut of the end can be proven too.
    pub last_hash: Option<String>,
    /// Segments whose seal was there and right.
    pub sealed_segments: u64,
    /// Segments before the first record here: shipped, deleted, and continued after by their seals. What they hold is proven only
    /// where they were shipped to.
    pub deleted_segments: u64,
    /// The log's id, where a file, its folder or a seal says it.
    pub log_id: Option<String>,
    /// The servers that the proven records name, in order of their names.
    pub nodes: BTreeSet<String>,
    /// Bytes of an incomplete last line: a write under way, or one that a crash tore.
    pub torn_bytes: u64,
    /// The first problem, if there is one.
    pub problem: Option<Problem>,
}

impl VerifyReport {
    /// Whether the chain is whole.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        self.problem.is_none()
    }
}

/// The first place where a chain breaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Problem {
    /// The segment's file name.
    pub segment: String,
    /// The line in it, counted from 1.
    pub line: u64,
    /// Where the line begins in the file.
    pub offset: u64,
    /// The sequence number that belongs there.
    pub sequence: u64,
    /// What is wrong.
    pub kind: ProblemKind,
    /// What is wrong, in words.
    pub message: String,
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemKind {
    /// The line is no record in canonical form.
    Malformed,
    /// The record's content does not give its hash: it was edited.
    Edited,
    /// Records are missing before this one.
    Missing,
    /// The record's number is lower than the place it stands in: moved or repeated.
    Reordered,
    /// The number fits, but the record was chained to another one: spliced in from another log.
    Spliced,
    /// A seal does not agree with its segment, or its signature is wrong.
    BadSeal,
    /// A seal is of another log than the folder says: the segments of another server were put in place of this one's.
    Foreign,
    /// The log ends before a record that is known to have been in it.
    CutEnd,
}

/// Verifies the log in `directory`.
///
/// Reads only, and also while the log is being written. After a power failure the log has to be opened first, which repairs its
/// last segment.
///
/// # Errors
/// [`ErrorKind::Unreadable`](crate::ErrorKind::Unreadable) when the files cannot be read; a broken chain is a report, not an error.
pub fn verify(directory: &Path) -> Result<VerifyReport, Error> {
    verify_with(directory, &VerifyOptions::default())
}

/// What is known from elsewhere, and must be so in the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// The public key, in hexadecimal, that every finished segment must be signed with.
    pub public_key: Option<String>,
    /// A record that is known to be in the log, by number and hash: an audit receipt, or an earlier report's last record.
    ///
    /// It proves what the chain alone cannot: that the end was not cut off, and that the whole log was not rewritten.
    pub known_record: Option<(u64, String)>,
}

/// Verifies the log in `directory` against what is known of it.
///
/// # Errors
/// Those of [`verify`].
pub fn verify_with(directory: &Path, options: &VerifyOptions) -> Result<VerifyReport, Error> {
    let mut walk = Walk::default();
    walk.report.log_id = stated_id(directory)?;
    let deleted = segment::deleted(directory)?;
    for segment in &deleted {
        walk.deleted(segment, options)?;
        if walk.report.problem.is_some() {
            return Ok(walk.report);
        }
    }
    let segments = segment::list(directory)?;
    let last = segments.len().saturating_sub(1);
    for (index, segment) in segments.iter().enumerate() {
        walk.segment(segment, index == last, options)?;
        if walk.report.problem.is_some() {
            return Ok(walk.report);
        }
    }
    if let Some((sequence, _)) = &options.known_record
        && walk.next <= *sequence
    {
        walk.report.problem = Some(Problem {
            segment: segments.last().map(Segment::name).unwrap_or_default(),
            line: 0,
            offset: 0,
            sequence: walk.next,
            kind: ProblemKind::CutEnd,
            message: format!(
                "the log ends before record {sequence}, which is known to have been in it"
            ),
        });
    }
    Ok(walk.report)
}

#[derive(Debug)]
struct Walk {
    report: VerifyReport,
    previous: String,
    next: u64,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            report: VerifyReport::default(),
            previous: canonical::GENESIS.to_owned(),
            next: 1,
        }
    }
}

impl Walk {
    /// Goes on after a segment of which the seal is left.
    fn deleted(&mut self, segment: &Segment, options: &VerifyOptions) -> Result<(), Error> {
        let first = self.next;
        let sealed = match Seal::read(segment)? {
            None => Err("the seal is gone".to_owned()),
            Some(Err(error)) => Err(format!("the seal cannot be read: {error}")),
            Some(Ok(seal))
                if (&seal.body.segment, seal.body.first_sequence) != (&segment.name(), first) =>
            {
                Err(format!(
                    "the seal is not of the segment that begins with record {first}"
                ))
            }
            Some(Ok(seal)) => seal
                .check_signature(options.public_key.as_deref())
                .map(|()| seal.body),
        };
        match sealed {
            Ok(body) => {
                self.report.deleted_segments += 1;
                if let Err(message) = self.same_log(&body) {
                    self.fail(segment, (0, 0), ProblemKind::Foreign, message);
                }
                self.previous = body.last_hash;
                self.next = body.last_sequence + 1;
            }
            Err(message) => self.fail(segment, (0, 0), ProblemKind::BadSeal, message),
        }
        Ok(())
    }

    fn segment(
        &mut self,
        segment: &Segment,
        is_last: bool,
        options: &VerifyOptions,
    ) -> Result<(), Error> {
        self.report.segments += 1;
        let first = self.next;
        let mut bytes = 0;
        let mut place = (0, 0);
        let mut lines = segment.lines()?;
        while let Some(line) = lines.next()? {
            if !line.complete && is_last {
                self.report.torn_bytes = line.bytes.len() as u64;
                break;
            }
            if let Err((kind, message)) = self.line(&line, options) {
                self.fail(segment, (line.number, line.offset), kind, message);
                return Ok(());
            }
            bytes += line.bytes.len() as u64 + 1;
            place = (line.number, line.offset);
        }
        let sealed = match Seal::read(segment)? {
            // The segment that is being written has no seal yet.
            None if is_last || options.public_key.is_none() => return Ok(()),
            None => Err("the segment has no seal".to_owned()),
            Some(Err(error)) => Err(format!("the seal cannot be read: {error}")),
            Some(Ok(seal)) => {
                if let Err(message) = self.same_log(&seal.body) {
                    self.fail(segment, place, ProblemKind::Foreign, message);
                    return Ok(());
                }
                let body = &seal.body;
                let stated = (
                    &body.segment,
                    body.first_sequence,
                    body.last_sequence,
                    body.bytes,
                );
                if stated != (&segment.name(), first, self.next - 1, bytes)
                    || body.last_hash != self.previous
                {
                    Err("the segment is not what its seal says: records were cut off, or the seal is another's".to_owned())
                } else {
                    seal.check_signature(options.public_key.as_deref())
                }
            }
        };
        match sealed {
            Ok(()) => self.report.sealed_segments += 1,
            Err(message) => self.fail(segment, place, ProblemKind::BadSeal, message),
        }
        Ok(())
    }

    /// Compares the id of a seal with that of the log, which is the first that is known.
    fn same_log(&mut self, body: &SealBody) -> Result<(), String> {
        let Some(sealed) = &body.log_id else {
            return Ok(());
        };
        let known = self.report.log_id.get_or_insert_with(|| sealed.clone());
        if known == sealed {
            return Ok(());
        }
        Err(format!(
            "the seal is of the log {sealed}, and this is {known}"
        ))
    }

    fn fail(&mut self, segment: &Segment, place: (u64, u64), kind: ProblemKind, message: String) {
        self.report.problem = Some(Problem {
            segment: segment.name(),
            line: place.0,
            offset: place.1,
            sequence: self.next,
            kind,
            message,
        });
    }

    fn line(
        &mut self,
        raw: &RawLine<'_>,
        options: &VerifyOptions,
    ) -> Result<(), (ProblemKind, String)> {
        let malformed = |message: &str| (ProblemKind::Malformed, message.to_owned());
        let line: Line<'_> = serde_json::from_slice(raw.bytes)
            .map_err(|error| malformed(&format!("the line is no audit record: {error}")))?;
        let record = line.record.get();
        let value: Value = serde_json::from_str(record)
            .map_err(|error| malformed(&format!("the record is no JSON: {error}")))?;
        let mut expected = Vec::with_capacity(raw.bytes.len() + 1);
        let text = canonical::to_string(&value);
        canonical::write_line(
            &mut expected,
            line.hash,
            line.previous,
            &text,
            line.sequence,
        );
        expected.pop();
        if expected != raw.bytes {
            return Err(malformed("the line is not in the form flowlake writes"));
        }
        if !line.proves_itself() {
            return Err((
                ProblemKind::Edited,
                format!(
                    "record {} does not give its hash: it was edited",
                    line.sequence
                ),
            ));
        }
        self.place(&line)?;
        if let Some((sequence, hash)) = &options.known_record
            && *sequence == line.sequence
            && *hash != line.hash
        {
            return Err((
                ProblemKind::Spliced,
                format!(
                    "record {sequence} is not the one that is known to have been there: the log was rewritten"
                ),
            ));
        }
        self.report.records += 1;
        if let Some(Value::String(node)) = value.get("node")
            && !self.report.nodes.contains(node)
        {
            self.report.nodes.insert(node.clone());
        }
        self.report.first_sequence.get_or_insert(line.sequence);
        self.report.last_sequence = Some(line.sequence);
        self.report.last_hash = Some(line.hash.to_owned());
        line.hash.clone_into(&mut self.previous);
        self.next = line.sequence + 1;
        Ok(())
    }

    fn place(&self, line: &Line<'_>) -> Result<(), (ProblemKind, String)> {
        let (found, next) = (line.sequence, self.next);
        if found > next {
            return Err((
                ProblemKind::Missing,
                format!(
                    "record {found} stands where {next} belongs: {} missing before it",
                    found - next
                ),
            ));
        }
        if found < next {
            return Err((
                ProblemKind::Reordered,
                format!("record {found} stands where {next} belongs: it was moved or repeated"),
            ));
        }
        if line.previous != self.previous {
            return Err((
                ProblemKind::Spliced,
                format!("record {found} is chained to another record than the one before it"),
            ));
        }
        Ok(())
    }
}
