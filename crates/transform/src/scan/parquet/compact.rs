//! Thrift's compact protocol, walked without building anything: what a Parquet file says of its own sizes is checked before the
//! decoder allocates by it.

/// Structs and lists inside each other.
const DEEPEST: u32 = 64;
/// Bytes that a 64-bit number may take.
const LONGEST_NUMBER: u32 = 10;

/// The header of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) is_dictionary: bool,
    pub(super) unpacked_bytes: u64,
    /// Bytes that the page has in the file, behind its header.
    pub(super) packed_bytes: usize,
    /// Bytes of the header itself.
    pub(super) length: usize,
    /// Whether its values are texts whose lengths are written as differences.
    pub(super) has_lengths: bool,
    /// Whether its values are written one after the other, and not as places in a dictionary.
    pub(super) is_plain: bool,
}

/// Where a walk through bytes of the protocol is. Each step gives `None` where the bytes cannot be what they say.
struct Walk<'a> {
    rest: &'a [u8],
    depth: u32,
}

/// Types of values, as field headers and lists have them.
mod kind {
    pub(super) const TRUE: u8 = 1;
    pub(super) const FALSE: u8 = 2;
    pub(super) const BYTE: u8 = 3;
    pub(super) const I16: u8 = 4;
    pub(super) const I32: u8 = 5;
    pub(super) const I64: u8 = 6;
    pub(super) const DOUBLE: u8 = 7;
    pub(super) const BINARY: u8 = 8;
    pub(super) const LIST: u8 = 9;
    pub(super) const SET: u8 = 10;
    pub(super) const MAP: u8 = 11;
    pub(super) const STRUCT: u8 = 12;
    pub(super) const UUID: u8 = 13;
}

/// Whether the bytes begin with a struct whose lists have as many elements as they say.
pub(super) fn is_struct(bytes: &[u8]) -> bool {
    let mut walk = Walk {
        rest: bytes,
        depth: 0,
    };
    walk.skip(kind::STRUCT).is_some()
}

