//! Cuts JSON into the texts of its rows while it streams: lines, values one after the other, or the elements of an array
//! that may lie deep inside a document. Nothing but the row that is being read is held.

use std::fmt;

use memchr::{memchr, memchr_iter, memchr3, memrchr};

use super::{
    BATCH_BYTES, DEEPEST, LONGEST_RECORD_BYTES,
    json_grammar::{self, Grammar, Wrong},
};

/// Where the rows are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonRows {
    /// Each line is one.
    Lines,
    /// The elements of the array at the pointer; without one, of the document, or values one after the other.
    Document(Vec<String>),
}

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1.
    pub(crate) line: u64,
    /// In characters, from 1.
    pub(crate) column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {}, column {}", self.line, self.column)
    }
}

impl Place {
    const START: Self = Self { line: 1, column: 1 };

    /// The place after a text that begins here.
    pub(crate) fn after(self, text: &[u8]) -> Self {
        let mut place = self;
        place.pass(text);
        place
    }

    const fn pass_byte(&mut self, byte: u8) {
        if byte == b'\n' {
            self.line += 1;
            self.column = 1;
        } else if byte & 0xc0 != 0x80 {
            self.column += 1;
        }
    }

    fn pass(&mut self, text: &[u8]) {
        let last_line = match memrchr(b'\n', text) {
            None => text,
            Some(newline) => {
                self.line += memchr_iter(b'\n', text).count() as u64;
                self.column = 1;
                &text[newline + 1..]
            }
        };
        // Bytes 0x80 to 0xbf go on with a character.
        let characters = last_line.iter().filter(|&&byte| byte & 0xc0 != 0x80);
        self.column += characters.count() as u64;
    }
}

