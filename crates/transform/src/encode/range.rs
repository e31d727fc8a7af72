//! Whether values can be written as text at all. A date is 32 bits of days, of which the calendar knows those up to the year
//! 262142; Arrow's writer of JSON puts the text of an error where it cannot write a value.

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, make_array},
    compute::{SortOptions, sort_to_indices},
    datatypes::{DataType, DurationSecondType, Field, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};

use crate::{Error, ErrorKind};

const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);

/// Refuses a batch with a value that has no text.
pub(super) fn check(batch: &RecordBatch) -> Result<(), Error> {
    let schema = batch.schema_ref();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if !has_times(field.data_type()) || ends_can_be_written(column) {
            continue;
        }
        // A list or a struct may hold such a value where it is null itself.
        if !column.data_type().is_nested() || !all_can_be_written(column) {
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

fn has_times(kind: &DataType) -> bool {
    match kind {
        DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..)
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Duration(_) => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::Map(field, _) => has_times(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_times(field.data_type())),
        DataType::Dictionary(_, values) => has_times(values),
        _ => false,
    }
}

/// Whether the least and the largest value of each column of times, nested ones too, can be written: then all between can.
fn ends_can_be_written(column: &ArrayRef) -> bool {
    if !has_times(column.data_type()) {
        return true;
    }
    if let Some(values) = column.as_any_dictionary_opt() {
        return ends_can_be_written(values.values());
    }
    if let DataType::Duration(unit) = column.data_type() {
        return durations_can_be_written(column, *unit);
    }
    if column.data_type().is_nested() {
        let children = column.to_data();
        let mut children = children.child_data().iter();
        return children.all(|child| ends_can_be_written(&make_array(child.clone())));
    }
    let Ok(formatter) = ArrayFormatter::try_new(column.as_ref(), &OPTIONS) else {
        return true;
    };
    [false, true].into_iter().all(|descending| {
        let options = SortOptions {
            descending,
            nulls_first: false,
        };
        let first = sort_to_indices(column, Some(options), Some(1));
        first.is_ok_and(|first| {
            first
                .values()
                .iter()
                .all(|row| is_writable(&formatter, *row as usize))
        })
    })
}

/// Arrow writes a placeholder, and no error, for a duration of more milliseconds than 64 bits count.
fn durations_can_be_written(column: &ArrayRef, unit: TimeUnit) -> bool {
    if unit != TimeUnit::Second {
        return true;
    }
    let seconds = column.as_primitive::<DurationSecondType>();
    let most = i64::MAX / 1_000;
    let mut held = seconds.iter().flatten();
    held.all(|seconds| (-most..=most).contains(&seconds))
}

fn all_can_be_written(column: &ArrayRef) -> bool {
    ArrayFormatter::try_new(column.as_ref(), &OPTIONS)
        .is_ok_and(|formatter| (0..column.len()).all(|row| is_writable(&formatter, row)))
}

fn is_writable(formatter: &ArrayFormatter<'_>, row: usize) -> bool {
    formatter.value(row).write(&mut Nowhere).is_ok()
}

/// Where text goes that nobody reads.
struct Nowhere;

impl std::fmt::Write for Nowhere {
    fn write_str(&mut self, _text: &str) -> std::fmt::Result {
        Ok(())
    }
}
