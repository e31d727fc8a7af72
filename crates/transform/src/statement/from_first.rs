//! `FROM calls WHERE ms > 10`: a query without SELECT, which has all columns.

use std::{collections::VecDeque, ops::ControlFlow};

use datafusion::{
    common::Result,
    sql::{
        parser::{DFParserBuilder, Statement},
        sqlparser::{
            ast::{
                Select, SelectFlavor, SelectItem, Statement as SqlStatement, VisitMut, VisitorMut,
            },
            dialect::GenericDialect,
            keywords::Keyword,
            parser::ParserError,
            tokenizer::{Token, TokenWithSpan, Tokenizer, Word},
        },
    },
};

/// Parses the text.
///
/// The parser knows `FROM t SELECT a`, but nothing behind a FROM without SELECT: `SELECT *` is put before such a one.
pub(super) fn parse(sql: &str) -> Result<VecDeque<Statement>> {
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize_with_location();
    let tokens = with_select(&tokens.map_err(ParserError::from)?);
    DFParserBuilder::new(tokens).build()?.parse_statements()
}

/// Gives a query its columns whose FROM follows `WITH t AS (…)`.
pub(super) fn select_all(query: &mut SqlStatement) {
    let _ = VisitMut::visit(query, &mut SelectAll);
}

struct SelectAll;

impl VisitorMut for SelectAll {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if select.flavor == SelectFlavor::FromFirstNoSelect {
            select.flavor = SelectFlavor::Standard;
            select.projection = vec![SelectItem::Wildcard(Default::default())];
        }
        ControlFlow::Continue(())
    }
}

fn with_select(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut all = Vec::with_capacity(tokens.len() + 4);
    let mut begins = true;
    for (place, token) in tokens.iter().enumerate() {
        if begins && is_word(&token.token, Keyword::FROM) && !has_select(&tokens[place + 1..]) {
            for word in [Token::make_keyword("SELECT"), Token::Mul] {
                all.push(TokenWithSpan::new(word, token.span));
            }
        }
        if !matches!(token.token, Token::Whitespace(_)) {
            begins = begins_query(&token.token);
        }
        all.push(token.clone());
    }
    all
}

/// Whether a query can begin behind a token. `IS DISTINCT FROM` is the reason that DISTINCT is none of them.
fn begins_query(token: &Token) -> bool {
    match token {
        Token::LParen | Token::SemiColon => true,
        token => is_set_operator(token) || is_word(token, Keyword::ALL),
    }
}

/// Whether a SELECT stands behind a FROM, before its query ends.
fn has_select(behind: &[TokenWithSpan]) -> bool {
    let mut depth = 0_usize;
    for TokenWithSpan { token, .. } in behind {
        match token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => return false,
            Token::RParen => depth -= 1,
            Token::SemiColon => return false,
            token if depth == 0 && is_set_operator(token) => return false,
            token if depth == 0 && is_word(token, Keyword::SELECT) => return true,
            _ => {}
        }
    }
    false
}

fn is_set_operator(token: &Token) -> bool {
    [Keyword::UNION, Keyword::EXCEPT, Keyword::INTERSECT]
        .into_iter()
        .any(|keyword| is_word(token, keyword))
}

fn is_word(token: &Token, wanted: Keyword) -> bool {
    matches!(token, Token::Word(Word { keyword, quote_style: None, .. }) if *keyword == wanted)
}

#[cfg(test)]
mod tests {
    use crate::statement::QueryText;

    #[test]
    fn a_query_without_select_has_all_columns() {
        for (written, meant) in [
            ("FROM t", "SELECT * FROM t"),
            (
                "from t where a = 1 order by a limit 2",
                "SELECT * FROM t WHERE a = 1 ORDER BY a LIMIT 2",
            ),
            ("FROM t SELECT a", "FROM t SELECT a"),
            (
                "SELECT a FROM (FROM t WHERE b IS DISTINCT FROM c) u",
                "SELECT a FROM (SELECT * FROM t WHERE b IS DISTINCT FROM c) u",
            ),
            (
                "FROM t UNION ALL FROM u SELECT *",
                "SELECT * FROM t UNION ALL FROM u SELECT *",
            ),
            (
                "WITH t AS (FROM u) FROM t LIMIT 1",
                "WITH t AS (SELECT * FROM u) SELECT * FROM t LIMIT 1",
            ),
            (
                "SELECT trim(both 'x' from a), extract(day from b) FROM t",
                "SELECT TRIM(BOTH 'x' FROM a), EXTRACT(DAY FROM b) FROM t",
            ),
        ] {
            let parsed = QueryText::parse(written).unwrap();
            let text = parsed.statement().to_string();
            assert_eq!(text.replace(" AS u", " u"), meant, "{written}");
        }
        let error = QueryText::parse("FROM t WHERE )").unwrap_err();
        assert_eq!(error.place().unwrap().column, 14);
    }
}
