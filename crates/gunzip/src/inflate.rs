//! DEFLATE (RFC 1951), decompressed as its bytes come.

use crate::codes::{Codes, Corrupt, DISTANCES, Entry, LITERALS, LengthCode, Table};

/// How far back a match may reach.
const WINDOW_BYTES: usize = 32 << 10;
/// Size of a full piece. Together with the window it stays in a core's cache.
const PIECE_BYTES: usize = 128 << 10;
/// Where a piece is full.
const FULL: usize = WINDOW_BYTES + PIECE_BYTES;
/// Bytes that are copied at a time.
const COPY_BYTES: usize = 32;
/// What is written after a piece is nearly full: six literals, a literal and the longest match, and the rest of what was copied.
const SLACK_BYTES: usize = 6 + 1 + 258 + COPY_BYTES;
/// The window, a piece and what may be written after it.
type Out = [u8; FULL + SLACK_BYTES];
/// Bytes that are loaded at a time: 56 bits at least, and a match takes 48 with a literal before it.
const LOAD_BYTES: usize = 8;
/// The header of a block with codes of its own takes less: 17 bits, 19 lengths of 3 bits and 320 of up to 14.
const LONGEST_HEADER_BYTES: usize = 600;

/// Zeros that have to follow the last bytes, since bytes are loaded ahead.
pub(crate) const PADDING_BYTES: usize = 2 * LOAD_BYTES;

/// What a decoder stopped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// More bytes are needed.
    NeedsInput,
    /// The piece is full.
    Full,
    /// The last block has ended.
    Ended,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Header,
    Stored { left: usize },
    Symbols,
}

/// Compressed bytes, and how many of them have been loaded.
#[derive(Debug)]
pub(crate) struct Input<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    /// Whether these are the last bytes, with [`PADDING_BYTES`] of zeros behind them.
    pub(crate) padded: bool,
}

/// A decoder of one stream.
pub(crate) struct Inflate {
    state: State,
    in_last_block: bool,
    codes: Box<Codes>,
    /// The window, and the piece after it. Of a length that is known when compiling, so that few places have to be checked.
    out: Box<Out>,
    /// Where the next byte goes.
    at: usize,
    /// Bytes of the window that belong to this stream.
    history: usize,
    bits: Bits,
}

/// Bits that were loaded and are not used yet, from the lowest on; above them, there may be bits that are loaded again.
#[derive(Debug, Clone, Copy, Default)]
struct Bits {
    buffer: u64,
    count: u32,
}

impl Inflate {
    pub(crate) fn new() -> Self {
        let out = vec![0; size_of::<Out>()].into_boxed_slice();
        Self {
            state: State::Header,
            in_last_block: false,
            codes: Box::default(),
            out: out.try_into().expect("it has the length of the type"),
            at: WINDOW_BYTES,
            history: 0,
            bits: Bits::default(),
        }
    }

    /// Begins with another stream.
    pub(crate) fn restart(&mut self) {
        self.state = State::Header;
        self.in_last_block = false;
        self.at = WINDOW_BYTES;
        self.history = 0;
        self.bits = Bits::default();
    }

    /// The plain bytes since the last piece that was taken.
    pub(crate) fn piece(&self) -> &[u8] {
        &self.out[WINDOW_BYTES..self.at]
    }

    /// Makes room for the next piece.
    pub(crate) fn taken(&mut self) {
        let bytes = self.at - WINDOW_BYTES;
        self.history = (self.history + bytes).min(WINDOW_BYTES);
        self.out.copy_within(bytes..self.at, 0);
        self.at = WINDOW_BYTES;
    }

    /// Goes on until the piece is full, the input is used up, or the stream ends; then `input.at` is after its last byte.
    pub(crate) fn run(&mut self, input: &mut Input<'_>) -> Result<Stopped, Corrupt> {
        loop {
            let stopped = self.step(input)?;
            self.bits.give_back(input);
            if input.padded && input.at > input.bytes.len() - PADDING_BYTES {
                // What follows the last bytes is no data.
                return Err(Corrupt);
            }
            if let Some(stopped) = stopped {
                return Ok(stopped);
            }
        }
    }

    /// A block's header, or as much of its content as there is.
    fn step(&mut self, input: &mut Input<'_>) -> Result<Option<Stopped>, Corrupt> {
        if self.at >= FULL {
            return Ok(Some(Stopped::Full));
        }
        match self.state {
            State::Header if self.in_last_block => {
                self.bits.align(input);
                Ok(Some(Stopped::Ended))
            }
            State::Header => {
                if !input.padded && input.bytes.len() - input.at < LONGEST_HEADER_BYTES {
                    return Ok(Some(Stopped::NeedsInput));
                }
                self.header(input)?;
                Ok(None)
            }
            State::Stored { left: 0 } => {
                self.state = State::Header;
                Ok(None)
            }
            State::Stored { left } => {
                let bytes = left.min(FULL - self.at).min(input.bytes.len() - input.at);
                let stored = &input.bytes[input.at..input.at + bytes];
                self.out[self.at..self.at + bytes].copy_from_slice(stored);
                self.at += bytes;
                input.at += bytes;
                self.state = State::Stored { left: left - bytes };
                Ok((bytes == 0).then_some(Stopped::NeedsInput))
            }
            State::Symbols => {
                if self.symbols_by_this_processor(input)? {
                    self.state = State::Header;
                    return Ok(None);
                }
                Ok((self.at < FULL).then_some(Stopped::NeedsInput))
            }
        }
    }

