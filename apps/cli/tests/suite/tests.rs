//! `flowlake test`: actions over the tables of their test files.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{fs, io::Write, path::Path, process::Command};

use crate::support::House;

const ACTION: &str = r#"
name = "calls"
[tables.calls]
uri = "s3://lake/exports/{date}/calls.csv"
[params.queue]
type = "string"
[params.date]
type = "date"
default = "yesterday"
[query]
sql = "SELECT id, ms FROM calls WHERE queue = $queue"
"#;

const TESTS: &str = r#"
[tables]
calls = """
id | queue | ms
1  | Sales | 100
2  | Sales |
3  | Tech  | 7
"""
"#;

/// A project with one action, where nothing is known of AWS.
struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new(action: &str, tests: &str) -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        bench.lay(
            "flowlake.toml",
            "[policy]\nallow = [\"s3://lake/exports/*\"]\n",
        );
        bench.lay("actions/calls.toml", action);
        bench.lay("actions/calls.test.toml", tests);
        bench
    }

    fn lay(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// What it prints, once it has ended with this exit code.
    fn told(&self, arguments: &[&str], code: i32) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowlake"));
        command.args(arguments).current_dir(self.folder.path());
        told(command.env_clear(), code)
    }
}

fn told(command: &mut Command, code: i32) -> String {
    let output = command.output().unwrap();
    let mut seen = std::io::stderr();
    seen.write_all(&output.stdout).unwrap();
    seen.write_all(&output.stderr).unwrap();
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8(told).unwrap();
    assert_eq!(output.status.code(), Some(code), "{told}");
    told
}

/// An action over one table, and a case of it with these rows.
fn over(table: &str, sql: &str, case: &str) -> Bench {
    Bench::new(
        &format!("name = \"calls\"\n[tables.calls]\n{table}\n[query]\nsql = \"\"\"{sql}\"\"\"\n"),
        case,
    )
}

#[test]
fn the_examples_and_a_new_project_pass_their_tests() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/contact-centre");
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowlake"));
    let told_all = told(
        command
            .arg("--config")
            .arg(&examples)
            .arg("test")
            .env_clear(),
        0,
    );
    // Each example has a test.
    let actions = fs::read_dir(examples.join("actions")).unwrap();
    for file in actions {
        let name = file.unwrap().file_name().into_string().unwrap();
        let action = name.split('.').next().unwrap();
        assert!(
            told_all.contains(&format!("✓ {action}: ")),
            "{name}\n{told_all}"
        );
    }
    let bench = Bench::new(ACTION, TESTS);
    bench.told(&["init", "mine"], 0);
    let told = bench.told(&["--config", "mine", "test"], 0);
    assert!(told.contains("3 cases: 3 passed in "), "{told}");
    // Nothing is written, not even a record.
    let left = fs::read_dir(bench.folder.path().join("mine")).unwrap();
    // The two that init wrote, and what it keeps out of a repository.
    assert_eq!(left.count(), 3);
}

#[test]
fn the_page_about_tests_holds_a_test_that_passes() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/testing.md");
    let page = fs::read_to_string(docs).unwrap();
    let file = page.split("```toml\n").nth(1).unwrap();
    let file = file.split("```").next().unwrap();
    let bench = Bench::new(ACTION, TESTS);
    bench.told(&["init", "mine"], 0);
    bench.lay("mine/actions/agent-scorecard.test.toml", file);
    let told = bench.told(&["--config", "mine", "test"], 0);
    assert!(told.contains("2 cases: 2 passed in "), "{told}");
}

