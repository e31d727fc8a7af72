//! Whether lines and rows of JSON are JSON as RFC 8259 has it, said as fast as the text can be passed over. What is wrong
//! with them, and where, says [`super::json_grammar`].

use serde::de::IgnoredAny;

use super::{
    DEEPEST,
    compare::{self, BLOCK, Compare, Task},
    json_flat::{self, Facts},
    json_split::trim_blanks,
};

/// Whether the text is UTF-8 and each of its lines is blank or an object; if so, what else the pass has shown.
pub(crate) fn lines_of_objects(text: &[u8]) -> Option<Facts> {
    let is_utf8 = || simdutf8::basic::from_utf8(text).is_ok();
    let checked = match json_flat::check(text) {
        Ok(facts) => return (facts.is_ascii || is_utf8()).then_some(facts),
        Err(checked) => checked,
    };
    if !is_utf8() {
        return None;
    }
    // The line that goes on in the block that stopped it.
    let line = memchr::memrchr(b'\n', &text[..checked]).map_or(0, |newline| newline + 1);
    let (mut start, mut lines) = (line, memchr::memchr_iter(b'\n', &text[..line]).count());
    let ends = memchr::memchr_iter(b'\n', &text[line..]).map(|end| line + end);
    for end in ends.chain([text.len()]) {
        let line = trim_blanks(&text[start..end]);
        if !(line.is_empty() || line.starts_with(b"{") && is_json(line)) {
            return None;
        }
        start = end + 1;
        lines += usize::from(end < text.len());
    }
    Some(Facts {
        lines: lines as u64,
        has_backslashes: memchr::memchr(b'\\', text).is_some(),
        is_ascii: text.is_ascii(),
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
pub(super) fn is_paired(text: &[u8], escape: usize) -> bool {
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
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (place, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
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

/// What a text holds that is not JSON or has to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes {
    /// Number of ends of lines.
    pub(crate) lines: u64,
    /// Whether there are control characters other than ends of lines.
    pub(crate) has_controls: bool,
    pub(crate) is_ascii: bool,
}

/// Looks at the bytes of a text, each by itself.
pub(crate) fn bytes(text: &[u8]) -> Bytes {
    compare::run(Look(text))
}

struct Look<'a>(&'a [u8]);

impl Task for Look<'_> {
    type Output = Bytes;

    #[inline(always)]
    fn run(self, compare: impl Compare) -> Self::Output {
        let (blocks, rest) = self.0.as_chunks::<BLOCK>();
        let mut last = [b' '; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let (mut lines, mut controls, mut beyond_ascii) = (0, 0, 0);
        for block in blocks.iter().chain([&last]) {
            let newlines = compare.equal(block, b'\n');
            lines += u64::from(newlines.count_ones());
            controls |= compare.below(block, b' ') & !newlines;
            beyond_ascii |= compare.beyond_ascii(block);
        }
        Bytes {
            lines,
            has_controls: controls != 0,
            is_ascii: beyond_ascii == 0,
        }
    }
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

    use super::{Bytes, Look, bytes, is_value, lines_of_objects, surrogates_are_paired};
    use crate::formats::{compare::run_anywhere, json_flat, json_grammar};

    /// What each way says, which must be the same.
    fn check(text: &str) -> bool {
        let text = text.as_bytes();
        let flat = json_flat::tests::facts(text);
        let facts = lines_of_objects(text);
        let found = facts.is_some();
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
        assert!(found || flat.is_none(), "{shown:?}");
        if let Some(facts) = facts {
            assert_eq!(
                facts.lines,
                text.iter().filter(|&&byte| byte == b'\n').count() as u64
            );
            assert_eq!(facts.has_backslashes, text.contains(&b'\\'));
            assert_eq!(facts.is_ascii, text.is_ascii());
        }
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
            let line = format!("{}\n", "x".repeat(shift));
            for (text, has_controls) in [
                (line.clone(), false),
                (format!("{line}\u{7f}é{line}x"), false),
                (format!("{line}\t{line}"), true),
                (format!("{line}\r\n"), true),
            ] {
                let expected = Bytes {
                    lines: text.matches('\n').count() as u64,
                    has_controls,
                    is_ascii: text.is_ascii(),
                };
                assert_eq!(bytes(text.as_bytes()), expected, "{text:?}");
                assert_eq!(run_anywhere(Look(text.as_bytes())), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_none() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(lines_of_objects(deep(127).as_bytes()).is_some());
        assert!(lines_of_objects(deep(128).as_bytes()).is_none());
    }
}
