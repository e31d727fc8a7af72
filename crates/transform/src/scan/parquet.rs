//! Parquet is read by the engine; here is what it takes on trust.
//!
//! - [`compact`], [`delta`], [`metadata`] and [`pages`]: numbers of elements and sizes of pages, which the decoder allocates by.
//! - [`int96`]: timestamps of 96 bits, of which it makes 64.
//! - [`footer`]: statistics that say less than the engine reads out of them are left out.
//! - [`adapt`]: a column that a file has in another type than the table is converted without a loss, or the file is an error.
//!   Conditions on a column where that may come stay above the scan, and its statistics are not used.
//! - [`checked`]: each row that a footer promises arrives, or there is an error; [`tally`] counts those that conditions leave
//!   out. A decoder that panics is a malformed file.
//! - Conditions on a column that some file has as a list or a struct, and the table has not, stay above the scan: the engine's
//!   row filters leave them out in such a file without a word. They cost one look at each row of that table.

mod adapt;
mod checked;
mod compact;
mod delta;
mod footer;
pub(crate) mod int96;
pub(crate) mod metadata;
mod pages;
mod tally;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit},
    catalog::Session,
    common::{
        ColumnStatistics, DataFusionError, Result, Statistics, config::ConfigOptions,
        tree_node::TreeNodeRecursion,
    },
    datasource::{
        file_format::{
            FileFormat, FileMeta, file_compression_type::FileCompressionType,
            parquet::ParquetFormat,
        },
        listing::PartitionedFile,
        physical_plan::{
            FileOpener, FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
            parquet::metadata::{DFParquetMetadata, ordering_from_parquet_metadata},
        },
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    execution::runtime_env::RuntimeEnv,
    parquet::{
        arrow::parquet_to_arrow_schema,
        file::metadata::{ParquetMetaData, RowGroupMetaData},
    },
    physical_expr::{
        EquivalenceProperties, LexOrdering, PhysicalSortExpr, expressions::lit,
        projection::ProjectionExprs, utils::collect_columns,
    },
    physical_plan::{
        DisplayFormatType, ExecutionPlan, PhysicalExpr, SortOrderPushdownResult,
        filter_pushdown::{FilterPushdownPropagation, PushedDown},
        metrics::ExecutionPlanMetricsSet,
    },
};
use datafusion_datasource::morsel::Morselizer;
use object_store::{ObjectMeta, ObjectStore, path::Path};

pub(in crate::scan) use self::checked::fault;
pub(crate) use self::footer::{ParquetRuntime, TrustedReaders};
use self::{
    adapt::{ExactColumns, own_field},
    checked::{CheckedMorsels, FilteredMorsels},
};
use super::{TableScan, ahead::Ahead};
use crate::{
    Error, ErrorKind, TableSpec,
    formats::{known::Known, misfit::Misfits},
};

/// Parquet files of one table.
#[derive(Debug)]
pub(crate) struct ParquetFiles {
    format: ParquetFormat,
    exact: Arc<ExactColumns>,
    seen: Arc<Seen>,
    /// What further columns of files, and members of their objects, are reported beside.
    known: Known,
    scan: Arc<TableScan>,
}

impl ParquetFiles {
    /// Of a table with these columns, of which `own` are not made of keys.
    pub(crate) fn new(
        scan: Arc<TableScan>,
        columns: impl Iterator<Item = String>,
        own: &Fields,
    ) -> Self {
        let inside = own.iter().map(AsRef::as_ref);
        let inside = inside.filter(|field: &&Field| !scan.spec.types.contains_key(field.name()));
        Self {
            known: Known::new(columns, inside),
            format: format(&scan.spec),
            exact: Arc::new(ExactColumns(scan.spec.clone())),
            seen: Arc::default(),
            scan,
        }
    }

    /// Tells the columns of a file that the table does not have; where the table declares all, those that the file lacks.
    fn tell_columns(&self, file: &Path, own: &Schema, table_columns: &Schema) {
        let ExactColumns(spec) = self.exact.as_ref();
        let misfits = Misfits {
            on_error: spec.on_error,
            file: file.as_ref().into(),
            counts: Arc::clone(self.scan.meter.misfits()),
        };
        if let Some(declared) = &spec.columns {
            let table: Arc<str> = spec.uri.join(" ").into();
            let of_keys = |name: &str| table_columns.index_of(name).is_err();
            for name in declared.names().filter(|name| !of_keys(name)) {
                misfits.declared(&table, name, own.index_of(name).is_ok());
            }
            return;
        }
        for name in self.known.unlisted(own.fields()) {
            misfits.unlisted(&name);
        }
    }
}

