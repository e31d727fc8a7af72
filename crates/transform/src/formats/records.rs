//! Divides delimited text into records and fields, and knows the line of each.

use memchr::{memchr_iter, memchr2, memchr3};

use super::LONGEST_RECORD_BYTES;

/// What divides and encloses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: Delimiter,
    /// `None` when nothing encloses fields.
    pub(crate) quote: Option<u8>,
    pub(crate) escape: Option<u8>,
    pub(crate) comment: Option<u8>,
    /// Whether blanks around fields are left out.
    pub(crate) trim: bool,
}

/// What separates fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delimiter {
    bytes: [u8; LONGEST_DELIMITER],
    length: usize,
}

/// Fields of a record that are held, however short.
const MOST_FIELDS: usize = 100_000;

/// Characters that a delimiter may have.
pub(crate) const LONGEST_DELIMITER: usize = 8;

impl Delimiter {
    pub(crate) const fn byte(byte: u8) -> Self {
        let mut bytes = [0; LONGEST_DELIMITER];
        bytes[0] = byte;
        Self { bytes, length: 1 }
    }

    /// `None` when there are too many bytes, or none.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST_DELIMITER];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        let length = text.len();
        (length > 0).then_some(Self { bytes, length })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// The delimiter, when it is one byte.
    pub(crate) fn single(&self) -> Option<u8> {
        (self.length == 1).then_some(self.bytes[0])
    }

    fn last(&self) -> u8 {
        self.bytes[self.length - 1]
    }
}

impl Dialect {
    /// Whether a byte is left out before and after fields.
    fn is_blank(&self, byte: u8) -> bool {
        self.trim && matches!(byte, b' ' | b'\t') && byte != self.delimiter.bytes[0]
    }
}

/// Where the text is without the blanks around it.
pub(crate) fn trim(text: &[u8]) -> std::ops::Range<usize> {
    let is_text = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let start = text.iter().position(is_text).unwrap_or(text.len());
    let end = text.iter().rposition(is_text).map_or(start, |end| end + 1);
    start..end
}

/// Why the text cannot be divided at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The quote that was opened in this line is never closed.
    OpenQuote(u64),
    /// The record that begins in this line is too long.
    TooLong(u64),
    /// The record that begins in this line has too many fields.
    TooManyFields(u64),
}

/// Records that have been divided: the text of their fields end to end.
#[derive(Debug, Default)]
pub(crate) struct Records {
    text: Vec<u8>,
    ends: Vec<usize>,
    rows: Vec<Row>,
    /// The fields that are empty and in quotes, in order.
    empty_in_quotes: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    first_field: usize,
    fields: usize,
    line: u64,
    torn: bool,
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    records: &'a Records,
    row: Row,
}

/// Divides text that comes in pieces.
#[derive(Debug)]
pub(crate) struct Divider {
    dialect: Dialect,
    state: State,
    records: Records,
    line: u64,
    after_cr: bool,
    row_line: u64,
    row_text: usize,
    row_field: usize,
    torn: bool,
    /// Bytes of the delimiter that came after a closing quote.
    matched: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    RecordStart,
    FieldStart,
    Unquoted,
    Quoted,
    Escaped,
    QuoteInQuoted,
    Comment,
}

impl Records {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn text_bytes(&self) -> usize {
        self.text.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        self.rows.iter().map(|&row| Record { records: self, row })
    }
}

impl<'a> Record<'a> {
    /// The line that it begins in, from 1.
    pub(crate) const fn line(&self) -> u64 {
        self.row.line
    }

    /// Whether text follows a closing quote in one of its fields.
    pub(crate) const fn is_torn(&self) -> bool {
        self.row.torn
    }

    pub(crate) const fn fields(&self) -> usize {
        self.row.fields
    }

    /// Whether a field is empty and in quotes.
    pub(crate) fn is_empty_in_quotes(&self, index: usize) -> bool {
        let place = self.row.first_field + index;
        self.records.empty_in_quotes.binary_search(&place).is_ok()
    }

    /// A field; `None` beyond the last.
    pub(crate) fn field(&self, index: usize) -> Option<&'a [u8]> {
        if index >= self.row.fields {
            return None;
        }
        let place = self.row.first_field + index;
        let start = place
            .checked_sub(1)
            .map_or(0, |before| self.records.ends[before]);
        self.records.text.get(start..self.records.ends[place])
    }
}

