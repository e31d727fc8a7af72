//! Columns that a file has in another type than the table.
//!
//! The engine casts them, and a cast rounds, cuts off and moves. Here they are converted without a loss, or the file is an error.
//! The engine does not see a cast in that, so that its simplifier does not cut a constant to the file's type either.
//! Floats go the same way, whatever their type, since a zero has no sign here.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
    },
    common::{
        DataFusionError, Result,
        tree_node::{Transformed, TreeNode},
    },
    functions::core::getfield::GetFieldFunc,
    logical_expr::ColumnarValue,
    physical_expr::{
        ScalarFunctionExpr,
        expressions::{CastExpr, Column, Literal},
        utils::collect_columns,
    },
    physical_expr_adapter::{
        DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
    },
    physical_plan::PhysicalExpr,
};

use crate::{ColumnType, TableSpec, formats::exact, schema::type_name};

/// How a table declares what its files have.
#[derive(Debug, Clone)]
pub(super) struct ExactColumns(pub(super) TableSpec);

impl ExactColumns {
    /// Whether a file's column may hold what is no value of the table's.
    pub(super) fn may_misfit(&self, own: &Field, field: &Field) -> bool {
        !exact::is_lossless(
            own.data_type(),
            &self.declared(field.name(), field.data_type()),
        )
    }

    fn declared(&self, name: &str, kind: &DataType) -> ColumnType {
        let declared = self.0.declared_type(name);
        ColumnType {
            kind: kind.clone(),
            epoch: declared.and_then(|declared| declared.epoch),
        }
    }
}

/// A column of a file. Most files have theirs where the table has them, and of many columns not each is compared with each.
pub(super) fn own_field<'a>(file: &'a Schema, place: usize, name: &str) -> Option<&'a FieldRef> {
    let there = file.fields().get(place).filter(|own| own.name() == name);
    there.or_else(|| file.fields().find(name).map(|(_, own)| own))
}

impl PhysicalExprAdapterFactory for ExactColumns {
    fn create(&self, table: SchemaRef, file: SchemaRef) -> Result<Arc<dyn PhysicalExprAdapter>> {
        let differs = table.fields().iter().enumerate().any(|(place, field)| {
            own_field(&file, place, field.name()).is_some_and(|own| {
                own.data_type() != field.data_type() || own.data_type().is_floating()
            })
        });
        let (of_table, of_file) = (Arc::clone(&table), Arc::clone(&file));
        let adapter = DefaultPhysicalExprAdapterFactory.create(of_table, of_file)?;
        Ok(if differs {
            Arc::new(Adapter {
                adapter,
                table,
                file,
                columns: self.clone(),
            })
        } else {
            adapter
        })
    }
}

#[derive(Debug)]
struct Adapter {
    adapter: Arc<dyn PhysicalExprAdapter>,
    table: SchemaRef,
    file: SchemaRef,
    columns: ExactColumns,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        for column in collect_columns(&expr) {
            self.check(column.name())?;
        }
        let adapted = self.adapter.rewrite(expr)?;
        let exact = adapted.transform_up(|node| {
            let Some(cast) = node.downcast_ref::<CastExpr>() else {
                return Ok(Transformed::no(node));
            };
            let Some((name, kind)) = self.of_table(cast.expr()) else {
                return Ok(Transformed::no(node));
            };
            let own = cast.expr().data_type(&self.file)?;
            // What the SQL itself casts is none of ours.
            if own == kind || kind != *cast.cast_type() {
                return Ok(Transformed::no(node));
            }
            let declared = self.columns.declared(&name, &kind);
            if exact::is_lossless(&own, &declared) && !is_finer(&kind, &own) {
                return Ok(Transformed::no(node));
            }
            Ok(Transformed::yes(Arc::new(Exact {
                column: Arc::clone(cast.expr()),
                field: Arc::clone(cast.target_field()),
                kind: declared,
                name,
            }) as _))
        })?;
        let zeros = exact.data.transform_up(|node| {
            let floats = node.downcast_ref::<Column>().and_then(|column| {
                let (_, own) = self.file.fields().find(column.name())?;
                own.data_type().is_floating().then_some(own)
            });
            Ok(match floats {
                Some(own) => Transformed::yes(Arc::new(Exact {
                    column: node,
                    field: Arc::clone(own),
                    kind: own.data_type().clone().into(),
                    name: own.name().clone(),
                }) as _),
                None => Transformed::no(node),
            })
        })?;
        Ok(zeros.data)
    }
}

