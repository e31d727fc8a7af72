//! Before types are brought together: what stands beside a moment of another zone is read as one of UTC.
//!
//! The engine would read `TIMESTAMP '2026-01-05 10:00:00'` beside a column of Europe/Berlin on Berlin's clocks. It would also
//! read text as the column's very type, and so cut the time of day from `'2026-01-05 10:00:00'` beside a date, or the fraction
//! from `'… 10:00:00.5'` beside whole seconds.

use std::sync::Arc;

use chrono::{Timelike, Utc};
use datafusion::{
    arrow::{
        compute::kernels::cast_utils::string_to_datetime,
        datatypes::{DataType, Field, TimeUnit},
    },
    common::{
        DFSchema, Result, ScalarValue,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, Operator, Union,
        expr::{BinaryExpr, Cast, InSubquery, ScalarFunction},
        expr_rewriter::coerce_plan_expr_for_schema,
        logical_plan::Join,
        utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use crate::{
    comparisons::{Sides, SidesOf, sides},
    kept_text::{self, Own},
    marked::{unmarked, within},
    named,
    schema::is_text,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct UtcMoments;

impl AnalyzerRule for UtcMoments {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(node)
            .map(|plan| plan.data)
    }

    fn name(&self) -> &'static str {
        "utc_moments"
    }
}

fn node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let plan = match plan {
        LogicalPlan::Join(join) if !join.on.is_empty() => LogicalPlan::Join(keys(join)?),
        LogicalPlan::Union(union) => LogicalPlan::Union(united(union)?),
        other => other,
    };
    let inputs = plan.inputs();
    if inputs.is_empty() {
        return Ok(Transformed::no(plan));
    }
    let schema = merge_schema(&inputs);
    named::expressions(plan, |expr| {
        expr.transform_up(|expr| aligned(expr, &schema))
    })
}

/// Both sides of each key of a join.
fn keys(mut join: Join) -> Result<Join> {
    for (left, right) in &mut join.on {
        let kinds = [
            left.get_type(join.left.schema())?,
            right.get_type(join.right.schema())?,
        ];
        align(&mut [left, right], &kinds, Text::IsRead);
    }
    Ok(join)
}

/// Columns without a zone, where another part of the union has one.
fn united(mut union: Union) -> Result<Union> {
    let width = union
        .inputs
        .iter()
        .map(|input| input.schema().fields().len());
    let width = width.min().unwrap_or_default();
    let zoned: Vec<bool> = (0..width)
        .map(|place| {
            let mut parts = union.inputs.iter();
            parts.any(|input| is_zoned(input.schema().field(place).data_type()))
        })
        .collect();
    if !zoned.contains(&true) {
        return Ok(union);
    }
    for input in &mut union.inputs {
        let fields: Vec<_> = input
            .schema()
            .iter()
            .enumerate()
            .map(|(place, (qualifier, field))| {
                let kind = match field.data_type() {
                    DataType::Timestamp(unit, None) if zoned.get(place) == Some(&true) => {
                        DataType::Timestamp(*unit, Some("UTC".into()))
                    }
                    other => other.clone(),
                };
                let field = Field::clone(field).with_data_type(kind);
                (qualifier.cloned(), Arc::new(field))
            })
            .collect();
        let wanted = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        if wanted.fields() != input.schema().fields() {
            *input = Arc::new(coerce_plan_expr_for_schema(
                Arc::unwrap_or_clone(Arc::clone(input)),
                &wanted,
            )?);
        }
    }
    Ok(union)
}

/// Whether text beside moments is one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    IsRead,
    StaysText,
}

