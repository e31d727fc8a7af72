//! `flowlake shell` at a terminal of its own, and behind a pipe.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

use crate::{
    desk::Desk,
    screen::{CTRL_C, CTRL_D, READY, Screen, UP},
    support::House,
};

const PROMPT: &str = "flowlake> ";

/// The shell of a person at a desk, with no pager.
fn shell(desk: &Desk, arguments: &[&str]) -> Command {
    let mut command = desk.command(&[&["shell"], arguments].concat());
    command.env("PAGER", "");
    command
}

fn started(command: &Command) -> Screen {
    let mut screen = Screen::start(command);
    screen.expect(READY);
    screen
}

impl Screen {
    /// Types a line, and gives what is shown until the next one may be typed.
    fn says(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r"));
        self.expect(READY)
    }

    fn leave(mut self) {
        self.send("\\q\r");
        assert!(self.ended().success());
    }
}

#[test]
fn statements_over_several_lines_and_their_history() {
    let desk = Desk::new();
    let mut screen = started(&shell(&desk, &[]));
    screen.send("SELECT queue, sum(ms) AS total\r");
    let shown = screen.says("FROM 'data/calls.csv' GROUP BY queue ORDER BY queue;");
    assert!(shown.contains("│ Sales   ┆  2100 │"), "{shown}");
    let shown = screen.says("SELECT quue FROM 'data/calls.csv';");
    assert!(shown.contains("did you mean `queue`?"), "{shown}");
    assert!(shown.contains("^^^^"), "{shown}");
    screen.says("\\set day=2026-01-31");
    let shown =
        screen.says("SELECT $day + INTERVAL '1 day' AS next FROM 'data/calls.csv' LIMIT 1;");
    assert!(shown.contains("2026-02-01"), "{shown}");
    // What was typed is forgotten, and the shell is not left.
    screen.send("SELECT 1 +");
    screen.expect("1 +");
    screen.send(CTRL_C);
    screen.expect(READY);
    screen.leave();
    let history = desk.path("home/.local/state/flowlake/history");
    let kept = fs::read_to_string(&history).unwrap();
    assert!(kept.contains("SELECT quue FROM"), "{kept}");
    assert!(kept.contains("set day=…"), "{kept}");
    assert!(!kept.contains("2026-01-31"), "{kept}");
    let rights = fs::metadata(&history).unwrap().permissions();
    assert_eq!(rights.mode() & 0o777, 0o600);
    // The next session begins with it: the last is \q, before it a statement.
    let mut screen = started(&shell(&desk, &[]));
    screen.send(UP);
    screen.expect("\\q");
    screen.send(UP);
    screen.expect("AS next");
    let shown = screen.says("");
    assert!(shown.contains("is used and not declared"), "{shown}");
    screen.send(CTRL_D);
    assert!(screen.ended().success());
}

