//! A file's moments in the table's unit.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, FieldRef, Schema, SchemaRef},
    },
    common::{
        Result,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::ColumnarValue,
    physical_expr::expressions::{CastExpr, Column},
    physical_expr_adapter::{
        DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
    },
    physical_plan::PhysicalExpr,
};

/// Adapts conditions to files as the engine does, and hides from its simplifier that a moment was made finer: it would cut what
/// the moment is compared with to the file's unit.
#[derive(Debug)]
pub(super) struct ExactMoments;

impl PhysicalExprAdapterFactory for ExactMoments {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let coarser = table.fields().iter().any(|field| {
            let own = file.field_with_name(field.name());
            own.is_ok_and(|own| is_finer(field.data_type(), own.data_type()))
        });
        let adapter = DefaultPhysicalExprAdapterFactory.create(table, Arc::clone(&file))?;
        Ok(if coarser {
            Arc::new(Adapter { adapter, file })
        } else {
            adapter
        })
    }
}

fn is_finer(table: &DataType, file: &DataType) -> bool {
    match (table, file) {
        (DataType::Timestamp(fine, _), DataType::Timestamp(coarse, _)) => fine > coarse,
        _ => false,
    }
}

#[derive(Debug)]
struct Adapter {
    adapter: Arc<dyn PhysicalExprAdapter>,
    file: SchemaRef,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let adapted = self.adapter.rewrite(expr)?;
        let hidden = adapted.transform_up(|node| {
            let Some(cast) = node.downcast_ref::<CastExpr>() else {
                return Ok(Transformed::no(node));
            };
            let is_column = cast.expr().downcast_ref::<Column>().is_some();
            if is_column && is_finer(cast.cast_type(), &cast.expr().data_type(&self.file)?) {
                return Ok(Transformed::yes(Arc::new(Finer { cast: node }) as _));
            }
            Ok(Transformed::no(node))
        })?;
        Ok(hidden.data)
    }
}

/// A cast that is not known for one.
#[derive(Debug)]
struct Finer {
    cast: Arc<dyn PhysicalExpr>,
}

impl PhysicalExpr for Finer {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.cast.evaluate(batch)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.cast.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        self.cast.children()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let cast = Arc::clone(&self.cast).with_new_children(children)?;
        Ok(Arc::new(Self { cast }))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cast.fmt_sql(formatter)
    }
}

impl PartialEq for Finer {
    fn eq(&self, other: &Self) -> bool {
        self.cast.eq(&other.cast)
    }
}

impl Eq for Finer {}

impl Hash for Finer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.cast.hash(state);
    }
}

impl fmt::Display for Finer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cast.fmt(formatter)
    }
}
