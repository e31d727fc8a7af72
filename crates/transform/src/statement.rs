//! The action's SQL as a syntax tree, and how parameters come into it: as typed placeholders, never as text.

mod files;
mod from_first;
mod headings;
mod precedence;
mod repeatable;
mod tuples;

use std::{collections::BTreeSet, ops::ControlFlow};

use datafusion::{
    common::ParamValues,
    sql::{
        parser::Statement,
        sqlparser::{
            ast::{
                BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, FunctionArguments,
                Ident, ObjectNamePart, Query, Select, SelectItem, Statement as SqlStatement,
                TimezoneInfo, Value, ValueWithSpan, VisitMut, Visitor, VisitorMut,
            },
            tokenizer::Span,
        },
    },
};

pub use self::files::table_name;
use crate::{
    BoundParams, BoundValue, Error, ErrorKind, Place, decimals::LongNumbers, error::planning,
};

/// Longest SQL of an action or a question in bytes.
pub const LONGEST_SQL: usize = 256 * 1024;

/// One query.
#[derive(Debug, Clone)]
pub(crate) struct QueryText {
    query: Box<SqlStatement>,
}

impl QueryText {
    /// Parses the text, which must be one query.
    pub(crate) fn parse(sql: &str) -> Result<Self, Error> {
        if sql.len() > LONGEST_SQL {
            return Err(Error::new(
                ErrorKind::InvalidSql,
                "the SQL is longer than 256 KiB",
            ));
        }
        let mut statements = from_first::parse(sql).map_err(planning)?;
        let statement = match (statements.len(), statements.pop_front()) {
            (1, Some(statement)) => statement,
            (0, _) | (_, None) => {
                return Err(Error::new(ErrorKind::InvalidSql, "the SQL is empty"));
            }
            (count, _) => return Err(not_a_query(&format!("{count} statements; write one"))),
        };
        match statement {
            Statement::Statement(mut query) if matches!(*query, SqlStatement::Query(_)) => {
                from_first::select_all(&mut query);
                precedence::correct(&mut query);
                let _ = query.visit(&mut Columns);
                let _ = query.visit(&mut Quantified);
                let _ = query.visit(&mut LongNumbers);
                tuples::compare_values(&mut query);
                Ok(Self { query })
            }
            other => Err(not_a_query(&format!(
                "`{}` statements, at line 1",
                keyword(&other.to_string())
            ))),
        }
    }

    pub(crate) fn statement(&self) -> &SqlStatement {
        &self.query
    }

    pub(crate) fn query(&self) -> Option<&Query> {
        match self.query.as_ref() {
            SqlStatement::Query(query) => Some(query),
            _ => None,
        }
    }

    /// Whether a column of an answer is given this name with AS.
    pub(crate) fn has_alias(&self, name: &str) -> bool {
        let mut found = Aliases { name, found: false };
        let _ = datafusion::sql::sqlparser::ast::Visit::visit(self.statement(), &mut found);
        found.found
    }

    /// Where a name in double quotes stands that is no column by itself: `at line 1, column 8`.
    pub(crate) fn quoted(&self, name: &str) -> Option<String> {
        let mut names = Names::default();
        let _ = datafusion::sql::sqlparser::ast::Visit::visit(self.statement(), &mut names);
        let mut quoted = names.0.iter().filter(|ident| ident.quote_style.is_some());
        let start = quoted.find(|ident| ident.value == name)?.span.start;
        Some(format!("at line {}, column {}", start.line, start.column))
    }

    /// The names with capitals that stand without quotes, which are read as if they had none.
    pub(crate) fn capitals(&self) -> BTreeSet<String> {
        let mut names = Names::default();
        let _ = datafusion::sql::sqlparser::ast::Visit::visit(self.statement(), &mut names);
        let bare = names.0.into_iter().filter(|ident| {
            ident.quote_style.is_none() && ident.value.contains(char::is_uppercase)
        });
        bare.map(|ident| ident.value).collect()
    }

    /// Whether a `*` leaves columns out or replaces them, so that the plan no longer names all that the SQL does.
    pub(crate) fn changes_all_columns(&self) -> bool {
        let mut found = Wildcards(false);
        let _ = datafusion::sql::sqlparser::ast::Visit::visit(self.statement(), &mut found);
        found.0
    }

    /// The functions that are called with OVER.
    pub(crate) fn functions_with_over(&self) -> BTreeSet<String> {
        let mut found = WithOver(BTreeSet::new());
        let _ = datafusion::sql::sqlparser::ast::Visit::visit(self.statement(), &mut found);
        found.0
    }

