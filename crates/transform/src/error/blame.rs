//! Which part of the SQL a failed computation is of: the plan knows it, and the engine's error only quotes a value.

use std::collections::BTreeSet;

use datafusion::{
    arrow::{datatypes::DataType, error::ArrowError},
    common::{
        DataFusionError,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan, Operator, expr::BinaryExpr},
};

use crate::{Error, ErrorKind, schema::type_name};

/// Most parts that are named.
const NAMED: usize = 3;

/// What the SQL can do about a computation that failed over rows; none when its plan computes nothing of the kind, so that a
/// file is to blame.
pub(crate) fn blame(plan: &LogicalPlan, error: &DataFusionError) -> Option<Error> {
    let root = error.find_root();
    let arrow = match root {
        DataFusionError::ArrowError(arrow, _) => Some(arrow.as_ref()),
        DataFusionError::External(external) => external.downcast_ref::<ArrowError>(),
        _ => None,
    };
    let text = root.to_string();
    // An error of ours says by itself what it is.
    let is_external = arrow.is_none() && matches!(root, DataFusionError::External(_));
    if is_external && !text.contains("regex parse error") {
        return None;
    }
    let message = match arrow {
        Some(ArrowError::DivideByZero) => by_zero(plan),
        Some(ArrowError::ArithmeticOverflow(_)) => "a number is too large for its type: CAST what is computed with to DECIMAL(38, 0) or DOUBLE".to_owned(),
        Some(ArrowError::CastError(_) | ArrowError::ParseError(_)) => casts(plan)?,
        _ if text.contains("returned more than one row") => {
            "a subquery that stands for one value gives more than one row: put LIMIT 1 into it, or max(…)".to_owned()
        }
        _ if text.contains("Cast error") || text.contains("Parser error") => casts(plan)?,
        _ if text.contains("regex") => functions(plan)?,
        _ if matches!(
            root,
            DataFusionError::Execution(_)
                | DataFusionError::Plan(_)
                | DataFusionError::NotImplemented(_)
                | DataFusionError::Configuration(_)
                | DataFusionError::Internal(_)
        ) =>
        {
            functions(plan)?
        }
        _ => return None,
    };
    Some(Error::new(ErrorKind::NotComputable, message))
}

fn by_zero(plan: &LogicalPlan) -> String {
    let divisors = parts(plan, |expr| match expr {
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::Divide | Operator::Modulo,
            right,
            ..
        }) if !matches!(right.as_ref(), Expr::Literal(..)) => Some(shown(right)),
        _ => None,
    });
    match one(&divisors) {
        Some(divisor) => {
            format!("a division by zero: `{divisor}` is 0 in a row; write NULLIF({divisor}, 0)")
        }
        None => "a division by zero: write NULLIF(…, 0) around what is divided by".to_owned(),
    }
}

/// The casts of the plan, without those that the engine made of a literal.
fn casts(plan: &LogicalPlan) -> Option<String> {
    let casts = parts(plan, |expr| match expr {
        Expr::Cast(cast) if !matches!(cast.expr.as_ref(), Expr::Literal(..)) => {
            let kind = cast.field.data_type();
            is_parsed(kind).then(|| format!("{}\u{0}{}", shown(&cast.expr), told_type(kind)))
        }
        _ => None,
    });
    if casts.is_empty() {
        return functions(plan);
    }
    if let Some(zone) = wrong_zone(plan) {
        return Some(format!(
            "`{zone}` is no time zone of the IANA database, such as Europe/Berlin"
        ));
    }
    Some(
        match one(&casts).and_then(|cast| cast.split_once('\u{0}')) {
            Some((value, kind)) => {
                format!("`{value}` is no {kind} in a row: write TRY_CAST, which gives null there")
            }
            None => {
                let values: BTreeSet<_> = casts
                    .iter()
                    .filter_map(|cast| cast.split_once('\u{0}'))
                    .map(|(value, kind)| format!("`{value}` to {kind}"))
                    .collect();
                let values: Vec<_> = values.into_iter().take(NAMED).collect();
                format!(
                    "a value cannot be cast ({}): write TRY_CAST, which gives null there",
                    values.join(", ")
                )
            }
        },
    )
}

