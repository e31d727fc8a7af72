//! The command line as an analyst uses it: starting a project, checking it, asking in every format.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{EmbeddedStack, Project, Setting};
use serde_json::{Value, json};

const ROWS: u64 = 5_000;

#[test]
fn a_project_that_init_wrote_passes_its_check() -> Result<()> {
    let setting = Setting::start("cli-init", ROWS)?;
    let folder = setting.folder.join("started");
    fs::create_dir_all(&folder)?;
    let keys = setting.stack.keys("reader")?;
    let project = Project::open(&setting.environment, &folder, keys)
        .with_variable("FLOWLAKE_SERVER_KEY", "key-of-the-started-project")
        .with_variable("GENESYS_CLIENT_SECRET", "secret-of-the-started-project");
    let written = project.run(&["init", "."])?;
    ensure!(written.status.success(), "{}", written.stderr);
    let again = project.run(&["init", "."])?;
    ensure!(
        !again.status.success(),
        "init wrote over a configuration: {}",
        again.stdout
    );
    point_at(&folder, &setting.stack)?;
    let agent = format!("agent_id={}", setting.files.example_agent_id);
    let checked = project.run(&["check", "--param", &agent])?;
    ensure!(
        checked.status.success(),
        "{}\n{}",
        checked.stdout,
        checked.stderr
    );
    ensure!(
        checked.stdout.contains("agent-scorecard"),
        "{}",
        checked.stdout
    );
    let asked = project.run(&[
        "run",
        "agent-scorecard",
        "--param",
        &agent,
        "--format",
        "json",
    ])?;
    ensure!(
        asked.json()?["row_count"]
            .as_u64()
            .is_some_and(|rows| rows > 0),
        "{}",
        asked.stdout
    );
    Ok(())
}

/// What a reader of the documentation does for an S3 that is not Amazon's.
fn point_at(folder: &Path, stack: &EmbeddedStack) -> Result<()> {
    let path = folder.join("flowlake.toml");
    let written = fs::read_to_string(&path)?;
    let endpoints = format!(
        "[aws]\nendpoint_url = \"{}\"\ns3_endpoint_url = \"{}\"\npath_style = true\n",
        stack.aws_url(),
        stack.s3_url()
    );
    ensure!(written.contains("[aws]\n"), "init writes no [aws] section");
    Ok(fs::write(path, written.replacen("[aws]\n", &endpoints, 1))?)
}

#[test]
fn every_format_holds_the_same_rows() -> Result<()> {
    let setting = Setting::start("cli-formats", ROWS)?;
    let project = setting.examples("reader", "")?;
    let ask = |format: &str| -> Result<String> {
        let finished = project.run(&["run", "queue-summary", "--format", format])?;
        ensure!(finished.status.success(), "{format}: {}", finished.stderr);
        Ok(finished.stdout)
    };
    let json: Value = serde_json::from_str(&ask("json")?)?;
    let rows = json["data"].as_array().context("data is no array")?;
    ensure!(
        !rows.is_empty() && json["row_count"] == rows.len(),
        "{json}"
    );
    let ndjson: Vec<Value> = ask("ndjson")?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    ensure!(ndjson == *rows, "{ndjson:?}");
    let (csv, table) = (ask("csv")?, ask("table")?);
    ensure!(csv.lines().count() == rows.len() + 1, "{csv}");
    for row in rows {
        let name = row["queue_name"].as_str().context("no queue_name")?;
        ensure!(
            csv.contains(name) && table.contains(name),
            "{name} is missing:\n{csv}\n{table}"
        );
    }
    Ok(())
}

