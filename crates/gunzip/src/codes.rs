//! The codes of a block (RFC 1951, section 3.2), as tables that are looked up with the next bits.

/// Symbols of literals and lengths, at most.
pub(crate) const LITERALS: usize = 288;
/// Symbols of distances, at most.
pub(crate) const DISTANCES: usize = 32;

const LONGEST_CODE: usize = 15;
const LITERAL_BITS: u32 = 11;
const DISTANCE_BITS: u32 = 10;
/// Entries with what links lead to, at most: zlib's `enough.c` gives 2342 for 288 symbols, 11 bits and codes of up to 15.
const LITERAL_ENTRIES: usize = 2342;
/// A link by 5 more bits leads to 32 entries and takes 6 of the 32 symbols, a shorter one fewer of both.
const DISTANCE_ENTRIES: usize = (1 << DISTANCE_BITS) + 5 * 32 + 2;

const END_OF_BLOCK: usize = 256;
/// The least length of each symbol after [`END_OF_BLOCK`], and the bits that are added to it.
const LENGTHS: [(u16, u8); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// The bytes are no DEFLATE stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Corrupt;

/// The codes of literals and lengths, and of distances.
pub(crate) struct Codes {
    pub(crate) literals: Table<LITERAL_BITS, LITERAL_ENTRIES>,
    pub(crate) distances: Table<DISTANCE_BITS, DISTANCE_ENTRIES>,
}

/// What the next bits stand for.
///
/// Bits 0 to 5 hold the number of bits used up, with those that are added to a value. A shift of 64 bits looks at six bits, so no
/// mask is needed before it. Bits 6 to 9 hold how many of them belong to codes. Then, by kind:
///
/// - literals: two bytes from bit 10 on, and in bits 26 and 27 how many of them count;
/// - a length: 9 bits from bit 10 on, 8 bits of a literal before it from bit 19 on, and in bit 27 whether it has one;
/// - a distance: 15 bits from bit 10 on;
/// - a link to longer codes: 16 bits from bit 10 on say where, and the number of bits which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry(u32);

/// Entries by the next `BITS` bits, and behind them those of longer codes.
#[derive(Debug)]
pub(crate) struct Table<const BITS: u32, const ENTRIES: usize>([Entry; ENTRIES]);

/// The code that the lengths of other codes are written in.
pub(crate) struct LengthCode(Table<7, 128>);

impl Codes {
    /// Takes the lengths of each symbol's code.
    pub(crate) fn build(&mut self, literals: &[u8], distances: &[u8]) -> Result<(), Corrupt> {
        self.literals.build(literals, |symbol, bits| {
            match symbol.checked_sub(END_OF_BLOCK) {
                None => Entry::literal(symbol, bits),
                Some(0) => Entry(Entry::SPECIAL | Entry::END | bits),
                Some(place) => LENGTHS
                    .get(place - 1)
                    .map_or(Entry::INVALID, |&(base, added)| {
                        Entry::value(base, added, bits)
                    }),
            }
        })?;
        self.literals.join();
        self.distances.build(distances, |symbol, bits| {
            distance(symbol).map_or(Entry::INVALID, |(base, added)| {
                Entry::value(base, added, bits)
            })
        })
    }

    /// The codes that need not be given (section 3.2.6).
    pub(crate) fn build_fixed(&mut self) -> Result<(), Corrupt> {
        let mut lengths = [8; LITERALS];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        self.build(&lengths, &[5; DISTANCES])
    }
}

impl Default for Codes {
    fn default() -> Self {
        Self {
            literals: Table([Entry::INVALID; LITERAL_ENTRIES]),
            distances: Table([Entry::INVALID; DISTANCE_ENTRIES]),
        }
    }
}

/// The least distance of a symbol, and how many bits are added to it.
fn distance(symbol: usize) -> Option<(u16, u8)> {
    let symbol = u8::try_from(symbol).ok().filter(|&symbol| symbol < 30)?;
    let added = (symbol / 2).saturating_sub(1);
    Some(match symbol {
        0..4 => (u16::from(symbol) + 1, 0),
        _ => (((2 + u16::from(symbol % 2)) << added) + 1, added),
    })
}

impl Entry {
    const LITERALS: u32 = 1 << 31;
    const SPECIAL: u32 = 1 << 30;
    const END: u32 = 1 << 29;
    const LINK: u32 = 1 << 28;
    const INVALID: Self = Self(Self::SPECIAL);

    #[expect(clippy::cast_possible_truncation, reason = "symbols are below 288")]
    const fn literal(symbol: usize, bits: u32) -> Self {
        Self(Self::LITERALS | 1 << 26 | (symbol as u32) << 10 | bits)
    }

    const fn value(base: u16, added: u8, bits: u32) -> Self {
        Self((base as u32) << 10 | bits << 6 | (bits + added as u32))
    }

    const fn both(self, after: Self) -> Self {
        let ([first, _], [second, _]) = (self.literals(), after.literals());
        let bytes = (second as u32) << 18 | (first as u32) << 10;
        Self(Self::LITERALS | 2 << 26 | bytes | (self.bits() + after.bits()))
    }

    const fn before_length(self, after: Self) -> Self {
        let [literal, _] = self.literals();
        let codes = self.bits() + after.code_bits();
        let length = after.0 & 0x1ff << 10;
        Self(1 << 27 | (literal as u32) << 19 | length | codes << 6 | (self.bits() + after.bits()))
    }

    #[inline(always)]
    pub(crate) const fn is_literals(self) -> bool {
        self.0 & Self::LITERALS != 0
    }

    /// Whether it is an end of block, a link, or invalid.
    #[inline(always)]
    pub(crate) const fn is_special(self) -> bool {
        self.0 & Self::SPECIAL != 0
    }

    pub(crate) const fn is_end(self) -> bool {
        self.is_special() && self.0 & Self::END != 0
    }

    /// Bits that are used up.
    #[inline(always)]
    pub(crate) const fn bits(self) -> u32 {
        self.0 & 0x3f
    }

    const fn code_bits(self) -> u32 {
        self.0 >> 6 & 0xf
    }

    #[inline(always)]
    pub(crate) const fn literals(self) -> [u8; 2] {
        let [low, high, _, _] = (self.0 >> 10).to_le_bytes();
        [low, high]
    }

    /// How many literals there are.
    #[inline(always)]
    pub(crate) const fn count(self) -> usize {
        (self.0 >> 26 & 3) as usize
    }

    #[inline(always)]
    pub(crate) const fn literal_before(self) -> (u8, usize) {
        let [literal, ..] = (self.0 >> 19).to_le_bytes();
        (literal, (self.0 >> 27 & 1) as usize)
    }

    #[inline(always)]
    pub(crate) const fn length(self, buffer: u64) -> usize {
        (self.0 >> 10 & 0x1ff) as usize + self.added(buffer)
    }

    #[inline(always)]
    pub(crate) const fn distance(self, buffer: u64) -> usize {
        (self.0 >> 10 & 0x7fff) as usize + self.added(buffer)
    }

    /// The bits after the code.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "13 bits at most")]
    const fn added(self, buffer: u64) -> usize {
        ((buffer & ((1 << self.bits()) - 1)) >> self.code_bits()) as usize
    }

    /// Where a link leads to, and by how many bits.
    const fn link(self) -> Option<(usize, u32)> {
        if self.is_special() && self.0 & Self::LINK != 0 {
            return Some(((self.0 >> 10 & 0xffff) as usize, self.bits()));
        }
        None
    }
}

impl<const BITS: u32, const ENTRIES: usize> Table<BITS, ENTRIES> {
    const PLACES: usize = 1 << BITS;

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "few bits are left")]
    pub(crate) const fn get(&self, buffer: u64) -> Entry {
        self.0[buffer as usize & (Self::PLACES - 1)]
    }

    /// Where a link leads; an entry that is none is given back.
    #[expect(clippy::cast_possible_truncation, reason = "few bits are left")]
    pub(crate) fn follow(&self, entry: Entry, buffer: u64) -> Entry {
        let Some((start, bits)) = entry.link() else {
            return entry;
        };
        let place = (buffer >> BITS) as usize & ((1 << bits) - 1);
        self.0.get(start + place).copied().unwrap_or(Entry::INVALID)
    }

    /// Builds the table of a code from the lengths of its symbols; `entry` gives a symbol's entry.
    fn build(
        &mut self,
        lengths: &[u8],
        entry: impl Fn(usize, u32) -> Entry,
    ) -> Result<(), Corrupt> {
        let first_codes = first_codes(lengths)?;
        let entries = self.0.as_mut_slice();
        entries[..Self::PLACES].fill(Entry::INVALID);
        link_longer::<BITS>(entries, lengths, first_codes)?;
        for (symbol, length, code) in codes(lengths, first_codes) {
            let (made, first) = (entry(symbol, length), code & (Self::PLACES - 1));
            let (start, width, place, step) = match entries[first].link() {
                Some((start, width)) => (start, width, code >> BITS, length - BITS),
                None => (0, BITS, code, length),
            };
            for place in (place..1 << width).step_by(1 << step) {
                entries[start + place] = made;
            }
        }
        Ok(())
    }
}

