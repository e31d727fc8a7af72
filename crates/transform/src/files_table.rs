//! A table of the engine over given files. The engine's own `ListingTable` lists by itself, which would read other objects
//! than those that were found and checked.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
    catalog::Session,
    common::{
        DFSchema, Result, ScalarValue, Statistics, TableReference, project_schema, stats::Precision,
    },
    datasource::{
        TableProvider, TableType,
        file_format::FileFormat,
        listing::{PartitionedFile, helpers},
        object_store::ObjectStoreUrl,
        physical_plan::{FileGroup, FileScanConfigBuilder},
        table_schema::TableSchemaBuilder,
    },
    logical_expr::{Expr, TableProviderFilterPushDown},
    physical_expr::LexOrdering,
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, ObjectStore};

use crate::Columns;

/// A file, as little of it as a table of many has to keep.
#[derive(Debug, Clone)]
pub(crate) struct TableFile {
    pub(crate) object: ObjectMeta,
    /// Its values of the columns that segments of keys make.
    pub(crate) values: Vec<ScalarValue>,
}

#[derive(Debug, Clone)]
pub(crate) struct FilesTable {
    store: ObjectStoreUrl,
    name: TableReference,
    files: Vec<TableFile>,
    file_schema: SchemaRef,
    partitions: Vec<FieldRef>,
    /// The columns of the files, then those of the partitions.
    schema: SchemaRef,
    /// The columns in the order in which the SQL sees them.
    seen: SchemaRef,
    /// The place in `schema` of each of them.
    places: Vec<usize>,
    format: Arc<dyn FileFormat>,
    untyped: BTreeSet<String>,
}

impl FilesTable {
    pub(crate) fn new(
        store: ObjectStoreUrl,
        name: TableReference,
        files: Vec<TableFile>,
        file_schema: SchemaRef,
        partitions: Vec<FieldRef>,
        format: Arc<dyn FileFormat>,
        declared: Option<&Columns>,
    ) -> Self {
        let all = TableSchemaBuilder::new(Arc::clone(&file_schema))
            .with_table_partition_cols(partitions.clone())
            .build();
        let schema = Arc::clone(all.table_schema());
        let mut places: Vec<usize> = (0..schema.fields().len()).collect();
        if let Some(declared) = declared {
            // Partitions that are not declared come last.
            places.sort_by_cached_key(|&place| {
                declared
                    .place(schema.field(place).name())
                    .unwrap_or(usize::MAX)
            });
        }
        let fields = places
            .iter()
            .map(|&place| Arc::clone(&schema.fields()[place]));
        Self {
            store,
            name,
            files,
            file_schema,
            partitions,
            seen: Schema::new(fields.collect::<Vec<_>>()).into(),
            places,
            schema,
            format,
            untyped: BTreeSet::new(),
        }
    }

    /// The same with columns that are text for want of a value that told another type.
    pub(crate) fn with_untyped(self, untyped: BTreeSet<String>) -> Self {
        Self { untyped, ..self }
    }

    /// The same with other types for some of these columns.
    pub(crate) fn retyped(&self, kinds: &BTreeMap<&str, &DataType>) -> Self {
        let retyped = |schema: &SchemaRef| {
            let fields =
                schema
                    .fields()
                    .iter()
                    .map(|field| match kinds.get(field.name().as_str()) {
                        Some(&kind) => Arc::new(Field::clone(field).with_data_type(kind.clone())),
                        None => Arc::clone(field),
                    });
            Arc::new(Schema::new(fields.collect::<Vec<_>>()))
        };
        Self {
            file_schema: retyped(&self.file_schema),
            schema: retyped(&self.schema),
            seen: retyped(&self.seen),
            ..self.clone()
        }
    }

    /// The columns that are text for want of a value.
    pub(crate) const fn untyped(&self) -> &BTreeSet<String> {
        &self.untyped
    }

    /// Whether a condition is about partition columns alone, so that it is decided for a file as a whole.
    fn is_about_files(&self, filter: &Expr) -> bool {
        let names: Vec<&str> = self
            .partitions
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        !names.is_empty() && helpers::expr_applicable_for_cols(&names, filter)
    }

    /// The files whose partition values fulfil the conditions.
    fn chosen(&self, filters: &[Expr]) -> Result<Vec<PartitionedFile>> {
        let columns = DFSchema::from_unqualified_fields(
            self.partitions.iter().cloned().collect(),
            HashMap::new(),
        )?;
        let chosen = self.files.iter().filter_map(|file| {
            let file = PartitionedFile::new_from_meta(file.object.clone())
                .with_partition_values(file.values.clone())
                .with_table_reference(Some(self.name.clone()));
            helpers::filter_partitioned_file(file, filters, &columns).transpose()
        });
        chosen.collect()
    }

