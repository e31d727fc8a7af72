//! Text compared with numbers. The engine reads the text as a number: `'0301'` would equal 301, and a text that is no number ends the
//! query. Which of the two is meant is for the SQL to say.

use std::collections::BTreeSet;

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        DFSchema,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    datasource::source_as_provider,
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan,
        expr::{Between, BinaryExpr, Case, InList, InSubquery, SetComparison},
        utils::merge_schema,
    },
};

use crate::{
    Error, ErrorKind, Place,
    comparisons::is_comparison,
    decimals::CHOOSING,
    error::{planning, shown},
    files_table::FilesTable,
};

/// Refuses a comparison of a text of the files with a number. A constant beside a column of numbers may be written as text.
pub(crate) fn comparisons(plan: &LogicalPlan) -> Result<(), Error> {
    // Tables in memory were looked at when they were loaded.
    let Some(untyped) = untyped(plan) else {
        return Ok(());
    };
    let mut refused = None;
    let walked = plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        let mut look = |expr: &Expr| {
            let found =
                || text_with_number(expr, &schema).filter(|text| !is_untyped(text, &untyped));
            refused = refused.take().or_else(found);
            Ok(match refused {
                Some(_) => TreeNodeRecursion::Stop,
                None => TreeNodeRecursion::Continue,
            })
        };
        if let LogicalPlan::Join(join) = node {
            for (left, right) in &join.on {
                look(&left.clone().eq(right.clone()))?;
            }
        }
        node.apply_expressions(|expr| expr.apply(&mut look))
    });
    walked.map_err(planning)?;
    match refused {
        None => Ok(()),
        Some(text) => {
            Err(Error::new(ErrorKind::InvalidSql, message(&text)).at(Place::of_expr(&text)))
        }
    }
}

fn message(text: &Expr) -> String {
    // A part with a constant is not named: it may be the value of a parameter.
    let (name, cast) = match shown(text).as_str() {
        "…" => ("a text".to_owned(), "text".to_owned()),
        name => (format!("`{name}` is text and"), name.to_owned()),
    };
    format!(
        "{name} is compared with a number: put the number in quotes (a parameter: declare it as string) to compare texts, or write CAST({cast} AS BIGINT) to compare numbers"
    )
}

/// The text that an expression compares with a number.
fn text_with_number(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let of = |compared: &[&Expr]| {
        let (first, others) = compared.split_first()?;
        others.iter().find_map(|other| {
            text_of(first, other, schema).or_else(|| text_of(other, first, schema))
        })
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            of(&[left.as_ref(), right.as_ref()])
        }
        Expr::Between(Between {
            expr, low, high, ..
        }) => of(&[expr.as_ref(), low.as_ref(), high.as_ref()]),
        Expr::InList(InList { expr, list, .. }) => {
            let all: Vec<&Expr> = std::iter::once(expr.as_ref()).chain(list).collect();
            of(&all)
        }
        Expr::Case(Case {
            expr: Some(expr),
            when_then_expr,
            ..
        }) => {
            let when = when_then_expr.iter().map(|(when, _)| when.as_ref());
            let all: Vec<&Expr> = std::iter::once(expr.as_ref()).chain(when).collect();
            of(&all)
        }
        Expr::ScalarFunction(call) if CHOOSING.contains(&call.func.name()) => {
            let all: Vec<&Expr> = call.args.iter().collect();
            of(&all)
        }
        Expr::InSubquery(InSubquery { expr, subquery, .. })
        | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            let inner = subquery.subquery.schema();
            let column = inner.columns().into_iter().next().map(Expr::Column)?;
            let (mine, theirs) = (expr.get_type(schema).ok()?, inner.field(0).data_type());
            if is_text(&mine) && theirs.is_numeric() && has_column(expr) {
                return Some(expr.as_ref().clone());
            }
            (mine.is_numeric() && is_text(theirs)).then_some(column)
        }
        _ => None,
    }
}

/// `text`, where it is one of the files and the other a number.
fn text_of(text: &Expr, number: &Expr, schema: &DFSchema) -> Option<Expr> {
    let kind = |expr: &Expr| expr.get_type(schema).ok();
    let is_mixed = has_column(text)
        && kind(text).is_some_and(|kind| is_text(&kind))
        && kind(number).is_some_and(|kind| kind.is_numeric());
    is_mixed.then(|| text.clone())
}

/// Whether all columns of a text are text only because no file has a value of them: they equal nothing.
fn is_untyped(text: &Expr, untyped: &BTreeSet<String>) -> bool {
    let has_typed = text.exists(|part| {
        Ok(match part {
            Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => {
                !untyped.contains(&column.name)
            }
            _ => false,
        })
    });
    matches!(has_typed, Ok(false))
}

/// The columns of files without a value; none where the plan reads no files.
fn untyped(plan: &LogicalPlan) -> Option<BTreeSet<String>> {
    let mut found: Option<BTreeSet<String>> = None;
    let _ = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(table) = source_as_provider(&scan.source)
            && let Some(files) = table.downcast_ref::<FilesTable>()
        {
            let untyped = files.untyped().iter().cloned();
            found.get_or_insert_default().extend(untyped);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => is_text(value),
        _ => false,
    }
}

fn has_column(expr: &Expr) -> bool {
    let found = expr.exists(|part| {
        Ok(matches!(
            part,
            Expr::Column(_) | Expr::OuterReferenceColumn(..)
        ))
    });
    found.unwrap_or(true)
}
