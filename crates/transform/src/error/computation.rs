//! Finds the part of the SQL whose computation failed: the engine's error only quotes a value, and the plan has the expressions.

use std::collections::BTreeSet;

use datafusion::{
    arrow::{
        datatypes::{DataType, TimeUnit},
        error::ArrowError,
    },
    common::{
        DFSchema, DataFusionError,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan, Operator, expr::BinaryExpr, utils::merge_schema,
    },
};

use crate::{
    Error, ErrorKind,
    functions::unchecked,
    schema::type_name,
    too_large::{BEYOND_CALENDAR, BEYOND_NANOSECONDS},
};

/// Most parts that are named.
const NAMED: usize = 3;

/// The error of a computation that failed over rows, with what to change in the SQL. `None` when the plan has no such computation:
/// then a file is the cause.
pub(crate) fn computation_error(plan: &LogicalPlan, error: &DataFusionError) -> Option<Error> {
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
        Some(arrow) if is_of_file(arrow) => return None,
        Some(ArrowError::DivideByZero) => by_zero(plan),
        Some(ArrowError::CastError(_) | ArrowError::ParseError(_)) => casts(plan)?,
        Some(ArrowError::InvalidArgumentError(text)) if text.contains("to store in a") => {
            casts(plan)?
        }
        Some(_) => computed(plan, &text)?,
        None if text.contains("returned more than one row") => {
            "a subquery that stands for one value gives more than one row: put LIMIT 1 into it, or max(…)".to_owned()
        }
        None if text.contains("Cast error") || text.contains("Parser error") => casts(plan)?,
        None if matches!(
            root,
            DataFusionError::Execution(_)
                | DataFusionError::External(_)
                | DataFusionError::Plan(_)
                | DataFusionError::NotImplemented(_)
                | DataFusionError::Configuration(_)
                | DataFusionError::Internal(_)
        ) =>
        {
            computed(plan, &text)?
        }
        None => return None,
    };
    Some(Error::new(ErrorKind::NotComputable, message))
}

/// Whether an error is one of decoding or of the disk, and not of computing.
fn is_of_file(error: &ArrowError) -> bool {
    matches!(
        error,
        ArrowError::AvroError(_)
            | ArrowError::CsvError(_)
            | ArrowError::ExternalError(_)
            | ArrowError::IoError(..)
            | ArrowError::IpcError(_)
            | ArrowError::JsonError(_)
            | ArrowError::MemoryError(_)
            | ArrowError::ParquetError(_)
    )
}

/// The message for a computation that failed: of the function that the error names, of arithmetic on moments, or of the plan's
/// functions.
fn computed(plan: &LogicalPlan, text: &str) -> Option<String> {
    let is_beyond = text.contains("verflow") || text.contains("representable");
    if is_beyond && has(plan, is_refined) {
        return Some(BEYOND_NANOSECONDS.to_owned());
    }
    let named = calls(plan);
    let mut named = named.iter().filter(|name| text.contains(name.as_str()));
    if let (Some(name), None) = (named.next(), named.next()) {
        let refused = || format!("`{name}` cannot take one of its arguments");
        return Some(accepted_arguments(name).unwrap_or_else(refused));
    }
    if has(plan, is_temporal_arithmetic) {
        return Some(BEYOND_CALENDAR.to_owned());
    }
    functions(plan)
}

