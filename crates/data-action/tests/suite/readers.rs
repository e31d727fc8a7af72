//! How files are read, through an action's TOML: the rows that they hold, or an error that names the place.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::io::Write;

use flowlake_data_action::{Action, ActionDefinition};
use serde_json::{Value, json};

use crate::support::{House, detected};

/// One file, asked through one action, cold and from memory.
pub(crate) struct Case {
    file: &'static str,
    content: Vec<u8>,
    /// Keys of the table.
    table: &'static str,
    sql: &'static str,
    /// The rows, or a part of the message of `data.malformed`.
    expected: Result<Value, &'static str>,
}

pub(crate) fn case(
    file: &'static str,
    content: impl Into<Vec<u8>>,
    table: &'static str,
    sql: &'static str,
    expected: Result<Value, &'static str>,
) -> Case {
    Case {
        file,
        content: content.into(),
        table,
        sql,
        expected,
    }
}

pub(crate) async fn check(cases: Vec<Case>) {
    let actions: Vec<_> = cases
        .iter()
        .enumerate()
        .flat_map(|(number, case)| {
            [false, true].map(|hot| {
                format!(
                    "name = \"case-{number}-{hot}\"\nhot = {hot}\n[limits]\ntimeout = \"60s\"\n[tables.t]\nuri = \"s3://lake/exports/{number}/{}\"\n{}\n[query]\nsql = '''{}'''\n",
                    case.file, case.table, case.sql
                )
            })
        })
        .collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let house = House::build(&actions).await;
    let lake = house.folder.path().join("lake-root/lake/exports");
    for (number, case) in cases.iter().enumerate() {
        let folder = lake.join(number.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(case.file), &case.content).unwrap();
    }
    for (number, case) in cases.iter().enumerate() {
        for hot in [false, true] {
            let shown = format!("case {number}, {}, {}, hot: {hot}", case.file, case.sql);
            let answer = house.run(&format!("case-{number}-{hot}"), json!({})).await;
            match (&answer, &case.expected) {
                (Ok(answer), Ok(rows)) => assert_eq!(answer["data"], *rows, "{shown}"),
                (Err((code, message)), Err(part)) => {
                    assert_eq!(code.as_str(), "data.malformed", "{shown}: {message}");
                    assert!(message.contains(part), "{shown}: {message}");
                }
                (Ok(answer), Err(part)) => {
                    panic!("{shown}: {} rows and not {part}", answer["row_count"]);
                }
                (Err((code, message)), Ok(_)) => panic!("{shown}: {code:?} {message}"),
            }
        }
    }
}

/// Rows beyond the head that a file is known by.
const MANY: usize = 40_000;

#[tokio::test]
async fn text_of_another_encoding_late_in_a_file_is_found_by_every_query() {
    const QUERIES: [&str; 5] = [
        "SELECT k FROM t WHERE name = 'Müller'",
        "SELECT k FROM t WHERE name = 'nobody'",
        "SELECT k FROM t WHERE k < 0",
        "SELECT count(*) AS n FROM t",
        "SELECT max(k) AS k FROM t",
    ];
    let csv = |late: &[u8]| {
        let many = "someone else,1\n".repeat(MANY);
        [b"name,k\n", many.as_bytes(), late, many.as_bytes()].concat()
    };
    let lines = |late: &[u8]| {
        let many = "{\"name\":\"someone else\",\"k\":1}\n".repeat(MANY);
        [many.as_bytes(), late, many.as_bytes()].concat()
    };
    let document = |late: &[u8]| {
        let many = "{\"name\":\"someone else\",\"k\":1},\n".repeat(MANY);
        [b"[", many.as_bytes(), late, b"]"].concat()
    };
    let mut cases = Vec::new();
    for sql in QUERIES {
        cases.push(case(
            "t.csv",
            csv(b"M\xfcller,2\n"),
            "",
            sql,
            Err("t.csv: line 40002, column 1 (`name`) holds bytes that are no UTF-8: set `encoding`"),
        ));
        cases.push(case(
            "t.ndjson",
            lines(b"{\"name\":\"M\xfcller\",\"k\":2}\n"),
            "",
            sql,
            Err("t.ndjson: line 40001, column 11 holds bytes that are no UTF-8: set `encoding`"),
        ));
        cases.push(case(
            "t.json",
            document(b"{\"name\":\"M\xfcller\",\"k\":2}"),
            "",
            sql,
            Err("t.json: line 40001, column 11 holds bytes that are no UTF-8: set `encoding`"),
        ));
    }
    for (file, content) in [
        ("t.csv", csv(b"M\xfcller,2\n")),
        ("t.ndjson", lines(b"{\"name\":\"M\xfcller\",\"k\":2}\n")),
        ("t.json", document(b"{\"name\":\"M\xfcller\",\"k\":2}")),
    ] {
        let declared = "encoding = \"windows-1252\"";
        let found = Ok(json!([{ "k": 2 }]));
        cases.push(case(file, content, declared, QUERIES[0], found));
    }
    // A column that no query names, and a header.
    cases.push(case(
        "t.csv",
        csv(b"someone,\xe9\n"),
        "columns = { name = \"string\" }",
        "SELECT name FROM t WHERE name = 'nobody'",
        Err("line 40002, column 2 holds bytes that are no UTF-8"),
    ));
    cases.push(case(
        "t.csv",
        &b"name,\xfcber\nx,1\n"[..],
        "encoding = \"utf-8\"",
        "SELECT name FROM t",
        Err("line 1, column 2 holds bytes that are no UTF-8"),
    ));
    // What a policy forgives is forgiven in the same way whatever is asked for.
    cases.push(case(
        "t.csv",
        csv(b"M\xfcller,2\n"),
        "on_error = \"skip\"",
        "SELECT count(*) AS n FROM t WHERE k = 2",
        Ok(json!([{ "n": 0 }])),
    ));
    check(cases).await;
}

