//! Makes comparisons of values of rows of values: `(a, b) = (1, 2)` is `a = 1 AND b = 2`.
//!
//! The engine (`DataFusion` 55) makes objects of both sides and compares these: a null equals a null, no file is left out by such a
//! condition, and no join has keys. None of the rules for texts, decimals and moments beside other values sees the values either.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Query, Statement, UnaryOperator, Visit, VisitMut, Visitor, VisitorMut,
};

/// Most rows of an IN that become conditions.
const MOST_ROWS: usize = 1_000;

/// Takes the comparisons of a query apart.
pub(super) fn compare_values(query: &mut Statement) {
    let _ = query.visit(&mut Tuples);
}

struct Tuples;

impl VisitorMut for Tuples {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Some(values) = by_values(expr) {
            *expr = Expr::Nested(Box::new(values));
        }
        ControlFlow::Continue(())
    }
}

fn by_values(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::BinaryOp { left, op, right } => compared(left, op, right),
        Expr::IsDistinctFrom(left, right) => {
            let pairs = pairs(left, right)?;
            let distinct = |(left, right)| Expr::IsDistinctFrom(boxed(left), boxed(right));
            joined(pairs.map(distinct).collect(), &BinaryOperator::Or)
        }
        Expr::IsNotDistinctFrom(left, right) => {
            let pairs = pairs(left, right)?;
            let same = |(left, right)| Expr::IsNotDistinctFrom(boxed(left), boxed(right));
            joined(pairs.map(same).collect(), &BinaryOperator::And)
        }
        Expr::InList {
            expr,
            list,
            negated,
        } => {
            if list.len() > MOST_ROWS || !is_plain(expr) {
                return None;
            }
            let rows = list
                .iter()
                .map(|row| compared(expr, &BinaryOperator::Eq, row));
            let found = joined(rows.collect::<Option<_>>()?, &BinaryOperator::Or)?;
            Some(if *negated {
                Expr::UnaryOp {
                    op: UnaryOperator::Not,
                    expr: Box::new(Expr::Nested(Box::new(found))),
                }
            } else {
                found
            })
        }
        _ => None,
    }
}

/// Two rows of as many values, compared value by value.
fn compared(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let mut pairs = pairs(left, right)?;
    let of_values = |op: &BinaryOperator, (left, right): (&Expr, &Expr)| {
        compared(left, op, right).unwrap_or_else(|| binary(left.clone(), op, right.clone()))
    };
    let strict = match op {
        BinaryOperator::Eq => {
            return joined(
                pairs.map(|pair| of_values(op, pair)).collect(),
                &BinaryOperator::And,
            );
        }
        BinaryOperator::NotEq => {
            return joined(
                pairs.map(|pair| of_values(op, pair)).collect(),
                &BinaryOperator::Or,
            );
        }
        BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::Lt,
        BinaryOperator::Gt | BinaryOperator::GtEq => BinaryOperator::Gt,
        _ => return None,
    };
    if !is_plain(left) || !is_plain(right) {
        return None;
    }
    // The first value that differs decides, and the last decides the rest.
    let last = pairs.next_back()?;
    Some(pairs.rev().fold(of_values(op, last), |behind, pair| {
        let same = binary(
            of_values(&BinaryOperator::Eq, pair),
            &BinaryOperator::And,
            nested(behind),
        );
        binary(of_values(&strict, pair), &BinaryOperator::Or, nested(same))
    }))
}

/// The values of two rows of as many.
fn pairs<'e>(
    left: &'e Expr,
    right: &'e Expr,
) -> Option<impl DoubleEndedIterator<Item = (&'e Expr, &'e Expr)> + ExactSizeIterator> {
    let (left, right) = (values(left)?, values(right)?);
    (left.len() == right.len()).then(|| left.iter().zip(right))
}

fn values(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Tuple(values) => Some(values),
        Expr::Nested(inner) => values(inner),
        _ => None,
    }
}

/// The conditions between operators, as deep as need be and no deeper.
fn joined(mut conditions: Vec<Expr>, op: &BinaryOperator) -> Option<Expr> {
    match conditions.len() {
        0 | 1 => conditions.pop(),
        count => {
            let right = joined(conditions.split_off(count / 2), op)?;
            Some(binary(nested(joined(conditions, op)?), op, nested(right)))
        }
    }
}

fn binary(left: Expr, op: &BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(left),
        op: op.clone(),
        right: Box::new(right),
    }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn boxed(expr: &Expr) -> Box<Expr> {
    Box::new(expr.clone())
}

/// Whether a row may be repeated: rows in rows would grow with each, and a subquery would run again.
fn is_plain(row: &Expr) -> bool {
    let all = values(row).into_iter().flatten();
    all.into_iter().all(|value| {
        let mut found = Costly(false);
        let _ = value.visit(&mut found);
        !found.0
    })
}

struct Costly(bool);

impl Visitor for Costly {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        self.0 |= matches!(expr, Expr::Tuple(_) | Expr::InList { .. });
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.0 = true;
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use crate::statement::QueryText;

    fn told(condition: &str) -> String {
        let query = QueryText::parse(&format!("SELECT {condition}")).unwrap();
        query.statement().to_string().replacen("SELECT ", "", 1)
    }

    #[test]
    fn rows_are_compared_value_by_value() {
        for (written, meant) in [
            ("(a, b) = (1, 2)", "((a = 1) AND (b = 2))"),
            ("(a, b) <> (1, 2)", "((a <> 1) OR (b <> 2))"),
            ("(a, b) < (1, 2)", "(a < 1 OR (a = 1 AND (b < 2)))"),
            ("(a, b) >= (1, 2)", "(a > 1 OR (a = 1 AND (b >= 2)))"),
            ("(a, b) IN ((1, 2))", "((a = 1) AND (b = 2))"),
            (
                "(a, b) NOT IN ((1, 2), (3, 4))",
                "(NOT (((a = 1) AND (b = 2)) OR ((a = 3) AND (b = 4))))",
            ),
            (
                "(a, b) IS DISTINCT FROM (1, NULL)",
                "((a IS DISTINCT FROM 1) OR (b IS DISTINCT FROM NULL))",
            ),
            (
                "((a, b), c) = ((1, 2), 3)",
                "(((a = 1) AND (b = 2)) AND (c = 3))",
            ),
        ] {
            assert_eq!(told(written), meant, "{written}");
        }
    }

    #[test]
    fn what_cannot_be_taken_apart_stays() {
        for written in [
            "(a, b) = (1, 2, 3)",
            "(a, b) = c",
            "((a, b), c) IN (((1, 2), 3))",
            "a IN (1, 2)",
            "count(DISTINCT (a, b))",
        ] {
            assert_eq!(told(written), written);
        }
    }

    #[test]
    fn a_long_list_is_not_deep() {
        let rows = (0..1_000)
            .map(|row| format!("({row}, 1)"))
            .collect::<Vec<_>>();
        let told = told(&format!("(a, b) IN ({})", rows.join(", ")));
        let depth = told.chars().scan(0_i32, |depth, character| {
            *depth += i32::from(character == '(') - i32::from(character == ')');
            Some(*depth)
        });
        assert!(depth.max() < Some(20), "{:?}", told.len());
    }
}
