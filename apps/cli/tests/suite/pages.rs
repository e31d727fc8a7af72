//! The commands of the pages, as a shell runs them: README.md, docs/ and the program's own page.
//!
//! What a page promises of an output is tested beside the command (`sql.rs`, `inspect.rs`, `tests.rs`, `actions.rs`); here each has to
//! do what it says with the files, the project and the platform that the pages speak of.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use flowlake_dev_stack::{
    GenesysSettings,
    sample::{self, SampleSettings},
};
use serde_json::json;

use crate::{desk::Desk, support::House};

/// Pages whose commands are typed in a folder of files, without a project.
const OF_FILES: [&str; 4] = [
    "docs/first-steps.md",
    "docs/sql.md",
    "docs/inspect.md",
    "docs/compared.md",
];
/// Pages whose commands are typed in a project.
const OF_A_PROJECT: [&str; 9] = [
    "README.md",
    "apps/cli/README.md",
    "docs/cluster.md",
    "docs/editors.md",
    "docs/genesys.md",
    "docs/nodes.md",
    "docs/operating.md",
    "docs/shells.md",
    "docs/testing.md",
];

/// Begins of commands that are not run here, and why.
const NOT_HERE: [(&str, &str); 11] = [
    ("flowlake-server", "newcomer.rs of tests/e2e runs it"),
    ("flowlake-worker", "answers.rs of its tests runs it"),
    (
        "flowlake actions publish look-up@2",
        "versions.rs runs it beside the file of its first version",
    ),
    ("flowlake audit tail -f", "it does not end"),
    (
        "flowlake audit verify --node a",
        "nodes.rs runs it over the logs of two servers",
    ),
    (
        "flowlake audit search --node b",
        "nodes.rs runs it over the logs of two servers",
    ),
    (
        "flowlake audit verify --directory s3://",
        "nodes.rs of tests/e2e runs it where logs are shipped to",
    ),
    (
        "flowlake audit verify --receipt 8:HASH",
        "a receipt is that of a log; the tests of audit have one",
    ),
    (
        "flowlake cost prices --from AmazonS3/index.json",
        "cost.rs of tests/e2e runs it with AWS's list",
    ),
    (
        "flowlake test --replay",
        "tests.rs runs it over two versions of a repository",
    ),
    ("flowlake profile", "profile.rs runs it in a terminal"),
];

/// Commands whose exit code says something else than that all is well: nothing is published yet.
const OTHER_ENDS: [(&str, i32); 1] = [("flowlake actions diff", 1)];

/// What stands for something of the reader's, and something of that kind here.
const PLACEHOLDERS: [(&str, &str); 3] = [
    ("s3://BUCKET/KEY", "s3://genesys-data-lake/agents.csv"),
    ("ORGANIZATION_ID", "00000000-0000-0000-0000-000000000001"),
    // An array of zsh.
    ("${fpath[1]}", "."),
];

/// A command, and what is typed while it runs.
#[derive(Debug)]
struct Typed {
    command: String,
    input: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The commands of a page with the program's name: in blocks of `sh` all lines, in those of `console` the ones behind `$`.
fn commands(page: &str) -> Vec<Typed> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let mut typed = Vec::new();
    for block in text.split("\n```").skip(1).step_by(2) {
        let (kind, lines) = block.split_once('\n').unwrap();
        if !matches!(kind, "sh" | "console") {
            continue;
        }
        let lines = lines.replace("\\\n", " ");
        let mut input = String::new();
        for line in lines.lines().rev() {
            let command = match kind {
                "sh" => Some(line),
                _ => line.strip_prefix("$ "),
            };
            match command {
                Some(command) => {
                    let is_ours = command.starts_with("flowlake") || command.contains("| flowlake");
                    let input = std::mem::take(&mut input);
                    if is_ours {
                        let command = command.to_owned();
                        typed.push(Typed { command, input });
                    }
                }
                None => {
                    let line = line.strip_prefix("flowlake> ").unwrap_or(line);
                    input = format!("{line}\n{input}");
                }
            }
        }
    }
    // Of each block they came from its end.
    typed.sort_by_key(|typed| text.find(typed.command.lines().next().unwrap_or_default()));
    typed
}