impl Divider {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self::at_line(dialect, 1)
    }

    /// For text that begins with a record in `line`.
    pub(crate) fn at_line(dialect: Dialect, line: u64) -> Self {
        Self {
            dialect,
            state: State::RecordStart,
            records: Records::default(),
            line,
            after_cr: false,
            row_line: line,
            row_text: 0,
            row_field: 0,
            torn: false,
            matched: 0,
        }
    }

    /// The records so far; the one that is not complete stays.
    pub(crate) fn take(&mut self) -> Records {
        let open_text = self.records.text.split_off(self.row_text);
        let open_ends = self
            .records
            .ends
            .split_off(self.row_field)
            .into_iter()
            .map(|end| end - self.row_text)
            .collect();
        let empty = &mut self.records.empty_in_quotes;
        let open_empty = empty.split_off(empty.partition_point(|&field| field < self.row_field));
        let open_empty = open_empty.into_iter().map(|field| field - self.row_field);
        let open = Records {
            text: open_text,
            ends: open_ends,
            rows: Vec::new(),
            empty_in_quotes: open_empty.collect(),
        };
        (self.row_text, self.row_field) = (0, 0);
        std::mem::replace(&mut self.records, open)
    }

    /// Whether all text so far is of complete records.
    pub(crate) fn between_records(&self) -> bool {
        self.state == State::RecordStart
    }

    /// The line of what comes next.
    pub(crate) const fn line(&self) -> u64 {
        self.line
    }

    pub(crate) fn records(&self) -> &Records {
        &self.records
    }

    /// Divides `bytes` until `rows` records are complete or all is taken; how many bytes were taken.
    pub(crate) fn push(&mut self, bytes: &[u8], rows: usize) -> Result<usize, Broken> {
        let mut at = 0;
        while at < bytes.len() {
            if self.records.rows.len() >= rows {
                break;
            }
            at += match self.state {
                State::Comment => self.comment(&bytes[at..]),
                State::Unquoted => self.unquoted(&bytes[at..]),
                State::Quoted => self.quoted(&bytes[at..]),
                _ => {
                    self.one(bytes[at]);
                    1
                }
            };
            if self.records.text.len() - self.row_text > LONGEST_RECORD_BYTES {
                return Err(Broken::TooLong(self.row_line));
            }
            if self.records.ends.len() - self.row_field > MOST_FIELDS {
                return Err(Broken::TooManyFields(self.row_line));
            }
        }
        Ok(at)
    }

    /// The text has ended.
    pub(crate) fn finish(&mut self) -> Result<(), Broken> {
        match self.state {
            State::RecordStart | State::Comment => {}
            State::Quoted | State::Escaped => return Err(Broken::OpenQuote(self.row_line)),
            State::Unquoted => self.end_plain(None),
            State::FieldStart => self.end_record(),
            State::QuoteInQuoted => {
                self.torn |= self.matched > 0;
                self.end_record();
            }
        }
        Ok(())
    }

    fn comment(&mut self, bytes: &[u8]) -> usize {
        let Some(end) = memchr2(b'\n', b'\r', bytes) else {
            return bytes.len();
        };
        self.state = State::RecordStart;
        self.line_end(bytes[end]);
        end + 1
    }

    fn unquoted(&mut self, bytes: &[u8]) -> usize {
        let delimiter = self.dialect.delimiter;
        let end = memchr3(delimiter.last(), b'\n', b'\r', bytes).unwrap_or(bytes.len());
        self.records.text.extend_from_slice(&bytes[..end]);
        if end > 0 {
            self.after_cr = false;
        }
        let Some(&byte) = bytes.get(end) else {
            return end;
        };
        if delimiter.single() == Some(byte) || matches!(byte, b'\n' | b'\r') {
            self.end_plain(Some(byte));
        } else {
            self.plain(byte);
        }
        end + 1
    }

    /// A byte of an unquoted field, which may be the last of a delimiter.
    fn plain(&mut self, byte: u8) {
        self.after_cr = false;
        self.state = State::Unquoted;
        self.records.text.push(byte);
        let delimiter = self.dialect.delimiter;
        if byte == delimiter.last() && self.field().ends_with(delimiter.bytes()) {
            let end = self.records.text.len() - delimiter.length;
            self.records.text.truncate(end);
            self.end_plain(Some(byte));
        }
    }

    /// The text so far of the field that is not complete.
    fn field(&self) -> &[u8] {
        let start = if self.records.ends.len() > self.row_field {
            self.records.ends[self.records.ends.len() - 1]
        } else {
            self.row_text
        };
        &self.records.text[start..]
    }

    /// The end of a field that is not quoted.
    fn end_plain(&mut self, byte: Option<u8>) {
        let blanks = self.field().iter().rev();
        let blanks = blanks.take_while(|&&byte| self.dialect.is_blank(byte));
        let end = self.records.text.len() - blanks.count();
        self.records.text.truncate(end);
        match byte {
            Some(byte) => self.end_by(byte),
            None => self.end_record(),
        }
    }

    fn quoted(&mut self, bytes: &[u8]) -> usize {
        let quote = self.dialect.quote.unwrap_or_default();
        let escape = self.dialect.escape.unwrap_or(quote);
        let end = memchr2(quote, escape, bytes).unwrap_or(bytes.len());
        let text = &bytes[..end];
        self.records.text.extend_from_slice(text);
        self.count_lines(text);
        let Some(&byte) = bytes.get(end) else {
            return end;
        };
        self.after_cr = false;
        self.state = if byte == quote {
            self.matched = 0;
            State::QuoteInQuoted
        } else {
            State::Escaped
        };
        end + 1
    }

    fn one(&mut self, byte: u8) {
        match self.state {
            State::RecordStart => match byte {
                b'\n' | b'\r' => self.line_end(byte),
                byte if Some(byte) == self.dialect.comment => {
                    self.after_cr = false;
                    self.state = State::Comment;
                }
                // A line of blanks alone is a blank line.
                byte if self.dialect.is_blank(byte) => self.after_cr = false,
                byte => {
                    self.row_line = self.line;
                    self.field_start(byte);
                }
            },
            State::FieldStart => self.field_start(byte),
            State::Escaped => {
                self.records.text.push(byte);
                self.count_lines(&[byte]);
                self.state = State::Quoted;
            }
            State::QuoteInQuoted => self.after_quote(byte),
            State::Unquoted | State::Quoted | State::Comment => {}
        }
    }

    fn field_start(&mut self, byte: u8) {
        self.after_cr = false;
        if self.dialect.quote == Some(byte) {
            self.state = State::Quoted;
        } else if self.ends(byte) {
            self.end_by(byte);
        } else if self.dialect.is_blank(byte) {
            self.state = State::FieldStart;
        } else {
            self.plain(byte);
        }
    }

    /// Whether a byte ends a field by itself.
    fn ends(&self, byte: u8) -> bool {
        self.dialect.delimiter.single() == Some(byte) || matches!(byte, b'\n' | b'\r')
    }

    /// A byte after a closing quote, or after the first bytes of a delimiter behind it.
    fn after_quote(&mut self, byte: u8) {
        let delimiter = self.dialect.delimiter;
        if self.matched == 0 && self.dialect.quote == Some(byte) {
            self.records.text.push(byte);
            self.state = State::Quoted;
            return;
        }
        if delimiter.bytes()[self.matched] == byte {
            self.matched += 1;
            if self.matched == delimiter.length {
                self.end_by(delimiter.last());
            }
            return;
        }
        // Spaces after a closing quote are a habit of some writers; anything else is a quote inside a field that should
        // have been doubled.
        let begun = &delimiter.bytes()[..self.matched];
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        if begun.iter().all(is_blank) {
            if matches!(byte, b'\n' | b'\r') {
                self.end_by(byte);
                return;
            }
            if is_blank(&byte) {
                self.matched = usize::from(delimiter.bytes()[0] == byte);
                return;
            }
        }
        self.torn = true;
        if matches!(byte, b'\n' | b'\r') {
            self.end_by(byte);
        } else {
            self.plain(byte);
        }
    }

    fn end_by(&mut self, byte: u8) {
        if !matches!(byte, b'\n' | b'\r') {
            self.end_field();
            self.state = State::FieldStart;
        } else {
            self.end_record();
            self.line_end(byte);
        }
    }

    fn end_field(&mut self) {
        if self.state == State::QuoteInQuoted && self.field().is_empty() {
            let field = self.records.ends.len();
            self.records.empty_in_quotes.push(field);
        }
        self.records.ends.push(self.records.text.len());
    }

    fn end_record(&mut self) {
        self.end_field();
        self.records.rows.push(Row {
            first_field: self.row_field,
            fields: self.records.ends.len() - self.row_field,
            line: self.row_line,
            torn: self.torn,
        });
        self.row_field = self.records.ends.len();
        self.row_text = self.records.text.len();
        self.torn = false;
        self.state = State::RecordStart;
    }

    /// `\n`, `\r` and `\r\n` each end one line.
    fn line_end(&mut self, byte: u8) {
        if byte == b'\r' || !self.after_cr {
            self.line += 1;
        }
        self.after_cr = byte == b'\r';
    }

    fn count_lines(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if memchr::memchr(b'\r', text).is_none() && !self.after_cr {
            self.line += memchr_iter(b'\n', text).count() as u64;
            return;
        }
        for &byte in text {
            if byte == b'\n' || byte == b'\r' {
                self.line_end(byte);
            } else {
                self.after_cr = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Broken, Delimiter, Dialect, Divider};

    const CSV: Dialect = Dialect {
        delimiter: Delimiter::byte(b','),
        quote: Some(b'"'),
        escape: None,
        comment: Some(b'#'),
        trim: false,
    };

    /// Line, fields and tornness of each record, however the text is cut into pieces.
    fn divide(dialect: Dialect, text: &str) -> Result<Vec<(u64, Vec<String>, bool)>, Broken> {
        let read = |piece: usize, rows: usize| {
            let mut divider = Divider::new(dialect);
            let mut found = Vec::new();
            let mut collect = |divider: &mut Divider| {
                for record in divider.take().iter() {
                    let fields = (0..record.fields())
                        .map(|index| String::from_utf8_lossy(record.field(index).unwrap()).into())
                        .collect();
                    found.push((record.line(), fields, record.is_torn()));
                }
            };
            for mut bytes in text.as_bytes().chunks(piece) {
                while !bytes.is_empty() {
                    let taken = divider.push(bytes, rows)?;
                    bytes = &bytes[taken..];
                    collect(&mut divider);
                }
            }
            divider.finish()?;
            collect(&mut divider);
            Ok(found)
        };
        let whole = read(usize::MAX, usize::MAX);
        for (piece, rows) in [(1, 1), (2, 3), (3, 1), (7, 2)] {
            assert_eq!(read(piece, rows), whole, "{text:?} in pieces of {piece}");
        }
        whole
    }

    fn row(line: u64, fields: &[&str]) -> (u64, Vec<String>, bool) {
        (
            line,
            fields.iter().map(|&field| field.to_owned()).collect(),
            false,
        )
    }

    #[test]
    fn lines_are_counted_through_quotes_and_mixed_ends() {
        let text = "a,b\r\n\"1\r\n1\",2\r#no\n\n3,\"x\"\"y\"\n\"\n\n\",4\n5,6";
        assert_eq!(
            divide(CSV, text).unwrap(),
            [
                row(1, &["a", "b"]),
                row(2, &["1\r\n1", "2"]),
                row(6, &["3", "x\"y"]),
                row(7, &["\n\n", "4"]),
                row(10, &["5", "6"]),
            ]
        );
    }

    #[test]
    fn quotes_that_are_wrong_are_reported() {
        assert_eq!(
            divide(CSV, "a\"b,\"c\"d,e\n").unwrap(),
            [(1, vec!["a\"b".into(), "cd".into(), "e".into()], true)]
        );
        assert_eq!(divide(CSV, "a,b\n1,\"2\n3,4\n"), Err(Broken::OpenQuote(2)));
        assert_eq!(divide(CSV, "\"a\" ,b\n").unwrap(), [row(1, &["a", "b"])]);
    }

    #[test]
    fn escapes_and_empty_fields() {
        let escaped = Dialect {
            escape: Some(b'\\'),
            quote: Some(b'\''),
            delimiter: Delimiter::byte(b'|'),
            comment: None,
            trim: false,
        };
        assert_eq!(
            divide(escaped, "'a\\'b'|\\x||\n|\n").unwrap(),
            [row(1, &["a'b", "\\x", "", ""]), row(2, &["", ""])]
        );
    }

    #[test]
    fn delimiters_of_several_characters() {
        let by = |delimiter: &[u8]| Dialect {
            delimiter: Delimiter::of(delimiter).unwrap(),
            ..CSV
        };
        assert_eq!(
            divide(by(b"||"), "a||b|c||\n|||\"x||y\" ||z\n\"q\"||||\n").unwrap(),
            [
                row(1, &["a", "b|c", ""]),
                row(2, &["", "|\"x", "y\" ", "z"]),
                row(3, &["q", "", ""]),
            ]
        );
        assert_eq!(
            divide(by(b", "), "a, b,c, \"d, e\", f\n").unwrap(),
            [row(1, &["a", "b,c", "d, e", "f"])]
        );
        assert_eq!(
            divide(by(b" ; "), "\"a\"  ; b ; c\n\"a\" \n").unwrap(),
            [row(1, &["a", "b", "c"]), row(2, &["a"])]
        );
        for torn in ["\"a\"|b||c\n", "\"a\"|\n", "\"a\"|"] {
            assert!(divide(by(b"||"), torn).unwrap()[0].2, "{torn}");
        }
        assert!(Delimiter::of(b"").is_none() && Delimiter::of(b"123456789").is_none());
    }

    #[test]
    fn blanks_around_fields_and_fields_without_quotes() {
        let trimmed = Dialect { trim: true, ..CSV };
        assert_eq!(
            divide(trimmed, " a , b c,\t\"d , e\" ,  \n   \n f,  ,g").unwrap(),
            [row(1, &["a", "b c", "d , e", ""]), row(3, &["f", "", "g"])]
        );
        let tabs = Dialect {
            delimiter: Delimiter::byte(b'\t'),
            ..trimmed
        };
        assert_eq!(
            divide(tabs, "\ta \t b\n").unwrap(),
            [row(1, &["", "a", "b"])]
        );
        let plain = Dialect { quote: None, ..CSV };
        assert_eq!(
            divide(plain, "\"a,b\n\"c\"d,\"\n").unwrap(),
            [row(1, &["\"a", "b"]), row(2, &["\"c\"d", "\""])]
        );
    }
}
