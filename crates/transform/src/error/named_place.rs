//! Where in the SQL stands what a message quotes: for errors of which the engine does not say a place.

use datafusion::sql::sqlparser::{
    dialect::GenericDialect,
    tokenizer::{Span, Token, TokenWithSpan, Tokenizer},
};

use super::Place;

impl Place {
    /// The place of the first text in backticks, where it stands in the SQL once.
    #[must_use]
    pub fn of_quoted(sql: &str, message: &str) -> Option<Self> {
        let quoted = message.split('`').nth(1)?;
        let (sql, quoted) = (tokens(sql)?, tokens(quoted)?);
        if quoted.is_empty() {
            return None;
        }
        let mut places = sql.windows(quoted.len()).filter(|part| {
            let mut pairs = part.iter().zip(&quoted);
            pairs.all(|(one, other)| is_same(&one.token, &other.token))
        });
        let (first, others) = (places.next()?, places.next());
        let span = Span::new(first.first()?.span.start, first.last()?.span.end);
        Self::of_part(span).filter(|_| others.is_none())
    }
}

fn tokens(text: &str) -> Option<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize_with_location();
    let mut tokens = tokens.ok()?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    Some(tokens)
}

/// Whether two tokens are the same to SQL, which reads words without quotes in any case.
fn is_same(one: &Token, other: &Token) -> bool {
    match (one, other) {
        (Token::Word(one), Token::Word(other)) => {
            let is_bare = one.quote_style.is_none() || other.quote_style.is_none();
            one.value == other.value || (is_bare && one.value.eq_ignore_ascii_case(&other.value))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn what_a_message_quotes_is_found_where_it_stands_once() {
        let at = |sql: &str, message: &str| {
            Place::of_quoted(sql, message).map(|place| (place.line, place.column, place.length))
        };
        let sql = "SELECT sum(queue), a\nFROM t WHERE id = 'x' AND SUM(b)/0 > 1";
        assert_eq!(at(sql, "`'x'` is no integer"), Some((2, 19, 3)));
        assert_eq!(at(sql, "`queue` is text, as `t` is"), Some((1, 12, 5)));
        assert_eq!(at(sql, "`sum(b) / 0` divides by zero"), Some((2, 27, 8)));
        // Twice, not at all, nothing.
        assert_eq!(at(sql, "`sum` does not take (text)"), None);
        assert_eq!(at(sql, "`other` is no integer"), None);
        assert_eq!(at(sql, "there is nothing"), None);
        assert_eq!(at("SELECT 'a", "`a`"), None);
    }
}
