//! What docs/tables.md says, as actions: each key, each type and each policy of its tables has an example here.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{collections::BTreeSet, fmt::Write as _, io::Write as _, path::Path};

use serde_json::{Value, json};

use crate::support::House;

/// The rows, or a part of the error.
type Expected = Result<Value, &'static str>;

/// The name that it is an example of, files below the action's folder, the uri in it, lines of `[tables.t]`, and a query.
struct Example(
    &'static str,
    &'static [(&'static str, &'static [u8])],
    &'static str,
    &'static str,
    &'static str,
    Expected,
);

const ALL: &str = "SELECT * FROM t";
const TWO: &[(&str, &[u8])] = &[
    ("date=2026-01-05/a.csv", b"n\n1\n"),
    ("date=2026-01-06/b.csv", b"n\n2\n"),
];
const DRIFTED: &[(&str, &[u8])] = &[
    ("a.csv", b"n\n1\n"),
    ("b.csv", b"n,late\n2,x\n"),
    ("c.csv", b"n\n3\n"),
];

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tables.md");
    std::fs::read_to_string(page).unwrap()
}

/// The names in the first cells of the page's tables.
fn names(page: &str) -> BTreeSet<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.flat_map(|row| row.split('|').nth(1));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(|name| name.trim_matches('"')).collect()
}

