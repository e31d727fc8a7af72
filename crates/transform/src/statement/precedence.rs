//! Corrects the trees of `IS [NOT] DISTINCT FROM`.
//!
//! sqlparser 0.62 takes everything that follows as the right side: `a IS DISTINCT FROM b AND c` comes as
//! `a IS DISTINCT FROM (b AND c)`. Parentheses have a node of their own in the tree, so an `AND` or `OR` that stands there
//! without one was not meant to.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Statement, UnaryOperator, Value, VisitMut, VisitorMut,
};

/// Lets `IS [NOT] DISTINCT FROM` bind tighter than `NOT`, `AND` and `OR`, as in other databases.
pub(super) fn correct(query: &mut Statement) {
    let _ = query.visit(&mut Precedence);
}

struct Precedence;

impl VisitorMut for Precedence {
    type Break = ();

    /// What stands inside has been corrected before.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let wrong = match expr {
            Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => {
                binds_looser(right, &BinaryOperator::And)
            }
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => binds_looser(expr, &BinaryOperator::And),
            Expr::BinaryOp { op, right, .. } => binds_looser(right, op),
            _ => false,
        };
        if wrong {
            let taken = std::mem::replace(expr, Expr::Value(Value::Null.into()));
            *expr = corrected(taken);
        }
        ControlFlow::Continue(())
    }
}

/// Whether a tree, as the right side of an operator, is one of an operator that binds as loosely or looser.
fn binds_looser(tree: &Expr, than: &BinaryOperator) -> bool {
    match (tree, than) {
        (Expr::BinaryOp { op, .. }, BinaryOperator::And) => {
            matches!(op, BinaryOperator::And | BinaryOperator::Or)
        }
        (Expr::BinaryOp { op, .. }, BinaryOperator::Or) => *op == BinaryOperator::Or,
        _ => false,
    }
}

fn corrected(expr: Expr) -> Expr {
    match expr {
        Expr::IsDistinctFrom(left, right) => below(*right, &BinaryOperator::And, |right| {
            Expr::IsDistinctFrom(left, Box::new(right))
        }),
        Expr::IsNotDistinctFrom(left, right) => below(*right, &BinaryOperator::And, |right| {
            Expr::IsNotDistinctFrom(left, Box::new(right))
        }),
        Expr::UnaryOp { op, expr } => below(*expr, &BinaryOperator::And, |expr| Expr::UnaryOp {
            op,
            expr: Box::new(expr),
        }),
        Expr::BinaryOp { left, op, right } => {
            let than = op.clone();
            below(*right, &than, |right| Expr::BinaryOp {
                left,
                op,
                right: Box::new(right),
            })
        }
        other => other,
    }
}

/// The tree with its first operand wrapped, instead of the tree wrapped.
fn below(tree: Expr, than: &BinaryOperator, wrap: impl FnOnce(Expr) -> Expr) -> Expr {
    if !binds_looser(&tree, than) {
        return wrap(tree);
    }
    match tree {
        Expr::BinaryOp { left, op, right } => Expr::BinaryOp {
            left: Box::new(below(*left, than, wrap)),
            op,
            right,
        },
        other => wrap(other),
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use datafusion::sql::sqlparser::ast::{Expr, Value, VisitMut, VisitorMut};

    use crate::statement::QueryText;

    struct WithoutParentheses;

    impl VisitorMut for WithoutParentheses {
        type Break = ();

        fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if let Expr::Nested(inside) = expr {
                let null = Expr::Value(Value::Null.into());
                *expr = std::mem::replace(inside, null);
            }
            ControlFlow::Continue(())
        }
    }

    fn tree(condition: &str) -> String {
        let mut query = QueryText::parse(&format!("SELECT {condition}"))
            .unwrap()
            .query;
        let _ = query.visit(&mut WithoutParentheses);
        let tree = format!("{query:?}");
        // Where it stands in the text is nothing of the tree.
        let places = regex::Regex::new(r"Location\(\d+,\d+\)").unwrap();
        places.replace_all(&tree, "").into_owned()
    }

    #[test]
    fn it_binds_tighter_than_and_or_and_not() {
        for (written, meant) in [
            ("a IS DISTINCT FROM b AND c", "(a IS DISTINCT FROM b) AND c"),
            (
                "a IS NOT DISTINCT FROM b OR c",
                "(a IS NOT DISTINCT FROM b) OR c",
            ),
            (
                "a IS DISTINCT FROM b AND c OR d",
                "((a IS DISTINCT FROM b) AND c) OR d",
            ),
            (
                "a IS DISTINCT FROM b OR c AND d",
                "(a IS DISTINCT FROM b) OR (c AND d)",
            ),
            (
                "p AND a IS DISTINCT FROM b OR c",
                "(p AND (a IS DISTINCT FROM b)) OR c",
            ),
            (
                "p OR a IS DISTINCT FROM b AND c OR d",
                "(p OR ((a IS DISTINCT FROM b) AND c)) OR d",
            ),
            (
                "NOT a IS DISTINCT FROM b AND c",
                "(NOT (a IS DISTINCT FROM b)) AND c",
            ),
            (
                "p AND NOT a IS DISTINCT FROM b OR c",
                "(p AND (NOT (a IS DISTINCT FROM b))) OR c",
            ),
            (
                "a IS DISTINCT FROM b AND c IS NOT DISTINCT FROM d AND e",
                "((a IS DISTINCT FROM b) AND (c IS NOT DISTINCT FROM d)) AND e",
            ),
            (
                "CASE WHEN a IS DISTINCT FROM b OR c THEN 1 END",
                "CASE WHEN (a IS DISTINCT FROM b) OR c THEN 1 END",
            ),
            ("a IS DISTINCT FROM b + 1", "a IS DISTINCT FROM (b + 1)"),
            ("a IS DISTINCT FROM b = c", "a IS DISTINCT FROM (b = c)"),
        ] {
            assert_eq!(tree(written), tree(meant), "{written}");
        }
        let parentheses = "a IS DISTINCT FROM (b AND c)";
        assert_ne!(tree(parentheses), tree("(a IS DISTINCT FROM b) AND c"));
    }
}
