//! `generate_series` and `range` as tables, whose length is known when the query is planned.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    arrow::datatypes::{IntervalMonthDayNano, SchemaRef},
    catalog::{Session, TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider},
    common::{Result, ScalarValue, plan_err},
    functions_table::all_default_table_functions,
    logical_expr::{Expr, TableType},
    physical_plan::ExecutionPlan,
};

/// The table functions that there are.
pub(crate) const SERIES: [&str; 2] = ["generate_series", "range"];
/// Most rows of a series.
const MOST_ROWS: u64 = 10_000_000;
const NANOSECONDS_PER_DAY: i128 = 86_400_000_000_000;

pub(super) fn functions() -> HashMap<String, Arc<TableFunction>> {
    all_default_table_functions()
        .into_iter()
        .filter(|function| SERIES.contains(&function.name()))
        .map(|function| {
            let name = function.name().to_owned();
            let bounded = BoundedSeries(Arc::clone(&function));
            (
                name.clone(),
                Arc::new(TableFunction::new(name, Arc::new(bounded))),
            )
        })
        .collect()
}

#[derive(Debug)]
struct BoundedSeries(Arc<TableFunction>);

/// A series of bounded length.
#[derive(Debug)]
pub(crate) struct Series {
    table: Arc<dyn TableProvider>,
    /// Rather too many than too few.
    pub(crate) rows: u64,
}

impl TableFunctionImpl for BoundedSeries {
    fn call_with_args(
        &self,
        arguments: TableFunctionArgs<'_, '_>,
    ) -> Result<Arc<dyn TableProvider>> {
        let values: Vec<_> = arguments
            .exprs()
            .iter()
            .map(|expr| match expr {
                Expr::Literal(value, _) => Some(value),
                _ => None,
            })
            .collect();
        let rows = rows(&values);
        if rows > MOST_ROWS {
            return plan_err!("{} of more than {MOST_ROWS} rows", self.0.name());
        }
        Ok(Arc::new(Series {
            table: self.0.create_table_provider_with_args(arguments)?,
            rows,
        }))
    }
}

/// Rows of the series with these arguments, rather too many than too few; of arguments that are refused anyway, none.
fn rows(arguments: &[Option<&ScalarValue>]) -> u64 {
    let number = |value: &Option<&ScalarValue>| match value {
        Some(ScalarValue::Int64(Some(number))) => Some(i128::from(*number)),
        Some(ScalarValue::TimestampNanosecond(Some(number), _)) => Some(i128::from(*number)),
        Some(ScalarValue::Date32(Some(day))) => Some(i128::from(*day) * NANOSECONDS_PER_DAY),
        _ => None,
    };
    let (start, end, step) = match arguments {
        [end] => (Some(0), number(end), Some(1)),
        [start, end] => (number(start), number(end), Some(1)),
        [
            start,
            end,
            Some(ScalarValue::IntervalMonthDayNano(Some(step))),
        ] => (number(start), number(end), Some(shortest(*step))),
        [start, end, step] => (number(start), number(end), number(step)),
        _ => return 0,
    };
    let (Some(start), Some(end), Some(step)) = (start, end, step) else {
        return 0;
    };
    let rows = (end - start).unsigned_abs() / step.unsigned_abs().max(1) + 1;
    u64::try_from(rows).unwrap_or(u64::MAX)
}

/// The shortest that an interval can be, in nanoseconds; parts that work against each other can come to nothing.
pub(super) fn shortest(step: IntervalMonthDayNano) -> i128 {
    let days = i128::from(step.months) * 28 + i128::from(step.days);
    let nanoseconds = i128::from(step.nanoseconds);
    let parts = [i128::from(step.months), i128::from(step.days), nanoseconds];
    let mixed = parts.iter().any(|part| *part < 0) && parts.iter().any(|part| *part > 0);
    if mixed {
        1
    } else {
        // A day of 23 hours is the shortest.
        days * (NANOSECONDS_PER_DAY / 24 * 23) + nanoseconds
    }
}

#[async_trait]
impl TableProvider for Series {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.table.scan(session, projection, filters, limit).await
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{arrow::datatypes::IntervalMonthDayNano, common::ScalarValue};

    use super::rows;

    #[test]
    fn rows_are_counted_before_there_are_any() {
        let number = |number| ScalarValue::Int64(Some(number));
        assert_eq!(rows(&[Some(&number(10))]), 11);
        assert_eq!(
            rows(&[Some(&number(5)), Some(&number(-5)), Some(&number(-2))]),
            6
        );
        assert_eq!(
            rows(&[Some(&number(i64::MIN)), Some(&number(i64::MAX))]),
            u64::MAX
        );
        let day = |day| ScalarValue::Date32(Some(day));
        let step = |months, days, nanoseconds| {
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(
                months,
                days,
                nanoseconds,
            )))
        };
        assert!((365..400).contains(&rows(&[
            Some(&day(0)),
            Some(&day(365)),
            Some(&step(0, 1, 0))
        ])));
        assert!(rows(&[Some(&day(0)), Some(&day(365)), Some(&step(0, 0, 1))]) > 1_000_000_000);
        assert!(rows(&[Some(&day(0)), Some(&day(365)), Some(&step(1, -30, 0))]) > 1_000_000_000);
    }
}
