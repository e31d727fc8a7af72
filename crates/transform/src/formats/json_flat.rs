//! Lines of objects that hold no others, nor arrays: whether they are JSON, and what else one pass over them can tell.
//!
//! A block of 64 bytes is worked on at a time, with one bit for each byte. What may follow a token is found by an addition
//! whose carry runs over the blanks after it, as in Cameron et al., "Bitwise Data Parallelism in Regular Expression Matching"
//! (PACT 2014); strings are found as in [`super::marks`].

use std::hint::black_box;

use super::{
    compare::{self, BLOCK, Compare, Task},
    json_check::{is_paired, number},
    marks::running_xor,
};

/// What the pass over a text shows beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Number of ends of lines.
    pub(crate) lines: u64,
    pub(crate) has_backslashes: bool,
    pub(crate) is_ascii: bool,
}

/// Looks whether each line of a text is blank or a flat object. Whether the text is UTF-8 is not looked at.
///
/// # Errors
/// The number of bytes that were found to be such, where others come.
pub(crate) fn check(text: &[u8]) -> Result<Facts, usize> {
    compare::run(Check(text))
}

struct Check<'a>(&'a [u8]);

impl Task for Check<'_> {
    type Output = Result<Facts, usize>;

    #[inline(always)]
    fn run(self, compare: impl Compare) -> Self::Output {
        let Self(text) = self;
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let mut carry = Carry {
            line_start: 1,
            ..Carry::default()
        };
        for (number, block) in blocks.iter().enumerate() {
            let start = number * BLOCK;
            carry.block(text, start, block, compare).ok_or(start)?;
        }
        let start = blocks.len() * BLOCK;
        let mut block = [b' '; BLOCK];
        block[..rest.len()].copy_from_slice(rest);
        carry.block(text, start, &block, compare).ok_or(start)?;
        if carry.line_start == 0 {
            return Err(start);
        }
        Ok(Facts {
            lines: carry.lines,
            has_backslashes: carry.backslashes != 0,
            is_ascii: carry.beyond_ascii == 0,
        })
    }
}

/// What one block leaves to the next, in bit 0.
#[derive(Default)]
struct Carry {
    /// All ones inside of a string.
    quoted: u64,
    /// Whether the first byte is escaped.
    escaped: u64,
    /// Whether a key goes on.
    key: u64,
    /// Whether a number or word goes on or has just ended.
    scalar: u64,
    /// Whether it had digits alone.
    digits: u64,
    /// Whether it is a zero so far.
    zero: u64,
    /// Whether only blanks came after one of these tokens.
    before_key: u64,
    after_key: u64,
    after_colon: u64,
    after_value: u64,
    after_object: u64,
    line_start: u64,
    /// What there was so far: the number of ends of lines, and whether there were others.
    lines: u64,
    backslashes: u64,
    beyond_ascii: u64,
}

impl Carry {
    /// `None` when something else comes in this block, or something that is no JSON.
    #[inline(always)]
    fn block(
        &mut self,
        text: &[u8],
        start: usize,
        block: &[u8; BLOCK],
        compare: impl Compare,
    ) -> Option<()> {
        // From here on, bits: the compiler would turn arithmetic on all of them back into vectors, which takes twice the time.
        let where_is = |byte: u8| black_box(compare.equal(block, byte));
        let backslashes = where_is(b'\\');
        let mut quotes = where_is(b'"');
        if backslashes | self.escaped != 0 {
            quotes &= !self.escapes(text, start, backslashes)?;
        }
        let quoted = running_xor(quotes) ^ self.quoted;
        self.quoted = 0_u64.wrapping_sub(quoted >> (BLOCK - 1));
        let (opens, closes) = (quotes & quoted, quotes & !quoted);
        let outside = !(quoted | closes);

        let controls = black_box(compare.below(block, b' '));
        let newlines = where_is(b'\n') & outside;
        let mut blanks = where_is(b' ');
        if controls & !newlines != 0 {
            if controls & quoted != 0 {
                return None;
            }
            blanks |= where_is(b'\t') | where_is(b'\r');
        }
        blanks &= outside;
        let colons = where_is(b':') & outside;
        let commas = where_is(b',') & outside;
        let begins = where_is(b'{') & outside;
        let ends = where_is(b'}') & outside;
        let scalars = outside & !(blanks | newlines | colons | commas | begins | ends);
        let before = scalars << 1 | self.scalar;
        self.scalar = scalars >> (BLOCK - 1);
        let (scalar_starts, after_scalars) = (scalars & !before, before & !scalars);
        let digits = black_box(compare.below(block, b':')) & scalars;
        let digits = digits & !black_box(compare.below(block, b'0'));
        let zeros = where_is(b'0') & scalar_starts;
        let mut wrong = (zeros << 1 | self.zero) & digits;
        self.zero = zeros >> (BLOCK - 1);
        self.scalars(text, start, scalars, scalar_starts, digits)?;

        let keys = next(begins | commas, blanks, &mut self.before_key);
        // The carry of a key runs over its text to its closing quote.
        let (sum, first) = quoted.overflowing_add(keys);
        let (sum, second) = sum.overflowing_add(self.key);
        self.key = u64::from(first | second);
        let key_closes = sum & closes;
        let value_closes = closes & !key_closes;
        wrong |= keys & !opens
            | next(key_closes, blanks, &mut self.after_key) & !colons
            | next(colons, blanks, &mut self.after_colon) & !(opens | scalar_starts)
            | next(ends, blanks, &mut self.after_object) & !newlines
            | next(newlines, blanks, &mut self.line_start) & !begins;
        // A number or word ends in front of the byte that shows it.
        self.after_value |= after_scalars;
        wrong |= next(value_closes, blanks, &mut self.after_value) & !(commas | ends);
        self.lines += u64::from(newlines.count_ones());
        self.backslashes |= backslashes;
        self.beyond_ascii |= compare.beyond_ascii(block);
        (wrong == 0).then_some(())
    }

