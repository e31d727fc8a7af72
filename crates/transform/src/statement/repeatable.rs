//! Whether a statement gives the same rows whenever it is asked over the same files.

use std::{collections::HashSet, ops::ControlFlow, sync::LazyLock};

use datafusion::{
    functions::all_default_functions,
    logical_expr::Volatility,
    sql::sqlparser::ast::{Expr, Visit, Visitor},
};

use super::QueryText;

/// The functions whose value changes by itself: what tells the time, and what is random. Functions of our own are none.
static CHANGING: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let functions = all_default_functions().into_iter();
    let changing = functions.filter(|f| f.signature().volatility != Volatility::Immutable);
    changing
        .flat_map(|f| {
            let aliases = f.aliases().iter().map(|name| name.to_lowercase());
            aliases.chain([f.name().to_lowercase()]).collect::<Vec<_>>()
        })
        .collect()
});

impl QueryText {
    /// Whether no function that it calls changes by itself.
    pub(crate) fn is_repeatable(&self) -> bool {
        Visit::visit(self.statement(), &mut Calls).is_continue()
    }
}

/// Stops at a call of such a function.
struct Calls;

impl Visitor for Calls {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && let Some(name) = function.name.0.last().and_then(|part| part.as_ident())
            && CHANGING.contains(&name.value.to_lowercase())
        {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use crate::statement::QueryText;

    #[test]
    fn what_tells_the_time_or_is_random_is_not_repeatable() {
        for (sql, expected) in [
            (
                "SELECT a, lower(b), count(*) FROM t WHERE a = $a GROUP BY a, b",
                true,
            ),
            ("SELECT date_trunc('day', time) FROM t", true),
            ("SELECT now() FROM t", false),
            (
                "SELECT a FROM t WHERE time > NOW() - INTERVAL '1 day'",
                false,
            ),
            ("SELECT current_date FROM t", false),
            ("SELECT current_timestamp FROM t", false),
            ("SELECT current_time FROM t", false),
            (
                "SELECT a FROM (SELECT a, random() AS r FROM t) ORDER BY r",
                false,
            ),
            ("SELECT \"now\"() FROM t", false),
            (
                "WITH x AS (SELECT today() AS d FROM t) SELECT * FROM x",
                false,
            ),
        ] {
            let query = QueryText::parse(sql).unwrap();
            assert_eq!(query.is_repeatable(), expected, "{sql}");
        }
    }
}
