//! From columns of one type to another without a loss: what a cast would round, cut off or move is a misfit.

use std::sync::Arc;

use datafusion::arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, GenericListArray, OffsetSizeTrait, PrimitiveArray,
        StructArray, new_null_array,
    },
    compute::{
        CastOptions, and, and_not, can_cast_types, cast, cast_with_options, is_not_null, kernels,
        nullif,
    },
    datatypes::{
        ArrowTimestampType, DataType, Date32Type, FieldRef, TimeUnit, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    },
    error::ArrowError,
};

use super::{convert, floats::plain};
use crate::ColumnType;

/// A column, and the rows that held no value of its type: null in it.
type Converted = Result<(ArrayRef, Vec<usize>), ArrowError>;

/// Whether values of a type can become values of another without a guess at what they mean.
pub(crate) fn is_possible(from: &DataType, to: &ColumnType) -> bool {
    use DataType::{Boolean, Dictionary, Null, Struct, Timestamp};
    if let (Dictionary(_, value), _) = (from, to) {
        return is_possible(value, to);
    }
    let from_number = to.epoch.is_some();
    match (from, &to.kind) {
        (from, to) if from == to => true,
        (Null, _) => true,
        (from, to) if from.is_string() && !to.is_nested() => true,
        // Lists as well, written out.
        (from, to) if to.is_string() => can_cast_types(from, to),
        (from, Timestamp(..)) if from_number && from.is_numeric() => true,
        (Boolean, _) | (_, Boolean) => false,
        (from, to) if from.is_numeric() && to.is_numeric() => true,
        (from, to) if is_moment(from) && is_moment(to) => true,
        (from, to) if is_time(from) && is_time(to) => true,
        (from, to) if from.is_binary() && to.is_binary() => true,
        (Struct(from), Struct(to)) => to.iter().all(|field| {
            let own = from.iter().find(|own| own.name() == field.name());
            own.is_none_or(|own| can_be(own, field))
        }),
        (from, to) => match (item(from), item(to)) {
            (Some(from), Some(to)) => can_be(from, to),
            _ => false,
        },
    }
}

/// Whether each value of a type is one of another, so that none can be a misfit.
pub(crate) fn is_lossless(from: &DataType, to: &ColumnType) -> bool {
    use DataType::{Decimal128, Dictionary, Float16, Float32, Float64, Null, Struct, Timestamp};
    if let Dictionary(_, value) = from {
        return is_lossless(value, to);
    }
    let bits = |kind: &DataType| kind.primitive_width().unwrap_or(0) * 8;
    match (from, &to.kind) {
        (from, to) if from == to => true,
        (Null, _) => true,
        (from, to) if to.is_string() => !from.is_binary() && can_cast_types(from, to),
        (from, to) if from.is_binary() && to.is_binary() => true,
        (from, to) if from.is_unsigned_integer() && to.is_integer() => {
            bits(to) > bits(from) || to.is_unsigned_integer() && bits(to) == bits(from)
        }
        (from, to) if from.is_signed_integer() && to.is_signed_integer() => bits(to) >= bits(from),
        (from, Float64) if from.is_integer() => bits(from) <= 32,
        (Float16, Float32 | Float64) | (Float32, Float64) => true,
        (from, Decimal128(precision, scale)) if from.is_integer() => {
            i16::from(*precision) - i16::from(*scale) >= if bits(from) <= 32 { 10 } else { 20 }
        }
        (Decimal128(p, s), Decimal128(q, t)) => {
            t >= s && i16::from(*q) - i16::from(*t) >= i16::from(*p) - i16::from(*s)
        }
        // Nanoseconds end in the year 2262.
        (from, Timestamp(unit, _)) if *unit != TimeUnit::Nanosecond => match from {
            DataType::Date32 => true,
            Timestamp(own, _) => own <= unit,
            _ => false,
        },
        (Struct(from), Struct(to)) => to.iter().all(|field| {
            let own = from.iter().find(|own| own.name() == field.name());
            own.is_none_or(|own| is_kept(own, field))
        }),
        (from, to) => match (item(from), item(to)) {
            (Some(from), Some(to)) => is_kept(from, to),
            _ => false,
        },
    }
}

fn is_kept(from: &FieldRef, to: &FieldRef) -> bool {
    is_lossless(from.data_type(), &to.data_type().clone().into())
}

