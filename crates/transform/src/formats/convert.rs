//! From the text of fields to columns of their types.

use std::sync::Arc;

use datafusion::arrow::{
    array::{Array, ArrayRef, Float64Builder, StringArray},
    compute::{CastOptions, cast_with_options},
    datatypes::DataType,
    error::ArrowError,
};

/// The column, and the rows whose text is no value of the type: null in the column.
pub(crate) fn column(
    text: StringArray,
    kind: &DataType,
) -> Result<(ArrayRef, Vec<usize>), ArrowError> {
    if *kind == DataType::Utf8 {
        return Ok((Arc::new(text), Vec::new()));
    }
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let values: ArrayRef = match kind {
        DataType::Float64 => floats(&text),
        kind => cast_with_options(&text, kind, &options)?,
    };
    let misfits = if values.null_count() == text.null_count() {
        Vec::new()
    } else {
        (0..text.len())
            .filter(|&row| values.is_null(row) && text.is_valid(row))
            .collect()
    };
    Ok((values, misfits))
}

/// A number too large for its type is a misfit and not infinity, which has to be written out.
fn floats(text: &StringArray) -> ArrayRef {
    let mut builder = Float64Builder::with_capacity(text.len());
    for value in text {
        let number = value.and_then(|value| {
            let number = value.parse::<f64>().ok()?;
            let written = number.is_finite() || value.bytes().all(|byte| !byte.is_ascii_digit());
            written.then_some(number)
        });
        builder.append_option(number);
    }
    Arc::new(builder.finish())
}