    fn header(&mut self, input: &mut Input<'_>) -> Result<(), Corrupt> {
        self.bits.load(input)?;
        self.in_last_block = self.bits.take(1) == 1;
        self.state = State::Symbols;
        match self.bits.take(2) {
            0 => {
                self.bits.take(self.bits.count % 8);
                self.bits.load(input)?;
                let (length, inverted) = (self.bits.take(16), self.bits.take(16));
                if length ^ inverted != 0xffff {
                    return Err(Corrupt);
                }
                self.bits.align(input);
                self.state = State::Stored {
                    left: usize::from(length),
                };
                Ok(())
            }
            1 => self.codes.build_fixed(),
            2 => self.build_codes(input),
            _ => Err(Corrupt),
        }
    }

    /// Reads the codes of a block (RFC 1951, section 3.2.7).
    fn build_codes(&mut self, input: &mut Input<'_>) -> Result<(), Corrupt> {
        const ORDER: [usize; 19] = [
            16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
        ];
        let literals = usize::from(self.bits.take(5)) + 257;
        let distances = usize::from(self.bits.take(5)) + 1;
        let given = usize::from(self.bits.take(4)) + 4;
        let mut lengths = [0; ORDER.len()];
        for &symbol in &ORDER[..given] {
            self.bits.load(input)?;
            lengths[symbol] = self.bits.take(3).to_le_bytes()[0];
        }
        let code = LengthCode::new(&lengths)?;
        let mut lengths = [0_u8; LITERALS + DISTANCES];
        let (mut at, all) = (0, literals + distances);
        while at < all {
            self.bits.load(input)?;
            let (symbol, bits) = code.get(self.bits.buffer).ok_or(Corrupt)?;
            self.bits.take(bits);
            let (length, times) = match symbol {
                16 => (
                    *at.checked_sub(1)
                        .and_then(|at| lengths.get(at))
                        .ok_or(Corrupt)?,
                    self.bits.take(2) + 3,
                ),
                17 => (0, self.bits.take(3) + 3),
                18 => (0, self.bits.take(7) + 11),
                length => (length, 1),
            };
            let end = at + usize::from(times);
            if end > all {
                return Err(Corrupt);
            }
            lengths[at..end].fill(length);
            at = end;
        }
        let (of_literals, rest) = lengths.split_at(literals);
        self.codes.build(of_literals, &rest[..distances])
    }

    /// As [`Self::symbols`], with the instructions that most processors have for bits and for 32 bytes at a time.
    fn symbols_by_this_processor(&mut self, input: &mut Input<'_>) -> Result<bool, Corrupt> {
        #[cfg(target_arch = "x86_64")]
        if let Some(processor) = pulp::x86::V3::try_new() {
            return processor.vectorize(
                #[inline(always)]
                || self.symbols(input),
            );
        }
        self.symbols(input)
    }

    /// Decodes until the piece is full, less than [`LOAD_BYTES`] are left, or the block ends; whether it has.
    ///
    /// Speed is limited by a dependency: the place of the next symbol is known only once the one before has been looked up, and
    /// branches on symbols cannot be predicted. So an entry holds two literals, or a literal and a length, where it can, and
    /// the next one is looked up before a match is copied.
    #[inline(always)]
    fn symbols(&mut self, input: &mut Input<'_>) -> Result<bool, Corrupt> {
        let Codes {
            literals,
            distances,
        } = &*self.codes;
        let out = &mut *self.out;
        let window_start = WINDOW_BYTES - self.history;
        // In variables of its own, what changes with each symbol stays in registers.
        let (mut bits, mut from, mut at) = (self.bits, input.at, self.at);
        let mut block_ended = false;
        let mut next = literals.next(&mut bits, input.bytes, &mut from);
        while at < FULL
            && let Some(mut entry) = next
        {
            // Three entries of literals take 33 of 56 bits at most.
            if entry.is_literals() {
                put(out, &mut at, entry);
                bits.drop(entry);
                entry = literals.get(bits.buffer);
                if entry.is_literals() {
                    put(out, &mut at, entry);
                    bits.drop(entry);
                    entry = literals.get(bits.buffer);
                    if entry.is_literals() {
                        put(out, &mut at, entry);
                        bits.drop(entry);
                        next = literals.next(&mut bits, input.bytes, &mut from);
                        continue;
                    }
                }
                if !bits.refill(input.bytes, &mut from) {
                    break;
                }
            }
            if entry.is_special() {
                entry = literals.follow(entry, bits.buffer);
                if entry.is_end() {
                    bits.drop(entry);
                    block_ended = true;
                    break;
                }
                if entry.is_literals() {
                    put(out, &mut at, entry);
                    bits.drop(entry);
                    next = literals.next(&mut bits, input.bytes, &mut from);
                    continue;
                }
                if entry.is_special() {
                    return Err(Corrupt);
                }
            }
            put_before(out, &mut at, entry);
            let length = entry.length(bits.buffer);
            bits.drop(entry);
            let mut entry = distances.get(bits.buffer);
            if entry.is_special() {
                entry = distances.follow(entry, bits.buffer);
                if entry.is_special() {
                    return Err(Corrupt);
                }
            }
            let distance = entry.distance(bits.buffer);
            bits.drop(entry);
            if distance > at - window_start {
                return Err(Corrupt);
            }
            next = literals.next(&mut bits, input.bytes, &mut from);
            repeat(out, at, distance, length);
            at += length;
        }
        (self.bits, input.at, self.at) = (bits, from, at);
        Ok(block_ended)
    }
}