#[tokio::test]
async fn every_row_of_delimited_text_has_its_fields_whatever_is_asked_for() {
    let many = "someone else,1\n".repeat(MANY);
    let mut cases = Vec::new();
    for sql in [
        "SELECT k FROM t WHERE name = 'nobody'",
        "SELECT k FROM t WHERE name = 'somebody'",
        "SELECT count(*) AS n FROM t",
    ] {
        for (row, part) in [
            ("x,1,2\n", "line 40003 has 3 fields and 2 were expected"),
            ("x\n", "line 40003 has 1 field and 2 were expected"),
            ("\"x\"y,1\n", "line 40003 has text after a closing quote"),
        ] {
            let content = format!("name,k\n{many}somebody,1\n{row}{many}");
            cases.push(case("t.csv", content, "", sql, Err(part)));
        }
        // As many fields in all as there should be.
        let content = format!("name,k\n{many}somebody,1\nx\nx,1,2\n{many}");
        let part = "line 40003 has 1 field and 2 were expected";
        cases.push(case("t.csv", content, "", sql, Err(part)));
    }
    check(cases).await;
}

#[tokio::test]
async fn json_is_what_the_standard_says_on_every_line() {
    const FAULTS: [(&str, &str); 9] = [
        (
            "{\"k\": 2,}",
            "column 9 is not valid JSON: a key in quotes was expected",
        ),
        (
            "{\"k\": 2 \"j\": 3}",
            "column 9 is not valid JSON: a comma or `}` was expected",
        ),
        (
            "{\"k\": 02}",
            "column 8 is not valid JSON: a number begins with a zero",
        ),
        (
            "{\"k\": \"a\tb\"}",
            "column 9 is not valid JSON: a control character",
        ),
        (
            "{\"k\": 2",
            "column 8 is not valid JSON: a comma or `}` was expected",
        ),
        (
            "{\"k\": nul}",
            "column 10 is not valid JSON: `true`, `false` or `null`",
        ),
        (
            "{\"k\": [1 2]}",
            "column 10 is not valid JSON: a comma or `]` was expected",
        ),
        (
            "{\"k\": \"\\x\"}",
            "column 9 is not valid JSON: a backslash",
        ),
        (
            "{\"k\": \"\\ud800\"}",
            "column 14 is not valid JSON: an escape is one half of a surrogate pair",
        ),
    ];
    let many = "{\"k\":1,\"name\":\"someone\"}\n".repeat(MANY);
    let mut cases = Vec::new();
    for (fault, part) in FAULTS {
        for sql in [
            "SELECT k FROM t",
            "SELECT k FROM t WHERE name = 'nobody'",
            "SELECT count(*) AS n FROM t",
        ] {
            let part = |line: usize| -> &'static str { format!("line {line}, {part}").leak() };
            let first = "{\"k\":1,\"name\":\"x\"}";
            let lines = format!("{first}\n{fault}\n{first}\n");
            cases.push(case("t.ndjson", lines, "", sql, Err(part(2))));
            // Rows beyond the first thousand are not read when they are not asked for.
            if sql != "SELECT k FROM t" {
                let late = format!("{many}{fault}\n{many}");
                cases.push(case("t.ndjson", late, "", sql, Err(part(MANY + 1))));
            }
        }
        // A document, and a part of it that holds no rows.
        if !fault.ends_with("\"k\": 2") {
            let array = format!("[{{\"k\":1}},\n{fault}]");
            let part: &'static str = format!("line 2, {part}").leak();
            cases.push(case(
                "t.json",
                array,
                "",
                "SELECT count(*) AS n FROM t",
                Err(part),
            ));
            for document in [
                format!("{{\"x\":\n{fault},\"rows\":[{{\"k\":1}}]}}"),
                format!("{{\"rows\":[{{\"k\":1}}],\"x\":\n{fault}}}"),
            ] {
                let pointer = "json_pointer = \"/rows\"";
                cases.push(case(
                    "t.json",
                    document,
                    pointer,
                    "SELECT k FROM t",
                    Err(part),
                ));
            }
        }
    }
    // Left out and counted where that is asked for.
    let lines = "{\"k\":1}\n{\"k\": 2,}\n{\"k\":3}\n";
    for policy in ["on_error = \"skip\"", "on_error = \"null\""] {
        let rows = Ok(json!([{ "k": 1 }, { "k": 3 }]));
        cases.push(case("t.ndjson", lines, policy, "SELECT k FROM t", rows));
    }
    check(cases).await;
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[expect(clippy::too_many_lines, reason = "one table of cases")]
#[tokio::test]
async fn dialects_of_exports() {
    const ALL: &str = "SELECT * FROM t";
    const TITLE: &str = "line 2 has 2 fields and 1 were expected: a title in front of the header is left out by `skip_lines`, and text with a delimiter in it stands in quotes";
    let rows = || Ok(json!([{ "a": 1, "b": "x" }, { "a": 2, "b": "y, z" }]));
    let mut cases = Vec::new();
    let mut csv = |text: &str, table: &'static str, expected: Result<Value, &'static str>| {
        let ends = text.replace('\n', "\r\n");
        for text in [text, &ends] {
            cases.push(case("t.csv", text, table, ALL, Clone::clone(&expected)));
        }
    };
    // Delimiters of several characters, declared and found.
    csv("a||b\n1||x\n2||y, z\n", "delimiter = '||'", rows());
    csv("a||b\n1||x\n2||y, z\n", "", rows());
    csv("a, b\n1, x\n2, \"y, z\"\n", "delimiter = ', '", rows());
    csv("a~|~b\n1~|~x\n2~|~\"y, z\"\n", "delimiter = '~|~'", rows());
    csv(
        "a||b\n1||x\n2\n",
        "",
        Err("line 3 has 1 field and 3 were expected"),
    );
    // Blanks around fields, declared and found.
    csv(" a ,b\n 1 , x \n2,\"y, z\" \n", "trim = true", rows());
    csv("a, b\n1, x\n2, \"y, z\"\n", "", rows());
    csv("a | b\n1 | x\n2 | y, z\n", "", rows());
    csv(
        "a,b\n1, x\n2,y\n",
        "",
        Ok(json!([{ "a": 1, "b": " x" }, { "a": 2, "b": "y" }])),
    );
    csv(
        "a, b\n1, x\n2, y\n",
        "trim = false",
        Ok(json!([{ "a": 1, "b": " x" }, { "a": 2, "b": " y" }])),
    );
    // No quotes.
    let quotes = || Ok(json!([{ "a": 1, "b": "\"x" }, { "a": 2, "b": "y\"\"" }]));
    csv("a,b\n1,\"x\n2,y\"\"\n", "quote = ''", quotes());
    csv("a||b\n1||\"x\n2||y\"\"\n", "quote = ''", quotes());
    csv(
        "a,b\n1,\"x\n2,y\n",
        "",
        Err("line 2 is never closed: set `quote = \"\"` if nothing encloses fields"),
    );
    // Lines in front of the table, declared and found.
    let body = "a;b\n1;x\n2;y, z\n";
    csv(
        &format!("Report, of calls\n2026-01\n{body}"),
        "skip_lines = 2",
        rows(),
    );
    csv(
        &format!("Report\n\"never closed\n{body}"),
        "skip_lines = 2",
        rows(),
    );
    csv(&format!("Report, of calls\n2026-01\n\n{body}"), "", rows());
    csv(&format!("Report\n\nof; all; calls\n\n{body}"), "", rows());
    csv(&format!("\n\n{body}"), "", rows());
    csv("a,b\n1,x\n\n2,\"y, z\"\n", "", rows());
    csv(
        "Report\n",
        "skip_lines = 2\ncolumns = { a = 'integer' }",
        Err("ends within the 2 lines of `skip_lines`"),
    );
    csv(&format!("Report\n{body}"), "", Err(TITLE));
    // A title over lines that no comma divides, and the line that Excel writes.
    csv("Report of calls\na;b\n1;x\n2;y\n", "", Err(TITLE));
    csv("Report of calls\na,b\n1,x\n2,y\n", "", Err(TITLE));
    csv(&format!("sep=;\n{body}"), "", rows());
    csv(&format!("\u{feff}sep=;\n{body}"), "", rows());
    csv(&format!("\"sep=;\"\n{body}"), "", rows());
    csv("SEP=|\na|b\n1|x\n2|\"y, z\"\n", "", rows());
    csv("sep=;\na,b\n1,x\n2,\"y, z\"\n", "delimiter = ','", rows());
    csv(&format!("sep=;\n{body}"), "skip_lines = 1", rows());
    // Lines behind it.
    csv(&format!("{body}\nTotal;3\n\n"), "footer_lines = 1", rows());
    csv(
        &format!("{body}Total;3\n-- end --"),
        "footer_lines = 2",
        rows(),
    );
    csv(
        "a\n1\n",
        "footer_lines = 3\ncolumns = { a = 'integer' }",
        Err("fewer lines than the 3 of `footer_lines`"),
    );
    // Headers of several records, and broken ones.
    csv(
        "Calls,,Calls\nin,out,in\n1,2,3\n",
        "header_lines = 2",
        Ok(json!([{ "Calls_in": 1, "out": 2, "Calls_in_1": 3 }])),
    );
    csv(
        "a,\"b\n1,x\n2,\"y, z\"\n",
        "header = 'skip'\ncolumns = { a = 'integer', b = 'string' }",
        rows(),
    );
    csv(
        "broken\n1,x\n2,\"y, z\"\n",
        "header = 'skip'\ncolumns = { a = 'integer', b = 'string' }",
        rows(),
    );
    csv(
        "broken,\nheader\n1,x\n2,\"y, z\"\n",
        "header = 'skip'\nheader_lines = 2\ncolumns = { a = 'integer', b = 'string' }",
        rows(),
    );
    // A column without a value, whose delimiters look like one of two characters.
    for (text, header) in [
        ("report\n1||\n2||7.5\n", "header = 'skip'"),
        ("1||\n2||7.5\n", "header = false"),
    ] {
        let columns = "columns = { a = 'integer', b = 'date', c = 'float' }";
        let table = format!("{header}\n{columns}").leak();
        let rows = json!([{ "a": 1, "b": null, "c": null }, { "a": 2, "b": null, "c": 7.5 }]);
        csv(text, table, Ok(rows));
    }
    csv(
        "1||x\n2||y\n",
        "header = false\ncolumns = { a = 'integer', b = 'string' }",
        Ok(json!([{ "a": 1, "b": "x" }, { "a": 2, "b": "y" }])),
    );
    csv(
        "\nno,header\n1,x\n",
        "header = 'skip'",
        Ok(json!([{ "column_1": 1, "column_2": "x" }])),
    );
    csv("a,b\n", "header_lines = 2", Err("ends within its header"));
    // Fields that are missing at the end of a row.
    csv(
        "a,b\n1,x\n2\n",
        "",
        Err("line 3 has 1 field and 2 were expected"),
    );
    csv(
        "a,b\n1,x\n2\n",
        "on_error = 'null'",
        Ok(json!([{ "a": 1, "b": "x" }, { "a": 2, "b": null }])),
    );
    csv(
        "a,b\n1,x\n2\n",
        "on_error = 'skip'",
        Ok(json!([{ "a": 1, "b": "x" }])),
    );
    // gzip that fills up a block.
    let padded = [gzip(b"a,b\n1,x\n2,\"y, z\"\n"), vec![0; 700]].concat();
    cases.push(case("t.csv.gz", padded, "", ALL, rows()));
    check(cases).await;
}

/// Many rows of each dialect: they are read in chunks.
#[tokio::test]
async fn dialects_of_many_rows() {
    let sql = "SELECT count(*) AS n, sum(a) AS s, min(b) AS f, max(b) AS l FROM t";
    let found =
        || Ok(json!([{ "n": MANY, "s": MANY * (MANY - 1) / 2, "f": "x00000", "l": "x39999" }]));
    let text = |before: &str, row: &dyn Fn(usize) -> String, after: &str| {
        let rows: String = (0..MANY).map(row).collect();
        format!("{before}{rows}{after}")
    };
    let cases = vec![
        case(
            "t.csv",
            text("a||b\n", &|n| format!("{n}||x{n:05}\n"), ""),
            "",
            sql,
            found(),
        ),
        case(
            "t.csv",
            text("a , b\n", &|n| format!("{n} , x{n:05}\n"), ""),
            "",
            sql,
            found(),
        ),
        case(
            "t.csv",
            text("a,b\n", &|n| format!("{n}, \"x{n:05}\"\n"), ""),
            "trim = true",
            sql,
            found(),
        ),
        case(
            "t.csv",
            text(
                "Report\n\na,b\n",
                &|n| format!("{n},x{n:05}\n"),
                "\nTotal\n",
            ),
            "footer_lines = 1",
            sql,
            found(),
        ),
        case(
            "t.csv",
            text("a,b\n", &|n| format!("{n},x{n:05}\n"), ""),
            "quote = ''",
            sql,
            found(),
        ),
    ];
    check(cases).await;
}

#[tokio::test]
async fn what_is_found_of_a_dialect_is_reported() {
    let action = |name: &str| {
        format!(
            "name = \"{name}\"\n[tables.t]\nuri = \"s3://lake/exports/{name}.csv\"\n[query]\nsql = \"SELECT * FROM t\"\n"
        )
    };
    let files = [
        ("plain", "a,b\n1,x\n", ",", Some(true), vec![]),
        ("twice", "a||b\n1||x\n", "||", Some(true), vec![]),
        (
            "blanks",
            "a | b\n1 | x\n",
            "|",
            Some(true),
            vec!["trim = true"],
        ),
        (
            "before",
            "Report\n\na,b\n1,x\n",
            ",",
            Some(true),
            vec!["skip_lines = 2"],
        ),
        (
            "excel",
            "sep=;\na;b\n1;x\n",
            ";",
            Some(true),
            vec!["skip_lines = 1"],
        ),
    ];
    let actions: Vec<_> = files.iter().map(|(name, ..)| action(name)).collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let house = House::build(&actions).await;
    let lake = house.folder.path().join("lake-root/lake/exports");
    let inspector = house.inspector().await;
    for (name, text, delimiter, header, dialect) in files {
        std::fs::write(lake.join(format!("{name}.csv")), text).unwrap();
        let info = detected(&inspector, name).await;
        assert_eq!(info.delimiter.as_deref(), Some(delimiter), "{name}");
        assert_eq!(info.header, header, "{name}");
        assert_eq!(info.dialect, dialect, "{name}");
    }
}

#[test]
fn a_dialect_that_contradicts_itself_is_refused() {
    for (table, part) in [
        ("delimiter = ''", "one to 8 ASCII characters"),
        ("delimiter = '123456789'", "one to 8 ASCII characters"),
        ("delimiter = '§'", "one to 8 ASCII characters"),
        ("delimiter = '\"|'", "delimiter and quote"),
        ("delimiter = '#|'\ncomment = '#'", "delimiter and comment"),
        ("quote = 'ab'", "quote must be one character"),
        ("quote = ''\nescape = '\\'", "an escape and no quote"),
        ("header = 'maybe'", "true, false or \"skip\""),
        ("header_lines = 0", "header_lines"),
        (
            "header_lines = 2\nheader = false",
            "header_lines and `header = false`",
        ),
        ("footer_lines = 1001", "footer_lines"),
    ] {
        let text = format!(
            "name = \"x\"\n[tables.t]\nuri = \"s3://lake/exports/t.csv\"\n{table}\n[query]\nsql = \"SELECT * FROM t\"\n"
        );
        let action = ActionDefinition::parse("x.toml".as_ref(), &text).and_then(Action::try_new);
        let error = action.unwrap_err();
        let shown = format!("{error} {:?}", std::error::Error::source(&error));
        assert!(shown.contains(part), "{table}: {shown}");
    }
}
