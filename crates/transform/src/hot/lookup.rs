//! Which conditions of a query an index answers, and the rows that it answers with.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{RecordBatch, RecordBatchOptions},
        datatypes::{DataType, Schema, SchemaRef},
    },
    common::{DFSchema, Result, ScalarValue, tree_node::TreeNode},
    logical_expr::{
        ColumnarValue, Expr, Operator,
        execution_props::ExecutionProps,
        expr::{Between, BinaryExpr, InList, Like, ScalarFunction},
        physical_planning_context::PhysicalPlanningContext,
        utils::split_conjunction,
    },
    physical_expr::{PhysicalExpr, create_physical_expr},
};

use super::table::HotTable;
use crate::schema::is_text;

/// One condition on one column, with what it compares with.
#[derive(Debug, Clone)]
pub(crate) struct Lookup<E> {
    pub(crate) column: usize,
    pub(crate) test: Test<E>,
}

#[derive(Debug, Clone)]
pub(crate) enum Test<E> {
    /// Equal to one of them.
    In(Vec<E>),
    /// Between two ends, each with whether it belongs to the range.
    Range(Option<(E, bool)>, Option<(E, bool)>),
    /// Text that a LIKE pattern of this value matches.
    Like(E),
    /// Text that begins with this value.
    Prefix(E),
}

impl<E> Lookup<E> {
    /// The same condition with other operands.
    pub(crate) fn map<F>(&self, with: impl FnMut(&E) -> Result<F>) -> Result<Lookup<F>> {
        Ok(Lookup {
            column: self.column,
            test: self.test.map(with)?,
        })
    }
}

impl<E> Test<E> {
    pub(crate) const fn is_equality(&self) -> bool {
        matches!(self, Self::In(_))
    }

    /// The same test of other operands.
    fn map<F>(&self, mut with: impl FnMut(&E) -> Result<F>) -> Result<Test<F>> {
        Ok(match self {
            Self::Range(lower, upper) => {
                let mut end = |end: &Option<(E, bool)>| -> Result<Option<(F, bool)>> {
                    let Some((value, closed)) = end else {
                        return Ok(None);
                    };
                    Ok(Some((with(value)?, *closed)))
                };
                Test::Range(end(lower)?, end(upper)?)
            }
            Self::In(items) => Test::In(items.iter().map(with).collect::<Result<_>>()?),
            Self::Like(pattern) => Test::Like(with(pattern)?),
            Self::Prefix(prefix) => Test::Prefix(with(prefix)?),
        })
    }
}

/// The conditions of a filter that an index could answer.
pub(crate) fn found(filter: &Expr, schema: &Schema) -> Vec<Lookup<Expr>> {
    split_conjunction(filter)
        .into_iter()
        .filter_map(|condition| lookup(condition, schema))
        .collect()
}