/// The engine's reading of Parquet, with timestamps of 96 bits in the unit that the table has.
pub(crate) fn format(spec: &TableSpec) -> ParquetFormat {
    let unit = match int96::unit(spec) {
        TimeUnit::Nanosecond => "ns",
        _ => "us",
    };
    ParquetFormat::default().with_coerce_int96(Some(unit.to_owned()))
}

/// Bytes of a file that the table declares as text. The engine takes them for text without a look, and reads past the end of what is
/// no UTF-8.
fn no_bytes_as_text(file: &Path, own: &Schema, table: &Schema) -> Result<()> {
    for (place, field) in table.fields().iter().enumerate() {
        let bytes = own_field(own, place, field.name())
            .is_some_and(|own| own.data_type().is_binary() || is_fixed(own.data_type()));
        if bytes && field.data_type().is_string() {
            let name = field.name();
            return Err(DataFusionError::External(Box::new(Error::new(
                ErrorKind::MalformedData,
                format!(
                    "{file}: column `{name}` holds bytes, and the file does not say that they are text: declare on_error = \"null\" or \"skip\", and each value is looked at before it is text"
                ),
            ))));
        }
    }
    Ok(())
}

const fn is_fixed(kind: &DataType) -> bool {
    matches!(kind, DataType::FixedSizeBinary(_))
}

/// What the footers of a table's files say.
#[derive(Debug, Default)]
struct Seen(Mutex<Footers>);

#[derive(Debug, Default)]
struct Footers {
    /// The groups of rows of each file.
    groups: HashMap<Path, Arc<[Group]>>,
    /// Columns that are nested in a file and not in the table.
    nested: HashSet<String>,
    /// Columns of which a file may have values that are none of the table's.
    unsure: HashSet<String>,
}

/// A group of rows, by where it begins: the engine reads it in the range of the file that this is in.
#[derive(Debug, Clone, Copy)]
struct Group {
    begins: i64,
    rows: u64,
}

impl Group {
    fn of(group: &RowGroupMetaData) -> Self {
        let begins = group.columns().first().map_or(0, |column| {
            let dictionary = column.dictionary_page_offset();
            dictionary.unwrap_or_else(|| column.data_page_offset())
        });
        Self {
            begins,
            rows: u64::try_from(group.num_rows()).unwrap_or_default(),
        }
    }
}

impl Seen {
    /// Keeps what a footer says; which columns of the table its file may have other values in.
    fn keep(
        &self,
        file: &Path,
        footer: &ParquetMetaData,
        own: &Schema,
        table: &Schema,
        exact: &ExactColumns,
    ) -> HashSet<String> {
        let both = table.fields().iter().enumerate();
        let both = both.filter_map(|(place, field)| {
            let own = own_field(own, place, field.name())?;
            Some((field, own))
        });
        let nested = both
            .clone()
            .filter(|(field, own)| !field.data_type().is_nested() && own.data_type().is_nested());
        let mut footers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        footers
            .nested
            .extend(nested.map(|(field, _)| field.name().clone()));
        let unsure = both.filter(|(field, own)| exact.may_misfit(own, field));
        let unsure: HashSet<String> = unsure.map(|(field, _)| field.name().clone()).collect();
        footers.unsure.extend(unsure.iter().cloned());
        let groups = footer.row_groups().iter().map(Group::of).collect();
        footers.groups.insert(file.clone(), groups);
        unsure
    }

    /// The rows that a file, or a range of it, promises; none when its footer was not read before the scan.
    fn promised(&self, file: &PartitionedFile) -> Option<u64> {
        let footers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let groups = footers.groups.get(&file.object_meta.location)?;
        let inside = groups.iter().filter(|group| {
            file.range
                .as_ref()
                .is_none_or(|range| range.contains(group.begins))
        });
        Some(inside.map(|group| group.rows).sum())
    }

    /// Whether a condition is about a column whose values may not fit: it is not for the scan, which would find them in rows
    /// that another condition leaves out.
    fn is_unsure(&self, filter: &Arc<dyn PhysicalExpr>) -> bool {
        let footers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        collect_columns(filter)
            .iter()
            .any(|column| footers.unsure.contains(column.name()))
    }

