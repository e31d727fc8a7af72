//! The engine's view of files that are read here. A reader that divides files plugs in here: it would allow ranges in
//! [`FileSource::supports_repartitioning`] and open them in its own [`FileOpener`].

use std::{fmt, sync::Arc};

use datafusion::{
    common::{Result, tree_node::TreeNodeRecursion},
    datasource::{
        physical_plan::{FileOpener, FileScanConfig, FileSource},
        projection::{ProjectionOpener, SplitProjection},
        table_schema::TableSchema,
    },
    physical_expr::projection::ProjectionExprs,
    physical_plan::{DisplayFormatType, PhysicalExpr, metrics::ExecutionPlanMetricsSet},
};
use object_store::ObjectStore;

use super::{TableScan, opener::RowsOpener};

/// Files of one table, projected.
#[derive(Debug, Clone)]
pub(crate) struct RowsSource {
    scan: Arc<TableScan>,
    schema: TableSchema,
    projection: SplitProjection,
    batch_rows: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl RowsSource {
    pub(crate) fn new(scan: Arc<TableScan>, schema: TableSchema) -> Self {
        Self {
            scan,
            projection: SplitProjection::unprojected(&schema),
            schema,
            batch_rows: 8192,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl FileSource for RowsSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        _config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let opener = RowsOpener {
            scan: Arc::clone(&self.scan),
            store,
            table: Arc::clone(self.schema.file_schema()),
            wanted: self.projection.file_indices.clone(),
            batch_rows: self.batch_rows,
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

    fn apply_expressions(
        &self,
        visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        datafusion::physical_plan::apply_expression_roots(self.projection.source.iter(), visit)
    }
}
