//! The most rows that a plan can give, as far as that is known before it runs.

use datafusion::{
    common::JoinType,
    datasource::source_as_provider,
    logical_expr::{Distinct, Expr, FetchType, Join, LogicalPlan},
};

use crate::functions::Series;

/// The engine's own function of this kind counts no row where there is one (a SELECT without FROM), and too few for
/// joins that keep rows without a partner (DataFusion 55.2, `LogicalPlan::max_rows`).
pub(crate) fn most_rows(plan: &LogicalPlan) -> Option<u64> {
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::SubqueryAlias(_) => of_input(plan),
        LogicalPlan::Distinct(Distinct::All(_) | Distinct::On(_)) => of_input(plan),
        LogicalPlan::Aggregate(aggregate) => {
            let keys = &aggregate.group_expr;
            if keys.iter().all(|key| matches!(key, Expr::Literal(..))) {
                return Some(1);
            }
            // Each set of keys has groups of its own.
            let has_sets = keys.iter().any(|key| matches!(key, Expr::GroupingSet(_)));
            if has_sets { None } else { of_input(plan) }
        }
        LogicalPlan::Sort(sort) => at_most(of_input(plan), sort.fetch.map(|rows| rows as u64)),
        LogicalPlan::Limit(limit) => {
            let fetch = match limit.get_fetch_type() {
                Ok(FetchType::Literal(rows)) => rows.map(|rows| rows as u64),
                _ => None,
            };
            at_most(of_input(plan), fetch)
        }
        LogicalPlan::Join(join) => of_join(join),
        LogicalPlan::Union(union) => {
            let mut rows = union.inputs.iter().map(|input| most_rows(input));
            rows.try_fold(0_u64, |all, rows| Some(all.saturating_add(rows?)))
        }
        LogicalPlan::EmptyRelation(empty) => Some(empty.produce_one_row.into()),
        LogicalPlan::Values(values) => Some(values.values.len() as u64),
        LogicalPlan::TableScan(scan) => {
            let table = source_as_provider(&scan.source).ok();
            let series = table.and_then(|table| Some(table.downcast_ref::<Series>()?.rows));
            at_most(series, scan.fetch.map(|rows| rows as u64))
        }
        _ => None,
    }
}

fn of_input(plan: &LogicalPlan) -> Option<u64> {
    match plan.inputs().as_slice() {
        [input] => most_rows(input),
        _ => None,
    }
}

/// A row without a partner counts where the join keeps it.
fn of_join(join: &Join) -> Option<u64> {
    let (left, right) = (|| most_rows(&join.left), || most_rows(&join.right));
    match join.join_type {
        JoinType::Inner => Some(left()?.saturating_mul(right()?)),
        JoinType::Left => Some(left()?.saturating_mul(right()?.max(1))),
        JoinType::Right => Some(left()?.max(1).saturating_mul(right()?)),
        JoinType::Full => {
            let (left, right) = (left()?, right()?);
            Some(
                left.saturating_mul(right)
                    .saturating_add(left)
                    .saturating_add(right),
            )
        }
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left(),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right(),
    }
}

fn at_most(known: Option<u64>, fetch: Option<u64>) -> Option<u64> {
    match (known, fetch) {
        (Some(known), Some(fetch)) => Some(known.min(fetch)),
        (known, fetch) => known.or(fetch),
    }
}
