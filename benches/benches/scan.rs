//! Questions asked of text and Parquet on S3, by our command line and by its peers: each a whole process, start included.
//!
//! `cargo xtask bench scan -- [rounds=5] [rows=8000000] [folder=DIR] [NAME=SQL …]`. A folder with other files named
//! `conversations.{csv,csv.gz,ndjson,parquet}` and other questions over a table `t` take the places of ours.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use flowlake_benches::{Cell, Measured, Nginx, Places, measure, median, succeed, write_section};
use serde_json::Value;

const BUCKET: &str = "lake";
const FORMATS: [&str; 4] = ["csv", "ndjson", "csv.gz", "parquet"];
const OURS: &str = "flowlake";
const TOOLS: [&str; 5] = [OURS, "polars", "duckdb", "datafusion", "chdb"];
const QUESTIONS: [(&str, &str); 2] = [
    (
        "aggregate",
        "SELECT queue_name, media_type, count(*) AS n, avg(t_handle_ms) AS avg_handle, max(t_talk_ms) AS max_talk, \
         sum(t_acw_ms) AS acw FROM t GROUP BY queue_name, media_type ORDER BY queue_name, media_type",
    ),
    (
        "look-up",
        "SELECT conversation_id, conversation_start, queue_name, agent_id, t_handle_ms, nps_score, wrapup FROM t \
         WHERE ani = '+12000000123' OR conversation_id = 'zzz' ORDER BY conversation_start DESC LIMIT 10",
    ),
];
/// How many times faster than the fastest peer we mean to be, by format: in the aggregate, and in the look-up.
const GOALS: [(&str, [f64; 2]); 4] = [
    ("csv", [1.5, 3.0]),
    ("ndjson", [1.5, 3.0]),
    ("csv.gz", [1.2, 1.5]),
    ("parquet", [1.0, 1.0]),
];
const MEMORY_GOAL_MIB: f64 = 256.0;

struct Plan {
    rounds: usize,
    rows: u64,
    folder: Option<PathBuf>,
    questions: Vec<(String, String)>,
}

struct Machine {
    flowlake: PathBuf,
    python: PathBuf,
    peers: PathBuf,
    config: PathBuf,
    endpoint: String,
}

type Cells = BTreeMap<(String, String, String), Cell>;

fn main() -> Result<()> {
    let plan = Plan::from_arguments();
    let places = Places::find()?;
    let python = places.python()?;
    let flowlake = places.build()?.join("flowlake");
    let data = match &plan.folder {
        Some(folder) => folder.clone(),
        None => generated(
            &places.target.join("scan"),
            plan.rows,
            &python,
            &places.peers,
        )?,
    };
    let root = tempfile::tempdir()?;
    std::os::unix::fs::symlink(fs::canonicalize(&data)?, root.path().join(BUCKET))?;
    let nginx = Nginx::start(root.path())?;
    let endpoint = format!("http://127.0.0.1:{}", nginx.port());
    let config = tempfile::tempdir()?;
    write_config(config.path(), &plan.questions)?;
    let machine = Machine {
        flowlake,
        python,
        peers: places.peers.clone(),
        config: config.path().to_owned(),
        endpoint,
    };
    let cells = machine.run(&plan)?;
    let body = report(&plan, &cells, &data)?;
    println!("{body}");
    write_section(&places.page, "## Scanning text and Parquet", &body)
}

impl Plan {
    fn from_arguments() -> Self {
        let mut plan = Self {
            rounds: 5,
            rows: 8_000_000,
            folder: None,
            questions: Vec::new(),
        };
        for argument in env::args().skip(1) {
            match argument.split_once('=') {
                Some(("rounds", rounds)) => plan.rounds = rounds.parse().unwrap_or(plan.rounds),
                Some(("rows", rows)) => plan.rows = rows.parse().unwrap_or(plan.rows),
                Some(("folder", folder)) => plan.folder = Some(folder.into()),
                Some((name, sql)) => plan.questions.push((name.to_owned(), sql.to_owned())),
                None => {}
            }
        }
        if plan.questions.is_empty() {
            let ours = QUESTIONS.map(|(name, sql)| (name.to_owned(), sql.to_owned()));
            plan.questions = ours.to_vec();
        }
        plan
    }
}

