//! Values and the types of their columns, through an action's file: what does not fit exactly is a misfit, whatever the format,
//! and what told a type is read as it.

use flowlake_data_action::{Answer, ErrorCode};
use flowlake_transform::arrow::{array::new_null_array, datatypes::DataType};
use serde_json::{Value, json};

use crate::support::{House, detected, parquet};

/// What an action has to answer.
pub(crate) enum Expected {
    /// The rows, as JSON.
    Rows(&'static str),
    /// A part of the error.
    Error(String),
    /// Rows that were skipped, values that were made null, and the rows.
    Counted(u64, u64, &'static str),
}

pub(crate) struct Case {
    /// Key and content.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// Lines of `[tables.t]` behind its uri.
    pub(crate) table: String,
    sql: &'static str,
    expected: Expected,
}

/// A file behind a name of its own.
pub(crate) fn case(
    key: &str,
    content: impl Into<Vec<u8>>,
    table: &str,
    sql: &'static str,
    expected: Expected,
) -> Case {
    Case {
        files: vec![(key.to_owned(), content.into())],
        table: table.to_owned(),
        sql,
        expected,
    }
}

/// Several files.
pub(crate) fn files(files: &[(&str, &str)], sql: &'static str, expected: Expected) -> Case {
    Case {
        files: files
            .iter()
            .map(|(key, content)| ((*key).to_owned(), content.as_bytes().to_vec()))
            .collect(),
        table: String::new(),
        sql,
        expected,
    }
}

/// Runs all cases as actions of one project, each of one file from memory too.
pub(crate) async fn check(cases: Vec<Case>) {
    let mut all = Vec::new();
    let mut actions = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let folder = format!("exports/{number}/");
        for (key, content) in &case.files {
            all.push((format!("{folder}{key}"), content.as_slice()));
        }
        let mut action = |name: &str, key: &str| {
            actions.push(format!(
                "name = \"{name}{number}\"\nhot = {}\n[query]\nsql = '''{}'''\n[tables.t]\nuri = \"s3://lake/{folder}{key}\"\n{}\n",
                name == "hot", case.sql, case.table
            ));
        };
        action("cold", "");
        if let [(key, _)] = case.files.as_slice() {
            action("hot", key);
        }
    }
    let all: Vec<_> = all
        .iter()
        .map(|(key, content)| (key.as_str(), *content))
        .collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let may = json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*" }]);
    let house = House::furnished(&all, may, "", &actions, |_| {}).await;
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        for name in ["cold", "hot"] {
            if name == "hot" && case.files.len() > 1 {
                continue;
            }
            let found = house.ask(&format!("{name}{number}"), json!({})).await;
            if let Some(found) = case.difference(found) {
                let (key, _) = &case.files[0];
                wrong.push(format!(
                    "{name} {key} {:?} {}: {found}",
                    case.table, case.sql
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Case {
    /// What was answered, if it is not what it has to be.
    fn difference(&self, found: Result<Answer, (ErrorCode, String)>) -> Option<String> {
        let right = match (&self.expected, &found) {
            (Expected::Rows(rows), Ok(answer)) => answer.data.get() == *rows,
            (Expected::Error(part), Err((_, message))) => message.contains(part),
            (Expected::Counted(skipped, nulled, rows), Ok(answer)) => {
                (answer.skipped_rows, answer.nulled_values) == (*skipped, *nulled)
                    && answer.data.get() == *rows
            }
            _ => false,
        };
        let told = |answer: Answer| {
            let (skipped, nulled) = (answer.skipped_rows, answer.nulled_values);
            format!("{} {skipped} {nulled}", answer.data)
        };
        (!right).then(|| format!("{:?}", found.map(told)))
    }
}

/// 1000 records, from which types are found, and one more.
fn after_the_sample(usual: &str, odd: &str) -> String {
    format!("{}{odd}", usual.repeat(1000))
}

/// The three policies for one value behind the sample; `line` is where it is.
fn misfit(key: &str, content: &str, types: &str, line: u64) -> Vec<Case> {
    const SQL: &str = "SELECT count(*) AS n, count(v) AS v FROM t";
    let with = |policy: &str, expected| {
        case(
            key,
            content,
            &format!("on_error = \"{policy}\"\n{types}"),
            SQL,
            expected,
        )
    };
    vec![
        with("fail", Expected::Error(format!("line {line}, column"))),
        with("null", Expected::Counted(0, 1, r#"[{"n":1001,"v":1000}]"#)),
        with("skip", Expected::Counted(1, 0, r#"[{"n":1000,"v":1000}]"#)),
    ]
}

#[tokio::test]
async fn delimited_text_behind_the_sample() {
    let mut cases = Vec::new();
    for (usual, odd) in [
        ("71", "0071"),
        ("71", "004930901820"),
        ("71", "+4930901820"),
        ("71", "1.0"),
        ("71", "99999999999999999999"),
        ("1.5", "00.5"),
        ("1.5", "9007199254740993"),
        ("1.5", "1e400"),
        ("true", "no"),
        ("true", "1"),
        ("2026-01-05", "2026-01-05T23:30:00-05:00"),
        ("2026-01-05", "2026-02-30"),
        ("2026-01-05", "20260105"),
        ("2026-01-05T10:00:00", "2026-01-05T10:00:00.9876543"),
        ("2026-01-05T10:00:00", "1767605400000"),
        ("2026-01-05T10:00:00", "2026-01-05T24:00:00"),
    ] {
        let content = format!(
            "v,w\n{}",
            after_the_sample(&format!("{usual},x\n"), &format!("{odd},x\n"))
        );
        cases.extend(misfit("t.csv", &content, "", 1002));
    }
    for (declared, usual, odd) in [
        ("integer", "7", "007"),
        ("decimal(10, 2)", "1.25", "1.255"),
        ("date", "2026-01-05", "2026-01-05T00:00:00"),
        ("timestamp", "2026-01-05T10:00:00", "1767605400000"),
        ("Int8", "7", "300"),
        (
            "Timestamp(s)",
            "2026-01-05T10:00:00",
            "2026-01-05T10:00:00.987",
        ),
    ] {
        let content = format!(
            "v,w\n{}",
            after_the_sample(&format!("{usual},x\n"), &format!("{odd},x\n"))
        );
        cases.extend(misfit(
            "t.csv",
            &content,
            &format!("types = {{ v = \"{declared}\" }}"),
            1002,
        ));
    }
    // A fraction behind whole seconds stays.
    let content = format!(
        "v\n{}",
        after_the_sample("2026-01-05T10:00:00\n", "2026-01-05T10:00:00.987\n")
    );
    let kept = Expected::Rows(r#"[{"v":"2026-01-05T10:00:00.987"}]"#);
    cases.push(case(
        "t.csv",
        content,
        "",
        "SELECT max(v) AS v FROM t",
        kept,
    ));
    check(cases).await;
}

#[tokio::test]
async fn json_behind_the_sample() {
    let mut cases = Vec::new();
    let odd_values = [
        (
            "integer",
            "7",
            vec![
                "1.9",
                "-0.6",
                "\"007\"",
                "9007199254740993.0",
                "true",
                "[1]",
                "{\"x\":1}",
            ],
        ),
        ("float", "1.5", vec!["9007199254740993", "\"x\"", "true"]),
        (
            "date",
            "\"2026-01-05\"",
            vec!["20260105", "\"2026-01-05T23:30:00-05:00\""],
        ),
        (
            "timestamp",
            "\"2026-01-05T10:00:00\"",
            vec!["1767605400000", "\"2026-01-05T10:00:00.1234567\""],
        ),
        ("decimal(10, 2)", "1.25", vec!["1.255", "1e300"]),
        ("boolean", "true", vec!["\"no\"", "1"]),
    ];
    for (declared, usual, odd) in odd_values {
        let types = format!("types = {{ v = \"{declared}\" }}");
        let found = matches!(declared, "integer" | "float" | "boolean");
        for odd in odd {
            let lines = after_the_sample(
                &format!("{{\"v\":{usual}}}\n"),
                &format!("{{\"v\":{odd}}}\n"),
            );
            let array = format!("[{}]", lines.trim().replace('\n', ",\n"));
            for types in found.then_some("").into_iter().chain([types.as_str()]) {
                cases.extend(misfit("t.ndjson", &lines, types, 1001));
                cases.extend(misfit("t.json", &array, types, 1001));
            }
        }
    }
    check(cases).await;
}

#[tokio::test]
async fn values_in_objects_and_lists() {
    let object = after_the_sample(
        "{\"o\":{\"v\":7,\"w\":1}}\n",
        "{\"o\":{\"v\":1.9,\"w\":2}}\n",
    );
    let list = after_the_sample("{\"l\":[7,8]}\n", "{\"l\":[1,1.9]}\n");
    let null = "on_error = \"null\"";
    let skip = "on_error = \"skip\"";
    let last = "SELECT o.v AS v, o.w AS w FROM t WHERE o.w = 2";
    let sum = "SELECT count(*) AS n, sum(array_length(l)) AS items FROM t";
    check(vec![
        case(
            "t.ndjson",
            object.as_str(),
            "",
            last,
            Expected::Error("line 1001, column `o` holds a number where".to_owned()),
        ),
        case(
            "t.ndjson",
            object.as_str(),
            null,
            last,
            Expected::Counted(0, 1, r#"[{"v":null,"w":2}]"#),
        ),
        case(
            "t.ndjson",
            object.as_str(),
            skip,
            last,
            Expected::Counted(1, 0, "[]"),
        ),
        case(
            "t.ndjson",
            list.as_str(),
            "",
            sum,
            Expected::Error("line 1001, column `l` holds a number where".to_owned()),
        ),
        case(
            "t.ndjson",
            list.as_str(),
            null,
            sum,
            Expected::Counted(0, 1, r#"[{"n":1001,"items":2002}]"#),
        ),
        case(
            "t.ndjson",
            list.as_str(),
            skip,
            sum,
            Expected::Counted(1, 0, r#"[{"n":1000,"items":2000}]"#),
        ),
    ])
    .await;
}

/// Formats that have types: a value fits where the table's type has the very same.
#[tokio::test]
async fn files_that_have_types() {
    let mut cases = Vec::new();
    for format in ["parquet", "avro", "arrow"] {
        let key = format!("t.{format}");
        for (declared, usual, odd) in [
            ("integer", "2.0", "1.9"),
            ("integer", "2.0", "-0.6"),
            ("decimal(10, 2)", "1.25", "1.255"),
            ("float", "7", "9007199254740993"),
            ("date", "2026-01-05T00:00:00", "2026-01-05T10:00:00"),
            ("Int8", "7", "300"),
        ] {
            let lines = format!("v,w\n{usual},x\n{odd},x\n{usual},x");
            let content = flowlake_cases::written(&[format], &lines).await.unwrap();
            let with = |policy: &str, sql, expected| {
                let table = format!("types = {{ v = \"{declared}\" }}\non_error = \"{policy}\"");
                case(&key, content.clone(), &table, sql, expected)
            };
            let sql = "SELECT count(*) AS n, count(v) AS v FROM t";
            cases.push(with(
                "fail",
                "SELECT v FROM t",
                Expected::Error(format!("{key}: ")),
            ));
            cases.push(with(
                "fail",
                "SELECT max(v) AS v FROM t WHERE w = 'x'",
                Expected::Error("column `v` holds".to_owned()),
            ));
            cases.push(with(
                "null",
                sql,
                Expected::Counted(0, 1, r#"[{"n":3,"v":2}]"#),
            ));
            cases.push(with(
                "skip",
                sql,
                Expected::Counted(1, 0, r#"[{"n":2,"v":2}]"#),
            ));
            cases.push(with(
                "skip",
                "SELECT count(*) AS n FROM t WHERE w = 'x'",
                Expected::Counted(1, 0, r#"[{"n":2}]"#),
            ));
        }
        let numbers = flowlake_cases::written(&[format], "v\n1767605400000")
            .await
            .unwrap();
        let unit = "types = { v = { type = \"timestamp\", unit = \"ms\" } }";
        let moment = Expected::Rows(r#"[{"v":"2026-01-05T09:30:00"}]"#);
        cases.push(case(&key, numbers.clone(), unit, "SELECT v FROM t", moment));
        let never = Expected::Error("which cannot become timestamp".to_owned());
        cases.push(case(
            &key,
            numbers,
            "types = { v = \"timestamp\" }",
            "SELECT v FROM t",
            never,
        ));
    }
    check(cases).await;
}

#[tokio::test]
async fn numbers_since_1970_by_declaration() {
    let sql = "SELECT v FROM t";
    let moment = || Expected::Rows(r#"[{"v":"2026-01-05T09:30:00"}]"#);
    let declared =
        |unit: &str| format!("types = {{ v = {{ type = \"timestamp\", unit = \"{unit}\" }} }}");
    let listed =
        "header = true\n[[tables.t.columns]]\nname = \"v\"\ntype = \"timestamptz\"\nunit = \"ms\"";
    check(vec![
        case("t.csv", "v\n1767605400\n", &declared("s"), sql, moment()),
        case(
            "t.csv",
            "v\n1767605400000\n",
            &declared("ms"),
            sql,
            moment(),
        ),
        case(
            "t.ndjson",
            "{\"v\":1767605400000000}\n",
            &declared("us"),
            sql,
            moment(),
        ),
        case(
            "t.json",
            "[{\"v\":1767605400000000000}]",
            &declared("ns"),
            sql,
            moment(),
        ),
        case(
            "t.ndjson",
            "{\"v\":\"1767605400\"}\n",
            &declared("s"),
            sql,
            moment(),
        ),
        case(
            "t.csv",
            "v\n1767605400000\n",
            listed,
            sql,
            Expected::Rows(r#"[{"v":"2026-01-05T09:30:00Z"}]"#),
        ),
        case(
            "t.csv",
            "v\n1767605400.5\n",
            &declared("s"),
            sql,
            Expected::Rows(r#"[{"v":"2026-01-05T09:30:00.500"}]"#),
        ),
        case(
            "t.csv",
            "v\n2026-01-05T09:30:00\n",
            &declared("s"),
            sql,
            Expected::Error("line 2, column 1 (`v`)".to_owned()),
        ),
        case(
            "t.ndjson",
            "{\"v\":1767605400000}\n",
            "types = { v = \"timestamp\" }",
            sql,
            Expected::Error("line 1, column `v` holds an integer".to_owned()),
        ),
    ])
    .await;
}

#[tokio::test]
async fn types_are_those_of_all_values() {
    let rows = Expected::Rows;
    check(vec![
        case(
            "t.csv",
            "v,w\n0000-00-00,1\n",
            "",
            "SELECT v FROM t",
            rows(r#"[{"v":"0000-00-00"}]"#),
        ),
        case(
            "t.csv",
            "v,w\n2026-01-05,1\n2026-13-45,2\n",
            "",
            "SELECT v FROM t",
            rows(r#"[{"v":"2026-01-05"},{"v":"2026-13-45"}]"#),
        ),
        case(
            "t.csv",
            "v,w\n9999-12-31,1\n2026-01-05T10:00:00.987654,2\n",
            "",
            "SELECT max(v) AS a, min(v) AS b FROM t",
            rows(r#"[{"a":"9999-12-31T00:00:00","b":"2026-01-05T10:00:00.987654"}]"#),
        ),
        case(
            "t.csv",
            "v,w\n2026-01-05T10:00:00.123456789,1\n",
            "",
            "SELECT v FROM t",
            rows(r#"[{"v":"2026-01-05T10:00:00.123456789"}]"#),
        ),
        case(
            "t.csv",
            "v,w\n9007199254740993,1\n1.5,2\n",
            "",
            "SELECT v FROM t",
            rows(r#"[{"v":9007199254740993.0},{"v":1.5}]"#),
        ),
        case(
            "t.ndjson",
            "{\"v\":9007199254740993}\n{\"v\":1.5}\n",
            "",
            "SELECT v FROM t",
            rows(r#"[{"v":9007199254740993.0},{"v":1.5}]"#),
        ),
        case(
            "t.csv",
            "queue,2026-01-01\n7,9\n8,10\n",
            "",
            "SELECT \"2026-01-01\" AS v FROM t",
            rows(r#"[{"v":9},{"v":10}]"#),
        ),
        case(
            "t.csv",
            "queue,2026-01-01\nx,2026-01-02\n",
            "",
            "SELECT column_2 AS v FROM t",
            rows(r#"[{"v":"2026-01-01"},{"v":"2026-01-02"}]"#),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_file_without_a_value_says_nothing_of_its_type() {
    let max = "SELECT max(v) AS v, count(*) AS n FROM t";
    let numbers = ("b.csv", "v,w\n9,x\n10,x\n");
    let object = ("b.ndjson", "{\"v\":{\"x\":9}}\n{\"v\":{\"x\":10}}\n");
    let inside = "SELECT max(v.x) AS v, count(*) AS n FROM t";
    let list = ("b.ndjson", "{\"v\":[9]}\n{\"v\":[10]}\n");
    let first = "SELECT max(v[1]) AS v, count(*) AS n FROM t";
    check(vec![
        files(
            &[("a.csv", "v,w\n,x\n"), numbers],
            max,
            Expected::Rows(r#"[{"v":10,"n":3}]"#),
        ),
        files(
            &[("a.csv", "v,w\n"), numbers],
            max,
            Expected::Rows(r#"[{"v":10,"n":2}]"#),
        ),
        files(
            &[numbers, ("c.csv", "v,w\n,x\n")],
            max,
            Expected::Rows(r#"[{"v":10,"n":3}]"#),
        ),
        files(
            &[
                ("a.ndjson", "{\"v\":null}\n"),
                ("b.ndjson", "{\"v\":9}\n{\"v\":10}\n"),
            ],
            max,
            Expected::Rows(r#"[{"v":10,"n":3}]"#),
        ),
        files(
            &[("a.ndjson", "{\"v\":null}\n"), object],
            inside,
            Expected::Rows(r#"[{"v":10,"n":3}]"#),
        ),
        files(
            &[("a.ndjson", "{\"v\":{\"x\":null}}\n"), object],
            inside,
            Expected::Rows(r#"[{"v":10,"n":3}]"#),
        ),
        files(
            &[("a.ndjson", "{\"v\":[]}\n"), list],
            first,
            Expected::Rows(r#"[{"v":10,"n":3}]"#),
        ),
        files(
            &[("a.json", "[{\"v\":null}]"), list],
            first,
            Expected::Rows(r#"[{"v":10,"n":3}]"#),
        ),
        // An integer that the floats of another file would take digits from.
        files(
            &[
                ("a.csv", "v,w\n9007199254740993,x\n"),
                ("b.csv", "v,w\n1.5,x\n"),
            ],
            max,
            Expected::Error(
                "a.csv: line 2, column 1 (`v`) holds a very large integer and is float, which does not keep all its digits: declare `decimal(p, s)`"
                    .to_owned(),
            ),
        ),
        files(
            &[
                ("a.ndjson", "{\"v\":[9007199254740993]}\n"),
                ("b.ndjson", "{\"v\":[1.5]}\n"),
            ],
            first,
            Expected::Error("does not keep all its digits: declare `decimal(p, s)`".to_owned()),
        ),
        files(
            &[
                ("a.csv", "v,w\n9007199254740992,x\n"),
                ("b.csv", "v,w\n1.5,x\n"),
            ],
            max,
            Expected::Rows(r#"[{"v":9.007199254740992e15,"n":2}]"#),
        ),
    ])
    .await;
}

/// `[]` is null where the column is no list.
#[tokio::test]
async fn an_array_without_an_item_says_nothing_of_its_type() {
    let max = "SELECT max(v) AS v, count(*) AS n FROM t";
    let inside = "SELECT max(v.x) AS v, count(*) AS n FROM t";
    let numbers = ("b.csv", "v,w\n9,x\n10,x\n");
    let object = ("b.ndjson", "{\"v\":{\"x\":9}}\n{\"v\":{\"x\":10}}\n");
    check(vec![
        files(
            &[
                ("a.ndjson", "{\"v\":[]}\n"),
                ("b.ndjson", "{\"v\":9}\n{\"v\":10}\n"),
            ],
            max,
            Expected::Counted(0, 0, r#"[{"v":10,"n":3}]"#),
        ),
        files(
            &[numbers, ("c.json", "[{\"v\":[]},{\"v\":[]}]")],
            max,
            Expected::Counted(0, 0, r#"[{"v":10,"n":4}]"#),
        ),
        files(
            &[("a.ndjson", "{\"v\":[]}\n"), object],
            inside,
            Expected::Counted(0, 0, r#"[{"v":10,"n":3}]"#),
        ),
        files(
            &[("a.ndjson", "{\"v\":{\"x\":[]}}\n"), object],
            inside,
            Expected::Counted(0, 0, r#"[{"v":10,"n":3}]"#),
        ),
        files(
            &[(
                "a.ndjson",
                "{\"v\":[]}\n{\"v\":9}\n{\"v\":10}\n{\"v\":[]}\n",
            )],
            max,
            Expected::Counted(0, 0, r#"[{"v":10,"n":4}]"#),
        ),
    ])
    .await;
}

#[tokio::test]
async fn rare_types_are_read_as_exactly_as_common_ones() {
    let map =
        "Map(\"entries\": non-null Struct(\"keys\": non-null Utf8, \"values\": Int64), unsorted)";
    let json = |values: &[&str]| -> String {
        let rows = values.iter().map(|value| format!("{{\"v\":{value}}}\n"));
        rows.collect()
    };
    let csv = |values: &[&str]| format!("v,w\n{},x\n", values.join(",x\n"));
    let all = "SELECT v FROM t";
    let nulled = |rows| Expected::Counted(0, 1, rows);
    let mut cases = Vec::new();
    let mut each =
        |kind: &str, key: &str, text: String, nulls: &'static str, rest: &'static str| {
            let table = format!("types = {{ v = '{kind}' }}\n");
            let with = |policy: &str| format!("{table}on_error = \"{policy}\"");
            let fails = Expected::Error("line ".to_owned());
            cases.push(case(key, text.clone(), &table, all, fails));
            cases.push(case(key, text.clone(), &with("null"), all, nulled(nulls)));
            let skipped = Expected::Counted(1, 0, rest);
            cases.push(case(key, text, &with("skip"), all, skipped));
        };
    let decimal = "Decimal256(50, 2)";
    let digits = "123456789012345678901234567890123456789012345678.25";
    let (nulls, rest) = (
        r#"[{"v":123456789012345678901234567890123456789012345678.25},{"v":null}]"#,
        r#"[{"v":123456789012345678901234567890123456789012345678.25}]"#,
    );
    each(decimal, "t.ndjson", json(&[digits, "1.255"]), nulls, rest);
    each(decimal, "t.csv", csv(&[digits, "007"]), nulls, rest);
    let (nulls, rest) = (r#"[{"v":{"a":1}},{"v":{"a":null}}]"#, r#"[{"v":{"a":1}}]"#);
    each(
        map,
        "t.ndjson",
        json(&["{\"a\":1}", "{\"a\":1.9}"]),
        nulls,
        rest,
    );
    each(
        map,
        "u.ndjson",
        json(&["{\"a\":1}", "{\"a\":\"007\"}"]),
        nulls,
        rest,
    );
    let (nulls, rest) = (r#"[{"v":[1,2]},{"v":[3,null]}]"#, r#"[{"v":[1,2]}]"#);
    for list in [
        "FixedSizeList(2 x Int64)",
        "ListView(Int64)",
        "LargeListView(Int64)",
    ] {
        each(list, "t.ndjson", json(&["[1,2]", "[3,-0.6]"]), nulls, rest);
    }
    let (nulls, rest) = (r#"[{"v":"10:00:00"},{"v":null}]"#, r#"[{"v":"10:00:00"}]"#);
    let times = ["10:00:00", "10:00:00.987"];
    each("Time32(s)", "t.csv", csv(&times), nulls, rest);
    let quoted = times.map(|time| format!("\"{time}\""));
    each(
        "Time32(s)",
        "t.ndjson",
        json(&[&quoted[0], &quoted[1]]),
        nulls,
        rest,
    );
    let (nulls, rest) = (r#"[{"v":7},{"v":null}]"#, r#"[{"v":7}]"#);
    each(
        "Dictionary(Int32, Int64)",
        "t.csv",
        csv(&["7", "007"]),
        nulls,
        rest,
    );
    each(
        "Dictionary(Int32, Int64)",
        "t.ndjson",
        json(&["7", "1.9"]),
        nulls,
        rest,
    );
    check(cases).await;
}

#[tokio::test]
async fn a_key_that_changes_its_kind_takes_no_other_key_along() {
    let text = "{\"id\":1,\"v\":[1]}\n{\"id\":2,\"v\":\"x\",\"late\":true}\n";
    let sql = "SELECT id, v, late FROM t ORDER BY id";
    check(vec![
        case(
            "t.ndjson",
            text,
            "on_error = \"null\"",
            sql,
            Expected::Counted(
                0,
                1,
                r#"[{"id":1,"v":[1],"late":null},{"id":2,"v":null,"late":true}]"#,
            ),
        ),
        case(
            "t.ndjson",
            text,
            "",
            sql,
            Expected::Error("line 2, column `v` holds a string".to_owned()),
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_value_of_another_kind_inside_takes_no_other_along() {
    let rows = [
        r#"{"id":1,"o":{"x":1,"y":{"z":2}},"l":[{"x":1,"y":4}],"t":"a"}"#,
        r#"{"id":2,"o":{"x":[1],"y":{"z":{"u":1}}},"l":[{"x":{"u":1},"y":5},7,{"x":2}],"t":["a"]}"#,
        r#"{"id":3,"o":{"x":3,"y":6},"l":{"x":1},"t":"b"}"#,
    ];
    let lines = format!("{}\n", rows.join("\n"));
    let array = format!("[{}]", rows.join(",\n"));
    const ALL: &str = "SELECT id, o, l, t FROM t ORDER BY id";
    let mut cases = Vec::new();
    for (key, text) in [("t.ndjson", &lines), ("t.json", &array)] {
        let with = |policy: &str, expected| {
            let table = format!("on_error = \"{policy}\"");
            case(key, text.clone(), &table, ALL, expected)
        };
        cases.push(with(
            "fail",
            Expected::Error(
                "line 2, column `o` holds an array where integer is expected".to_owned(),
            ),
        ));
        cases.push(with(
            "null",
            Expected::Counted(
                0,
                7,
                concat!(
                    r#"[{"id":1,"o":{"x":1,"y":{"z":2}},"l":[{"x":1,"y":4}],"t":"a"},"#,
                    r#"{"id":2,"o":{"x":null,"y":{"z":null}},"l":[{"x":null,"y":5},null,{"x":2,"y":null}],"t":null},"#,
                    r#"{"id":3,"o":{"x":3,"y":null},"l":null,"t":"b"}]"#
                ),
            ),
        ));
        cases.push(with(
            "skip",
            Expected::Counted(
                2,
                0,
                r#"[{"id":1,"o":{"x":1,"y":{"z":2}},"l":[{"x":1,"y":4}],"t":"a"}]"#,
            ),
        ));
    }
    // What does not fit in a row before comes first.
    let text =
        "{\"n\":1,\"o\":{\"x\":1}}\n{\"n\":1.5,\"o\":{\"x\":1}}\n{\"n\":1,\"o\":{\"x\":[2]}}\n";
    let integers = "types = { n = \"integer\" }\n";
    cases.push(case(
        "t.ndjson",
        text,
        integers,
        "SELECT * FROM t",
        Expected::Error("line 2, column `n` holds a number and is integer".to_owned()),
    ));
    cases.push(case(
        "t.ndjson",
        text,
        &format!("{integers}on_error = \"null\""),
        "SELECT n, o FROM t",
        Expected::Counted(
            0,
            2,
            r#"[{"n":1,"o":{"x":1}},{"n":null,"o":{"x":1}},{"n":1,"o":{"x":null}}]"#,
        ),
    ));
    // Declared kinds that hold others.
    for (kind, text, nulled, rows) in [
        (
            "Map(\"entries\": non-null Struct(\"keys\": non-null Int64, \"values\": Int64), unsorted)",
            "{\"v\":{\"1\":2,\"3\":[4]}}\n{\"v\":{\"x\":[4]}}\n{\"v\":5}\n",
            3,
            r#"[{"v":{"1":2,"3":null}},{"v":null},{"v":null}]"#,
        ),
        (
            "FixedSizeList(2 x Int64)",
            "{\"v\":[1,{}]}\n{\"v\":[1]}\n{\"v\":{}}\n",
            3,
            r#"[{"v":[1,null]},{"v":null},{"v":null}]"#,
        ),
        (
            "Binary",
            "{\"v\":\"00ff\"}\n{\"v\":\"no\"}\n{\"v\":[1]}\n",
            2,
            r#"[{"v":"00ff"},{"v":null},{"v":null}]"#,
        ),
    ] {
        cases.push(case(
            "t.ndjson",
            text,
            &format!("on_error = \"null\"\ntypes = {{ v = '{kind}' }}"),
            "SELECT v FROM t",
            Expected::Counted(0, nulled, rows),
        ));
    }
    check(cases).await;
}

/// No file has a value of `v` and `at`, as on a day when nothing happened.
#[tokio::test]
async fn a_column_without_a_value_is_of_the_type_that_the_sql_takes() {
    let csv = "v,at,w\n,,1\n,,2\n";
    let ndjson = "{\"v\":null,\"at\":null,\"w\":1}\n{\"v\":null,\"at\":null,\"w\":2}\n";
    let mut cases = Vec::new();
    for (key, text) in [("t.csv", csv), ("t.ndjson", ndjson)] {
        for (sql, rows) in [
            (
                "SELECT sum(v) AS v, sum(w) AS w FROM t",
                r#"[{"v":null,"w":3}]"#,
            ),
            ("SELECT avg(v + w) AS v FROM t", r#"[{"v":null}]"#),
            ("SELECT w FROM t WHERE v > 5", "[]"),
            ("SELECT w FROM t WHERE v LIKE 'x%' OR upper(v) = 'X'", "[]"),
            (
                "SELECT date_trunc('day', at) AS v, at - INTERVAL '1 day' AS w FROM t WHERE w = 1",
                r#"[{"v":null,"w":null}]"#,
            ),
            (
                "SELECT sum(v) AS v, max(date_trunc('hour', at)) AS w FROM t",
                r#"[{"v":null,"w":null}]"#,
            ),
            ("SELECT bool_and(v) AS v FROM t", r#"[{"v":null}]"#),
            ("SELECT v FROM t WHERE w = 1", r#"[{"v":null}]"#),
        ] {
            cases.push(case(key, text, "", sql, Expected::Rows(rows)));
        }
        let refused = Expected::Error("`sum` does not take".to_owned());
        cases.push(case(
            key,
            text,
            "",
            "SELECT sum(upper(v)) AS v FROM t",
            refused,
        ));
    }
    // What comes behind the sample after all.
    let late = |value: &str| format!("v,w\n{}", after_the_sample(",1\n", &format!("{value},1\n")));
    let sum = "SELECT sum(v) AS v FROM t";
    cases.push(case(
        "t.csv",
        late("7"),
        "",
        sum,
        Expected::Rows(r#"[{"v":7}]"#),
    ));
    cases.push(case(
        "t.csv",
        late("1.5"),
        "",
        sum,
        Expected::Error("line 1002, column 1 (`v`) holds a number and is integer".to_owned()),
    ));
    cases.push(case(
        "t.csv",
        late("x"),
        "",
        "SELECT max(v) AS v FROM t",
        Expected::Rows(r#"[{"v":"x"}]"#),
    ));
    check(cases).await;
}

/// Other programs write a column without a value as one without a type.
#[tokio::test]
async fn parquet_columns_without_a_type_are_null_in_the_declared_one() {
    let nulls = parquet::file(&[("v", new_null_array(&DataType::Null, 2))]);
    let declared = ["integer", "string", "timestamp", "decimal(10,2)", "boolean"];
    let tables = declared.iter().flat_map(|kind| {
        ["fail", "null", "skip"]
            .map(|policy| format!("columns = {{ v = \"{kind}\" }}\non_error = \"{policy}\""))
    });
    let cases = tables.map(|table| {
        let rows = Expected::Counted(0, 0, "[{\"v\":null},{\"v\":null}]");
        case("a.parquet", nulls.clone(), &table, "SELECT v FROM t", rows)
    });
    check(cases.collect()).await;
}

/// A name that is misspelt under `columns` is null everywhere, and not in silence.
#[tokio::test]
async fn declared_columns_that_no_file_has_are_reported() {
    let parquet = flowlake_cases::written(&["parquet"], "a,name\n1,x")
        .await
        .unwrap();
    let arrow = flowlake_cases::written(&["arrow"], "a,name\n1,x")
        .await
        .unwrap();
    let list = "{\"a\":1,\"name\":[\"x\"]}\n";
    let all = [
        ("exports/c/t.csv", b"a,name\n1,x\n".as_slice()),
        ("exports/n/t.ndjson", b"{\"a\":1,\"name\":\"x\"}\n"),
        ("exports/j/t.json", b"[{\"a\":1,\"name\":\"nmae\"}]"),
        ("exports/l/t.ndjson", list.as_bytes()),
        ("exports/p/t.parquet", &parquet),
        ("exports/a/t.arrow", &arrow),
        ("exports/two/1.csv", b"a\n1\n"),
        ("exports/two/2.csv", b"a,nmae\n1,x\n"),
        ("exports/e/t.ndjson", b"{\"a\":1,\"nm\\u0061e\":\"x\"}\n"),
    ];
    let cases = [
        ("c/t.csv", "", "*", true),
        ("n/t.ndjson", "", "*", true),
        ("j/t.json", "", "*", true),
        ("l/t.ndjson", "", "*", true),
        ("p/t.parquet", "", "*", true),
        ("p/t.parquet", "on_error = \"null\"", "*", true),
        ("a/t.arrow", "", "*", true),
        ("c/", "", "*", true),
        ("n/t.ndjson", "", "a", false),
        ("two/", "", "*", false),
        ("e/t.ndjson", "", "*", false),
        // By place, names are whatever the table says.
        ("c/t.csv", "header = \"skip\"", "*", false),
    ];
    let actions: Vec<_> = cases
        .iter()
        .enumerate()
        .flat_map(|(number, (key, table, columns, _))| {
            let hot = !key.ends_with('/');
            let names = if hot { &["cold", "hot"][..] } else { &["cold"] };
            names.iter().map(move |name| {
                let is_hot = *name == "hot";
                let kind = if key.starts_with('l') { "List(Utf8)" } else { "string" };
                format!("name = \"{name}{number}\"\nhot = {is_hot}\n[query]\nsql = \"SELECT {columns} FROM t\"\n[tables.t]\nuri = \"s3://lake/exports/{key}\"\ncolumns = {{ a = \"integer\", nmae = \"{kind}\" }}\n{table}\n")
            })
        })
        .collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let may = json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*" }]);
    let house = House::furnished(&all, may, "", &actions, |_| {}).await;
    for (number, (key, table, _, told)) in cases.iter().enumerate() {
        for name in ["cold", "hot"] {
            if name == "hot" && key.ends_with('/') {
                continue;
            }
            let answer = house
                .run(&format!("{name}{number}"), json!({}))
                .await
                .unwrap();
            let warnings = answer["cost_tracking"]["warnings"].to_string();
            assert_eq!(
                warnings.contains("`nmae` is declared under `columns`"),
                *told,
                "{name} {key} {table}: {warnings}"
            );
        }
    }
    let inspector = house.inspector().await;
    for (number, told) in [
        (0, true),
        (1, true),
        (2, true),
        (6, true),
        (9, true),
        (10, false),
        (11, false),
    ] {
        let found = detected(&inspector, &format!("cold{number}")).await;
        let absent = &found.absent;
        assert_eq!(
            absent.contains(&"nmae".to_owned()),
            told,
            "{number}: {absent:?}"
        );
    }
}

/// As columns, keys inside of objects that the sample did not show are in no answer.
#[tokio::test]
async fn keys_inside_of_objects_that_the_sample_did_not_show_are_reported() {
    let usual = "{\"k\":1,\"o\":{\"a\":1,\"p\":{}},\"l\":[[{\"a\":1}]]}\n";
    let odd = "{\"k\":1,\"o\":{\"a\":1,\"p\":{\"late\":1},\"l\\u0061te\":5},\"l\":[[{\"a\":1},{\"late\":5}]]}\n";
    let lines = after_the_sample(usual, odd);
    let array = format!("[{}]", lines.trim_end().replace('\n', ",\n"));
    let (first, second) = (usual.as_bytes(), odd.as_bytes());
    let all = [
        ("exports/n/t.ndjson", lines.as_bytes()),
        ("exports/j/t.json", array.as_bytes()),
        ("exports/f/1.ndjson", first),
        ("exports/f/2.ndjson", second),
    ];
    let every = ["l.late", "o.late", "o.p.late"];
    let object = "types = { o = 'Struct(\"a\": Int64)' }";
    let cases: [(&str, &str, &str, &[&str]); 9] = [
        ("n/t.ndjson", "", "*", &every),
        ("j/t.json", "", "*", &every),
        ("f/", "infer_files = 1", "*", &every),
        ("f/", "infer_files = 1\non_error = \"null\"", "*", &every),
        ("f/", "", "*", &[]),
        ("n/t.ndjson", "infer_rows = 5000", "*", &[]),
        // Of what the SQL uses, and of what nobody has declared.
        ("n/t.ndjson", "", "o", &every[1..]),
        ("n/t.ndjson", "", "k", &[]),
        ("n/t.ndjson", object, "*", &every[..1]),
    ];
    let actions: Vec<_> = cases
        .iter()
        .enumerate()
        .map(|(number, (key, table, columns, _))| {
            format!("name = \"a{number}\"\n[query]\nsql = \"SELECT {columns} FROM t\"\n[tables.t]\nuri = \"s3://lake/exports/{key}\"\n{table}\n")
        })
        .collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let may = json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*" }]);
    let house = House::furnished(&all, may, "", &actions, |_| {}).await;
    for (number, (_, table, _, expected)) in cases.iter().enumerate() {
        let answer = house.run(&format!("a{number}"), json!({})).await.unwrap();
        let warnings = answer["cost_tracking"]["warnings"].to_string();
        let mut reported: Vec<_> = warnings
            .split('`')
            .filter(|part| part.contains("late"))
            .collect();
        reported.sort_unstable();
        assert_eq!(reported, *expected, "a{number} {table}: {warnings}");
    }
    let inspector = house.inspector().await;
    for (number, expected) in [(0, &every[..]), (1, &every), (4, &[]), (8, &every[..1])] {
        let found = detected(&inspector, &format!("a{number}")).await;
        let unlisted = &found.unlisted;
        assert_eq!(unlisted, expected, "a{number}");
    }
}

#[tokio::test]
async fn columns_that_the_sample_did_not_show_are_reported_once() {
    let quick = after_the_sample(
        "{\"a\":1}\n",
        "{\"a\":2,\"late\":3}\n{\"a\":2,\"l\\u0061te\":3}\n",
    );
    let nested = after_the_sample("{\"a\":[1]}\n", "{\"a\":[2],\"late\":3}\n");
    let wide = "infer_files = 1\n";
    let table =
        |key: &str, more: &str| format!("[tables.t]\nuri = \"s3://lake/exports/{key}\"\n{more}");
    let tables = [
        table("q/t.ndjson", ""),
        table("n/t.ndjson", ""),
        table("c/", wide),
        table("q/t.ndjson", "columns = { a = \"integer\" }"),
        table("q/t.ndjson", "infer_rows = 5000"),
        table("p/", wide),
        table("p/", "infer_files = 1\non_error = \"null\"\n"),
    ];
    let parquet = async |lines: &str| flowlake_cases::written(&["parquet"], lines).await.unwrap();
    let (first, second) = (parquet("a\n1").await, parquet("a,late\n1,y").await);
    let actions: Vec<_> = tables
        .iter()
        .enumerate()
        .map(|(number, table)| {
            format!("name = \"a{number}\"\n[query]\nsql = \"SELECT * FROM t\"\n{table}\n")
        })
        .collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let all = [
        ("exports/q/t.ndjson", quick.as_bytes()),
        ("exports/n/t.ndjson", nested.as_bytes()),
        ("exports/c/1.csv", b"a,b\n1,x\n".as_slice()),
        ("exports/c/2.csv", b"a,b,late\n1,x,y\n"),
        ("exports/p/1.parquet", first.as_slice()),
        ("exports/p/2.parquet", second.as_slice()),
    ];
    let may = json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*" }]);
    let house = House::furnished(&all, may, "", &actions, |_| {}).await;
    for (number, told) in [
        (0, true),
        (1, true),
        (2, true),
        (3, false),
        (4, false),
        (5, true),
        (6, true),
    ] {
        let answer = house.run(&format!("a{number}"), json!({})).await.unwrap();
        let warnings = answer["cost_tracking"]["warnings"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let about: Vec<&Value> = warnings
            .iter()
            .filter(|warning| warning.to_string().contains("`late` of exports/"))
            .collect();
        assert_eq!(about.len(), usize::from(told), "a{number}: {warnings:?}");
    }
    let inspector = house.inspector().await;
    for (number, told) in [(0, true), (1, true), (3, false), (4, false)] {
        let found = detected(&inspector, &format!("a{number}")).await;
        let unlisted = &found.unlisted;
        assert_eq!(
            unlisted.contains(&"late".to_owned()),
            told,
            "a{number}: {unlisted:?}"
        );
    }
}

/// A number with a point is that number: not the float nearest to it, whose digits a decimal does not have.
#[tokio::test]
async fn numbers_with_a_point_are_compared_digit_by_digit() {
    const CONTENT: &str = "id,amt,f,big\n1,98765.43,98765.43,9007199254740993\n2,12345678.90,12345678.9,2\n3,-554.33,-554.33,3\n";
    let mut cases = Vec::new();
    for (sql, rows) in [
        ("SELECT id FROM t WHERE amt = 98765.43", r#"[{"id":1}]"#),
        (
            "SELECT id FROM t WHERE amt IN (98765.43, -554.33) ORDER BY id",
            r#"[{"id":1},{"id":3}]"#,
        ),
        (
            "SELECT id FROM t WHERE amt <= 12345678.90 ORDER BY id",
            r#"[{"id":1},{"id":2},{"id":3}]"#,
        ),
        (
            "SELECT id FROM t WHERE amt BETWEEN 98765.43 AND 12345678.899 ORDER BY id",
            r#"[{"id":1}]"#,
        ),
        ("SELECT id FROM t WHERE amt = -5.5433e2", r#"[{"id":3}]"#),
        (
            "SELECT CASE amt WHEN 98765.43 THEN 'a' ELSE 'b' END AS c FROM t ORDER BY id",
            r#"[{"c":"a"},{"c":"b"},{"c":"b"}]"#,
        ),
        (
            "SELECT id FROM t WHERE amt = f ORDER BY id",
            r#"[{"id":1},{"id":2},{"id":3}]"#,
        ),
        (
            "SELECT a.id FROM t a JOIN t b ON a.amt = b.f ORDER BY a.id",
            r#"[{"id":1},{"id":2},{"id":3}]"#,
        ),
        (
            "SELECT id FROM t WHERE f = 98765.43 AND f > -1e300",
            r#"[{"id":1}]"#,
        ),
        ("SELECT id FROM t WHERE big = 9007199254740992.0", "[]"),
        (
            "SELECT id FROM t WHERE big > 9007199254740992.5",
            r#"[{"id":1}]"#,
        ),
        (
            "SELECT id FROM t WHERE big > 2.5 AND big < 1e3",
            r#"[{"id":3}]"#,
        ),
    ] {
        let table = "types = { amt = 'decimal(12, 2)' }";
        cases.push(case("a.csv", CONTENT, table, sql, Expected::Rows(rows)));
    }
    check(cases).await;
}