impl Adapter {
    /// Whether values of the file's column can be values of the table's at all.
    fn check(&self, name: &str) -> Result<()> {
        if let (Ok(field), Ok(own)) = (
            self.table.field_with_name(name),
            self.file.field_with_name(name),
        ) {
            let is = self.columns.declared(name, field.data_type());
            if !exact::is_possible(own.data_type(), &is) {
                return Err(external(Unfit {
                    column: name.to_owned(),
                    has: own.data_type().clone(),
                    is: is.kind,
                    never: true,
                }));
            }
        }
        Ok(())
    }

    /// The column that an expression reads, and the type that the table has for what it reads: the column, or a member of it.
    fn of_table(&self, expr: &Arc<dyn PhysicalExpr>) -> Option<(String, DataType)> {
        if let Some(column) = expr.downcast_ref::<Column>() {
            let field = self.table.field_with_name(column.name()).ok()?;
            return Some((column.name().to_owned(), field.data_type().clone()));
        }
        let access = ScalarFunctionExpr::try_downcast_func::<GetFieldFunc>(expr.as_ref())?;
        let (column, members) = access.args().split_first()?;
        let column = column.downcast_ref::<Column>()?;
        let mut kind = self
            .table
            .field_with_name(column.name())
            .ok()?
            .data_type()
            .clone();
        for member in members {
            let name = member.downcast_ref::<Literal>()?.value().try_as_str()??;
            kind = member_type(&kind, name)?;
        }
        Some((column.name().to_owned(), kind))
    }
}

fn member_type(kind: &DataType, name: &str) -> Option<DataType> {
    let DataType::Struct(fields) = kind else {
        return None;
    };
    let field = fields.iter().find(|field| field.name() == name)?;
    Some(field.data_type().clone())
}

fn is_finer(table: &DataType, file: &DataType) -> bool {
    match (table, file) {
        (DataType::Timestamp(fine, _), DataType::Timestamp(coarse, _)) => fine > coarse,
        _ => false,
    }
}

/// A column of a file as the table has it.
#[derive(Debug)]
struct Exact {
    column: Arc<dyn PhysicalExpr>,
    field: FieldRef,
    kind: ColumnType,
    name: String,
}

impl PhysicalExpr for Exact {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let found = self.column.evaluate(batch)?.into_array(batch.num_rows())?;
        let (column, misfits) = exact::column(&found, &self.kind)?;
        if misfits.is_empty() {
            return Ok(ColumnarValue::Array(column));
        }
        Err(external(Unfit {
            column: self.name.clone(),
            has: found.data_type().clone(),
            is: self.kind.kind.clone(),
            never: false,
        }))
    }

    fn return_field(&self, _schema: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.field))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.column]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        Ok(Arc::new(Self {
            column: children.pop().unwrap_or_else(|| Arc::clone(&self.column)),
            field: Arc::clone(&self.field),
            kind: self.kind.clone(),
            name: self.name.clone(),
        }))
    }

    fn fmt_sql(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.column.fmt_sql(formatter)
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.column.eq(&other.column) && self.kind == other.kind
    }
}

impl Eq for Exact {}

impl Hash for Exact {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.column.hash(state);
    }
}

impl fmt::Display for Exact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.column.fmt(formatter)
    }
}

/// A value that does not fit.
#[derive(Debug, Clone)]
pub(super) struct Unfit {
    column: String,
    has: DataType,
    is: DataType,
    /// Whether no value of the one type can become one of the other.
    never: bool,
}

impl fmt::Display for Unfit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            column,
            has,
            is,
            never,
        } = self;
        let (has, is) = (type_name(has), type_name(is));
        if *never {
            write!(
                formatter,
                "column `{column}` is {has}, which cannot become {is}"
            )
        } else {
            write!(
                formatter,
                "column `{column}` holds a value of type {has} that is no {is}"
            )
        }
    }
}

impl std::error::Error for Unfit {}

fn external(unfit: Unfit) -> DataFusionError {
    DataFusionError::External(Box::new(unfit))
}