fn generated(folder: &Path, rows: u64, python: &Path, peers: &Path) -> Result<PathBuf> {
    let folder = folder.join(rows.to_string());
    if !FORMATS.iter().all(|format| file(&folder, format).exists()) {
        fs::create_dir_all(&folder)?;
        println!("generating {rows} rows in {}", folder.display());
        let mut generate = Command::new(python);
        generate.arg(peers.join("generate.py"));
        succeed(generate.arg(rows.to_string()).arg(&folder))?;
    }
    Ok(folder)
}

fn file(folder: &Path, format: &str) -> PathBuf {
    folder.join(format!("conversations.{format}"))
}

/// One action for each format and question.
fn write_config(folder: &Path, questions: &[(String, String)]) -> Result<()> {
    fs::create_dir_all(folder.join("actions"))?;
    fs::write(
        folder.join("flowlake.toml"),
        format!(
            "[aws]\nregion = \"us-east-1\"\n[access]\nmode = \"probe\"\n[policy]\nallow = [\"s3://{BUCKET}/*\"]\n\
             [audit.log]\ndirectory = \"audit\"\n"
        ),
    )?;
    for format in FORMATS {
        for (name, sql) in questions {
            let action = action(format, name);
            fs::write(
                folder.join(format!("actions/{action}.toml")),
                format!(
                    "name = \"{action}\"\ndescription = \"A question of the benchmark\"\n\
                     [tables.t]\nuri = \"s3://{BUCKET}/conversations.{format}\"\n\
                     [limits]\ntimeout = \"120s\"\nmax_rows = 1000\n[query]\nsql = '''{sql}'''\n"
                ),
            )?;
        }
    }
    Ok(())
}

fn action(format: &str, question: &str) -> String {
    format!("{}-{question}", format.replace('.', "-"))
}

impl Machine {
    /// Every tool's turn comes once in each round, so that a busy moment of the machine hits all, and each begins in its turn: who
    /// comes after a process that used much memory may wait longer for pages of its own.
    fn run(&self, plan: &Plan) -> Result<Cells> {
        let mut cells = Cells::new();
        for round in 0..=plan.rounds {
            let mut tools = TOOLS;
            tools.rotate_left(round % TOOLS.len());
            for format in FORMATS {
                for (question, sql) in &plan.questions {
                    let mut answers: Vec<(&str, Vec<Vec<Value>>)> = Vec::new();
                    for tool in tools {
                        let measured = measure(&self.command(tool, format, question, sql))
                            .with_context(|| format!("{tool}, {format}, {question}"));
                        let measured = match measured {
                            Ok(measured) => measured,
                            Err(error) if tool == OURS => return Err(error),
                            // A peer that cannot answer has told why on standard error, and has no figures in its cell.
                            Err(_) => continue,
                        };
                        answers.push((tool, rows(&measured)?));
                        // The first round brings files and programs into memory.
                        if round > 0 {
                            let key = (format.to_owned(), question.clone(), tool.to_owned());
                            let cell = cells.entry(key).or_default();
                            cell.seconds.push(measured.seconds);
                            cell.cpu_seconds.push(measured.cpu_seconds);
                            cell.peak_mib.push(measured.peak_mib);
                        }
                    }
                    agree(&answers).with_context(|| format!("{format}, {question}"))?;
                }
            }
            println!("round {round} of {} is done", plan.rounds);
        }
        Ok(cells)
    }

    fn command(&self, tool: &str, format: &str, question: &str, sql: &str) -> Command {
        if tool == OURS {
            let mut command = Command::new(&self.flowlake);
            command
                .arg("--config")
                .arg(&self.config)
                .args(["run", &action(format, question), "--format", "ndjson"])
                .env("AWS_ACCESS_KEY_ID", "bench")
                .env("AWS_SECRET_ACCESS_KEY", "benchsecret")
                .env("AWS_ENDPOINT_URL", &self.endpoint);
            return command;
        }
        let mut command = Command::new(&self.python);
        command
            .arg(self.peers.join("query.py"))
            .args([tool, format, &self.endpoint, BUCKET])
            .args([&format!("conversations.{format}"), sql]);
        command
    }
}

/// The answer, one row a line, without the names of columns.
fn rows(measured: &Measured) -> Result<Vec<Vec<Value>>> {
    let lines = measured.output.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            Ok(match serde_json::from_str(line)? {
                Value::Object(row) => row.into_iter().map(|(_, value)| value).collect(),
                Value::Array(row) => row,
                other => vec![other],
            })
        })
        .collect()
}

