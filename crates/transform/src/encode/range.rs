//! Whether the values of an answer can be written: Arrow's writer of JSON puts the text of an error where it cannot write one.

use datafusion::arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field},
};

use crate::{
    Error, ErrorKind,
    writable::{all_can_be_written, has_times},
};

/// Refuses a batch with a value that has no text.
pub(super) fn check(batch: &RecordBatch) -> Result<(), Error> {
    let schema = batch.schema_ref();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if has_times(field.data_type()) && !all_can_be_written(column) {
            return Err(Error::new(
                ErrorKind::NotComputable,
                format!(
                    "column `{}` holds a {} that is beyond the calendar",
                    field.name(),
                    name(field)
                ),
            ));
        }
    }
    Ok(())
}

fn name(field: &Field) -> &'static str {
    match field.data_type() {
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Time32(_) | DataType::Time64(_) => "time of day",
        DataType::Duration(_) => "duration",
        DataType::Timestamp(..) => "timestamp",
        _ => "date or time",
    }
}
