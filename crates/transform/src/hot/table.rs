//! A table in memory: its batches, and the indexes over them.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, UInt32Array},
        compute::{cast, concat_batches, take},
        datatypes::{DataType, SchemaRef, UInt16Type},
    },
    common::Result,
};

use super::{
    budget::Held,
    index::{HashIndex, HashIndexBuilder, SortedIndex, indexable},
};

/// Which indexes a column gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) hash: bool,
    pub(crate) sorted: bool,
}

/// One version of a table.
#[derive(Debug)]
pub(crate) struct HotTable {
    /// The columns as the files give them, whatever they are kept as.
    pub(crate) schema: SchemaRef,
    batches: Vec<RecordBatch>,
    /// The number of the first row of each batch.
    starts: Vec<u32>,
    rows: usize,
    hash: BTreeMap<usize, HashIndex>,
    sorted: BTreeMap<usize, SortedIndex>,
    /// Freed when the last reader lets the version go.
    held: Held,
}

/// A table that is being read.
pub(crate) struct HotTableBuilder {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    starts: Vec<u32>,
    rows: usize,
    /// By column, whether it is kept as a dictionary: decided by the first batch.
    dictionaries: Vec<bool>,
    hash: BTreeMap<usize, HashIndexBuilder>,
    sorted: Vec<usize>,
    held: Held,
}

/// Why a table could not be built.
#[derive(Debug)]
pub(crate) enum NotBuilt {
    NoRoom,
    Failed(datafusion::common::DataFusionError),
}

impl<E: Into<datafusion::common::DataFusionError>> From<E> for NotBuilt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl HotTableBuilder {
    pub(crate) fn new(schema: SchemaRef, wanted: &BTreeMap<String, Wanted>, held: Held) -> Self {
        let mut hash = BTreeMap::new();
        let mut sorted = Vec::new();
        for (column, field) in schema.fields().iter().enumerate() {
            let wanted = wanted.get(field.name()).copied().unwrap_or_default();
            if wanted.hash && indexable(field.data_type()) {
                hash.insert(column, HashIndexBuilder::default());
            }
            if wanted.sorted && indexable(field.data_type()) {
                sorted.push(column);
            }
        }
        Self {
            dictionaries: vec![false; schema.fields().len()],
            schema,
            batches: Vec::new(),
            starts: Vec::new(),
            rows: 0,
            hash,
            sorted,
            held,
        }
    }

    pub(crate) fn push(&mut self, batch: &RecordBatch) -> Result<(), NotBuilt> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let Ok(start) = u32::try_from(self.rows) else {
            return Err(NotBuilt::NoRoom);
        };
        for (column, index) in &mut self.hash {
            index.push(batch.column(*column))?;
        }
        let first = self.batches.is_empty();
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (column, dictionary) in batch.columns().iter().zip(&mut self.dictionaries) {
            let compact = compact(column);
            if first || *dictionary {
                let encoded = as_dictionary(&compact)?;
                let pays = |encoded: &ArrayRef| {
                    2 * encoded.get_array_memory_size() < compact.get_array_memory_size()
                };
                if let Some(encoded) = encoded
                    && (!first || pays(&encoded))
                {
                    *dictionary = true;
                    columns.push(encoded);
                    continue;
                }
            }
            columns.push(compact);
        }
        // Batches of one table may differ in how a column is kept; rows are cast when they are taken.
        let bytes: usize = columns
            .iter()
            .map(|array| array.get_array_memory_size())
            .sum();
        let indexes = batch.num_rows() * (16 * self.hash.len() + 4 * self.sorted.len());
        if !self.held.grow((bytes + indexes) as u64) {
            return Err(NotBuilt::NoRoom);
        }
        let fields = self
            .schema
            .fields()
            .iter()
            .zip(&columns)
            .map(|(field, array)| {
                field
                    .as_ref()
                    .clone()
                    .with_data_type(array.data_type().clone())
            });
        let kept = datafusion::arrow::datatypes::Schema::new(fields.collect::<Vec<_>>());
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        self.batches.push(RecordBatch::try_new_with_options(
            kept.into(),
            columns,
            &options,
        )?);
        self.starts.push(start);
        self.rows += batch.num_rows();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<HotTable, NotBuilt> {
        let mut sorted = BTreeMap::new();
        for column in std::mem::take(&mut self.sorted) {
            let kind = self.schema.field(column).data_type();
            let arrays = self
                .batches
                .iter()
                .map(|batch| cast(batch.column(column), kind))
                .collect::<Result<Vec<_>, _>>()?;
            if arrays.is_empty() {
                continue;
            }
            let index = SortedIndex::try_new(&arrays)?;
            if !self.held.grow(index.bytes()) {
                return Err(NotBuilt::NoRoom);
            }
            sorted.insert(column, index);
        }
        let built = self.hash.into_iter();
        let hash: BTreeMap<_, _> = built
            .map(|(column, index)| (column, index.finish()))
            .collect();
        let bytes = self
            .batches
            .iter()
            .map(|batch| batch.get_array_memory_size() as u64)
            .sum::<u64>()
            + hash.values().map(HashIndex::bytes).sum::<u64>()
            + sorted.values().map(SortedIndex::bytes).sum::<u64>();
        self.held.settle(bytes);
        Ok(HotTable {
            schema: self.schema,
            batches: self.batches,
            starts: self.starts,
            rows: self.rows,
            hash,
            sorted,
            held: self.held,
        })
    }
}

