//! Footers without what the engine would read too much out of.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use datafusion::{
    arrow::datatypes::TimeUnit,
    common::{DataFusionError, Result},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{ParquetFileReaderFactory, parquet::CachedParquetFileReaderFactory},
    },
    execution::{
        cache::cache_manager::FileMetadataCache, memory_pool::MemoryPool, runtime_env::RuntimeEnv,
    },
    parquet::{
        arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
        basic::{Compression, LogicalType, Type},
        errors::{ParquetError, Result as ParquetResult},
        file::{
            metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData},
            page_index::column_index::ColumnIndexMetaData,
        },
    },
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use futures::{FutureExt, future::BoxFuture};
use object_store::{ObjectMeta, ObjectStore, path::Path};

use super::{super::ahead::Ahead, checked::malformed, metadata, pages::PageMemory};
use crate::{Error, ErrorKind};

/// The footer without the statistics that cannot be relied on:
///
/// - those without the number of nulls, which the engine takes for none;
/// - those of floating numbers, whose writers leave NaN out, while for the engine NaN is the largest number;
/// - old ones in an order that is not the values' own.
pub(super) fn trusted(footer: Arc<ParquetMetaData>) -> Arc<ParquetMetaData> {
    let groups = footer.row_groups();
    let all = groups.iter().flat_map(RowGroupMetaData::columns);
    let mut pages = footer.column_index().into_iter().flatten().flatten();
    if all.into_iter().all(is_trusted) && pages.all(pages_are_trusted) {
        return footer;
    }
    without(footer, |_, column| !is_trusted(column))
}

/// A trusted footer whose statistics of a column are of all of its values: where one group has none, no group has.
pub(super) fn whole(footer: Arc<ParquetMetaData>) -> Arc<ParquetMetaData> {
    let groups = footer.row_groups();
    let columns = groups.first().map_or(0, RowGroupMetaData::num_columns);
    let some = |place| {
        let mut groups = groups.iter();
        groups.any(|group| group.column(place).statistics().is_some())
    };
    let lacking = |place| {
        let mut groups = groups.iter();
        groups.any(|group| group.column(place).statistics().is_none())
    };
    let partial: Vec<bool> = (0..columns)
        .map(|place| some(place) && lacking(place))
        .collect();
    if !partial.contains(&true) {
        return footer;
    }
    without(footer, |place, _| partial[place])
}

/// The footer without the statistics of some columns.
fn without(
    footer: Arc<ParquetMetaData>,
    left_out: impl Fn(usize, &ColumnChunkMetaData) -> bool,
) -> Arc<ParquetMetaData> {
    let mut builder = Arc::unwrap_or_clone(footer).into_builder();
    let groups = builder.take_row_groups();
    let mut pages = builder.take_column_index();
    let changed = groups.into_iter().enumerate().map(|(number, group)| {
        let columns = group.columns().iter().enumerate().map(|(place, column)| {
            if left_out(place, column) {
                if let Some(pages) = &mut pages {
                    pages[number][place] = ColumnIndexMetaData::NONE;
                }
                let bare = column.clone().into_builder().clear_statistics().build();
                bare.unwrap_or_else(|_error| column.clone())
            } else {
                column.clone()
            }
        });
        let columns = columns.collect();
        let same = group.clone();
        let changed = group.into_builder().set_column_metadata(columns).build();
        changed.unwrap_or(same)
    });
    let changed = changed.collect();
    for page in pages.iter_mut().flatten().flatten() {
        if !pages_are_trusted(page) {
            *page = ColumnIndexMetaData::NONE;
        }
    }
    Arc::new(
        builder
            .set_row_groups(changed)
            .set_column_index(pages)
            .build(),
    )
}

fn is_trusted(column: &ColumnChunkMetaData) -> bool {
    let Some(statistics) = column.statistics() else {
        return true;
    };
    let floats = matches!(column.column_type(), Type::FLOAT | Type::DOUBLE)
        || matches!(
            column.column_descr().logical_type_ref(),
            Some(LogicalType::Float16)
        );
    statistics.null_count_opt().is_some()
        && !floats
        && (!statistics.is_min_max_deprecated() || statistics.is_min_max_backwards_compatible())
}

fn pages_are_trusted(pages: &ColumnIndexMetaData) -> bool {
    match pages {
        ColumnIndexMetaData::NONE => true,
        ColumnIndexMetaData::FLOAT(_) | ColumnIndexMetaData::DOUBLE(_) => false,
        other => other.null_counts().is_some(),
    }
}

/// What reading Parquet takes of the engine: where footers are kept, and the memory for pages.
#[derive(Debug, Clone)]
pub(crate) struct ParquetRuntime {
    pub(crate) footers: Arc<FileMetadataCache>,
    pub(crate) pool: Arc<dyn MemoryPool>,
}

