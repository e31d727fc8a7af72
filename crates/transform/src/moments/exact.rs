//! Before expressions are simplified: a column of whole seconds that is compared with 10:00:00.5 is compared with 10:00:00 in a
//! way that holds. The engine's rule (`unwrap_cast_in_comparison` of `DataFusion` 55) cuts the moment to the column's unit.

use std::sync::Arc;

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::{
        DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, Operator,
        expr::{Between, BinaryExpr, InList},
        lit,
        simplify::SimplifyContext,
        utils::merge_schema,
    },
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule, simplify_expressions::ExprSimplifier},
};

use crate::named;

/// See the module.
#[derive(Debug)]
pub(crate) struct ExactMoments;

impl OptimizerRule for ExactMoments {
    fn name(&self) -> &'static str {
        "exact_moments"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let schema = match &plan {
            LogicalPlan::TableScan(scan) if scan.filters.is_empty() => {
                return Ok(Transformed::no(plan));
            }
            LogicalPlan::TableScan(scan) => {
                DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?
            }
            other => merge_schema(&other.inputs()),
        };
        let has_moments = schema
            .fields()
            .iter()
            .any(|field| matches!(field.data_type(), DataType::Timestamp(..)));
        if !has_moments {
            return Ok(Transformed::no(plan));
        }
        let schema = Arc::new(schema);
        let context = SimplifyContext::builder()
            .with_schema(Arc::clone(&schema))
            .with_config_options(config.options())
            .with_query_execution_start_time(config.query_execution_start_time())
            .build();
        let exact = Exact {
            schema: &schema,
            simplifier: ExprSimplifier::new(context),
        };
        named::expressions(plan, |expr| {
            expr.transform_up(|expr| Ok(exact.compared(expr)))
        })
    }
}

struct Exact<'a> {
    schema: &'a DFSchema,
    simplifier: ExprSimplifier,
}

impl Exact<'_> {
    fn compared(&self, expr: Expr) -> Transformed<Expr> {
        let changed = match &expr {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => self
                .binary(left, *op, right)
                .or_else(|| self.binary(right, op.swap()?, left)),
            Expr::Between(between) => self.range(between),
            Expr::InList(list) => self.list(list),
            _ => None,
        };
        match changed {
            Some(changed) => Transformed::yes(changed),
            None => Transformed::no(expr),
        }
    }

    fn binary(&self, left: &Expr, op: Operator, right: &Expr) -> Option<Expr> {
        let (column, kind) = self.widened(left)?;
        let before = self.before(right, &kind)?;
        let column = column.clone();
        Some(match op {
            Operator::Eq => never(column),
            Operator::NotEq => always(column),
            Operator::IsDistinctFrom => lit(true),
            Operator::IsNotDistinctFrom => lit(false),
            Operator::Lt | Operator::LtEq => column.lt_eq(before),
            Operator::Gt | Operator::GtEq => column.gt(before),
            _ => return None,
        })
    }

    fn range(&self, between: &Between) -> Option<Expr> {
        let Between {
            expr,
            negated,
            low,
            high,
        } = between;
        let (from, to) = if *negated {
            (Operator::Lt, Operator::Gt)
        } else {
            (Operator::GtEq, Operator::LtEq)
        };
        let (low_exact, high_exact) = (self.binary(expr, from, low), self.binary(expr, to, high));
        if low_exact.is_none() && high_exact.is_none() {
            return None;
        }
        let plain = |op, end: &Expr| {
            Expr::BinaryExpr(BinaryExpr::new(expr.clone(), op, Box::new(end.clone())))
        };
        let low = low_exact.unwrap_or_else(|| plain(from, low));
        let high = high_exact.unwrap_or_else(|| plain(to, high));
        Some(if *negated {
            low.or(high)
        } else {
            low.and(high)
        })
    }

    /// A list without the moments that no value of the column is.
    fn list(&self, list: &InList) -> Option<Expr> {
        let (column, kind) = self.widened(&list.expr)?;
        let kept: Vec<Expr> = list
            .list
            .iter()
            .filter(|item| self.before(item, &kind).is_none())
            .cloned()
            .collect();
        if kept.len() == list.list.len() {
            return None;
        }
        Some(match (kept.is_empty(), list.negated) {
            (true, false) => never(column.clone()),
            (true, true) => always(column.clone()),
            _ => Expr::InList(InList::new(list.expr.clone(), kept, list.negated)),
        })
    }

    /// The expression of a coarser unit that was made finer, and its own type.
    fn widened<'e>(&self, expr: &'e Expr) -> Option<(&'e Expr, DataType)> {
        let (inner, to) = match expr {
            Expr::Cast(cast) => (&cast.expr, cast.field.data_type()),
            Expr::TryCast(cast) => (&cast.expr, cast.field.data_type()),
            _ => return None,
        };
        let from = inner.get_type(self.schema).ok()?;
        let (DataType::Timestamp(coarse, _), DataType::Timestamp(fine, _)) = (&from, to) else {
            return None;
        };
        let depends = inner.any_column_refs();
        (depends && fine > coarse).then(|| (inner.as_ref(), from.clone()))
    }

    /// The value of `kind` before a constant that lies between two of them.
    fn before(&self, expr: &Expr, kind: &DataType) -> Option<Expr> {
        let value = match expr {
            Expr::Literal(value, _) => value.clone(),
            other if other.any_column_refs() || other.is_volatile() => return None,
            other => match self.simplifier.simplify(other.clone()).ok()? {
                Expr::Literal(value, _) => value,
                _ => return None,
            },
        };
        let (ticks, unit) = match value {
            ScalarValue::TimestampSecond(Some(ticks), _) => (ticks, TimeUnit::Second),
            ScalarValue::TimestampMillisecond(Some(ticks), _) => (ticks, TimeUnit::Millisecond),
            ScalarValue::TimestampMicrosecond(Some(ticks), _) => (ticks, TimeUnit::Microsecond),
            ScalarValue::TimestampNanosecond(Some(ticks), _) => (ticks, TimeUnit::Nanosecond),
            _ => return None,
        };
        let DataType::Timestamp(coarse, zone) = kind else {
            return None;
        };
        let factor = per_second(unit) / per_second(*coarse);
        if factor <= 1 || ticks.rem_euclid(factor) == 0 {
            return None;
        }
        let before = Some(ticks.div_euclid(factor));
        let zone = zone.clone();
        let before = match coarse {
            TimeUnit::Second => ScalarValue::TimestampSecond(before, zone),
            TimeUnit::Millisecond => ScalarValue::TimestampMillisecond(before, zone),
            TimeUnit::Microsecond => ScalarValue::TimestampMicrosecond(before, zone),
            TimeUnit::Nanosecond => ScalarValue::TimestampNanosecond(before, zone),
        };
        Some(Expr::Literal(before, None))
    }
}

const fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// False, or null where the value is.
fn never(value: Expr) -> Expr {
    value.is_null().and(lit(ScalarValue::Boolean(None)))
}

/// True, or null where the value is.
fn always(value: Expr) -> Expr {
    value.is_not_null().or(lit(ScalarValue::Boolean(None)))
}
