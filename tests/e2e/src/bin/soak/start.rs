//! How long the server takes from its start until it listens, with many actions, and the command line until its first output.

use std::{
    fmt::Write as _,
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::BUCKET;

use crate::{
    caller::{now, percentile},
    goals::Goals,
    house::House,
};

const ACTIONS: u32 = 200;
/// The longest that a start may take, at the median.
const WITHIN_MS: f64 = 300.0;
/// The longest until the help is there, and until the first row of a file of this machine.
const HELP_WITHIN_MS: f64 = 30.0;
const ROW_WITHIN_MS: f64 = 150.0;
/// Bytes of that file.
const FILE_BYTES: usize = 1 << 20;
/// Commands that are measured.
const COMMANDS: usize = 20;

pub(crate) fn run(programs: &Path, folder: &Path, time: Duration) -> Result<()> {
    let house = House::build(programs, &folder.join("work"), 1, "")?;
    let actions = house.project.folder().join("actions");
    let there = u32::try_from(fs::read_dir(&actions)?.count())?;
    for number in there..ACTIONS {
        let hot = if number % 4 == 0 { "hot = true\n" } else { "" };
        let text = format!(
            "name = \"action-{number}\"\n{hot}[tables.calls]\nuri = \"s3://{BUCKET}/exports/calls.csv\"\n[params.queue]\ntype = \"string\"\npattern = \"queue-[0-9]+\"\n[params.longest]\ntype = \"integer\"\ndefault = {number}\n[query]\nsql = \"\"\"\nSELECT queue, count(*) AS calls, sum(seconds) AS total, max(CASE WHEN seconds > $longest THEN 1 ELSE 0 END) AS long\nFROM calls WHERE queue = $queue GROUP BY queue HAVING count(*) > {number} ORDER BY total DESC LIMIT 10\n\"\"\"\n"
        );
        fs::write(actions.join(format!("action-{number}.toml")), text)?;
    }
    let until = now() + time;
    let mut took = Vec::new();
    while took.len() < 3 || now() < until {
        took.push(house.project.time_to_listen()?);
    }
    let starts = took.len();
    let (median, slowest) = (percentile(&mut took, 0.5), percentile(&mut took, 1.0));
    let mut goals = Goals::default();
    goals.check(
        &format!("a start with {ACTIONS} actions takes less than {WITHIN_MS} ms"),
        median < WITHIN_MS,
        &format!("{median:.0} ms at the median of {starts} starts, {slowest:.0} ms at most"),
    );
    command_line(programs, folder, &mut goals)?;
    goals.end()
}

/// The command line, in a folder with a file of 1 MiB.
fn command_line(programs: &Path, folder: &Path, goals: &mut Goals) -> Result<()> {
    let mut text = "id,queue,seconds\n".to_owned();
    let mut id = 0;
    while text.len() < FILE_BYTES {
        writeln!(text, "{id},queue-{},{id}", id % 17)?;
        id += 1;
    }
    fs::write(folder.join("calls.csv"), text)?;
    let row = "SELECT id, queue FROM 'calls.csv' WHERE id = 5";
    for (what, arguments, within) in [
        ("the help", &["--help"][..], HELP_WITHIN_MS),
        (
            "the first row of a file of 1 MiB",
            &["sql", row, "--format", "csv"],
            ROW_WITHIN_MS,
        ),
    ] {
        let mut took = Vec::new();
        for _ in 0..COMMANDS {
            took.push(first_byte(programs, folder, arguments)?);
        }
        let (median, slowest) = (percentile(&mut took, 0.5), percentile(&mut took, 1.0));
        goals.check(
            &format!("{what} takes less than {within} ms"),
            median < within,
            &format!(
                "{median:.0} ms at the median of {COMMANDS} commands, {slowest:.0} ms at most"
            ),
        );
    }
    Ok(())
}

/// The time until something is on standard output.
fn first_byte(programs: &Path, folder: &Path, arguments: &[&str]) -> Result<Duration> {
    let begun = now();
    let mut child = Command::new(programs.join("flowlake"))
        .args(arguments)
        .env_clear()
        .env("HOME", folder)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut out = child.stdout.take().context("it has no standard output")?;
    out.read_exact(&mut [0])?;
    let took = begun.elapsed();
    out.read_to_end(&mut Vec::new())?;
    ensure!(child.wait()?.success(), "{arguments:?} failed");
    Ok(took)
}
