//! Statements of other tools' shells, and what does the same here.

/// First words of statements, and the advice.
const ELSEWHERE: [(&[&str], &str); 5] = [
    (
        &["DESC", "DESCRIBE", "SUMMARIZE", "ANALYZE"],
        "`flowlake inspect FILE` shows columns, types and values of a file; `\\d FILE` of `flowlake shell` its columns and types.",
    ),
    (
        &["SHOW"],
        "`\\dt` of `flowlake shell` lists tables, `flowlake actions list` and `flowlake check` actions.",
    ),
    (
        &["EXPLAIN"],
        "`flowlake inspect FILE` tells what queries cost, `-v` shows each request, `flowlake explain ACTION` what an action does.",
    ),
    (
        &["COPY", "CREATE", "EXPORT", "INSERT", "UNLOAD"],
        "Write the SELECT alone, and its rows to a file with `-o calls.parquet` (in `flowlake shell`, `\\o FILE`); WITH names a query in place of a table.",
    ),
    (
        &["ATTACH", "INSTALL", "LOAD", "PRAGMA", "SET", "USE"],
        "Leave it out: files are named in the SELECT, and their options in `-t NAME=FILE,KEY=VALUE`.",
    ),
];

/// The advice for a statement that is no query.
pub(super) fn advice(sql: &str) -> Option<&'static str> {
    let word = sql.split_whitespace().next()?.to_uppercase();
    let known = ELSEWHERE.iter();
    let mut known = known.filter(|(words, _)| words.contains(&word.as_str()));
    known.next().map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use super::advice;

    #[test]
    fn statements_of_other_shells_get_the_command_that_does_the_same() {
        assert!(advice("describe 'a.csv'").unwrap().contains("inspect"));
        assert!(advice("\n COPY (SELECT 1) TO 'x'").unwrap().contains("-o"));
        assert_eq!(advice("SELECT 1"), None);
        assert_eq!(advice(""), None);
    }
}
