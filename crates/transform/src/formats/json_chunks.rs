//! Lines of JSON in chunks: of objects whose columns are plain values, only the columns that are asked for are decoded, and
//! all else is passed over.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
};

use datafusion::arrow::{array::ArrayRef, datatypes::DataType};
use memchr::{memchr, memchr_iter, memchr2, memmem::Finder, memrchr};
use serde::de::IgnoredAny;

use super::{
    DEEPEST,
    cells::{self, Cell},
    chunk::{Asked, Chunk, Chunked, Resumed, Rows, Space},
    json::JsonDecoder,
    json_check,
    json_split::JsonRows,
    misfit::{MOST_UNLISTED, Misfits},
    sieve::{Needles, Sieve},
};
use crate::ColumnType;

/// Where this share of the text or more may hold a needle, it is quicker to decode all.
const FEW: usize = 4;
/// Keys whose order is remembered.
const KEPT_KEYS: usize = 16 << 10;

/// Lines of JSON of one file.
#[derive(Debug)]
pub(crate) struct JsonChunks {
    asked: Asked,
    /// The columns that are decoded, by name; `None` when one of them is nested or of a rare type.
    slots: Option<HashMap<Vec<u8>, usize>>,
    /// Which of them each column of the table is.
    slot_of: Vec<Option<usize>>,
    /// Whether each column of the table has been met in a row. Only kept where columns are declared.
    met: Vec<AtomicBool>,
}

/// A value that was found: what it is, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Null,
    /// A string without escapes, as the bytes between its quotes.
    Text,
    /// A string with escapes, as bytes of the texts that were put down without them.
    Plain,
    Number,
    Boolean,
}

/// The place of a value in 29 bits, and above them its token.
const PLACE_BITS: u32 = 29;
const PLACE: u32 = (1 << PLACE_BITS) - 1;

/// A key as the rows before wrote it, up to its colon, and the column that it is.
#[derive(Debug)]
struct Key {
    written: Vec<u8>,
    slot: Option<usize>,
}

/// Goes through the objects of a chunk.
struct Walk<'a> {
    slots: &'a HashMap<Vec<u8>, usize>,
    text: &'a [u8],
    spans: &'a mut [Vec<(u32, u32)>],
    plain: Vec<u8>,
    keys: Vec<Key>,
    /// The place in `keys` of each, as it was written.
    known: HashMap<Vec<u8>, usize>,
    asked: &'a Asked,
    unlisted: Vec<String>,
    rows: usize,
}

struct JsonRowsOfChunk<'a> {
    chunks: &'a JsonChunks,
    text: &'a [u8],
    plain: &'a [u8],
    spans: &'a [Vec<(u32, u32)>],
    rows: usize,
}

impl JsonChunks {
    pub(crate) fn new(asked: Asked) -> Self {
        let places = asked.decoded();
        let fields = asked.table.fields();
        let quick = places.iter().all(|&place| {
            matches!(
                fields[place].data_type(),
                DataType::Utf8
                    | DataType::Int64
                    | DataType::Float64
                    | DataType::Decimal128(..)
                    | DataType::Boolean
                    | DataType::Date32
                    | DataType::Timestamp(..)
            )
        });
        let slots = places
            .iter()
            .enumerate()
            .map(|(slot, &place)| (fields[place].name().clone().into_bytes(), slot))
            .collect();
        let mut slot_of = vec![None; fields.len()];
        for (slot, &place) in places.iter().enumerate() {
            slot_of[place] = Some(slot);
        }
        Self {
            slots: quick.then_some(slots),
            slot_of,
            met: match &asked.declared {
                Some(_) => fields.iter().map(|_| AtomicBool::new(false)).collect(),
                None => Vec::new(),
            },
            asked,
        }
    }
}

impl JsonChunks {
    /// The declared columns that no chunk before had, and whether rows of this one do.
    fn declared(&self, walk: &Walk<'_>) -> Vec<(usize, bool)> {
        if walk.rows == 0 || self.met.is_empty() {
            return Vec::new();
        }
        let mut is_there = vec![walk.keys.len() == KEPT_KEYS; walk.spans.len()];
        let slots = walk.keys.iter().filter_map(|key| key.slot);
        slots.for_each(|slot| is_there[slot] = true);
        let slots = self.slot_of.iter().enumerate();
        let slots = slots.filter_map(|(place, slot)| Some((place, (*slot)?)));
        let new = slots.filter(|&(place, _)| !self.met[place].load(Ordering::Relaxed));
        new.map(|(place, slot)| {
            self.met[place].store(is_there[slot], Ordering::Relaxed);
            (place, is_there[slot])
        })
        .collect()
    }
}