/// The header that the bytes of a page begin with.
pub(super) fn page_header(bytes: &[u8]) -> Option<PageHeader> {
    const DICTIONARY_PAGE: i64 = 2;
    const PLAIN: i64 = 0;
    /// `DELTA_LENGTH_BYTE_ARRAY` and `DELTA_BYTE_ARRAY`.
    const TEXTS_BY_LENGTHS: [i64; 2] = [6, 7];
    let mut walk = Walk {
        rest: bytes,
        depth: 0,
    };
    let (mut page, mut unpacked, mut packed) = (None, None, None);
    let mut encoding = None;
    let mut last = 0;
    while let Some((id, of)) = walk.field(&mut last)? {
        match (id, of) {
            (1, kind::I32) => page = Some(walk.number()?),
            (2, kind::I32) => unpacked = Some(walk.number()?),
            (3, kind::I32) => packed = Some(walk.number()?),
            // What pages of data say of themselves, in both of their versions.
            (5, kind::STRUCT) => encoding = walk.number_in_struct(2)?,
            (8, kind::STRUCT) => encoding = walk.number_in_struct(4)?,
            _ => walk.skip(of)?,
        }
    }
    Some(PageHeader {
        is_dictionary: page? == DICTIONARY_PAGE,
        unpacked_bytes: unpacked?.try_into().ok()?,
        packed_bytes: packed?.try_into().ok()?,
        length: bytes.len() - walk.rest.len(),
        has_lengths: encoding.is_some_and(|encoding| TEXTS_BY_LENGTHS.contains(&encoding)),
        is_plain: encoding == Some(PLAIN),
    })
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip_bytes(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0;
        for place in 0..LONGEST_NUMBER {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn number(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// Number and type of the next field; an inner `None` at the end of the struct.
    fn field(&mut self, last: &mut i64) -> Option<Option<(i64, u8)>> {
        let header = self.byte()?;
        if header == 0 {
            return Some(None);
        }
        let (delta, of) = (header >> 4, header & 0x0f);
        *last = if delta == 0 {
            self.number()?
        } else {
            last.checked_add(i64::from(delta))?
        };
        Some(Some((*last, of)))
    }

    /// Passes over a struct; the number in one of its fields.
    fn number_in_struct(&mut self, wanted: i64) -> Option<Option<i64>> {
        let mut found = None;
        let mut last = 0;
        while let Some((id, of)) = self.field(&mut last)? {
            if id == wanted && of == kind::I32 {
                found = Some(self.number()?);
            } else {
                self.skip(of)?;
            }
        }
        Some(found)
    }

    /// Passes over a value of a field.
    fn skip(&mut self, of: u8) -> Option<()> {
        match of {
            kind::TRUE | kind::FALSE => Some(()),
            kind::BYTE => self.skip_bytes(1),
            kind::I16 | kind::I32 | kind::I64 => self.unsigned().map(drop),
            kind::DOUBLE => self.skip_bytes(8),
            kind::UUID => self.skip_bytes(16),
            kind::BINARY => {
                let length = self.unsigned()?;
                self.skip_bytes(length.try_into().ok()?)
            }
            kind::LIST | kind::SET => self.inside(Self::skip_list),
            kind::MAP => self.inside(Self::skip_map),
            kind::STRUCT => self.inside(|walk| {
                let mut last = 0;
                while let Some((_, of)) = walk.field(&mut last)? {
                    walk.skip(of)?;
                }
                Some(())
            }),
            _ => None,
        }
    }

    fn inside(&mut self, pass: impl FnOnce(&mut Self) -> Option<()>) -> Option<()> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return None;
        }
        pass(self)?;
        self.depth -= 1;
        Some(())
    }

    fn skip_list(&mut self) -> Option<()> {
        let header = self.byte()?;
        let of = header & 0x0f;
        let count = match header >> 4 {
            15 => self.unsigned()?,
            short => u64::from(short),
        };
        // The decoder allocates by the number alone, and no element is without a byte.
        if count > self.rest.len() as u64 {
            return None;
        }
        for _ in 0..count {
            // Nothing of Parquet is a struct without a field: it would take a byte in the file and hundreds in memory.
            if of == kind::STRUCT && self.rest.first() == Some(&0) {
                return None;
            }
            self.skip_element(of)?;
        }
        Some(())
    }

    fn skip_map(&mut self) -> Option<()> {
        let count = self.unsigned()?;
        if count == 0 {
            return Some(());
        }
        let kinds = self.byte()?;
        for _ in 0..count {
            self.skip_element(kinds >> 4)?;
            self.skip_element(kinds & 0x0f)?;
        }
        Some(())
    }

    /// Passes over an element: of truth values, only fields have their value in their type.
    fn skip_element(&mut self, of: u8) -> Option<()> {
        match of {
            kind::TRUE | kind::FALSE => self.skip_bytes(1),
            of => self.skip(of),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PageHeader, is_struct, page_header};

    #[test]
    fn headers_of_pages() {
        // Type 2, 300 bytes that are 5 in the file, and a dictionary's header: three values, plain.
        let header = [
            0x15, 0x04, 0x15, 0xd8, 0x04, 0x15, 0x0a, 0x4c, 0x15, 0x06, 0x15, 0x00, 0x00, 0x00,
        ];
        let found = PageHeader {
            is_dictionary: true,
            unpacked_bytes: 300,
            packed_bytes: 5,
            length: header.len(),
            has_lengths: false,
            is_plain: false,
        };
        assert_eq!(page_header(&header), Some(found));
        let longer = [&header[..], b"abcde"].concat();
        assert_eq!(page_header(&longer), Some(found));
        for end in 0..header.len() {
            assert_eq!(page_header(&header[..end]), None, "{end}");
        }
        // A page of data whose texts have lengths: 3 values, and encoding 6.
        let texts = [
            0x15, 0x00, 0x15, 0x0a, 0x15, 0x0a, 0x2c, 0x15, 0x06, 0x15, 0x0c, 0x00, 0x00,
        ];
        let header = page_header(&texts).unwrap();
        assert!(header.has_lengths && !header.is_plain);
        let mut plain = texts;
        plain[10] = 0x00;
        let header = page_header(&plain).unwrap();
        assert!(header.is_plain && !header.has_lengths);
        // A negative size.
        let negative = [0x15, 0x00, 0x15, 0x03, 0x15, 0x0a, 0x00];
        assert_eq!(page_header(&negative), None);
    }

    #[test]
    fn lists_have_what_they_say() {
        // A list of 2^31 numbers, of which one comes.
        assert!(!is_struct(&[
            0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x07, 0x02, 0x00
        ]));
        assert!(is_struct(&[0x19, 0x25, 0x02, 0x04, 0x00]));
        assert!(is_struct(&[0x19, 0x21, 0x01, 0x02, 0x00]), "truth values");
        assert!(!is_struct(&[0x19, 0x2c, 0x00, 0x00, 0x00]), "empty structs");
        assert!(is_struct(&[0x1b, 0x01, 0x85, 0x01, b'x', 0x02, 0x00]));
        assert!(!is_struct(&[0x1e, 0x00]), "no such type");
        assert!(!is_struct(&[0x1c; 100]), "too deep");
    }
}