fn can_be(from: &FieldRef, to: &FieldRef) -> bool {
    is_possible(from.data_type(), &to.data_type().clone().into())
}

fn is_moment(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)
    )
}

fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Time32(_) | DataType::Time64(_))
}

fn is_decimal(kind: &DataType) -> bool {
    kind.is_numeric() && !kind.is_integer() && !kind.is_floating()
}

/// What lists hold, however they arrange it.
fn item(kind: &DataType) -> Option<&FieldRef> {
    match kind {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Some(item),
        _ => None,
    }
}

/// Converts a column.
///
/// # Errors
/// When [`is_possible`] says no.
pub(crate) fn column(found: &ArrayRef, kind: &ColumnType) -> Converted {
    let (column, misfits) = converted(found, kind)?;
    Ok((plain(&column), misfits))
}

fn converted(found: &ArrayRef, kind: &ColumnType) -> Converted {
    let (from, to) = (found.data_type(), &kind.kind);
    if from == to {
        return Ok((Arc::clone(found), Vec::new()));
    }
    if !is_possible(from, kind) {
        return Err(ArrowError::CastError(format!("{from} cannot become {to}")));
    }
    match (from, to) {
        (DataType::Null, to) => Ok((new_null_array(to, found.len()), Vec::new())),
        (DataType::Dictionary(_, value), _) => column(&cast(found, value)?, kind),
        (DataType::Struct(_), DataType::Struct(_)) => object(found.as_struct(), to),
        (DataType::List(_), DataType::List(item)) => list::<i32>(found.as_list(), item),
        (DataType::LargeList(_), DataType::LargeList(item)) => list::<i64>(found.as_list(), item),
        (from, to) if from.is_string() && to.is_string() => Ok((cast(found, to)?, Vec::new())),
        (from, _) if from.is_string() => by_text(found, kind),
        (from, DataType::Timestamp(..)) if from.is_numeric() => by_text(found, kind),
        // The text of a number says what is exact.
        (from, to) if from.is_floating() && (is_decimal(to) || to.is_floating()) => {
            by_text(found, kind)
        }
        (from, to) if is_decimal(from) && to.is_floating() => by_text(found, kind),
        (DataType::Date32, DataType::Timestamp(unit, _)) => {
            let days = found.as_primitive::<Date32Type>();
            let midnights = match unit {
                TimeUnit::Second => midnights::<TimestampSecondType>(days, 86_400),
                TimeUnit::Millisecond => midnights::<TimestampMillisecondType>(days, 86_400_000),
                TimeUnit::Microsecond => {
                    midnights::<TimestampMicrosecondType>(days, 86_400_000_000)
                }
                TimeUnit::Nanosecond => {
                    midnights::<TimestampNanosecondType>(days, 86_400_000_000_000)
                }
            };
            let there = cast(&midnights, to)?;
            without(
                &there,
                &and_not(&is_not_null(found)?, &is_not_null(&there)?)?,
            )
        }
        (from, to) => match (item(from), item(to)) {
            (Some(own), Some(wanted)) => {
                let arranged = cast(found, &DataType::List(Arc::clone(own)))?;
                let (values, misfits) = list::<i32>(arranged.as_list(), wanted)?;
                Ok((cast(&values, to)?, misfits))
            }
            _ => there_and_back(found, to),
        },
    }
}

fn by_text(found: &ArrayRef, kind: &ColumnType) -> Converted {
    let text = cast(found, &DataType::Utf8)?;
    convert::column(text.as_string::<i32>().clone(), kind)
}

/// Midnights of days in a unit of which a day has `in_day`; null where they are too far away.
fn midnights<T: ArrowTimestampType>(days: &PrimitiveArray<Date32Type>, in_day: i64) -> ArrayRef {
    let midnights = days.unary_opt::<_, T>(|day| i64::from(day).checked_mul(in_day));
    Arc::new(midnights)
}

