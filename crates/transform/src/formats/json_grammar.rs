//! JSON as RFC 8259 has it, byte by byte: where a text is no JSON, and what was expected there.

use std::fmt;

use super::DEEPEST;

/// Goes through a text that comes in pieces. Nothing of it is held.
#[derive(Debug)]
pub(crate) struct Grammar {
    state: State,
    /// Whether each open bracket is that of an array; the innermost in the lowest bit.
    arrays: u128,
    depth: usize,
    /// Whether what comes in text is the rest of a character.
    rest: Rest,
    /// Whether the first half of a surrogate pair came last in text.
    is_half: bool,
}

const HALF: Wrong = Wrong::Json("an escape is one half of a surrogate pair, without the other");

/// What is wrong with a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It is something else than what was expected.
    Json(&'static str),
    /// It opens one bracket too many.
    TooDeep,
    /// It is no UTF-8.
    Utf8,
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(expected) => write!(formatter, "is not valid JSON: {expected}"),
            Self::TooDeep => write!(formatter, "is nested deeper than {DEEPEST}"),
            Self::Utf8 => formatter.write_str("holds bytes that are no UTF-8: set `encoding`"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    /// After `[`.
    FirstItem,
    /// After `{`.
    FirstKey,
    /// After a comma in an object.
    Key,
    AfterKey,
    AfterMember,
    AfterItem,
    /// After the outermost value.
    Ended,
    Text {
        key: bool,
    },
    Escape {
        key: bool,
    },
    /// The digits of a code point so far, and how many are missing.
    Hex {
        key: bool,
        code: u32,
        missing: u8,
    },
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
    /// What is left of `true`, `false` or `null`.
    Word(&'static [u8]),
}

/// How many bytes of a character are missing, and between which ones the next is.
#[derive(Debug, Clone, Copy)]
struct Rest {
    missing: u8,
    first: u8,
    last: u8,
}

impl Rest {
    const NONE: Self = Self::any(0);

    const fn any(missing: u8) -> Self {
        Self {
            missing,
            first: 0x80,
            last: 0xbf,
        }
    }
}

impl Default for Grammar {
    /// Before a value.
    fn default() -> Self {
        Self {
            state: State::Value,
            arrays: 0,
            depth: 0,
            rest: Rest::NONE,
            is_half: false,
        }
    }
}

/// The first byte of a text that makes it no JSON, and why: its place is the length of the text where that ends too early.
pub(crate) fn fault(text: &[u8]) -> Option<(usize, Wrong)> {
    let mut grammar = Grammar::default();
    for (place, &byte) in text.iter().enumerate() {
        if let Err(wrong) = grammar.step(byte) {
            return Some((place, wrong));
        }
    }
    let wrong = grammar.finish().err()?;
    Some((text.len(), wrong))
}

impl Grammar {
    /// Takes bytes that hold neither quote nor backslash nor end of line, inside of text.
    pub(crate) fn text(&mut self, bytes: &[u8]) -> Result<(), (usize, Wrong)> {
        let in_text = matches!(self.state, State::Text { .. })
            && self.rest.missing == 0
            && (!self.is_half || bytes.is_empty());
        if in_text && bytes.iter().all(|byte| (b' '..0x80).contains(byte)) {
            return Ok(());
        }
        let mut bytes = bytes.iter().enumerate();
        bytes.try_for_each(|(place, &byte)| self.step(byte).map_err(|wrong| (place, wrong)))
    }

    /// Takes the next byte.
    pub(crate) fn step(&mut self, byte: u8) -> Result<(), Wrong> {
        match self.state {
            State::Text { key } => return self.text_byte(byte, key),
            State::Escape { key } => {
                if self.is_half && byte != b'u' {
                    return Err(HALF);
                }
                self.state = match byte {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => State::Text { key },
                    b'u' => State::Hex {
                        key,
                        code: 0,
                        missing: 4,
                    },
                    _ => return Err(Wrong::Json("a backslash stands before no such character")),
                };
            }
            State::Hex { key, code, missing } => {
                let Some(digit) = char::from(byte).to_digit(16) else {
                    return Err(Wrong::Json("a hexadecimal digit was expected"));
                };
                let code = code << 4 | digit;
                self.state = match missing {
                    1 => State::Text { key },
                    _ => State::Hex {
                        key,
                        code,
                        missing: missing - 1,
                    },
                };
                if missing == 1 {
                    if self.is_half != (0xdc00..0xe000).contains(&code) {
                        return Err(HALF);
                    }
                    self.is_half = (0xd800..0xdc00).contains(&code);
                }
            }
            State::Word([first, rest @ ..]) => {
                if byte != *first {
                    return Err(Wrong::Json("`true`, `false` or `null` was expected"));
                }
                if rest.is_empty() {
                    self.ended_value();
                } else {
                    self.state = State::Word(rest);
                }
            }
            State::Minus
            | State::Zero
            | State::Integer
            | State::Point
            | State::Fraction
            | State::Exponent
            | State::ExponentSign
            | State::ExponentDigits => return self.number_byte(byte),
            _ => return self.token(byte),
        }
        Ok(())
    }

    fn text_byte(&mut self, byte: u8, key: bool) -> Result<(), Wrong> {
        if self.rest.missing > 0 {
            if !(self.rest.first..=self.rest.last).contains(&byte) {
                return Err(Wrong::Utf8);
            }
            self.rest = Rest::any(self.rest.missing - 1);
            return Ok(());
        }
        let rest = |missing: u8, first: u8, last: u8| Rest {
            missing,
            first,
            last,
        };
        if self.is_half && byte != b'\\' {
            return Err(HALF);
        }
        match byte {
            b'"' if key => self.state = State::AfterKey,
            b'"' => self.ended_value(),
            b'\\' => self.state = State::Escape { key },
            0..b' ' => {
                return Err(Wrong::Json(
                    "a control character in a text was not written as an escape",
                ));
            }
            b' '..0x80 => {}
            0xc2..=0xdf => self.rest = Rest::any(1),
            0xe0 => self.rest = rest(2, 0xa0, 0xbf),
            0xed => self.rest = rest(2, 0x80, 0x9f),
            0xe1..=0xef => self.rest = Rest::any(2),
            0xf0 => self.rest = rest(3, 0x90, 0xbf),
            0xf1..=0xf3 => self.rest = Rest::any(3),
            0xf4 => self.rest = rest(3, 0x80, 0x8f),
            0x80..=0xc1 | 0xf5.. => return Err(Wrong::Utf8),
        }
        Ok(())
    }

    fn number_byte(&mut self, byte: u8) -> Result<(), Wrong> {
        self.state = match (self.state, byte) {
            (State::Minus, b'0') => State::Zero,
            (State::Minus | State::Integer, b'0'..=b'9') => State::Integer,
            (State::Zero | State::Integer, b'.') => State::Point,
            (State::Point | State::Fraction, b'0'..=b'9') => State::Fraction,
            (State::Zero | State::Integer | State::Fraction, b'e' | b'E') => State::Exponent,
            (State::Exponent, b'+' | b'-') => State::ExponentSign,
            (State::Exponent | State::ExponentSign | State::ExponentDigits, b'0'..=b'9') => {
                State::ExponentDigits
            }
            (State::Zero, b'0'..=b'9') => {
                return Err(Wrong::Json("a number begins with a zero that it has not"));
            }
            (State::Zero | State::Integer | State::Fraction | State::ExponentDigits, _) => {
                self.ended_value();
                return self.token(byte);
            }
            _ => return Err(Wrong::Json("a digit was expected")),
        };
        Ok(())
    }

    /// A byte between values.
    fn token(&mut self, byte: u8) -> Result<(), Wrong> {
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            return Ok(());
        }
        match (self.state, byte) {
            (State::FirstItem, b']')
            | (State::FirstKey | State::AfterMember, b'}')
            | (State::AfterItem, b']') => {
                self.depth -= 1;
                self.arrays >>= 1;
                self.ended_value();
            }
            (State::Value | State::FirstItem, _) => return self.value(byte),
            (State::FirstKey | State::Key, b'"') => self.state = State::Text { key: true },
            (State::AfterKey, b':') => self.state = State::Value,
            (State::AfterMember, b',') => self.state = State::Key,
            (State::AfterItem, b',') => self.state = State::Value,
            _ => return Err(self.expected()),
        }
        Ok(())
    }

    fn value(&mut self, byte: u8) -> Result<(), Wrong> {
        self.state = match byte {
            b'"' => State::Text { key: false },
            b'-' => State::Minus,
            b'0' => State::Zero,
            b'1'..=b'9' => State::Integer,
            b't' => State::Word(b"rue"),
            b'f' => State::Word(b"alse"),
            b'n' => State::Word(b"ull"),
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth > DEEPEST {
                    return Err(Wrong::TooDeep);
                }
                self.arrays = self.arrays << 1 | u128::from(byte == b'[');
                if byte == b'[' {
                    State::FirstItem
                } else {
                    State::FirstKey
                }
            }
            _ => return Err(self.expected()),
        };
        Ok(())
    }

    fn ended_value(&mut self) {
        self.state = match (self.depth, self.arrays & 1) {
            (0, _) => State::Ended,
            (_, 1) => State::AfterItem,
            _ => State::AfterMember,
        };
    }

    fn expected(&self) -> Wrong {
        Wrong::Json(match self.state {
            State::FirstItem => "a value or `]` was expected",
            State::FirstKey => "a key in quotes or `}` was expected",
            State::Key => "a key in quotes was expected",
            State::AfterKey => "a colon was expected",
            State::AfterMember => "a comma or `}` was expected",
            State::AfterItem => "a comma or `]` was expected",
            State::Ended => "nothing more was expected",
            State::Text { .. } | State::Escape { .. } | State::Hex { .. } => {
                "a closing quote was expected"
            }
            State::Word(_) => "`true`, `false` or `null` was expected",
            State::Value => "a value was expected",
            _ => "a digit was expected",
        })
    }

    /// The text has ended.
    ///
    /// # Errors
    /// What was expected besides.
    pub(crate) fn finish(&self) -> Result<(), Wrong> {
        let whole_number = matches!(
            self.state,
            State::Zero | State::Integer | State::Fraction | State::ExponentDigits
        );
        if self.state == State::Ended || whole_number && self.depth == 0 {
            return Ok(());
        }
        if !whole_number {
            return Err(self.expected());
        }
        Err(Wrong::Json(if self.arrays & 1 == 1 {
            "a comma or `]` was expected"
        } else {
            "a comma or `}` was expected"
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Grammar, HALF, Wrong, fault};

    #[test]
    fn the_place_and_what_was_expected() {
        let json = |place, what| Some((place, Wrong::Json(what)));
        for (text, expected) in [
            ("{\"k\": 2,}", json(8, "a key in quotes was expected")),
            (
                "{\"k\": 2 \"j\": 3}",
                json(8, "a comma or `}` was expected"),
            ),
            (
                "{\"k\": 02}",
                json(7, "a number begins with a zero that it has not"),
            ),
            (
                "{\"k\": \"a\tb\"}",
                json(
                    8,
                    "a control character in a text was not written as an escape",
                ),
            ),
            ("{\"k\" 2}", json(5, "a colon was expected")),
            ("{\"k\":}", json(5, "a value was expected")),
            ("{k", json(1, "a key in quotes or `}` was expected")),
            ("{\"k\":NaN}", json(5, "a value was expected")),
            (
                "{\"k\":nul}",
                json(8, "`true`, `false` or `null` was expected"),
            ),
            ("{\"k\":1.}", json(7, "a digit was expected")),
            ("{\"k\":\"x", json(7, "a closing quote was expected")),
            ("{\"k\":1", json(6, "a comma or `}` was expected")),
            ("[1 2]", json(3, "a comma or `]` was expected")),
            ("[", json(1, "a value or `]` was expected")),
            ("{} {}", json(3, "nothing more was expected")),
            (
                "\"\\x\"",
                json(2, "a backslash stands before no such character"),
            ),
            ("\"\\u12\"", json(5, "a hexadecimal digit was expected")),
            ("\"\\ud800\"", Some((7, HALF))),
            ("\"\\ud800\\n\"", Some((8, HALF))),
            ("\"\\udc00\"", Some((6, HALF))),
            ("\"\\ud83d\\ude00\"", None),
            (
                "{\"k\": [1, -2.5e+3, true, \"\\u00e9 é\"], \"j\": {}} ",
                None,
            ),
        ] {
            assert_eq!(fault(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(fault(b"\"M\xfcller\""), Some((2, Wrong::Utf8)));
        assert_eq!(
            fault("[".repeat(129).as_bytes()),
            Some((128, Wrong::TooDeep))
        );
    }

    #[test]
    fn text_is_utf8_as_the_standard_library_has_it() {
        let bytes = [
            0x20, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed,
            0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff,
        ];
        let mut texts: Vec<Vec<u8>> = vec![Vec::new()];
        for _ in 0..4 {
            texts = texts
                .iter()
                .flat_map(|text| bytes.map(|byte| [&text[..], &[byte]].concat()))
                .collect();
        }
        for text in texts {
            let quoted = [b"\"", &text[..], b"\""].concat();
            let expected = std::str::from_utf8(&text).is_ok();
            assert_eq!(fault(&quoted).is_none(), expected, "{text:?}");
            let mut grammar = Grammar::default();
            grammar.step(b'"').unwrap();
            let all = grammar.text(&text).is_ok() && grammar.step(b'"').is_ok();
            assert_eq!(all, expected, "{text:?}");
        }
    }
}
