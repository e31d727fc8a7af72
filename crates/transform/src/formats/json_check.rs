//! Whether lines and rows of JSON are JSON as RFC 8259 has it, said as fast as the text can be passed over. What is wrong
//! with them, and where, says [`super::json_grammar`].

use std::hint::black_box;

use serde::de::IgnoredAny;

use super::{
    DEEPEST,
    compare::{self, BLOCK, Compare, Task},
    json_split::trim_blanks,
};

/// Whether each line of the text, which is UTF-8, is blank or an object.
pub(crate) fn lines_are_objects(text: &[u8]) -> bool {
    let Err(checked) = compare::run(Flat(text)) else {
        return true;
    };
    // The line that goes on in the block that stopped it.
    let line = memchr::memrchr(b'\n', &text[..checked]).map_or(0, |newline| newline + 1);
    let mut start = line;
    memchr::memchr_iter(b'\n', text)
        .filter(|&end| end >= line)
        .chain([text.len()])
        .all(|end| {
            let line = trim_blanks(&text[start..end]);
            start = end + 1;
            line.is_empty() || line.starts_with(b"{") && is_json(line)
        })
}

/// Whether the text is one value and not nested too deep.
pub(crate) fn is_value(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok() && is_json(text)
}

/// As [`is_value`], of text that is known to be UTF-8.
fn is_json(text: &[u8]) -> bool {
    let may_be_deep = memchr::memchr2_iter(b'{', b'[', text)
        .nth(DEEPEST)
        .is_some();
    serde_json::from_slice::<IgnoredAny>(text).is_ok()
        && surrogates_are_paired(text)
        && !(may_be_deep && shape(text) == Shape::TooDeep)
}

/// Whether the escapes of a text that is JSON are characters: the halves of a surrogate pair are none, and nothing can be read
/// from one of them. RFC 8259 leaves open what a reader makes of it.
fn surrogates_are_paired(text: &[u8]) -> bool {
    let mut start = 0;
    while let Some(place) = memchr::memchr(b'\\', &text[start..]) {
        let escape = start + place;
        match half(text, escape) {
            None => start = escape + 2,
            Some(Half::High) if half(text, escape + 6) == Some(Half::Low) => start = escape + 12,
            Some(_) => return false,
        }
    }
    true
}

/// A half of a surrogate pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    High,
    Low,
}

/// What half an escape is, if it is one.
fn half(text: &[u8], escape: usize) -> Option<Half> {
    match text.get(escape..)? {
        [
            b'\\',
            b'u',
            b'd' | b'D',
            b'8' | b'9' | b'a' | b'b' | b'A' | b'B',
            ..,
        ] => Some(Half::High),
        [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..] => Some(Half::Low),
        _ => None,
    }
}

/// Whether the half at this escape, which is no part of another, has its other half beside it.
fn is_paired(text: &[u8], escape: usize) -> bool {
    match half(text, escape) {
        None => true,
        Some(Half::High) => half(text, escape + 6) == Some(Half::Low),
        Some(Half::Low) => escape.checked_sub(6).is_some_and(|before| {
            let backslashes = text[..before]
                .iter()
                .rev()
                .take_while(|&&byte| byte == b'\\');
            half(text, before) == Some(Half::High) && backslashes.count() % 2 == 0
        }),
    }
}

/// Whether a text that begins with a bracket is one value, by its brackets alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    Torn,
    TooDeep,
}

/// Looks at the brackets of a row, so that no row can borrow brackets from the next.
pub(crate) fn shape(text: &[u8]) -> Shape {
    shape_with_keys(text, |_| ())
}

/// [`shape`], and the keys of the outermost object as they are written between their quotes.
pub(crate) fn shape_with_keys(text: &[u8], mut key: impl FnMut(&[u8])) -> Shape {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    // Where the string began that is a key.
    let (mut key_comes, mut key_start) = (false, None);
    for (place, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => {
                if let Some(start) = key_start.take() {
                    key(&text[start..place]);
                } else if key_comes && !in_string && depth == 1 {
                    (key_comes, key_start) = (false, Some(place + 1));
                }
                in_string = !in_string;
            }
            b',' if !in_string => key_comes = depth == 1,
            b'{' | b'[' if !in_string => {
                depth += 1;
                key_comes = depth == 1;
                if depth > DEEPEST {
                    return Shape::TooDeep;
                }
            }
            b'}' | b']' if !in_string => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return if place + 1 == text.len() {
                        Shape::One
                    } else {
                        Shape::Torn
                    };
                }
            }
            _ => {}
        }
    }
    Shape::Torn
}

/// Whether the text holds control characters other than ends of lines.
pub(crate) fn has_controls(text: &[u8]) -> bool {
    compare::run(Controls(text))
}

struct Controls<'a>(&'a [u8]);

