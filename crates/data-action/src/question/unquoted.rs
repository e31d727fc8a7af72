//! Files that somebody names as other tools take them, and not in single quotes.

use flowlake_transform::Place;

/// Ends of names that files have.
const ENDS: [&str; 17] = [
    ".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".avro", ".arrow", ".gz",
    ".zst", ".bz2", ".xz", ".lz4", ".log", ".dat", "/",
];
/// Words behind which a table stands.
const BEFORE: [&str; 3] = ["from", "join", ","];

/// The file that the SQL names at the place of an error, where it is not in single quotes: bare, in double quotes, or as the argument of
/// a function such as `read_csv`.
pub(super) fn file_at(sql: &str, place: Place) -> Option<&str> {
    let line = sql
        .lines()
        .nth(usize::try_from(place.line).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(place.column).ok()?.checked_sub(1)?;
    let at = line
        .char_indices()
        .nth(column)
        .map_or(line.len(), |(at, _)| at);
    let ends_word = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')');
    let last = line[..at].char_indices().rev().find(|(_, c)| ends_word(*c));
    let start = last.map_or(0, |(found, c)| found + c.len_utf8());
    let before = line[..start].trim_end().to_lowercase();
    if !BEFORE.iter().any(|word| before.ends_with(word)) {
        return None;
    }
    let rest = &line[start..];
    let (word, behind) = rest.split_at(rest.find(ends_word).unwrap_or(rest.len()));
    // `read_csv('data/calls.csv')`
    if let Some(argument) = behind.strip_prefix('(') {
        let argument = argument.trim_start().strip_prefix('\'')?;
        let (name, _) = argument.split_once('\'')?;
        return is_file(name).then_some(name);
    }
    let name = word.trim_matches('"');
    is_file(name).then_some(name)
}

fn is_file(name: &str) -> bool {
    let lower = name.to_lowercase();
    name.contains('/') || ENDS.iter().any(|end| lower.ends_with(end))
}

#[cfg(test)]
mod tests {
    use flowlake_transform::Place;

    use super::file_at;

    #[test]
    fn names_of_files_at_the_place_of_an_error() {
        let at = |sql: &'static str, column: u64| {
            let place = Place {
                line: 1,
                column,
                length: 1,
            };
            file_at(sql, place)
        };
        assert_eq!(at("SELECT * FROM d/x.csv", 16), Some("d/x.csv"));
        assert_eq!(at("SELECT * FROM s3://b/x WHERE a", 17), Some("s3://b/x"));
        assert_eq!(at("SELECT * FROM \"d/x.csv\"", 15), Some("d/x.csv"));
        assert_eq!(at("SELECT * FROM a, x.csv", 18), Some("x.csv"));
        assert_eq!(at("SELECT * FROM read_csv('x.csv')", 15), Some("x.csv"));
        assert_eq!(at("SELECT * FROM read_csv(x)", 15), None);
        assert_eq!(at("SELECT a/b FROM t", 9), None);
        assert_eq!(at("SELECT * FROM s.t", 15), None);
        assert_eq!(at("SELECT", 99), None);
    }
}