impl<const BITS: u32, const ENTRIES: usize> Table<BITS, ENTRIES> {
    /// What the bits after a refill stand for.
    #[inline(always)]
    fn next(&self, bits: &mut Bits, bytes: &[u8], from: &mut usize) -> Option<Entry> {
        bits.refill(bytes, from).then(|| self.get(bits.buffer))
    }
}

impl Bits {
    /// Refills the buffer to at least 56 bits. Returns false when fewer than 8 input bytes are left.
    #[inline(always)]
    fn refill(&mut self, bytes: &[u8], from: &mut usize) -> bool {
        let next = bytes
            .get(*from..)
            .and_then(<[u8]>::first_chunk::<LOAD_BYTES>);
        let Some(next) = next else {
            return false;
        };
        // Bits above the count are the same ones as before.
        self.buffer |= u64::from_le_bytes(*next) << self.count;
        *from += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
        true
    }

    /// As [`Self::refill`], where there are enough bytes unless they are cut off.
    fn load(&mut self, input: &mut Input<'_>) -> Result<(), Corrupt> {
        if self.refill(input.bytes, &mut input.at) {
            Ok(())
        } else {
            Err(Corrupt)
        }
    }

    /// Those of an entry are used up.
    #[inline(always)]
    const fn drop(&mut self, entry: Entry) {
        self.skip(entry.bits());
    }

    #[inline(always)]
    const fn skip(&mut self, count: u32) {
        self.buffer >>= count;
        self.count -= count;
    }

    /// Up to 16 bits that are known to be there.
    #[expect(clippy::cast_possible_truncation, reason = "16 bits are left")]
    const fn take(&mut self, count: u32) -> u16 {
        let value = (self.buffer & ((1 << count) - 1)) as u16;
        self.skip(count);
        value
    }

    /// Gives back the bytes of which no bit is used.
    const fn give_back(&mut self, input: &mut Input<'_>) {
        input.at -= (self.count / 8) as usize;
        self.count %= 8;
    }

    /// What comes next begins with a byte.
    fn align(&mut self, input: &mut Input<'_>) {
        self.give_back(input);
        *self = Self::default();
    }
}

/// Writes the literals of an entry, and maybe a byte that is written over.
#[inline(always)]
fn put(out: &mut Out, at: &mut usize, entry: Entry) {
    if let Some(place) = out.get_mut(*at..).and_then(<[u8]>::first_chunk_mut) {
        *place = entry.literals();
    }
    *at += entry.count();
}

/// Writes the literal before a match, if there is one.
#[inline(always)]
fn put_before(out: &mut Out, at: &mut usize, entry: Entry) {
    let (literal, count) = entry.literal_before();
    if let Some(place) = out.get_mut(*at) {
        *place = literal;
    }
    *at += count;
}

/// Copies what was written `distance` bytes before, over and over until there are `length` bytes. Up to a block more is written,
/// which will be written over.
#[inline(always)]
fn repeat(out: &mut Out, at: usize, mut distance: usize, length: usize) {
    let (mut to, end) = (at, at + length);
    // What repeats after some bytes repeats after twice as many, until a block can be copied.
    while distance < COPY_BYTES && to < end {
        copy_block(out, to - distance, to);
        to += distance;
        distance *= 2;
    }
    // Most matches are no longer than one block.
    while to < end {
        copy_block(out, to - distance, to);
        to += COPY_BYTES;
    }
}

#[inline(always)]
fn copy_block(out: &mut Out, from: usize, to: usize) {
    let block = out
        .get(from..)
        .and_then(<[u8]>::first_chunk::<COPY_BYTES>)
        .copied();
    let place = out.get_mut(to..).and_then(<[u8]>::first_chunk_mut);
    if let (Some(block), Some(place)) = (block, place) {
        *place = block;
    }
}