    /// The names behind `$`.
    pub(crate) fn placeholders(&self) -> Result<BTreeSet<String>, Error> {
        let mut found = Placeholders::default();
        let _ = datafusion::sql::sqlparser::ast::Visit::visit(self.statement(), &mut found);
        match found.wrong {
            Some(text) => Err(Error::new(
                ErrorKind::InvalidSql,
                format!("`{text}` is no parameter: write `$name`"),
            )),
            None => Ok(found.names),
        }
    }

    /// Where `$name` stands, if it does.
    pub(crate) fn place_of(&self, name: &str) -> Option<Place> {
        let mut found = PlaceholderPlace { name, place: None };
        let _ = datafusion::sql::sqlparser::ast::Visit::visit(self.statement(), &mut found);
        found.place
    }

    /// The statement with a name for each column, each placeholder given its value's type, `IN ($list)` with one placeholder for each item, and the
    /// values that belong to the placeholders.
    pub(crate) fn bind(&self, bound: &BoundParams) -> (Statement, ParamValues) {
        let mut query = self.query.clone();
        headings::give(&mut query);
        let _ = query.visit(&mut Typed { bound });
        let mut values = Vec::new();
        for (name, value, _) in bound.entries() {
            values.push((name.to_owned(), value.to_scalar().into()));
            if let BoundValue::List(_, items) = value {
                let items = items.iter().enumerate();
                values.extend(
                    items.map(|(index, item)| (item_name(name, index), item.to_scalar().into())),
                );
            }
        }
        let values = ParamValues::Map(values.into_iter().collect());
        (Statement::Statement(query), values)
    }
}

/// A name that no parameter can have.
pub(crate) fn item_name(list: &str, index: usize) -> String {
    format!("{list}.{index}")
}

/// What is refused, and where it stands.
pub(crate) fn not_allowed_at(what: &str, span: Span) -> Error {
    if span.start.line == 0 {
        return not_allowed(what);
    }
    not_allowed(&format!(
        "{what}, at line {}, column {}",
        span.start.line, span.start.column
    ))
    .at(Place::of_part(span))
}

pub(crate) fn not_allowed(what: &str) -> Error {
    refused(ErrorKind::NotAllowed, what)
}

fn not_a_query(what: &str) -> Error {
    refused(ErrorKind::NotAQuery, what)
}

fn refused(kind: ErrorKind, what: &str) -> Error {
    Error::new(kind, format!("not allowed: {what}"))
}

/// The first word of a statement.
fn keyword(statement: &str) -> String {
    statement
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_uppercase()
}

/// The parser takes these words for functions without parentheses, of which the engine has none: here they are columns.
const COLUMNS: [&str; 4] = ["user", "current_user", "session_user", "current_catalog"];

/// Makes columns of what the parser takes for functions.
struct Columns;

/// Makes IN of `= ANY (SELECT …)`, and NOT IN of `<> ALL (SELECT …)`. The engine (`DataFusion` 55) takes a column of the subquery for
/// that of the same name outside, and finds every row.
struct Quantified;

impl VisitorMut for Quantified {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let (left, right, negated) = match expr {
            Expr::AnyOp {
                left,
                compare_op: BinaryOperator::Eq,
                right,
                ..
            } => (left, right, false),
            Expr::AllOp {
                left,
                compare_op: BinaryOperator::NotEq,
                right,
            } => (left, right, true),
            _ => return ControlFlow::Continue(()),
        };
        if let Expr::Subquery(subquery) = right.as_ref() {
            *expr = Expr::InSubquery {
                expr: left.clone(),
                subquery: subquery.clone(),
                negated,
            };
        }
        ControlFlow::Continue(())
    }
}

impl VisitorMut for Columns {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && matches!(function.args, FunctionArguments::None)
        {
            let names = function.name.0.iter().map(ObjectNamePart::as_ident);
            let names: Option<Vec<Ident>> = names.map(Option::<&Ident>::cloned).collect();
            if let Some(names) = names
                && let Some(last) = names.last()
                && COLUMNS.contains(&last.value.to_lowercase().as_str())
            {
                *expr = match names.as_slice() {
                    [name] => Expr::Identifier(name.clone()),
                    _ => Expr::CompoundIdentifier(names),
                };
            }
        }
        ControlFlow::Continue(())
    }
}

struct WithOver(BTreeSet<String>);

impl Visitor for WithOver {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && function.over.is_some()
            && let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice()
        {
            self.0.insert(name.value.to_lowercase());
        }
        ControlFlow::Continue(())
    }
}

/// The names that stand for values.
#[derive(Default)]
struct Names(Vec<Ident>);