impl Chunked for JsonChunks {
    fn cut(&self, text: &[u8]) -> Option<usize> {
        memrchr(b'\n', text).map(|newline| newline + 1)
    }

    fn decode(&self, text: &[u8], sieve: &Sieve, space: &mut Space) -> Option<Chunk> {
        let slots = self.slots.as_ref()?;
        if text.len() >= PLACE as usize || text.last() != Some(&b'\n') {
            return None;
        }
        let Space { starts, spans, .. } = space;
        spans.resize_with(self.slot_of.iter().flatten().count(), Vec::new);
        spans.iter_mut().for_each(Vec::clear);
        let mut needles = sieve.needles.as_ref();
        needles = needles.filter(|needles| candidates(text, needles, false, starts));
        let lines = match needles {
            None => walkable_lines(text)?,
            // Lines that are passed over have to be JSON too.
            Some(few) => {
                let facts = json_check::lines_of_objects(text)?;
                if facts.has_backslashes && !candidates(text, few, true, starts) {
                    needles = None;
                }
                facts.lines
            }
        };
        let rows = match needles {
            None => usize::try_from(lines).ok()?,
            Some(_) => starts.len(),
        };
        if self.asked.are_too_many(rows) {
            return None;
        }
        let mut walk = Walk {
            slots,
            text,
            spans,
            plain: Vec::new(),
            keys: Vec::new(),
            known: HashMap::new(),
            asked: &self.asked,
            unlisted: Vec::new(),
            rows: 0,
        };
        if needles.is_some() {
            for &start in &*starts {
                let start = start as usize;
                let end = start + memchr(b'\n', &text[start..])?;
                walk.line(start, end)?;
            }
        } else {
            let mut start = 0;
            for end in memchr_iter(b'\n', text) {
                walk.line(start, end)?;
                start = end + 1;
            }
        }
        let unlisted = std::mem::take(&mut walk.unlisted);
        let declared = self.declared(&walk);
        let rows = JsonRowsOfChunk {
            chunks: self,
            text,
            plain: &std::mem::take(&mut walk.plain),
            rows: walk.rows,
            spans: walk.spans,
        };
        Some(Chunk {
            batches: self.asked.batches(&rows, sieve)?,
            lines,
            unlisted,
            declared,
        })
    }

    fn asked(&self) -> &Asked {
        &self.asked
    }

    fn decoder(&self, line: u64, misfits: Misfits) -> Box<dyn Resumed> {
        let decoder = JsonDecoder::new(self.asked.clone(), JsonRows::Lines, misfits);
        Box::new(decoder.at_line(line))
    }
}

/// The number of lines of a text that [`Walk`] can go through: whatever is not JSON about it, it finds.
fn walkable_lines(text: &[u8]) -> Option<u64> {
    let bytes = json_check::bytes(text);
    if bytes.has_controls {
        return json_check::lines_of_objects(text).map(|facts| facts.lines);
    }
    (bytes.is_ascii || simdutf8::basic::from_utf8(text).is_ok()).then_some(bytes.lines)
}

/// Finds the lines that hold a needle, or an escape that may hide one where there are `escapes`. Whether they are few enough
/// to be worth while.
fn candidates(text: &[u8], needles: &Needles, escapes: bool, starts: &mut Vec<u32>) -> bool {
    starts.clear();
    let (mut from, mut bytes) = (0, 0);
    let mut found = needles.occurrences(text);
    let mut needle = found.next(0);
    // Of the escapes, only those of a code point or of a slash can stand for what is in a needle.
    let hiding: &[u8] = if needles.have_slash { b"\\" } else { b"\\u" };
    let hiding = Finder::new(hiding);
    let mut escape = if escapes { hiding.find(text) } else { None };
    while let Some(place) = [needle, escape].into_iter().flatten().min() {
        let start = memrchr(b'\n', &text[from..place]).map_or(from, |newline| from + newline + 1);
        let end = memchr(b'\n', &text[place..]).map_or(text.len(), |end| place + end + 1);
        bytes += end - start;
        if bytes > text.len() / FEW {
            return false;
        }
        starts.push(u32::try_from(start).unwrap_or(u32::MAX));
        from = end;
        if needle.is_some_and(|place| place < end) {
            needle = found.next(end);
        }
        if escape.is_some_and(|place| place < end) {
            escape = hiding.find(&text[end..]).map(|place| end + place);
        }
    }
    true
}

