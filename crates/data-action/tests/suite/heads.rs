//! Files whose beginning is wrong, through an action's file: what is wrong and where, and never that no file is there.

use crate::types::{Case, Expected, case, check, files};

/// Refused with this, alone and beside a file that is in order.
fn broken(key: &str, content: &[u8], table: &str, why: &str) -> Vec<Case> {
    let error = || Expected::Error(why.to_owned());
    let mut cases = vec![case(key, content, table, "SELECT * FROM t", error())];
    let good: (&str, &[u8]) = if key.ends_with(".csv") {
        ("a.csv", b"k,a\n1,2\n")
    } else {
        ("a.ndjson", b"{\"k\":1,\"a\":2}\n")
    };
    let beside = table.is_empty() && (key.ends_with("csv") || key.contains("json"));
    if beside {
        let mut both = case(key, content, table, "SELECT * FROM t", error());
        both.files.insert(0, (good.0.to_owned(), good.1.to_vec()));
        cases.push(both);
    }
    cases
}

#[expect(clippy::too_many_lines, reason = "one table of cases")]
#[tokio::test]
async fn what_is_wrong_with_the_first_record_is_reported_with_its_place() {
    let mut cases = Vec::new();
    for (key, content, why) in [
        (
            "t.ndjson",
            "{\"k\":1,\"a\":",
            "line 1, column 12 is not valid JSON: a value was expected",
        ),
        (
            "t.ndjson",
            "\n {\"k\":1 \"a\":2}\n",
            "line 2, column 9 is not valid JSON: a comma or `}` was expected",
        ),
        (
            "t.json",
            "{\"k\":1 \"a\":2}",
            "line 1, column 8 is not valid JSON: a comma or `}` was expected",
        ),
        (
            "t.json",
            "[{\"k\":1 \"a\":2}]",
            "line 1, column 9 is not valid JSON: a comma or `}` was expected",
        ),
        (
            "t.json",
            "[{\"k\":1},{\"k\":",
            "the JSON ends at line 1, column 15, inside the value of line 1: a value was expected",
        ),
        (
            "t.json",
            "[{\"k\":1",
            "the JSON ends at line 1, column 8, inside the value of line 1: a comma or `}` was expected",
        ),
        (
            "t.ndjson",
            "1\n2\n",
            "line 1 holds an integer where an object was expected",
        ),
        (
            "t.csv",
            "k,a\n\"1,2\n",
            "a quote in the record of line 2 is never closed",
        ),
        (
            "t.csv",
            "\"k\"x,a\n1,2\n",
            "line 1 has text after a closing quote",
        ),
        (
            "t.csv",
            "\"k,a\n1,2\n",
            "a quote in the record of line 1 is never closed",
        ),
    ] {
        cases.extend(broken(key, content.as_bytes(), "", why));
    }
    let by_place = "header = false";
    let torn = b"\"k\"x\n\"1\"y\n";
    cases.extend(broken(
        "t.csv",
        torn,
        by_place,
        "line 1 has text after a closing quote",
    ));
    let open = b"\"k,1\n2,3\n";
    cases.extend(broken("t.csv", open, by_place, "line 1 is never closed"));
    let skipped = "skip_lines = 2\nheader = false";
    let torn = b"x\ny\n\"k\"x\n";
    cases.extend(broken(
        "t.csv",
        torn,
        skipped,
        "line 3 has text after a closing quote",
    ));
    // Where rows are left out that do not fit, all are.
    let skip = "on_error = \"skip\"";
    let line = b"{\"k\":1 \"a\":2}\n";
    cases.extend(broken(
        "t.ndjson",
        line,
        skip,
        "line 1, column 8 is not valid JSON",
    ));
    for key in ["t.avro", "t.arrow", "t.parquet"] {
        let name = match key {
            "t.avro" => "Avro",
            "t.arrow" => "Arrow IPC",
            _ => "Parquet",
        };
        for content in ["garbage", " ", "Obj\u{1}", "ARROW1", "PAR1"] {
            let why = format!("is not valid {name}, or is cut off");
            let begins_otherwise = match content {
                "Obj\u{1}" => key != "t.avro",
                "ARROW1" => key != "t.arrow",
                "PAR1" => key != "t.parquet",
                _ => false,
            };
            if !begins_otherwise {
                cases.extend(broken(key, content.as_bytes(), "", &why));
            }
        }
    }
    let mut skipped = files(
        &[("a.ndjson", "{\"k\":1}\n"), ("b.ndjson", "{\"k\":1 2}\n")],
        "SELECT k FROM t",
        Expected::Counted(1, 0, r#"[{"k":1}]"#),
    );
    skipped.table = skip.to_owned();
    cases.push(skipped);
    check(cases).await;
}

#[tokio::test]
async fn files_without_a_record_are_empty_and_not_missing() {
    let mut cases = Vec::new();
    for (key, content, holds) in [
        ("t.csv", "", "is empty"),
        ("t.ndjson", "", "is empty"),
        ("t.parquet", "", "is empty"),
        ("t.csv", " \n\n  \n", "holds nothing but blanks"),
        ("t.ndjson", " \n\n  \n", "holds nothing but blanks"),
        ("t.json", " \n\n  \n", "holds nothing but blanks"),
        ("t.csv", "\u{feff}", "holds nothing but blanks"),
        ("t.ndjson", "\u{feff}\n", "holds nothing but blanks"),
        ("t.json", "[]", "holds no record with a field"),
        ("t.ndjson", "{}\n{}\n", "holds no record with a field"),
    ] {
        let why = Expected::Error("no file with columns lies at s3://lake/exports/".to_owned());
        cases.push(case(key, content, "", "SELECT * FROM t", why));
        let why = Expected::Error(holds.to_owned());
        cases.push(case(key, content, "", "SELECT * FROM t", why));
    }
    // Beside others they are no rows.
    for (key, content) in [
        ("b.ndjson", " \n\n"),
        ("b.json", "[]"),
        ("b.ndjson", "\u{feff}"),
    ] {
        cases.push(files(
            &[("a.ndjson", "{\"k\":1}\n"), (key, content)],
            "SELECT k FROM t",
            Expected::Rows(r#"[{"k":1}]"#),
        ));
    }
    // Blanks are a header that names nothing.
    cases.push(files(
        &[("a.csv", "k\n1\n"), ("b.csv", " \n\n  \n")],
        "SELECT * FROM t",
        Expected::Error("the header names none of the table's columns".to_owned()),
    ));
    check(cases).await;
}