    /// The files with what their metadata says of their rows, up to the one that exceeds the limit of rows; whether any were
    /// left out.
    async fn measured(
        &self,
        state: &dyn Session,
        files: Vec<PartitionedFile>,
        limit: Option<usize>,
    ) -> Result<(Vec<PartitionedFile>, bool)> {
        let store = state.runtime_env().object_store(&self.store)?;
        let concurrency = state
            .config_options()
            .execution
            .meta_fetch_concurrency
            .get();
        let all = files.len();
        let mut measuring = stream::iter(files)
            .map(|file| self.measure(state, &store, file))
            .boxed()
            .buffered(concurrency);
        let mut kept: Vec<PartitionedFile> = Vec::with_capacity(all);
        let mut rows = Precision::Exact(0);
        while let Some((mut file, own)) = measuring.try_next().await? {
            rows = rows.add(&own);
            // Of many files of text nothing is known but their partition, and neighbours are of one.
            if let Some(before) = kept.last()
                && before.statistics == file.statistics
            {
                file.statistics.clone_from(&before.statistics);
            }
            kept.push(file);
            if let (Some(limit), Precision::Exact(rows)) = (limit, rows)
                && rows > limit
            {
                break;
            }
        }
        let left_out = kept.len() < all;
        Ok((kept, left_out))
    }

    /// A file with its statistics, and how many rows it has.
    async fn measure(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        file: PartitionedFile,
    ) -> Result<(PartitionedFile, Precision<usize>)> {
        let columns = Arc::clone(&self.file_schema);
        let found = self
            .format
            .infer_stats_and_ordering(state, store, columns, &file.object_meta)
            .await?;
        let rows = found.statistics.num_rows;
        let file = file
            .with_statistics(Arc::new(found.statistics))
            .with_ordering(found.ordering);
        Ok((file, rows))
    }

    /// The statistics of each group and of all groups.
    fn summed(&self, groups: Vec<FileGroup>) -> Result<(Vec<FileGroup>, Statistics)> {
        let groups = groups.into_iter().map(|group| {
            let files = group.iter().filter_map(|file| file.statistics.as_deref());
            let sum = Statistics::try_merge_iter(files, &self.schema)?;
            Ok(group.with_statistics(Arc::new(sum)))
        });
        let groups: Vec<FileGroup> = groups.collect::<Result<_>>()?;
        let sums = groups
            .iter()
            .filter_map(|group| group.file_statistics(None));
        let all = Statistics::try_merge_iter(sums, &self.schema)?;
        Ok((groups, all))
    }
}

#[async_trait]
impl TableProvider for FilesTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.seen)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (on_files, on_rows): (Vec<Expr>, Vec<Expr>) = filters
            .iter()
            .cloned()
            .partition(|filter| self.is_about_files(filter));
        let files = self.chosen(&on_files)?;
        if files.is_empty() {
            let columns = project_schema(&self.seen, projection)?;
            return Ok(Arc::new(EmptyExec::new(columns)));
        }
        let projection = match projection {
            Some(seen) => seen.iter().map(|&place| self.places[place]).collect(),
            None => self.places.clone(),
        };
        let has_statistics = state.config().collect_statistics();
        let (files, left_out) = if has_statistics {
            // Rows that a condition leaves out do not count towards the limit.
            let limit = limit.filter(|_| on_rows.is_empty());
            self.measured(state, files, limit).await?
        } else {
            (files, false)
        };
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let (groups, statistics) = if has_statistics {
            self.summed(groups)?
        } else {
            (groups, Statistics::new_unknown(&self.schema))
        };
        let statistics = if left_out {
            statistics.to_inexact()
        } else {
            statistics
        };
        let ordering = common_ordering(&groups);
        #[cfg(feature = "cluster")]
        let groups = crate::cluster::at_least_two(groups, state.config());
        let columns = TableSchemaBuilder::new(Arc::clone(&self.file_schema))
            .with_table_partition_cols(self.partitions.clone())
            .build();
        let source = self.format.file_source(columns);
        let config = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(Some(projection))?
            .with_limit(limit)
            .with_output_ordering(ordering.into_iter().collect())
            .build();
        self.format.create_physical_plan(state, config).await
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = filters.iter().map(|filter| {
            if self.is_about_files(filter) {
                TableProviderFilterPushDown::Exact
            } else {
                TableProviderFilterPushDown::Inexact
            }
        });
        Ok(support.collect())
    }
}

/// The order that the rows of every file are in: the beginning that the orders of all files share.
fn common_ordering(groups: &[FileGroup]) -> Option<LexOrdering> {
    let mut files = groups.iter().flat_map(FileGroup::iter);
    let first = files.next()?.ordering.as_ref()?;
    let mut shared = first.len();
    for file in files {
        let other = file.ordering.as_ref()?;
        let pairs = first.iter().zip(other.iter());
        shared = shared.min(pairs.take_while(|(a, b)| a == b).count());
    }
    LexOrdering::new(first.iter().take(shared).cloned())
}