fn aligned(mut expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let mut changed = false;
    for Sides { exprs, of } in sides(&mut expr) {
        changed |= match of {
            SidesOf::Comparison => together(exprs, schema, Text::IsRead),
            SidesOf::Case => together(exprs, schema, Text::StaysText),
            // All functions are looked at below.
            SidesOf::Function => false,
        };
    }
    changed |= match &mut expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::Minus,
            right,
        }) => {
            together(vec![left, right], schema, Text::StaysText)
                | in_one_zone([left, right], schema)
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. }) => {
            let kinds = [
                expr.get_type(schema)?,
                subquery.subquery.schema().field(0).data_type().clone(),
            ];
            in_subquery(expr, &kinds)
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if args.len() > 1 => {
            let text = if func.name() == "nullif" {
                Text::IsRead
            } else {
                Text::StaysText
            };
            together(args.iter_mut().collect(), schema, text)
        }
        _ => false,
    };
    Ok(if changed {
        Transformed::yes(expr)
    } else {
        Transformed::no(expr)
    })
}

/// Brings two moments of different zones to UTC: the engine cannot take one from the other.
fn in_one_zone(exprs: [&mut Box<Expr>; 2], schema: &DFSchema) -> bool {
    let kinds = [exprs[0].get_type(schema), exprs[1].get_type(schema)];
    let [
        Ok(DataType::Timestamp(_, Some(left))),
        Ok(DataType::Timestamp(_, Some(right))),
    ] = &kinds
    else {
        return false;
    };
    if left == right {
        return false;
    }
    for (expr, kind) in exprs.into_iter().zip(&kinds) {
        if let Ok(DataType::Timestamp(unit, _)) = kind {
            cast(expr, DataType::Timestamp(*unit, Some("UTC".into())));
        }
    }
    true
}

fn cast(expr: &mut Expr, kind: DataType) {
    let inner = std::mem::replace(expr, Expr::Literal(ScalarValue::Null, None));
    *expr = Expr::Cast(Cast::new(Box::new(inner), kind));
}

/// Aligns expressions that are brought to one type; says whether any was changed.
fn together(mut exprs: Vec<&mut Expr>, schema: &DFSchema, text: Text) -> bool {
    let kinds = exprs
        .iter()
        .map(|expr| expr.get_type(schema))
        .collect::<Result<Vec<_>>>();
    // What has no type is refused by the engine, in its words.
    kinds.is_ok_and(|kinds| align(&mut exprs, &kinds, text))
}

fn align(exprs: &mut [&mut Expr], kinds: &[DataType], text: Text) -> bool {
    let moments = exprs
        .iter()
        .zip(kinds)
        .filter_map(|(expr, kind)| match kind {
            DataType::Timestamp(_, _) if is_far(expr) => Some(TimeUnit::Microsecond),
            DataType::Timestamp(unit, _) => Some(*unit),
            _ => None,
        });
    let zoned = kinds.iter().any(is_zoned);
    let dated = kinds.iter().any(is_date);
    // The engine would make a date of it, without its time of day.
    let mut all = exprs.iter().zip(kinds);
    let reads_rows =
        dated && text == Text::IsRead && all.any(|(expr, kind)| is_text(kind) && is_of_rows(expr));
    let of_text = reads_rows.then_some(TimeUnit::Microsecond);
    let of_moments = moments.max();
    let finest = of_moments.or(of_text);
    if finest.is_none() && !dated {
        return false;
    }
    let utc = || zoned.then(|| Arc::from("UTC"));
    let mut zones = kinds
        .iter()
        .map(|kind| matches!(kind, DataType::Timestamp(_, Some(_))));
    let has_zones = zones.any(|has_zone| has_zone);
    let in_utc = || has_zones.then(|| Arc::from("UTC"));
    let mut changed = false;
    for (expr, kind) in exprs.iter_mut().zip(kinds) {
        let wanted = match kind {
            DataType::Timestamp(unit, None) if zoned => DataType::Timestamp(*unit, utc()),
            kind if is_date(kind) && zoned => DataType::Timestamp(TimeUnit::Microsecond, utc()),
            // The engine would make nanoseconds of both, which end in 2262.
            kind if is_date(kind) && text == Text::IsRead && finest.is_some_and(is_coarse) => {
                DataType::Timestamp(finest.unwrap_or(TimeUnit::Microsecond), in_utc())
            }
            DataType::Timestamp(TimeUnit::Nanosecond, zone) if is_far(expr) => {
                if let Expr::Cast(written) = expr {
                    **expr = unmarked::<Own>(written.expr.as_ref().clone()).data;
                }
                DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
            }
            kind if is_text(kind) && text == Text::IsRead => {
                let Some(unit) = unit_of_text(expr, finest, zoned || reads_rows) else {
                    continue;
                };
                if of_moments.is_none() && constant_text(expr).is_none() {
                    **expr = kept_text::beside_days(std::mem::take(*expr));
                }
                DataType::Timestamp(unit, in_utc())
            }
            _ => continue,
        };
        cast(expr, wanted);
        changed = true;
    }
    changed
}

