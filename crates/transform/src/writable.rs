//! Whether dates, times and spans of time can be written as text at all. A date is 32 bits of days, of which the calendar knows
//! those up to the year 262142. Where Arrow (59) cannot write a value inside a list, it puts the text of the error there; for
//! a span of too many seconds, it puts a placeholder.

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, make_array},
        compute::{SortOptions, not, nullif, sort_to_indices},
        datatypes::{DataType, DurationSecondType, TimeUnit},
        util::display::{ArrayFormatter, FormatOptions},
    },
    common::{DFSchema, Result, ScalarValue, config::ConfigOptions, tree_node::Transformed},
    logical_expr::{
        ColumnarValue, Expr, ExprSchemable, LogicalPlan,
        expr::{Cast, TryCast},
    },
    optimizer::AnalyzerRule,
};

use crate::{
    marked::{Mark, marked},
    named,
    too_large::{BEYOND_CALENDAR, TooLarge},
};

const OPTIONS: FormatOptions<'static> = FormatOptions::new().with_display_error(false);
/// What Arrow puts for a span of time that it cannot write.
const PLACEHOLDER: &str = "<invalid>";
/// Functions that make text of what they are given.
const WRITING: [&str; 5] = [
    "array_to_string",
    "arrow_cast",
    "concat",
    "concat_ws",
    "to_char",
];

/// What is made text of can be written. Works on plans whose types agree.
#[derive(Debug)]
pub(crate) struct WritableTimes;

impl AnalyzerRule for WritableTimes {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        named::everywhere(plan, |expr, schema| Ok(written(expr, schema)))
    }

    fn name(&self) -> &'static str {
        "writable_times"
    }
}

fn written(mut expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let is_of_times = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| has_times(&kind));
    let gives_text = expr.get_type(schema).is_ok_and(|kind| has_text(&kind));
    let changed = match &mut expr {
        Expr::Cast(Cast { expr, .. }) if gives_text && is_of_times(expr) => {
            **expr = marked::<Writable>(std::mem::take(expr));
            true
        }
        Expr::TryCast(TryCast { expr, .. }) if gives_text && is_of_times(expr) => {
            **expr = marked::<WritableOrNull>(std::mem::take(expr));
            true
        }
        Expr::ScalarFunction(call) if gives_text && WRITING.contains(&call.func.name()) => {
            let times = call.args.iter_mut().filter(|arg| is_of_times(arg));
            times.fold(false, |_, arg| {
                *arg = marked::<Writable>(std::mem::take(arg));
                true
            })
        }
        _ => false,
    };
    Transformed::new_transformed(expr, changed)
}

/// What [`WritableTimes`] puts around what becomes text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Writable;

impl Mark for Writable {
    const NAME: &'static str = "writable";

    fn apply(value: ColumnarValue) -> Result<ColumnarValue> {
        let column = value.to_array(1)?;
        if all_can_be_written(&column) {
            Ok(value)
        } else {
            Err(TooLarge::error(BEYOND_CALENDAR))
        }
    }
}

/// What [`WritableTimes`] puts around what `TRY_CAST` makes text of.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct WritableOrNull;

impl Mark for WritableOrNull {
    const NAME: &'static str = "writable_or_null";

    fn apply(value: ColumnarValue) -> Result<ColumnarValue> {
        let column = value.to_array(1)?;
        if all_can_be_written(&column) {
            return Ok(value);
        }
        let kept = nullif(&column, &not(&can_be_written(&column))?)?;
        Ok(match value {
            ColumnarValue::Array(_) => ColumnarValue::Array(kept),
            ColumnarValue::Scalar(_) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&kept, 0)?)
            }
        })
    }
}

/// Whether values of a type are dates, times or spans of time, or hold some.
pub(crate) fn has_times(kind: &DataType) -> bool {
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

fn has_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => has_text(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_text(field.data_type())),
        DataType::Dictionary(_, values) => has_text(values),
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

/// Whether each value of a column has a text.
pub(crate) fn all_can_be_written(column: &ArrayRef) -> bool {
    // A list or a struct may hold such a value where it is null itself.
    ends_can_be_written(column)
        || column.data_type().is_nested() && can_be_written(column).false_count() == 0
}

/// Whether a value has a text, by row. A null has one.
fn can_be_written(column: &ArrayRef) -> BooleanArray {
    let formatter = ArrayFormatter::try_new(column.as_ref(), &OPTIONS);
    let is_writable = |row| {
        let formatter = formatter.as_ref();
        Some(formatter.is_ok_and(|formatter| is_writable(formatter, row)))
    };
    (0..column.len()).map(is_writable).collect()
}

fn is_writable(formatter: &ArrayFormatter<'_>, row: usize) -> bool {
    let mut text = Nowhere::default();
    formatter.value(row).write(&mut text).is_ok() && !text.has_placeholder
}

/// Where text goes that nobody reads.
#[derive(Default)]
struct Nowhere {
    has_placeholder: bool,
}

impl std::fmt::Write for Nowhere {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.has_placeholder |= text == PLACEHOLDER;
        Ok(())
    }
}