/// Every page that has a command is one of those above.
#[test]
fn each_page_with_commands_is_run() {
    let mut pages: BTreeSet<String> = ["README.md", "apps/cli/README.md"]
        .map(str::to_owned)
        .into();
    for page in fs::read_dir(root().join("docs")).unwrap() {
        pages.insert(format!(
            "docs/{}",
            page.unwrap().file_name().to_str().unwrap()
        ));
    }
    pages.retain(|page| page.ends_with(".md") && !commands(page).is_empty());
    let run = OF_FILES.iter().chain(&OF_A_PROJECT);
    let run: BTreeSet<String> = run.map(|page| (*page).to_owned()).collect();
    assert_eq!(pages, run);
    let all: Vec<Typed> = run.iter().flat_map(|page| commands(page)).collect();
    for (begin, reason) in NOT_HERE {
        assert!(
            all.iter().any(|typed| typed.command.starts_with(begin)),
            "no page has `{begin}` ({reason})"
        );
    }
}

/// What a shell makes of the command, with the program and the environment of another one.
fn run(of: &Command, typed: &Typed) -> Output {
    let mut command = typed.command.clone();
    for (placeholder, value) in PLACEHOLDERS {
        command = command.replace(placeholder, value);
    }
    let program = Path::new(env!("CARGO_BIN_EXE_flowlake")).parent().unwrap();
    let mut path = OsString::from(program);
    path.push(":/usr/bin:/bin");
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &command])
        .env_clear()
        .envs(
            of.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .env("PATH", path)
        .current_dir(of.get_current_dir().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.input.as_bytes()).ok();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Runs the commands of a page one after the other.
async fn run_page(page: &'static str, command: Command) {
    let ran = tokio::task::spawn_blocking(move || {
        for typed in commands(page) {
            if NOT_HERE
                .iter()
                .any(|(begin, _)| typed.command.starts_with(begin))
            {
                continue;
            }
            let folder = command.get_current_dir().unwrap();
            let (configured, mine) = (folder.join("flowlake.toml"), folder.join("my-project"));
            let is_made = typed.command.starts_with("flowlake init my-project");
            if is_made && mine.exists() {
                fs::remove_dir_all(&mine).unwrap();
            }
            let output = run(&command, &typed);
            // What the reader writes into the configuration.
            if is_made && configured.exists() {
                fs::copy(configured, mine.join("flowlake.toml")).unwrap();
            }
            let (out, told) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            let mut others = OTHER_ENDS.iter();
            let other = others.find(|(begin, _)| typed.command.starts_with(begin));
            assert_eq!(
                output.status.code(),
                Some(other.map_or(0, |(_, code)| *code)),
                "{page}: {}\n{}\n{out}\n{told}",
                typed.command,
                output.status
            );
        }
    });
    ran.await.unwrap();
}

const GZIP: &[u8] = &[
    31, 139, 8, 0, 0, 0, 0, 0, 2, 255, 43, 44, 77, 45, 77, 213, 73, 204, 203, 228, 10, 78, 204, 73,
    45, 214, 49, 48, 48, 55, 68, 48, 141, 184, 0, 92, 230, 237, 243, 32, 0, 0, 0,
];

/// A house with the buckets that the pages speak of, whose principal may read them.
async fn house() -> House {
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket", "iam:SimulatePrincipalPolicy", "iam:GetRole", "s3:GetBucketPolicy", "ce:GetCostAndUsage"], "Resource": "*" },
    ] });
    let house = House::build(&policy, |_| {}).await;
    let buckets = house.path().join("buckets");
    let agents = "agent_id,name,queue\nagent-0042,Ana Lima,Sales\nagent-0043,Bo Chen,Support\n";
    let calls = "id,queue,ms\n1,Sales,1200\n2,Support,34000\n";
    for (key, content) in [
        ("genesys-data-lake/agents.csv", agents.as_bytes()),
        ("genesys-data-lake/calls/2026-11-29.csv.gz", GZIP),
        (
            "genesys-data-lake/calls/date=2026-11-01/a.csv",
            calls.as_bytes(),
        ),
        (
            "genesys-data-lake/calls/date=2026-11-02/a.csv",
            calls.as_bytes(),
        ),
        ("lake/agents.csv", agents.as_bytes()),
        ("lake/calls.txt", b"a;b\n1;2\n3;4\n5\n"),
        ("lake/calls/a.csv", calls.as_bytes()),
    ] {
        let path = buckets.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    for day in ["2026-01-01", "2026-01-31"] {
        let settings = SampleSettings {
            rows: 100,
            day: day.parse().unwrap(),
            ..SampleSettings::default()
        };
        sample::write(&buckets, &settings).unwrap();
    }
    house
}