impl Walk<'_> {
    /// One line, without its end; `None` when it is not what writers commonly write.
    fn line(&mut self, start: usize, end: usize) -> Option<()> {
        let at = self.blank(start);
        if at == end {
            return Some(());
        }
        let end_of_row = self.object(at, end)?;
        if self.blank(end_of_row) != end {
            return None;
        }
        self.rows += 1;
        for spans in &mut *self.spans {
            if spans.len() < self.rows {
                spans.push((0, 0));
            }
        }
        Some(())
    }

    /// The place of the first byte that is not blank; the end of the line stops it.
    fn blank(&self, mut at: usize) -> usize {
        while matches!(self.text.get(at), Some(b' ' | b'\t' | b'\r')) {
            at += 1;
        }
        at
    }

    fn object(&mut self, at: usize, end: usize) -> Option<usize> {
        let mut at = self.blank(self.expect(at, b'{')?);
        if self.text[at] == b'}' {
            return Some(at + 1);
        }
        let mut next = 0;
        loop {
            let (slot, value) = self.key(at, end, &mut next)?;
            at = self.value(self.blank(value), end, slot)?;
            at = self.blank(at);
            match self.text[at] {
                b',' => at = self.blank(at + 1),
                b'}' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    fn expect(&self, at: usize, byte: u8) -> Option<usize> {
        (self.text[at] == byte).then_some(at + 1)
    }

    /// The column of the key, and the place after its colon. Rows mostly have the same keys in the same order.
    fn key(&mut self, at: usize, end: usize, next: &mut usize) -> Option<(Option<usize>, usize)> {
        if let Some(key) = self.keys.get(*next)
            && let Some(written) = self.text.get(at..at + key.written.len())
            && is_same(&key.written, written)
        {
            *next += 1;
            return Some((key.slot, at + key.written.len()));
        }
        let start = self.expect(at, b'"')?;
        let quote = start + memchr2(b'"', b'\\', &self.text[start..end])?;
        let after = self.expect(self.blank(self.expect(quote, b'"')?), b':')?;
        let written = &self.text[at..after];
        let known = self.known.get(written).copied();
        let slot = match known {
            Some(place) => self.keys[place].slot,
            None => {
                let name = &self.text[start..quote];
                let slot = self.slots.get(name).copied();
                if slot.is_none()
                    && let Ok(name) = std::str::from_utf8(name)
                    && self.asked.is_unlisted(name)
                    && self.unlisted.len() < MOST_UNLISTED
                    && !self.unlisted.iter().any(|known| known == name)
                {
                    self.unlisted.push(name.to_owned());
                }
                slot
            }
        };
        match known {
            Some(place) => *next = place + 1,
            None if self.keys.len() < KEPT_KEYS => {
                self.known.insert(written.to_vec(), self.keys.len());
                *next = self.keys.len() + 1;
                self.keys.push(Key {
                    written: written.to_vec(),
                    slot,
                });
            }
            None => {}
        }
        Some((slot, after))
    }

    /// Takes a value; the place after it.
    fn value(&mut self, at: usize, end: usize, slot: Option<usize>) -> Option<usize> {
        match self.text[at] {
            b'"' => self.string(at + 1, end, slot),
            b'-' | b'0'..=b'9' => {
                let after = at + json_check::number(&self.text[at..])?;
                self.put(slot, Token::Number, at, after)?;
                Some(after)
            }
            b't' => self.word(at, b"true", slot, Token::Boolean),
            b'f' => self.word(at, b"false", slot, Token::Boolean),
            b'n' => self.word(at, b"null", slot, Token::Null),
            b'{' | b'[' if slot.is_none() => self.pass_nested(at, end),
            _ => None,
        }
    }

    fn word(&mut self, at: usize, word: &[u8], slot: Option<usize>, token: Token) -> Option<usize> {
        if !self.text[at..].starts_with(word) {
            return None;
        }
        self.put(slot, token, at, at + word.len())?;
        Some(at + word.len())
    }

    fn string(&mut self, start: usize, end: usize, slot: Option<usize>) -> Option<usize> {
        let mut at = start;
        let mut escaped = false;
        let quote = loop {
            let found = at + memchr2(b'"', b'\\', &self.text[at..end])?;
            if self.text[found] == b'"' {
                break found;
            }
            escaped = true;
            // The byte after a backslash ends neither the string nor, as text in a line, the line.
            at = found + 2;
            if at > end {
                return None;
            }
        };
        if !escaped {
            self.put(slot, Token::Text, start, quote)?;
        } else {
            let plain: String = serde_json::from_slice(&self.text[start - 1..=quote]).ok()?;
            let before = self.plain.len();
            self.plain.extend_from_slice(plain.as_bytes());
            self.put(slot, Token::Plain, before, self.plain.len())?;
        }
        Some(quote + 1)
    }

    fn pass_nested(&self, start: usize, end: usize) -> Option<usize> {
        let (mut at, mut depth) = (start, 0_usize);
        loop {
            match self.text[at] {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => {
                    let mut inside = at + 1;
                    at = loop {
                        let found = inside + memchr2(b'"', b'\\', self.text.get(inside..end)?)?;
                        if self.text[found] == b'"' {
                            break found;
                        }
                        inside = found + 2;
                    };
                }
                _ => {}
            }
            at += 1;
            if depth == 0 {
                let value: Result<IgnoredAny, _> = serde_json::from_slice(&self.text[start..at]);
                return value.is_ok().then_some(at);
            }
            if depth >= DEEPEST || at >= end {
                return None;
            }
        }
    }

    /// Puts down where the value of a column is; `None` when it is the column's second in this row.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a chunk has less than 2^29 bytes, and what is put down is shorter"
    )]
    fn put(&mut self, slot: Option<usize>, token: Token, start: usize, end: usize) -> Option<()> {
        let Some(slot) = slot else {
            return Some(());
        };
        let spans = &mut self.spans[slot];
        if spans.len() != self.rows {
            return None;
        }
        spans.push((start as u32 | (token as u32) << PLACE_BITS, end as u32));
        Some(())
    }
}

