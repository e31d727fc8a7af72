//! Text compared with numbers. The engine reads the text as a number: `'0301'` would equal 301, and a text that is no number ends the
//! query. Which of the two is meant is for the SQL to say.

use std::collections::BTreeSet;

use datafusion::{
    arrow::datatypes::{DataType, FieldRef},
    common::{
        DFSchema,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    datasource::source_as_provider,
    logical_expr::{
        Expr, ExprSchemable, LogicalPlan,
        expr::{InSubquery, SetComparison},
        utils::merge_schema,
    },
};

use crate::{
    Error, ErrorKind, Place,
    comparisons::{Sides, SidesOf, sides},
    error::{display_expr, planning},
    files_table::FilesTable,
    schema::is_text,
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
            refused = refused.take().or_else(|| mixed(expr, &schema, &untyped));
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
        Some(Mixed { text, message }) => {
            Err(Error::new(ErrorKind::InvalidSql, message).at(Place::of_expr(&text)))
        }
    }
}

/// A text beside a number, and what is said of it.
struct Mixed {
    text: Expr,
    message: String,
}

/// Functions of lists that compare their first arguments with each other, or make one list of them; and how many arguments
/// these are.
const OF_LISTS: [(&str, usize); 18] = [
    ("array_append", 2),
    ("array_concat", usize::MAX),
    ("array_except", 2),
    ("array_has", 2),
    ("array_has_all", 2),
    ("array_has_any", 2),
    ("array_intersect", 2),
    ("array_position", 2),
    ("array_positions", 2),
    ("array_prepend", 2),
    ("array_remove", 2),
    ("array_remove_all", 2),
    ("array_remove_n", 2),
    ("array_replace", 3),
    ("array_replace_all", 3),
    ("array_replace_n", 3),
    ("array_union", 2),
    ("make_array", usize::MAX),
];

/// The text that an expression brings to one type with a number.
fn mixed(expr: &Expr, schema: &DFSchema, untyped: &BTreeSet<String>) -> Option<Mixed> {
    let told = |text: Expr| {
        let is_list = text.get_type(schema).is_ok_and(|kind| kind.is_nested());
        (!is_untyped(&text, untyped)).then(|| Mixed {
            message: message(&text, is_list),
            text,
        })
    };
    match expr {
        Expr::InSubquery(InSubquery { expr, subquery, .. })
        | Expr::SetComparison(SetComparison { expr, subquery, .. }) => {
            let inner = subquery.subquery.schema();
            let column = inner.columns().into_iter().next().map(Expr::Column)?;
            let (mine, theirs) = (expr.get_type(schema).ok()?, inner.field(0).data_type());
            if mixes(&mine, theirs) && has_column(expr) {
                return told(expr.as_ref().clone());
            }
            mixes(theirs, &mine).then(|| told(column)).flatten()
        }
        Expr::ScalarFunction(call) => {
            let name = call.func.name();
            if let Some((_, compared)) = OF_LISTS.iter().find(|(function, _)| *function == name) {
                let values: Vec<&Expr> = call.args.iter().take(*compared).collect();
                return text_beside_number(&values, schema, leaf).and_then(told);
            }
            in_sides(expr, schema).and_then(told)
        }
        Expr::BinaryExpr(_) | Expr::Between(_) | Expr::InList(_) | Expr::Case(_) => {
            in_sides(expr, schema).and_then(told)
        }
        _ => None,
    }
}

/// The results of a CASE stay text.
fn in_sides(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let mut copy = expr.clone();
    sides(&mut copy)
        .into_iter()
        .filter(|sides| sides.of != SidesOf::Case)
        .find_map(|Sides { exprs, .. }| {
            let exprs: Vec<&Expr> = exprs.into_iter().map(|side| &*side).collect();
            text_beside_number(&exprs, schema, |kind| kind)
        })
}

fn message(text: &Expr, is_list: bool) -> String {
    // A part with a constant is not named: it may be the value of a parameter.
    let (name, cast) = match display_expr(text).as_str() {
        "…" => ("a text".to_owned(), "text".to_owned()),
        name => (format!("`{name}`"), name.to_owned()),
    };
    if is_list {
        return format!(
            "{name} holds texts and stands beside a number: put the number in quotes (a parameter: declare it as string)"
        );
    }
    let and = if name == "a text" { "" } else { " is text and" };
    format!(
        "{name}{and} is compared with a number: put the number in quotes (a parameter: declare it as string) to compare texts, or write CAST({cast} AS BIGINT) to compare numbers"
    )
}