impl Task for Controls<'_> {
    type Output = bool;

    #[inline(always)]
    fn run(self, compare: impl Compare) -> Self::Output {
        let (blocks, rest) = self.0.as_chunks::<BLOCK>();
        let mut found = 0;
        for block in blocks {
            found |= compare.below(block, b' ') & !compare.equal(block, b'\n');
        }
        found != 0 || rest.iter().any(|&byte| byte < b' ' && byte != b'\n')
    }
}

/// Lines of objects that hold no others, nor arrays. Gives the number of bytes that were found to be such.
///
/// A block of 64 bytes is worked on at a time, with one bit for each byte. What may follow a token is found by an addition
/// whose carry runs over the blanks after it, as in Cameron et al., "Bitwise Data Parallelism in Regular Expression Matching"
/// (PACT 2014); strings are found as in [`super::marks`].
struct Flat<'a>(&'a [u8]);

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
    /// Whether only blanks came after one of these tokens.
    before_key: u64,
    after_key: u64,
    after_colon: u64,
    after_value: u64,
    after_object: u64,
    line_start: u64,
}

impl Task for Flat<'_> {
    type Output = Result<(), usize>;

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
        if carry.line_start == 1 {
            Ok(())
        } else {
            Err(start)
        }
    }
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
        let quoted = super::marks::running_xor(quotes) ^ self.quoted;
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
        let mut left = scalar_starts;
        while left != 0 {
            scalar(text.get(start + left.trailing_zeros() as usize..)?)?;
            left &= left - 1;
        }

        let keys = next(begins | commas, blanks, &mut self.before_key);
        // The carry of a key runs over its text to its closing quote.
        let (sum, first) = quoted.overflowing_add(keys);
        let (sum, second) = sum.overflowing_add(self.key);
        self.key = u64::from(first | second);
        let key_closes = sum & closes;
        let value_closes = closes & !key_closes;
        let mut wrong = keys & !opens
            | next(key_closes, blanks, &mut self.after_key) & !colons
            | next(colons, blanks, &mut self.after_colon) & !(opens | scalar_starts)
            | next(ends, blanks, &mut self.after_object) & !newlines
            | next(newlines, blanks, &mut self.line_start) & !begins;
        // A number or word ends in front of the byte that shows it.
        self.after_value |= after_scalars;
        wrong |= next(value_closes, blanks, &mut self.after_value) & !(commas | ends);
        (wrong == 0).then_some(())
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