/// A zone of AT TIME ZONE that there is not.
fn wrong_zone(plan: &LogicalPlan) -> Option<String> {
    let zones = parts(plan, |expr| match expr {
        Expr::Cast(cast) => match cast.field.data_type() {
            DataType::Timestamp(_, Some(zone)) => {
                let is_offset = zone.starts_with(['+', '-']);
                let is_known = is_offset || zone.parse::<chrono_tz::Tz>().is_ok();
                (!is_known).then(|| zone.to_string())
            }
            _ => None,
        },
        _ => None,
    });
    zones.into_iter().next()
}

/// What some functions take, in their own order of need.
const TAKEN: [(&str, &str); 14] = [
    (
        "approx_percentile_cont",
        "takes a percentile from 0 to 1: 0.95 is the 95th",
    ),
    (
        "count",
        "with DISTINCT takes one column: count the rows of a subquery with SELECT DISTINCT a, b",
    ),
    (
        "date_bin",
        "takes an interval that is longer than nothing, such as INTERVAL '15 minutes'",
    ),
    (
        "date_part",
        "takes year, quarter, month, week, day, hour, minute, second, dow, doy or epoch",
    ),
    (
        "date_trunc",
        "takes year, quarter, month, week, day, hour, minute, second, millisecond or microsecond",
    ),
    ("decode", "takes text in base64 or hex"),
    (
        "digest",
        "takes md5, sha224, sha256, sha384, sha512, blake2s, blake2b or blake3",
    ),
    ("encode", "takes base64 or hex"),
    (
        "percentile_cont",
        "takes a percentile from 0 to 1: 0.95 is the 95th",
    ),
    (
        "regexp_replace",
        "takes a regular expression: a bracket or a parenthesis in it is not closed",
    ),
    (
        "split_part",
        "counts the parts from 1 on, or from -1 on from the end",
    ),
    (
        "to_date",
        "takes a day such as 2026-01-31, or its form: to_date(text, '%d.%m.%Y')",
    ),
    (
        "to_timestamp",
        "takes a moment such as 2026-01-31T10:00:00, or its form: to_timestamp(text, '%d.%m.%Y %H:%M:%S')",
    ),
    (
        "make_date",
        "takes a year, a month from 1 to 12 and a day of that month",
    ),
];

/// What the functions of the plan take; those that are known to refuse values come first.
fn functions(plan: &LogicalPlan) -> Option<String> {
    let calls = parts(plan, |expr| match expr {
        Expr::ScalarFunction(call) => Some(call.func.name().to_owned()),
        Expr::AggregateFunction(call) => Some(call.func.name().to_owned()),
        Expr::WindowFunction(call) => Some(call.fun.name().to_owned()),
        _ => None,
    });
    let known: Vec<_> = TAKEN
        .iter()
        .filter(|(name, _)| calls.contains(*name))
        .collect();
    if let [(name, takes)] = known.as_slice() {
        return Some(format!("`{name}` {takes}"));
    }
    (!calls.is_empty()).then(|| {
        let calls: Vec<_> = calls
            .iter()
            .take(NAMED)
            .map(|name| format!("`{name}`"))
            .collect();
        format!("{} cannot take one of its arguments", calls.join(" or "))
    })
}

/// What a function takes, when it is one that refuses values.
pub(crate) fn taken(function: &str) -> Option<String> {
    let found = TAKEN.iter().find(|(name, _)| *name == function);
    found.map(|(name, takes)| format!("`{name}` {takes}"))
}

fn told_type(kind: &DataType) -> String {
    super::wording::words(&type_name(kind)).into_owned()
}

/// Whether text can fail to be one.
fn is_parsed(kind: &DataType) -> bool {
    !matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn one(parts: &BTreeSet<String>) -> Option<&str> {
    let mut parts = parts.iter();
    match (parts.next(), parts.next()) {
        (Some(part), None) => Some(part),
        _ => None,
    }
}

/// What `of` makes of the expressions of a plan.
fn parts(plan: &LogicalPlan, of: impl Fn(&Expr) -> Option<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let _ = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found.extend(of(expr));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found
}

/// A part of the SQL as an analyst wrote it, more or less. It holds no literal, which may be the value of a parameter.
fn shown(expr: &Expr) -> String {
    let has_literal = expr.exists(|expr| Ok(matches!(expr, Expr::Literal(..))));
    match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::Cast(cast) => shown(&cast.expr),
        Expr::Alias(alias) => shown(&alias.expr),
        expr if matches!(has_literal, Ok(false)) => expr.human_display().to_string(),
        _ => "…".to_owned(),
    }
}
