//! Rows as JSON: columns in order, numbers digit by digit, nulls written, non-finite numbers as null.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch},
    compute::kernels::aggregate::{max, min},
    datatypes::{
        ArrowPrimitiveType, DataType, Field, Float32Type, Float64Type, Int64Type, Schema,
        UInt64Type,
    },
    json::writer::JsonArray,
};
use serde_json::value::RawValue;

use crate::{
    Error, ErrorKind,
    encode::{json, json_without_nulls, without_brackets},
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
    for_flows: bool,
}

impl JsonRows {
    /// An empty array.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty array for a Genesys Cloud data action, which holds rows to a JSON schema without null and numbers as
    /// doubles: a member that is null is left out, and an integer beyond 2^53 - 1 is an error.
    #[must_use]
    pub fn for_flows() -> Self {
        Self {
            text: Vec::new(),
            for_flows: true,
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
        let array = if self.for_flows {
            json_without_nulls::<JsonArray>(&as_flows_hold_it(batch)?)?
        } else {
            json::<JsonArray>(batch)?
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
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| {
        Error::new(ErrorKind::Internal, "the rows could not be encoded").with_source(error)
    })
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

    use super::{JsonRows, LARGEST_SAFE_INTEGER};
    use crate::{Error, ErrorKind};

    fn rows(columns: Vec<(&str, ArrayRef)>) -> Result<String, Error> {
        let batch = RecordBatch::try_from_iter(columns).expect("the columns are of one length");
        let mut rows = JsonRows::for_flows();
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
}