/// The length of the number that the text begins with.
#[inline(always)]
pub(crate) fn number(text: &[u8]) -> Option<usize> {
    let byte = |at: usize| text.get(at).copied().unwrap_or_default();
    let digits = |from: usize| {
        let mut at = from;
        while byte(at).is_ascii_digit() {
            at += 1;
        }
        (at > from).then_some(at)
    };
    let first = usize::from(byte(0) == b'-');
    let mut after = digits(first)?;
    if byte(first) == b'0' && after > first + 1 {
        return None;
    }
    if byte(after) == b'.' {
        after = digits(after + 1)?;
    }
    if matches!(byte(after), b'e' | b'E') {
        let signed = matches!(byte(after + 1), b'+' | b'-');
        after = digits(after + 1 + usize::from(signed))?;
    }
    Some(after)
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::{Flat, has_controls, is_value, lines_are_objects, surrogates_are_paired};
    use crate::formats::{
        compare::{run, run_anywhere},
        json_grammar,
    };

    /// What each way says, which must be the same.
    fn check(text: &str) -> bool {
        let text = text.as_bytes();
        let flat = run(Flat(text));
        assert_eq!(flat, run_anywhere(Flat(text)));
        let found = lines_are_objects(text);
        let expected = text.split(|&byte| byte == b'\n').all(|line| {
            let blank = line.iter().all(|byte| b" \t\r".contains(byte));
            let value =
                serde_json::from_slice::<IgnoredAny>(line).is_ok() && surrogates_are_paired(line);
            assert_eq!(is_value(line), value, "{:?}", String::from_utf8_lossy(line));
            assert_eq!(
                json_grammar::fault(line).is_none(),
                value,
                "{:?}",
                String::from_utf8_lossy(line)
            );
            blank || value && line.trim_ascii_start().starts_with(b"{")
        });
        let shown = String::from_utf8_lossy(text);
        assert_eq!(found, expected, "{shown:?}");
        assert!(found || flat.is_err(), "{shown:?}");
        found
    }

    const GOOD: &[&str] = &[
        "{\"a\":1}",
        "{ \"a\" : -0.5e+3 , \"b\\\\\":\"x\\\"y\" }\r",
        "\t{\"a\":true,\"b\":false,\"c\":null,\"d\":\"\"}",
        "{\"a\":[1,{\"b\":[]}],\"c\":{}}",
        "{\"\\u00e9\\/\":\"\\u00E9\\b\\f\\n\\r\\t\"}",
        "{\"a\":\"{\\\"b\\\": [1, 2,]}\"}",
        "{\"a\":\"\\ud83d\\uDE00\\uD83D\\ude00 \\\\ud83d\"}",
        "{}",
        "",
        " \t\r",
    ];
    const BAD: &[&str] = &[
        "{\"k\": 2,}",
        "{\"k\": 2 \"j\": 3}",
        "{\"k\": 02}",
        "{\"k\": \"a\tb\"}",
        "{\"k\"}",
        "{\"k\":}",
        "{\"k\":1.}",
        "{\"k\":.5}",
        "{\"k\":+1}",
        "{\"k\":-}",
        "{\"k\":1e}",
        "{\"k\":1x}",
        "{\"k\":NaN}",
        "{\"k\":truex}",
        "{\"k\":nul}",
        "{\"k\":\"\\x\"}",
        "{\"k\":\"\\u12g4\"}",
        "{\"k\":\"\\ud800\"}",
        "{\"k\":\"\\udc00\"}",
        "{\"k\":\"\\ud800x\\udc00\"}",
        "{\"k\":\"\\ud800\\n\"}",
        "{\"k\":\"\\ud800\\ud800\\udc00\"}",
        "{\"k\":\"\\ud800\\udc00\\udc00\"}",
        "{\"k\":\"\\\\ud800\\udc00\"}",
        "{\"k\":'x'}",
        "{k:1}",
        "{\"k\":1}}",
        "{\"k\":1}{}",
        "{\"k\":1",
        "{\"k\":\"x",
        "{\"k\":\"x\"\"y\"}",
        "{\"k\":\"x\"1}",
        "{\"k\":1\"x\"}",
        "{\"k\" 1}",
        "{\"k\"::1}",
        "{,}",
        "{\"k\":1,,\"j\":2}",
        "{\"k\":[1,]}",
        "{\"k\":[1 2]}",
        "{\"k\":[1}",
        "{\"k\":{]}",
        "[]",
        "1",
        "\"x\"",
        "x",
        "\u{b}{}",
        "{\u{a0}}",
        "{\"k\":1 2}",
        "{\"k\":\"\u{1f}\"}",
    ];

    #[test]
    fn lines_are_accepted_as_the_standard_has_them() {
        for good in GOOD {
            assert!(check(&format!("{good}\n")), "{good}");
            for bad in BAD {
                assert!(!check(&format!("{good}\n{bad}\n")), "{bad}");
                assert!(!check(&format!("{bad}\n{good}\n")), "{bad}");
            }
        }
    }

    /// Wherever a line begins in a block of 64 bytes.
    #[test]
    fn places_in_a_block_do_not_matter() {
        for shift in 0..130 {
            let before = format!("{{\"x\":\"{}\"}}\n", "y".repeat(shift));
            for good in GOOD {
                assert!(check(&format!("{before}{good}\n{good}\n")), "{good}");
            }
            for bad in BAD {
                assert!(!check(&format!("{before}{bad}\n{{\"a\":1}}\n")), "{bad}");
            }
        }
    }

    #[test]
    fn random_tokens() {
        const TOKENS: [&str; 24] = [
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\"a\"",
            "\"b\":",
            "1",
            "0",
            "-",
            ".5",
            "e3",
            " ",
            "\n",
            "\\",
            "\\\"",
            "\\u0041",
            "true",
            "null",
            "{\"a\":1}\n",
            "{\"a\":\"",
            "\"}\n",
        ];
        let mut state = 0x9e37_79b9_u64;
        let (mut good, mut bad) = (0, 0);
        for _ in 0..20_000 {
            let mut text = String::new();
            let rare = |state: u64| state >> 40 & 3 == 0;
            for _ in 0..30 {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let token = if rare(state) { state >> 58 } else { 21 } as usize % TOKENS.len();
                text.push_str(TOKENS[token]);
                if rare(state >> 3) && text.ends_with('\n') {
                    break;
                }
            }
            text.push('\n');
            if check(&text) {
                good += 1;
            } else {
                bad += 1;
            }
        }
        assert!(good > 1000 && bad > 1000, "{good} good, {bad} bad");
    }

    #[test]
    fn control_characters() {
        for shift in 0..70 {
            let text = format!("{}\n", "x".repeat(shift));
            assert!(!has_controls(text.as_bytes()));
            assert!(has_controls(format!("{text}\t{text}").as_bytes()));
            assert!(has_controls(format!("{text}\r\n").as_bytes()));
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_none() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(lines_are_objects(deep(127).as_bytes()));
        assert!(!lines_are_objects(deep(128).as_bytes()));
    }
}
