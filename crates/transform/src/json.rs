//! Rows as JSON: columns in order, numbers digit by digit, nulls written, non-finite numbers as null or as text.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch},
    compute::{
        cast,
        kernels::aggregate::{max, min},
    },
    datatypes::{
        ArrowPrimitiveType, DataType, Field, Float32Type, Float64Type, Int64Type, Schema,
        UInt64Type,
    },
    json::writer::JsonArray,
};
use serde_json::value::RawValue;

use crate::{
    Error, ErrorKind,
    encode::{json, json_without_nulls, not_encoded, without_brackets},
};

/// The largest whole number that a double holds together with all smaller ones: 2^53 - 1.
const LARGEST_SAFE_INTEGER: i64 = 9_007_199_254_740_991;

/// Collects batches as one JSON array of objects.
///
/// Integers of 64 bits and decimals are written with all their digits, as JSON numbers; timestamps as ISO 8601, with their
/// offset where they have one; binary as hexadecimal.
#[derive(Debug, Default)]
pub struct JsonRows {
    text: Vec<u8>,
    reader: JsonReader,
}

/// The kind of reader that the JSON is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum JsonReader {
    /// A program: a number that is not finite is null, since JSON has none.
    #[default]
    Program,
    /// A Genesys Cloud data action, which holds rows to a JSON schema without null and numbers as doubles: a member that is null
    /// is left out, and an integer beyond 2^53 - 1 is an error.
    Flow,
    /// What draws a table: a number that is not finite is the text `NaN`, `inf` or `-inf`, as in CSV.
    Table,
}

impl JsonRows {
    /// An empty array.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty array for a reader.
    #[must_use]
    pub const fn of(reader: JsonReader) -> Self {
        Self {
            text: Vec::new(),
            reader,
        }
    }

    /// Adds the rows of a batch.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSql`] for a column of a type that JSON cannot hold; [`ErrorKind::UnsafeInteger`] for an integer
    /// that flows cannot hold.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let array = match self.reader {
            JsonReader::Program => json::<JsonArray>(batch)?,
            JsonReader::Flow => json_without_nulls::<JsonArray>(&as_flows_hold_it(batch)?)?,
            JsonReader::Table => json::<JsonArray>(&with_non_finite_texts(batch)?)?,
        };
        let rows = without_brackets(&array);
        if !self.text.is_empty() {
            self.text.push(b',');
        }
        self.text.extend_from_slice(rows);
        Ok(())
    }

    /// The array.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] if the rows are not valid JSON, which would be a fault of the encoder.
    pub fn finish(self) -> Result<Box<RawValue>, Error> {
        let internal = |error: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Internal, "the rows could not be encoded").with_source(error)
        };
        let rows = String::from_utf8(self.text).map_err(|error| internal(error.into()))?;
        RawValue::from_string(format!("[{rows}]")).map_err(|error| internal(error.into()))
    }
}

/// The batch with non-finite numbers as nulls, once its integers are checked.
fn as_flows_hold_it(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let schema = batch.schema();
    let mut columns = Vec::with_capacity(batch.num_columns());
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        columns.push(match column.data_type() {
            DataType::Int64 => {
                let values = column.as_primitive::<Int64Type>();
                let fits = min(values).is_none_or(|least| least >= -LARGEST_SAFE_INTEGER)
                    && max(values).is_none_or(|most| most <= LARGEST_SAFE_INTEGER);
                safe(fits, field)?;
                Arc::clone(column)
            }
            DataType::UInt64 => {
                let values = column.as_primitive::<UInt64Type>();
                let largest = LARGEST_SAFE_INTEGER.unsigned_abs();
                safe(max(values).is_none_or(|most| most <= largest), field)?;
                Arc::clone(column)
            }
            DataType::Float64 => finite::<Float64Type>(column, |value| value.is_finite()),
            DataType::Float32 => finite::<Float32Type>(column, |value| value.is_finite()),
            _ => Arc::clone(column),
        });
    }
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    put_together(fields, columns)
}

fn put_together(fields: Vec<Field>, columns: Vec<ArrayRef>) -> Result<RecordBatch, Error> {
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
    batch.map_err(|error| {
        Error::new(ErrorKind::Internal, "the rows could not be encoded").with_source(error)
    })
}