/// Whether two keys are the same. Most are short: a call of a function takes longer than to compare them.
#[inline(always)]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        8.. => {
            let mut words = one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0);
            words.all(|(one, other)| one == other)
                && one.last_chunk::<8>() == other.last_chunk::<8>()
        }
        4.. => {
            one.first_chunk::<4>() == other.first_chunk::<4>()
                && one.last_chunk::<4>() == other.last_chunk::<4>()
        }
        _ => one == other,
    }
}

impl JsonRowsOfChunk<'_> {
    fn token(span: u32) -> Token {
        match span >> PLACE_BITS {
            1 => Token::Text,
            2 => Token::Plain,
            3 => Token::Number,
            4 => Token::Boolean,
            _ => Token::Null,
        }
    }

    fn cell(&self, (start, end): (u32, u32)) -> Cell<'_> {
        let place = (start & PLACE) as usize..end as usize;
        match Self::token(start) {
            Token::Null => Cell::Null,
            Token::Plain => Cell::plain(self.plain, place),
            Token::Text | Token::Number | Token::Boolean => Cell::plain(self.text, place),
        }
    }

    /// Whether a value of this kind is always read as it is written.
    fn fits(kind: &ColumnType, token: Token) -> bool {
        let number = matches!(token, Token::Null | Token::Number);
        match kind.kind {
            DataType::Utf8 => true,
            DataType::Int64 | DataType::Float64 | DataType::Decimal128(..) => number,
            DataType::Boolean => matches!(token, Token::Null | Token::Boolean),
            _ if kind.epoch.is_some() => number,
            _ => matches!(token, Token::Null | Token::Text),
        }
    }
}

impl Rows for JsonRowsOfChunk<'_> {
    fn len(&self) -> usize {
        self.rows
    }

    fn column(&self, place: usize, rows: Option<&[u32]>) -> Option<ArrayRef> {
        let kind = &self.chunks.asked.types[place];
        let slot = self.chunks.slot_of[place]?;
        let spans = &self.spans[slot];
        if !spans
            .iter()
            .all(|&(start, _)| Self::fits(kind, Self::token(start)))
        {
            return None;
        }
        match rows {
            None => cells::column(kind, spans.iter().map(|&span| self.cell(span))),
            Some(rows) => {
                let spans = rows.iter().map(|&row| spans[row as usize]);
                cells::column(kind, spans.map(|span| self.cell(span)))
            }
        }
    }
}
