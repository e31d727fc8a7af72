//! The examples of docs/tables.md and docs/functions.md as actions: each key, each type and each policy of a table has one here,
//! and each line of a function's table.

use serde_json::{Map, Value, json};

use crate::action::{Asks, Case};

/// The rows, or a part of the error.
type Expected = Result<Value, &'static str>;

/// An example of what a page says.
#[derive(Debug)]
pub struct Example {
    /// The name of the page that it is an example of.
    pub name: &'static str,
    /// Files below the action's folder.
    files: &'static [(&'static str, &'static [u8])],
    uri: &'static str,
    /// Lines of `[tables.t]`.
    table: &'static str,
    sql: &'static str,
    expected: Expected,
}

/// Examples as actions, and the objects that they read.
#[derive(Debug, Default)]
pub struct Documented {
    /// Objects by key.
    pub files: Vec<(String, Vec<u8>)>,
    /// The questions. Where they can be, they are asked of tables in memory too.
    pub cases: Vec<Case>,
}

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

fn example(
    name: &'static str,
    files: &'static [(&'static str, &'static [u8])],
    uri: &'static str,
    table: &'static str,
    sql: &'static str,
    expected: Expected,
) -> Example {
    Example {
        name,
        files,
        uri,
        table,
        sql,
        expected,
    }
}

impl Documented {
    /// The examples of docs/tables.md and, of its text, those of docs/functions.md. Keys begin with `prefix`, such as `exports/`.
    ///
    /// # Panics
    /// When a result of the page is no JSON.
    #[must_use]
    pub fn of(functions: &str, bucket: &str, prefix: &str) -> Self {
        let mut all = Self::default();
        for (number, example) in examples().into_iter().enumerate() {
            let folder = format!("{prefix}documented-{number}/");
            for (key, content) in example.files {
                all.files.push((format!("{folder}{key}"), content.to_vec()));
            }
            let table = |uri: &str| {
                let (uri, table) = (format!("s3://{bucket}/{folder}{uri}"), example.table);
                format!("uri = \"{uri}\"\n{table}\n")
            };
            let asks = || match &example.expected {
                Ok(rows) => Asks::Data(rows.clone()),
                Err(part) => Asks::Message(part),
            };
            let name = format!("tables-{number}");
            all.ask(&name, example.sql, &table(example.uri), false, asks());
            // A table in memory is of one object.
            if let [(key, _)] = example.files {
                all.ask(&name, example.sql, &table(key), true, asks());
            }
        }
        let key = format!("{prefix}documented/t.csv");
        let table = format!("uri = \"s3://{bucket}/{key}\"\n");
        all.files.push((key, b"n,text\n1,x\n2,\n".to_vec()));
        for (number, (expression, result)) in lines(functions).into_iter().enumerate() {
            let name = format!("functions-{number}");
            // Beside a column, so that it is computed for each row and not folded away.
            let sql = format!("SELECT n, {expression} AS r FROM t ORDER BY n");
            let rows = json!([{ "n": 1, "r": result }, { "n": 2, "r": result }]);
            for hot in [false, true] {
                all.ask(&name, &sql, &table, hot, Asks::Data(rows.clone()));
            }
        }
        all
    }

    fn ask(&mut self, name: &str, sql: &str, table: &str, hot: bool, asks: Asks) {
        let name = format!("{name}-{}", if hot { "hot" } else { "cold" });
        self.cases.push(Case {
            toml: format!(
                "name = \"{name}\"\nhot = {hot}\n[query]\nsql = \"\"\"{sql}\"\"\"\n[tables.t]\n{table}"
            ),
            name,
            values: Map::new(),
            needs_clock: false,
            asks,
        });
    }
}

/// Expression and result of each line of a page's tables.
#[must_use]
pub fn lines(page: &str) -> Vec<(&str, Value)> {
    // The last table is of what is refused.
    let page = page.split("## What is refused").next().unwrap_or(page);
    let lines = page.lines().filter_map(|line| {
        let line = line.strip_prefix("| `")?.strip_suffix("` |")?;
        let (expression, result) = line.split_once("` | `")?;
        let result = serde_json::from_str(result).expect("results of the page are JSON");
        Some((expression, result))
    });
    lines.collect()
}

