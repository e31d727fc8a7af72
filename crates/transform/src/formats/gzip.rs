//! gzip (RFC 1952): members one after the other, each a DEFLATE stream with its checksum, decompressed as their bytes come.
//!
//! Decompressing is what takes longest of all that is done to a compressed file, and one thread does it, so it is done here:
//! [`inflate`] takes about 0.6 times as long as zlib-rs over exports of contact centres (`cargo xtask bench gunzip`), and needs
//! no whole file as libdeflate does.

mod codes;
mod inflate;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use self::inflate::{Corrupt, Inflate, Input, PADDING_BYTES, Stopped};

const FIXED_HEADER_BYTES: usize = 10;
/// CRC-32 and length of the plain bytes.
const TRAILER_BYTES: usize = 8;
/// A header with a longer name or comment is none.
const LONGEST_HEADER_BYTES: usize = 256 << 10;

/// Where a decoder is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Body,
    Trailer,
    Failed,
}

/// What a decoder has.
#[derive(Debug)]
pub(crate) enum Next {
    /// Plain bytes.
    Piece(Bytes),
    /// Nothing before more bytes are pushed, or the end is told.
    NeedsInput,
    /// The end of a file that was whole.
    End,
    /// The file is damaged, or cut off.
    Corrupt,
}

/// A decoder of one file.
pub(crate) struct Gunzip {
    stage: Stage,
    inflate: Inflate,
    input: Vec<u8>,
    /// Bytes of `input` that are done with.
    done: usize,
    /// No more bytes come, and `input` has been padded.
    ended: bool,
    has_member: bool,
    checksum: Digest,
    plain_bytes: u32,
}

impl Gunzip {
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Header,
            inflate: Inflate::new(),
            input: Vec::new(),
            done: 0,
            ended: false,
            has_member: false,
            checksum: Digest::new(CrcAlgorithm::Crc32IsoHdlc),
            plain_bytes: 0,
        }
    }

    /// Takes the next bytes of the file.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.input.drain(..self.done);
        self.done = 0;
        self.input.extend_from_slice(bytes);
    }

    /// No more bytes come.
    pub(crate) fn end(&mut self) {
        self.push(&[0; PADDING_BYTES]);
        self.ended = true;
    }

    /// Goes on as far as it gets. What was decompressed before a fault is given before it is told.
    pub(crate) fn next(&mut self) -> Next {
        let Ok(next) = self.advance() else {
            self.stage = Stage::Failed;
            // Behind the end, zeros may have been taken for data.
            let piece = if self.ended { None } else { self.piece() };
            return piece.map_or(Next::Corrupt, Next::Piece);
        };
        next
    }

    fn advance(&mut self) -> Result<Next, Corrupt> {
        loop {
            match self.stage {
                Stage::Header => {
                    let left = self.left();
                    if let Some(length) = header(left)? {
                        self.done += length;
                        self.stage = Stage::Body;
                        continue;
                    }
                    return match (self.ended, left.is_empty() && self.has_member) {
                        (false, _) => Ok(Next::NeedsInput),
                        (true, true) => Ok(Next::End),
                        (true, false) => Err(Corrupt),
                    };
                }
                Stage::Body => {
                    let mut input = Input {
                        bytes: &self.input,
                        at: self.done,
                        padded: self.ended,
                    };
                    let stopped = self.inflate.run(&mut input);
                    self.done = input.at;
                    let stopped = stopped?;
                    if stopped == Stopped::Ended {
                        self.stage = Stage::Trailer;
                    }
                    match self.piece() {
                        Some(piece) => return Ok(Next::Piece(piece)),
                        None if stopped == Stopped::NeedsInput => return Ok(Next::NeedsInput),
                        None => {}
                    }
                }
                Stage::Trailer => {
                    let trailer = self.left().first_chunk::<TRAILER_BYTES>();
                    let Some([a, b, c, d, length @ ..]) = trailer else {
                        return if self.ended {
                            Err(Corrupt)
                        } else {
                            Ok(Next::NeedsInput)
                        };
                    };
                    let checksum = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
                    if checksum != self.checksum.finalize()
                        || u32::from_le_bytes(*length) != self.plain_bytes
                    {
                        return Err(Corrupt);
                    }
                    self.done += TRAILER_BYTES;
                    self.has_member = true;
                    self.stage = Stage::Header;
                    self.inflate.restart();
                    self.checksum.reset();
                    self.plain_bytes = 0;
                }
                Stage::Failed => return Err(Corrupt),
            }
        }
    }

    /// Bytes of the file that are not done with.
    fn left(&self) -> &[u8] {
        let padding = if self.ended { PADDING_BYTES } else { 0 };
        &self.input[self.done..self.input.len() - padding]
    }

    fn piece(&mut self) -> Option<Bytes> {
        let piece = Bytes::copy_from_slice(self.inflate.piece());
        self.checksum.update(&piece);
        // The trailer has the length modulo 2^32.
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a piece is far below 4 GiB"
        )]
        let length = piece.len() as u32;
        self.plain_bytes = self.plain_bytes.wrapping_add(length);
        self.inflate.taken();
        (!piece.is_empty()).then_some(piece)
    }
}

/// Length of the header that `input` begins with; `None` when there is not enough of it.
fn header(input: &[u8]) -> Result<Option<usize>, Corrupt> {
    const METHOD_DEFLATE: u8 = 8;
    const HAS_CHECKSUM: u8 = 1 << 1;
    const HAS_EXTRA: u8 = 1 << 2;
    const HAS_NAME: u8 = 1 << 3;
    const HAS_COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0b1110_0000;

    let known = [0x1f, 0x8b, METHOD_DEFLATE];
    let seen = input.len().min(known.len());
    if input[..seen] != known[..seen] {
        return Err(Corrupt);
    }
    let more = |length: usize| {
        if length > LONGEST_HEADER_BYTES {
            Err(Corrupt)
        } else {
            Ok(None)
        }
    };
    let Some(&flags) = input.get(3) else {
        return Ok(None);
    };
    if flags & RESERVED != 0 {
        return Err(Corrupt);
    }
    let mut length = FIXED_HEADER_BYTES;
    if flags & HAS_EXTRA != 0 {
        let Some(&[low, high]) = input.get(length..length + 2) else {
            return Ok(None);
        };
        length += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for text in [HAS_NAME, HAS_COMMENT] {
        if flags & text != 0 {
            let end = input.get(length..).and_then(|rest| memchr::memchr(0, rest));
            let Some(end) = end else {
                return more(input.len());
            };
            length += end + 1;
        }
    }
    if flags & HAS_CHECKSUM != 0 {
        let Some(&[low, high]) = input.get(length..length + 2) else {
            return more(input.len());
        };
        let whole = crc_fast::checksum(CrcAlgorithm::Crc32IsoHdlc, &input[..length]);
        if whole & 0xffff != u64::from(u16::from_le_bytes([low, high])) {
            return Err(Corrupt);
        }
        length += 2;
    }
    Ok((length <= input.len()).then_some(length))
}
