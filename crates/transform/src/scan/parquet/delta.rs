//! Texts whose lengths are written as differences (`DELTA_LENGTH_BYTE_ARRAY`, `DELTA_BYTE_ARRAY`).
//!
//! The decoder of Parquet 59 allocates by the number of lengths that a page states, and a value may repeat the beginning of the
//! one before, so that a page of a few bytes can stand for gigabytes.

use std::{ops::Range, sync::Arc};

use bytes::{Bytes, buf::Reader};
use datafusion::parquet::{
    basic::Encoding,
    column::page::Page,
    errors::{ParquetError, Result},
    file::{
        metadata::ColumnChunkMetaData,
        reader::{ChunkReader, Length, SerializedPageReader},
    },
};

/// The pages of a column in a range of the file in which whole pages are, decompressed.
pub(super) fn pages(
    column: &ColumnChunkMetaData,
    range: &Range<u64>,
    bytes: &Bytes,
) -> Result<impl Iterator<Item = Result<Page>>> {
    let signed = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    let alone = column.clone().into_builder();
    let alone = alone
        .set_dictionary_page_offset(None)
        .set_data_page_offset(signed(range.start))
        .set_total_compressed_size(signed(bytes.len() as u64));
    let part = Arc::new(Part {
        start: range.start,
        bytes: bytes.clone(),
    });
    SerializedPageReader::new(part, &alone.build()?, 0, None)
}

/// The highest repetition and definition level of a column.
pub(super) fn levels(column: &ColumnChunkMetaData) -> [i16; 2] {
    let column = column.column_descr();
    [column.max_rep_level(), column.max_def_level()]
}

/// Bytes of the largest page of a column in memory, with its texts as long as they are. The bytes are those of a range of the
/// file in which whole pages are.
pub(super) fn largest_page(
    column: &ColumnChunkMetaData,
    range: &Range<u64>,
    bytes: &Bytes,
) -> Result<u64> {
    let levels = levels(column);
    let mut largest = 0;
    for page in pages(column, range, bytes)? {
        let page = page?;
        let bytes = held(&page, levels).ok_or_else(|| {
            ParquetError::General("a page has other lengths of texts than values".to_owned())
        })?;
        largest = largest.max(bytes);
    }
    Ok(largest)
}

/// What a page takes in memory; `None` when its lengths cannot be what it says.
fn held(page: &Page, levels: [i16; 2]) -> Option<u64> {
    let values = values(page, levels)?;
    let most = page.num_values() as usize;
    let own = page.buffer().len() as u64;
    match page.encoding() {
        Encoding::DELTA_LENGTH_BYTE_ARRAY => {
            // The decoder compares the lengths with the bytes that are there.
            let Header { count, .. } = Header::of(&mut &values[..], most)?;
            Some(own.saturating_add(4 * count as u64))
        }
        Encoding::DELTA_BYTE_ARRAY => {
            let prefixes = Lengths::of(values, most)?;
            let suffixes = Lengths::of(values.get(prefixes.end..)?, most)?;
            let lengths = prefixes.count.saturating_add(suffixes.count) * 4;
            let texts = prefixes.sum.saturating_add(suffixes.sum);
            Some(own.max(texts).saturating_add(lengths))
        }
        _ => Some(own),
    }
}

/// The bytes of a page behind the levels of its values.
pub(super) fn values(page: &Page, [repetition, definition]: [i16; 2]) -> Option<&[u8]> {
    match page {
        Page::DataPage {
            buf,
            num_values,
            def_level_encoding,
            rep_level_encoding,
            ..
        } => {
            let mut rest = &buf[..];
            let levels = [
                (repetition, rep_level_encoding),
                (definition, def_level_encoding),
            ];
            for (highest, encoding) in levels {
                if highest == 0 {
                    continue;
                }
                let length = if *encoding == Encoding::RLE {
                    let (length, after) = rest.split_first_chunk()?;
                    rest = after;
                    u32::from_le_bytes(*length) as usize
                } else {
                    let bits = u16::BITS - highest.cast_unsigned().leading_zeros();
                    (*num_values as usize * bits as usize).div_ceil(8)
                };
                rest = rest.get(length..)?;
            }
            Some(rest)
        }
        Page::DataPageV2 {
            buf,
            def_levels_byte_len,
            rep_levels_byte_len,
            ..
        } => buf.get((*def_levels_byte_len as usize).checked_add(*rep_levels_byte_len as usize)?..),
        Page::DictionaryPage { buf, .. } => Some(buf),
    }
}

/// What numbers that are written as differences begin with.
struct Header {
    /// Numbers in a block, and miniblocks that they are in.
    block: usize,
    miniblocks: usize,
    count: usize,
    first: i64,
}