/// The first code of each length, for a code that leaves no bits unused; a code of one symbol may.
fn first_codes(lengths: &[u8]) -> Result<[u32; LONGEST_CODE + 1], Corrupt> {
    let mut counts = [0_u32; LONGEST_CODE + 1];
    for &length in lengths {
        counts[usize::from(length)] += 1;
    }
    counts[0] = 0;
    let (mut first_codes, mut next) = ([0; LONGEST_CODE + 1], 0_u32);
    for (first, count) in first_codes.iter_mut().zip(counts) {
        next <<= 1;
        *first = next;
        next += count;
    }
    let symbols: u32 = counts.iter().sum();
    let whole = next == 1 << LONGEST_CODE;
    let single = symbols <= 1 && counts[1] == symbols;
    if whole || single {
        Ok(first_codes)
    } else {
        Err(Corrupt)
    }
}

/// Each symbol that has a code, with its length, and the code with its first bit lowest.
fn codes(
    lengths: &[u8],
    mut next: [u32; LONGEST_CODE + 1],
) -> impl Iterator<Item = (usize, u32, usize)> {
    let coded = lengths
        .iter()
        .enumerate()
        .filter(|(_, length)| **length > 0);
    coded.map(move |(symbol, &length)| {
        let code = &mut next[usize::from(length)];
        let reversed = code.reverse_bits() >> (32 - u32::from(length));
        *code += 1;
        (symbol, u32::from(length), reversed as usize)
    })
}