async fn run_over_files(page: &'static str) {
    let house = house().await;
    let desk = Desk::of(&house);
    for name in ["a.csv", "b.csv"] {
        desk.lay(name, "ani\n0071\n");
    }
    desk.lay(
        "report.sql",
        "SELECT queue, sum(ms) AS ms FROM 'data/calls.csv' WHERE $day > DATE '2026-11-01' GROUP BY queue",
    );
    desk.lay("actions/agents.toml", "");
    let calls = fs::read_to_string(desk.path("data/calls.csv")).unwrap();
    for name in [
        "data/2026/a.csv",
        "data/2026/b.csv",
        "data/days/date=2026-01-01/a.csv",
        "data/days/date=2026-01-02/a.csv",
    ] {
        desk.lay(name, &calls);
    }
    desk.lay(
        "data/events.ndjson",
        "{\"user\":{\"name\":\"Ana\"},\"tags\":[\"a\",\"b\"]}\n",
    );
    fs::write(desk.path("data/agents.csv"), b"Agent;Name\n1;M\xfcller\n").unwrap();
    fs::write(desk.path("data/calls.csv.gz"), GZIP).unwrap();
    desk.asked(
        &["sql", "FROM 'data/calls.csv'", "-o", "data/agents.parquet"],
        0,
    )
    .await;
    run_page(page, desk.command(&[])).await;
}

async fn run_in_a_project(page: &'static str) {
    let mut house = house().await;
    fs::remove_dir_all(house.path().join("actions")).unwrap();
    let examples = root().join("examples/contact-centre/actions");
    fs::create_dir(house.path().join("actions")).unwrap();
    for file in fs::read_dir(examples).unwrap() {
        let file = file.unwrap();
        fs::copy(
            file.path(),
            house.path().join("actions").join(file.file_name()),
        )
        .unwrap();
    }
    house.allow_all();
    house.serve().await;
    house.allow_all();
    // The server has its own log: nobody else writes it.
    let path = house.path().join("flowlake.toml");
    let config = fs::read_to_string(&path).unwrap();
    fs::write(
        path,
        config.replace("directory = \"audit\"", "directory = \"audit-here\""),
    )
    .unwrap();
    let integration = GenesysSettings::default().function_integration_id;
    house.more_config(&format!("[publish.lambda]\nfunction = \"arn:aws:lambda:eu-west-1:123456789012:function:flowlake:live\"\nintegration_id = \"{integration}\"\n"));
    for folder in [
        ".local/share/bash-completion/completions",
        ".config/fish/completions",
    ] {
        fs::create_dir_all(house.path().join(folder)).unwrap();
    }
    run_page(page, house.command()).await;
}

#[tokio::test]
async fn commands_of_first_steps() {
    run_over_files("docs/first-steps.md").await;
}

#[tokio::test]
async fn commands_of_sql() {
    run_over_files("docs/sql.md").await;
}

#[tokio::test]
async fn commands_of_inspect() {
    run_over_files("docs/inspect.md").await;
}

#[tokio::test]
async fn commands_of_the_comparison() {
    run_over_files("docs/compared.md").await;
}

#[tokio::test]
async fn commands_of_the_readme() {
    run_in_a_project("README.md").await;
}

#[tokio::test]
async fn commands_of_the_program() {
    run_in_a_project("apps/cli/README.md").await;
}

#[tokio::test]
async fn commands_of_the_pages_about_a_project() {
    for page in [
        "docs/editors.md",
        "docs/genesys.md",
        "docs/operating.md",
        "docs/shells.md",
        "docs/testing.md",
    ] {
        run_in_a_project(page).await;
    }
}