#[test]
fn a_difference_is_shown_cell_by_cell() {
    let tests = format!(
        "{TESTS}
[[case]]
name = \"wrong\"
params = {{ queue = \"Sales\" }}
[case.expect]
rows = \"\"\"
id | ms
1  | 99
2  |
4  | 5
\"\"\"
[[case]]
name = \"right, in any order\"
params = {{ queue = \"Sales\" }}
expect = {{ rows = \"ms | id\\n | 2\\n100 | 1\" }}
"
    );
    let bench = Bench::new(ACTION, &tests);
    let told = bench.told(&["test"], 1);
    let shown = "    2 of 3 rows differ (- expected, + answered)
      id |  ms
    -  1 |  99
    +  1 | 100
           ~~~
    -  4 |   5   (missing)
";
    let (first, rest) = told.split_once('\n').unwrap();
    assert_eq!(
        first, "✗ calls: wrong ./actions/calls.test.toml:11",
        "{told}"
    );
    assert!(rest.starts_with(shown), "{told}");
    assert!(told.contains("✓ calls: right, in any order ("), "{told}");
    assert!(told.contains("2 cases: 1 passed, 1 failed in "), "{told}");
    // With colours, which say the cells.
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowlake"));
    command.arg("test").current_dir(bench.folder.path());
    let told = self::told(command.env_clear().env("CLICOLOR_FORCE", "1"), 1);
    assert!(told.contains("\u{1b}[31m 99\u{1b}[0m"), "{told:?}");
    assert!(
        told.contains("\u{1b}[32m100\u{1b}[0m") && !told.contains('~'),
        "{told:?}"
    );
}

#[test]
fn what_is_expected_may_be_ordered_close_or_a_part() {
    let case = |expect: &str| {
        let tests = format!(
            "tables = {{ calls = \"id | x\\n2 | 0.25\\n1 | 1.5\" }}\n[[case]]\nname = \"it\"\nexpect = {{ {expect} }}\n"
        );
        over(
            "uri = \"s3://lake/exports/calls.csv\"",
            "SELECT id, x FROM calls ORDER BY id",
            &tests,
        )
    };
    case("ordered = true, rows = \"id | x\\n1 | 1.50\\n2 | 0.25\"").told(&["test"], 0);
    let told = case("ordered = true, rows = \"id | x\\n2 | 0.25\\n1 | 1.5\"").told(&["test"], 1);
    assert!(told.contains("in another order"), "{told}");
    case("rows = \"id | x\\n2 | 0.25\\n1 | 1.5\"").told(&["test"], 0);
    case("tolerance = 0.1, rows = \"id | x\\n1 | 1.4\\n2 | 0.3\"").told(&["test"], 0);
    case("tolerance = 0.01, rows = \"id | x\\n1 | 1.4\\n2 | 0.3\"").told(&["test"], 1);
    case("subset = true, rows = \"id\\n1\\n2\"").told(&["test"], 0);
    let told = case("rows = \"id\\n1\\n2\"").told(&["test"], 1);
    assert!(
        told.contains("not expected: `x`; say `subset = true`"),
        "{told}"
    );
    case("ndjson = '''{\"id\": 1, \"x\": 1.5}\n{\"x\": 0.25, \"id\": 2}'''").told(&["test"], 0);
    case("ndjson = '''{\"id\": \"1\", \"x\": 1.5}\n{\"x\": 0.25, \"id\": 2}'''").told(&["test"], 1);
    let told = case("rows = \"id | y\\n1 | 1\"").told(&["test"], 1);
    assert!(told.contains("no column `y`; it has `id`, `x`"), "{told}");
}

#[test]
fn the_time_is_that_of_the_case() {
    let tests = "now = \"2026-03-01T00:30:00+01:00\"
[[case]]
name = \"yesterday is of its day\"
params = { queue = \"x\" }
expect = { error = \"s3.no_such_key\", message = \"s3://lake/exports/2026-02-27/calls.csv\" }
tables = { calls = { files = {} } }
";
    Bench::new(ACTION, tests).told(&["test"], 0);
    let tests = "[[case]]\nname = \"now\"\nnow = 2026-03-01T00:30:00Z\ntables = { calls = \"at\\n2026-02-28T23:00:00Z\\n2026-02-28T22:00:00Z\" }\nexpect = { rows = \"at | today\\n2026-02-28T23:00:00 | 2026-03-01\" }\n";
    let bench = over(
        "uri = \"s3://lake/exports/calls.csv\"",
        "SELECT at, current_date AS today FROM calls WHERE at > now() - interval '2 hours'",
        tests,
    );
    bench.told(&["test"], 0);
}

#[test]
fn rows_are_written_as_the_files_of_the_table_are() {
    let rows = "id | name | at\n1 | \"07 | x\" | 2026-01-31\n2 | | 2026-02-01\n";
    let bench = Bench::new(ACTION, TESTS);
    fs::remove_file(bench.folder.path().join("actions/calls.test.toml")).unwrap();
    let tables = [
        "uri = \"s3://lake/exports/calls.csv\"",
        "uri = \"s3://lake/exports/calls.csv.gz\"",
        "uri = \"s3://lake/exports/calls.csv.bz2\"",
        "uri = \"s3://lake/exports/calls\"\ncompression = \"zstd\"",
        "uri = \"s3://lake/exports/calls.tsv\"",
        "uri = \"s3://lake/exports/calls.txt\"\nformat = \"csv\"\ndelimiter = \"||\"\nnull_values = [\"NULL\"]\nskip_lines = 2\nfooter_lines = 1",
        "uri = \"s3://lake/exports/calls.csv\"\nheader = false\ncolumns = [[\"at\", \"date\"], [\"name\", \"string\"], [\"id\", \"integer\"]]",
        "uri = \"s3://lake/exports/calls.csv\"\nheader = \"skip\"\ncolumns = { name = \"string\", id = \"integer\", at = \"date\" }",
        "uri = \"s3://lake/exports/calls.ndjson.xz\"",
        "uri = \"s3://lake/exports/calls.json\"",
        "uri = \"s3://lake/exports/calls.json\"\njson_pointer = \"/page/entities\"",
        "uri = \"s3://lake/exports/calls.parquet\"",
        "uri = \"s3://lake/exports/calls.arrow\"",
        "uri = \"s3://lake/exports/all/\"",
    ];
    for (number, table) in tables.iter().enumerate() {
        let action = format!(
            "name = \"t{number}\"\n[tables.calls]\n{table}\n[query]\nsql = \"SELECT id, name, at FROM calls WHERE at >= DATE '2026-01-01'\"\n"
        );
        bench.lay(&format!("actions/t{number}.toml"), action);
        let tests = format!(
            "[[case]]\nname = \"it\"\n[case.tables]\ncalls = '''\n{rows}'''\n[case.expect]\nrows = '''\n{rows}'''\n"
        );
        bench.lay(&format!("actions/t{number}.test.toml"), tests);
    }
    let told = bench.told(&["test"], 0);
    assert!(told.contains(&format!("{} passed", tables.len())), "{told}");
}

#[test]
fn a_table_has_text_files_or_several_objects() {
    let uri = "uri = \"s3://lake/exports/day=*/part-?.csv\"";
    let tests = |table: &str, expect: &str| {
        let tests = format!(
            "[[case]]\nname = \"it\"\ntables = {{ calls = {table} }}\nexpect = {{ {expect} }}\n"
        );
        over(uri, "SELECT day, id FROM calls", &tests)
    };
    let files = "{ files = { \"s3://lake/exports/day=2026-01-31/part-0.csv\" = \"id\\n1\", \"s3://lake/exports/day=2026-02-01/part-1.csv\" = { file = \"more.csv\" } } }";
    let bench = tests(
        files,
        "rows = \"id | day\\n1 | 2026-01-31\\n2 | 2026-02-01\"",
    );
    bench.lay("actions/more.csv", "id\n2\n");
    bench.told(&["test"], 0);
    for (table, what) in [
        ("\"id\\n1\"", "is a pattern: name each object under `files`"),
        (
            "{ files = { \"s3://lake/exports/a.csv\" = \"id\\n1\" } }",
            "no uri of the table names s3://lake/exports/a.csv",
        ),
        (
            "{ files = { \"a.csv\" = \"id\\n1\" } }",
            "is no s3://bucket/key",
        ),
        (
            "{ files = { \"s3://lake/exports/day=1/part-0.csv\" = { file = \"none.csv\" } } }",
            "none.csv: ",
        ),
    ] {
        let told = tests(table, "rows = \"\"").told(&["test"], 1);
        assert!(
            told.contains(what) && told.contains("[config.invalid]"),
            "{told}"
        );
    }
    let bench = tests("{ files = {} }", "error = \"data.no_files\"");
    bench.told(&["test"], 0);
    // Text in the form of the files is the object, fault and all.
    let tests = "[[case]]\nname = \"it\"\ntables = { calls = { csv = \"id\\n1\\nx\\n\" } }\nexpect = { rows = \"id\\n1\", skipped_rows = 1 }\n";
    let table =
        "uri = \"s3://lake/exports/calls.csv\"\non_error = \"skip\"\ntypes = { id = \"integer\" }";
    over(table, "SELECT id FROM calls", tests).told(&["test"], 0);
    let told = over(
        table,
        "SELECT id FROM calls",
        &tests.replace(", skipped_rows = 1", ""),
    )
    .told(&["test"], 1);
    assert!(told.contains("skipped_rows is 1, expected 0"), "{told}");
}

#[test]
fn guard_policy_limits_and_types_are_those_of_production() {
    let tests = |expect: &str| {
        format!(
            "[[case]]\nname = \"it\"\ntables = {{ calls = \"id\\n1\\n2\" }}\nexpect = {{ {expect} }}\n"
        )
    };
    let table = "uri = \"s3://lake/exports/calls.csv\"";
    let limited = format!("{table}\n[limits]\nmax_rows = 1");
    let told = over(
        &limited,
        "SELECT id FROM calls ORDER BY id",
        &tests("rows = \"id\\n1\""),
    )
    .told(&["test"], 1);
    assert!(
        told.contains("max_rows cuts rows off: say `truncated = true`"),
        "{told}"
    );
    over(
        &limited,
        "SELECT id FROM calls ORDER BY id",
        &tests("rows = \"id\\n1\", truncated = true"),
    )
    .told(&["test"], 0);
    let denied = "uri = \"s3://lake/payroll/calls.csv\"";
    over(
        denied,
        "SELECT id FROM calls",
        &tests("error = \"policy.denied\""),
    )
    .told(&["test"], 0);
    over(
        table,
        "SELECT idd FROM calls",
        &tests("error = \"sql.unknown_column\", message = \"did you mean `id`\""),
    )
    .told(&["test"], 0);
    over(
        table,
        "SELECT id / 0 FROM calls",
        &tests("error = \"sql.not_computable\""),
    )
    .told(&["test"], 0);
    // What the action cannot do fails its tests.
    let told = over(table, "DELETE FROM calls", &tests("rows = \"\"")).told(&["test"], 1);
    assert!(told.contains("[sql.not_allowed]"), "{told}");
    let told = over(
        table,
        "SELECT id FROM calls",
        &tests("error = \"sql.not_computable\""),
    )
    .told(&["test"], 1);
    assert!(
        told.contains("expected sql.not_computable\n    it answers with rows"),
        "{told}"
    );
}

#[test]
fn what_is_wrong_with_a_test_file_is_named_with_its_place() {
    let case = "[[case]]\nname = \"it\"\nparams = { queue = \"Sales\" }\n";
    for (tests, what) in [
        (
            format!("{case}expct = {{}}\n"),
            "calls.test.toml:4:1: unknown field `expct`",
        ),
        (
            format!("{case}expect = {{ row = \"\" }}\n"),
            "calls.test.toml:4:12: unknown field `row`",
        ),
        (
            format!("{case}expect = {{ rows = \"\", error = \"internal\" }}\n"),
            "calls.test.toml:2: `expect` has one of",
        ),
        (
            format!("{case}expect = {{ error = \"param.invalit\" }}\n"),
            "did you mean `param.invalid`?",
        ),
        (
            format!("{case}now = \"2026-01-31\"\n"),
            "a moment has a day, a time and an offset",
        ),
        (
            format!("{case}{case}"),
            "calls.test.toml:5: a second case is named `it`",
        ),
        ("\n".to_owned(), "there is no [[case]]"),
        (
            format!("{case}tables = {{ call = \"id\" }}\nexpect = {{ rows = \"\" }}\n"),
            "the action has no table `call`; did you mean `calls`?",
        ),
        (
            format!("{case}tables = {{ calls = \"id | id\" }}\nexpect = {{ rows = \"\" }}\n"),
            "table `calls`, exports/",
        ),
        (
            format!("{case}expect = {{ rows = \"\" }}\n"),
            "table `calls` has no data",
        ),
        (
            format!("{case}tables = {{ calls = {{ rows = \"\", csv = \"\" }} }}\n"),
            "a table has one of",
        ),
    ] {
        let told = Bench::new(ACTION, &tests).told(&["test"], 1);
        assert!(told.contains(what), "{what}\n{told}");
    }
    let bench = Bench::new(ACTION, "");
    assert!(
        bench
            .told(&["test", "cals"], 2)
            .contains("Did you mean `calls`?")
    );
    fs::remove_file(bench.folder.path().join("actions/calls.test.toml")).unwrap();
    assert!(
        bench
            .told(&["test", "calls"], 2)
            .contains("`calls` has no tests")
    );
    assert!(bench.told(&["test"], 2).contains("there are no tests"));
}

#[test]
fn update_writes_what_is_answered_and_leaves_the_rest() {
    let before = r#"# About calls.
[tables]   # for all
calls = """
id | queue | ms
1  | Sales | 100
2  | Sales |
3  | Tech  | 7
"""

[[case]]   # the first
name = "rows"
params = { queue = "Sales" }  # of one queue
[case.expect]
# Those of today.
rows = """
ms | id
0 | 2
1 | 1
"""   # kept
tolerance = 0.5

[[case]]
name = "another error"
params = {}
expect = { error = "internal", message = "x" } # inline

[[case]]
name = "nothing yet"
params = { queue = "Tech" }

[[case]]
name = "lines"
params = { queue = "Tech" }
[case.expect]
ndjson = '''{"id": 3}'''

[[case]]
name = "right already"
params = { queue = "None" }
expect = { rows = "" }   # as it is
"#;
    let bench = Bench::new(ACTION, before);
    let told = bench.told(&["test", "--update"], 0);
    assert!(told.contains("5 cases: 1 passed, 4 updated in "), "{told}");
    let after = bench.read("actions/calls.test.toml");
    let expected = before
        .replace("ms | id\n0 | 2\n1 | 1\n", " ms | id\n    |  2\n100 |  1\n")
        .replace(
            "expect = { error = \"internal\", message = \"x\" } # inline",
            "expect = { error = \"param.invalid\"} # inline",
        )
        .replace(
            "params = { queue = \"Tech\" }\n\n[[case]]\nname = \"lines\"",
            "params = { queue = \"Tech\" }\n\n[case.expect]\nrows = \"\"\"\nid | ms\n 3 |  7\n\"\"\"\n\n[[case]]\nname = \"lines\"",
        )
        .replace(
            "ndjson = '''{\"id\": 3}'''",
            "ndjson = \"\"\"\n{\"id\": 3, \"ms\": 7}\n\"\"\"",
        );
    assert_eq!(after, expected);
    let told = bench.told(&["test"], 0);
    assert!(told.contains("5 cases: 5 passed in "), "{told}");
    bench.told(&["test", "--update"], 0);
    assert_eq!(bench.read("actions/calls.test.toml"), after);
}

/// An error in place of rows is more often a fault than meant, and so are rows in place of an error, or fewer rows.
#[test]
fn update_leaves_expectations_of_another_kind() {
    let tests = |expects: &str| {
        format!(
            "{TESTS}\n[[case]]\nname = \"it\"\nparams = {{ queue = \"Sales\" }}\nexpect = {{ {expects} }}\n"
        )
    };
    let rows = "rows = \"id | ms\\n1 | 100\\n2 |\"";
    let broken = ACTION.replace("SELECT id", "SELECT idd");
    let few = format!("{ACTION}\n[limits]\nmax_rows = 1\n");
    for (action, expects, told) in [
        (broken.as_str(), rows, "sql.unknown_column"),
        (few.as_str(), rows, "cuts rows off"),
        (ACTION, "error = \"param.invalid\"", "it answers with rows"),
    ] {
        let bench = Bench::new(action, &tests(expects));
        let output = bench.told(&["test", "--update"], 1);
        assert!(
            output.contains(told) && output.contains("take `expect` out"),
            "{output}"
        );
        assert_eq!(bench.read("actions/calls.test.toml"), tests(expects));
    }
    // Of rows that are as expected, only the counts are written.
    let expects = "nulled_values = 3, rows = \"ms | id\\n | 2\\n100 | 1\"";
    let bench = Bench::new(ACTION, &tests(expects));
    bench.told(&["test", "--update"], 0);
    let after = bench.read("actions/calls.test.toml");
    assert_eq!(after, tests(&expects.replace("nulled_values = 3, ", "")));
}

#[test]
fn a_report_for_build_servers() {
    let tests = format!(
        "{TESTS}
[[case]]
name = \"a < b & \\\"c\\\"\"
params = {{ queue = \"Sales\" }}
expect = {{ rows = \"id | ms\\n1 | 100\\n2 |\" }}
[[case]]
name = \"wrong\"
params = {{ queue = \"Sales\" }}
expect = {{ rows = \"id | ms\\n1 | 9\\n2 |\" }}
[[case]]
name = \"faulty\"
params = {{ queue = \"Sales\" }}
tables = {{ calls = {{ files = {{ x = \"\" }} }} }}
expect = {{ rows = \"\" }}
"
    );
    let bench = Bench::new(ACTION, &tests);
    bench.told(&["test", "--junit", "report.xml"], 1);
    let report = bench.read("report.xml");
    for part in [
        "<testsuite name=\"calls\" tests=\"3\" failures=\"1\" errors=\"1\" ",
        "name=\"a &lt; b &amp; &quot;c&quot;\"",
        "<failure message=\"1 of 2 rows differ (- expected, + answered)\">",
        "<error message=\"[config.invalid] ",
        "file=\"./actions/calls.test.toml\" line=\"15\"",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
}

#[test]
fn check_names_tests_of_no_action() {
    let bench = Bench::new(ACTION, TESTS);
    let case = "[[case]]\nname = \"it\"\n";
    bench.lay("actions/cals.test.toml", format!("{TESTS}{case}"));
    let told = bench.told(&["check"], 2);
    assert!(
        told.contains("✗ tests: actions/cals.test.toml tests no action: there is no `cals`; did you mean `calls`?"),
        "{told}"
    );
    let told = bench.told(&["test", "cals"], 1);
    assert!(told.contains("there is no action `cals`"), "{told}");
}

#[test]
fn a_hundred_cases_take_no_while() {
    let cases: String = (0..100)
        .map(|number| {
            format!("[[case]]\nname = \"{number}\"\nparams = {{ queue = \"Tech\" }}\ntables = {{ calls = \"id | queue | ms\\n{number} | Tech | 1\" }}\nexpect = {{ rows = \"id | ms\\n{number} | 1\" }}\n")
        })
        .collect();
    // Each case has tables of its own, though they lie at one place.
    let told = Bench::new(ACTION, &cases).told(&["test"], 0);
    assert!(told.contains("100 cases: 100 passed in "), "{told}");
}

/// A repository of the house's project as it is.
fn commit(house: &House) {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
            .args(arguments)
            .current_dir(house.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        told(&mut command, 0)
    };
    git(&["init", "-q"]);
    git(&["add", "actions", "flowlake.toml"]);
    git(&["commit", "-q", "-m", "first"]);
}

#[tokio::test]
async fn requests_of_the_log_are_put_to_the_old_and_the_new_action() {
    let house = House::new().await;
    house.action(
        "name = \"tiers\"\n[tables.customers]\nuri = \"s3://lake/exports/customers.csv\"\n[params.least]\ntype = \"integer\"\n[query]\nsql = \"SELECT tier, calls FROM customers WHERE calls >= $least\"\n",
    );
    commit(&house);
    for least in ["0", "5", "0"] {
        house
            .told(&["run", "tiers", "--param", &format!("least={least}")], 0)
            .await;
    }
    house.told(&["run", "tiers", "--param", "least=x"], 2).await;
    house.told(&["run", "lists"], 0).await;
    house
        .told(
            &["sql", "SELECT name FROM 's3://lake/exports/customers.csv'"],
            0,
        )
        .await;
    // An action that came later, with a budget.
    house.action("name = \"later\"\n[tables.customers]\nuri = \"s3://lake/exports/customers.csv\"\n[query]\nsql = \"SELECT name FROM customers\"\n");
    house.more_config("[budget.actions.later]\ndaily_usd = \"1\"\n");
    // Nothing has changed yet.
    let told = house.told(&["test", "--replay"], 0).await;
    assert!(told.contains("6 requests, 0 different ones"), "{told}");
    assert!(
        told.contains("not replayed: 5 of actions that are as the revision has them"),
        "{told}"
    );
    assert!(
        told.contains("not replayed: 1 questions of `flowlake sql`"),
        "{told}"
    );
    // Another text with the same rows, in another order.
    let change = |sql: &str| {
        let path = house.path().join("actions/tiers.toml");
        let text = fs::read_to_string(&path).unwrap();
        let kept = text.split("[query]").next().unwrap();
        fs::write(&path, format!("{kept}[query]\nsql = \"{sql}\"\n")).unwrap();
    };
    change("SELECT tier, calls FROM customers WHERE NOT calls < $least ORDER BY calls DESC");
    let told = house.told(&["test", "--replay", "tiers"], 0).await;
    assert!(
        told.contains("not replayed: 1 that were refused before"),
        "{told}"
    );
    assert!(
        told.contains("✓ tiers least=0 (×2): ") && told.contains("✓ tiers least=5: "),
        "{told}"
    );
    assert!(
        told.contains(
            "4 requests, 2 different ones put to HEAD and to the files as they are: 2 same\n"
        ),
        "{told}"
    );
    assert!(
        told.contains(" USD → ") && told.contains(" ms → "),
        "{told}"
    );
    // Other rows.
    change("SELECT tier, calls + 1 AS calls FROM customers WHERE calls >= $least");
    let told = house
        .told(&["test", "--replay", "--against", "HEAD", "tiers"], 1)
        .await;
    assert!(
        told.contains("✗ tiers least=5: ") && told.contains("- "),
        "{told}"
    );
    assert!(
        told.contains("    + ") && told.contains("2 differ"),
        "{told}"
    );
    // What fails now.
    change("SELECT tier, calls / 0 AS calls FROM customers WHERE calls >= $least");
    let told = house.told(&["test", "--replay", "tiers"], 1).await;
    assert!(
        told.contains("they end in different ways") && told.contains("+ [sql.not_computable]"),
        "{told}"
    );
    // Each read has its record, beside the log that requests are recorded in.
    let records = house
        .told(
            &[
                "audit",
                "tail",
                "--directory",
                "audit-replay/1",
                "-n",
                "100",
            ],
            0,
        )
        .await;
    assert!(records.lines().count() >= 6, "{records}");
    let told = house.told(&["test", "--replay", "tierz"], 2).await;
    assert!(told.contains("Did you mean `tiers`?"), "{told}");
    for (against, what) in [
        ("none", "the actions of `none` cannot be read"),
        ("--all", "no revision is called so"),
    ] {
        let against = format!("--against={against}");
        let told = house.told(&["test", "--replay", &against], 2).await;
        assert!(told.contains(what), "{told}");
    }
}

#[tokio::test]
async fn a_replay_says_what_it_cannot_put_again() {
    let house = House::new().await;
    let action = |sql: &str| {
        house.action(&format!(
            "name = \"who\"\n[tables.customers]\nuri = \"s3://lake/exports/customers.csv\"\n[params.ani]\ntype = \"phone\"\nsensitive = true\n[query]\nsql = \"{sql}\"\n"
        ));
    };
    action("SELECT name FROM customers WHERE ani = $ani");
    commit(&house);
    house
        .told(&["run", "who", "--param", "ani=+12025550142"], 0)
        .await;
    action("SELECT tier FROM customers WHERE ani = $ani");
    let told = house.told(&["test", "--replay=7"], 0).await;
    assert!(
        told.contains("not replayed: 1 with sensitive parameters"),
        "{told}"
    );
    assert!(!told.contains("12025550142"), "{told}");
}
