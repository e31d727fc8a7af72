//! What the plan of a query may not come to.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema, DataFusionError, Result as PlanResult,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    datasource::source_as_provider,
    execution::context::SQLOptions,
    logical_expr::{
        Expr, ExprSchemable, JoinType, LogicalPlan, Operator, TableScan, WindowFrameBound,
        WindowFrameUnits,
        expr::{BinaryExpr, ScalarFunction},
        logical_plan::Join,
        utils::merge_schema,
    },
};
use regex::RegexBuilder;

use super::{LONGEST_REGEX, REGEX_BYTES};
use crate::{
    Error, ErrorKind, Limits, error::planning, functions::Series, most_rows::most_rows,
    prepared::Table, statement::not_allowed,
};

/// Checks a plan: no change of anything, no table but the declared ones.
pub(crate) fn tables(plan: &LogicalPlan, tables: &BTreeMap<String, Table>) -> Result<(), Error> {
    SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false)
        .verify_plan(plan)
        .map_err(|_error| not_allowed("changes to data, schemas or settings"))?;
    first_refusal(plan, |node| forbidden(node, tables))?;
    // Here and not in `work`: a constant is computed when the plan is optimised.
    first_refusal(plan, |node| in_expressions(node, &fixed_size))?;
    first_refusal(plan, |node| in_expressions(node, &operator))?;
    first_refusal(plan, |node| {
        let schema = merge_schema(&node.inputs());
        in_expressions(node, &|expr| frame(expr, &schema))
    })
}

/// Refuses a name with capitals that several columns have, which differ in them alone: without quotes, it would be that without.
pub(crate) fn capitals(plan: &LogicalPlan, names: &BTreeSet<String>) -> Result<(), Error> {
    if names.is_empty() {
        return Ok(());
    }
    let mut columns = BTreeSet::new();
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            let fields = scan.source.schema();
            columns.extend(fields.fields().iter().map(|field| field.name().clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    for name in names {
        let lower = name.to_lowercase();
        let alike: Vec<_> = columns
            .iter()
            .filter(|column| column.to_lowercase() == lower)
            .map(|column| format!("\"{column}\""))
            .collect();
        if alike.len() > 1 {
            return Err(Error::new(
                ErrorKind::InvalidSql,
                format!(
                    "`{name}` can be one of {}: write the one that is meant in double quotes",
                    alike.join(", ")
                ),
            ));
        }
    }
    Ok(())
}

/// Operators of lists and of texts to search, where they stand between other things: the engine makes functions of the others.
fn operator(expr: &Expr) -> Option<String> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            op: op @ (Operator::AtArrow | Operator::ArrowAt),
            ..
        }) => Some(format!(
            "`{op}` between anything but lists: write strpos(text, part) > 0"
        )),
        Expr::BinaryExpr(BinaryExpr {
            op: Operator::AtAt, ..
        }) => Some("`@@`: write LIKE or ~".to_owned()),
        _ => None,
    }
}

/// Frames of a distance that the engine counts in a way of its own: 1 of moments as a month, a day of texts as nothing.
fn frame(expr: &Expr, schema: &DFSchema) -> Option<String> {
    let Expr::WindowFunction(call) = expr else {
        return None;
    };
    let frame = &call.params.window_frame;
    let has_distance =
        [&frame.start_bound, &frame.end_bound]
            .into_iter()
            .any(|bound| match bound {
                WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => !by.is_null(),
                WindowFrameBound::CurrentRow => false,
            });
    if frame.units != WindowFrameUnits::Range || !has_distance {
        return None;
    }
    let by = call.params.order_by.first()?;
    let kind = by.expr.get_type(schema).ok()?;
    if kind.is_numeric() {
        return None;
    }
    let is_bare = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(by) | WindowFrameBound::Following(by) => {
            let text = by
                .try_as_str()
                .flatten()
                .map_or(by.to_string(), str::to_owned);
            !by.is_null() && text.trim().parse::<f64>().is_ok()
        }
        WindowFrameBound::CurrentRow => false,
    };
    if !kind.is_temporal() {
        return Some(
            "RANGE with a distance over anything but numbers and moments: write ROWS".to_owned(),
        );
    }
    (is_bare(&frame.start_bound) || is_bare(&frame.end_bound)).then(|| {
        "RANGE with a bare number over moments: write INTERVAL '1 day', or ROWS".to_owned()
    })
}

/// Checks an optimised plan, values and all, for work without bounds. Messages hold no values.
pub(crate) fn work(plan: &LogicalPlan, limits: &Limits) -> Result<(), Error> {
    first_refusal(plan, |node| {
        if let LogicalPlan::Join(join) = node
            && let Some(refused) = keyless(join, limits.max_keyless_rows)
        {
            return Some(refused);
        }
        if let LogicalPlan::Join(join) = node
            && join
                .on
                .iter()
                .any(|(left, _)| has_map(left, join.left.schema()))
        {
            return Some(
                "a join that compares maps: compare their values, as in a.m['key'] = b.m['key']"
                    .to_owned(),
            );
        }
        in_expressions(node, &pattern)
    })
}

/// Whether a value is a map, or has one in it: the engine finds no rows by them.
fn has_map(expr: &Expr, schema: &DFSchema) -> bool {
    fn is_map(kind: &DataType) -> bool {
        match kind {
            DataType::Map(..) => true,
            DataType::Struct(fields) => fields.iter().any(|field| is_map(field.data_type())),
            DataType::List(item) | DataType::LargeList(item) => is_map(item.data_type()),
            _ => false,
        }
    }
    expr.get_type(schema).is_ok_and(|kind| is_map(&kind))
}

