//! The places of a plan where files are read.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    datasource::{physical_plan::FileScanConfig, source::DataSourceExec},
    logical_expr::{LogicalPlan, TableScan},
    parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData},
    physical_plan::ExecutionPlan,
};
use object_store::{ObjectMeta, ObjectStore};
use serde::Serialize;

use super::leaves;
use crate::{
    Error, ErrorKind, Run, TableInfo,
    error::planning,
    scan::{parquet::metadata, source::RowsSource},
};

/// Footers of Parquet files that are looked at; of more files, the rest is taken to be like these.
const FOOTERS: usize = 32;
/// Files that are named.
const NAMED_FILES: usize = 20;
/// What compressed text grows to, as a rule.
const COMPRESSED_FACTOR: u64 = 5;
/// Columns of a group of rows that are closer to each other are read together: stores rather read this much more than ask twice.
const READ_TOGETHER_BYTES: u64 = 1 << 20;
/// Files up to this size are read whole.
const WHOLE_BYTES: u64 = 256 << 10;
/// Bytes of one value as text with its delimiter, as a rule.
const TEXT_VALUE_BYTES: u64 = 10;

/// One place of a query that reads files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScanExplanation {
    /// The table's name.
    pub table: String,
    /// Files that would be read, of those that the table has.
    pub files: usize,
    /// Keys of the first of them.
    pub first_files: Vec<String>,
    /// Bytes of these files, as they are stored.
    pub bytes_of_files: u64,
    /// Bytes that would be read of them at most: of Parquet, the columns with what lies close between them, footers and indexes; of other
    /// formats, all.
    pub bytes_to_read: u64,
    /// Requests that reading those bytes takes, footers and indexes of Parquet included; none where each file is read from its start to
    /// its end.
    pub requests_to_read: Option<u64>,
    /// Rows in them: of Parquet, as their footers say; of other formats, a guess from their size.
    pub estimated_rows: u64,
    /// Columns that are read.
    pub columns: Vec<String>,
    /// Columns of keys that a condition chooses files by.
    pub conditions_on_files: Vec<String>,
    /// Columns whose conditions leave rows out while files are read: by the indexes that Parquet has, or before rows are decoded.
    pub conditions_pushed_down: Vec<String>,
    /// Rows after which reading ends, when fewer than all are needed.
    pub limit: Option<usize>,
    /// Files that are read side by side.
    pub threads: usize,
}

/// What is known before the plan's leaves are looked at.
pub(crate) struct Scans<'a> {
    tables: &'a [TableInfo],
    run: &'a Run<'a>,
    logical: BTreeMap<String, VecDeque<TableScan>>,
}

impl<'a> Scans<'a> {
    pub(crate) fn new(tables: &'a [TableInfo], run: &'a Run<'a>, plan: &LogicalPlan) -> Self {
        let mut logical: BTreeMap<String, VecDeque<TableScan>> = BTreeMap::new();
        let _ = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let scans = logical
                    .entry(scan.table_name.table().to_owned())
                    .or_default();
                scans.push_back(scan.clone());
            }
            Ok(TreeNodeRecursion::Continue)
        });
        Self {
            tables,
            run,
            logical,
        }
    }

    /// One for each leaf that reads files, in the order of the leaves.
    pub(crate) async fn all(
        &mut self,
        plan: &dyn ExecutionPlan,
    ) -> Result<Vec<ScanExplanation>, Error> {
        let mut found = Vec::new();
        let mut all = Vec::new();
        leaves(plan, &mut all);
        for leaf in all {
            if let Some(config) = files_of(leaf) {
                found.push(self.one(config).await?);
            }
        }
        Ok(found)
    }

    async fn one(&mut self, config: &FileScanConfig) -> Result<ScanExplanation, Error> {
        let files = || config.file_groups.iter().flat_map(|group| group.files());
        let distinct: BTreeMap<&str, &ObjectMeta> = files()
            .map(|file| (file.path().as_ref(), &file.object_meta))
            .collect();
        let table = files()
            .find_map(|file| file.table_reference.as_ref())
            .map(|table| table.table().to_owned());
        let info = self
            .tables
            .iter()
            .find(|info| Some(&info.table) == table.as_ref());
        let logical = table
            .as_ref()
            .and_then(|table| self.logical.get_mut(table)?.pop_front());
        let schema = config.projected_schema().map_err(planning)?;
        let columns: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let (on_files, pushed) = conditions(config, logical.as_ref());
        let bytes: u64 = distinct.values().map(|file| file.size).sum();
        let mut scan = ScanExplanation {
            table: table.clone().unwrap_or_default(),
            files: distinct.len(),
            first_files: distinct
                .keys()
                .take(NAMED_FILES)
                .map(|&key| key.to_owned())
                .collect(),
            bytes_of_files: bytes,
            bytes_to_read: bytes,
            requests_to_read: None,
            estimated_rows: 0,
            limit: config.limit,
            threads: config.file_groups.len(),
            columns,
            conditions_on_files: on_files,
            conditions_pushed_down: pushed,
        };
        match info {
            Some(info) if info.format == "parquet" => {
                let mut found = self.run.files.found().iter();
                let found = found.find(|found| Some(&found.table.table) == table.as_ref());
                if let Some(found) = found {
                    let bucket = found.table.location.bucket();
                    let store = self.run.stores.store(bucket).map_err(|error| {
                        Error::new(ErrorKind::Store, "the store cannot be used").with_source(error)
                    })?;
                    footers(&mut scan, store.as_ref(), &distinct).await?;
                }
            }
            _ => {
                let plain = match info {
                    Some(info) if info.compression != "none" => bytes * COMPRESSED_FACTOR,
                    _ => bytes,
                };
                let width = config.file_schema().fields().len().max(1) as u64;
                scan.estimated_rows = plain / (width * TEXT_VALUE_BYTES);
            }
        }
        Ok(scan)
    }
}

