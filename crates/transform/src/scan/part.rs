//! The reading of a part of a file of plain text: a range of its bytes, which another machine reads the rest of.
//!
//! A part has the lines that begin in its range, or right behind the byte before it. Where a record has several lines, that may cut it
//! in two. Each part but the last therefore has to end with a record: the first part begins with one, so if all parts end with one,
//! all begin with one. Of a part that does not, nothing is known but that the file cannot be read so
//! ([`ErrorKind::FilesDivided`]).

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use datafusion::common::{Result, runtime::SpawnedTask};
use encoding_rs::UTF_8;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use memchr::memchr;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, path::Path};

use super::{
    TableScan,
    head::{self, HEAD_BYTES, Head},
    inspect::{self, Facts},
    opener::external,
};
use crate::{
    Compression, Error, ErrorKind,
    formats::{
        LONGEST_RECORD_BYTES,
        bytes::{ByteStream, Transcoder},
        chunk::{Asked, Chunked},
        chunk_reader::CsvStart,
        json_chunks::JsonChunks,
        misfit::Misfits,
    },
};

/// Bytes behind a part that are read at first, for the end of its last line.
const TAIL_BYTES: u64 = 64 << 10;
/// How much more is read when that was not enough.
const TAIL_GROWTH: u64 = 4;

/// Whether the parts of a file can be found.
pub(crate) fn is_divisible(facts: &Facts) -> bool {
    facts.is_cut()
        && facts.compression == Compression::None
        && facts.encoding == UTF_8
        && (facts.is_lines() || facts.csv.footer_lines == 0)
}

/// Whether the end of each line is that of a record, so that nothing has to be proved.
pub(crate) fn is_certain(facts: &Facts) -> bool {
    let dialect = facts.csv.dialect;
    facts.is_lines() || (dialect.quote.is_none() && dialect.escape.is_none())
}

/// A part, and what the head of its file says.
pub(crate) struct Part {
    pub(crate) facts: Arc<Facts>,
    /// How rows are decoded.
    pub(crate) chunked: Box<dyn Chunked>,
    /// The lines of the part.
    pub(crate) bytes: ByteStream,
    /// What to say when it does not end with a record; nothing for the last part.
    pub(crate) end: Option<PartEnd>,
}

/// The end of a part that another one follows.
pub(crate) struct PartEnd {
    scan: Arc<TableScan>,
    is_certain: bool,
}

impl PartEnd {
    /// Notes that the part was read to its end, which has to be that of a record.
    pub(crate) fn reached(&self, between_records: bool) -> Result<(), Error> {
        if !between_records {
            return Err(not_divisible());
        }
        if !self.is_certain {
            self.scan.meter.part_proved();
        }
        Ok(())
    }
}

impl Part {
    /// Looks into the head of the file, and begins to read.
    pub(crate) async fn open(
        scan: &Arc<TableScan>,
        store: &Arc<dyn ObjectStore>,
        file: &ObjectMeta,
        range: Range<u64>,
        asked: &Asked,
        misfits: &Misfits,
    ) -> Result<Self> {
        let path = &file.location;
        let head = match scan.heads.get(path) {
            Some(head) => head,
            None => head::read(store.as_ref(), path, file.size, HEAD_BYTES).await?,
        };
        scan.heads.keep(path, &head);
        let looking = {
            let (scan, head, asked) = (Arc::clone(scan), head.clone(), asked.clone());
            let (path, misfits) = (path.clone(), misfits.clone());
            SpawnedTask::spawn_blocking(move || look(&scan, &path, &head, &asked, &misfits))
        };
        let looked = looking.await.map_err(|_panicked| {
            let message = "a file could not be looked into";
            external(Error::new(ErrorKind::Internal, message))
        })?;
        let Looked {
            facts,
            chunked,
            first,
        } = looked.map_err(external)?;
        let lines = Lines {
            store: Arc::clone(store),
            head,
            file: file.clone(),
            at: range.start.saturating_sub(1),
            started: range.start == 0,
            first,
            end: range.end,
            tail: TAIL_BYTES,
            arriving: None,
            ended: false,
        };
        let is_last = range.end >= file.size;
        Ok(Self {
            end: (!is_last).then(|| PartEnd {
                scan: Arc::clone(scan),
                is_certain: is_certain(&facts),
            }),
            facts,
            chunked,
            bytes: futures::stream::try_unfold(lines, Lines::next).boxed(),
        })
    }
}

