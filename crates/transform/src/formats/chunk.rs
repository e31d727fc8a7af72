//! Text that is decoded in chunks, side by side: what its formats have in common.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions},
    compute::filter,
    datatypes::{Schema, SchemaRef},
};

use super::{Decode, known::Known, marks::Marks, misfit::Misfits, sieve::Sieve};
use crate::{ColumnType, TableSpec};

/// A format whose text can be cut into chunks.
pub(crate) trait Chunked: Send + Sync {
    /// The place after the last complete record of `text`, as far as it is known without dividing the text.
    fn cut(&self, text: &[u8]) -> Option<usize>;

    /// Decodes a chunk that begins with a record; `None` when there is anything unusual about it, or when it does not end
    /// with a record.
    fn decode(&self, text: &[u8], sieve: &Sieve, space: &mut Space) -> Option<Chunk>;

    /// What is asked of the text.
    fn asked(&self) -> &Asked;

    /// A reader that knows all cases, for text that begins with a record in `line`.
    fn decoder(&self, line: u64, misfits: Misfits) -> Box<dyn Resumed>;
}

/// A reader that can begin and stop between any two records.
pub(crate) trait Resumed: Decode {
    /// Whether all text so far is of complete records.
    fn between_records(&self) -> bool;

    /// The line of what comes next, from 1.
    fn line(&self) -> u64;
}

/// What a chunk held.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) lines: u64,
    /// Columns of its rows that the table does not have.
    pub(crate) unlisted: Vec<String>,
    /// Columns of the table by their places, and whether a row has them; only where that is not known yet.
    pub(crate) declared: Vec<(usize, bool)>,
}

impl Chunk {
    /// Reports what it held that the table does not have, and the other way round.
    pub(crate) fn report(&self, asked: &Asked, misfits: &Misfits) {
        for column in &self.unlisted {
            misfits.unlisted(column);
        }
        if let Some(table) = &asked.declared {
            for &(place, is_there) in &self.declared {
                misfits.declared(table, asked.table.field(place).name(), is_there);
            }
        }
    }
}

/// Memory that is used again for the next chunk.
#[derive(Debug, Default)]
pub(crate) struct Space {
    pub(crate) marks: Marks,
    pub(crate) ends: Vec<u32>,
    pub(crate) starts: Vec<u32>,
    pub(crate) spans: Vec<Vec<(u32, u32)>>,
}

/// Which columns a scan asks for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// All columns of the table.
    pub(crate) table: SchemaRef,
    /// The places in `table` that batches are made of, in order.
    pub(crate) wanted: Vec<usize>,
    /// Those columns.
    pub(crate) output: SchemaRef,
    /// Whether a row counts only if all columns of the table fit.
    pub(crate) all_must_fit: bool,
    /// Rows of a batch, at most.
    pub(crate) batch_rows: usize,
    /// How the columns of the table are read, in their order.
    pub(crate) types: Arc<[ColumnType]>,
    /// The table, where its columns are declared.
    pub(crate) declared: Option<Arc<str>>,
    /// What is no surprise in a file; `None` when it may have anything.
    pub(crate) known: Option<Arc<Known>>,
}

/// Values that are decoded together.
const MOST_VALUES: usize = 4 << 20;

/// The most rows that are decoded together when a row has this many columns.
pub(crate) fn most_rows(columns: usize) -> usize {
    (MOST_VALUES / columns.max(1)).max(1)
}

/// Rows that have been divided into cells.
pub(crate) trait Rows {
    /// How many.
    fn len(&self) -> usize;

    /// A column of the table, of all rows or of the given ones; `None` when a value is unusual.
    fn column(&self, place: usize, rows: Option<&[u32]>) -> Option<ArrayRef>;
}

impl Asked {
    pub(crate) fn new(
        table: SchemaRef,
        wanted: Vec<usize>,
        all_must_fit: bool,
        batch_rows: usize,
    ) -> Self {
        let fields = wanted
            .iter()
            .map(|&place| Arc::clone(&table.fields()[place]));
        let types = table.fields().iter();
        let mut asked = Self {
            output: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
            types: types
                .map(|field| field.data_type().clone().into())
                .collect(),
            known: None,
            declared: None,
            table,
            wanted,
            all_must_fit,
            batch_rows,
        };
        asked.batch_rows = batch_rows.min(asked.most_rows());
        asked
    }

    fn most_rows(&self) -> usize {
        most_rows(if self.all_must_fit {
            self.table.fields().len()
        } else {
            self.wanted.len()
        })
    }

    /// Bytes of text that may be decoded at a time: however short its rows are, they are few batches.
    pub(crate) fn piece_bytes(&self) -> usize {
        (2 * self.batch_rows).clamp(512, 64 << 10)
    }

    /// Whether `rows` are more than may be held for one chunk.
    pub(crate) fn are_too_many(&self, rows: usize) -> bool {
        rows > self.most_rows()
    }

