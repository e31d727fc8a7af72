//! From values of a column to the numbers of its rows.
//!
//! An index may name rows that do not match (another value with the same hash), but never leaves one out: the caller checks
//! the rows again.

use std::{cmp::Ordering, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray},
        compute::{SortOptions, concat, sort_to_indices, take},
        datatypes::DataType,
        error::ArrowError,
    },
    common::{
        Result, ScalarValue,
        hash_utils::{RandomState, create_hashes},
    },
};

/// Fixed, so that values sent later meet the hashes of the rows.
const SEED: u64 = 0x666c_6f77;

/// Whether equality of such values is equality of their bytes, and their order that of Arrow.
pub(crate) fn indexable(kind: &DataType) -> bool {
    kind.is_integer()
        || matches!(
            kind,
            DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Boolean
                | DataType::Date32
                | DataType::Timestamp(..)
                | DataType::Decimal128(..)
        )
}

/// Rows by equality: chains of row numbers with their hashes, eight bytes a row and four to eight more for the heads of
/// the chains.
#[derive(Debug)]
pub(crate) struct HashIndex {
    /// The hash of each row, so that of a bucket only those with the same are looked at.
    hashes: Vec<u32>,
    /// The first row of each bucket, plus one; 0 for none.
    heads: Vec<u32>,
    /// The next row of the same bucket, plus one; 0 for none.
    next: Vec<u32>,
}

/// Hashes of rows as they are read.
#[derive(Debug, Default)]
pub(crate) struct HashIndexBuilder {
    /// 0 for null.
    hashes: Vec<u32>,
}

fn hashes(array: &ArrayRef) -> Result<Vec<u32>> {
    let mut wide = vec![0; array.len()];
    create_hashes([array], &RandomState::with_seed(SEED), &mut wide)?;
    let folded = wide.into_iter().enumerate().map(|(row, hash)| {
        if array.is_null(row) {
            0
        } else {
            #[expect(clippy::cast_possible_truncation, reason = "both halves are in it")]
            let folded = (hash ^ (hash >> 32)) as u32;
            folded.max(1)
        }
    });
    Ok(folded.collect())
}

impl HashIndexBuilder {
    pub(crate) fn push(&mut self, column: &ArrayRef) -> Result<()> {
        self.hashes.extend(hashes(column)?);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> HashIndex {
        self.hashes.shrink_to_fit();
        let buckets = self.hashes.len().next_power_of_two();
        let mut heads = vec![0; buckets];
        let mut next = vec![0; self.hashes.len()];
        // From the last row, so that a chain has its rows in the order of the table.
        for (row, hash) in self.hashes.iter().enumerate().rev() {
            if *hash != 0 {
                let head = &mut heads[*hash as usize & (buckets - 1)];
                next[row] = *head;
                *head = u32::try_from(row + 1).unwrap_or(0);
            }
        }
        HashIndex {
            hashes: self.hashes,
            heads,
            next,
        }
    }
}

impl HashIndex {
    /// Rows that may hold the value, which is of the column's type and not null; those that do are among them.
    pub(crate) fn rows(&self, value: &ScalarValue, rows: &mut Vec<u32>) -> Result<()> {
        let Some(&hash) = hashes(&value.to_array()?)?.first() else {
            return Ok(());
        };
        let mut row = self.heads[hash as usize & (self.heads.len() - 1)];
        while row != 0 {
            let place = row as usize - 1;
            if self.hashes[place] == hash {
                rows.push(row - 1);
            }
            row = self.next[place];
        }
        Ok(())
    }

    pub(crate) fn bytes(&self) -> u64 {
        4 * (self.hashes.len() + self.heads.len() + self.next.len()) as u64
    }
}

/// Rows in the order of their values, nulls left out.
#[derive(Debug)]
pub(crate) struct SortedIndex {
    values: ArrayRef,
    rows: ArrayRef,
}

/// One end of a range, and whether it belongs to it.
pub(crate) type End = (ScalarValue, bool);

impl SortedIndex {
    pub(crate) fn try_new(columns: &[ArrayRef]) -> std::result::Result<Self, ArrowError> {
        let columns: Vec<&dyn Array> = columns.iter().map(AsRef::as_ref).collect();
        let all = concat(&columns)?;
        let options = SortOptions {
            descending: false,
            nulls_first: false,
        };
        let rows = sort_to_indices(&all, Some(options), None)?;
        let rows = rows.slice(0, all.len() - all.null_count());
        let values = take(&all, &rows, None)?;
        Ok(Self {
            values,
            rows: Arc::new(rows),
        })
    }

    /// Exactly the rows of a range; both ends are of the column's type.
    pub(crate) fn range(
        &self,
        lower: Option<&End>,
        upper: Option<&End>,
        rows: &mut Vec<u32>,
    ) -> Result<()> {
        let first = match lower {
            None => 0,
            Some((value, true)) => self.position(value, Ordering::is_lt)?,
            Some((value, false)) => self.position(value, Ordering::is_le)?,
        };
        let end = match upper {
            None => self.values.len(),
            Some((value, true)) => self.position(value, Ordering::is_le)?,
            Some((value, false)) => self.position(value, Ordering::is_lt)?,
        };
        self.push(first, end, rows);
        Ok(())
    }

    /// Exactly the rows whose text begins with `prefix`.
    pub(crate) fn prefix(&self, prefix: &str, rows: &mut Vec<u32>) {
        let text = |at: usize| match self.values.data_type() {
            DataType::Utf8 => self.values.as_string::<i32>().value(at),
            DataType::LargeUtf8 => self.values.as_string::<i64>().value(at),
            DataType::Utf8View => self.values.as_string_view().value(at),
            _ => "",
        };
        let first = partition_point(self.values.len(), |at| text(at) < prefix);
        let end = partition_point(self.values.len(), |at| {
            text(at) < prefix || text(at).starts_with(prefix)
        });
        self.push(first, end, rows);
    }

    pub(crate) fn bytes(&self) -> u64 {
        (self.values.get_array_memory_size() + self.rows.get_array_memory_size()) as u64
    }

    fn push(&self, first: usize, end: usize, rows: &mut Vec<u32>) {
        let found = self
            .rows
            .as_primitive::<datafusion::arrow::datatypes::UInt32Type>();
        rows.extend_from_slice(&found.values()[first..end.max(first)]);
    }

    fn position(&self, value: &ScalarValue, before: fn(Ordering) -> bool) -> Result<usize> {
        let value = value.to_array()?;
        let compare = datafusion::arrow::array::make_comparator(
            self.values.as_ref(),
            value.as_ref(),
            SortOptions::default(),
        )?;
        Ok(partition_point(self.values.len(), |at| {
            before(compare(at, 0))
        }))
    }
}

/// The first place of `0..len` that is not `before`.
fn partition_point(len: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = usize::midpoint(low, high);
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}
