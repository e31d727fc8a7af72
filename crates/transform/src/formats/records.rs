//! Divides delimited text into records and fields, and knows the line of each.

use memchr::{memchr_iter, memchr2, memchr3};

use super::LONGEST_RECORD_BYTES;

/// The characters that divide and enclose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) delimiter: u8,
    pub(crate) quote: u8,
    pub(crate) escape: Option<u8>,
    pub(crate) comment: Option<u8>,
}

/// Why the text cannot be divided at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The quote that was opened in this line is never closed.
    OpenQuote(u64),
    /// The record that begins in this line is too long.
    TooLong(u64),
}

/// Records that have been divided: the text of their fields end to end.
#[derive(Debug, Default)]
pub(crate) struct Records {
    text: Vec<u8>,
    ends: Vec<usize>,
    rows: Vec<Row>,
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
        let open = Records {
            text: open_text,
            ends: open_ends,
            rows: Vec::new(),
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
        }
        Ok(at)
    }

    /// The text has ended.
    pub(crate) fn finish(&mut self) -> Result<(), Broken> {
        match self.state {
            State::RecordStart | State::Comment => {}
            State::Quoted | State::Escaped => return Err(Broken::OpenQuote(self.row_line)),
            State::FieldStart | State::Unquoted | State::QuoteInQuoted => self.end_record(),
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
        let end = memchr3(self.dialect.delimiter, b'\n', b'\r', bytes).unwrap_or(bytes.len());
        self.records.text.extend_from_slice(&bytes[..end]);
        if end > 0 {
            self.after_cr = false;
        }
        if let Some(&byte) = bytes.get(end) {
            self.end_by(byte);
            end + 1
        } else {
            end
        }
    }

    fn quoted(&mut self, bytes: &[u8]) -> usize {
        let escape = self.dialect.escape.unwrap_or(self.dialect.quote);
        let end = memchr2(self.dialect.quote, escape, bytes).unwrap_or(bytes.len());
        let text = &bytes[..end];
        self.records.text.extend_from_slice(text);
        self.count_lines(text);
        let Some(&byte) = bytes.get(end) else {
            return end;
        };
        self.after_cr = false;
        self.state = if byte == self.dialect.quote {
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
            State::QuoteInQuoted => match byte {
                byte if byte == self.dialect.quote => {
                    self.records.text.push(byte);
                    self.state = State::Quoted;
                }
                byte if byte == self.dialect.delimiter || byte == b'\n' || byte == b'\r' => {
                    self.end_by(byte);
                }
                byte => {
                    // Spaces after a closing quote are a habit of some writers; anything else is a quote inside a field
                    // that should have been doubled.
                    if byte != b' ' && byte != b'\t' {
                        self.torn = true;
                        self.records.text.push(byte);
                        self.state = State::Unquoted;
                    }
                }
            },
            State::Unquoted | State::Quoted | State::Comment => {}
        }
    }

    fn field_start(&mut self, byte: u8) {
        self.after_cr = false;
        if byte == self.dialect.quote {
            self.state = State::Quoted;
        } else if byte == self.dialect.delimiter || byte == b'\n' || byte == b'\r' {
            self.end_by(byte);
        } else {
            self.records.text.push(byte);
            self.state = State::Unquoted;
        }
    }

    fn end_by(&mut self, byte: u8) {
        if byte == self.dialect.delimiter {
            self.records.ends.push(self.records.text.len());
            self.state = State::FieldStart;
        } else {
            self.end_record();
            self.line_end(byte);
        }
    }

    fn end_record(&mut self) {
        self.records.ends.push(self.records.text.len());
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
    use super::{Broken, Dialect, Divider};

    const CSV: Dialect = Dialect {
        delimiter: b',',
        quote: b'"',
        escape: None,
        comment: Some(b'#'),
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
    fn quotes_that_are_wrong_are_told() {
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
            quote: b'\'',
            delimiter: b'|',
            comment: None,
        };
        assert_eq!(
            divide(escaped, "'a\\'b'|\\x||\n|\n").unwrap(),
            [row(1, &["a'b", "\\x", "", ""]), row(2, &["", ""])]
        );
    }
}
