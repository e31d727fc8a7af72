//! What each command says of itself, and what it prints on its main path: reviewed, one file a command.
//!
//! `INSTA_UPDATE=always` writes them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    process::{Command, Output, Stdio},
};

use crate::{desk::Desk, support::House};

/// Lines of an output that are kept; scripts for shells have hundreds.
const MOST_LINES: usize = 60;

/// A command, what is typed behind it, and what it is given on standard input.
type Path<'a> = (&'a str, &'a [&'a str], &'a str);

/// Without a project.
const FILES: [Path<'_>; 8] = [
    (
        "sql",
        &["SELECT queue, sum(ms) AS ms FROM 'data/calls.csv' GROUP BY queue ORDER BY ms"],
        "",
    ),
    (
        "shell",
        &["-t", "calls=data/calls.csv"],
        "\\d calls\n\\set queue=Sales\nSELECT id, ms FROM calls WHERE queue = $queue;\n\\x\n\\g",
    ),
    ("inspect", &["data/calls.csv"], ""),
    ("init", &["mine"], ""),
    ("completions", &["bash"], ""),
    ("man", &["completions"], ""),
    ("schema", &["action"], ""),
    ("demo", &["--rows", "100"], ""),
];

/// In a project, in this order.
const PROJECT: [Path<'_>; 13] = [
    ("test", &[], ""),
    ("run", &["look-up", "--param", "ani=+12025550142"], ""),
    ("explain", &["all"], ""),
    ("check", &[], ""),
    ("doctor", &[], ""),
    ("access explain", &["--as", "genesys", "all"], ""),
    ("audit verify", &[], ""),
    ("audit tail", &["-n", "1"], ""),
    ("audit search", &["--action", "look-up"], ""),
    ("audit export", &["--format", "csv"], ""),
    (
        "cost report",
        &[
            "--from",
            "2026-01-01",
            "--until",
            "2026-01-03",
            "--no-actuals",
        ],
        "",
    ),
    ("cost prices", &["--region", "eu-west-1"], ""),
    ("actions validate", &["look-up"], ""),
];

/// In a project whose server runs, in this order.
const PLATFORM: [Path<'_>; 8] = [
    ("actions export", &["look-up"], ""),
    ("actions publish", &["look-up"], ""),
    ("actions list", &[], ""),
    ("actions diff", &["look-up"], ""),
    (
        "actions test",
        &["look-up", "--param", "ani=+12025550142"],
        "",
    ),
    (
        "actions simulate",
        &["look-up", "--param", "ani=+12025550142"],
        "",
    ),
    ("actions retire", &["look-up"], ""),
    ("profile", &["ADMIN"], ""),
];

const TEST: &str = r#"
[tables]
customers = """
ani          | name | tier | calls | spent
+12025550142 | Ana  | gold |     3 |  12.5
+12025550143 | Bo   |      |     0 |
"""

[[case]]
name = "a caller who is known"
params = { ani = "+12025550142" }

[case.expect]
rows = """
name | tier | calls | spent
Ana  | gold |     3 |  12.5
"""
"#;

