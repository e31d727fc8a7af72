//! Maps whose keys are no text: names of members in JSON, as which the keys are written out. Arrow's writer refuses them.

use std::{borrow::Cow, sync::Arc};

use datafusion::arrow::{
    array::{Array, ArrayRef, AsArray, MapArray, RecordBatch, StructArray, make_array},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Schema},
    error::ArrowError,
};

use super::not_encoded;
use crate::Error;

/// The batch, with texts for keys.
pub(super) fn as_text(batch: &RecordBatch) -> Result<Cow<'_, RecordBatch>, Error> {
    let schema = batch.schema_ref();
    if !schema
        .fields()
        .iter()
        .any(|field| has_other(field.data_type()))
    {
        return Ok(Cow::Borrowed(batch));
    }
    let columns = batch.columns().iter().map(written_out);
    let columns = columns.collect::<Result<Vec<_>, _>>();
    let written = columns.and_then(|columns| {
        let fields = schema.fields().iter().zip(&columns);
        let fields: Vec<_> = fields
            .map(|(field, column)| of_type(field, column))
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    });
    match written {
        Ok(written) => Ok(Cow::Owned(written)),
        Err(error) => Err(not_encoded(&error, "JSON")),
    }
}

fn of_type(field: &FieldRef, column: &ArrayRef) -> FieldRef {
    let field: &Field = field;
    Arc::new(field.clone().with_data_type(column.data_type().clone()))
}

/// Whether a type has a map in it whose keys are no text.
fn has_other(kind: &DataType) -> bool {
    match kind {
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => {
                let key = fields.first().map(|key| key.data_type());
                // Bytes have no text that everybody would write.
                key.is_some_and(|key| !key.is_string() && !key.is_binary())
                    || fields.iter().any(|field| has_other(field.data_type()))
            }
            _ => false,
        },
        DataType::Struct(fields) => fields.iter().any(|field| has_other(field.data_type())),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => has_other(item.data_type()),
        _ => false,
    }
}

fn written_out(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if !has_other(column.data_type()) {
        return Ok(Arc::clone(column));
    }
    match column.data_type() {
        DataType::Map(entries, sorted) => {
            let map = column.as_map();
            let keys = cast(map.keys(), &DataType::Utf8)?;
            let columns = vec![keys, written_out(map.values())?];
            let own = map.entries();
            let fields = own.fields().iter().zip(&columns);
            let fields = fields
                .map(|(field, column)| of_type(field, column))
                .collect();
            let rows = StructArray::try_new(fields, columns, own.nulls().cloned())?;
            let entries: &Field = entries;
            let entries = entries.clone().with_data_type(rows.data_type().clone());
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            let map = MapArray::try_new(Arc::new(entries), offsets, rows, nulls, *sorted)?;
            Ok(Arc::new(map))
        }
        DataType::Struct(fields) => {
            let object = column.as_struct();
            let columns = object.columns().iter().map(written_out);
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let fields = fields.iter().zip(&columns);
            let fields = fields
                .map(|(field, column)| of_type(field, column))
                .collect();
            let nulls = object.nulls().cloned();
            Ok(Arc::new(StructArray::try_new(fields, columns, nulls)?))
        }
        // A list of any kind: as it is, over other items.
        kind => {
            let data = column.to_data();
            let Some(items) = data.child_data().first() else {
                return Ok(Arc::clone(column));
            };
            let items = written_out(&make_array(items.clone()))?;
            let item = |item: &FieldRef| of_type(item, &items);
            let kind = match kind {
                DataType::List(field) => DataType::List(item(field)),
                DataType::LargeList(field) => DataType::LargeList(item(field)),
                DataType::ListView(field) => DataType::ListView(item(field)),
                DataType::LargeListView(field) => DataType::LargeListView(item(field)),
                DataType::FixedSizeList(field, size) => DataType::FixedSizeList(item(field), *size),
                other => other.clone(),
            };
            let data = data.into_builder().data_type(kind);
            Ok(make_array(data.child_data(vec![items.to_data()]).build()?))
        }
    }
}