    fn is_nested_somewhere(&self, filter: &Arc<dyn PhysicalExpr>) -> bool {
        let footers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        collect_columns(filter)
            .iter()
            .any(|column| footers.nested.contains(column.name()))
    }
}

#[async_trait]
impl FileFormat for ParquetFiles {
    fn get_ext(&self) -> String {
        self.format.get_ext()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        self.format.get_ext_with_compression(compression)
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        self.format.compression_type()
    }

    async fn infer_schema(
        &self,
        session: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        self.format.infer_schema(session, store, objects).await
    }

    async fn infer_stats(
        &self,
        session: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        table: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Statistics> {
        let found = self.infer_stats_and_ordering(session, store, table, object);
        Ok(found.await?.statistics)
    }

    async fn infer_stats_and_ordering(
        &self,
        session: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        table: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<FileMeta> {
        self.measured(session.runtime_env(), store, &table, object)
            .await
    }

    async fn create_physical_plan(
        &self,
        session: &dyn Session,
        config: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.planned(session.runtime_env(), config)
    }

    fn file_source(&self, columns: TableSchema) -> Arc<dyn FileSource> {
        let source = ParquetSource::new(columns);
        self.around(source.with_table_parquet_options(self.format.options().clone()))
    }
}

impl ParquetFiles {
    fn around(&self, source: ParquetSource) -> Arc<dyn FileSource> {
        Arc::new(CheckedParquet {
            inner: source,
            seen: Arc::clone(&self.seen),
            scan: Arc::clone(&self.scan),
        })
    }

    /// A source that applies conditions, which are all usable: to each row, or to groups of rows only.
    #[cfg(feature = "cluster")]
    pub(crate) fn source_with(
        &self,
        columns: TableSchema,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        filters_rows: bool,
    ) -> Arc<dyn FileSource> {
        let source = ParquetSource::new(columns);
        let source = source.with_table_parquet_options(self.format.options().clone());
        let source = filters.into_iter().fold(source, |source, filter| {
            source
                .with_predicate(filter)
                .with_pushdown_filters(filters_rows)
        });
        self.around(source)
    }

    /// What the footer of a file says, which is remembered for its scan.
    pub(crate) async fn measured(
        &self,
        runtime: &RuntimeEnv,
        store: &Arc<dyn ObjectStore>,
        table: &SchemaRef,
        object: &ObjectMeta,
    ) -> Result<FileMeta> {
        let cache = runtime.cache_manager.get_file_metadata_cache();
        let whole = match metadata::known(&cache, object) {
            Some(_) => None,
            None => self.scan.whole(store.as_ref(), object).await?,
        };
        let source = metadata::Source {
            store: store.as_ref(),
            file: object,
            whole: whole.as_ref(),
        };
        let footer = metadata::fetch(source, Some(&cache)).await?;
        let file = footer.file_metadata();
        let own = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
        self.tell_columns(&object.location, &own, table);
        no_bytes_as_text(&object.location, &own, table)?;
        let unsure = self
            .seen
            .keep(&object.location, &footer, &own, table, &self.exact);
        let footer = footer::whole(footer::trusted(footer));
        let mut statistics = DFParquetMetadata::statistics_from_parquet_metadata(&footer, table)?;
        let columns = statistics.column_statistics.iter_mut();
        for (known, field) in columns.zip(table.fields()) {
            if unsure.contains(field.name()) {
                *known = ColumnStatistics::new_unknown();
            }
        }
        let ordering = ordering_from_parquet_metadata(&footer, table)?.filter(|ordering| {
            let columns = ordering.iter().flat_map(|sort| collect_columns(&sort.expr));
            columns
                .into_iter()
                .all(|column| !unsure.contains(column.name()))
        });
        Ok(FileMeta::new(statistics).with_ordering(ordering))
    }

    /// The scan as an operator, whose store the runtime knows.
    pub(crate) fn planned(
        &self,
        runtime: &Arc<RuntimeEnv>,
        config: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let source = config.file_source().downcast_ref::<CheckedParquet>();
        let source = source.ok_or_else(|| {
            DataFusionError::Internal("a scan of Parquet without its source".to_owned())
        })?;
        let store = runtime.object_store(&config.object_store_url)?;
        let ahead = Ahead::new(&self.scan, &store, &config, true);
        let readers = TrustedReaders::new(
            store,
            ParquetRuntime::of(runtime),
            int96::unit(&self.scan.spec),
        );
        let readers = Arc::new(readers.with_ahead(ahead));
        let inner = source.inner.clone();
        let source = source.with(inner.with_parquet_file_reader_factory(readers));
        let config = FileScanConfigBuilder::from(config)
            .with_source(source)
            .with_expr_adapter(Some(Arc::clone(&self.exact) as _))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// The engine's source, whose rows are counted.
#[derive(Debug, Clone)]
pub(crate) struct CheckedParquet {
    inner: ParquetSource,
    seen: Arc<Seen>,
    scan: Arc<TableScan>,
}

#[cfg(feature = "cluster")]
impl CheckedParquet {
    /// How the table is declared.
    pub(crate) fn spec(&self) -> &TableSpec {
        &self.scan.spec
    }

    /// Whether conditions are applied to each row, and not only to groups of rows.
    pub(crate) fn filters_rows(&self) -> bool {
        self.inner.table_parquet_options().global.pushdown_filters
    }
}

impl CheckedParquet {
    fn with(&self, inner: ParquetSource) -> Arc<dyn FileSource> {
        Arc::new(Self {
            inner,
            seen: Arc::clone(&self.seen),
            scan: Arc::clone(&self.scan),
        })
    }

    /// The same source, after the engine changed the one inside.
    fn around(&self, changed: &Arc<dyn FileSource>) -> Result<Arc<dyn FileSource>> {
        match changed.downcast_ref::<ParquetSource>() {
            Some(inner) => Ok(self.with(inner.clone())),
            None => Err(DataFusionError::Internal(
                "a source of Parquet became another".to_owned(),
            )),
        }
    }
}

impl FileSource for CheckedParquet {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.inner.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        if let Some(condition) = self.inner.filter() {
            let source = self.inner.clone();
            let filtered = FilteredMorsels::new(source, condition, store, config, partition);
            return Ok(Box::new(filtered));
        }
        let fields = self.inner.table_schema().file_schema().fields();
        let inner = if fields.iter().any(|field| field.data_type().is_floating()) {
            // Without a condition, the engine adapts no column of a file that has the table's types: see `adapt`.
            let none = self.inner.with_predicate(lit(true));
            let none = none.with_pushdown_filters(false);
            none.create_morselizer(store, config, partition)?
        } else {
            self.inner.create_morselizer(store, config, partition)?
        };
        Ok(Box::new(CheckedMorsels {
            inner,
            seen: Arc::clone(&self.seen),
            limit: config.limit,
        }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        let changed = self.inner.with_batch_size(batch_size);
        self.around(&changed).unwrap_or(changed)
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn fmt_extra(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_extra(kind, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.inner.supports_repartitioning()
    }

    fn repartitioned(
        &self,
        partitions: usize,
        least_bytes: usize,
        ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        self.inner
            .repartitioned(partitions, least_bytes, ordering, config)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let unsure: Vec<bool> = filters
            .iter()
            .map(|filter| self.seen.is_unsure(filter))
            .collect();
        let sure = filters.into_iter().zip(&unsure);
        let sure = sure.filter_map(|(filter, unsure)| (!unsure).then_some(filter));
        let sure: Vec<_> = sure.collect();
        let nested = sure
            .iter()
            .map(|filter| self.seen.is_nested_somewhere(filter));
        let nested: Vec<bool> = nested.collect();
        let mut pushed = self.inner.try_pushdown_filters(sure, config)?;
        let answers = std::mem::take(&mut pushed.filters).into_iter().zip(nested);
        let mut answers =
            answers.map(|(answer, nested)| if nested { PushedDown::No } else { answer });
        let mut answer = |unsure: bool| if unsure { None } else { answers.next() };
        pushed.filters = unsure
            .into_iter()
            .map(|unsure| answer(unsure).unwrap_or(PushedDown::No))
            .collect();
        pushed.updated_node = match pushed.updated_node {
            Some(changed) => Some(self.around(&changed)?),
            None => None,
        };
        Ok(pushed)
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        use SortOrderPushdownResult::{Exact, Inexact, Unsupported};
        Ok(match self.inner.try_pushdown_sort(order, properties)? {
            Exact { inner } => Exact {
                inner: self.around(&inner)?,
            },
            Inexact { inner } => Inexact {
                inner: self.around(&inner)?,
            },
            Unsupported => Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.inner.reorder_files(files)
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let changed = self.inner.try_pushdown_projection(projection)?;
        changed.map(|changed| self.around(&changed)).transpose()
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.inner.apply_expressions(visit)
    }
}