/// The examples of docs/tables.md.
#[expect(clippy::too_many_lines, reason = "one table of examples")]
#[must_use]
pub fn examples() -> Vec<Example> {
    let one = |rows: Value| Ok(json!([rows]));
    vec![
        example(
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
        example(
            "uri",
            &[("%20.csv", b"n\n1\n"), (" .csv", b"n\n2\n")],
            "%20.csv",
            "",
            ALL,
            one(json!({ "n": 1 })),
        ),
        example(
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
        example(
            "partitions",
            TWO,
            "",
            "partitions = { date = 'string' }",
            "SELECT date, arrow_typeof(date) = 'Date32' AS d, n FROM t WHERE date = '2026-01-06'",
            one(json!({ "date": "2026-01-06", "d": false, "n": 2 })),
        ),
        example("max_files", TWO, "", "max_files = 1", ALL, Err("max_files")),
        example(
            "infer_files",
            DRIFTED,
            "",
            "infer_files = 2",
            "SELECT * FROM t ORDER BY n",
            Ok(json!([{ "n": 1 }, { "n": 2 }, { "n": 3 }])),
        ),
        example(
            "format",
            &[("a.txt", b"{\"n\":1}\n")],
            "",
            "format = 'ndjson'",
            ALL,
            one(json!({ "n": 1 })),
        ),
        example(
            "compression",
            &[("a.csv.gz", b"n\n1\n")],
            "",
            "",
            ALL,
            Err("is named as gzip and is not"),
        ),
        example(
            "compression",
            &[("a.csv.gz", b"n\n1\n")],
            "",
            "compression = 'none'",
            ALL,
            one(json!({ "n": 1 })),
        ),
        example(
            "encoding",
            &[("a.csv", b"n\nM\xfcller\n")],
            "",
            "",
            ALL,
            one(json!({ "n": "Müller" })),
        ),
        example(
            "encoding",
            &[("a.csv", b"n\n\xcf\n")],
            "",
            "encoding = 'koi8-r'",
            ALL,
            one(json!({ "n": "\u{43e}" })),
        ),
        example(
            "json_pointer",
            &[("a.json", br#"{"x":{"entities":[{"n":1},{"n":2}]}}"#)],
            "",
            "json_pointer = '/x/entities'",
            ALL,
            Ok(json!([{ "n": 1 }, { "n": 2 }])),
        ),
        example(
            "delimiter",
            &[("a.csv", b"a||b\n1||x,y\n")],
            "",
            "delimiter = '||'",
            ALL,
            one(json!({ "a": 1, "b": "x,y" })),
        ),
        example(
            "header",
            &[("a.csv", b"queue,2026-01-01\nSales,7\n")],
            "",
            "",
            ALL,
            one(json!({ "queue": "Sales", "2026-01-01": 7 })),
        ),
        example(
            "header",
            &[("a.csv", b"1,x\n2,y\n")],
            "",
            "header = true",
            ALL,
            one(json!({ "1": 2, "x": "y" })),
        ),
        example(
            "header_lines",
            &[("a.csv", b"a,\nx,b\n1,2\n")],
            "",
            "header_lines = 2",
            ALL,
            one(json!({ "a_x": 1, "b": 2 })),
        ),
        example(
            "skip_lines",
            &[("a.csv", b"Report\na,b\n1,2\n")],
            "",
            "skip_lines = 1",
            ALL,
            one(json!({ "a": 1, "b": 2 })),
        ),
        example(
            "footer_lines",
            &[("a.csv", b"a,b\n1,2\nTotal,2\n\n")],
            "",
            "footer_lines = 1",
            ALL,
            one(json!({ "a": 1, "b": 2 })),
        ),
        example(
            "trim",
            &[("a.csv", b"a , b\n 1,2 \n")],
            "",
            "trim = true",
            ALL,
            one(json!({ "a": 1, "b": 2 })),
        ),
        example(
            "quote",
            &[("a.csv", b"a,b\n1,'x,y'\n")],
            "",
            "quote = \"'\"",
            ALL,
            one(json!({ "a": 1, "b": "x,y" })),
        ),
        example(
            "quote",
            &[("a.csv", b"a,b\n1,\"x\n")],
            "",
            "quote = ''",
            ALL,
            one(json!({ "a": 1, "b": "\"x" })),
        ),
        example(
            "escape",
            &[("a.csv", b"a,b\n1,\"x\\\"y\"\"\"\n")],
            "",
            "escape = '\\'",
            ALL,
            one(json!({ "a": 1, "b": "x\"y\"" })),
        ),
        example(
            "comment",
            &[("a.csv", b"# x\na,b\n# y\n1,2\n")],
            "",
            "comment = '#'",
            ALL,
            one(json!({ "a": 1, "b": 2 })),
        ),
        example(
            "null_values",
            &[("a.csv", b"a,b\n1,NULL\n2,\\N\n3,\n")],
            "",
            r#"null_values = ["", "NULL", "\\N"]"#,
            "SELECT count(a) AS a, count(b) AS b FROM t",
            one(json!({ "a": 3, "b": 0 })),
        ),
        example(
            "columns",
            &[("a.csv", b"x,1,y\n")],
            "",
            "header = false\ncolumns = [['zed', 'string'], ['alpha', 'integer'], ['mid', 'string']]",
            ALL,
            one(json!({ "zed": "x", "alpha": 1, "mid": "y" })),
        ),
        example(
            "columns",
            &[("a.csv", b"b,c\n1,2\n")],
            "",
            "columns = { c = 'string', a = 'integer' }",
            ALL,
            one(json!({ "c": "2", "a": null })),
        ),
        example(
            "types",
            &[("a.csv", b"a,b\n071,1\n")],
            "",
            "types = { b = 'string' }",
            ALL,
            one(json!({ "a": "071", "b": "1" })),
        ),
        example(
            "infer_rows",
            &[("a.csv", b"a\n1\nx\n")],
            "",
            "infer_rows = 1",
            ALL,
            Err("line 3, column 1 (`a`) holds text and is integer"),
        ),
        example(
            "integer",
            &[("a.csv", b"a,b,c\n-7,0071,+49\n")],
            "",
            "",
            ALL,
            one(json!({ "a": -7, "b": "0071", "c": "+49" })),
        ),
        example(
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
        example(
            "decimal(p, s)",
            &[("a.csv", b"a\n1.255\n")],
            "",
            "types = { a = 'decimal(10, 2)' }",
            ALL,
            Err("is decimal(10, 2)"),
        ),
        example(
            "float",
            &[("a.csv", b"a,b,c\n1.5,1e3,-Infinity\n")],
            "",
            "",
            "SELECT a, b, c < 0 AS c FROM t",
            one(json!({ "a": 1.5, "b": 1000.0, "c": true })),
        ),
        example(
            "boolean",
            &[("a.csv", b"a,b\nTRUE,yes\n")],
            "",
            "",
            ALL,
            one(json!({ "a": true, "b": "yes" })),
        ),
        example(
            "date",
            &[("a.csv", b"a,b\n2026-01-05,2026-13-45\n")],
            "",
            "",
            "SELECT a + 1 AS a, b FROM t",
            one(json!({ "a": "2026-01-06", "b": "2026-13-45" })),
        ),
        example(
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
        example(
            "timestamp",
            &[("a.csv", b"a\n1767605400000\n")],
            "",
            "types = { a = { type = 'timestamp', unit = 'ms' } }",
            ALL,
            one(json!({ "a": "2026-01-05T09:30:00" })),
        ),
        example(
            "timestamptz",
            &[("a.csv", b"a\n2026-01-05T10:00:00+0100\n")],
            "",
            "types = { a = 'timestamptz' }",
            ALL,
            one(json!({ "a": "2026-01-05T09:00:00Z" })),
        ),
        example(
            "string",
            &[("a.ndjson", b"{\"a\":\"2026-01-05\",\"b\":7.0}\n")],
            "",
            "",
            "SELECT a || '' AS a, b FROM t",
            one(json!({ "a": "2026-01-05", "b": 7.0 })),
        ),
        example(
            "fail",
            &[("a.csv", b"a,b\n1,x\n2\n")],
            "",
            "",
            ALL,
            Err("line 3 has 1 field and 2 were expected"),
        ),
        example(
            "null",
            &[("a.csv", b"a,b\n1,x\n2\n")],
            "",
            "on_error = 'null'",
            ALL,
            Ok(json!([{ "a": 1, "b": "x" }, { "a": 2, "b": null }])),
        ),
        example(
            "skip",
            &[("a.csv", b"a,b\n1,x\n2\n")],
            "",
            "on_error = 'skip'",
            ALL,
            one(json!({ "a": 1, "b": "x" })),
        ),
    ]
}