/// The first refusal of an expression of a node.
fn in_expressions(node: &LogicalPlan, check: &dyn Fn(&Expr) -> Option<String>) -> Option<String> {
    let mut refused = None;
    let _ = node.apply_expressions(|expr| {
        expr.apply(|expr| {
            refused = refused.take().or_else(|| check(expr));
            Ok(if refused.is_some() {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        })
    });
    refused
}

/// Most bytes or items that a value of a fixed size may have.
const LARGEST_FIXED: u64 = 1024;

/// A type that gives each row, null or not, as many bytes as it says: `FixedSizeBinary(2000000000)`.
fn fixed_size(expr: &Expr) -> Option<String> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else {
        return None;
    };
    let casts = ["arrow_cast", "arrow_try_cast"].contains(&func.name());
    let Some(Expr::Literal(kind, _)) = args.get(1).filter(|_| casts) else {
        return None;
    };
    let text = kind.try_as_str().flatten().unwrap_or_default();
    // What is no type, the engine reports.
    let kind = text.parse::<DataType>().ok()?;
    (size_of_each(&kind) > LARGEST_FIXED).then(|| {
        format!(
            "a type in `{}` that gives each value more than {LARGEST_FIXED} bytes or items, even to a null: use Binary or List",
            func.name()
        )
    })
}

/// Bytes or items that each value of a type has by it alone.
fn size_of_each(kind: &DataType) -> u64 {
    match kind {
        DataType::FixedSizeBinary(bytes) => u64::try_from(*bytes).unwrap_or_default(),
        DataType::FixedSizeList(item, items) => {
            let items = u64::try_from(*items).unwrap_or_default();
            items.saturating_mul(size_of_each(item.data_type()).max(1))
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::Map(item, _) => {
            size_of_each(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().fold(0, |all, field| {
            all.saturating_add(size_of_each(field.data_type()))
        }),
        DataType::Dictionary(_, value) => size_of_each(value),
        _ => 0,
    }
}

fn first_refusal(
    plan: &LogicalPlan,
    check: impl Fn(&LogicalPlan) -> Option<String>,
) -> Result<(), Error> {
    let mut found = Ok(());
    let walked: PlanResult<_> = plan.apply_with_subqueries(|node| {
        if let Some(what) = check(node) {
            found = Err(not_allowed(&what));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.and(
        walked
            .map(drop)
            .map_err(|error: DataFusionError| planning(error)),
    )
}

fn forbidden(node: &LogicalPlan, tables: &BTreeMap<String, Table>) -> Option<String> {
    match node {
        LogicalPlan::TableScan(scan) => {
            let name = scan.table_name.table();
            let own = scan
                .table_name
                .schema()
                .is_none_or(|schema| schema == "public")
                && tables.contains_key(name);
            (!own && !is_series(scan))
                .then(|| format!("reading `{}`, which is no declared table", scan.table_name))
        }
        LogicalPlan::RecursiveQuery(_) => Some("recursive queries".to_owned()),
        LogicalPlan::Explain(_) | LogicalPlan::Analyze(_) | LogicalPlan::DescribeTable(_) => {
            Some("EXPLAIN and DESCRIBE".to_owned())
        }
        LogicalPlan::Ddl(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::Statement(_) => Some("changes to data, schemas or settings".to_owned()),
        LogicalPlan::Extension(_) => Some("extensions of the engine".to_owned()),
        _ => None,
    }
}

fn is_series(scan: &TableScan) -> bool {
    source_as_provider(&scan.source).is_ok_and(|table| table.is::<Series>())
}

/// A join whose rows are all compared with each other, unless one side is known to be small.
fn keyless(join: &Join, most: u64) -> Option<String> {
    // The engine's own joins for IN and EXISTS end at the first match or keep one side's rows.
    let multiplies = matches!(
        join.join_type,
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full
    );
    // TOML's largest integer lifts the bound; how many rows a file has is not known.
    if !join.on.is_empty() || !multiplies || most >= i64::MAX.unsigned_abs() {
        return None;
    }
    let small = |side: &LogicalPlan| most_rows(side).is_some_and(|rows| rows <= most);
    (!small(&join.left) && !small(&join.right)).then(|| {
        format!(
            "a join without an equality between its tables; give it one, put LIMIT {most} or less on one side, or raise max_keyless_rows"
        )
    })
}

/// Regular expressions must be known before the rows are, and be small.
fn pattern(expr: &Expr) -> Option<String> {
    let (what, pattern) = match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            if !func.name().starts_with("regexp_") {
                return None;
            }
            (format!("`{}`", func.name()), args.get(1)?)
        }
        Expr::BinaryExpr(BinaryExpr {
            op:
                Operator::RegexMatch
                | Operator::RegexIMatch
                | Operator::RegexNotMatch
                | Operator::RegexNotIMatch,
            right,
            ..
            // The engine makes operators of `regexp_like` before this is looked at.
        }) => ("`~` or `regexp_like`".to_owned(), right.as_ref()),
        Expr::SimilarTo(like) => ("SIMILAR TO".to_owned(), like.pattern.as_ref()),
        _ => return None,
    };
    let text = match pattern {
        Expr::Literal(value, _) if value.is_null() => return None,
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.try_as_str().flatten(),
            _ => None,
        },
        _ => None,
    };
    let Some(text) = text else {
        return Some(format!(
            "a regular expression of {what} that comes out of the rows: write it into the SQL or a parameter, or compare with LIKE"
        ));
    };
    let small = text.len() <= LONGEST_REGEX
        && match RegexBuilder::new(text).size_limit(REGEX_BYTES).build() {
            Ok(_) => true,
            Err(error) => !matches!(error, regex::Error::CompiledTooBig(_)),
        };
    (!small).then(|| {
        format!(
            "a regular expression of {what} that is longer than {LONGEST_REGEX} bytes, or larger than 1 MiB when compiled"
        )
    })
}
