//! The file of one piece: a mark, a checksum, and the bytes.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    ops::Range,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

/// Objects are cut at multiples of it.
const PIECE_BYTES: u64 = 2 << 20;
/// What a file begins with. Another layout is another mark.
const MARK: &[u8; 8] = b"flpiece1";
/// The mark and the checksum.
const HEAD_BYTES: usize = 16;
/// A file that is used is marked at most this often: a finer time would not change what is removed.
const USED_AGAIN: Duration = Duration::from_secs(30);

/// A range, cut at the borders of pieces.
pub(super) fn cut(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let end = range.end.min((start / PIECE_BYTES + 1) * PIECE_BYTES);
        let piece = start..end;
        start = end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// The whole piece that a byte of an object of `size` bytes is in.
pub(super) fn around(place: u64, size: u64) -> Range<u64> {
    let start = place / PIECE_BYTES * PIECE_BYTES;
    start..size.min(start + PIECE_BYTES)
}

/// Writes a file beside its place, and then moves it there.
pub(super) fn write(
    part: &Path,
    path: &Path,
    id: &str,
    range: &Range<u64>,
    bytes: &[Bytes],
) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = match options.open(part) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = part.parent() {
                DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(folder)?;
            }
            options.open(part)?
        }
        opened => opened?,
    };
    file.write_all(MARK)?;
    file.write_all(&checksum(id, range, bytes.iter().map(|bytes| &bytes[..])))?;
    for bytes in bytes {
        file.write_all(bytes)?;
    }
    drop(file);
    fs::rename(part, path)
}

/// The bytes of a file. `None` when there is none, or not what was written; it is then removed.
pub(super) fn read(path: &Path, id: &str, range: &Range<u64>) -> Option<Bytes> {
    let file = File::open(path).ok()?;
    let bytes = read_whole(&file, id, range);
    if bytes.is_none() {
        tracing::warn!("a piece in the cache of objects is damaged and was removed");
        // Another process may have removed it.
        fs::remove_file(path).ok();
        return None;
    }
    mark_used(&file);
    bytes
}

fn read_whole(file: &File, id: &str, range: &Range<u64>) -> Option<Bytes> {
    let length = usize::try_from(range.end - range.start).ok()?;
    let mut content = Vec::with_capacity(HEAD_BYTES + length + 1);
    // One byte more than it should have, so that a longer file is seen.
    let most = (HEAD_BYTES + length) as u64 + 1;
    file.take(most).read_to_end(&mut content).ok()?;
    if content.len() != HEAD_BYTES + length {
        return None;
    }
    let (head, bytes) = content.split_at(HEAD_BYTES);
    let (mark, sum) = head.split_at(MARK.len());
    let is_whole = mark == MARK && sum == checksum(id, range, std::iter::once(bytes));
    is_whole.then(|| Bytes::from(content).slice(HEAD_BYTES..))
}

/// Over the bytes and what they are of, so that a file under a wrong name is noticed.
fn checksum<'a>(id: &str, range: &Range<u64>, bytes: impl Iterator<Item = &'a [u8]>) -> [u8; 8] {
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    digest.update(id.as_bytes());
    digest.update(&range.start.to_le_bytes());
    digest.update(&range.end.to_le_bytes());
    for bytes in bytes {
        digest.update(bytes);
    }
    digest.finalize().to_le_bytes()
}

/// The time of a file's change is when it was last used.
fn mark_used(file: &File) {
    let now = super::cache_space::now();
    let used = file.metadata().and_then(|found| found.modified());
    let is_old = used.is_ok_and(|used| {
        now.duration_since(used)
            .is_ok_and(|since| since > USED_AGAIN)
    });
    if is_old {
        // The file may be gone, or the disk read-only: then it is the sooner removed.
        file.set_modified(now).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECE_BYTES, around, cut};

    #[test]
    fn ranges_are_cut_at_the_borders_of_pieces() {
        let piece = PIECE_BYTES;
        let ends = |range| {
            cut(range)
                .map(|piece| (piece.start, piece.end))
                .collect::<Vec<_>>()
        };
        assert_eq!(ends(0..10), [(0, 10)]);
        assert_eq!(ends(5..piece), [(5, piece)]);
        let over = 2 * piece + 1;
        assert_eq!(
            ends(5..over),
            [(5, piece), (piece, 2 * piece), (2 * piece, over)]
        );
        assert_eq!(ends(7..7), []);
        assert_eq!(around(0, 10), 0..10);
        assert_eq!(around(piece, piece + 5), piece..piece + 5);
        assert_eq!(around(piece - 1, piece + 5), 0..piece);
    }
}