#[test]
fn rows_go_into_a_file_whole_or_not_at_all() -> Result<()> {
    let setting = Setting::start("cli-files", ROWS)?;
    let project = setting.examples("reader", "")?;
    let folder = project.folder().to_owned();
    let csv = project
        .run(&["run", "queue-summary", "--format", "csv"])?
        .stdout;
    for (format, begins) in [
        ("csv", csv.as_bytes()),
        ("ndjson", b"{\""),
        ("json", b"{\"data\":["),
        ("table", "┌".as_bytes()),
        ("arrow", b"ARROW1"),
        ("parquet", b"PAR1"),
        ("xlsx", b"PK"),
    ] {
        let path = folder.join(format!("rows.{format}"));
        fs::write(&path, "what was there")?;
        let to = path.to_string_lossy();
        let finished =
            project.run(&["run", "queue-summary", "--format", format, "--output", &to])?;
        ensure!(finished.status.success(), "{format}: {}", finished.stderr);
        ensure!(finished.stdout.is_empty(), "{format}: {}", finished.stdout);
        let written = fs::read(&path)?;
        ensure!(
            written.starts_with(begins),
            "{format}: {} bytes",
            written.len()
        );
    }
    let kept = folder.join("kept.csv");
    fs::write(&kept, "what was there")?;
    let to = kept.to_string_lossy();
    let refused = project.run(&[
        "run",
        "queue-summary",
        "--param",
        "date=2020-02-29",
        "--format",
        "csv",
        "--output",
        &to,
    ])?;
    ensure!(!refused.status.success(), "a missing day was answered");
    ensure!(
        fs::read_to_string(&kept)? == "what was there",
        "a failed run changed the file"
    );
    let left: Vec<_> = fs::read_dir(&folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(".tmp"))
        .collect();
    ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

#[test]
fn explain_says_what_would_be_done_and_then_what_was() -> Result<()> {
    let setting = Setting::start("cli-explain", ROWS)?;
    let project = setting.examples("reader", "")?;
    let agent = format!("agent_id={}", setting.files.example_agent_id);
    let told = project.run(&["explain", "agent-scorecard", "--param", &agent])?;
    ensure!(told.status.success(), "{}", told.stderr);
    for part in [
        "Tables",
        "Reads",
        "1 of 1 files",
        "columns",
        "Steps",
        "rows left out while files are read: conditions on agent_id",
        "group by `queue_name`",
        "Memory",
        "Answers",
    ] {
        ensure!(told.stdout.contains(part), "no {part} in {}", told.stdout);
    }
    ensure!(!told.stdout.contains("Ran:"), "{}", told.stdout);
    let ran = project.run(&["explain", "agent-scorecard", "--param", &agent, "--run"])?;
    ensure!(ran.status.success(), "{}", ran.stderr);
    ensure!(
        ran.stdout.contains("Ran: ") && ran.stdout.contains(" that were decoded"),
        "{}",
        ran.stdout
    );
    let json = project
        .run(&[
            "explain",
            "agent-scorecard",
            "--param",
            &agent,
            "--run",
            "--format",
            "json",
        ])?
        .json()?;
    // Parquet's conditions are judged before the other columns are decoded.
    ensure!(
        json["run"]["stats"]["rows_scanned"]
            .as_u64()
            .is_some_and(|rows| (1..ROWS).contains(&rows)),
        "{json}"
    );
    ensure!(
        json["explanation"]["scans"][0]["bytes_to_read"]
            .as_u64()
            .is_some_and(|bytes| bytes > 0),
        "{json}"
    );
    Ok(())
}

#[test]
fn a_mistyped_key_is_named_with_its_place_and_the_right_one() -> Result<()> {
    let setting = Setting::start("cli-mistyped", ROWS)?;
    let project = setting.examples("reader", "")?;
    let path = project.folder().join("flowlake.toml");
    let text = fs::read_to_string(&path)?;
    fs::write(&path, text.replacen("path_style", "path_stile", 1))?;
    let finished = project.run(&["check"])?;
    ensure!(
        finished.status.code() == Some(2),
        "{}\n{}",
        finished.status,
        finished.stderr
    );
    for part in ["config.invalid", "flowlake.toml:", "`path_style`"] {
        ensure!(
            finished.stderr.contains(part),
            "no {part} in {}",
            finished.stderr
        );
    }
    Ok(())
}

#[test]
fn a_spreadsheet_is_what_another_reader_takes_it_for() -> Result<()> {
    let setting = Setting::start("cli-xlsx", ROWS)?;
    let project = setting.examples("reader", "")?;
    let (csv, path) = (
        setting.folder.join("one.csv"),
        setting.folder.join("one.xlsx"),
    );
    fs::write(&csv, "n\n1\n")?;
    let sql = format!(
        r#"SELECT 42 AS whole, 9007199254740993 AS long, 0.1 AS ratio, true AS flag, CAST(NULL AS BIGINT) AS nothing,
        '=1+1' AS formula, ' a<b & c' AS "text", DATE '2026-01-31' AS day, DATE '1899-12-31' AS old,
        TIMESTAMP '2026-01-31 06:00:00.125' AS moment FROM '{}'"#,
        csv.display()
    );
    let to = path.to_string_lossy();
    let finished = project.run(&["sql", &sql, "-o", &to])?;
    ensure!(finished.status.success(), "{}", finished.stderr);
    let cells = setting
        .environment
        .python()
        .call("spreadsheet", &json!({ "path": path }))?;
    let names = [
        "whole", "long", "ratio", "flag", "nothing", "formula", "text", "day", "old", "moment",
    ];
    let header: Vec<_> = names.iter().map(|name| json!(["s", name])).collect();
    let row = json!([
        ["n", "42"],
        ["s", "9007199254740993"],
        ["n", "0.1"],
        ["b", "True"],
        ["n", null],
        ["s", "=1+1"],
        ["s", " a<b & c"],
        ["d", "2026-01-31 00:00:00"],
        ["s", "1899-12-31"],
        ["d", "2026-01-31 06:00:00.125000"],
    ]);
    ensure!(cells == json!([header, row]), "{cells:#}");
    Ok(())
}