/// All tools give the same rows; numbers may differ in their last digits, and timestamps in their spelling.
fn agree(answers: &[(&str, Vec<Vec<Value>>)]) -> Result<()> {
    let Some(((first, expected), others)) = answers.split_first() else {
        return Ok(());
    };
    for (tool, found) in others {
        ensure!(
            found.len() == expected.len(),
            "{tool} gives {} rows and {first} {}",
            found.len(),
            expected.len()
        );
        for (left, right) in expected.iter().zip(found) {
            let same =
                left.len() == right.len() && left.iter().zip(right).all(|(a, b)| alike(a, b));
            ensure!(same, "{first} gives {left:?} and {tool} {right:?}");
        }
    }
    Ok(())
}

fn alike(left: &Value, right: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    match (number(left), number(right)) {
        (Some(left), Some(right)) => (left - right).abs() <= 1e-9 * left.abs().max(1.0),
        _ => spelled(left) == spelled(right),
    }
}

fn spelled(value: &Value) -> String {
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    text.replace('T', " ").trim_end_matches('Z').to_owned()
}

fn report(plan: &Plan, cells: &Cells, data: &Path) -> Result<String> {
    let mut body = format!(
        "`cargo xtask bench scan`: each cell is a whole process, start included, against nginx on loopback, which shares the \
         processor. Medians of {} interleaved rounds; every tool's answer was compared with ours. Seconds, of the fastest \
         peer's in parentheses; then the processor's seconds for each GB of the object, and the largest resident memory.\n",
        plan.rounds
    );
    for format in FORMATS {
        let bytes = fs::metadata(file(data, format))?.len();
        for (place, (question, _)) in plan.questions.iter().enumerate() {
            let cell = |tool: &str| {
                let key = (format.to_owned(), question.clone(), tool.to_owned());
                cells.get(&key).cloned().unwrap_or_default()
            };
            let peers = TOOLS.iter().filter(|tool| **tool != OURS);
            let peers = peers.filter(|tool| !cell(tool).seconds.is_empty());
            let fastest = peers.clone().map(|tool| median(&cell(tool).seconds));
            let fastest = fastest.fold(f64::INFINITY, f64::min);
            let thriftiest = peers.map(|tool| median(&cell(tool).cpu_seconds));
            let thriftiest = thriftiest.fold(f64::INFINITY, f64::min);
            #[expect(
                clippy::cast_precision_loss,
                reason = "files are smaller than 2^53 bytes"
            )]
            let gigabytes = bytes as f64 / 1e9;
            writeln!(body, "\n### {format}, {gigabytes:.2} GB, {question}\n")?;
            writeln!(
                body,
                "| | seconds | CPU s/GB | peak MiB |\n|---|---:|---:|---:|"
            )?;
            for tool in TOOLS {
                let cell = cell(tool);
                if cell.seconds.is_empty() {
                    writeln!(body, "| {tool} | cannot answer | | |")?;
                    continue;
                }
                let seconds = median(&cell.seconds);
                writeln!(
                    body,
                    "| {tool} | {seconds:.2} ({:.2}x) | {:.2} | {:.0} |",
                    seconds / fastest,
                    median(&cell.cpu_seconds) / gigabytes,
                    median(&cell.peak_mib)
                )?;
            }
            let ours = cell(OURS);
            let goal = GOALS
                .iter()
                .find(|(of, _)| *of == format)
                .and_then(|(_, goals)| goals.get(place));
            let faster = fastest / median(&ours.seconds);
            let verdict = |met: bool| if met { "met" } else { "**lost**" };
            writeln!(body)?;
            if let Some(goal) = goal {
                writeln!(
                    body,
                    "{faster:.2} times as fast as the fastest peer; the goal of {goal} is {}.",
                    verdict(faster >= *goal)
                )?;
            }
            writeln!(
                body,
                "Processor time at or below the best peer's: {}. At most {MEMORY_GOAL_MIB:.0} MiB: {}.",
                verdict(median(&ours.cpu_seconds) <= thriftiest),
                verdict(median(&ours.peak_mib) <= MEMORY_GOAL_MIB)
            )?;
        }
    }
    Ok(body)
}