/// The batch with columns as text that hold a number that is not finite.
fn with_non_finite_texts(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let has_others = |column: &ArrayRef| match column.data_type() {
        DataType::Float64 => has_non_finite::<Float64Type>(column, |value| value.is_finite()),
        DataType::Float32 => has_non_finite::<Float32Type>(column, |value| value.is_finite()),
        _ => false,
    };
    let columns = batch.columns().iter();
    let columns = columns.map(|column| match has_others(column) {
        true => cast(column, &DataType::Utf8),
        false => Ok(Arc::clone(column)),
    });
    let columns: Vec<ArrayRef> = columns
        .collect::<Result<_, _>>()
        .map_err(|error| not_encoded(&error, "a table"))?;
    let schema = batch.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields =
        fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
    put_together(fields.collect(), columns)
}

fn has_non_finite<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    is_finite: fn(T::Native) -> bool,
) -> bool {
    let mut values = column.as_primitive::<T>().iter().flatten();
    !values.all(is_finite)
}

fn safe(fits: bool, field: &Field) -> Result<(), Error> {
    if fits {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsafeInteger,
        format!(
            "the column `{}` holds an integer beyond 2^53 - 1, which a flow cannot hold exactly",
            field.name()
        ),
    ))
}

fn finite<T: ArrowPrimitiveType>(column: &ArrayRef, keeps: fn(T::Native) -> bool) -> ArrayRef {
    let column = column.as_primitive::<T>();
    let values = column
        .iter()
        .map(|value| value.filter(|value| keeps(*value)));
    let finite: PrimitiveArray<T> = values.collect();
    Arc::new(finite)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{
        ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
    };

    use super::{JsonReader, JsonRows, LARGEST_SAFE_INTEGER};
    use crate::{Error, ErrorKind};

    fn rows(columns: Vec<(&str, ArrayRef)>) -> Result<String, Error> {
        rows_for(JsonReader::Flow, columns)
    }

    fn rows_for(reader: JsonReader, columns: Vec<(&str, ArrayRef)>) -> Result<String, Error> {
        let batch = RecordBatch::try_from_iter(columns).expect("the columns are of one length");
        let mut rows = JsonRows::of(reader);
        rows.push(&batch)?;
        Ok(rows.finish()?.get().to_owned())
    }

    #[test]
    fn flows_get_no_null_and_no_integer_that_they_would_round() {
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "i",
                Arc::new(Int64Array::from(vec![Some(-LARGEST_SAFE_INTEGER), None])),
            ),
            ("f", Arc::new(Float64Array::from(vec![f64::NAN, 1.5]))),
            ("t", Arc::new(StringArray::from(vec![None, Some("")]))),
        ];
        let expected = r#"[{"i":-9007199254740991},{"f":1.5,"t":""}]"#;
        assert_eq!(rows(columns).expect("every value fits"), expected);
        let unsafe_columns: [ArrayRef; 3] = [
            Arc::new(Int64Array::from(vec![LARGEST_SAFE_INTEGER + 1])),
            Arc::new(Int64Array::from(vec![i64::MIN])),
            Arc::new(UInt64Array::from(vec![u64::MAX])),
        ];
        for column in unsafe_columns {
            let error = rows(vec![("id", column)]).expect_err("it is beyond 2^53 - 1");
            assert_eq!(error.kind(), ErrorKind::UnsafeInteger);
            assert!(error.to_string().contains("`id`"), "{error}");
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_null_to_programs_and_text_in_tables() {
        let columns = || -> Vec<(&str, ArrayRef)> {
            let some = vec![Some(f64::INFINITY), Some(-f64::NAN), Some(1.5), None];
            vec![
                ("a", Arc::new(Float64Array::from(some))),
                ("b", Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0, 4.0]))),
            ]
        };
        assert_eq!(
            rows_for(JsonReader::Program, columns()).expect("JSON has numbers and null"),
            r#"[{"a":null,"b":1.0},{"a":null,"b":2.0},{"a":1.5,"b":3.0},{"a":null,"b":4.0}]"#
        );
        assert_eq!(
            rows_for(JsonReader::Table, columns()).expect("JSON has text"),
            r#"[{"a":"inf","b":1.0},{"a":"NaN","b":2.0},{"a":"1.5","b":3.0},{"a":null,"b":4.0}]"#
        );
    }
}
