//! An action's file as it is written: where in it a place of the SQL is.

use std::{ops::Range, path::Path};

use flowlake_transform::Place;
use toml::de::DeTable;

use crate::{
    config::TomlSource,
    error::{Excerpt, place_of},
};

/// See the module.
#[derive(Clone)]
pub struct ActionSource {
    pub(super) file: TomlSource,
    /// The value of `sql`, with its quotes.
    sql: Range<usize>,
}

impl ActionSource {
    /// Finds the SQL in the text of a file.
    pub(super) fn find(path: &Path, text: &str) -> Option<Self> {
        let document = DeTable::parse(text).ok()?;
        let query = document.get_ref().get("query")?.get_ref();
        Some(Self {
            sql: query.get("sql")?.span(),
            file: TomlSource::new(path, text),
        })
    }

    /// The line of the file that a place of the SQL is in.
    pub(crate) fn excerpt(&self, of_sql: Place) -> Option<Excerpt> {
        let text = self.file.text();
        let value = text.get(self.sql.clone())?;
        let begin = self.sql.start + offset(value, of_sql)?;
        let length = usize::try_from(of_sql.length).ok()?;
        let marked = text.get(begin..)?.chars().take(length);
        let end = begin + marked.map(char::len_utf8).sum::<usize>();
        let place = place_of(text, begin..end);
        Excerpt::of(Some(self.file.path()), text, place)
    }
}

impl std::fmt::Debug for ActionSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ActionSource")
            .field("path", &self.file.path())
            .finish_non_exhaustive()
    }
}

/// The byte of a TOML string, quotes and escapes included, where a place of its content is.
fn offset(value: &str, place: Place) -> Option<usize> {
    let is_long = value.starts_with("\"\"\"") || value.starts_with("'''");
    let is_literal = value.starts_with('\'');
    let mut at = if is_long { 3 } else { 1 };
    let content = |at: usize| value.get(at..);
    if is_long {
        let begin = content(at)?;
        at += begin.len() - begin.strip_prefix('\r').unwrap_or(begin).len();
        at += usize::from(content(at)?.starts_with('\n'));
    }
    let (mut line, mut column) = (1, 1);
    loop {
        let rest = content(at)?;
        // A line end behind a backslash is none of the content, and neither is the space behind it.
        if let Some(folded) = rest.strip_prefix('\\').filter(|_| !is_literal)
            && folded.starts_with(char::is_whitespace)
        {
            at += rest.len() - folded.trim_start().len();
            continue;
        }
        if (line, column) >= (place.line, place.column) {
            return Some(at);
        }
        let mut characters = rest.chars();
        let mut shown = characters.next()?;
        let mut length = shown.len_utf8();
        if shown == '\\' && !is_literal {
            let kind = characters.next()?;
            length += kind.len_utf8();
            match kind {
                'x' => length += 2,
                'u' => length += 4,
                'U' => length += 8,
                'n' => shown = '\n',
                _ => {}
            }
        }
        at += length;
        if shown == '\n' {
            line += 1;
            column = 1;
        } else {
            column += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use flowlake_transform::Place;

    use super::ActionSource;

    /// The line of the file, and what is marked in it.
    fn marked(value: &str, line: u64, column: u64, length: u64) -> (u64, String) {
        let text = format!("name = \"a\"\n[query]\nsql = {value}\n");
        let source = ActionSource::find(Path::new("a.toml"), &text).unwrap();
        let excerpt = source.excerpt(Place {
            line,
            column,
            length,
        });
        let excerpt = excerpt.unwrap();
        let place = excerpt.place();
        let marks = excerpt.line().chars().skip(place.column as usize - 1);
        (place.line, marks.take(place.length as usize).collect())
    }

    #[test]
    fn places_of_the_sql_are_places_of_the_file() {
        let plain = r#""SELECT quue FROM t""#;
        assert_eq!(marked(plain, 1, 8, 4), (3, "quue".to_owned()));
        let escaped = r#""SELECT \"a\", \u00e4, quue\nFROM t""#;
        assert_eq!(marked(escaped, 1, 16, 4), (3, "quue".to_owned()));
        assert_eq!(marked(escaped, 2, 1, 4), (3, "FROM".to_owned()));
        let long = "\"\"\"\nSELECT 'K\u{f6}ln',\n  quue\nFROM t\"\"\"";
        assert_eq!(marked(long, 1, 1, 6), (4, "SELECT".to_owned()));
        assert_eq!(marked(long, 2, 3, 4), (5, "quue".to_owned()));
        let same_line = "'''SELECT \\a,\n quue'''";
        assert_eq!(marked(same_line, 1, 9, 1), (3, "a".to_owned()));
        assert_eq!(marked(same_line, 2, 2, 4), (4, "quue".to_owned()));
        let folded = "\"\"\"SELECT \\\n    quue\"\"\"";
        assert_eq!(marked(folded, 1, 8, 4), (4, "quue".to_owned()));
    }
}
