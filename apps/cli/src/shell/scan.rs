//! SQL as far as a line editor has to know it: quotes, comments, and where statements end.

/// The words of a SELECT.
pub(super) const KEYWORDS: [&str; 56] = [
    "ALL",
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "DATE",
    "DESC",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "FALSE",
    "FILTER",
    "FIRST",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "IS",
    "JOIN",
    "LAST",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "THEN",
    "TIMESTAMP",
    "TRUE",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS
        .binary_search(&word.to_uppercase().as_str())
        .is_ok()
}

/// What a piece of SQL is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a keyword or a number.
    Word,
    /// `'text'`, or a file.
    Text,
    /// `"name"`.
    Name,
    Comment,
    /// `;`
    End,
    /// Blanks and signs.
    Other,
}

/// One piece, by its bytes; `is_open` where a quote or a comment does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) begin: usize,
    pub(super) end: usize,
    pub(super) is_open: bool,
}

/// The pieces of a text; together they are all of it.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    while begin < text.len() {
        let (kind, length, is_open) = first(&text[begin..]);
        pieces.push(Piece {
            kind,
            begin,
            end: begin + length,
            is_open,
        });
        begin += length;
    }
    pieces
}

/// The kind and the length of the first piece of a text that is not empty.
fn first(text: &str) -> (Kind, usize, bool) {
    let until = |end: &str, skip: usize| match text[skip..].find(end) {
        Some(at) => (skip + at + end.len(), false),
        None => (text.len(), true),
    };
    if text.starts_with("--") {
        let length = text.find('\n').unwrap_or(text.len());
        return (Kind::Comment, length, false);
    }
    if text.starts_with("/*") {
        let (length, is_open) = until("*/", 2);
        return (Kind::Comment, length, is_open);
    }
    let c = text.chars().next().unwrap_or_default();
    match c {
        // A doubled quote makes two texts side by side: for an editor the same as one.
        '\'' => {
            let (length, is_open) = until("'", 1);
            (Kind::Text, length, is_open)
        }
        '"' => {
            let (length, is_open) = until("\"", 1);
            (Kind::Name, length, is_open)
        }
        ';' => (Kind::End, 1, false),
        c if is_word(c) => {
            let length = text.find(|c| !is_word(c)).unwrap_or(text.len());
            (Kind::Word, length, false)
        }
        c => (Kind::Other, c.len_utf8(), false),
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The statements of a text, and what stands behind the last `;`.
pub(super) fn statements(text: &str) -> (Vec<&str>, &str) {
    let (mut statements, mut begin) = (Vec::new(), 0);
    for piece in pieces(text) {
        if piece.kind == Kind::End {
            let statement = text[begin..piece.begin].trim();
            if !is_blank(statement) {
                statements.push(statement);
            }
            begin = piece.end;
        }
    }
    (statements, text[begin..].trim())
}

/// Whether a text says nothing: blanks and comments.
pub(super) fn is_blank(text: &str) -> bool {
    pieces(text).iter().all(|piece| {
        piece.kind == Kind::Comment
            || (piece.kind == Kind::Other && text[piece.begin..piece.end].trim().is_empty())
    })
}

/// Where a backslash command begins behind SQL, outside of quotes and comments.
pub(super) fn command_at(text: &str) -> Option<usize> {
    let pieces = pieces(text);
    let mut commands = pieces.iter().filter(|piece| {
        piece.kind == Kind::Other && text[piece.begin..piece.end].starts_with('\\')
    });
    commands.next().map(|piece| piece.begin)
}

/// Whether an input is whole: a command, statements that end, or nothing.
pub(super) fn is_whole(text: &str) -> bool {
    let is_word = matches!(text.trim(), "exit" | "quit" | "help");
    if is_word || text.trim_start().starts_with('\\') || command_at(text).is_some() {
        return true;
    }
    let is_open = pieces(text).iter().any(|piece| piece.is_open);
    let (statements, rest) = statements(text);
    !is_open && (is_blank(rest) && (!statements.is_empty() || is_blank(text)))
}

/// The names of parameters in SQL, also those in the names of files.
pub(super) fn params(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for piece in pieces(text) {
        let piece_text = &text[piece.begin..piece.end];
        match piece.kind {
            Kind::Word => names.extend(piece_text.strip_prefix('$').map(str::to_owned)),
            Kind::Text => names.extend(braced(piece_text)),
            _ => {}
        }
    }
    names
}

/// The names in braces, as uris have them.
pub(super) fn braced(uri: &str) -> impl Iterator<Item = String> {
    let parts = uri.split('{').skip(1);
    let parts = parts.filter_map(|part| part.split_once('}'));
    parts.map(|(name, _)| name.to_owned())
}

/// The names that SQL has outside of texts and comments.
pub(super) fn names(text: &str) -> Vec<String> {
    let pieces = pieces(text).into_iter();
    let names = pieces.filter_map(|piece| match piece.kind {
        Kind::Word => Some(text[piece.begin..piece.end].to_lowercase()),
        Kind::Name => Some(text[piece.begin..piece.end].trim_matches('"').to_owned()),
        _ => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::{command_at, is_whole, params, statements};

    #[test]
    fn statements_end_at_semicolons_outside_of_quotes_and_comments() {
        let (all, rest) =
            statements("SELECT ';', \";\" -- ;\n FROM t /* ; */; ; SELECT 'it''s;'; x");
        assert_eq!(
            all,
            ["SELECT ';', \";\" -- ;\n FROM t /* ; */", "SELECT 'it''s;'"]
        );
        assert_eq!(rest, "x");
    }

    #[test]
    fn keywords_are_in_order() {
        assert!(super::KEYWORDS.is_sorted() && super::is_keyword("select"));
    }

    #[test]
    fn an_input_is_whole_when_it_ends() {
        for whole in [
            "",
            "  ",
            "-- note",
            "SELECT 1;",
            "SELECT 1; -- done",
            "\\d",
            "SELECT 1 \\g",
        ] {
            assert!(is_whole(whole), "{whole}");
        }
        for open in [
            "SELECT 1",
            "SELECT ';",
            "SELECT 1; SELECT",
            "/* x ;",
            "SELECT '\\g;",
        ] {
            assert!(!is_whole(open), "{open}");
        }
        let sql = "SELECT $a, '$b' FROM 's3://l/{c}/x' WHERE $d1 = 5";
        assert_eq!(params(sql), ["a", "c", "d1"]);
        assert_eq!(command_at("SELECT '\\x' \\g out"), Some(12));
    }
}