fn lookup(condition: &Expr, schema: &Schema) -> Option<Lookup<Expr>> {
    let one = |column, test| Some(Lookup { column, test });
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            if *op == Operator::Or {
                return either(lookup(left, schema)?, lookup(right, schema)?);
            }
            let (column, op, value) = match (column(left, schema), column(right, schema)) {
                (Some(column), None) if constant(right) => (column, *op, right.as_ref().clone()),
                (None, Some(column)) if constant(left) => {
                    (column, op.swap()?, left.as_ref().clone())
                }
                _ => return None,
            };
            one(
                column,
                match op {
                    Operator::Eq => Test::In(vec![value]),
                    Operator::Lt => Test::Range(None, Some((value, false))),
                    Operator::LtEq => Test::Range(None, Some((value, true))),
                    Operator::Gt => Test::Range(Some((value, false)), None),
                    Operator::GtEq => Test::Range(Some((value, true)), None),
                    _ => return None,
                },
            )
        }
        Expr::InList(InList {
            expr,
            list,
            negated: false,
        }) if list.iter().all(constant) => one(column(expr, schema)?, Test::In(list.clone())),
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) if constant(low) && constant(high) => one(
            column(expr, schema)?,
            Test::Range(
                Some((low.as_ref().clone(), true)),
                Some((high.as_ref().clone(), true)),
            ),
        ),
        Expr::Like(Like {
            negated: false,
            expr,
            pattern,
            escape_char: None,
            case_insensitive: false,
        }) if constant(pattern) => one(column(expr, schema)?, Test::Like(pattern.as_ref().clone())),
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == "starts_with" => {
            match args.as_slice() {
                [text, prefix] if constant(prefix) => {
                    one(column(text, schema)?, Test::Prefix(prefix.clone()))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The engine writes short lists as equalities with OR between them.
fn either(left: Lookup<Expr>, right: Lookup<Expr>) -> Option<Lookup<Expr>> {
    match (left.test, right.test) {
        (Test::In(mut left_items), Test::In(right_items)) if left.column == right.column => {
            left_items.extend(right_items);
            Some(Lookup {
                column: left.column,
                test: Test::In(left_items),
            })
        }
        _ => None,
    }
}

/// The column that an expression is, perhaps as another kind of text or as a wider integer.
fn column(expr: &Expr, schema: &Schema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.index_of(&column.name).ok(),
        Expr::Cast(cast) => {
            let column = column(&cast.expr, schema)?;
            let own = schema.field(column).data_type();
            comparable(own, cast.field.data_type()).then_some(column)
        }
        _ => None,
    }
}

/// Whether values of the one compare with values of the other as they do in the first type.
fn comparable(own: &DataType, other: &DataType) -> bool {
    let wider = || {
        own.is_signed_integer()
            && other.is_signed_integer()
            && own.primitive_width() <= other.primitive_width()
    };
    own == other || (is_text(own) && is_text(other)) || wider()
}

/// Known before any row is.
fn constant(expr: &Expr) -> bool {
    let depends = expr.exists(|node| {
        Ok(matches!(
            node,
            Expr::Column(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
        ))
    });
    matches!(depends, Ok(false)) && !expr.is_volatile()
}

impl Lookup<Expr> {
    /// With its operands ready to be computed.
    pub(crate) fn compiled(&self, props: &ExecutionProps) -> Result<Lookup<Arc<dyn PhysicalExpr>>> {
        let none = DFSchema::empty();
        let context = PhysicalPlanningContext::default();
        self.map(|expr| create_physical_expr(expr, &none, props, &context))
    }
}

/// The value of an expression without columns.
pub(crate) fn value_of(expr: &Arc<dyn PhysicalExpr>) -> Result<ScalarValue> {
    let schema: SchemaRef = Schema::empty().into();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one = RecordBatch::try_new_with_options(schema, Vec::new(), &options)?;
    match expr.evaluate(&one)? {
        ColumnarValue::Scalar(value) => Ok(value),
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0),
    }
}

/// The rows that can match all conditions, in the order of the table; `None` when no index helps.
pub(crate) fn select(
    table: &HotTable,
    lookups: &[Lookup<ScalarValue>],
) -> Result<Option<Vec<u32>>> {
    let equalities = lookups.iter().filter(|lookup| lookup.test.is_equality());
    for lookup in equalities {
        if let Some(rows) = rows(table, lookup)? {
            return Ok(Some(rows));
        }
    }
    let mut best: Option<Vec<u32>> = None;
    for lookup in lookups.iter().filter(|lookup| !lookup.test.is_equality()) {
        let found = rows(table, lookup)?;
        best = match (best, found) {
            (Some(best), Some(found)) if best.len() <= found.len() => Some(best),
            (best, found) => found.or(best),
        };
    }
    // Most of a table is read faster as it lies.
    Ok(best.filter(|rows| rows.len() <= table.rows() / 2))
}

fn rows(table: &HotTable, lookup: &Lookup<ScalarValue>) -> Result<Option<Vec<u32>>> {
    let kind = table.schema.field(lookup.column).data_type();
    let mut rows = Vec::new();
    match &lookup.test {
        Test::In(items) => {
            let Some(index) = table.hash(lookup.column) else {
                return Ok(None);
            };
            for item in items {
                if !comparable(kind, &item.data_type()) {
                    return Ok(None);
                }
                // A number that is too large for the column equals none of it, and null equals nothing.
                let value = if item.data_type() == *kind {
                    Ok(item.clone())
                } else {
                    item.cast_to(kind)
                };
                if let Ok(value) = value
                    && !value.is_null()
                {
                    index.rows(&value, &mut rows)?;
                }
            }
        }
        Test::Range(lower, upper) => {
            let Some(index) = table.sorted(lookup.column) else {
                return Ok(None);
            };
            let mut ends = [None, None];
            for (place, end) in [lower, upper].into_iter().enumerate() {
                let Some((value, closed)) = end else { continue };
                if !comparable(kind, &value.data_type()) {
                    return Ok(None);
                }
                let Ok(own) = value.cast_to(kind) else {
                    return Ok(None);
                };
                if own.is_null() {
                    return Ok(Some(rows));
                }
                ends[place] = Some((own, *closed));
            }
            index.range(ends[0].as_ref(), ends[1].as_ref(), &mut rows)?;
        }
        Test::Like(value) | Test::Prefix(value) => {
            let (Some(index), Some(text)) = (table.sorted(lookup.column), value.try_as_str())
            else {
                return Ok(None);
            };
            let Some(text) = text else {
                return Ok(Some(rows));
            };
            let fixed = if matches!(lookup.test, Test::Like(_)) {
                text.split(['%', '_', '\\']).next().unwrap_or_default()
            } else {
                text
            };
            if fixed.is_empty() || !is_text(kind) {
                return Ok(None);
            }
            index.prefix(fixed, &mut rows);
        }
    }
    rows.sort_unstable();
    rows.dedup();
    Ok(Some(rows))
}
