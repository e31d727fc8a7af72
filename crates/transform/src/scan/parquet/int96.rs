//! Timestamps of 96 bits: nanoseconds of a day, and the day.
//!
//! The decoder of Parquet 59 makes 64 bits of them: as microseconds it cuts off what is smaller, as nanoseconds it wraps behind the
//! year 2262. Each value is looked at before, so that none is cut off or becomes another. For that, the pages that hold values are
//! decompressed once more: dictionaries, and the pages without one.

use std::ops::Range;

use bytes::Bytes;
use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    parquet::{
        basic::{Encoding, Type},
        column::page::Page,
        errors::{ParquetError, Result},
        file::metadata::ColumnChunkMetaData,
    },
};
use object_store::path::Path;

use super::{
    compact::page_header,
    delta::{levels, pages, values},
};
use crate::{Error, ErrorKind, TableSpec};

/// The Julian day of 1970-01-01.
const EPOCH_DAY: i64 = 2_440_588;
const DAY_NANOSECONDS: i128 = 86_400_000_000_000;

/// The unit that a table's timestamps of 96 bits are read in: microseconds, unless it declares one in nanoseconds.
pub(crate) fn unit(spec: &TableSpec) -> TimeUnit {
    let columns = spec.columns.iter().map(|columns| columns.schema());
    let fields: Vec<_> = columns
        .flat_map(|schema| schema.fields().iter().cloned().collect::<Vec<_>>())
        .collect();
    let kinds = fields.iter().map(|field| field.data_type());
    let types = spec.types.values().map(|declared| &declared.kind);
    let mut all = kinds.chain(types);
    let is_fine = |kind: &DataType| matches!(kind, DataType::Timestamp(TimeUnit::Nanosecond, _));
    if all.any(is_fine) {
        TimeUnit::Nanosecond
    } else {
        TimeUnit::Microsecond
    }
}

/// Refuses a column of such timestamps with one that the unit does not hold. The bytes are those of a range of the file in which
/// whole pages are.
pub(super) fn check(
    file: &Path,
    column: &ColumnChunkMetaData,
    range: &Range<u64>,
    bytes: &Bytes,
    unit: TimeUnit,
) -> Result<()> {
    if column.column_type() != Type::INT96 {
        return Ok(());
    }
    let mut start = 0;
    while start < bytes.len() {
        let header = page_header(&bytes[start..]);
        let page = header.and_then(|header| {
            let end = start.checked_add(header.length)?;
            let end = end.checked_add(header.packed_bytes)?;
            (end > start && end <= bytes.len()).then_some((end, header))
        });
        // Other pages hold places in the dictionary. What is no page, the decoder reports.
        let (end, has_values) = page.map_or((bytes.len(), true), |(end, header)| {
            (end, header.is_dictionary || header.is_plain)
        });
        if has_values {
            let place = range.start + start as u64..range.start + end as u64;
            if !all_fit(column, &place, &bytes.slice(start..end), unit)? {
                return Err(ParquetError::External(Box::new(unfit(file, column, unit))));
            }
        }
        start = end;
    }
    Ok(())
}

/// Whether all values of the pages fit.
fn all_fit(
    column: &ColumnChunkMetaData,
    range: &Range<u64>,
    bytes: &Bytes,
    unit: TimeUnit,
) -> Result<bool> {
    let levels = levels(column);
    for page in pages(column, range, bytes)? {
        let page = page?;
        let has_values =
            matches!(page, Page::DictionaryPage { .. }) || page.encoding() == Encoding::PLAIN;
        let Some(values) = values(&page, levels).filter(|_| has_values) else {
            continue;
        };
        let (moments, _) = values.as_chunks::<12>();
        if !moments.iter().all(|moment| fits(moment, unit)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn fits(moment: &[u8; 12], unit: TimeUnit) -> bool {
    let [a, b, c, d, e, f, g, h, day @ ..] = *moment;
    let of_day = i64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let day = i64::from(i32::from_le_bytes(day)) - EPOCH_DAY;
    let nanoseconds = i128::from(day) * DAY_NANOSECONDS + i128::from(of_day);
    match unit {
        TimeUnit::Nanosecond => i64::try_from(nanoseconds).is_ok(),
        _ => nanoseconds % 1_000 == 0 && i64::try_from(nanoseconds / 1_000).is_ok(),
    }
}

fn unfit(file: &Path, column: &ColumnChunkMetaData, unit: TimeUnit) -> Error {
    let name = column.column_path().string();
    let what = match unit {
        TimeUnit::Nanosecond => {
            "that 64 bits of nanoseconds do not hold: declare it as timestamp, in microseconds"
        }
        _ => {
            "with more digits than microseconds: declare it as timestamp(ns), which reaches from 1677 to 2262"
        }
    };
    Error::new(
        ErrorKind::MalformedData,
        format!("{file}: column `{name}` holds a timestamp {what}"),
    )
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::TimeUnit::{Microsecond, Nanosecond};

    use super::fits;

    fn moment(of_day: i64, day: i32) -> [u8; 12] {
        let bytes = [&of_day.to_le_bytes()[..], &day.to_le_bytes()[..]].concat();
        bytes.try_into().unwrap()
    }

    #[test]
    fn nothing_is_cut_off_and_nothing_wraps() {
        let now = moment(36_000_000_000_000 + 123_456_000, 2_461_046);
        assert!(fits(&now, Microsecond) && fits(&now, Nanosecond));
        let finer = moment(36_000_000_000_000 + 123_456_789, 2_461_046);
        assert!(!fits(&finer, Microsecond) && fits(&finer, Nanosecond));
        let far = moment(0, 5_373_484);
        assert!(fits(&far, Microsecond) && !fits(&far, Nanosecond));
        let farthest = moment(0, i32::MAX);
        assert!(!fits(&farthest, Microsecond) && !fits(&farthest, Nanosecond));
        let early = moment(1_000, 2_415_021);
        assert!(fits(&early, Microsecond) && fits(&early, Nanosecond));
    }
}