/// Whether a plan has an expression of a kind.
fn has(plan: &LogicalPlan, of_kind: fn(&Expr, &DFSchema) -> bool) -> bool {
    let mut found = false;
    let _ = plan.apply_with_subqueries(|node| {
        let schema = match node {
            LogicalPlan::TableScan(scan) => {
                let own = scan.source.schema();
                DFSchema::try_from_qualified_schema(scan.table_name.clone(), &own)?
            }
            node => merge_schema(&node.inputs()),
        };
        node.apply_expressions(|expr| {
            found |= expr.exists(|expr| Ok(of_kind(expr, &schema)))?;
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found
}

/// Whether an expression adds or subtracts moments, days or spans of time.
pub(crate) fn is_temporal_arithmetic(expr: &Expr, schema: &DFSchema) -> bool {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Plus | Operator::Minus,
        right,
    }) = expr
    else {
        return false;
    };
    [left, right]
        .into_iter()
        .any(|side| side.get_type(schema).is_ok_and(|kind| kind.is_temporal()))
}

/// Whether an expression makes nanoseconds of moments of another unit.
fn is_refined(expr: &Expr, schema: &DFSchema) -> bool {
    let Expr::Cast(cast) = expr else {
        return false;
    };
    matches!(
        (cast.expr.get_type(schema), cast.field.data_type()),
        (Ok(DataType::Timestamp(own, _)), DataType::Timestamp(TimeUnit::Nanosecond, _))
            if own != TimeUnit::Nanosecond
    )
}

fn by_zero(plan: &LogicalPlan) -> String {
    let divisors = parts(plan, |expr| match expr {
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::Divide | Operator::Modulo,
            right,
            ..
        }) if !matches!(right.as_ref(), Expr::Literal(..)) => Some(display_expr(right)),
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
            is_parsed(kind)
                .then(|| format!("{}\u{0}{}", display_expr(&cast.expr), short_type_name(kind)))
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

/// Arguments that some functions accept, in the order of their names.
const ACCEPTED: [(&str, &str); 27] = [
    (
        "abs",
        "takes a number other than the smallest of its type, which has no positive twin",
    ),
    (
        "approx_percentile_cont",
        "takes a percentile from 0 to 1: 0.95 is the 95th",
    ),
    ("array_resize", "takes a length from 0 on"),
    ("array_slice", "takes a step other than 0"),
    ("chr", "takes the number of a Unicode character, such as 65"),
    (
        "count",
        "with DISTINCT takes one column: write count(DISTINCT (a, b)), or count the rows of a subquery with SELECT DISTINCT a, b",
    ),
    (
        "date_bin",
        "takes an interval that is longer than nothing, without months beside days, such as INTERVAL '15 minutes'",
    ),
    (
        "date_part",
        "takes year, quarter, month, week, day, hour, minute, second, dow, doy or epoch; of a span of time (one moment - another) epoch, its seconds",
    ),
    (
        "date_trunc",
        "takes year, quarter, month, week, day, hour, minute, second, millisecond or microsecond",
    ),
    (
        "decode",
        "takes text in base64 or hex, and 'base64' or 'hex' as its form",
    ),
    (
        "digest",
        "takes md5, sha224, sha256, sha384, sha512, blake2s, blake2b or blake3, the same for all rows",
    ),
    ("encode", "takes 'base64' or 'hex' as the form to write"),
    ("factorial", "takes a whole number from 0 to 20"),
    (
        "gcd",
        "takes two whole numbers whose divisor fits an integer",
    ),
    (
        "get_field",
        "takes the name of a member as constant text, or a key of the type that the map has",
    ),
    (
        "lcm",
        "takes two whole numbers whose multiple fits an integer",
    ),
    (
        "make_date",
        "takes a year, a month from 1 to 12 and a day of that month",
    ),
    (
        "make_time",
        "takes an hour from 0 to 23, a minute and a second",
    ),
    ("overlay", "takes a place from 1 on"),
    (
        "percentile_cont",
        "takes a percentile from 0 to 1: 0.95 is the 95th",
    ),
    (
        "power",
        "takes no 0 to a negative power, and its result has to fit the type: CAST to DOUBLE first for large ones",
    ),
    (
        "regexp_replace",
        "takes a regular expression: a bracket or a parenthesis in it is not closed",
    ),
    (
        "split_part",
        "counts the parts from 1 on, or from -1 on from the end",
    ),
    ("sqrt", "takes a number from 0 on"),
    ("substr", "takes a length from 0 on"),
    (
        "to_date",
        "takes a day such as 2026-01-31, or its form: to_date(text, '%d.%m.%Y')",
    ),
    (
        "to_timestamp",
        "takes a moment such as 2026-01-31T10:00:00, or its form, which all rows have: to_timestamp(text, '%d.%m.%Y %H:%M:%S')",
    ),
];

/// The functions of the plan, as the SQL calls them.
fn calls(plan: &LogicalPlan) -> BTreeSet<String> {
    let mut calls = parts(plan, |expr| match expr {
        Expr::ScalarFunction(call) => Some(call.func.name().to_owned()),
        Expr::AggregateFunction(call) => Some(call.func.name().to_owned()),
        Expr::WindowFunction(call) => Some(call.fun.name().to_owned()),
        _ => None,
    });
    calls.retain(|name| name.starts_with(|first: char| first.is_alphabetic()));
    calls
}

/// The message for a failed function: what it accepts, if the plan has one function of [`ACCEPTED`]; otherwise the plan's functions.
fn functions(plan: &LogicalPlan) -> Option<String> {
    let calls = calls(plan);
    // `count` refuses no value: what it takes is for the plan to say.
    let known: Vec<_> = ACCEPTED
        .iter()
        .filter(|(name, _)| calls.contains(*name) && *name != "count")
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

/// The arguments that a function accepts, if it is in [`ACCEPTED`].
pub(crate) fn accepted_arguments(function: &str) -> Option<String> {
    let found = ACCEPTED.iter().find(|(name, _)| *name == function);
    found.map(|(name, takes)| format!("`{name}` {takes}"))
}

/// A type without its width or unit: in a message about one value, they say nothing.
pub(crate) fn short_type_name(kind: &DataType) -> String {
    let name = type_name(kind);
    let end = match kind {
        DataType::Timestamp(..) => name.find('('),
        _ => name.find(" ("),
    };
    name[..end.unwrap_or(name.len())].to_owned()
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
            unchecked(expr).apply(|expr| {
                found.extend(of(expr));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    found
}

/// An expression of the plan as SQL, close to what the analyst wrote. Expressions with a literal become `…`, since the literal may
/// be the value of a parameter.
pub(crate) fn display_expr(expr: &Expr) -> String {
    let has_literal = expr.exists(|expr| Ok(matches!(expr, Expr::Literal(..))));
    match expr {
        Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => column.name.clone(),
        Expr::Cast(cast) => display_expr(&cast.expr),
        Expr::Alias(alias) => display_expr(&alias.expr),
        expr if matches!(has_literal, Ok(false)) => expr.human_display().to_string(),
        _ => "…".to_owned(),
    }
}