    /// With what the table declares of its columns beyond their types.
    pub(crate) fn with_declared(mut self, spec: &TableSpec) -> Self {
        let types = self.table.fields().iter().map(|field| ColumnType {
            kind: field.data_type().clone(),
            epoch: spec
                .declared_type(field.name())
                .and_then(|declared| declared.epoch),
        });
        self.types = types.collect();
        let is_declared = spec.columns.is_some();
        self.declared = is_declared.then(|| spec.uri.join(" ").into());
        self
    }

    /// With the names of all columns that a file may have. Each further column is reported once; so is each further member of
    /// the objects in columns that are decoded and whose type `spec` does not declare.
    pub(crate) fn with_known(
        mut self,
        names: impl Iterator<Item = String>,
        spec: &TableSpec,
    ) -> Self {
        let decoded = self.decoded();
        let fields = decoded.iter().map(|&place| self.table.field(place));
        let inside = fields.filter(|field| !spec.types.contains_key(field.name()));
        self.known = Some(Arc::new(Known::new(names, inside)));
        self
    }

    /// The places of the columns that are decoded: all, where a row counts only if all fit.
    pub(crate) fn decoded(&self) -> Vec<usize> {
        if self.all_must_fit {
            (0..self.table.fields().len()).collect()
        } else {
            self.wanted.clone()
        }
    }

    /// Reports which of the decoded columns a file has, where they are declared.
    pub(crate) fn report_declared(
        &self,
        misfits: &Misfits,
        is_there: impl Fn(usize, &str) -> bool,
    ) {
        let Some(table) = &self.declared else {
            return;
        };
        for place in self.decoded() {
            let name = self.table.field(place).name();
            misfits.declared(table, name, is_there(place, name));
        }
    }

    /// Whether the SQL cannot see a column of a file although nobody said that it should not.
    pub(crate) fn is_unlisted(&self, name: &str) -> bool {
        self.known
            .as_ref()
            .is_some_and(|known| !known.has_column(name))
    }

    /// What a file's own columns have that the SQL cannot see although nobody said that it should not.
    pub(crate) fn unlisted(&self, own: &Schema) -> Vec<String> {
        let known = self.known.as_ref();
        known.map_or_else(Vec::new, |known| known.unlisted(own.fields()))
    }

    /// The columns of the rows that pass the sieve.
    pub(crate) fn batches(&self, rows: &impl Rows, sieve: &Sieve) -> Option<Vec<RecordBatch>> {
        if rows.len() == 0 {
            return Some(Vec::new());
        }
        if self.are_too_many(rows.len()) {
            return None;
        }
        if self.all_must_fit {
            // Tables may have thousands of columns.
            let mut is_wanted = vec![false; self.table.fields().len()];
            self.wanted
                .iter()
                .for_each(|&place| is_wanted[place] = true);
            let others = (0..is_wanted.len()).filter(|&place| !is_wanted[place]);
            for place in others {
                rows.column(place, None)?;
            }
        }
        let judged = self.judge(rows, sieve)?;
        let kept = judged.kept.as_ref().map(|kept| {
            let places = kept.values().set_indices();
            places
                .map(|row| u32::try_from(row).unwrap_or(u32::MAX))
                .collect::<Vec<_>>()
        });
        let count = kept.as_ref().map_or(rows.len(), Vec::len);
        if count == 0 {
            return Some(Vec::new());
        }
        let mut columns = Vec::with_capacity(self.wanted.len());
        for &place in &self.wanted {
            let known = judged.columns.iter().find(|(known, _)| *known == place);
            columns.push(match (known, &judged.kept) {
                (Some((_, column)), Some(kept)) => filter(column, kept).ok()?,
                (Some((_, column)), None) => Arc::clone(column),
                (None, _) => rows.column(place, kept.as_deref())?,
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let all = RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options);
        let all = all.ok()?;
        let starts = (0..count).step_by(self.batch_rows);
        Some(
            starts
                .map(|start| all.slice(start, self.batch_rows.min(count - start)))
                .collect(),
        )
    }

    fn judge(&self, rows: &impl Rows, sieve: &Sieve) -> Option<Judged> {
        let mut judged = Judged::default();
        let Some(judge) = &sieve.judge else {
            return Some(judged);
        };
        for &place in &sieve.columns {
            judged.columns.push((place, rows.column(place, None)?));
        }
        let fields = sieve
            .columns
            .iter()
            .map(|&place| Arc::clone(&self.table.fields()[place]));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let columns = judged.columns.iter().map(|(_, column)| Arc::clone(column));
        let batch = RecordBatch::try_new(schema, columns.collect()).ok()?;
        judged.kept = judge(&batch)
            .map(|kept| match kept.nulls() {
                Some(nulls) => BooleanArray::new(kept.values() & nulls.inner(), None),
                None => kept,
            })
            .filter(|kept| kept.true_count() < rows.len());
        Some(judged)
    }
}

#[derive(Default)]
struct Judged {
    columns: Vec<(usize, ArrayRef)>,
    /// `None` when all rows pass.
    kept: Option<BooleanArray>,
}
