//! What the engine's listing of files needs to know of a format that is read here.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::Session,
    common::{DataFusionError, Result, Statistics},
    datasource::{
        file_format::{FileFormat, file_compression_type::FileCompressionType},
        physical_plan::{FileScanConfig, FileSource},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    physical_plan::ExecutionPlan,
};
use object_store::{ObjectMeta, ObjectStore};

use super::{TableScan, source::RowsSource};

/// Files of one table, whatever their format.
#[derive(Debug)]
pub(crate) struct RowsFormat(pub(crate) Arc<TableScan>);

impl RowsFormat {
    /// The scan as an operator.
    pub(crate) fn planned(config: FileScanConfig) -> Arc<dyn ExecutionPlan> {
        DataSourceExec::from_data_source(config)
    }
}

#[async_trait]
impl FileFormat for RowsFormat {
    fn get_ext(&self) -> String {
        String::new()
    }

    fn get_ext_with_compression(&self, _compression: &FileCompressionType) -> Result<String> {
        Ok(String::new())
    }

    /// Each file's own is found when it is opened.
    fn compression_type(&self) -> Option<FileCompressionType> {
        None
    }

    async fn infer_schema(
        &self,
        _session: &dyn Session,
        _store: &Arc<dyn ObjectStore>,
        _objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        Err(DataFusionError::NotImplemented(
            "columns are found before the table is made".to_owned(),
        ))
    }

    async fn infer_stats(
        &self,
        _session: &dyn Session,
        _store: &Arc<dyn ObjectStore>,
        table_schema: SchemaRef,
        _object: &ObjectMeta,
    ) -> Result<Statistics> {
        Ok(Statistics::new_unknown(&table_schema))
    }

    async fn create_physical_plan(
        &self,
        _session: &dyn Session,
        config: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Self::planned(config))
    }

    fn file_source(&self, table_schema: TableSchema) -> Arc<dyn FileSource> {
        Arc::new(RowsSource::new(Arc::clone(&self.0), table_schema))
    }
}