fn object(found: &StructArray, to: &DataType) -> Converted {
    let DataType::Struct(fields) = to else {
        return Err(ArrowError::CastError("an object is no value".to_owned()));
    };
    let (mut columns, mut misfits) = (Vec::with_capacity(fields.len()), Vec::new());
    for field in fields {
        let kind = field.data_type().clone().into();
        let (values, own) = match found.column_by_name(field.name()) {
            Some(values) => column(values, &kind)?,
            None => (new_null_array(&kind.kind, found.len()), Vec::new()),
        };
        columns.push(values);
        misfits.extend(own.into_iter().filter(|&row| found.is_valid(row)));
    }
    let nulls = found.nulls().cloned();
    let object = StructArray::try_new_with_length(fields.clone(), columns, nulls, found.len())?;
    Ok((Arc::new(object), misfits))
}

fn list<O: OffsetSizeTrait>(found: &GenericListArray<O>, item: &FieldRef) -> Converted {
    let (values, misfits) = column(found.values(), &item.data_type().clone().into())?;
    let offsets = found.offsets();
    // Values that no row shows do not count.
    let row = |place: usize| {
        let after = offsets.partition_point(|offset| offset.as_usize() <= place);
        let row = after.checked_sub(1)?;
        (row < found.len() && found.is_valid(row)).then_some(row)
    };
    let rows = misfits.into_iter().filter_map(row).collect();
    let (offsets, nulls) = (offsets.clone(), found.nulls().cloned());
    let list = GenericListArray::try_new(Arc::clone(item), offsets, values, nulls)?;
    Ok((Arc::new(list), rows))
}

/// Casts, and casts back: what is not the same again was no value of the type.
fn there_and_back(found: &ArrayRef, to: &DataType) -> Converted {
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    let there = cast_with_options(found, to, &options)?;
    let mut fits = is_not_null(&there)?;
    if may_lose(found.data_type(), to) {
        let back = cast_with_options(&there, found.data_type(), &options)?;
        fits = and(&fits, &kernels::cmp::not_distinct(&back, found)?)?;
    }
    without(&there, &and_not(&is_not_null(found)?, &fits)?)
}

fn without(column: &ArrayRef, misfits: &BooleanArray) -> Converted {
    if misfits.true_count() == 0 {
        return Ok((Arc::clone(column), Vec::new()));
    }
    let rows = misfits.values().set_indices().collect();
    Ok((nullif(column, misfits)?, rows))
}