#[expect(clippy::too_many_lines, reason = "one table of examples")]
fn examples() -> Vec<Example> {
    let one = |rows: Value| Ok(json!([rows]));
    vec![
        Example(
            "uri",
            &[
                ("%20.csv", b"n\n1\n"),
                ("a.csv", b"n\n2\n"),
                ("sub/c.csv", b"n\n4\n"),
                ("_SUCCESS", b"x"),
                (".c.csv", b"n\n8\n"),
            ],
            "",
            "",
            "SELECT sum(n) AS s FROM t",
            one(json!({ "s": 7 })),
        ),
        Example(
            "uri",
            &[("%20.csv", b"n\n1\n"), (" .csv", b"n\n2\n")],
            "%20.csv",
            "",
            ALL,
            one(json!({ "n": 1 })),
        ),
        Example(
            "uri",
            &[
                ("a1.csv", b"n\n1\n"),
                ("b1.csv", b"n\n2\n"),
                ("c1.csv", b"n\n4\n"),
                ("a/1.csv", b"n\n8\n"),
            ],
            "[!b]*[0-9].c?v",
            "",
            "SELECT sum(n) AS s FROM t",
            one(json!({ "s": 13 })),
        ),
        Example(
            "partitions",
            TWO,
            "",
            "partitions = { date = 'string' }",
            "SELECT date, arrow_typeof(date) = 'Date32' AS d, n FROM t WHERE date = '2026-01-06'",
            one(json!({ "date": "2026-01-06", "d": false, "n": 2 })),
        ),
        Example("max_files", TWO, "", "max_files = 1", ALL, Err("max_files")),
        Example(
            "infer_files",
            DRIFTED,
            "",
            "infer_files = 2",
            "SELECT * FROM t ORDER BY n",
            Ok(json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }])),
        ),
        Example(
            "format",
            &[("a.txt", b"{\"n\":1}\n")],
            "",
            "format = 'ndjson'",
            ALL,
            one(json!({ "n": 1 })),
        ),
        Example(
            "compression",
            &[("a.csv.gz", b"n\n1\n")],
            "",
            "",
            ALL,
            Err("is named as gzip and is not"),
        ),
        Example(
            "compression",
            &[("a.csv.gz", b"n\n1\n")],
            "",
            "compression = 'none'",
            ALL,
            one(json!({ "n": 1 })),
        ),
        Example(
            "encoding",
            &[("a.csv", b"n\nM\xfcller\n")],
            "",
            "",
            ALL,
            one(json!({ "n": "Müller" })),
        ),
        Example(
            "encoding",
            &[("a.csv", b"n\n\xcf\n")],
            "",
            "encoding = 'koi8-r'",
            ALL,
            one(json!({ "n": "\u{43e}" })),
        ),
        Example(
            "json_pointer",
            &[("a.json", br#"{"x":{"entities":[{"n":1},{"n":2}]}}"#)],
            "",
            "json_pointer = '/x/entities'",
            ALL,
            Ok(json!([{ "n": 1 }, { "n": 2 }])),
        ),
        Example(
            "delimiter",
            &[("a.csv", b"a||b\n1||x,y\n")],
            "",
            "delimiter = '||'",
            ALL,
            one(json!({ "a": 1, "b": "x,y" })),
        ),
        Example(
            "header",
            &[("a.csv", b"queue,2026-01-01\nSales,7\n")],
            "",
            "",
            ALL,
            one(json!({ "queue": "Sales", "2026-01-01": 7 })),
        ),
        Example(
            "header",
            &[("a.csv", b"1,x\n2,y\n")],
            "",
            "header = true",
            ALL,
            one(json!({ "1": 2, "x": "y" })),
        ),
        Example(
            "header_lines",
            &[("a.csv", b"a,\nx,b\n1,2\n")],
            "",
            "header_lines = 2",
            ALL,
            one(json!({ "a_x": 1, "b": 2 })),
        ),
        Example(
            "skip_lines",
            &[("a.csv", b"Report\na,b\n1,2\n")],
            "",
            "skip_lines = 1",
            ALL,
            one(json!({ "a": 1, "b": 2 })),
        ),
        Example(
            "footer_lines",
            &[("a.csv", b"a,b\n1,2\nTotal,2\n\n")],
            "",
            "footer_lines = 1",
            ALL,
            one(json!({ "a": 1, "b": 2 })),
        ),
        Example(
            "trim",
            &[("a.csv", b"a , b\n 1,2 \n")],
            "",
            "trim = true",
            ALL,
            one(json!({ "a": 1, "b": 2 })),
        ),
        Example(
            "quote",
            &[("a.csv", b"a,b\n1,'x,y'\n")],
            "",
            "quote = \"'\"",
            ALL,
            one(json!({ "a": 1, "b": "x,y" })),
        ),
        Example(
            "quote",
            &[("a.csv", b"a,b\n1,\"x\n")],
            "",
            "quote = ''",
            ALL,
            one(json!({ "a": 1, "b": "\"x" })),
        ),
        Example(
            "escape",
            &[("a.csv", b"a,b\n1,\"x\\\"y\"\"\"\n")],
            "",
            "escape = '\\'",
            ALL,
            one(json!({ "a": 1, "b": "x\"y\"" })),
        ),
        Example(
            "comment",
            &[("a.csv", b"# x\na,b\n# y\n1,2\n")],
            "",
            "comment = '#'",
            ALL,
            one(json!({ "a": 1, "b": 2 })),
        ),
        Example(
            "null_values",
            &[("a.csv", b"a,b\n1,NULL\n2,\\N\n3,\n")],
            "",
            r#"null_values = ["", "NULL", "\\N"]"#,
            "SELECT count(a) AS a, count(b) AS b FROM t",
            one(json!({ "a": 3, "b": 0 })),
        ),
        Example(
            "columns",
            &[("a.csv", b"x,1,y\n")],
            "",
            "header = false\ncolumns = [['zed', 'string'], ['alpha', 'integer'], ['mid', 'string']]",
            ALL,
            one(json!({ "zed": "x", "alpha": 1, "mid": "y" })),
        ),
        Example(
            "columns",
            &[("a.csv", b"b,c\n1,2\n")],
            "",
            "columns = { c = 'string', a = 'integer' }",
            ALL,
            one(json!({ "c": "2", "a": null })),
        ),
        Example(
            "types",
            &[("a.csv", b"a,b\n071,1\n")],
            "",
            "types = { b = 'string' }",
            ALL,
            one(json!({ "a": "071", "b": "1" })),
        ),
        Example(
            "infer_rows",
            &[("a.csv", b"a\n1\nx\n")],
            "",
            "infer_rows = 1",
            ALL,
            Err("line 3, column 1 (`a`) holds text and is integer"),
        ),
        Example(
            "integer",
            &[("a.csv", b"a,b,c\n-7,0071,+49\n")],
            "",
            "",
            ALL,
            one(json!({ "a": -7, "b": "0071", "c": "+49" })),
        ),
        Example(
            "decimal(p, s)",
            &[(
                "a.csv",
                b"a,b\n9223372036854775808,1.5\n1,9007199254740993\n",
            )],
            "",
            "",
            "SELECT a, CAST(b AS VARCHAR) AS b FROM t",
            Ok(
                json!([{ "a": 9_223_372_036_854_775_808_u64, "b": "1.5" }, { "a": 1, "b": "9007199254740993.0" }]),
            ),
        ),
        Example(
            "decimal(p, s)",
            &[("a.csv", b"a\n1.255\n")],
            "",
            "types = { a = 'decimal(10, 2)' }",
            ALL,
            Err("is decimal(10, 2)"),
        ),
        Example(
            "float",
            &[("a.csv", b"a,b,c\n1.5,1e3,-Infinity\n")],
            "",
            "",
            "SELECT a, b, c < 0 AS c FROM t",
            one(json!({ "a": 1.5, "b": 1000.0, "c": true })),
        ),
        Example(
            "boolean",
            &[("a.csv", b"a,b\nTRUE,yes\n")],
            "",
            "",
            ALL,
            one(json!({ "a": true, "b": "yes" })),
        ),
        Example(
            "date",
            &[("a.csv", b"a,b\n2026-01-05,2026-13-45\n")],
            "",
            "",
            "SELECT a + 1 AS a, b FROM t",
            one(json!({ "a": "2026-01-06", "b": "2026-13-45" })),
        ),
        Example(
            "timestamp",
            &[(
                "a.csv",
                b"a,b\n2026-01-05 10:00:00.987+01:00,2026-01-05T10:00Z\n",
            )],
            "",
            "",
            ALL,
            one(json!({ "a": "2026-01-05T09:00:00.987", "b": "2026-01-05T10:00:00" })),
        ),
        Example(
            "timestamp",
            &[("a.csv", b"a\n1767605400000\n")],
            "",
            "types = { a = { type = 'timestamp', unit = 'ms' } }",
            ALL,
            one(json!({ "a": "2026-01-05T09:30:00" })),
        ),
        Example(
            "timestamptz",
            &[("a.csv", b"a\n2026-01-05T10:00:00+0100\n")],
            "",
            "types = { a = 'timestamptz' }",
            ALL,
            one(json!({ "a": "2026-01-05T09:00:00Z" })),
        ),
        Example(
            "string",
            &[("a.ndjson", b"{\"a\":\"2026-01-05\",\"b\":7.0}\n")],
            "",
            "",
            "SELECT a || '' AS a, b FROM t",
            one(json!({ "a": "2026-01-05", "b": 7.0 })),
        ),
        Example(
            "fail",
            &[("a.csv", b"a,b\n1,x\n2\n")],
            "",
            "",
            ALL,
            Err("line 3 has 1 field and 2 were expected"),
        ),
        Example(
            "null",
            &[("a.csv", b"a,b\n1,x\n2\n")],
            "",
            "on_error = 'null'",
            ALL,
            Ok(json!([{ "a": 1, "b": "x" }, { "a": 2, "b": null }])),
        ),
        Example(
            "skip",
            &[("a.csv", b"a,b\n1,x\n2\n")],
            "",
            "on_error = 'skip'",
            ALL,
            one(json!({ "a": 1, "b": "x" })),
        ),
    ]
}

