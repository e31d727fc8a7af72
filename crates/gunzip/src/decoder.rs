//! The gzip container (RFC 1952): members one after the other, each a header, a DEFLATE stream and a trailer.

use std::fmt::{self, Debug};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};

use crate::codes::Corrupt;
use crate::inflate::{Inflate, Input, PADDING_BYTES, Stopped};

const FIXED_HEADER_BYTES: usize = 10;
/// CRC-32 and length of the plain bytes.
const TRAILER_BYTES: usize = 8;
/// A longer header, through its name or comment, is refused as damage.
const LONGEST_HEADER_BYTES: usize = 256 << 10;

/// The part of the file that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Header,
    Body,
    Trailer,
    Failed,
}

/// What [`Gunzip::step`] produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The next plain bytes; never empty.
    Piece(Bytes),
    /// All input is used up: [`Gunzip::push`] more, or call [`Gunzip::end`].
    NeedsInput,
    /// The file ended after a complete member.
    End,
    /// The file is damaged or truncated. Every further step returns this again.
    Corrupt,
}

/// A decoder of one gzip file.
pub struct Gunzip {
    stage: Stage,
    inflate: Inflate,
    input: Vec<u8>,
    /// Bytes of `input` that are decoded.
    done: usize,
    /// Whether [`Gunzip::end`] was called; `input` then ends with padding.
    ended: bool,
    has_member: bool,
    /// Whether zeros came behind the last member.
    padded: bool,
    checksum: Digest,
    plain_bytes: u32,
}

impl Debug for Gunzip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gunzip")
            .field("stage", &self.stage)
            .field("input_bytes", &(self.input.len() - self.done))
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Default for Gunzip {
    fn default() -> Self {
        Self::new()
    }
}

impl Gunzip {
    /// A decoder at the start of a file.
    #[must_use]
    pub fn new() -> Self {
        Self {
            stage: Stage::Header,
            inflate: Inflate::new(),
            input: Vec::new(),
            done: 0,
            ended: false,
            has_member: false,
            padded: false,
            checksum: Digest::new(CrcAlgorithm::Crc32IsoHdlc),
            plain_bytes: 0,
        }
    }

    /// Adds the next bytes of the file. They are buffered until [`Self::step`] decodes them.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.drain(..self.done);
        self.done = 0;
        self.input.extend_from_slice(bytes);
    }

    /// Marks the end of the file: no more bytes will be pushed.
    pub fn end(&mut self) {
        self.push(&[0; PADDING_BYTES]);
        self.ended = true;
    }

    /// Decodes until a piece is full, the input is used up or the file ends.
    ///
    /// Bytes in front of damage are returned before [`Step::Corrupt`].
    pub fn step(&mut self) -> Step {
        let Ok(step) = self.advance() else {
            self.stage = Stage::Failed;
            // After the end of the input, padding may have been decoded as data.
            let piece = if self.ended { None } else { self.piece() };
            return piece.map_or(Step::Corrupt, Step::Piece);
        };
        step
    }

    fn advance(&mut self) -> Result<Step, Corrupt> {
        loop {
            match self.stage {
                Stage::Header => {
                    if self.has_member {
                        self.pass_padding();
                    }
                    let left = self.left();
                    if self.padded && !left.is_empty() {
                        return Err(Corrupt);
                    }
                    if let Some(length) = header(left)? {
                        self.done += length;
                        self.stage = Stage::Body;
                        continue;
                    }
                    return match (self.ended, left.is_empty() && self.has_member) {
                        (false, _) => Ok(Step::NeedsInput),
                        (true, true) => Ok(Step::End),
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
                        Some(piece) => return Ok(Step::Piece(piece)),
                        None if stopped == Stopped::NeedsInput => return Ok(Step::NeedsInput),
                        None => {}
                    }
                }
                Stage::Trailer => {
                    let trailer = self.left().first_chunk::<TRAILER_BYTES>();
                    let Some([a, b, c, d, length @ ..]) = trailer else {
                        return if self.ended {
                            Err(Corrupt)
                        } else {
                            Ok(Step::NeedsInput)
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

    /// Input that is not decoded yet, without the padding.
    fn left(&self) -> &[u8] {
        let padding = if self.ended { PADDING_BYTES } else { 0 };
        &self.input[self.done..self.input.len() - padding]
    }

    /// Passes over zeros behind a member, with which tapes and some uploads fill up their blocks. What comes behind them is
    /// no member.
    fn pass_padding(&mut self) {
        let left = self.left();
        let zeros = left.iter().take_while(|&&byte| byte == 0).count();
        self.padded |= zeros > 0;
        self.done += zeros;
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

/// Decompresses one DEFLATE stream without a container. `None` when it is damaged or cut off, or has more than `most` plain
/// bytes.
#[must_use]
pub fn inflate(stream: &[u8], most: usize) -> Option<Vec<u8>> {
    let padded = [stream, &[0; PADDING_BYTES]].concat();
    let mut input = Input {
        bytes: &padded,
        at: 0,
        padded: true,
    };
    let mut inflate = Inflate::new();
    let mut plain = Vec::new();
    loop {
        let stopped = inflate.run(&mut input).ok()?;
        plain.extend_from_slice(inflate.piece());
        inflate.taken();
        match stopped {
            _ if plain.len() > most => return None,
            Stopped::Ended => return Some(plain),
            Stopped::Full => {}
            Stopped::NeedsInput => return None,
        }
    }
}

/// The length of the member header at the start of `input`, in bytes; `None` if more input is needed.
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