/// What the head of a file says.
struct Looked {
    facts: Arc<Facts>,
    /// How rows are decoded.
    chunked: Box<dyn Chunked>,
    /// The place of the first one.
    first: u64,
}

fn look(
    scan: &TableScan,
    path: &Path,
    head: &Head,
    asked: &Asked,
    misfits: &Misfits,
) -> Result<Looked, Error> {
    let facts = match scan.known(path) {
        Some(facts) => facts,
        None => {
            let beginning = head.beginning(HEAD_BYTES);
            let found = inspect::examine_here(
                &scan.spec,
                &misfits.file,
                &beginning,
                inspect::Looking::ForFormat,
            )?;
            let facts = Arc::new(found.facts);
            scan.learn(path, Arc::clone(&facts));
            facts
        }
    };
    if !is_divisible(&facts) {
        return Err(not_divisible());
    }
    let text = Transcoder::new(facts.encoding).push(head.bytes.clone(), head.whole);
    let text = text.unwrap_or_default();
    let mark = head.bytes.len() - text.len();
    if facts.is_lines() {
        return Ok(Looked {
            facts,
            chunked: Box::new(JsonChunks::new(asked.clone())),
            first: mark as u64,
        });
    }
    let mut start = CsvStart::new(asked.clone(), facts.csv.clone(), misfits.clone());
    let found = start.next(&text, head.whole)?.ok_or_else(not_divisible)?;
    Ok(Looked {
        facts,
        chunked: Box::new(found.chunks),
        first: (mark + found.skip) as u64,
    })
}

pub(crate) fn not_divisible() -> Error {
    Error::new(
        ErrorKind::FilesDivided,
        "a file was divided among workers where no record ends",
    )
}

/// The lines that begin in a range.
struct Lines {
    store: Arc<dyn ObjectStore>,
    head: Head,
    file: ObjectMeta,
    /// The place of the next byte.
    at: u64,
    /// Whether the first line has been found.
    started: bool,
    /// The place of the first row of the file.
    first: u64,
    /// Lines that begin here or later are not ours.
    end: u64,
    /// Bytes to read next for the end of the last line.
    tail: u64,
    arriving: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    ended: bool,
}