    /// Looks at the numbers and words. Those of digits alone are numbers, unless they begin with a zero.
    #[inline(always)]
    fn scalars(
        &mut self,
        text: &[u8],
        start: usize,
        scalars: u64,
        scalar_starts: u64,
        digits: u64,
    ) -> Option<()> {
        let starts = scalar_starts | self.digits;
        // The carry of a start runs over its digits.
        let (after_digits, beyond) = (starts & digits).overflowing_add(digits);
        self.digits = u64::from(beyond);
        let mut others = (starts | after_digits) & !digits & scalars;
        while others != 0 {
            let other = others & others.wrapping_neg();
            let before = scalar_starts & (other | (other - 1));
            let place = if before == 0 {
                let begun = text[..start]
                    .iter()
                    .rposition(|byte| !byte.is_ascii_digit());
                begun.map_or(0, |before| before + 1)
            } else {
                start + (BLOCK - 1) - before.leading_zeros() as usize
            };
            scalar(text.get(place..)?)?;
            others &= others - 1;
        }
        Some(())
    }

    /// The bytes that are escaped; `None` when one of them may not be.
    #[inline(never)]
    fn escapes(&mut self, text: &[u8], start: usize, backslashes: u64) -> Option<u64> {
        let mut escaped = self.escaped;
        let mut left = backslashes & !escaped;
        self.escaped = 0;
        while left != 0 {
            let place = left.trailing_zeros();
            left &= left - 1;
            match text.get(start + place as usize + 1..)? {
                [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => {}
                [b'u', a, b, c, d, ..]
                    if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit())
                        && is_paired(text, start + place as usize) => {}
                _ => return None,
            }
            if place as usize == BLOCK - 1 {
                self.escaped = 1;
            } else {
                let next = 2 << place;
                escaped |= next;
                left &= !next;
            }
        }
        Some(escaped)
    }
}

/// The first places after `tokens` that are not blank. The carry, in which more such places may be given, is what is left to
/// the next block.
#[inline(always)]
const fn next(tokens: u64, blanks: u64, carry: &mut u64) -> u64 {
    let start = tokens << 1 | *carry;
    let (sum, beyond) = (start & blanks).overflowing_add(blanks);
    *carry = tokens >> (BLOCK - 1) | beyond as u64;
    (start | sum) & !blanks
}

/// Whether the text begins with a number or a word, and what follows it can.
#[inline(always)]
fn scalar(text: &[u8]) -> Option<()> {
    let word = |word: &[u8]| text.starts_with(word).then_some(word.len());
    let end = match text.first()? {
        b't' => word(b"true")?,
        b'n' => word(b"null")?,
        b'f' => word(b"false")?,
        _ => number(text)?,
    };
    matches!(
        text.get(end),
        Some(b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t')
    )
    .then_some(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Check, Facts};
    use crate::formats::compare::{run, run_anywhere};

    /// What all ways find, which must be the same.
    pub(crate) fn facts(text: &[u8]) -> Option<Facts> {
        let found = run(Check(text));
        assert_eq!(run_anywhere(Check(text)), found);
        if let Ok(facts) = found {
            let lines = memchr::memchr_iter(b'\n', text).count();
            assert_eq!(facts.lines, lines as u64);
            assert_eq!(facts.has_backslashes, text.contains(&b'\\'));
            assert_eq!(facts.is_ascii, text.is_ascii());
        }
        found.ok()
    }

    #[test]
    fn numbers_wherever_they_are_in_a_block() {
        for shift in 0..70 {
            let before = "y".repeat(shift);
            for (number, is_one) in [
                ("0", true),
                ("10", true),
                (
                    "123456789012345678901234567890123456789012345678901234567890123456789",
                    true,
                ),
                ("0.5", true),
                ("12.50e-3", true),
                ("-7", true),
                ("-0", true),
                ("00", false),
                ("01", false),
                ("-01", false),
                ("1.", false),
                ("12x", false),
                ("1-", false),
                ("0x1", false),
                (
                    "123456789012345678901234567890123456789012345678901234567890123456789x",
                    false,
                ),
                ("12:", false),
                ("1\"", false),
                ("1{", false),
            ] {
                let text = format!("{{\"{before}\":{number},\"n\":{number} }}\n");
                assert_eq!(facts(text.as_bytes()).is_some(), is_one, "{text}");
            }
        }
    }
}
