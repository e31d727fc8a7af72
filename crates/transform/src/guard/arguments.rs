//! What the arguments of a table function may hold.
//!
//! The engine computes them while it plans, where neither the memory pool nor the bounds on functions see what they take. So only
//! that may stand there whose value is about as large as its text.

use datafusion::sql::sqlparser::{
    ast::{
        BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
        FunctionArgumentList, FunctionArguments, Spanned, UnaryOperator,
    },
    tokenizer::Span,
};

/// Functions of numbers and times.
const SMALL: [&str; 16] = [
    "abs",
    "ceil",
    "coalesce",
    "current_date",
    "current_timestamp",
    "date_bin",
    "date_trunc",
    "floor",
    "greatest",
    "least",
    "make_date",
    "now",
    "to_date",
    "to_timestamp",
    "to_timestamp_millis",
    "to_timestamp_seconds",
];

/// Where the first part stands that the arguments may not hold.
pub(super) fn first_refused(arguments: &[FunctionArg]) -> Option<Span> {
    arguments.iter().find_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => refused(expr),
        // A name or a `*`.
        _ => Some(Span::empty()),
    })
}

fn refused(expr: &Expr) -> Option<Span> {
    match expr {
        // Placeholders are values too: parameters are no longer than a request.
        Expr::Value(_) => None,
        Expr::TypedString(typed) if is_plain(&typed.data_type) => None,
        Expr::Interval(interval) => refused(&interval.value),
        Expr::Nested(inner)
        | Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr: inner,
        } => refused(inner),
        Expr::BinaryOp {
            left,
            op:
                BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide,
            right,
        } => refused(left).or_else(|| refused(right)),
        Expr::Cast {
            expr,
            data_type,
            array: false,
            format: None,
            ..
        } if is_plain(data_type) => refused(expr),
        Expr::Function(function) => match list(function) {
            Some(arguments) => first_refused(arguments),
            None => Some(expr.span()),
        },
        other => Some(other.span()),
    }
}

/// The arguments of one of the functions, when it is called in the plain way.
fn list(function: &Function) -> Option<&[FunctionArg]> {
    let name = super::syntax::table_name(&function.name)?.to_lowercase();
    let is_plain = SMALL.contains(&name.as_str())
        && function.filter.is_none()
        && function.over.is_none()
        && function.within_group.is_empty();
    match &function.args {
        FunctionArguments::None if is_plain => Some(&[]),
        FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses,
        }) if is_plain && clauses.is_empty() => Some(args),
        _ => None,
    }
}

/// A type whose values are no larger than what is cast to it.
fn is_plain(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::BigInt(_)
            | DataType::Boolean
            | DataType::Date
            | DataType::Decimal(_)
            | DataType::Double(_)
            | DataType::DoublePrecision
            | DataType::Float(_)
            | DataType::Int(_)
            | DataType::Integer(_)
            | DataType::Interval { .. }
            | DataType::Numeric(_)
            | DataType::Real
            | DataType::SmallInt(_)
            | DataType::Text
            | DataType::Timestamp(..)
            | DataType::TinyInt(_)
            | DataType::Varchar(_)
    )
}

#[cfg(test)]
mod tests {
    use crate::{ErrorKind, guard::syntax::syntax, statement::QueryText};

    fn check(arguments: &str) -> Result<(), crate::Error> {
        syntax(&QueryText::parse(&format!(
            "SELECT count(*) FROM range({arguments})"
        ))?)
    }

    #[test]
    fn numbers_times_and_parameters_pass() {
        for arguments in [
            "10",
            "-5, 5",
            "1 + 2 * (3 - 4) / 5, 10",
            "$from, $to",
            "DATE '2026-01-01', DATE '2026-12-31', INTERVAL '1' DAY",
            "CAST('2026-01-01' AS DATE), current_date, INTERVAL '1 day'",
            "date_trunc('month', now()), to_timestamp('2026-12-31'), INTERVAL '1 hour'",
            "'2026-01-01'::timestamp, current_timestamp, INTERVAL '1 hour'",
            "coalesce($from, 0), least(greatest($to, 1), 1000)",
        ] {
            check(arguments).unwrap_or_else(|error| panic!("{arguments}: {error}"));
        }
    }

    #[test]
    fn whatever_could_grow_is_refused_with_its_place() {
        for arguments in [
            "length(repeat('x', 2000000000))",
            "length('x' || 'y')",
            "1, length(lpad('x', 2000000000))",
            "coalesce(length(repeat('x', 2000000000)), 1)",
            "CAST(repeat('1', 2000000000) AS BIGINT)",
            "arrow_cast(1, 'FixedSizeBinary(2000000000)')",
            "(SELECT 1)",
            "cardinality(range(1000000000))",
            "[1, 2]",
            "CASE WHEN true THEN 1 END",
            "least(DISTINCT 1)",
            "now() OVER ()",
            "*",
        ] {
            let error = check(arguments).unwrap_err();
            let kind = error.kind();
            assert!(
                matches!(kind, ErrorKind::NotAllowed | ErrorKind::InvalidSql),
                "{arguments}: {error}"
            );
        }
        let error = check("length('x')").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotAllowed);
        assert!(
            error.to_string().ends_with("at line 1, column 28"),
            "{error}"
        );
    }
}
