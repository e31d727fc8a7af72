//! The words and signs of a Rust file, without what is in comments, literals and test items.

/// One word, number, `::`, or single sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// From 1.
    pub(super) line: usize,
}

/// What a file says outside of its `#[cfg(test)]` items.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    without_tests(&all_tokens(text))
}

/// Whether a token is a word, and no number.
pub(super) fn is_word(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

fn all_tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, is_token) = piece(rest, first);
        let (text, after) = rest.split_at(length);
        if is_token {
            let text = text.strip_prefix("r#").unwrap_or(text);
            tokens.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

/// The length of what `rest` begins with, and whether it is a token.
fn piece(rest: &str, first: char) -> (usize, bool) {
    if rest.starts_with("//") {
        (rest.find('\n').unwrap_or(rest.len()), false)
    } else if rest.starts_with("/*") {
        (block_comment(rest), false)
    } else if let Some(length) = string(rest) {
        (length, false)
    } else if first == '\'' {
        (character_or_lifetime(rest), false)
    } else if first.is_alphanumeric() || first == '_' {
        let raw = if rest.starts_with("r#") { 2 } else { 0 };
        (raw + word_length(&rest[raw..]), true)
    } else if rest.starts_with("::") {
        (2, true)
    } else {
        (first.len_utf8(), !first.is_whitespace())
    }
}

fn word_length(rest: &str) -> usize {
    rest.find(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .unwrap_or(rest.len())
}

/// Block comments may hold others.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The length of the string that `rest` begins with, with its prefix.
fn string(rest: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        rest.strip_prefix(prefix)
            .is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    })?;
    let after = &rest[prefix.len()..];
    let hashes = after.len() - after.trim_start_matches('#').len();
    let is_raw = prefix.ends_with('r');
    if hashes > 0 && !is_raw {
        return None;
    }
    let body = &after[hashes + 1..];
    let before = prefix.len() + hashes + 1;
    let length = if is_raw {
        let end = format!("\"{}", "#".repeat(hashes));
        body.find(&end).map(|at| at + end.len())
    } else {
        let mut escaped = false;
        let end = body.find(|letter| {
            let ends = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            ends
        });
        end.map(|at| at + 1)
    };
    Some(before + length.unwrap_or(body.len()))
}

/// `'a'`, `'\n'` and `'\''` are characters; `'a` is a lifetime.
fn character_or_lifetime(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => {
            letters.next();
            let end = letters.find(|(_, letter)| *letter == '\'');
            end.map_or(rest.len(), |(at, _)| at + 1)
        }
        Some((at, letter)) => {
            let after = at + letter.len_utf8();
            if rest[after..].starts_with('\'') {
                after + 1
            } else {
                1 + word_length(&rest[1..])
            }
        }
        None => rest.len(),
    }
}

fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            while is(tokens, at, "#") {
                at = after_group(tokens, at + 1);
            }
            at = after_item(tokens, at);
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

fn is(tokens: &[Token<'_>], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

fn is_test_attribute(tokens: &[Token<'_>]) -> bool {
    let starts = |texts: &[&str]| {
        tokens.len() >= texts.len() && texts.iter().zip(tokens).all(|(a, b)| *a == b.text)
    };
    starts(&["#", "[", "cfg", "(", "test", ")", "]"])
        || starts(&["#", "[", "cfg", "(", "all", "(", "test", ","])
}

/// After the bracket that closes the one at `at`.
fn after_group(tokens: &[Token<'_>], at: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

/// After the item, field, variant or arm that begins at `at`.
fn after_item(tokens: &[Token<'_>], at: usize) -> usize {
    const ITEMS: &[&str] = &[
        "fn", "mod", "use", "impl", "struct", "enum", "const", "static", "trait", "type",
    ];
    // Before the word that tells may be `pub(in crate::a)`, `unsafe` and the like.
    let mut words = tokens[at..].iter().take(8).map(|token| token.text);
    let kind = words.find(|text| ITEMS.contains(text));
    let (is_item, is_import) = (kind.is_some(), kind == Some("use"));
    let mut index = at;
    while index < tokens.len() {
        match tokens[index].text {
            ";" => return index + 1,
            "," if !is_item => return index + 1,
            ")" | "]" | "}" => return index,
            "{" if !is_import => return after_group(tokens, index),
            "(" | "[" | "{" => index = after_group(tokens, index),
            _ => index += 1,
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let words: Vec<_> = tokens(text).iter().map(|token| token.text).collect();
        words.join(" ")
    }

    #[test]
    fn comments_and_literals_say_nothing() {
        assert_eq!(words("a // crate::b\n/* c /* d */ e */ f"), "a f");
        assert_eq!(
            words(r###"x("a \" b", 'c', '\'', '"', b'"', r#"d " e"#, br"f\", c"g") y"###),
            "x ( , , , , b , , , ) y"
        );
        assert_eq!(
            words("fn a<'b>(c: &'b str) {}"),
            "fn a < > ( c : & str ) { }"
        );
        assert_eq!(words("r#type::X + 1_000"), "type :: X + 1_000");
    }

    #[test]
    fn a_token_knows_its_line() {
        let lines: Vec<_> = tokens("a\n\"two\nlines\" b /*\n*/ c\n")
            .iter()
            .map(|token| (token.text, token.line))
            .collect();
        assert_eq!(lines, [("a", 1), ("b", 3), ("c", 4)]);
    }

    #[test]
    fn test_items_are_left_out_and_nothing_after_them() {
        assert_eq!(words("#[cfg(test)]\nuse a::{b, c};\nuse d;"), "use d ;");
        assert_eq!(
            words("#[cfg(test)] #[expect(x)] mod tests { fn a() { [1; 2]; } } struct B;"),
            "struct B ;"
        );
        assert_eq!(words("#[cfg(test)] mod tests; fn a() {}"), "fn a ( ) { }");
        assert_eq!(
            words("#[cfg(test)] pub(crate) fn a<B, C>() -> [u8; 2] { d } e"),
            "e"
        );
        assert_eq!(
            words("struct A { #[cfg(test)] b: C, d: E }"),
            "struct A { d : E }"
        );
        assert!(words("#[cfg(not(test))] fn a() {}").ends_with("fn a ( ) { }"));
    }
}
