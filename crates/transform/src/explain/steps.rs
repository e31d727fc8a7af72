//! The steps of a plan, as sentences for people who do not know the engine, before and after a run.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, Schema},
    physical_expr::{PhysicalExprRef, utils::collect_columns},
    physical_plan::{
        ExecutionPlan, PhysicalExpr,
        aggregates::{AggregateExec, AggregateMode},
        coalesce_partitions::CoalescePartitionsExec,
        filter::FilterExec,
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec},
        limit::{GlobalLimitExec, LocalLimitExec},
        metrics::MetricsSet,
        projection::ProjectionExec,
        repartition::RepartitionExec,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        union::UnionExec,
        windows::{BoundedWindowAggExec, WindowAggExec},
    },
};
use serde::Serialize;

use super::scans::{ScanExplanation, files_of};

/// Bytes of a text as a rule, with what points to it.
const TEXT_BYTES: u64 = 32;
/// Bytes of a list, a struct or a map, as a rule.
const NESTED_BYTES: u64 = 96;

/// One step of a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// How far it is from the answer: a step takes the rows of those below it that are one further.
    pub depth: usize,
    /// What it does. It names columns and tables, and no value.
    pub text: String,
    /// Upper bound of the bytes that it keeps in memory, as far as it is known; none for a step that lets rows pass by.
    pub keeps_bytes: Option<u64>,
    /// Whether it writes to disk what does not fit.
    pub spills: bool,
    /// What it did; none before it has run.
    pub run: Option<StepRun>,
}

/// What a step did in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StepRun {
    /// Rows that it gave.
    pub rows: u64,
    /// Time that it computed, over all threads, in microseconds.
    pub compute_us: u64,
    /// Bytes that it wrote to disk for lack of memory.
    pub spilled_bytes: u64,
    /// How often it did that.
    pub spills: u64,
    /// Bytes that it read of files, where it is the engine's own reader of Parquet.
    pub read_bytes: Option<u64>,
    /// Row groups of Parquet files that were not read since no row of theirs could match.
    pub pruned_row_groups: Option<u64>,
}

/// The steps of a plan that has not run.
pub(crate) fn steps(plan: &dyn ExecutionPlan, scans: &[ScanExplanation]) -> Vec<Step> {
    let mut walk = Walk {
        scans,
        next: 0,
        steps: Vec::new(),
        ran: false,
    };
    walk.node(plan, 0);
    walk.steps
}

/// The steps of a plan that has run, each with what it did.
pub(crate) fn done(plan: &dyn ExecutionPlan) -> Vec<Step> {
    let mut walk = Walk {
        scans: &[],
        next: 0,
        steps: Vec::new(),
        ran: true,
    };
    walk.node(plan, 0);
    walk.steps
}

struct Walk<'a> {
    scans: &'a [ScanExplanation],
    next: usize,
    steps: Vec<Step>,
    ran: bool,
}

impl Walk<'_> {
    /// Adds a node and what is below it; the rows that it gives at most.
    fn node(&mut self, plan: &dyn ExecutionPlan, depth: usize) -> u64 {
        let at = self.steps.len();
        let (text, shown) = match sentence(plan) {
            Some(text) => (text, true),
            None => (String::new(), false),
        };
        if shown {
            self.steps.push(Step {
                depth,
                text,
                keeps_bytes: None,
                spills: false,
                run: self.ran.then(|| {
                    plan.metrics()
                        .map(|metrics| figures(&metrics))
                        .unwrap_or_default()
                }),
            });
        }
        let mut below = Vec::new();
        if files_of(plan).is_some() {
            let scan = self.scans.get(self.next);
            self.next += 1;
            below.push(scan.map_or(0, |scan| scan.estimated_rows));
            if let (Some(scan), Some(step)) = (scan, self.steps.get_mut(at)) {
                step.text = format!("read `{}`", scan.table);
            }
        }
        for child in plan.children() {
            let rows = self.node(child.as_ref(), depth + usize::from(shown));
            below.push(rows);
        }
        let rows = rows_of(plan, &below);
        if let (true, false, Some(step)) = (shown, self.ran, self.steps.get_mut(at)) {
            (step.keeps_bytes, step.spills) = kept(plan, rows, &below);
        }
        rows
    }
}