/// The commands that a help lists.
fn listed(help: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    // What does not fit beside a name stands in lines that are set in further.
    let lines = lines.filter_map(|line| line.strip_prefix("  "));
    let lines = lines.filter(|line| !line.starts_with(' '));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn each_command_has_a_help_and_a_transcript() {
    let desk = Desk::new();
    let all = [&FILES[..], &PROJECT[..], &PLATFORM[..]].concat();
    let mut described: BTreeSet<&str> = all.iter().map(|(command, _, _)| *command).collect();
    assert_eq!(described.len(), all.len());
    let mut commands = vec![String::new()];
    while let Some(command) = commands.pop() {
        let words: Vec<&str> = command.split_whitespace().collect();
        let help = desk.run(&[&words[..], &["--help"]].concat()).await;
        assert!(help.status.success(), "{command}");
        let help = String::from_utf8(help.stdout).unwrap();
        let inner = listed(&help);
        if inner.is_empty() {
            assert!(
                described.remove(&*command),
                "there is no transcript of `flowlake {command}`"
            );
        }
        let more = inner
            .into_iter()
            .map(|name| format!("{command} {name}").trim().to_owned());
        commands.extend(more);
        let name = match words.as_slice() {
            [] => "help".to_owned(),
            words => format!("help-{}", words.join("-")),
        };
        insta::with_settings!({ omit_expression => true }, {
            insta::assert_snapshot!(name, help);
        });
    }
    assert!(
        described.is_empty(),
        "there are no such commands: {described:?}"
    );
}

/// Runs a command, and holds what it prints to its transcript.
async fn transcribed(mut command: Command, (name, arguments, input): Path<'_>, folder: &str) {
    let words: Vec<&str> = name.split_whitespace().collect();
    command.args(&words).args(arguments);
    let typed_in = input.to_owned();
    let output = tokio::task::spawn_blocking(move || output_with(command, &typed_in));
    let output = output.await.unwrap();
    let mut typed = format!("$ flowlake {name}");
    for argument in arguments {
        match argument.contains(' ') {
            true => write!(typed, " \"{argument}\"").unwrap(),
            false => write!(typed, " {argument}").unwrap(),
        }
    }
    if !input.is_empty() {
        write!(typed, " <<\n{input}\n<<").unwrap();
    }
    let out = match name {
        // What its actions answer is theirs to test.
        "demo" => lines_with(&output.stdout, "━━ "),
        // Its figures are tested where they are drawn.
        "profile" => lines_with(&output.stdout, "flowlake "),
        _ => cut(&output.stdout),
    };
    let told = cut(&output.stderr);
    let told = if told.is_empty() {
        told
    } else {
        format!("[standard error]\n{told}")
    };
    let code = output.status.code().unwrap();
    let end = if code == 0 {
        String::new()
    } else {
        format!("[exit code {code}]\n")
    };
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.add_filter(&folder.replace('.', r"\."), "[folder]");
    for (pattern, shown) in [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[id]"),
        (r"[0-9a-f]{64}", "[hash]"),
        (r"127\.0\.0\.1:\d+", "[address]"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z", "[moment]"),
        (r"\d+(\.\d+)? (ms|µs)\b", "[time]"),
        (r"\d+\.\d+ s\b", "[time]"),
        (r#""duration_ms": \d+(\.\d+)?"#, "\"duration_ms\": [time]"),
        // The column of CSV before the status.
        (r",\d+,200,", ",[time],200,"),
        // What is kept in memory depends on the machine.
        (r"about \d+(\.\d+)? [kM]?B\b", "about [bytes]"),
    ] {
        settings.add_filter(pattern, shown);
    }
    settings.bind(|| {
        insta::assert_snapshot!(words.join("-"), format!("{typed}\n{out}{told}{end}"));
    });
}

fn output_with(mut command: Command, input: &str) -> Output {
    use std::io::Write as _;

    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(input.as_bytes()).ok();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    // What tests put out is searched for secrets.
    let mut seen = std::io::stderr();
    seen.write_all(&output.stdout).unwrap();
    seen.write_all(&output.stderr).unwrap();
    output
}

/// The lines that begin so.
fn lines_with(text: &[u8], begin: &str) -> String {
    let text = std::str::from_utf8(text).unwrap();
    let lines = text.lines().filter(|line| line.starts_with(begin));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The first lines.
fn cut(text: &[u8]) -> String {
    let text = std::str::from_utf8(text).unwrap();
    let count = text.lines().count();
    let mut kept = String::new();
    for line in text.lines().take(MOST_LINES) {
        kept += line;
        kept += "\n";
    }
    if count > MOST_LINES {
        kept += "[more lines]\n";
    }
    kept
}

#[tokio::test]
async fn commands_without_a_project() {
    let desk = Desk::new();
    let folder = desk.folder.path().canonicalize().unwrap();
    for path in FILES {
        transcribed(desk.command(&[]), path, folder.to_str().unwrap()).await;
    }
}

#[tokio::test]
async fn commands_of_a_project() {
    let house = House::new().await;
    std::fs::write(house.path().join("actions/look-up.test.toml"), TEST).unwrap();
    for path in PROJECT {
        transcribed(house.command(), path, house.path().to_str().unwrap()).await;
    }
}

#[tokio::test]
async fn commands_of_the_platform() {
    let mut house = House::new().await;
    house.serve().await;
    let admin = house.server.as_ref().unwrap().admin_address().unwrap();
    let admin = format!("http://{admin}");
    for (name, arguments, input) in PLATFORM {
        let arguments = arguments.iter();
        let arguments: Vec<&str> = arguments
            .map(|word| if *word == "ADMIN" { &admin } else { *word })
            .collect();
        let path = (name, arguments.as_slice(), input);
        transcribed(house.command(), path, house.path().to_str().unwrap()).await;
    }
}
