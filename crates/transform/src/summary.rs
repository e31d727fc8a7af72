//! What the columns of a table hold, for a person who looks at a file: nulls, distinct values, the range, quantiles, frequent values.
//!
//! One pass over the rows, in memory that does not grow with them. What is approximate says so.

mod column;
mod distinct;
mod sample;
mod text;
mod top;

use datafusion::arrow::{array::RecordBatch, datatypes::SchemaRef};
use serde::Serialize;
use serde_json::value::RawValue;

use self::column::ColumnSketch;
use crate::Error;

/// Columns that are summarised; each takes up to 130 KiB while rows come.
const MOST_COLUMNS: usize = 500;

/// Takes rows in; see [`Summary`].
#[derive(Debug)]
pub struct Summariser {
    columns: Vec<ColumnSketch>,
    left_out: usize,
    rows: u64,
}

/// What the columns of a table hold.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Rows that were looked at.
    pub rows: u64,
    /// The columns, in order.
    pub columns: Vec<ColumnSummary>,
    /// Columns beyond the first 500, which were not looked at.
    pub columns_left_out: usize,
}

/// What one column holds. Values are JSON: numbers digit by digit, everything else as text.
#[derive(Debug, Clone, Serialize)]
pub struct ColumnSummary {
    /// Its name.
    pub name: String,
    /// Its type, as docs/tables.md names it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Rows in which it is null.
    pub nulls: u64,
    /// How many values it has.
    pub distinct: u64,
    /// Whether `distinct` is an estimate, within about 2 %.
    pub distinct_is_estimate: bool,
    /// The smallest value; of long text, its beginning.
    pub min: Option<Box<RawValue>>,
    /// The largest value; of long text, its beginning.
    pub max: Option<Box<RawValue>>,
    /// Values that so large a share of all values do not exceed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<Quantile>,
    /// How many values lie in each of equally wide parts of the range from `min` to `max`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<u64>,
    /// Values that `quantiles` and `histogram` are made of: a random sample where the column has more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled: Option<u64>,
    /// The most frequent values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<TopValue>,
    /// What only text has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<TextSummary>,
}

/// A value that a share of all values does not exceed.
#[derive(Debug, Clone, Serialize)]
pub struct Quantile {
    /// The share, in percent.
    pub percent: u8,
    /// The value.
    pub value: Box<RawValue>,
}

/// A frequent value.
#[derive(Debug, Clone, Serialize)]
pub struct TopValue {
    /// The value; of long text, its beginning.
    pub value: Box<RawValue>,
    /// How often it was counted.
    pub count: u64,
    /// Whether it may be more frequent than that.
    pub at_least: bool,
}

/// What a column of text holds.
#[derive(Debug, Clone, Serialize)]
pub struct TextSummary {
    /// Characters of the shortest value.
    pub shortest: u64,
    /// Characters of the longest value.
    pub longest: u64,
    /// Text that usually stands for null, such as `N/A`, and how often it was found.
    pub null_texts: Vec<(String, u64)>,
    /// The type that all other values are of, where that is not text: `null_values` and `types` of the table make it so.
    pub others_are: Option<String>,
    /// Whether all other values are telephone numbers in E.164.
    pub others_are_phones: bool,
}

impl Summariser {
    /// Begins with no rows.
    #[must_use]
    pub fn new(schema: &SchemaRef) -> Self {
        let fields = schema.fields().iter().take(MOST_COLUMNS);
        Self {
            columns: fields.map(|field| ColumnSketch::new(field)).collect(),
            left_out: schema.fields().len().saturating_sub(MOST_COLUMNS),
            rows: 0,
        }
    }

    /// Takes the rows of a batch in.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Internal`] for a type that the engine cannot compute with.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.rows += batch.num_rows() as u64;
        let mut columns = self.columns.iter_mut().zip(batch.columns());
        columns.try_for_each(|(sketch, column)| sketch.push(column))
    }

    /// What the rows hold.
    ///
    /// # Errors
    /// As of [`Self::push`].
    pub fn finish(self) -> Result<Summary, Error> {
        let columns = self.columns.into_iter().map(ColumnSketch::finish);
        Ok(Summary {
            rows: self.rows,
            columns: columns.collect::<Result<_, _>>()?,
            columns_left_out: self.left_out,
        })
    }
}

#[cfg(test)]
mod tests;
