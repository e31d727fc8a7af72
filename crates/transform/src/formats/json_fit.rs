//! Values of JSON that are not of the kind that their place in a table has: an object or a list where there should be none, or
//! the other way round. In the text of a row, null is put in their place, so that all other values of it can be read.

use std::{collections::HashMap, sync::Arc};

use datafusion::arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef},
    error::ArrowError,
    json::ReaderBuilder,
};
use serde_json::value::RawValue;

use super::{
    convert::as_text,
    infer::{Members, json_kind},
    misfit::{ARRAY_OF_OTHER_LENGTH, OBJECT, fault, inner_fault},
};

/// A value of another kind than its place in a column.
#[derive(Debug)]
pub(super) struct Unfit<'a> {
    pub(super) column: &'a str,
    holds: &'static str,
    /// The type of its place.
    kind: &'a DataType,
    is_inner: bool,
}

impl Unfit<'_> {
    /// What is wrong with it.
    pub(super) fn fault(&self) -> String {
        if self.is_inner {
            inner_fault(self.holds, self.kind)
        } else {
            fault(self.holds, self.kind)
        }
    }
}

/// Appends a row with the columns of the schema to `text`, with null for each value that is unfit; gives those. `None` when
/// the row is no object.
pub(super) fn fit<'a>(
    row: &[u8],
    schema: &'a Schema,
    text: &mut Vec<u8>,
) -> Option<Vec<Unfit<'a>>> {
    let members: Members<'_> = serde_json::from_slice(row).ok()?;
    let mut fitting = Fitting {
        text,
        unfit: Vec::new(),
        column: "",
        depth: 0,
    };
    fitting.object(&members, schema.fields());
    let unfit = fitting.unfit;
    text.push(b'\n');
    Some(unfit)
}

struct Fitting<'a, 't> {
    text: &'t mut Vec<u8>,
    unfit: Vec<Unfit<'a>>,
    column: &'a str,
    /// Objects and lists around a value, without the row.
    depth: usize,
}

impl<'a> Fitting<'a, '_> {
    fn object(&mut self, members: &Members<'_>, fields: &'a Fields) {
        // Of a key that stands twice, the last value counts.
        let values: HashMap<&str, &RawValue> = members
            .0
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        self.text.push(b'{');
        let mut is_first = true;
        for field in fields {
            if self.depth == 0 {
                self.column = field.name();
            }
            if let Some(value) = values.get(field.name().as_str()) {
                self.member(field.name(), value, field.data_type(), &mut is_first);
            }
        }
        self.text.push(b'}');
    }

    fn member(&mut self, name: &str, value: &RawValue, kind: &'a DataType, is_first: &mut bool) {
        if !std::mem::replace(is_first, false) {
            self.text.push(b',');
        }
        let name = serde_json::Value::from(name).to_string();
        self.text.extend_from_slice(name.as_bytes());
        self.text.push(b':');
        self.value(value.get(), kind);
    }

    fn value(&mut self, value: &str, kind: &'a DataType) {
        if let DataType::Dictionary(_, values) = kind {
            return self.value(value, values);
        }
        let first = value.bytes().next();
        let is_null = first == Some(b'n');
        match (kind, first) {
            (DataType::Struct(fields), Some(b'{')) => match serde_json::from_str(value) {
                Ok(members) => self.inside(|fitting| fitting.object(&members, fields)),
                Err(_) => self.unfit(OBJECT, kind),
            },
            (DataType::Map(entries, _), Some(b'{')) => self.map(value, kind, entries),
            (
                DataType::List(item)
                | DataType::LargeList(item)
                | DataType::ListView(item)
                | DataType::LargeListView(item),
                Some(b'['),
            ) => {
                self.list(&items(value), item);
            }
            (DataType::FixedSizeList(item, length), Some(b'[')) => {
                let items = items(value);
                if usize::try_from(*length) == Ok(items.len()) {
                    self.list(&items, item);
                } else {
                    self.unfit(ARRAY_OF_OTHER_LENGTH, kind);
                }
            }
            // An array without an item is no value.
            (_, Some(b'[')) if items(value).is_empty() => self.null(),
            _ if is_null => self.null(),
            _ if kind.is_nested() || matches!(first, Some(b'{' | b'[')) => {
                self.unfit(json_kind(value.as_bytes()), kind);
            }
            _ if as_text(kind).is_string() || decodes(value, kind) => {
                self.text.extend(value.bytes())
            }
            _ => self.unfit(json_kind(value.as_bytes()), kind),
        }
    }

    fn list(&mut self, items: &[&RawValue], kind: &'a FieldRef) {
        self.inside(|fitting| {
            fitting.text.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    fitting.text.push(b',');
                }
                fitting.value(item.get(), kind.data_type());
            }
            fitting.text.push(b']');
        });
    }

    /// Keys of a map may be of any type: those that are not of theirs make the whole unfit.
    fn map(&mut self, value: &str, kind: &'a DataType, entries: &'a FieldRef) {
        let (DataType::Struct(entry), Ok(members)) = (
            entries.data_type(),
            serde_json::from_str::<Members<'_>>(value),
        ) else {
            return self.unfit(OBJECT, kind);
        };
        let (start, known) = (self.text.len(), self.unfit.len());
        self.inside(|fitting| {
            fitting.text.push(b'{');
            let mut is_first = true;
            for (name, value) in &members.0 {
                fitting.member(name, value, entry[1].data_type(), &mut is_first);
            }
            fitting.text.push(b'}');
        });
        let is_read = entry[0].data_type().is_string()
            || std::str::from_utf8(&self.text[start..]).is_ok_and(|text| decodes(text, kind));
        if !is_read {
            self.text.truncate(start);
            self.unfit.truncate(known);
            self.unfit(OBJECT, kind);
        }
    }

    fn inside(&mut self, write: impl FnOnce(&mut Self)) {
        self.depth += 1;
        write(self);
        self.depth -= 1;
    }

    fn null(&mut self) {
        self.text.extend_from_slice(b"null");
    }

    fn unfit(&mut self, holds: &'static str, kind: &'a DataType) {
        self.unfit.push(Unfit {
            column: self.column,
            holds,
            kind,
            is_inner: self.depth > 0,
        });
        self.null();
    }
}

fn items(array: &str) -> Vec<&RawValue> {
    serde_json::from_str(array).unwrap_or_default()
}

/// Whether a value of a rare type can be decoded.
fn decodes(value: &str, kind: &DataType) -> bool {
    let field = Field::new("v", as_text(kind), true);
    let schema = Arc::new(Schema::new(vec![field]));
    decode(&schema, format!("{{\"v\":{value}}}").as_bytes(), 1).is_ok()
}

/// Decodes rows of which every value is of the kind that the schema has there.
pub(super) fn decode(
    schema: &SchemaRef,
    text: &[u8],
    rows: usize,
) -> Result<RecordBatch, ArrowError> {
    let incomplete = || ArrowError::JsonError("rows are incomplete".to_owned());
    let mut decoder = ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(rows)
        .with_coerce_primitive(true)
        .build_decoder()?;
    let taken = decoder.decode(text)?;
    if !text[taken..].trim_ascii().is_empty() || decoder.has_partial_record() {
        return Err(incomplete());
    }
    let batch = decoder.flush()?.ok_or_else(incomplete)?;
    if batch.num_rows() == rows {
        Ok(batch)
    } else {
        Err(incomplete())
    }
}