/// Rows that a node gives at most, of the rows that come to it.
fn rows_of(plan: &dyn ExecutionPlan, below: &[u64]) -> u64 {
    let all: u64 = below.iter().copied().fold(0, u64::saturating_add);
    let most = below.iter().copied().max().unwrap_or(1);
    let limit = |fetch: Option<usize>| fetch.map_or(u64::MAX, |fetch| fetch as u64);
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        return if aggregate.group_expr().is_empty() {
            1
        } else {
            most
        };
    }
    if plan.is::<UnionExec>() {
        return all;
    }
    if plan.is::<CrossJoinExec>() || plan.is::<NestedLoopJoinExec>() {
        return below.iter().copied().fold(1, u64::saturating_mul);
    }
    most.min(limit(plan.fetch()))
}

/// What a node keeps of its rows at most, and whether it can put that on disk.
fn kept(plan: &dyn ExecutionPlan, rows: u64, below: &[u64]) -> (Option<u64>, bool) {
    let input = |place: usize| {
        let children = plan.children();
        let width = children
            .get(place)
            .map_or(0, |child| row_bytes(&child.schema()));
        below.get(place).copied().unwrap_or(0).saturating_mul(width)
    };
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let bytes = rows.saturating_mul(row_bytes(&plan.schema()));
        return match (aggregate.mode(), aggregate.group_expr().is_empty()) {
            (_, true) => (None, false),
            // Of the two steps of a grouping, the first passes on what does not fit.
            (AggregateMode::Partial, false) => (None, false),
            _ => (Some(bytes), true),
        };
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let bytes = rows.saturating_mul(row_bytes(&plan.schema()));
        return (Some(bytes), sort.fetch().is_none());
    }
    if plan.is::<HashJoinExec>() || plan.is::<CrossJoinExec>() || plan.is::<NestedLoopJoinExec>() {
        return (Some(input(0)), false);
    }
    if plan.is::<WindowAggExec>() {
        return (Some(input(0)), false);
    }
    (None, false)
}

fn row_bytes(schema: &Schema) -> u64 {
    let of = |kind: &DataType| match kind.primitive_width() {
        Some(bytes) => bytes as u64,
        None if kind.is_nested() => NESTED_BYTES,
        None if *kind == DataType::Boolean => 1,
        None => TEXT_BYTES,
    };
    schema
        .fields()
        .iter()
        .map(|field| of(field.data_type()))
        .sum()
}