impl HotTable {
    /// Bytes of memory that it takes.
    pub(crate) const fn bytes(&self) -> u64 {
        self.held.bytes()
    }

    pub(crate) fn hash(&self, column: usize) -> Option<&HashIndex> {
        self.hash.get(&column)
    }

    pub(crate) fn sorted(&self, column: usize) -> Option<&SortedIndex> {
        self.sorted.get(&column)
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn batches(&self) -> usize {
        self.batches.len()
    }

    /// One batch, as the files give it.
    pub(crate) fn batch(&self, number: usize, columns: &[usize]) -> Result<RecordBatch> {
        let batch = &self.batches[number];
        let schema = Arc::new(self.schema.project(columns)?);
        let kept = columns
            .iter()
            .map(|column| Ok(Arc::clone(batch.column(*column))));
        as_schema(kept, batch.num_rows(), &schema)
    }

    /// Some rows, in that order.
    ///
    /// `schema` is the table's own, of these columns.
    pub(crate) fn take(
        &self,
        rows: &[u32],
        columns: &[usize],
        schema: &SchemaRef,
    ) -> Result<RecordBatch> {
        let place = |row: u32| {
            let batch = self.starts.partition_point(|start| *start <= row) - 1;
            (batch, (row - self.starts[batch]) as usize)
        };
        if let [row] = rows {
            let (batch, row) = place(*row);
            let kept = columns
                .iter()
                .map(|column| Ok(one(self.batches[batch].column(*column), row)));
            return as_schema(kept, 1, schema);
        }
        let mut parts = Vec::new();
        let mut rest = rows;
        while let Some(first) = rest.first() {
            let (batch, _) = place(*first);
            let end = self.starts.get(batch + 1).copied().unwrap_or(u32::MAX);
            let of_batch = rest
                .iter()
                .take_while(|row| (self.starts[batch]..end).contains(row));
            let (of_batch, others) = rest.split_at(of_batch.count());
            let chosen: UInt32Array = of_batch
                .iter()
                .map(|row| row - self.starts[batch])
                .collect();
            // Only what was chosen is cast: of a batch that is one row in thousands.
            let kept = columns
                .iter()
                .map(|column| self.batches[batch].column(*column));
            let kept = kept.map(|column| Ok(take(column, &chosen, None)?));
            parts.push(as_schema(kept, chosen.len(), schema)?);
            rest = others;
        }
        Ok(concat_batches(schema, &parts)?)
    }
}

/// One value, out of its dictionary where it has one.
fn one(column: &ArrayRef, row: usize) -> ArrayRef {
    if let Some(encoded) = column.as_any_dictionary_opt()
        && let Some(keys) = encoded.keys().as_primitive_opt::<UInt16Type>()
        && keys.is_valid(row)
    {
        return encoded.values().slice(usize::from(keys.value(row)), 1);
    }
    column.slice(row, 1)
}

/// The columns as the files give them, whatever they are kept as.
fn as_schema(
    columns: impl Iterator<Item = Result<ArrayRef>>,
    rows: usize,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let columns = columns.zip(schema.fields());
    let columns = columns.map(|(column, field)| same_type(&column?, field.data_type()));
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::clone(schema);
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

fn same_type(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    // Of a dictionary, only the values of these rows are cast.
    let plain = match array.as_any_dictionary_opt() {
        Some(encoded) => take(encoded.values(), encoded.keys(), None)?,
        None => Arc::clone(array),
    };
    if plain.data_type() == kind {
        return Ok(plain);
    }
    Ok(cast(&plain, kind)?)
}

/// The values without what they were cut from.
fn compact(column: &ArrayRef) -> ArrayRef {
    let mut compact = if *column.data_type() == DataType::Utf8View {
        Arc::new(column.as_string_view().gc())
    } else {
        Arc::clone(column)
    };
    compact.shrink_to_fit();
    compact
}

/// Text as a dictionary; `None` for what is no text or has too many values for small keys.
fn as_dictionary(
    column: &ArrayRef,
) -> Result<Option<ArrayRef>, datafusion::arrow::error::ArrowError> {
    let is_text = matches!(
        column.data_type(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    );
    if !is_text || column.len() > usize::from(u16::MAX) {
        return Ok(None);
    }
    let values = match column.data_type() {
        DataType::LargeUtf8 => DataType::LargeUtf8,
        _ => DataType::Utf8,
    };
    let kind = DataType::Dictionary(Box::new(DataType::UInt16), Box::new(values));
    let mut encoded = cast(column, &kind)?;
    encoded.shrink_to_fit();
    Ok(Some(encoded))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use datafusion::arrow::{
        array::{ArrayRef, Int64Array, RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema},
        util::pretty::pretty_format_batches,
    };

    use super::{HotTableBuilder, Wanted};
    use crate::hot::budget::{Budget, Held, Room};

    struct NoRoom;

    impl Room for NoRoom {
        fn make_room(&self, _asked_for: Option<u8>) -> bool {
            false
        }
    }

    /// Rows of several batches, some kept as dictionaries, come in the order of the table, with the types of the files.
    #[test]
    fn rows_are_taken_out_of_several_batches() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("tier", DataType::Utf8, true),
        ]));
        let tier = |row: i64| match row % 4 {
            0 => None,
            1 => Some("gold, of some length"),
            2 => Some("silver, of some length"),
            _ => Some("bronze, of some length"),
        };
        let batch = |rows: std::ops::Range<i64>| {
            let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.clone()));
            let tiers: ArrayRef = Arc::new(rows.map(tier).collect::<StringArray>());
            RecordBatch::try_new(Arc::clone(&schema), vec![ids, tiers]).unwrap()
        };
        let held = Held::new(
            &Arc::new(Budget::new(1 << 30)),
            Arc::new(NoRoom),
            1 << 30,
            0,
        );
        let wanted = BTreeMap::from([(
            "id".to_owned(),
            Wanted {
                hash: true,
                sorted: false,
            },
        )]);
        let mut builder = HotTableBuilder::new(Arc::clone(&schema), &wanted, held);
        for rows in [0..1000, 1000..1001, 1001..3000] {
            builder.push(&batch(rows)).ok().unwrap();
        }
        let table = builder.finish().ok().unwrap();
        assert!(matches!(
            table.batches[0].column(1).data_type(),
            DataType::Dictionary(..)
        ));
        for rows in [
            vec![],
            vec![0],
            vec![1000],
            vec![2999],
            vec![3, 998, 999, 1000, 1001, 1002, 2998],
        ] {
            for columns in [vec![0, 1], vec![1], vec![]] {
                let taken = Arc::new(schema.project(&columns).unwrap());
                let found = table.take(&rows, &columns, &taken).unwrap();
                assert_eq!((found.num_rows(), found.schema()), (rows.len(), taken));
                let expected: Vec<_> = rows
                    .iter()
                    .map(|row| {
                        let row = i64::from(*row);
                        batch(row..row + 1).project(&columns).unwrap()
                    })
                    .collect();
                if !rows.is_empty() && !columns.is_empty() {
                    assert_eq!(
                        pretty_format_batches(&[found]).unwrap().to_string(),
                        pretty_format_batches(&expected).unwrap().to_string()
                    );
                }
            }
        }
    }
}
