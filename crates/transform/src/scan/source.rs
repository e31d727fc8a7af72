//! The engine's view of files that are read here. A file is one range for the engine: it is divided inside of the scan, or among
//! workers.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use datafusion::{
    common::{Result, config::ConfigOptions, tree_node::TreeNodeRecursion},
    datasource::{
        physical_plan::{FileOpener, FileScanConfig, FileSource},
        projection::{ProjectionOpener, SplitProjection},
        table_schema::TableSchema,
    },
    physical_expr::projection::ProjectionExprs,
    physical_plan::{
        DisplayFormatType, PhysicalExpr, apply_expression_roots,
        filter_pushdown::{FilterPushdownPropagation, PushedDown},
        metrics::ExecutionPlanMetricsSet,
    },
};
use object_store::ObjectStore;
#[cfg(feature = "cluster")]
use object_store::path::Path;

#[cfg(feature = "cluster")]
use super::inspect::Facts;
use super::{TableScan, ahead::Ahead, chunks::chunk_bytes, opener::RowsOpener, predicate};
#[cfg(feature = "cluster")]
use crate::TableSpec;
use crate::{OnError, formats::chunk::Asked};

/// Files of one table, projected.
#[derive(Debug, Clone)]
pub(crate) struct RowsSource {
    scan: Arc<TableScan>,
    schema: TableSchema,
    projection: SplitProjection,
    /// Conditions that rows may be left out by; the engine applies them again.
    filters: Vec<Arc<dyn PhysicalExpr>>,
    batch_rows: usize,
    /// Of all partitions.
    ahead: Arc<OnceLock<Arc<Ahead>>>,
    metrics: ExecutionPlanMetricsSet,
}

impl RowsSource {
    pub(crate) fn new(scan: Arc<TableScan>, schema: TableSchema) -> Self {
        Self {
            scan,
            projection: SplitProjection::unprojected(&schema),
            schema,
            filters: Vec::new(),
            batch_rows: 8192,
            ahead: Arc::default(),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl RowsSource {
    /// Conditions that rows are left out by before they are decoded.
    pub(crate) fn filters(&self) -> &[Arc<dyn PhysicalExpr>] {
        &self.filters
    }
}

#[cfg(feature = "cluster")]
impl RowsSource {
    /// How the table is declared.
    pub(crate) fn spec(&self) -> &TableSpec {
        &self.scan.spec
    }

    /// What is known of a file since its columns were looked for.
    pub(crate) fn known(&self, path: &Path) -> Option<Arc<Facts>> {
        self.scan.known(path)
    }

    /// The same, with conditions of [`Self::filters`].
    pub(crate) fn with_filters(self, filters: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self { filters, ..self }
    }
}

impl FileSource for RowsSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let file = self.schema.file_schema();
        let wanted = self.projection.file_indices.clone();
        let quote = self.scan.spec.quote.0;
        let quote = quote
            .and_then(|quote| u8::try_from(quote).ok())
            .unwrap_or(b'"');
        let sieve = predicate::sieve(&self.filters, file, &wanted, quote);
        let all_must_fit = self.scan.spec.on_error == OnError::Skip;
        let asked = Asked::new(Arc::clone(file), wanted, all_must_fit, self.batch_rows);
        let mut asked = asked.with_declared(&self.scan.spec);
        if self.scan.spec.columns.is_none() {
            let all = self.schema.table_schema().fields().iter();
            let names = all.map(|field| field.name().clone());
            asked = asked.with_known(names, &self.scan.spec);
        }
        // Files of several partitions are read at the same time.
        let partitions = config.file_groups.len().max(1);
        let opener = RowsOpener {
            scan: Arc::clone(&self.scan),
            ahead: Arc::clone(
                self.ahead
                    .get_or_init(|| Ahead::new(&self.scan, &store, config, false).into()),
            ),
            partition,
            store,
            asked,
            sieve: Arc::new(sieve),
            chunks: self.scan.threads.div_ceil(partitions) + 1,
            chunk_bytes: chunk_bytes(self.batch_rows),
        };
        ProjectionOpener::try_new(
            self.projection.clone(),
            Arc::new(opener),
            self.schema.file_schema(),
        )
    }

    fn table_schema(&self) -> &TableSchema {
        &self.schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(Self {
            batch_rows: batch_size,
            ..self.clone()
        })
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        Ok(Some(Arc::new(Self {
            projection: SplitProjection::new(self.schema.file_schema(), &merged),
            ..self.clone()
        })))
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &'static str {
        "rows"
    }

    fn fmt_extra(&self, _kind: DisplayFormatType, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    fn supports_repartitioning(&self) -> bool {
        false
    }

    /// Conditions are only used to leave rows out early, so none is taken off the engine. With `on_error = "skip"` each row
    /// is looked at, since those that do not fit are counted.
    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let left = FilterPushdownPropagation::with_parent_pushdown_result(vec![
            PushedDown::No;
            filters.len()
        ]);
        if self.scan.spec.on_error == OnError::Skip {
            return Ok(left);
        }
        let file = self.schema.file_schema();
        let mut source = self.clone();
        let usable = filters
            .into_iter()
            .filter(|filter| predicate::is_usable(filter, file));
        source.filters.extend(usable);
        Ok(left.with_updated_node(Arc::new(source)))
    }

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let (projected, filters) = (self.projection.source.iter(), self.filters.iter());
        match apply_expression_roots(projected, visit)? {
            TreeNodeRecursion::Stop => Ok(TreeNodeRecursion::Stop),
            TreeNodeRecursion::Continue | TreeNodeRecursion::Jump => {
                apply_expression_roots(filters, visit)
            }
        }
    }
}
