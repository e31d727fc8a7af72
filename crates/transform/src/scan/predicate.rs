//! From the engine's conditions to what rules rows out before they are decoded.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{BooleanArray, RecordBatch},
        compute::and_kleene,
        datatypes::{DataType, Schema},
    },
    common::cast::as_boolean_array,
    logical_expr::Operator,
    physical_expr::{
        ScalarFunctionExpr,
        expressions::{BinaryExpr, CastExpr, Column, InListExpr, LikeExpr, Literal},
        utils::{collect_columns, reassign_expr_columns},
    },
    physical_expr_common::physical_expr::is_volatile,
    physical_plan::PhysicalExpr,
};

use crate::formats::sieve::{Judge, Needles, Sieve};

/// Shorter texts are in too many rows.
const SHORTEST_NEEDLE: usize = 3;
/// More texts than this are searched for more slowly than rows are decoded.
const MOST_NEEDLES: usize = 64;

/// Whether a condition can be judged in the scan: it always gives the same for the same row, and the row's file has all of
/// its columns.
pub(crate) fn is_usable(filter: &Arc<dyn PhysicalExpr>, file: &Schema) -> bool {
    let columns = collect_columns(filter);
    !columns.is_empty()
        && columns.iter().all(|column| {
            file.fields()
                .get(column.index())
                .is_some_and(|field| field.name() == column.name())
        })
        && !is_volatile(filter)
}

/// What rules out rows that fail one of `filters`, which are all usable.
pub(crate) fn sieve(
    filters: &[Arc<dyn PhysicalExpr>],
    file: &Schema,
    wanted: &[usize],
    quote: u8,
) -> Sieve {
    let mut columns: Vec<usize> = filters
        .iter()
        .flat_map(collect_columns)
        .map(|column| column.index())
        .collect();
    columns.sort_unstable();
    columns.dedup();
    let judge = (!filters.is_empty()
        && columns.iter().all(|place| wanted.contains(place))
        && columns.len() < wanted.len())
    .then(|| judge(filters, file, &columns))
    .flatten();
    let best = filters
        .iter()
        .filter_map(|filter| needles(filter, file))
        .filter(|needles| are_searchable(needles, quote))
        .max_by_key(|needles| shortest(needles));
    let needles = best.and_then(|needles| Needles::new(&needles));
    Sieve {
        needles,
        columns: if judge.is_some() { columns } else { Vec::new() },
        judge,
    }
}

fn judge(filters: &[Arc<dyn PhysicalExpr>], file: &Schema, columns: &[usize]) -> Option<Judge> {
    let schema = file.project(columns).ok()?;
    let filters: Vec<_> = filters
        .iter()
        .map(|filter| reassign_expr_columns(Arc::clone(filter), &schema).ok())
        .collect::<Option<_>>()?;
    Some(Box::new(move |batch: &RecordBatch| {
        let mut all: Option<BooleanArray> = None;
        for filter in &filters {
            // Where a condition fails, the engine finds that out by itself, and tells.
            let value = filter.evaluate(batch).ok()?;
            let value = value.into_array(batch.num_rows()).ok()?;
            let value = as_boolean_array(&value).ok()?;
            all = Some(match all {
                None => value.clone(),
                Some(all) => and_kleene(&all, value).ok()?,
            });
        }
        all
    }))
}

/// Texts of which each row that meets the condition holds at least one, in a column of text.
fn needles(filter: &Arc<dyn PhysicalExpr>, file: &Schema) -> Option<Vec<String>> {
    if let Some(binary) = filter.downcast_ref::<BinaryExpr>() {
        let (left, right) = (binary.left(), binary.right());
        return match binary.op() {
            Operator::Eq if is_text(left, file) => Some(vec![literal(right)?]),
            Operator::Eq if is_text(right, file) => Some(vec![literal(left)?]),
            Operator::And => match (needles(left, file), needles(right, file)) {
                (Some(left), Some(right)) if shortest(&right) > shortest(&left) => Some(right),
                (left, right) => left.or(right),
            },
            Operator::Or => {
                let mut either = needles(left, file)?;
                either.extend(needles(right, file)?);
                Some(either)
            }
            _ => None,
        };
    }
    if let Some(list) = filter.downcast_ref::<InListExpr>() {
        let usable = !list.negated() && is_text(list.expr(), file);
        return usable.then(|| list.list().iter().map(literal).collect())?;
    }
    if let Some(like) = filter.downcast_ref::<LikeExpr>() {
        let usable = !like.negated() && !like.case_insensitive() && is_text(like.expr(), file);
        let pattern = usable.then(|| literal(like.pattern()))??;
        if pattern.contains('\\') {
            return None;
        }
        let longest = pattern.split(['%', '_']).max_by_key(|part| part.len())?;
        return Some(vec![longest.to_owned()]);
    }
    if let Some(call) = filter.downcast_ref::<ScalarFunctionExpr>()
        && let [text, part] = call.args()
        && matches!(call.name(), "starts_with" | "ends_with" | "contains")
        && is_text(text, file)
    {
        return Some(vec![literal(part)?]);
    }
    None
}

fn is_text(expr: &Arc<dyn PhysicalExpr>, file: &Schema) -> bool {
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        let to_text = matches!(
            cast.cast_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        );
        return to_text && is_text(cast.expr(), file);
    }
    expr.downcast_ref::<Column>()
        .is_some_and(|column| *file.field(column.index()).data_type() == DataType::Utf8)
}

fn literal(expr: &Arc<dyn PhysicalExpr>) -> Option<String> {
    let literal = expr.downcast_ref::<Literal>()?;
    literal.value().try_as_str().flatten().map(str::to_owned)
}

fn shortest(needles: &[String]) -> usize {
    needles.iter().map(String::len).min().unwrap_or_default()
}

/// Whether the texts are in files as they are: quotes may be doubled or escaped.
fn are_searchable(needles: &[String], quote: u8) -> bool {
    needles.len() <= MOST_NEEDLES
        && shortest(needles) >= SHORTEST_NEEDLE
        && needles.iter().all(|needle| {
            needle
                .bytes()
                .all(|byte| byte >= b' ' && byte != quote && byte != b'"' && byte != b'\\')
        })
}
