//! Columns that `name=value` segments of keys make, such as `date=2026-01-01/`.

use std::{borrow::Cow, collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, StringArray},
        datatypes::{DataType, TimeUnit},
    },
    common::{DataFusionError, ScalarValue, plan_err},
};
use object_store::ObjectMeta;
use percent_encoding::percent_decode_str;

use crate::{
    Error, ErrorKind, Location, TableSpec,
    formats::{exact, infer::text_type},
    schema::type_name,
};

/// The columns, and the values that each file has in them.
#[derive(Debug, Default)]
pub(super) struct Partitions {
    /// Names and types; none when the keys of some files have no such segments.
    pub(super) columns: Vec<(String, DataType)>,
    /// One list for each file, in the order of the files.
    pub(super) values: Vec<Vec<ScalarValue>>,
}

impl Partitions {
    pub(super) fn of(spec: &TableSpec, files: &[(&Location, &ObjectMeta)]) -> Result<Self, Error> {
        let segments: Vec<_> = files
            .iter()
            .map(|(location, file)| segments(location, file))
            .collect();
        let names = names(files, &segments)?;
        if let Some(unknown) = spec
            .partitions
            .keys()
            .find(|name| !names.contains(&name.as_str()))
        {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                format!("`partitions` names `{unknown}`, which is no segment of all files' keys"),
            ));
        }
        let columns: Vec<(String, DataType)> = names
            .iter()
            .enumerate()
            .map(|(place, name)| {
                let columns = spec.columns.as_ref();
                let declared = spec.partitions.get(*name);
                let declared = declared.or_else(|| columns?.get(name));
                let declared = declared.map(|declared| declared.kind.clone());
                let found = || kind_of(segments.iter().map(|file| file[place].1.as_ref()));
                ((*name).to_owned(), declared.unwrap_or_else(found))
            })
            .collect();
        let values = files.iter().zip(&segments).map(|((_, file), segments)| {
            let typed = columns.iter().zip(segments);
            typed
                .map(|((name, kind), (_, value))| {
                    value_of(value, kind).map_err(|_error| {
                        let declared = match spec.partitions.contains_key(name) {
                            true => ", as `partitions` declares it",
                            false => ": declare its type under `partitions`",
                        };
                        Error::new(
                            ErrorKind::MalformedData,
                            format!(
                                "the `{name}=` segment of {} is no {}{declared}",
                                file.location,
                                type_name(kind)
                            ),
                        )
                    })
                })
                .collect::<Result<Vec<_>, Error>>()
        });
        let values = values.collect::<Result<_, Error>>()?;
        Ok(Self { columns, values })
    }
}

/// What writers of partitions put where a value is null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The value of a segment: what is a value of the column's type in a file, and numbers and days that are spelt with or without zeros.
fn value_of(text: &str, kind: &DataType) -> Result<ScalarValue, DataFusionError> {
    if text == NULL {
        return ScalarValue::try_new_null(kind);
    }
    let exactly = |value: ArrayRef| {
        let (value, misfits) = exact::column(&value, &kind.clone().into())?;
        Ok::<_, DataFusionError>(misfits.is_empty().then_some(value))
    };
    let written: ArrayRef = Arc::new(StringArray::from(vec![text]));
    if let Some(value) = exactly(written)? {
        return ScalarValue::try_from_array(&value, 0);
    }
    let spelt = |kind: &DataType| ScalarValue::try_from_string(text.to_owned(), kind);
    let DataType::Timestamp(_, zone) = kind else {
        return spelt(kind);
    };
    // In the finest unit first, so that no digit is cut off.
    let finest = spelt(&DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()))?;
    match exactly(finest.to_array()?)? {
        Some(value) => ScalarValue::try_from_array(&value, 0),
        None => plan_err!("more digits than the type has"),
    }
}

/// The names that the segments of all files have; none when some files have no segments.
fn names<'a>(
    files: &[(&Location, &ObjectMeta)],
    segments: &[Vec<(&'a str, Cow<'a, str>)>],
) -> Result<Vec<&'a str>, Error> {
    let own = |segments: &[(&'a str, Cow<'a, str>)]| -> Vec<&'a str> {
        segments.iter().map(|(name, _)| *name).collect()
    };
    let Some(first) = segments.iter().find(|segments| !segments.is_empty()) else {
        return Ok(Vec::new());
    };
    let known = own(first);
    for ((_, file), segments) in files.iter().zip(segments) {
        let own = own(segments);
        if !own.is_empty() && own != known {
            return Err(Error::new(
                ErrorKind::MalformedData,
                format!(
                    "{} lies under {} and other files under {}: one table has one kind of partitions",
                    file.location,
                    own.join(", "),
                    known.join(", ")
                ),
            ));
        }
    }
    if segments.iter().any(Vec::is_empty) {
        return Ok(Vec::new());
    }
    let mut seen = BTreeSet::new();
    match known.iter().find(|name| !seen.insert(**name)) {
        None => Ok(known),
        Some(twice) => Err(Error::new(
            ErrorKind::MalformedData,
            format!("keys have two segments `{twice}=`: a column of a table has one name"),
        )),
    }
}

/// The leading `name=value` segments between the folder of the uri and the name of the file. Values are percent-decoded, as
/// the programs that write such keys encode them.
fn segments<'a>(location: &Location, file: &'a ObjectMeta) -> Vec<(&'a str, Cow<'a, str>)> {
    let key = file.location.as_ref();
    let below = key.strip_prefix(location.folder()).unwrap_or_default();
    let folders = below.rsplit_once('/').map_or("", |(folders, _)| folders);
    folders
        .split('/')
        .map_while(|segment| segment.split_once('='))
        .map(|(name, value)| {
            let decoded = percent_decode_str(value).decode_utf8();
            (name, decoded.unwrap_or(Cow::Borrowed(value)))
        })
        .collect()
}

/// Integers and dates are recognised; everything else is text.
fn kind_of<'a>(values: impl Iterator<Item = &'a str>) -> DataType {
    let values: BTreeSet<&str> = values.filter(|value| *value != NULL).collect();
    let mut kinds: Vec<_> = values.into_iter().map(text_type).collect();
    kinds.dedup();
    match kinds.as_slice() {
        [kind @ (DataType::Int64 | DataType::Date32)] => kind.clone(),
        _ => DataType::Utf8,
    }
}
