//! Memory for the pages of Parquet files.
//!
//! The decoder allocates a page as large as its header says, and holds one page and one dictionary of each column of a group of
//! rows. What that is more than a group of its size usually takes is reserved in the engine's pool, before it is decoded.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use datafusion::{
    arrow::datatypes::TimeUnit,
    execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation},
    parquet::{
        basic::Type,
        errors::{ParquetError, Result},
        file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData},
    },
};
use object_store::path::Path;

use super::{
    compact::{PageHeader, page_header},
    delta, int96,
};
use crate::{Error, ErrorKind};

/// Pages that each reader may hold besides.
const FREE_BYTES: u64 = 16 << 20;
/// Pages that a reader may hold besides, for each byte of the group in the file.
const FREE_EXPANSION: u64 = 4;

/// The pages that one reader of a file may hold.
#[derive(Debug)]
pub(super) struct PageMemory {
    file: Path,
    reserved: MemoryReservation,
    footer: Option<Arc<ParquetMetaData>>,
    group: Group,
    /// What timestamps of 96 bits are read in.
    moments: TimeUnit,
    /// Whether the file has such columns.
    has_moments: bool,
}

/// The group of rows that is being read.
#[derive(Debug, Default)]
struct Group {
    number: usize,
    /// Largest pages of its columns, by where the columns begin.
    columns: BTreeMap<u64, Largest>,
    /// How often the bytes at a place were asked for: several columns may say that they are there.
    asked: HashMap<u64, u64>,
    /// Bytes that were read of it.
    read: u64,
}

/// The largest pages of a column, in memory.
#[derive(Debug, Default, Clone, Copy)]
struct Largest {
    /// Where the column ends in the file.
    end: u64,
    data: u64,
    dictionary: u64,
    /// Columns that have these pages.
    columns: u64,
}

impl PageMemory {
    pub(super) fn new(file: &Path, pool: &Arc<dyn MemoryPool>, moments: TimeUnit) -> Self {
        Self {
            file: file.clone(),
            reserved: MemoryConsumer::new("pages of Parquet").register(pool),
            footer: None,
            group: Group::default(),
            moments,
            has_moments: false,
        }
    }

    pub(super) fn know(&mut self, footer: &Arc<ParquetMetaData>) {
        let columns = footer.file_metadata().schema_descr().columns();
        let mut kinds = columns.iter().map(|column| column.physical_type());
        self.has_moments = kinds.any(|kind| kind == Type::INT96);
        self.footer = Some(Arc::clone(footer));
    }

    /// Makes room for the pages in bytes of the file that were read to be decoded, and looks at what the decoder takes on trust.
    pub(super) fn admit(&mut self, ranges: &[Range<u64>], bytes: &[Bytes]) -> Result<()> {
        let mut by_lengths = Vec::new();
        for (range, bytes) in ranges.iter().zip(bytes) {
            self.turn_to(range.start);
            if self.group.see(range.start, bytes) {
                by_lengths.push((range, bytes));
            }
        }
        self.reserve()?;
        if self.has_moments {
            for (range, bytes) in ranges.iter().zip(bytes) {
                self.turn_to(range.start);
                if let Some(chunk) = self.chunk(range.start) {
                    int96::check(&self.file, chunk, range, bytes, self.moments)?;
                }
            }
        }
        if by_lengths.is_empty() {
            return Ok(());
        }
        // There is room for them without their texts: they are decompressed once more.
        for (range, bytes) in by_lengths {
            self.see_lengths(range, bytes)?;
        }
        self.reserve()
    }

    fn see_lengths(&mut self, range: &Range<u64>, bytes: &Bytes) -> Result<()> {
        if let Some(chunk) = self.chunk(range.start) {
            let largest = delta::largest_page(chunk, range, bytes)?;
            if let Some(column) = self.group.column(range.start) {
                column.data = column.data.max(largest);
            }
        }
        Ok(())
    }

    /// The column of the group that is being read, at a place.
    fn chunk(&self, place: u64) -> Option<&ColumnChunkMetaData> {
        let group = self.footer.as_ref()?.row_groups().get(self.group.number)?;
        let mut all = group.columns().iter().zip(columns(group));
        all.find(|(_, own)| own.contains(&place))
            .map(|(chunk, _)| chunk)
    }

    fn reserve(&self) -> Result<()> {
        let held = self.group.held();
        let free = FREE_BYTES.max(self.group.read.saturating_mul(FREE_EXPANSION));
        let more = usize::try_from(held.saturating_sub(free)).unwrap_or(usize::MAX);
        self.reserved.try_resize(more).map_err(|_full| {
            let message = format!(
                "{}: reading one group of its rows takes {} MiB, which is more memory than is left",
                self.file,
                held >> 20
            );
            ParquetError::External(Box::new(Error::new(ErrorKind::MemoryLimit, message)))
        })
    }

    /// Turns to the group that has a column at this place, and forgets the group before.
    fn turn_to(&mut self, place: u64) {
        let Some(footer) = &self.footer else {
            return;
        };
        if self.group.column(place).is_some() {
            return;
        }
        let groups = footer.row_groups();
        // Groups are read in order, so that the one behind comes first.
        let behind = (self.group.number + 1).min(groups.len());
        let mut order = (behind..groups.len()).chain(0..behind);
        let has_it = |number: &usize| columns(&groups[*number]).any(|own| own.contains(&place));
        if let Some(number) = order.find(has_it) {
            let columns = columns(&groups[number]).map(|own| {
                let largest = Largest {
                    end: own.end,
                    ..Largest::default()
                };
                (own.start, largest)
            });
            self.group = Group {
                number,
                columns: columns.collect(),
                ..Group::default()
            };
        }
    }
}

fn columns(group: &RowGroupMetaData) -> impl Iterator<Item = Range<u64>> {
    group.columns().iter().map(|column| {
        let (start, length) = column.byte_range();
        start..start.saturating_add(length)
    })
}

impl Group {
    fn column(&mut self, place: u64) -> Option<&mut Largest> {
        let (_, column) = self.columns.range_mut(..=place).next_back()?;
        (place < column.end).then_some(column)
    }

    /// Looks at the headers of pages, one behind the other; whether one has texts by their lengths. What is no page, the decoder
    /// reports.
    fn see(&mut self, place: u64, bytes: &[u8]) -> bool {
        self.read += bytes.len() as u64;
        let asked = self.asked.entry(place).or_default();
        *asked += 1;
        let asked = *asked;
        let Some(column) = self.column(place) else {
            return false;
        };
        let mut by_lengths = false;
        column.columns = column.columns.max(asked);
        let mut rest = bytes;
        while let Some(header) = page_header(rest) {
            let PageHeader {
                is_dictionary,
                unpacked_bytes,
                packed_bytes,
                length,
                has_lengths,
                ..
            } = header;
            by_lengths |= has_lengths;
            let largest = if is_dictionary {
                &mut column.dictionary
            } else {
                &mut column.data
            };
            *largest = unpacked_bytes.max(*largest);
            match rest[length..].get(packed_bytes..) {
                Some(next) if length + packed_bytes > 0 => rest = next,
                _ => break,
            }
        }
        by_lengths
    }

    fn held(&self) -> u64 {
        let columns = self.columns.values();
        columns.fold(0, |held, column| {
            let pages = column.data.saturating_add(column.dictionary);
            held.saturating_add(pages.saturating_mul(column.columns))
        })
    }
}