/// The part of a type that is compared: all of a list, or what it holds.
type Part = fn(&DataType) -> &DataType;

/// The text among expressions of one type-to-be, where another of them is a number.
fn text_beside_number(exprs: &[&Expr], schema: &DFSchema, part: Part) -> Option<Expr> {
    let (first, others) = exprs.split_first()?;
    let beside_first = others.iter().find_map(|other| {
        text_of(first, other, schema, part).or_else(|| text_of(other, first, schema, part))
    });
    beside_first.or_else(|| {
        let is_number = |expr: &&&Expr| {
            let kind = expr.get_type(schema);
            kind.is_ok_and(|kind| part(&kind).is_numeric())
        };
        let number = others.iter().find(is_number)?;
        let mut texts = exprs.iter();
        texts.find_map(|text| text_of(text, number, schema, part))
    })
}

/// The part of `text` that is a text of the files where the other is a number.
fn text_of(text: &Expr, number: &Expr, schema: &DFSchema, part: Part) -> Option<Expr> {
    if let (Some(texts), Some(numbers)) = (members(text), members(number))
        && texts.len() == numbers.len()
    {
        let mut pairs = texts.into_iter().zip(numbers);
        return pairs.find_map(|(text, number)| text_of(text, number, schema, part));
    }
    let kind = |expr: &Expr| expr.get_type(schema).ok();
    let is_mixed = has_column(text) && mixes(part(&kind(text)?), part(&kind(number)?));
    is_mixed.then(|| innermost(text, schema).clone())
}

/// The values that an object is made of.
fn members(expr: &Expr) -> Option<Vec<&Expr>> {
    let Expr::ScalarFunction(call) = expr else {
        return None;
    };
    match call.func.name() {
        "struct" => Some(call.args.iter().collect()),
        "named_struct" => Some(call.args.iter().skip(1).step_by(2).collect()),
        _ => None,
    }
}

/// The text of the files that a list is made of.
fn innermost<'e>(text: &'e Expr, schema: &DFSchema) -> &'e Expr {
    let Expr::ScalarFunction(call) = text else {
        return text;
    };
    let is_text = |item: &&Expr| {
        let kind = item.get_type(schema);
        has_column(item) && kind.is_ok_and(|kind| is_text(leaf(&kind)))
    };
    match call.args.iter().find(is_text) {
        Some(item) if call.func.name() == "make_array" => innermost(item, schema),
        _ => text,
    }
}

/// Whether a type has text where another has a number.
fn mixes(text: &DataType, number: &DataType) -> bool {
    use DataType::{Dictionary, FixedSizeList, LargeList, LargeListView, List, ListView};
    match (text, number) {
        (Dictionary(_, text), number) => mixes(text, number),
        (text, Dictionary(_, number)) => mixes(text, number),
        (
            List(_) | LargeList(_) | FixedSizeList(..) | ListView(_) | LargeListView(_),
            List(_) | LargeList(_) | FixedSizeList(..) | ListView(_) | LargeListView(_),
        ) => mixes(leaf(text), leaf(number)),
        (DataType::Struct(texts), DataType::Struct(numbers)) => {
            let by_name = texts.iter().filter_map(|text| {
                let same = numbers.iter().find(|number| number.name() == text.name());
                Some((text, same?))
            });
            let by_name: Vec<_> = by_name.collect();
            let mixes = |(text, number): (&FieldRef, &FieldRef)| {
                mixes(text.data_type(), number.data_type())
            };
            if by_name.len() == texts.len() {
                by_name.into_iter().any(mixes)
            } else {
                texts.iter().zip(numbers).any(mixes)
            }
        }
        (DataType::Map(texts, _), DataType::Map(numbers, _)) => {
            mixes(texts.data_type(), numbers.data_type())
        }
        (text, number) => is_text(text) && number.is_numeric(),
    }
}

/// The type of what lists hold.
fn leaf(kind: &DataType) -> &DataType {
    match kind {
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::FixedSizeList(field, _)
        | DataType::ListView(field)
        | DataType::LargeListView(field) => leaf(field.data_type()),
        DataType::Dictionary(_, value) => leaf(value),
        kind => kind,
    }
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

fn has_column(expr: &Expr) -> bool {
    let found = expr.exists(|part| {
        Ok(matches!(
            part,
            Expr::Column(_) | Expr::OuterReferenceColumn(..)
        ))
    });
    found.unwrap_or(true)
}