/// Whether a cast that gives a value may give another one than it was given.
fn may_lose(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (from, to) if from.is_integer() && to.is_integer() => false,
        (_, to) if to.is_string() => false,
        (DataType::Timestamp(from, _), DataType::Timestamp(to, _)) => from > to,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::{
        array::{
            Array, ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
            StringArray, TimestampMicrosecondArray, UInt64Array, new_null_array,
        },
        compute::cast,
        datatypes::{DataType, Field, Int64Type, TimeUnit},
        util::display::array_value_to_string,
    };

    use super::{column, is_possible};
    use crate::ColumnType;

    /// The values as text, and the rows that did not fit.
    fn converted(found: &ArrayRef, kind: impl Into<ColumnType>) -> (Vec<String>, Vec<usize>) {
        let kind = kind.into();
        let (values, misfits) = column(found, &kind).unwrap();
        assert_eq!(*values.data_type(), kind.kind);
        for &row in &misfits {
            assert!(values.is_nested_null(row), "{values:?}");
        }
        let texts = (0..values.len()).map(|row| array_value_to_string(&values, row).unwrap());
        (texts.collect(), misfits)
    }

    trait NestedNull {
        fn is_nested_null(&self, row: usize) -> bool;
    }

    impl NestedNull for ArrayRef {
        /// In lists the value is null, not the list.
        fn is_nested_null(&self, row: usize) -> bool {
            self.data_type().is_nested() || self.is_null(row)
        }
    }

    fn floats(values: &[f64]) -> ArrayRef {
        Arc::new(Float64Array::from(values.to_vec()))
    }

    fn integers(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    #[test]
    fn numbers_keep_their_digits() {
        let found = converted(&floats(&[1.9, -0.6, 2.0, 1e300, f64::NAN]), DataType::Int64);
        assert_eq!(
            found,
            (
                vec!["".into(), "".into(), "2".into(), "".into(), "".into()],
                vec![0, 1, 3, 4]
            )
        );
        let found = converted(&floats(&[1.255, 1.25, 0.1]), DataType::Decimal128(10, 2));
        assert_eq!(
            found,
            (vec!["".into(), "1.25".into(), "0.10".into()], vec![0])
        );
        let big = 9_007_199_254_740_993;
        let found = converted(&integers(&[big, big - 1, i64::MAX, 7]), DataType::Float64);
        assert_eq!(found.1, [0, 2]);
        let found = converted(&integers(&[300, -1, 255]), DataType::UInt8);
        assert_eq!(found.1, [0, 1]);
        let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX, 7]));
        let found = converted(&unsigned, DataType::Int64);
        assert_eq!(found.1, [0]);
        let cents = Decimal128Array::from(vec![1255, 1250])
            .with_precision_and_scale(10, 3)
            .unwrap();
        let cents: ArrayRef = Arc::new(cents);
        assert_eq!(converted(&cents, DataType::Decimal128(10, 2)).1, [0]);
        assert_eq!(converted(&cents, DataType::Int64).1, [0, 1]);
        assert_eq!(converted(&cents, DataType::Float64).0, ["1.255", "1.25"]);
    }

    #[test]
    fn columns_without_a_type_are_null_in_every_type() {
        let nulls = new_null_array(&DataType::Null, 2);
        let lists = new_null_array(&DataType::new_list(DataType::Null, true), 2);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        for kind in [DataType::Int64, DataType::Utf8, DataType::Boolean, micros] {
            assert_eq!(
                converted(&nulls, kind.clone()),
                (vec![String::new(); 2], vec![])
            );
            let listed = DataType::new_list(kind, true);
            assert_eq!(converted(&lists, listed), (vec![String::new(); 2], vec![]));
        }
    }

    #[test]
    fn moments_keep_their_fractions_and_far_years() {
        let seconds = DataType::Timestamp(TimeUnit::Second, None);
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let moments: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, 2_000_000]));
        assert_eq!(converted(&moments, seconds).1, [0]);
        assert_eq!(converted(&moments, DataType::Date32).1, [0, 1]);
        let days: ArrayRef = Arc::new(Date32Array::from(vec![2_932_896, 0]));
        assert_eq!(converted(&days, micros).1, [0_usize; 0]);
        assert_eq!(converted(&days, nanos).1, [0]);
    }

    #[test]
    fn what_cannot_lose_a_value_is_known() {
        use DataType::{Date32, Decimal128, Float64, Int32, Int64, UInt32, Utf8, Utf8View};
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        for (from, to, keeps) in [
            (Int32, Int64, true),
            (Int64, Int32, false),
            (UInt32, Int64, true),
            (UInt32, Int32, false),
            (Int32, Float64, true),
            (Int64, Float64, false),
            (Float64, Int64, false),
            (Int64, Decimal128(38, 2), true),
            (Decimal128(10, 3), Decimal128(10, 2), false),
            (Utf8, Utf8View, true),
            (Utf8, Int64, false),
            (Date32, micros.clone(), true),
            (Date32, nanos.clone(), false),
            (micros.clone(), nanos, false),
            (micros, Date32, false),
        ] {
            let kind = to.clone().into();
            assert_eq!(super::is_lossless(&from, &kind), keeps, "{from} {to}");
            assert!(is_possible(&from, &kind), "{from} {to}");
        }
    }

    #[test]
    fn numbers_are_moments_only_where_that_is_declared() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        for to in [micros.clone(), DataType::Date32, DataType::Boolean] {
            assert!(!is_possible(&DataType::Int64, &to.into()));
        }
        let declared = ColumnType {
            kind: micros,
            epoch: Some(TimeUnit::Millisecond),
        };
        let found = converted(&integers(&[1_767_605_400_000]), declared);
        assert_eq!(found.0, ["2026-01-05T09:30:00"]);
    }

    #[test]
    fn text_and_lists_are_read_by_the_same_rules() {
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("7"), Some("007"), None]));
        let coded = cast(
            &text,
            &DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()),
        );
        for text in [text, coded.unwrap()] {
            assert_eq!(converted(&text, DataType::Int64).1, [1]);
        }
        let lists = [
            Some(vec![Some(1)]),
            None,
            Some(vec![]),
            Some(vec![Some(2), Some(300)]),
        ];
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let item = Field::new("item", DataType::UInt8, true);
        let found = converted(&lists, DataType::List(Arc::new(item.clone())));
        assert_eq!(found.1, [3]);
        let found = converted(&lists, DataType::LargeList(Arc::new(item)));
        assert_eq!(found.1, [3]);
    }
}