/// The files that a leaf reads.
pub(crate) fn files_of(leaf: &dyn ExecutionPlan) -> Option<&FileScanConfig> {
    leaf.downcast_ref::<DataSourceExec>()?
        .data_source()
        .downcast_ref::<FileScanConfig>()
}

/// Columns of conditions that choose files, and of those that are applied while files are read.
fn conditions(config: &FileScanConfig, logical: Option<&TableScan>) -> (Vec<String>, Vec<String>) {
    let partitions: BTreeSet<&str> = config
        .table_partition_cols()
        .iter()
        .map(|field| field.name().as_str())
        .collect();
    let (mut on_files, mut pushed) = (BTreeSet::new(), BTreeSet::new());
    for filter in logical.iter().flat_map(|scan| &scan.filters) {
        let columns: Vec<String> = filter
            .column_refs()
            .iter()
            .map(|column| column.name.clone())
            .collect();
        if columns
            .iter()
            .all(|name| partitions.contains(name.as_str()))
        {
            on_files.extend(columns);
        }
    }
    let source = config.file_source();
    let own = source.downcast_ref::<RowsSource>();
    let own = own.into_iter().flat_map(|rows| rows.filters()).cloned();
    for predicate in source.filter().into_iter().chain(own) {
        let columns = datafusion::physical_expr::utils::collect_columns(&predicate);
        pushed.extend(
            columns
                .iter()
                .map(|column| column.name().to_owned())
                .filter(|name| !partitions.contains(name.as_str())),
        );
    }
    (on_files.into_iter().collect(), pushed.into_iter().collect())
}

/// What the footers of Parquet files say: rows, and bytes of the columns that are read.
async fn footers(
    scan: &mut ScanExplanation,
    store: &dyn ObjectStore,
    files: &BTreeMap<&str, &ObjectMeta>,
) -> Result<(), Error> {
    let read: BTreeSet<&str> = scan
        .columns
        .iter()
        .chain(&scan.conditions_pushed_down)
        .map(String::as_str)
        .collect();
    let (mut rows, mut taken, mut looked_at) = (0_u64, Taken::default(), 0_u64);
    for file in files.values().take(FOOTERS) {
        let source = metadata::Source {
            store,
            file,
            whole: None,
        };
        let footer = metadata::fetch(source, None).await.map_err(planning)?;
        rows += u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default();
        let of_file = Taken::of(&footer, file, &read);
        taken.bytes += of_file.bytes;
        taken.requests += of_file.requests;
        looked_at += file.size;
    }
    let whole = |part: u64| {
        let scaled =
            u128::from(part) * u128::from(scan.bytes_of_files) / u128::from(looked_at.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    };
    (scan.estimated_rows, scan.bytes_to_read) = (whole(rows), whole(taken.bytes));
    scan.requests_to_read = Some(whole(taken.requests));
    Ok(())
}

/// What reading columns of a file takes.
#[derive(Default)]
struct Taken {
    bytes: u64,
    requests: u64,
}

impl Taken {
    /// The footer, in two requests; the indexes of pages, in two; and of each group of rows the columns, with what lies between those
    /// that are close.
    fn of(footer: &ParquetMetaData, file: &ObjectMeta, read: &BTreeSet<&str>) -> Self {
        let is_read = |column: &&ColumnChunkMetaData| {
            let name = column.column_path().parts().first();
            name.is_some_and(|name| read.contains(name.as_str()))
        };
        let groups = footer.row_groups().iter();
        let mut taken = Self {
            bytes: 0,
            requests: 2,
        };
        let mut end_of_rows = 0;
        for group in groups {
            let columns = group.columns().iter();
            let ends = columns.clone().map(|column| {
                let (start, length) = column.byte_range();
                start.saturating_add(length)
            });
            end_of_rows = ends.max().unwrap_or_default().max(end_of_rows);
            let mut ranges: Vec<(u64, u64)> = columns
                .filter(is_read)
                .map(ColumnChunkMetaData::byte_range)
                .collect();
            ranges.sort_unstable();
            let mut last_end: Option<u64> = None;
            for (start, length) in ranges {
                let gap = last_end.map(|end| start.saturating_sub(end));
                match gap.filter(|gap| *gap <= READ_TOGETHER_BYTES) {
                    Some(gap) => taken.bytes += gap,
                    None => taken.requests += 1,
                }
                taken.bytes += length;
                last_end = Some(start.saturating_add(length));
            }
        }
        // Behind the rows are the indexes of pages, filters and the footer.
        taken.bytes += file.size.saturating_sub(end_of_rows);
        let mut all = footer.row_groups().iter().flat_map(|group| group.columns());
        if all.any(|column| column.offset_index_offset().is_some()) {
            taken.requests += 2;
        }
        if file.size <= WHOLE_BYTES {
            return Self {
                bytes: file.size,
                requests: 1,
            };
        }
        taken.bytes = taken.bytes.min(file.size);
        taken
    }
}