#[tokio::test]
async fn each_name_of_the_page_has_an_example() {
    let page = page();
    let examples = examples();
    let shown: BTreeSet<&str> = examples.iter().map(|example| example.0).collect();
    assert_eq!(names(&page), shown);
    let (mut files, mut actions) = (Vec::new(), Vec::new());
    for (number, Example(_, own, uri, table, sql, _)) in examples.iter().enumerate() {
        let folder = format!("exports/{number}/");
        files.extend(
            own.iter()
                .map(|(key, text)| (format!("{folder}{key}"), *text)),
        );
        let mut action = |name: &str, uri: &str| {
            let hot = name == "hot";
            actions.push(format!(
                "name = \"{name}{number}\"\nhot = {hot}\n[query]\nsql = \"\"\"{sql}\"\"\"\n[tables.t]\nuri = \"s3://lake/{folder}{uri}\"\n{table}\n"
            ));
        };
        action("cold", uri);
        if let [(key, _)] = own {
            action("hot", key);
        }
    }
    // The page's own projects, over files of ours.
    let mut blocks = page.split("```toml\n").skip(1);
    let mut block = || blocks.next().unwrap().split("```").next().unwrap();
    let calls = block().replace("s3://genesys-data-lake/calls/", "s3://lake/exports/calls/");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"ani,ms\n0071,5\n0072,x,y\n").unwrap();
    let gzip = gzip.finish().unwrap();
    files.push((
        "exports/calls/date=2026-01-01/hour=0/part-0.csv.gz".to_owned(),
        &gzip,
    ));
    let sql = "SELECT * FROM calls WHERE date = '2026-01-01'";
    actions.push(format!(
        "name = \"calls\"\n[query]\nsql = \"\"\"{sql}\"\"\"\n{calls}"
    ));
    files.push(("exports/callers.csv".to_owned(), b"ani,tier\n0071,gold\n"));
    let sql = "SELECT tier FROM c WHERE ani = '0071'";
    actions.push(format!(
        "{}[query]\nsql = \"\"\"{sql}\"\"\"\n[tables.c]\nuri = \"s3://lake/exports/callers.csv\"\n",
        block()
    ));
    assert!(
        blocks.next().is_none(),
        "a block of the page that is not tried"
    );
    let files: Vec<_> = files
        .iter()
        .map(|(key, text)| (key.as_str(), *text))
        .collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let may = json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*" }]);
    let house = House::furnished(&files, may, "", &actions, |_| {}).await;
    let mut wrong = String::new();
    for (number, Example(name, own, _, table, sql, expected)) in examples.iter().enumerate() {
        for kept in ["cold", "hot"]
            .iter()
            .take(if own.len() == 1 { 2 } else { 1 })
        {
            let found = house.run(&format!("{kept}{number}"), json!({})).await;
            let right = match (&found, expected) {
                (Ok(answer), Ok(rows)) => answer["data"] == *rows,
                (Err((_, message)), Err(part)) => message.contains(part),
                _ => false,
            };
            if !right {
                let found = found.map(|answer| answer["data"].to_string());
                writeln!(wrong, "{kept} `{name}` {table:?} {sql}: {found:?}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let calls = house.run("calls", json!({})).await.unwrap();
    assert_eq!(
        calls["data"],
        json!([{ "ani": "0071", "ms": 5, "date": "2026-01-01", "hour": 0 }])
    );
    let caller = house.run("caller-profile", json!({})).await.unwrap();
    assert_eq!(caller["data"], json!([{ "tier": "gold" }]));
}