/// A text without the blanks of JSON before and after it.
pub(crate) fn trim_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_blank(byte));
    let end = text.iter().rposition(|&byte| !is_blank(byte));
    match (start, end) {
        (Some(start), Some(end)) => &text[start..=end],
        _ => &[],
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Why the text cannot be cut into rows at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Torn {
    /// Something at this place is no JSON.
    Wrong(Place, Wrong),
    /// The text ends inside a value that begins in `line`.
    CutOff {
        line: u64,
        place: Place,
        expected: &'static str,
    },
    /// The row that begins in this line is too long.
    TooLong(u64),
    /// The row that begins in this line is nested too deep.
    TooDeep(u64),
    /// What lies at the pointer is no array.
    NoArray,
    /// Nothing lies at the pointer.
    NothingThere,
}

/// Cuts text that comes in pieces.
#[derive(Debug)]
pub(crate) struct JsonSplitter {
    rows: JsonRows,
    state: State,
    /// Of what comes next.
    place: Place,
    row_place: Place,
    row: Vec<u8>,
    /// What is neither a row nor between rows.
    around: Grammar,
    /// Open brackets inside the row, or inside a value that is passed over.
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// How many objects on the way to the array have been entered.
    entered: usize,
    key: Vec<u8>,
    elements: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the document's value.
    Start,
    /// Inside an object on the way: before a key or the end.
    BeforeKey,
    InKey,
    AfterKey,
    /// Before the value of a key.
    BeforeValue,
    /// Inside a value that is passed over.
    Passing,
    /// After a value that was passed over.
    AfterPassed,
    /// Before a row; whether the array may end here, and whether a comma has to come first.
    BeforeRow {
        first: bool,
    },
    AfterRow,
    InRow,
    InScalar,
    /// After the array: the rest is only checked for being complete.
    Rest,
    Line,
}

/// Takes the texts of rows and the places at which they begin.
pub(crate) trait TakeRow {
    /// # Errors
    /// What keeps the row from being taken.
    fn take(&mut self, row: &[u8], place: Place) -> Result<(), crate::Error>;
}

/// Why splitting stopped.
#[derive(Debug)]
pub(crate) enum Stopped {
    Torn(Torn),
    Taker(crate::Error),
}

impl JsonSplitter {
    pub(crate) fn new(rows: JsonRows) -> Self {
        let state = if rows == JsonRows::Lines {
            State::Line
        } else {
            State::Start
        };
        Self {
            rows,
            state,
            place: Place::START,
            row_place: Place::START,
            row: Vec::new(),
            around: Grammar::default(),
            depth: 0,
            in_string: false,
            escaped: false,
            entered: 0,
            key: Vec::new(),
            elements: false,
        }
    }

    /// For text that begins in `line`.
    pub(crate) fn at_line(mut self, line: u64) -> Self {
        self.place.line = line;
        self.row_place = self.place;
        self
    }

    /// Whether all lines so far are complete.
    pub(crate) fn between_lines(&self) -> bool {
        self.state == State::Line && self.row.is_empty()
    }

    /// The line of what comes next.
    pub(crate) const fn line(&self) -> u64 {
        self.place.line
    }

    fn pointer(&self) -> &[String] {
        match &self.rows {
            JsonRows::Lines => &[],
            JsonRows::Document(pointer) => pointer,
        }
    }

    /// Cuts the next piece.
    pub(crate) fn push(&mut self, bytes: &[u8], taker: &mut dyn TakeRow) -> Result<(), Stopped> {
        if self.state == State::Line {
            return self.lines(bytes, taker);
        }
        let mut at = 0;
        while at < bytes.len() {
            // The inside of strings is most of the text.
            if self.in_string && !self.escaped {
                let rest = &bytes[at..];
                let plain = memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len());
                let plain = &rest[..plain];
                if self.is_around() {
                    let passed = self.around.text(plain);
                    passed.map_err(|(before, wrong)| {
                        let place = self.place.after(&plain[..before]);
                        Stopped::Torn(Torn::Wrong(place, wrong))
                    })?;
                }
                self.keep(plain)?;
                self.place.pass(plain);
                at += plain.len();
                if at == bytes.len() {
                    break;
                }
            }
            let byte = bytes[at];
            // A number or word ends before the byte that ends it, which is then looked at again.
            if self.one(byte, taker)? {
                self.place.pass_byte(byte);
                at += 1;
            }
        }
        Ok(())
    }

    /// The text has ended.
    pub(crate) fn finish(&mut self, taker: &mut dyn TakeRow) -> Result<(), Stopped> {
        let ended = match self.state {
            State::Line => {
                self.line_row(taker)?;
                return Ok(());
            }
            State::Start => Ok(()),
            State::BeforeRow { .. } | State::AfterRow if !self.elements => Ok(()),
            State::InScalar if !self.elements => {
                self.end_row(taker)?;
                return Ok(());
            }
            State::Rest if self.around.finish().is_ok() => Ok(()),
            State::InRow | State::InScalar => Err(self.in_row()),
            State::BeforeRow { first: true } => Err(self.cut_off("a value or `]` was expected")),
            State::BeforeRow { first: false } => Err(self.cut_off("a value was expected")),
            State::AfterRow => Err(self.cut_off("a comma or `]` was expected")),
            _ => Err(match self.around.finish() {
                Err(Wrong::Json(expected)) => self.cut_off(expected),
                _ => self.cut_off("more was expected"),
            }),
        };
        ended.map_err(Stopped::Torn)
    }

    /// What is wrong with a row inside of which the text ends.
    fn in_row(&self) -> Torn {
        let (line, row) = (self.row_place.line, self.row.as_slice());
        let expected = match json_grammar::fault(row) {
            Some((before, wrong)) if before < row.len() => {
                return Torn::Wrong(self.row_place.after(&row[..before]), wrong);
            }
            Some((_, Wrong::Json(expected))) => expected,
            _ => "a comma or `]` was expected",
        };
        Torn::CutOff {
            line,
            place: self.place,
            expected,
        }
    }

    fn cut_off(&self, expected: &'static str) -> Torn {
        Torn::CutOff {
            line: self.place.line,
            place: self.place,
            expected,
        }
    }

    fn lines(&mut self, mut bytes: &[u8], taker: &mut dyn TakeRow) -> Result<(), Stopped> {
        while let Some(end) = memchr(b'\n', bytes) {
            if self.row.is_empty() {
                Self::give(&bytes[..end], self.place, taker)?;
            } else {
                self.row.extend_from_slice(&bytes[..end]);
                self.line_row(taker)?;
            }
            self.place.line += 1;
            bytes = &bytes[end + 1..];
        }
        self.row_place = self.place;
        self.keep_row(bytes)
    }

    fn line_row(&mut self, taker: &mut dyn TakeRow) -> Result<(), Stopped> {
        let row = std::mem::take(&mut self.row);
        Self::give(&row, self.place, taker)
    }

    fn give(row: &[u8], place: Place, taker: &mut dyn TakeRow) -> Result<(), Stopped> {
        let trimmed = trim_blanks(row);
        if trimmed.is_empty() {
            return Ok(());
        }
        let blanks = row.iter().take_while(|&&byte| is_blank(byte)).count();
        taker
            .take(trimmed, place.after(&row[..blanks]))
            .map_err(Stopped::Taker)
    }

    /// Whether what comes is neither a row nor between rows.
    const fn is_around(&self) -> bool {
        !matches!(
            self.state,
            State::Line
                | State::InRow
                | State::InScalar
                | State::BeforeRow { .. }
                | State::AfterRow
        )
    }

    /// Looks at one byte; whether it has been used up.
    fn one(&mut self, byte: u8, taker: &mut dyn TakeRow) -> Result<bool, Stopped> {
        // The end of a number or word that is passed over is looked at again in the next state.
        let ends_passed = self.state == State::Passing
            && self.depth == 0
            && !self.in_string
            && matches!(byte, b',' | b'}');
        if self.is_around() && !ends_passed {
            self.step(byte)?;
        }
        match self.state {
            State::Passing | State::InRow => return self.inside(byte, taker),
            State::Rest if self.in_string => self.string_byte(byte),
            State::Rest => self.in_string = byte == b'"',
            State::InKey => {
                self.key.push(byte);
                self.string_byte(byte);
                if !self.in_string {
                    self.state = State::AfterKey;
                }
                return Ok(true);
            }
            State::InScalar => {
                if !matches!(byte, b',' | b']' | b'}') && !is_blank(byte) {
                    self.keep_row(&[byte])?;
                    return Ok(true);
                }
                self.end_row(taker)?;
                return Ok(false);
            }
            _ if is_blank(byte) => return Ok(true),
            State::Start => self.start(byte)?,
            State::BeforeKey if byte == b'"' => {
                self.key.clear();
                self.key.push(byte);
                self.in_string = true;
                self.state = State::InKey;
            }
            State::AfterPassed if byte == b',' => self.state = State::BeforeKey,
            State::BeforeKey | State::AfterPassed => {
                return Err(Stopped::Torn(Torn::NothingThere));
            }
            State::AfterKey => self.state = State::BeforeValue,
            State::BeforeValue => self.value(byte)?,
            State::BeforeRow { first } => match byte {
                b']' if self.elements && first => self.end_array()?,
                b',' | b']' | b'}' | b':' => return self.unexpected("a value was expected"),
                _ => self.begin_row(byte)?,
            },
            State::AfterRow => match byte {
                b',' if self.elements => self.state = State::BeforeRow { first: false },
                b']' if self.elements => self.end_array()?,
                _ => return self.unexpected("a comma or `]` was expected"),
            },
            State::Line => {}
        }
        Ok(true)
    }

    fn step(&mut self, byte: u8) -> Result<(), Stopped> {
        let stepped = self.around.step(byte);
        stepped.map_err(|wrong| Stopped::Torn(Torn::Wrong(self.place, wrong)))
    }

    fn unexpected(&self, what: &'static str) -> Result<bool, Stopped> {
        Err(Stopped::Torn(Torn::Wrong(self.place, Wrong::Json(what))))
    }

    fn start(&mut self, byte: u8) -> Result<(), Stopped> {
        if !self.pointer().is_empty() {
            if byte != b'{' {
                return Err(Stopped::Torn(Torn::NothingThere));
            }
            self.entered = 1;
            self.state = State::BeforeKey;
            return Ok(());
        }
        if byte == b'[' {
            self.elements = true;
            self.state = State::BeforeRow { first: true };
            return Ok(());
        }
        if byte != b'{' {
            return self.unexpected("`[` or `{` was expected").map(drop);
        }
        self.begin_row(byte)
    }

    /// The first byte of the value of the key that was read last.
    fn value(&mut self, byte: u8) -> Result<(), Stopped> {
        let key: Option<String> = serde_json::from_slice(&self.key).ok();
        let wanted = key.as_deref() == self.pointer().get(self.entered - 1).map(String::as_str);
        if wanted && self.entered == self.pointer().len() {
            if byte != b'[' {
                return Err(Stopped::Torn(Torn::NoArray));
            }
            self.elements = true;
            self.state = State::BeforeRow { first: true };
        } else if wanted && byte == b'{' {
            self.entered += 1;
            self.state = State::BeforeKey;
        } else {
            self.state = State::Passing;
            self.depth = usize::from(matches!(byte, b'{' | b'['));
            self.in_string = byte == b'"';
        }
        Ok(())
    }

    fn begin_row(&mut self, byte: u8) -> Result<(), Stopped> {
        self.row.clear();
        self.row_place = self.place;
        self.keep_row(&[byte])?;
        self.depth = 0;
        self.state = match byte {
            b'{' | b'[' => {
                self.depth = 1;
                State::InRow
            }
            b'"' => {
                self.in_string = true;
                State::InRow
            }
            _ => State::InScalar,
        };
        Ok(())
    }

    /// A byte inside a value that is kept or passed over.
    fn inside(&mut self, byte: u8, taker: &mut dyn TakeRow) -> Result<bool, Stopped> {
        let passing = self.state == State::Passing;
        if self.in_string {
            self.keep(&[byte])?;
            self.string_byte(byte);
            if !self.in_string && self.depth == 0 {
                return self.end_value(taker).map(|()| true);
            }
            return Ok(true);
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                self.depth += 1;
                if self.state == State::InRow && self.depth > DEEPEST {
                    return Err(Stopped::Torn(Torn::TooDeep(self.row_place.line)));
                }
            }
            // The end of a number or word that is passed over.
            b',' | b'}' if passing && self.depth == 0 => {
                self.state = State::AfterPassed;
                return Ok(false);
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.keep(&[byte])?;
                    return self.end_value(taker).map(|()| true);
                }
            }
            _ => {}
        }
        self.keep(&[byte])?;
        Ok(true)
    }

    fn string_byte(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if byte == b'\\' {
            self.escaped = true;
        } else if byte == b'"' {
            self.in_string = false;
        }
    }

    fn end_value(&mut self, taker: &mut dyn TakeRow) -> Result<(), Stopped> {
        if self.state == State::Passing {
            self.state = State::AfterPassed;
            return Ok(());
        }
        self.end_row(taker)
    }

    fn end_row(&mut self, taker: &mut dyn TakeRow) -> Result<(), Stopped> {
        self.state = if self.elements {
            State::AfterRow
        } else {
            State::BeforeRow { first: true }
        };
        let row = std::mem::take(&mut self.row);
        let result = Self::give(&row, self.row_place, taker);
        self.row = row;
        self.row.clear();
        self.row.shrink_to(2 * BATCH_BYTES);
        result
    }

    /// To what is around the rows, the array was an empty one.
    fn end_array(&mut self) -> Result<(), Stopped> {
        self.state = State::Rest;
        self.step(b']')
    }

    /// Keeps text that is part of a row or a key.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        match self.state {
            State::InRow => self.keep_row(bytes),
            State::InKey => {
                self.key.extend_from_slice(bytes);
                if self.key.len() > LONGEST_RECORD_BYTES {
                    return Err(Stopped::Torn(Torn::TooLong(self.place.line)));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn keep_row(&mut self, bytes: &[u8]) -> Result<(), Stopped> {
        self.row.extend_from_slice(bytes);
        if self.row.len() > LONGEST_RECORD_BYTES {
            return Err(Stopped::Torn(Torn::TooLong(self.row_place.line)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonRows, JsonSplitter, Place, Stopped, TakeRow, Torn};
    use crate::formats::json_grammar::Wrong;

    impl TakeRow for Vec<(String, u64)> {
        fn take(&mut self, row: &[u8], place: Place) -> Result<(), crate::Error> {
            self.push((String::from_utf8_lossy(row).into(), place.line));
            Ok(())
        }
    }

    fn split(rows: &JsonRows, text: &str) -> Result<Vec<(String, u64)>, Torn> {
        let read = |piece: usize| {
            let mut splitter = JsonSplitter::new(rows.clone());
            let mut found = Vec::new();
            let all = text
                .as_bytes()
                .chunks(piece)
                .try_for_each(|bytes| splitter.push(bytes, &mut found))
                .and_then(|()| splitter.finish(&mut found));
            match all {
                Ok(()) => Ok(found),
                Err(Stopped::Torn(torn)) => Err(torn),
                Err(Stopped::Taker(error)) => panic!("{error}"),
            }
        };
        let whole = read(usize::MAX);
        for piece in [1, 2, 5] {
            assert_eq!(read(piece), whole, "{text} in pieces of {piece}");
        }
        whole
    }

    fn at(pointer: &str) -> JsonRows {
        JsonRows::Document(pointer.split('/').skip(1).map(str::to_owned).collect())
    }

    fn rows(expected: &[(&str, u64)]) -> Result<Vec<(String, u64)>, Torn> {
        Ok(expected
            .iter()
            .map(|&(row, line)| (row.to_owned(), line))
            .collect())
    }

    #[test]
    fn arrays_values_and_lines() {
        let array = " [ {\"a\":\"]}\\\"\"} ,\n {\"a\":[1,{}]}\n, 3 ] \n";
        let expected = rows(&[("{\"a\":\"]}\\\"\"}", 1), ("{\"a\":[1,{}]}", 2), ("3", 3)]);
        assert_eq!(split(&at(""), array), expected);
        assert_eq!(
            split(&at(""), "{\"a\":\n1}{}\n{}"),
            rows(&[("{\"a\":\n1}", 1), ("{}", 2), ("{}", 3)])
        );
        assert_eq!(
            split(&JsonRows::Lines, "{}\n\n x \r\n{\"a\""),
            rows(&[("{}", 1), ("x", 3), ("{\"a\"", 4)])
        );
        assert_eq!(split(&at(""), "[]"), rows(&[]));
        assert_eq!(split(&at(""), " "), rows(&[]));
    }

    #[test]
    fn an_array_inside_a_document() {
        let text = "{\"n\":12,\"x\":{\"entities\":[9]},\"s\":\"\\\"[\",\"l\":[[1],{}],\n\"enti\\u0074ies\":[{\"a\":1},\n{\"a\":2}],\"more\":[{}]}\n";
        assert_eq!(
            split(&at("/entities"), text),
            rows(&[("{\"a\":1}", 2), ("{\"a\":2}", 3)])
        );
        assert_eq!(split(&at("/x/entities"), text), rows(&[("9", 1)]));
        assert_eq!(split(&at("/none"), text), Err(Torn::NothingThere));
        assert_eq!(split(&at("/x"), text), Err(Torn::NoArray));
        assert_eq!(split(&at("/n/a"), text), Err(Torn::NothingThere));
    }

    #[test]
    fn what_is_no_json_is_reported() {
        let wrong =
            |line, column, what| Err(Torn::Wrong(Place { line, column }, Wrong::Json(what)));
        let cut_off = |line, column, expected| {
            Err(Torn::CutOff {
                line,
                place: Place { line, column },
                expected,
            })
        };
        assert_eq!(
            split(&at(""), "[{},\n{}"),
            cut_off(2, 3, "a comma or `]` was expected")
        );
        let expected = cut_off(2, 5, "a colon was expected");
        assert_eq!(split(&at(""), "[{},\n{\"a\""), expected);
        let expected = wrong(2, 3, "a key in quotes or `}` was expected");
        assert_eq!(split(&at(""), "[{},\n{ 1,"), expected);
        for (text, expected) in [
            ("[{} {}]", wrong(1, 5, "a comma or `]` was expected")),
            ("[{},]", wrong(1, 5, "a value was expected")),
            ("[{}] x", wrong(1, 6, "nothing more was expected")),
            ("[\u{c}{}]", wrong(1, 4, "a comma or `]` was expected")),
            ("{}}", wrong(1, 3, "a value was expected")),
            ("12", wrong(1, 1, "`[` or `{` was expected")),
        ] {
            assert_eq!(split(&at(""), text), expected, "{text}");
        }
        // What is passed over is JSON too.
        for (text, expected) in [
            (
                "{\"x\":01,\"e\":[]}",
                wrong(1, 7, "a number begins with a zero that it has not"),
            ),
            (
                "{\"é\":[1,\n {\"é\":1,}],\"e\":[]}",
                wrong(2, 9, "a key in quotes was expected"),
            ),
            (
                "{\"x\":\"a\tb\",\"e\":[]}",
                wrong(
                    1,
                    8,
                    "a control character in a text was not written as an escape",
                ),
            ),
            (
                "{\"x\":[1 2],\"e\":[]}",
                wrong(1, 9, "a comma or `]` was expected"),
            ),
            (
                "{\"x\":tru,\"e\":[]}",
                wrong(1, 9, "`true`, `false` or `null` was expected"),
            ),
            (
                "{\"x\":1 2,\"e\":[]}",
                wrong(1, 8, "a comma or `}` was expected"),
            ),
            ("{\"x\":},\"e\":[]}", wrong(1, 6, "a value was expected")),
            ("{\"x\" 1,\"e\":[]}", wrong(1, 6, "a colon was expected")),
            (
                "{\"x\\q\":1,\"e\":[]}",
                wrong(1, 5, "a backslash stands before no such character"),
            ),
            ("{\"e\":[],}", wrong(1, 9, "a key in quotes was expected")),
            (
                "{\"e\":[],\"x\":[}",
                wrong(1, 14, "a value or `]` was expected"),
            ),
            ("{\"e\":[]}}", wrong(1, 9, "nothing more was expected")),
            (
                "{\"e\":[],\"x\":1",
                cut_off(1, 14, "a comma or `}` was expected"),
            ),
            ("{\"x\":1,}", wrong(1, 8, "a key in quotes was expected")),
            ("{\"x\":1}", Err(Torn::NothingThere)),
            ("{}", Err(Torn::NothingThere)),
        ] {
            assert_eq!(split(&at("/e"), text), expected, "{text}");
        }
        let expected = cut_off(1, 10, "a comma or `}` was expected");
        assert_eq!(split(&at("/e"), "{\"e\":[{}]"), expected);
        assert_eq!(
            split(&at(""), &format!("[{}", "[".repeat(200))),
            Err(Torn::TooDeep(1))
        );
    }
}