/// Makes links for codes of more than `BITS` bits, each wide enough for the longest code that begins with its bits.
fn link_longer<const BITS: u32>(
    entries: &mut [Entry],
    lengths: &[u8],
    first_codes: [u32; LONGEST_CODE + 1],
) -> Result<(), Corrupt> {
    let places = 1_usize << BITS;
    if lengths.iter().all(|&length| u32::from(length) <= BITS) {
        return Ok(());
    }
    let mut widths = [0; 1 << LITERAL_BITS];
    for (_, length, code) in codes(lengths, first_codes) {
        let width = &mut widths[code & (places - 1)];
        *width = length.saturating_sub(BITS).max(*width);
    }
    let mut end = places;
    for (place, &width) in widths[..places].iter().enumerate() {
        if width > 0 {
            let start = u32::try_from(end).map_err(|_| Corrupt)?;
            end += 1 << width;
            if end > entries.len() {
                return Err(Corrupt);
            }
            entries[place] = Entry(Entry::SPECIAL | Entry::LINK | start << 10 | width);
        }
    }
    Ok(())
}

impl Table<LITERAL_BITS, LITERAL_ENTRIES> {
    /// Where the bits after a literal are a whole code as well, one entry stands for both.
    fn join(&mut self) {
        // What follows has a lower place, so it has not been joined yet when places are gone through from the highest.
        for place in (0..Self::PLACES).rev() {
            let first = self.0[place];
            if !first.is_literals() {
                continue;
            }
            let second = self.0[place >> first.bits()];
            let left = LITERAL_BITS - first.bits();
            if second.is_literals() && second.bits() <= left {
                self.0[place] = first.both(second);
            } else if !second.is_literals() && !second.is_special() && second.code_bits() <= left {
                self.0[place] = first.before_length(second);
            }
        }
    }
}

impl LengthCode {
    pub(crate) fn new(lengths: &[u8]) -> Result<Self, Corrupt> {
        let mut table = Table([Entry::INVALID; 128]);
        table.build(lengths, Entry::literal)?;
        Ok(Self(table))
    }

    /// The symbol that comes next, and the bits of its code.
    pub(crate) fn get(&self, buffer: u64) -> Option<(u8, u32)> {
        let entry = self.0.get(buffer);
        let [symbol, _] = entry.literals();
        entry.is_literals().then_some((symbol, entry.bits()))
    }
}
