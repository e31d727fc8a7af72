//! A table in memory as a table of the engine: conditions on indexed columns choose the rows that it sees at all.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    catalog::Session,
    common::Result,
    datasource::{TableProvider, TableType},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableProviderFilterPushDown, utils::conjunction},
    physical_plan::{
        ExecutionPlan,
        stream::RecordBatchStreamAdapter,
        streaming::{PartitionStream, StreamingTableExec},
    },
};

use super::{
    lookup::{found, select, value_of},
    table::HotTable,
};

#[derive(Debug)]
pub(crate) struct HotProvider(pub(crate) Arc<HotTable>);

#[derive(Debug)]
struct Rows {
    table: Arc<HotTable>,
    schema: SchemaRef,
    columns: Vec<usize>,
    chosen: Option<RecordBatch>,
}

#[async_trait]
impl TableProvider for HotProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
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
        let table = &self.0;
        let columns =
            projection.map_or_else(|| (0..table.schema.fields().len()).collect(), Clone::clone);
        let schema: SchemaRef = table.schema.project(&columns)?.into();
        let filter = conjunction(filters.iter().cloned());
        let lookups = filter.map_or_else(Vec::new, |filter| found(&filter, &table.schema));
        let mut values = Vec::with_capacity(lookups.len());
        for lookup in lookups {
            let compiled = lookup.compiled(state.execution_props())?;
            values.push(compiled.map(value_of)?);
        }
        let chosen = select(table, &values)?
            .map(|rows| table.take(&rows, &columns, &schema))
            .transpose()?;
        let rows = Arc::new(Rows {
            table: Arc::clone(table),
            schema: Arc::clone(&schema),
            columns,
            chosen,
        });
        let plan = StreamingTableExec::try_new(schema, vec![rows], None, [], false, limit)?;
        Ok(Arc::new(plan))
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // The engine looks at the rows again: an index may name too many.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches: Box<dyn Iterator<Item = Result<RecordBatch>> + Send> = match &self.chosen {
            Some(rows) => Box::new(std::iter::once(Ok(rows.clone()))),
            None => {
                let (table, columns) = (Arc::clone(&self.table), self.columns.clone());
                Box::new((0..table.batches()).map(move |number| table.batch(number, &columns)))
            }
        };
        Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            futures::stream::iter(batches),
        ))
    }
}