/// A program that writes a statement may wait for its answer.
#[test]
fn a_pipe_is_answered_statement_by_statement() {
    use std::io::{BufRead, BufReader};

    let desk = Desk::new();
    let mut command = desk.command(&["shell"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for n in [100, 200] {
        writeln!(input, "SELECT\n{n} AS a;;").unwrap();
        input.flush().unwrap();
        let shown = format!("│ {n} │");
        assert!(lines.any(|line| line.unwrap() == shown));
    }
    writeln!(input, "quit\nSELECT nope;").unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// What is pasted as if it were typed is read at once, and each statement of it is answered.
#[test]
fn what_is_typed_ahead_is_kept() {
    let desk = Desk::new();
    let mut screen = started(&shell(&desk, &[]));
    let typed: String = (1..=5)
        .map(|n| format!("SELECT {n}00 AS a{n};\r"))
        .collect();
    screen.send(&typed);
    for n in 1..=5 {
        screen.expect(&format!("│ {n}00 │"));
    }
    screen.expect(READY);
    screen.leave();
}

#[test]
fn without_a_history_the_shell_works_all_the_same() {
    let desk = Desk::new();
    let history = desk.path("data/calls.csv/history");
    let mut screen = Screen::start(&shell(&desk, &["--history", history.to_str().unwrap()]));
    screen.expect("typed lines are not kept");
    screen.expect(READY);
    let shown = screen.says("SELECT max(id) AS m FROM 'data/calls.csv';");
    assert!(shown.contains("│ 3 │"), "{shown}");
    screen.leave();
}

#[test]
fn names_files_and_columns_are_completed() {
    let desk = Desk::new();
    let mut screen = started(&shell(&desk, &["-t", "calls=data/calls.csv"]));
    let shown = screen.says("\\d ca\t");
    assert!(shown.contains("│ queue  ┆ string"), "{shown}");
    screen.send("SELECT que\t");
    screen.expect("SELECT queue");
    screen.send(", cou\t");
    screen.expect("count(");
    screen.send("*) AS n FROM 'da\t");
    screen.expect("'data/");
    screen.send("ca\t");
    screen.expect("data/calls.csv");
    let shown = screen.says("' GROUP BY 1 ORDER BY 1;");
    assert!(shown.contains("│ Support ┆ 1 │"), "{shown}");
    let shown = screen.says("\\dt");
    assert!(shown.contains("│ calls ┆ data/calls.csv │"), "{shown}");
    // Several names: the second TAB lists them.
    screen.send("\\t\t\t");
    screen.expect("\\table");
    screen.expect("\\timing");
    screen.expect("\\trace");
    let shown = screen.says("imi\t");
    assert!(shown.contains("timing is on"), "{shown}");
    let shown = screen.says("\\x");
    assert!(shown.contains("expanded is on"), "{shown}");
    let shown = screen.says("SELECT id, queue FROM calls WHERE id = 2 \\g");
    assert!(shown.contains("queue │ Support"), "{shown}");
    assert!(shown.contains(" ms, audit "), "{shown}");
    let shown = screen.says("SELECT id FROM cals;");
    assert!(shown.contains("Did you mean `calls`?"), "{shown}");
    let shown = screen.says("\\timng");
    assert!(shown.contains("did you mean \\timing?"), "{shown}");
    let shown = screen.says("\\?");
    assert!(shown.contains("\\watch [SECONDS]"), "{shown}");
    screen.leave();
}

/// Ticks of processor time that a process has taken.
fn ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let times = fields.split_whitespace().skip(11).take(2);
    times.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn ctrl_c_ends_the_statement_and_nothing_else() {
    let desk = Desk::new();
    let rows: String = (0..200_000).map(|n| format!("{n}\n")).collect();
    desk.lay("data/n.csv", &format!("n\n{rows}"));
    let mut screen = started(&shell(&desk, &["-t", "n=data/n.csv"]));
    let hours =
        "SELECT count(*) FROM n a JOIN n b ON a.n % 2 = b.n % 2 WHERE sqrt(a.n * b.n) < 0.5;";
    for _ in 0..2 {
        screen.send(&format!("{hours}\r"));
        // The line of progress: it runs.
        screen.expect(" in 1 file");
        screen.send(CTRL_C);
        let shown = screen.expect(READY);
        assert!(shown.contains("request.cancelled"), "{shown}");
    }
    // No thread works on it any more: a process that waits takes no time.
    let process = screen.id();
    let is_idle = || {
        let before = ticks(process);
        std::thread::sleep(std::time::Duration::from_millis(300));
        ticks(process) <= before + 3
    };
    assert!((0..200).any(|_| is_idle()), "it still works");
    let shown = screen.says("SELECT count(*) AS still_here FROM n;");
    assert!(shown.contains("│     200000 │"), "{shown}");
    // A script of a file ends with the statement.
    desk.lay(
        "two.sql",
        &format!("{hours}\nSELECT 'second' AS never FROM n LIMIT 1;"),
    );
    screen.send("\\i two.sql\r");
    screen.expect(" in 1 file");
    screen.send(CTRL_C);
    let shown = screen.expect(READY);
    assert!(!shown.contains("second"), "{shown}");
    screen.leave();
}

#[test]
fn a_watched_statement_is_answered_when_its_file_has_changed() {
    let desk = Desk::new();
    let mut screen = started(&shell(&desk, &["-t", "c=data/calls.csv"]));
    screen.send("SELECT max(id) AS m FROM c \\watch 0.1\r");
    screen.expect("│ 3 │");
    desk.replace("data/calls.csv", "id\n4\n");
    let between = screen.expect("│ 4 │");
    assert!(!between.contains("│ 3 │"), "{between}");
    desk.replace("data/calls.csv", "id\n55\n");
    screen.expect("│ 55 │");
    screen.send(CTRL_C);
    screen.expect(READY);
    let shown = screen.says("SELECT min(id) AS m FROM c;");
    assert!(shown.contains("│ 55 │"), "{shown}");
    screen.leave();
}

#[test]
fn what_is_longer_than_the_screen_goes_through_the_pager() {
    let desk = Desk::new();
    let rows: String = (0..40).map(|n| format!("{n}\n")).collect();
    desk.lay("data/n.csv", &format!("n\n{rows}"));
    let with_pager = |pager: &str| {
        let mut command = shell(&desk, &[]);
        command.env("PAGER", pager);
        started(&command)
    };
    let mut screen = with_pager("sed 's/^/paged: /'");
    let shown = screen.says("SELECT n FROM 'data/n.csv' ORDER BY n;");
    assert!(shown.contains("paged: │ 39 │"), "{shown}");
    let shown = screen.says("SELECT count(*) AS few FROM 'data/n.csv';");
    assert!(
        shown.contains("│  40 │") && !shown.contains("paged"),
        "{shown}"
    );
    screen.leave();
    // A pager that is not there is no reason to show nothing, nor is one that is left early.
    for pager in ["no-such-pager", "head -n 8"] {
        let mut screen = with_pager(pager);
        let shown = screen.says("SELECT n FROM 'data/n.csv' ORDER BY n;");
        assert!(shown.contains("│  1 │"), "{shown}");
        let shown = screen.says("SELECT count(*) AS few FROM 'data/n.csv';");
        assert!(shown.contains("│  40 │"), "{shown}");
        screen.leave();
    }
}

#[test]
fn a_statement_is_changed_with_an_editor_and_answers_go_to_files() {
    let desk = Desk::new();
    let mut command = shell(&desk, &["--rows", "2"]);
    command.env("EDITOR", "sed -i s/1/2/");
    let mut screen = started(&command);
    let shown = screen.says("SELECT queue FROM 'data/calls.csv' WHERE id = 1;");
    assert!(shown.contains("Sales"), "{shown}");
    screen.says("\\e");
    screen.expect("WHERE id = 2");
    let shown = screen.says(";");
    assert!(shown.contains("Support"), "{shown}");
    let shown = screen.says("\\g 'queues.parquet'");
    assert!(shown.contains("written to queues.parquet"), "{shown}");
    screen.says("\\o ids.csv");
    let shown = screen.says("SELECT id FROM 'data/calls.csv' ORDER BY id;");
    assert!(shown.contains("added to ids.csv"), "{shown}");
    screen.says("\\o");
    let shown = screen.says("SELECT id FROM 'data/calls.csv' ORDER BY id;");
    assert!(shown.contains("only the first 2 rows"), "{shown}");
    desk.lay(
        "two.sql",
        "SELECT count(*) AS n\nFROM 'queues.parquet';\nSELECT 'it;' AS x FROM 'queues.parquet';\n\\x on\n",
    );
    let shown = screen.says("\\i two.sql");
    for part in ["│ 1 │", "│ it; │", "expanded is on"] {
        assert!(shown.contains(part), "{shown}");
    }
    screen.leave();
    // A file has all rows.
    let written = fs::read_to_string(desk.path("ids.csv")).unwrap();
    assert_eq!(written, "id\n1\n2\n3\n");
}

#[test]
fn a_signal_that_ends_the_shell_leaves_the_terminal_as_it_was() {
    let desk = Desk::new();
    let mut screen = started(&shell(&desk, &[]));
    assert!(!screen.is_cooked(), "a line editor reads each key");
    let mut signal = Command::new("kill");
    signal.args(["-TERM", &screen.id().to_string()]);
    assert!(signal.status().unwrap().success());
    assert_eq!(screen.ended().code(), Some(143));
    assert!(screen.is_cooked());
}

/// Runs a script behind a pipe.
fn script(desk: &Desk, text: &str) -> (Option<i32>, String, String) {
    let mut running = shell(desk, &[])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = running.stdin.take().unwrap();
    pipe.write_all(text.as_bytes()).unwrap();
    drop(pipe);
    let output = running.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    (output.status.code(), out, told)
}

#[test]
fn behind_a_pipe_it_is_a_script() {
    let desk = Desk::new();
    let (code, out, told) = script(
        &desk,
        "\\table c=data/calls.csv\nSELECT count(*) AS n FROM c; -- all\nSELECT max(ms) AS m FROM c",
    );
    assert_eq!(code, Some(0), "{told}");
    assert!(out.contains("│ 3 │") && out.contains("│ 34000 │"), "{out}");
    assert!(!out.contains(PROMPT), "{out}");
    for (text, exit, error) in [
        (
            "SELECT x FROM 'data/calls.csv'; SELECT 1 AS never FROM 'data/calls.csv';",
            4,
            "sql.unknown_column",
        ),
        (
            "\\timng\nSELECT 1 AS never FROM 'data/calls.csv'",
            2,
            "did you mean \\timing?",
        ),
        (
            "\\i no.sql\nSELECT 1 AS never FROM 'data/calls.csv'",
            4,
            "file.not_found",
        ),
        (
            "\\e\nSELECT 1 AS never FROM 'data/calls.csv'",
            2,
            "is for a terminal",
        ),
    ] {
        let (code, out, told) = script(&desk, text);
        assert!(told.contains(error) && out.is_empty(), "{out}{told}");
        assert_eq!(code, Some(exit), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_actions_and_requests_of_s3() {
    let house = House::new().await;
    let desk = Desk::of(&house);
    let command = shell(&desk, &["--config", house.path().to_str().unwrap()]);
    let customers = house.path().join("buckets/lake/exports/customers.csv");
    tokio::task::spawn_blocking(move || {
        let mut screen = started(&command);
        // Before anything was read: what the policy names, and what S3 lists.
        screen.send("SELECT count(*) AS n FROM 's3:\t");
        screen.expect("s3://lake/exports/");
        screen.send("cu\t");
        screen.expect("exports/customers.csv");
        screen.send("'");
        let shown = screen.says(" \\trace on");
        assert!(shown.contains("trace is on"), "{shown}");
        let shown = screen.says("\\g");
        assert!(shown.contains("│ 3 │"), "{shown}");
        for part in ["GET", "USD", "s3://lake/exports/customers.csv", "request "] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        screen.send("\\run loo\t");
        screen.expect("look-up");
        screen.send(" an\t");
        screen.expect("ani=");
        let shown = screen.says("+12025550142");
        assert!(shown.contains("│ Ana  ┆ gold ┆     3 ┆  12.5 │"), "{shown}");
        let shown = screen.says("\\d");
        assert!(shown.contains("│ look-up ┆ ani"), "{shown}");
        let shown = screen.says("SELECT 1 AS x FROM 's3://other/x.csv';");
        assert!(shown.contains("policy.denied"), "{shown}");
        screen.says("\\trace off");
        screen.send("SELECT count(*) AS n FROM 's3://lake/exports/customers.csv' \\watch 0.2\r");
        screen.expect("│ 3 │");
        let beside = customers.with_extension("new");
        fs::write(&beside, "ani\n1\n").unwrap();
        fs::rename(beside, customers).unwrap();
        screen.expect("│ 1 │");
        screen.send(CTRL_C);
        screen.expect(READY);
        screen.leave();
    })
    .await
    .unwrap();
    let history = fs::read_to_string(desk.path("home/.local/state/flowlake/history")).unwrap();
    assert!(history.contains("run look-up ani=…"), "{history}");
    assert!(!history.contains("+12025550142"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_read_is_asked_about_at_the_terminal() {
    let house = House::new().await;
    house.more_config("[confirm]\nabove_requests = 2\n");
    let desk = Desk::of(&house);
    let config = house.path().to_str().unwrap().to_owned();
    let sql = "SELECT name FROM 's3://lake/exports/customers.csv' WHERE calls = 3";
    let ask = desk.command(&["--config", &config, "sql", sql]);
    let shell = shell(&desk, &["--config", &config]);
    tokio::task::spawn_blocking(move || {
        for (answer, code, told) in [
            ("y\r", 0, "│ Ana  │"),
            ("n\r", 5, "limit.unconfirmed"),
            ("\r", 5, "limit.unconfirmed"),
            (CTRL_C, 5, "limit.unconfirmed"),
        ] {
            let mut screen = Screen::start(&ask);
            screen.expect("takes 3 requests to S3");
            screen.expect(READY);
            screen.expect("Read it? [y/N] ");
            screen.send(answer);
            screen.expect(told);
            assert_eq!(screen.ended().code(), Some(code), "{answer:?}");
        }
        let mut screen = started(&shell);
        for (answer, told) in [(CTRL_C, "limit.unconfirmed"), ("yes\r", "│ Ana  │")] {
            screen.says(&format!("{sql};"));
            screen.expect("Read it? [y/N] ");
            screen.send(answer);
            let shown = screen.expect(READY);
            assert!(shown.contains(told), "{shown}");
        }
        screen.leave();
    })
    .await
    .unwrap();
}