/// A column of another zone is brought to UTC, since the rows of the subquery cannot be.
fn in_subquery(expr: &mut Expr, kinds: &[DataType; 2]) -> bool {
    let wanted = match kinds {
        [DataType::Timestamp(unit, _), DataType::Timestamp(_, None)] if is_zoned(&kinds[0]) => {
            DataType::Timestamp(*unit, Some("UTC".into()))
        }
        [DataType::Timestamp(unit, None), other] if is_zoned(other) => {
            DataType::Timestamp(*unit, Some("UTC".into()))
        }
        [text, other] if is_text(text) && is_date(other) => {
            *expr = kept_text::beside_days(std::mem::take(expr));
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        _ => return false,
    };
    cast(expr, wanted);
    true
}

/// The unit that text beside moments of the `finest` unit, or beside dates, is read in; none where the engine reads it right,
/// which it does not where it is `misread`.
fn unit_of_text(expr: &Expr, finest: Option<TimeUnit>, misread: bool) -> Option<TimeUnit> {
    let Some(text) = constant_text(expr) else {
        return misread.then_some(finest.unwrap_or(TimeUnit::Microsecond));
    };
    let moment = string_to_datetime(&Utc, text.trim()).ok()?;
    let needed = match moment.nanosecond() {
        0 => TimeUnit::Second,
        nanos if nanos % 1_000_000 == 0 => TimeUnit::Millisecond,
        nanos if nanos % 1000 == 0 => TimeUnit::Microsecond,
        _ => TimeUnit::Nanosecond,
    };
    match finest {
        Some(finest) => {
            let is_read_by_us = misread || needed > finest || is_beyond_nanoseconds(text);
            is_read_by_us.then_some(needed.max(finest))
        }
        None => text
            .contains(':')
            .then_some(needed.max(TimeUnit::Microsecond)),
    }
}

const fn is_coarse(unit: TimeUnit) -> bool {
    !matches!(unit, TimeUnit::Nanosecond)
}

/// Whether an expression is a moment that is written out and that 64 bits of nanoseconds do not reach.
fn is_far(expr: &Expr) -> bool {
    matches!(expr, Expr::Cast(_)) && constant_text(expr).is_some_and(is_beyond_nanoseconds)
}

fn is_beyond_nanoseconds(text: &str) -> bool {
    string_to_datetime(&Utc, text.trim()).is_ok_and(|moment| moment.timestamp_nanos_opt().is_none())
}

fn constant_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        Expr::Cast(cast) => constant_text(&cast.expr),
        _ => within::<Own>(expr).and_then(constant_text),
    }
}

/// Whether an expression depends on rows.
fn is_of_rows(expr: &Expr) -> bool {
    let found = expr.exists(|part| {
        Ok(matches!(
            part,
            Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_)
        ))
    });
    found.unwrap_or(true)
}

/// Whether a moment is shown on the clocks of another zone than UTC.
fn is_zoned(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(_, Some(zone)) if !matches!(zone.as_ref(), "UTC" | "Etc/UTC" | "Z" | "+00:00"))
}

const fn is_date(kind: &DataType) -> bool {
    matches!(kind, DataType::Date32 | DataType::Date64)
}
