//! Columns that `name=value` segments of keys make, such as `date=2026-01-01/`.

use std::collections::BTreeSet;

use datafusion::{arrow::datatypes::DataType, datasource::listing::ListingTableUrl};
use object_store::ObjectMeta;

use crate::{Error, ErrorKind, TableSpec, formats::infer::text_type};

/// Names and types of the columns; none when the keys of any file have no such segments.
pub(super) fn found(
    spec: &TableSpec,
    urls: &[ListingTableUrl],
    files: &[(usize, ObjectMeta)],
) -> Result<Vec<(String, DataType)>, Error> {
    let mut names: Option<Vec<&str>> = None;
    let mut values: Vec<BTreeSet<&str>> = Vec::new();
    let mut plain = false;
    for (url, file) in files {
        let segments = segments(&urls[*url], file);
        if segments.is_empty() {
            plain = true;
            continue;
        }
        let own: Vec<_> = segments.iter().map(|(name, _)| *name).collect();
        match &names {
            Some(known) if *known != own => {
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
            Some(_) => {}
            None => {
                values = vec![BTreeSet::new(); own.len()];
                names = Some(own);
            }
        }
        for (all, (_, value)) in values.iter_mut().zip(segments) {
            all.insert(value);
        }
    }
    let names = names.filter(|_| !plain).unwrap_or_default();
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
    Ok(names
        .into_iter()
        .zip(values)
        .map(|(name, values)| {
            let declared = spec.partitions.get(name).map(|kind| kind.0.clone());
            (
                name.to_owned(),
                declared.unwrap_or_else(|| kind_of(&values)),
            )
        })
        .collect())
}

/// The leading `name=value` segments between the uri's fixed part and the file's name.
fn segments<'a>(url: &'a ListingTableUrl, file: &'a ObjectMeta) -> Vec<(&'a str, &'a str)> {
    let mut all: Vec<&str> = url
        .strip_prefix(&file.location)
        .map(Iterator::collect)
        .unwrap_or_default();
    all.pop();
    all.into_iter()
        .map_while(|segment| segment.split_once('='))
        .collect()
}

/// Integers and dates are told; everything else is text.
fn kind_of(values: &BTreeSet<&str>) -> DataType {
    let mut kinds: Vec<_> = values.iter().map(|value| text_type(value)).collect();
    kinds.dedup();
    match kinds.as_slice() {
        [kind @ (DataType::Int64 | DataType::Date32)] => kind.clone(),
        _ => DataType::Utf8,
    }
}