impl ParquetRuntime {
    pub(crate) fn of(runtime: &RuntimeEnv) -> Self {
        Self {
            footers: runtime.cache_manager.get_file_metadata_cache(),
            pool: Arc::clone(&runtime.memory_pool),
        }
    }
}

/// The engine's readers, whose footers are [`trusted`] and whose pages have room. Small files are read whole.
#[derive(Debug)]
pub(crate) struct TrustedReaders {
    inner: CachedParquetFileReaderFactory,
    store: Arc<dyn ObjectStore>,
    runtime: ParquetRuntime,
    ahead: Option<Arc<Ahead>>,
    /// What timestamps of 96 bits are read in.
    moments: TimeUnit,
}

impl TrustedReaders {
    pub(crate) fn new(
        store: Arc<dyn ObjectStore>,
        runtime: ParquetRuntime,
        moments: TimeUnit,
    ) -> Self {
        let cache = Arc::clone(&runtime.footers);
        Self {
            inner: CachedParquetFileReaderFactory::new(Arc::clone(&store), cache),
            store,
            runtime,
            ahead: None,
            moments,
        }
    }

    /// With small files that are fetched ahead.
    pub(crate) fn with_ahead(self, ahead: Ahead) -> Self {
        let ahead = Some(Arc::new(ahead));
        Self { ahead, ..self }
    }
}

impl ParquetFileReaderFactory for TrustedReaders {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        footer_bytes: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        let object = file.object_meta.clone();
        let inner = self
            .inner
            .create_reader(partition, file, footer_bytes, metrics)?;
        Ok(Box::new(TrustedReader {
            inner,
            store: Arc::clone(&self.store),
            pages: PageMemory::new(&object.location, &self.runtime.pool, self.moments),
            footers: Arc::clone(&self.runtime.footers),
            ahead: self.ahead.clone().filter(|ahead| ahead.reads(&object)),
            partition,
            whole: None,
            object,
        }))
    }
}

struct TrustedReader {
    inner: Box<dyn AsyncFileReader + Send>,
    store: Arc<dyn ObjectStore>,
    object: ObjectMeta,
    footers: Arc<FileMetadataCache>,
    pages: PageMemory,
    /// Where the file is small.
    ahead: Option<Arc<Ahead>>,
    partition: usize,
    /// All of the file.
    whole: Option<Bytes>,
}

impl TrustedReader {
    /// All of a small file, which is fetched once.
    async fn whole(&mut self) -> Result<Option<Bytes>> {
        if let (Some(ahead), None) = (&self.ahead, &self.whole) {
            let bytes = ahead.whole(self.partition, &self.object).await?;
            self.whole = Some(bytes);
        }
        Ok(self.whole.clone())
    }

    async fn ranges(&mut self, ranges: &[Range<u64>]) -> ParquetResult<Vec<Bytes>> {
        match self.whole().await.map_err(told)? {
            Some(whole) => metadata::parts(&whole, ranges)
                .ok_or_else(|| told(malformed(&self.object.location))),
            None => self.inner.get_byte_ranges(ranges.to_vec()).await,
        }
    }
}

/// An error of the engine as its decoder of Parquet takes it.
fn told(error: DataFusionError) -> ParquetError {
    match error {
        DataFusionError::ParquetError(error) => *error,
        other => ParquetError::External(Box::new(other)),
    }
}

/// Refuses a file by the name of its codec when there is no decoder for it.
fn readable(footer: Arc<ParquetMetaData>, file: &Path) -> ParquetResult<Arc<ParquetMetaData>> {
    let groups = footer.row_groups();
    let mut columns = groups.iter().flat_map(RowGroupMetaData::columns);
    let Some(column) = columns.find(|column| column.compression() == Compression::LZO) else {
        return Ok(footer);
    };
    let name = column.column_path().string();
    let message = format!("{file}: column `{name}` is compressed with LZO, which cannot be read");
    let error = Error::new(ErrorKind::MalformedData, message);
    Err(ParquetError::External(Box::new(error)))
}

impl AsyncFileReader for TrustedReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            if self.ahead.is_none() {
                return self.inner.get_bytes(range).await;
            }
            let mut parts = self.ranges(&[range]).await?;
            parts
                .pop()
                .ok_or_else(|| told(malformed(&self.object.location)))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        async move {
            let bytes = self.ranges(&ranges).await?;
            self.pages.admit(&ranges, &bytes)?;
            Ok(bytes)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let whole = match metadata::known(&self.footers, &self.object) {
                Some(_) => None,
                None => self.whole().await.map_err(told)?,
            };
            let source = metadata::Source {
                store: self.store.as_ref(),
                file: &self.object,
                whole: whole.as_ref(),
            };
            let footer = metadata::fetch(source, Some(&self.footers));
            let footer = footer.await.map_err(told)?;
            self.pages.know(&footer);
            readable(footer, &self.object.location).map(trusted)
        }
        .boxed()
    }
}