/// What a node does; none for one that only serves another.
fn sentence(plan: &dyn ExecutionPlan) -> Option<String> {
    if files_of(plan).is_some() {
        return Some("read files".to_owned());
    }
    if let Some(filter) = plan.downcast_ref::<FilterExec>() {
        return Some(format!(
            "keep rows by conditions on {}",
            columns([filter.predicate()])
        ));
    }
    if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
        let plain = projection.expr().iter().all(|one| {
            one.expr
                .is::<datafusion::physical_expr::expressions::Column>()
        });
        return (!plain).then(|| format!("compute {}", names(projection.schema().as_ref())));
    }
    if let Some(aggregate) = plan.downcast_ref::<AggregateExec>() {
        let groups: Vec<_> = aggregate
            .group_expr()
            .expr()
            .iter()
            .map(|(_, name)| named(name))
            .collect();
        let what = match aggregate.mode() {
            AggregateMode::Partial => "of each part, ",
            _ => "",
        };
        let count = aggregate.aggr_expr().len();
        let figures = if count == 1 {
            "one figure".to_owned()
        } else {
            format!("{count} figures")
        };
        return Some(match (groups.is_empty(), count) {
            (true, _) => format!("{what}compute {figures} over all rows"),
            (false, 0) => format!("{what}keep distinct {}", groups.join(", ")),
            (false, _) => format!(
                "{what}group by {} and compute {figures} of each group",
                groups.join(", ")
            ),
        });
    }
    if let Some(sort) = plan.downcast_ref::<SortExec>() {
        let by = columns(sort.expr().iter().map(|key| &key.expr));
        return Some(match sort.fetch() {
            Some(rows) => format!("keep the first {rows} rows by {by}"),
            None => format!("sort by {by}"),
        });
    }
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        return Some(join_sentence(
            &join.join_type().to_string(),
            join.on(),
            "whose first side is kept in memory",
        ));
    }
    if let Some(join) = plan.downcast_ref::<SortMergeJoinExec>() {
        return Some(join_sentence(
            &join.join_type().to_string(),
            join.on(),
            "over two sorted sides",
        ));
    }
    if plan.is::<NestedLoopJoinExec>() || plan.is::<CrossJoinExec>() {
        return Some(
            "compare each row of the first side, kept in memory, with each of the second"
                .to_owned(),
        );
    }
    if plan.is::<WindowAggExec>() || plan.is::<BoundedWindowAggExec>() {
        return Some("compute over windows of rows".to_owned());
    }
    if let Some(rows) = plan
        .downcast_ref::<GlobalLimitExec>()
        .and_then(GlobalLimitExec::fetch)
    {
        return Some(format!("stop after {rows} rows"));
    }
    if plan.is::<UnionExec>() {
        return Some("append rows".to_owned());
    }
    let helper = plan.is::<LocalLimitExec>()
        || plan.is::<CoalescePartitionsExec>()
        || plan.is::<RepartitionExec>()
        || plan.is::<SortPreservingMergeExec>()
        || ["CoalesceBatchesExec", "CooperativeExec"].contains(&plan.name());
    (!helper).then(|| match plan.name() {
        "PlaceholderRowExec" => "begin with one row".to_owned(),
        "EmptyExec" => "begin with no row".to_owned(),
        "UnnestExec" => "make a row of each item".to_owned(),
        other => other.trim_end_matches("Exec").to_owned(),
    })
}

fn join_sentence(kind: &str, on: &[(PhysicalExprRef, PhysicalExprRef)], how: &str) -> String {
    let keys: Vec<_> = on
        .iter()
        .map(|(left, right)| format!("{} = {}", columns([left]), columns([right])))
        .collect();
    format!(
        "join ({}) on {}, {how}",
        kind.to_lowercase(),
        keys.join(" and ")
    )
}

/// The columns that expressions are about. Expressions themselves may hold values of parameters.
fn columns<'a>(expressions: impl IntoIterator<Item = &'a Arc<dyn PhysicalExpr>>) -> String {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for expression in expressions {
        let of_one: BTreeSet<String> = collect_columns(expression)
            .iter()
            .map(|column| named(column.name()))
            .collect();
        found.extend(of_one.into_iter().filter(|name| seen.insert(name.clone())));
    }
    if found.is_empty() {
        "no column".to_owned()
    } else {
        found.join(", ")
    }
}

/// A name. That of a computed column is its expression, in which values may stand.
fn named(name: &str) -> String {
    if name.contains(['(', '\'', '"', ' ']) {
        "a computed value".to_owned()
    } else {
        format!("`{name}`")
    }
}

fn names(schema: &Schema) -> String {
    let names: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| named(field.name()))
        .collect();
    names.join(", ")
}

fn figures(metrics: &MetricsSet) -> StepRun {
    let count = |value: Option<usize>| value.unwrap_or_default() as u64;
    let named = |name: &str| {
        metrics
            .sum_by_name(name)
            .map(|value| value.as_usize() as u64)
    };
    StepRun {
        rows: count(metrics.output_rows()),
        compute_us: count(metrics.elapsed_compute()) / 1000,
        spilled_bytes: count(metrics.spilled_bytes()),
        spills: count(metrics.spill_count()),
        read_bytes: named("bytes_scanned"),
        pruned_row_groups: named("row_groups_pruned_statistics"),
    }
}
