//! Footers and indexes of pages as they are in a file.
//!
//! The decoder of Parquet 59 allocates by the number of groups and pages that they state, and a process that is refused memory
//! ends. So what they state is compared with what is there before it decodes them.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use datafusion::{
    common::{DataFusionError, Result, runtime::SpawnedTask},
    datasource::physical_plan::parquet::CachedParquetMetaData,
    execution::cache::cache_manager::{CachedFileMetadataEntry, FileMetadataCache},
    parquet::{
        DecodeResult,
        file::metadata::{
            PageIndexPolicy, ParquetMetaData, ParquetMetaDataPushDecoder, RowGroupMetaData,
        },
    },
};
use object_store::{ObjectMeta, ObjectStore, path::Path};

use super::{
    checked::{malformed, without_panic},
    compact,
};
use crate::{Error, ErrorKind};

/// A footer may not be longer. In memory, it is several times as large.
const LONGEST_FOOTER_BYTES: u64 = 64 << 20;
/// A footer that is longer is decoded in a thread of its own: a worker has other tasks.
const LARGE_FOOTER_BYTES: u64 = 256 << 10;
/// Bytes at the end of a file: the length of the footer in front of them, and `PAR1`.
const TAIL_BYTES: u64 = 8;

/// Where the bytes of a file come from.
pub(crate) struct Source<'a> {
    pub(crate) store: &'a dyn ObjectStore,
    pub(crate) file: &'a ObjectMeta,
    /// All of them, where they are there already.
    pub(crate) whole: Option<&'a Bytes>,
}

/// The footer of a file. With a cache, which it is kept in, also its indexes of pages.
pub(crate) async fn fetch(
    source: Source<'_>,
    cache: Option<&Arc<FileMetadataCache>>,
) -> Result<Arc<ParquetMetaData>> {
    let path = &source.file.location;
    without_panic(path, found(&source, cache)).await
}

async fn found(
    source: &Source<'_>,
    cache: Option<&Arc<FileMetadataCache>>,
) -> Result<Arc<ParquetMetaData>> {
    let file = source.file;
    if let Some(known) = cache.and_then(|cache| known(cache, file)) {
        return Ok(known);
    }
    let decoder = ParquetMetaDataPushDecoder::try_new(file.size)?;
    let decoder = decoder.with_page_index_policy(PageIndexPolicy::Skip);
    let tail = file.size.saturating_sub(TAIL_BYTES);
    let footer = source.decoded(decoder, |range, bytes| {
        range.end != tail || compact::is_struct(bytes)
    });
    let footer = footer.await?;
    let Some(cache) = cache else {
        return Ok(Arc::new(footer));
    };
    let indexes = offset_indexes(&footer);
    let decoder = ParquetMetaDataPushDecoder::try_new_with_metadata(file.size, footer)?;
    let decoder = decoder.with_page_index_policy(PageIndexPolicy::Optional);
    let whole = source.decoded(decoder, |range, bytes| {
        let mut inside = indexes.iter().filter(|index| range.contains(&index.start));
        inside.all(|index| {
            let place = |at: u64| usize::try_from(at - range.start).unwrap_or(usize::MAX);
            let bytes = bytes.get(place(index.start)..place(index.end));
            bytes.is_some_and(compact::is_struct)
        })
    });
    let whole = Arc::new(whole.await?);
    let kept = CachedParquetMetaData::new(Arc::clone(&whole));
    cache.put(
        &file.location,
        CachedFileMetadataEntry::new(file.clone(), Arc::new(kept)),
    );
    Ok(whole)
}

/// The footer of a file, if the cache has it.
pub(crate) fn known(
    cache: &Arc<FileMetadataCache>,
    file: &ObjectMeta,
) -> Option<Arc<ParquetMetaData>> {
    let kept = cache.get(&file.location)?;
    let kept = kept.is_valid_for(file).then_some(kept)?;
    let kept = kept.file_metadata.as_any();
    let kept = kept.downcast_ref::<CachedParquetMetaData>()?;
    Some(Arc::clone(kept.parquet_metadata()))
}

/// Where the indexes of pages are that say where pages begin.
fn offset_indexes(footer: &ParquetMetaData) -> Vec<Range<u64>> {
    let groups = footer.row_groups().iter();
    let columns = groups.flat_map(RowGroupMetaData::columns);
    let indexes = columns.filter_map(|column| {
        let start = u64::try_from(column.offset_index_offset()?).ok()?;
        let length = u64::try_from(column.offset_index_length()?).ok()?;
        Some(start..start.checked_add(length)?)
    });
    indexes.collect()
}

impl Source<'_> {
    /// Gives the decoder the ranges that it wants, when they are in order.
    async fn decoded(
        &self,
        mut decoder: ParquetMetaDataPushDecoder,
        is_valid: impl Fn(&Range<u64>, &Bytes) -> bool,
    ) -> Result<ParquetMetaData> {
        let file = &self.file.location;
        let mut found = decoder.try_decode()?;
        loop {
            let ranges = match found {
                DecodeResult::Data(found) => return Ok(found),
                DecodeResult::NeedsData(ranges) => ranges,
                DecodeResult::Finished => return Err(malformed(file)),
            };
            if ranges.iter().any(|range| range.end > self.file.size) {
                return Err(malformed(file));
            }
            let sizes = ranges.iter().map(|range| range.end - range.start);
            let size: u64 = sizes.sum();
            if size > LONGEST_FOOTER_BYTES {
                return Err(too_long(file));
            }
            let bytes = match self.whole {
                Some(whole) => parts(whole, &ranges).ok_or_else(|| malformed(file))?,
                None => self.store.get_ranges(file, &ranges).await?,
            };
            let mut both = ranges.iter().zip(&bytes);
            if !both.all(|(range, bytes)| is_valid(range, bytes)) {
                return Err(malformed(file));
            }
            decoder.push_ranges(ranges, bytes)?;
            (decoder, found) = if size > LARGE_FOOTER_BYTES {
                let decoding = SpawnedTask::spawn_blocking(move || {
                    let found = decoder.try_decode();
                    (decoder, found)
                });
                let (decoder, found) = decoding.await.map_err(|_panic| malformed(file))?;
                (decoder, found?)
            } else {
                let found = decoder.try_decode()?;
                (decoder, found)
            };
        }
    }
}

/// Ranges of bytes that are there; none when one lies outside.
pub(crate) fn parts(whole: &Bytes, ranges: &[Range<u64>]) -> Option<Vec<Bytes>> {
    let part = |range: &Range<u64>| {
        let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
        let range = start.ok()?..end.ok()?;
        whole.get(range.clone())?;
        Some(whole.slice(range))
    };
    ranges.iter().map(part).collect()
}

fn too_long(file: &Path) -> DataFusionError {
    DataFusionError::External(Box::new(Error::new(
        ErrorKind::MalformedData,
        format!("{file}: its footer, or its index of pages, is longer than 64 MiB"),
    )))
}