impl Visitor for Names {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.0.push(name.clone()),
            Expr::CompoundIdentifier(names) => self.0.extend(names.iter().cloned()),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

struct Wildcards(bool);

impl Visitor for Wildcards {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.0 |= select.exclude.is_some()
            || select.projection.iter().any(|item| match item {
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                    options.opt_exclude.is_some()
                        || options.opt_except.is_some()
                        || options.opt_replace.is_some()
                        || options.opt_rename.is_some()
                }
                _ => false,
            });
        ControlFlow::Continue(())
    }
}

struct Aliases<'a> {
    name: &'a str,
    found: bool,
}

impl Visitor for Aliases<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.found |= select.projection.iter().any(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => alias.value.eq_ignore_ascii_case(self.name),
            _ => false,
        });
        ControlFlow::Continue(())
    }
}

#[derive(Default)]
struct Placeholders {
    names: BTreeSet<String>,
    wrong: Option<String>,
}

impl Visitor for Placeholders {
    type Break = ();

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        if let Value::Placeholder(text) = &value.value {
            match text.strip_prefix('$') {
                Some(name) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    self.names.insert(name.to_owned());
                }
                _ => self.wrong = Some(text.clone()),
            }
        }
        ControlFlow::Continue(())
    }
}

struct PlaceholderPlace<'a> {
    name: &'a str,
    place: Option<Place>,
}

impl Visitor for PlaceholderPlace<'_> {
    type Break = ();

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<()> {
        match &value.value {
            Value::Placeholder(text) if text.strip_prefix('$') == Some(self.name) => {
                self.place = Place::of_part(value.span);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    }
}

/// Gives placeholders their types, and lists their items.
struct Typed<'a> {
    bound: &'a BoundParams,
}

impl Typed<'_> {
    /// The items of the list that the expression is a placeholder of.
    fn list(&self, expr: &Expr) -> Option<Vec<Expr>> {
        let name = placeholder(expr)?;
        match self.bound.get(name)? {
            BoundValue::List(_, items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| typed(&item_name(name, index), item))
                    .collect(),
            ),
            _ => None,
        }
    }
}

impl VisitorMut for Typed<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let rewritten = match expr {
            Expr::InList {
                expr,
                list,
                negated,
            } => list.iter().any(|item| self.list(item).is_some()).then(|| {
                let items = list
                    .iter()
                    .flat_map(|item| self.list(item).unwrap_or_else(|| vec![item.clone()]));
                in_list(expr, items.collect(), *negated)
            }),
            Expr::AnyOp {
                left,
                compare_op: BinaryOperator::Eq,
                right,
                ..
            } => self.list(right).map(|items| in_list(left, items, false)),
            Expr::AllOp {
                left,
                compare_op: BinaryOperator::NotEq,
                right,
            } => self.list(right).map(|items| in_list(left, items, true)),
            _ => None,
        };
        if let Some(rewritten) = rewritten {
            *expr = rewritten;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(name) = placeholder(expr)
            && let Some(value) = self.bound.get(name)
        {
            *expr = typed(name, value);
        }
        ControlFlow::Continue(())
    }
}

/// `expr IN (items)`, also with no items: nothing is in an empty list.
fn in_list(expr: &Expr, items: Vec<Expr>, negated: bool) -> Expr {
    if items.is_empty() {
        return Expr::value(Value::Boolean(negated));
    }
    Expr::InList {
        expr: Box::new(expr.clone()),
        list: items,
        negated,
    }
}

fn placeholder(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(text) => text.strip_prefix('$'),
            _ => None,
        },
        Expr::Nested(inner) => placeholder(inner),
        _ => None,
    }
}

/// A placeholder that says its type: the engine finds out types of bare ones only next to columns.
fn typed(name: &str, value: &BoundValue) -> Expr {
    let bare = Expr::value(Value::Placeholder(format!("${name}")));
    let data_type = match value {
        BoundValue::String(_) => DataType::Varchar(None),
        BoundValue::Integer(_) => DataType::BigInt(None),
        BoundValue::Boolean(_) => DataType::Boolean,
        BoundValue::Date(_) => DataType::Date,
        BoundValue::Timestamp(_) => DataType::Timestamp(Some(6), TimezoneInfo::WithTimeZone),
        BoundValue::Decimal { scale, .. } => {
            DataType::Decimal(ExactNumberInfo::PrecisionAndScale(38, i64::from(*scale)))
        }
        // SQL has no way to write the type of a list that holds for all of them.
        BoundValue::List(..) => return bare,
    };
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(bare),
        data_type,
        array: false,
        format: None,
    }
}