impl Lines {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            if self.ended {
                return Ok(None);
            }
            let Some(arriving) = &mut self.arriving else {
                self.ask().await?;
                continue;
            };
            let Some(bytes) = arriving.try_next().await.map_err(io::Error::other)? else {
                self.arriving = None;
                continue;
            };
            let ours = self.ours(bytes);
            if !ours.is_empty() {
                return Ok(Some((ours, self)));
            }
        }
    }

    /// Asks for the range, or for more behind it.
    async fn ask(&mut self) -> io::Result<()> {
        let size = self.file.size;
        if self.at >= size {
            self.ended = true;
            return Ok(());
        }
        let end = if self.at < self.end {
            self.end
        } else {
            if self.at - self.end > LONGEST_RECORD_BYTES as u64 {
                return Err(io::Error::other(not_divisible()));
            }
            let tail = self.tail;
            self.tail *= TAIL_GROWTH;
            self.at + tail
        };
        let options = GetOptions {
            range: Some(GetRange::Bounded(self.at..end.min(size))),
            ..GetOptions::default()
        };
        let path = &self.file.location;
        let found = self.store.get_opts(path, options).await;
        let found = found.map_err(io::Error::other)?;
        if found.meta.e_tag != self.head.e_tag {
            return Err(io::Error::other(object_store::Error::Precondition {
                path: path.to_string(),
                source: "the object was replaced between two requests".into(),
            }));
        }
        self.arriving = Some(found.into_stream());
        Ok(())
    }

    /// The bytes of our lines among those that come next.
    fn ours(&mut self, mut bytes: Bytes) -> Bytes {
        let mut place = self.at;
        self.at += bytes.len() as u64;
        // The line end that makes the first line of the next part: the same for both.
        let last = self.end - 1;
        if !self.started {
            let Some(newline) = memchr(b'\n', &bytes) else {
                return Bytes::new();
            };
            self.started = true;
            self.ended = place + newline as u64 >= last && self.end < self.file.size;
            if self.ended {
                return Bytes::new();
            }
            place += newline as u64 + 1;
            bytes = bytes.slice(newline + 1..);
        }
        if self.end < self.file.size && self.at > last {
            let from = usize::try_from(last.saturating_sub(place)).unwrap_or(usize::MAX);
            let newline = bytes.get(from..).and_then(|rest| memchr(b'\n', rest));
            if let Some(newline) = newline {
                bytes.truncate(from + newline + 1);
                self.ended = true;
            }
        }
        let before = usize::try_from(self.first.saturating_sub(place)).unwrap_or(usize::MAX);
        bytes.slice(before.min(bytes.len())..)
    }
}

#[cfg(test)]
mod tests {
    use futures::{TryStreamExt, stream};
    use object_store::{ObjectStoreExt, memory::InMemory};

    use super::*;

    /// The bytes of all parts of a text, cut at each of these places.
    async fn parts(text: &str, first: u64, cuts: &[u64]) -> Vec<String> {
        let store = InMemory::new();
        let path = Path::from("f");
        store.put(&path, text.to_owned().into()).await.unwrap();
        let file = store.head(&path).await.unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(store);
        let head = head::read(store.as_ref(), &path, file.size, HEAD_BYTES);
        let head = head.await.unwrap();
        let places: Vec<u64> = [&[0], cuts, &[file.size]].concat();
        let mut found = Vec::new();
        for ends in places.windows(2) {
            let lines = Lines {
                store: Arc::clone(&store),
                head: head.clone(),
                file: file.clone(),
                at: ends[0].saturating_sub(1),
                started: ends[0] == 0,
                first,
                end: ends[1],
                tail: 1,
                arriving: None,
                ended: false,
            };
            let bytes = stream::try_unfold(lines, Lines::next);
            let bytes: Vec<Bytes> = bytes.try_collect().await.unwrap();
            found.push(String::from_utf8(bytes.concat()).unwrap());
        }
        found
    }

    #[tokio::test]
    async fn each_line_is_in_one_part_wherever_the_cuts_are() {
        let texts = ["a\nbb\n\nccc\n", "a\r\nb\r\nc", "no end", "\n\n\n", "a\n"];
        for text in texts {
            let size = text.len() as u64;
            for one in 1..size {
                for other in one + 1..=size - 1 {
                    for first in [0, 1] {
                        let found = parts(text, first, &[one, other]).await;
                        let mut place = usize::try_from(first).unwrap();
                        assert_eq!(found.concat(), text[place..], "{text:?} {one} {other}");
                        for part in found.iter().filter(|part| !part.is_empty()) {
                            let is_first = place as u64 == first;
                            assert!(is_first || text[..place].ends_with('\n'));
                            place += part.len();
                        }
                    }
                }
            }
        }
        assert_eq!(
            parts("a\nbb\nc\n", 0, &[1, 3]).await,
            ["a\n", "bb\n", "c\n"]
        );
        assert_eq!(parts("a\nbb\nc\n", 2, &[2, 5]).await, ["", "bb\n", "c\n"]);
    }
}
