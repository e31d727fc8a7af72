//! From text to columns of their types, as [`super::values`] reads it.

use std::sync::Arc;

use datafusion::arrow::{
    array::{
        Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, FixedSizeListArray,
        GenericListArray, MapArray, OffsetSizeTrait, PrimitiveArray, StringArray, StructArray,
    },
    buffer::{BooleanBuffer, NullBuffer, OffsetBuffer},
    compute::{CastOptions, cast, cast_with_options},
    datatypes::{DataType, Field, FieldRef},
    error::ArrowError,
};

use super::{
    misfit::kind_of,
    values::{self, Build},
};
use crate::ColumnType;

/// A value that is not of its type: null in the column.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub(crate) row: usize,
    /// What kind of text it is.
    pub(crate) holds: &'static str,
    /// The type that it is not of: that of the column, or of a value in it.
    pub(crate) kind: DataType,
}

/// The column, and the rows whose text is no value of the type: null in the column.
pub(crate) fn column(
    text: StringArray,
    kind: &ColumnType,
) -> Result<(ArrayRef, Vec<usize>), ArrowError> {
    if let DataType::Dictionary(_, value) = &kind.kind {
        let (values, misfits) = column(text, &value.as_ref().clone().into())?;
        return Ok((cast(&values, &kind.kind)?, misfits));
    }
    values::build(
        kind,
        FromText {
            text,
            kind: &kind.kind,
        },
    )
}

struct FromText<'a> {
    text: StringArray,
    kind: &'a DataType,
}

impl Build for FromText<'_> {
    type Built = Result<(ArrayRef, Vec<usize>), ArrowError>;

    fn primitive<T: ArrowPrimitiveType>(
        self,
        read: impl Fn(&[u8]) -> Option<T::Native>,
    ) -> Self::Built {
        let (found, misfits) = self.read(read);
        let nulls = self.nulls(&misfits);
        let column = PrimitiveArray::<T>::try_new(found.into(), nulls)?;
        Ok((Arc::new(column.with_data_type(self.kind.clone())), misfits))
    }

    fn boolean(self) -> Self::Built {
        let (found, misfits) = self.read(values::boolean);
        let nulls = self.nulls(&misfits);
        Ok((Arc::new(BooleanArray::new(found.into(), nulls)), misfits))
    }

    fn other(self) -> Self::Built {
        if *self.kind == DataType::Utf8 {
            return Ok((Arc::new(self.text), Vec::new()));
        }
        let options = CastOptions {
            safe: true,
            ..CastOptions::default()
        };
        let column = cast_with_options(&self.text, self.kind, &options)?;
        let misfits = if column.null_count() == self.text.null_count() {
            Vec::new()
        } else {
            let lost = |&row: &usize| column.is_null(row) && self.text.is_valid(row);
            (0..self.text.len()).filter(lost).collect()
        };
        Ok((column, misfits))
    }
}

impl FromText<'_> {
    fn read<T: Default>(&self, read: impl Fn(&[u8]) -> Option<T>) -> (Vec<T>, Vec<usize>) {
        let mut misfits = Vec::new();
        let texts = self.text.iter().enumerate();
        let values = texts.map(|(row, text)| {
            let value = text.map(|text| read(text.as_bytes()));
            if value.as_ref().is_some_and(Option::is_none) {
                misfits.push(row);
            }
            value.flatten().unwrap_or_default()
        });
        (values.collect(), misfits)
    }

    fn nulls(&self, misfits: &[usize]) -> Option<NullBuffer> {
        let known = self.text.nulls();
        if misfits.is_empty() {
            return known.cloned();
        }
        let mut misfits = misfits.iter().peekable();
        let valid = BooleanBuffer::collect_bool(self.text.len(), |row| {
            misfits.next_if(|&&misfit| misfit == row).is_none()
        });
        NullBuffer::union(known, Some(&NullBuffer::new(valid)))
    }
}