impl Header {
    fn of(rest: &mut &[u8], most: usize) -> Option<Self> {
        let mut size = || usize::try_from(unsigned(rest)?).ok();
        let (block, miniblocks, count) = (size()?, size()?, size()?);
        let first = signed(rest)?;
        (count <= most).then_some(Self {
            block,
            miniblocks,
            count,
            first,
        })
    }
}

/// Numbers that are written as differences.
struct Lengths {
    count: u64,
    sum: u64,
    /// Where the bytes behind them begin.
    end: usize,
}

impl Lengths {
    /// Reads what [the format](https://parquet.apache.org/docs/file-format/data-pages/encodings/#DELTAENC) has: a header, then
    /// blocks of miniblocks, each of numbers with as many bits.
    fn of(bytes: &[u8], most: usize) -> Option<Self> {
        let mut rest = bytes;
        let Header {
            block,
            miniblocks,
            count,
            first: mut value,
        } = Header::of(&mut rest, most)?;
        if miniblocks == 0 || block % 128 != 0 || block % miniblocks != 0 {
            return None;
        }
        let numbers = block / miniblocks;
        if numbers % 32 != 0 {
            return None;
        }
        let mut sum = 0;
        let mut left = count;
        let mut add = |value: i64| -> Option<()> {
            sum = u64::saturating_add(sum, u64::try_from(value).ok()?);
            Some(())
        };
        if left > 0 {
            add(value)?;
            left -= 1;
        }
        while left > 0 {
            if numbers == 0 {
                return None;
            }
            let least = signed(&mut rest)?;
            let (widths, after) = rest.split_at_checked(miniblocks)?;
            rest = after;
            for width in widths {
                // Miniblocks behind the last number are not written.
                if left == 0 {
                    break;
                }
                let width = usize::from(*width);
                if width > 64 {
                    return None;
                }
                let (packed, after) = rest.split_at_checked(width * numbers / 8)?;
                rest = after;
                for number in 0..numbers.min(left) {
                    let delta = bits(packed, number * width, width);
                    value = value.wrapping_add(least).wrapping_add(delta.cast_signed());
                    add(value)?;
                }
                left -= numbers.min(left);
            }
        }
        Some(Self {
            count: count as u64,
            sum,
            end: bytes.len() - rest.len(),
        })
    }
}

/// The number in some bits, of which the lowest come first.
fn bits(packed: &[u8], start: usize, width: usize) -> u64 {
    let first = start / 8;
    let bytes = &packed[first..(start + width).div_ceil(8)];
    let mut wide = [0; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    let mask = u128::MAX.checked_shr(128 - u32::try_from(width).unwrap_or(64));
    let found = u128::from_le_bytes(wide) >> (start % 8) & mask.unwrap_or_default();
    found as u64
}

fn unsigned(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for place in 0..10 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn signed(rest: &mut &[u8]) -> Option<i64> {
    let value = unsigned(rest)?;
    Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
}

/// A range of a file, by places in the file.
struct Part {
    start: u64,
    bytes: Bytes,
}

impl Part {
    fn place(&self, at: u64) -> Result<u64> {
        let place = at.checked_sub(self.start);
        place
            .ok_or_else(|| ParquetError::General("a page begins in front of its column".to_owned()))
    }
}

impl Length for Part {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Part {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.bytes.get_read(self.place(start)?)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.bytes.get_bytes(self.place(start)?, length)
    }
}

#[cfg(test)]
mod tests {
    use super::Lengths;

    #[test]
    fn lengths_as_differences() {
        // Blocks of 128 numbers in 4 miniblocks: 5, 3, 7 and 7, with differences of -2 at least and of 3 bits.
        let mut bytes = vec![0x80, 0x01, 4, 4, 10, 3, 3, 0, 0, 0];
        // 0, 6 and 2: what is above -2 of -2, 4 and 0.
        let packed: u32 = 6 << 3 | 2 << 6;
        bytes.extend(packed.to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(b"next");
        let found = Lengths::of(&bytes, 4).unwrap();
        assert_eq!((found.count, found.sum), (4, 5 + 3 + 7 + 7));
        assert_eq!(&bytes[found.end..], b"next");
        assert!(Lengths::of(&bytes, 3).is_none(), "more than values");
        assert!(Lengths::of(&bytes[..12], 4).is_none(), "cut off");
        // One number has no block.
        let one = Lengths::of(&[0x80, 0x01, 4, 1, 10], 1).unwrap();
        assert_eq!((one.count, one.sum, one.end), (1, 5, 5));
        let none = Lengths::of(&[0x80, 0x01, 4, 0, 0], 0).unwrap();
        assert_eq!((none.count, none.sum), (0, 0));
        // 2^60 numbers, and negative lengths.
        let many = [
            0x80, 0x01, 4, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0,
        ];
        assert!(Lengths::of(&many, 100).is_none());
        assert!(Lengths::of(&[0x80, 0x01, 4, 1, 1], 1).is_none());
    }
}
