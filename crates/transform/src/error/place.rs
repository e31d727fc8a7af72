//! Where in the SQL an error is.

use std::sync::LazyLock;

use datafusion::{
    common::{DataFusionError, Span},
    logical_expr::Expr,
    sql::sqlparser::tokenizer::Span as ParserSpan,
};
use regex::Regex;

use super::Place;

impl Place {
    /// The place that the parser or the planner found.
    pub(super) fn of(error: &DataFusionError) -> Option<Self> {
        let span = error.diagnostic().and_then(|found| found.span);
        match error.find_root() {
            DataFusionError::SQL(parser, _) => Self::of_parser(&parser.to_string()),
            _ => span.map(Self::of_plan),
        }
    }

    /// The place of a part of the statement; none where the parser does not know it.
    pub(crate) fn of_part(span: ParserSpan) -> Option<Self> {
        Span::try_from_sqlparser_span(span).map(Self::of_plan)
    }

    /// The place of an expression of a plan, where that is known.
    pub(crate) fn of_expr(expr: &Expr) -> Option<Self> {
        let spans = expr.spans()?;
        spans.first().map(Self::of_plan)
    }

    fn of_plan(span: Span) -> Self {
        let is_in_line = span.end.line == span.start.line;
        Self {
            line: span.start.line,
            column: span.start.column,
            length: match is_in_line {
                true => span.end.column.saturating_sub(span.start.column).max(1),
                false => 1,
            },
        }
    }

    /// The parser tells where it stopped in its message alone.
    fn of_parser(text: &str) -> Option<Self> {
        static FOUND: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?:found: (.+) )?at Line: (\d+), Column: (\d+)")
                .expect("the pattern is valid")
        });
        let found = FOUND.captures(text)?;
        let token = found
            .get(1)
            .map_or(1, |token| token.as_str().chars().count());
        Some(Self {
            line: found[2].parse().ok()?,
            column: found[3].parse().ok()?,
            length: token as u64,
        })
    }
}
