//! Names of the columns of an answer to which the SQL gives none: what stands there, as SQL. The engine's own names say types of
//! constants, and which table a column is of.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectItem,
    SetExpr, Statement as SqlStatement, VisitMut, VisitorMut,
};

/// Names the columns of a query that are no plain columns and have no AS.
pub(super) fn give(query: &mut SqlStatement) {
    if let SqlStatement::Query(query) = query
        && let Some(select) = naming(query)
    {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item
                && !is_column(expr)
            {
                let alias = Ident::with_quote('"', heading(expr));
                *item = SelectItem::ExprWithAlias {
                    expr: expr.clone(),
                    alias,
                };
            }
        }
        if select.distinct.is_some() {
            let named = std::mem::take(&mut select.projection);
            sort_by_names(query, &named);
            if let Some(select) = naming(query) {
                select.projection = named;
            }
        }
    }
}

/// With DISTINCT, the engine sorts by columns of the answer alone, and takes an expression for one only where it has no name.
fn sort_by_names(query: &mut Query, named: &[SelectItem]) {
    let Some(OrderBy {
        kind: OrderByKind::Expressions(sorted),
        ..
    }) = &mut query.order_by
    else {
        return;
    };
    for by in sorted {
        let mut named = named.iter();
        let same = named.find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if *expr == by.expr => Some(alias),
            _ => None,
        });
        if let Some(alias) = same {
            by.expr = Expr::Identifier(alias.clone());
        }
    }
}

/// The SELECT that names the columns: of several behind each other, the first.
fn naming(query: &mut Query) -> Option<&mut Select> {
    let mut body = query.body.as_mut();
    loop {
        body = match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Query(query) => query.body.as_mut(),
            SetExpr::SetOperation { left, .. } => left.as_mut(),
            _ => return None,
        };
    }
}

/// Whether the engine's name is that of a column: with its table before it, or of a struct, it may be one.
fn is_column(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(_) => true,
        Expr::CompoundIdentifier(names) => names.len() < 3,
        Expr::Nested(inner) => is_column(inner),
        _ => false,
    }
}

fn heading(expr: &Expr) -> String {
    let mut expr = expr.clone();
    let _ = VisitMut::visit(&mut expr, &mut PlainFunctions);
    expr.to_string()
}

/// Names of functions as SQL reads them without quotes.
struct PlainFunctions;

impl VisitorMut for PlainFunctions {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(Function { name, .. }) = expr {
            for part in &mut name.0 {
                if let ObjectNamePart::Identifier(name) = part
                    && name.quote_style.is_none()
                {
                    name.value = name.value.to_lowercase();
                }
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::QueryText;

    #[test]
    fn columns_without_a_name_are_called_as_they_are_typed() {
        for (sql, named) in [
            (
                "SELECT a, t.a, 1, 'x', COUNT(*), sum(t.n) FROM t",
                r#"SELECT a, t.a, 1 AS "1", 'x' AS "'x'", COUNT(*) AS "count(*)", sum(t.n) AS "sum(t.n)" FROM t"#,
            ),
            (
                "SELECT (a), try_cast(a as int), tags[1], t.user.name, $p FROM t",
                r#"SELECT (a), TRY_CAST(a AS INT) AS "TRY_CAST(a AS INT)", tags[1] AS "tags[1]", t.user.name AS "t.user.name", $p AS "$p" FROM t"#,
            ),
            (
                "(SELECT 1 UNION SELECT 2) UNION ALL SELECT 3",
                r#"(SELECT 1 AS "1" UNION SELECT 2) UNION ALL SELECT 3"#,
            ),
            (
                r#"SELECT "B""c" || 'y', n FROM (SELECT 1, 2 AS n)"#,
                r#"SELECT "B""c" || 'y' AS """B""c"" || 'y'", n FROM (SELECT 1, 2 AS n)"#,
            ),
            ("VALUES (1)", "VALUES (1)"),
        ] {
            let mut query = QueryText::parse(sql).unwrap().query;
            super::give(&mut query);
            assert_eq!(query.to_string(), named);
        }
    }
}