/// The type in which values are text where [`column`] reads them, and lists and objects are what they are.
pub(crate) fn as_text(kind: &DataType) -> DataType {
    let inner =
        |field: &FieldRef| Arc::new(Field::new(field.name(), as_text(field.data_type()), true));
    match kind {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::List(item) => DataType::List(inner(item)),
        DataType::LargeList(item) => DataType::LargeList(inner(item)),
        DataType::ListView(item) => DataType::List(inner(item)),
        DataType::LargeListView(item) => DataType::LargeList(inner(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(inner(item), *length),
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(members) if members.len() == 2 => {
                let members = vec![Arc::clone(&members[0]), inner(&members[1])];
                let members = DataType::Struct(members.into());
                let entries = entries.as_ref().clone().with_data_type(members);
                DataType::Map(Arc::new(entries), *sorted)
            }
            _ => kind.clone(),
        },
        DataType::Dictionary(_, value) => as_text(value),
        DataType::Duration(_) | DataType::Interval(_) => kind.clone(),
        kind if kind.is_numeric() || kind.is_temporal() || *kind == DataType::Boolean => {
            DataType::Utf8
        }
        kind => kind.clone(),
    }
}

/// The column of the values, of which [`as_text`] says how they come; what is not of its type is null in it.
pub(crate) fn nested(
    found: &ArrayRef,
    kind: &ColumnType,
) -> Result<(ArrayRef, Vec<Misfit>), ArrowError> {
    if *found.data_type() == kind.kind {
        return Ok((Arc::clone(found), Vec::new()));
    }
    match &kind.kind {
        DataType::Struct(fields) => {
            let found = found.as_struct();
            let mut all = Vec::new();
            let mut columns = Vec::with_capacity(fields.len());
            for (field, found) in fields.iter().zip(found.columns()) {
                let (column, misfits) = nested(found, &field.data_type().clone().into())?;
                columns.push(column);
                all.extend(misfits);
            }
            let column = StructArray::try_new(fields.clone(), columns, found.nulls().cloned())?;
            Ok((Arc::new(column), all))
        }
        DataType::List(item) => list::<i32>(found.as_list(), item),
        DataType::LargeList(item) => list::<i64>(found.as_list(), item),
        DataType::ListView(item) => {
            let (column, misfits) = list::<i32>(found.as_list(), item)?;
            Ok((cast(&column, &kind.kind)?, misfits))
        }
        DataType::LargeListView(item) => {
            let (column, misfits) = list::<i64>(found.as_list(), item)?;
            Ok((cast(&column, &kind.kind)?, misfits))
        }
        DataType::FixedSizeList(item, length) => {
            let found = found.as_fixed_size_list();
            let (values, mut misfits) = nested(found.values(), &item.data_type().clone().into())?;
            let rows = usize::try_from(*length).unwrap_or_default().max(1);
            for misfit in &mut misfits {
                misfit.row /= rows;
            }
            let (item, nulls) = (Arc::clone(item), found.nulls().cloned());
            let column = FixedSizeListArray::try_new(item, *length, values, nulls)?;
            Ok((Arc::new(column), misfits))
        }
        DataType::Map(entries, sorted) => map(found.as_map(), entries, *sorted),
        _ => {
            let text = found.as_string::<i32>();
            let (column, rows) = column(text.clone(), kind)?;
            let misfits = rows.into_iter().map(|row| Misfit {
                row,
                holds: kind_of(text.value(row)),
                kind: kind.kind.clone(),
            });
            Ok((column, misfits.collect()))
        }
    }
}

fn list<O: OffsetSizeTrait>(
    found: &GenericListArray<O>,
    item: &FieldRef,
) -> Result<(ArrayRef, Vec<Misfit>), ArrowError> {
    let (values, mut misfits) = nested(found.values(), &item.data_type().clone().into())?;
    to_rows(&mut misfits, found.offsets());
    let (offsets, nulls) = (found.offsets().clone(), found.nulls().cloned());
    let column = GenericListArray::try_new(Arc::clone(item), offsets, values, nulls)?;
    Ok((Arc::new(column), misfits))
}

fn map(
    found: &MapArray,
    entries: &FieldRef,
    sorted: bool,
) -> Result<(ArrayRef, Vec<Misfit>), ArrowError> {
    let DataType::Struct(members) = entries.data_type() else {
        return Err(ArrowError::CastError("a map has no entries".to_owned()));
    };
    let kind = members[1].data_type().clone().into();
    let (values, mut misfits) = nested(found.values(), &kind)?;
    to_rows(&mut misfits, found.offsets());
    let columns = vec![Arc::clone(found.keys()), values];
    let entries_found = StructArray::try_new(members.clone(), columns, None)?;
    let (offsets, nulls) = (found.offsets().clone(), found.nulls().cloned());
    let column = MapArray::try_new(Arc::clone(entries), offsets, entries_found, nulls, sorted)?;
    Ok((Arc::new(column), misfits))
}

/// From places among all items to the rows that hold them.
fn to_rows<O: OffsetSizeTrait>(misfits: &mut [Misfit], offsets: &OffsetBuffer<O>) {
    for misfit in misfits {
        let after = offsets.partition_point(|offset| offset.as_usize() <= misfit.row);
        misfit.row = after.saturating_sub(1);
    }
}
