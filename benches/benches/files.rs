//! One question asked of prefixes with thousands of small files, by our command line and by its peers: each a whole process,
//! start and listing included, and every request counted at the server.
//!
//! `cargo xtask bench files -- [rounds=3] [files=2000,20000] [alone=50000] [formats=ndjson.gz,csv,parquet] [program=PATH]`.
//! `alone` are numbers of files that only we are asked about, for the memory that they take; `program` is a `flowlake` that is
//! built already.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use flowlake_benches::{
    Cell, Distance, Lake, Objects, Places, Requests, SLOW_CONNECTION, measure, median, succeed,
    write_section,
};
use serde_json::Value;

const BUCKET: &str = "lake";
const OURS: &str = "flowlake";
const TOOLS: [&str; 5] = [OURS, "polars", "duckdb", "datafusion", "chdb"];
const SQL: &str = "SELECT queue_name, media_type, count(*) AS n, avg(t_handle_ms) AS avg_handle, max(t_talk_ms) AS max_talk, \
     sum(t_acw_ms) AS acw FROM t GROUP BY queue_name, media_type ORDER BY queue_name, media_type";
/// Contents that the files have in turn, and rows of each: some 45 KB of NDJSON with gzip, 105 KB of CSV, 35 KB of Parquet.
const CONTENTS: usize = 50;
const ROWS: usize = 700;
const DAYS: usize = 28;

/// How many times faster than the fastest peer we mean to be.
const GOAL: f64 = 2.0;
const MEMORY_GOAL_MIB: f64 = 256.0;
/// How much more memory than for the fewest files.
const FLAT: f64 = 1.25;
const PLACES: [(&str, Distance); 2] = [
    (
        "on loopback",
        Distance {
            delay: Duration::ZERO,
            rate: 0,
        },
    ),
    (
        "as S3 is: 30 ms a request, 88 MB/s a connection",
        Distance {
            delay: Duration::from_millis(30),
            rate: SLOW_CONNECTION,
        },
    ),
];

struct Plan {
    rounds: usize,
    files: Vec<usize>,
    alone: Vec<usize>,
    formats: Vec<String>,
    program: Option<PathBuf>,
}

struct Machine {
    flowlake: PathBuf,
    python: PathBuf,
    peers: PathBuf,
    config: PathBuf,
    contents: PathBuf,
}

/// What is measured: where, of which format, how many files, and by which tool.
type Key = (usize, String, usize, &'static str);
type Cells = BTreeMap<Key, (Cell, Requests)>;

#[tokio::main]
async fn main() -> Result<()> {
    let plan = Plan::from_arguments();
    let places = Places::find()?;
    let python = places.python()?;
    let flowlake = match &plan.program {
        Some(program) => program.clone(),
        None => places.build()?.join("flowlake"),
    };
    let contents = places.target.join("files").join(ROWS.to_string());
    if !contents.join(format!("{}.parquet", CONTENTS - 1)).exists() {
        fs::create_dir_all(&contents)?;
        let mut generate = Command::new(&python);
        generate.arg(places.peers.join("contents.py"));
        generate.args([CONTENTS.to_string(), ROWS.to_string()]);
        succeed(generate.arg(&contents))?;
    }
    let config = tempfile::tempdir()?;
    write_config(config.path(), &plan)?;
    let machine = Machine {
        flowlake,
        python,
        peers: places.peers.clone(),
        config: config.path().to_owned(),
        contents,
    };
    let cells = machine.run(&plan).await?;
    let body = report(&plan, &cells)?;
    println!("{body}");
    write_section(&places.page, "## Many small files", &body)
}

impl Plan {
    fn from_arguments() -> Self {
        let numbers = |text: &str| {
            text.split(',')
                .filter_map(|part| part.parse().ok())
                .collect()
        };
        let mut plan = Self {
            rounds: 3,
            files: vec![2_000, 20_000],
            alone: vec![50_000],
            formats: ["ndjson.gz", "csv", "parquet"].map(str::to_owned).to_vec(),
            program: None,
        };
        for argument in env::args().skip(1) {
            match argument.split_once('=') {
                Some(("rounds", rounds)) => plan.rounds = rounds.parse().unwrap_or(plan.rounds),
                Some(("files", files)) => plan.files = numbers(files),
                Some(("alone", files)) => plan.alone = numbers(files),
                Some(("formats", all)) => {
                    plan.formats = all.split(',').map(str::to_owned).collect();
                }
                Some(("program", path)) => plan.program = Some(path.into()),
                _ => {}
            }
        }
        plan
    }
}

fn folder(format: &str, files: usize) -> String {
    format!("{format}/{files}/")
}

fn action(format: &str, files: usize) -> String {
    format!("{}-{files}", format.replace('.', "-"))
}

/// One action for each format and number of files.
fn write_config(config: &Path, plan: &Plan) -> Result<()> {
    fs::create_dir_all(config.join("actions"))?;
    fs::write(
        config.join("flowlake.toml"),
        format!(
            "[aws]\nregion = \"us-east-1\"\n[access]\nmode = \"probe\"\n[policy]\nallow = [\"s3://{BUCKET}/*\"]\n\
             [audit.log]\ndirectory = \"audit\"\n[confirm]\nabove_requests = 1000000\n"
        ),
    )?;
    for format in &plan.formats {
        for files in plan.files.iter().chain(&plan.alone) {
            let (action, folder) = (action(format, *files), folder(format, *files));
            fs::write(
                config.join(format!("actions/{action}.toml")),
                format!(
                    "name = \"{action}\"\ndescription = \"A question of the benchmark\"\n\
                     [tables.t]\nuri = \"s3://{BUCKET}/{folder}\"\nmax_files = {files}\n\
                     [limits]\ntimeout = \"600s\"\nmax_rows = 1000\n[query]\nsql = '''{SQL}'''\n"
                ),
            )?;
        }
    }
    Ok(())
}

impl Machine {
    async fn run(&self, plan: &Plan) -> Result<Cells> {
        let mut cells = Cells::new();
        for (place, (where_it_is, distance)) in PLACES.iter().enumerate() {
            for format in &plan.formats {
                for &files in plan.files.iter().chain(&plan.alone) {
                    let lake = self.lake(format, files, *distance).await?;
                    let is_alone = plan.alone.contains(&files);
                    let tools = if is_alone { &TOOLS[..1] } else { &TOOLS[..] };
                    // Many files, and requests that take their time, are their own repetition.
                    let is_short = files <= 5_000 && distance.delay.is_zero();
                    // The first round brings files and programs into memory.
                    let rounds = if is_short { 0..=plan.rounds } else { 1..=1 };
                    for round in rounds {
                        let mut tools = tools.to_vec();
                        let turns = tools.len();
                        tools.rotate_left(round % turns);
                        let mut answers: Vec<(&str, Vec<Vec<Value>>)> = Vec::new();
                        for tool in tools {
                            let command = self.command(tool, format, files, lake.port());
                            let _ = lake.take_requests();
                            let measured = tokio::task::spawn_blocking(move || measure(&command));
                            let measured = match measured.await? {
                                Ok(measured) => measured,
                                Err(error) if tool == OURS => return Err(error),
                                // A peer that cannot answer has told why on standard error, and has no figures.
                                Err(_) => continue,
                            };
                            let requests = lake.take_requests();
                            println!(
                                "{where_it_is}, {files} {format}, {tool}: {:.2} s, {:.0} MiB, {requests:?}",
                                measured.seconds, measured.peak_mib
                            );
                            answers.push((tool, rows(&measured.output)?));
                            if round > 0 {
                                let key = (place, format.clone(), files, tool);
                                let (cell, all) = cells.entry(key).or_default();
                                cell.seconds.push(measured.seconds);
                                cell.cpu_seconds.push(measured.cpu_seconds);
                                cell.peak_mib.push(measured.peak_mib);
                                *all = requests;
                            }
                        }
                        agree(&answers).with_context(|| format!("{files} {format}"))?;
                    }
                }
            }
        }
        Ok(cells)
    }

    async fn lake(&self, format: &str, files: usize, distance: Distance) -> Result<Lake> {
        let contents = (0..CONTENTS).map(|number| {
            let path = self.contents.join(format!("{number}.{format}"));
            fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))
        });
        let contents = contents.collect::<Result<Vec<_>>>()?;
        let folder = folder(format, files);
        let objects: Objects = (0..files)
            .map(|number| {
                let day = 1 + number % DAYS;
                let key = format!("{folder}date=2026-01-{day:02}/part-{number:05}.{format}");
                (key, number % CONTENTS)
            })
            .collect();
        Lake::start(BUCKET, objects, contents, distance).await
    }

    fn command(&self, tool: &str, format: &str, files: usize, port: u16) -> Command {
        let endpoint = format!("http://127.0.0.1:{port}");
        if tool == OURS {
            let mut command = Command::new(&self.flowlake);
            command
                .arg("--config")
                .arg(&self.config)
                .args(["run", &action(format, files), "--format", "ndjson"])
                .env("AWS_ACCESS_KEY_ID", "bench")
                .env("AWS_SECRET_ACCESS_KEY", "benchsecret")
                .env("AWS_ENDPOINT_URL", endpoint);
            return command;
        }
        let mut command = Command::new("timeout");
        command
            .arg("600")
            .arg(&self.python)
            .arg(self.peers.join("query.py"))
            .args([tool, format, &endpoint, BUCKET])
            .args([&folder(format, files), SQL]);
        command
    }
}

/// The answer, one row a line, without the names of columns.
fn rows(output: &str) -> Result<Vec<Vec<Value>>> {
    let lines = output.lines().filter(|line| !line.is_empty());
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

/// All tools give the same rows; numbers may differ in their last digits.
fn agree(answers: &[(&str, Vec<Vec<Value>>)]) -> Result<()> {
    let Some(((first, expected), others)) = answers.split_first() else {
        return Ok(());
    };
    for (tool, found) in others {
        let same = found.len() == expected.len()
            && found.iter().flatten().count() == expected.iter().flatten().count()
            && found
                .iter()
                .flatten()
                .zip(expected.iter().flatten())
                .all(|(a, b)| alike(a, b));
        ensure!(same, "{first} gives {expected:?} and {tool} {found:?}");
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
        _ => left == right,
    }
}

fn report(plan: &Plan, cells: &Cells) -> Result<String> {
    let mut body = format!(
        "`cargo xtask bench files`: an aggregate over all files of a prefix, {DAYS} folders `date=…/`, {ROWS} rows a file. Each cell \
         is a whole process, start and listing included, against a server in memory that counts requests and shares the \
         processor; medians of {} rounds on loopback, and one round above 5,000 files and where requests take 30 ms. All answers were compared with ours.\n",
        plan.rounds
    );
    for (place, (where_it_is, _)) in PLACES.iter().enumerate() {
        for format in &plan.formats {
            writeln!(body, "\n### {format}, {where_it_is}\n")?;
            writeln!(
                body,
                "| files | | seconds | CPU s | requests | peak MiB |\n|---:|---|---:|---:|---:|---:|"
            )?;
            let mut verdicts = String::new();
            for &files in plan.files.iter().chain(&plan.alone) {
                let of = |tool: &'static str| cells.get(&(place, format.clone(), files, tool));
                let seconds =
                    |tool| of(tool).map_or(f64::INFINITY, |(cell, _)| median(&cell.seconds));
                let fastest = TOOLS[1..].iter().map(|tool| seconds(tool));
                let fastest = fastest.fold(f64::INFINITY, f64::min);
                for tool in TOOLS {
                    let Some((cell, requests)) = of(tool) else {
                        if !plan.alone.contains(&files) {
                            writeln!(body, "| {files} | {tool} | cannot answer | | | |")?;
                        }
                        continue;
                    };
                    writeln!(
                        body,
                        "| {files} | {tool} | {:.2} | {:.2} | {} | {:.0} |",
                        median(&cell.seconds),
                        median(&cell.cpu_seconds),
                        requests.total(),
                        median(&cell.peak_mib)
                    )?;
                }
                verdict(&mut verdicts, plan, cells, (place, format, files), fastest)?;
            }
            writeln!(body, "\n{}", verdicts.trim_end())?;
        }
    }
    Ok(body)
}

/// Which goals are met for a number of files.
fn verdict(
    text: &mut String,
    plan: &Plan,
    cells: &Cells,
    (place, format, files): (usize, &str, usize),
    fastest: f64,
) -> Result<()> {
    let ours = |files| cells.get(&(place, format.to_owned(), files, OURS));
    let Some((cell, requests)) = ours(files) else {
        return Ok(());
    };
    let told = |met: bool| if met { "met" } else { "**lost**" };
    let pages = files.div_ceil(1000);
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are fewer files than 2^53"
    )]
    let most = (files + pages) as f64 * 1.01;
    #[expect(
        clippy::cast_precision_loss,
        reason = "there are fewer requests than 2^53"
    )]
    let sent = requests.total() as f64;
    write!(text, "{files} files: ")?;
    if fastest.is_finite() {
        let faster = fastest / median(&cell.seconds);
        write!(
            text,
            "{faster:.2} times as fast as the fastest peer, the goal of {GOAL} is {}; ",
            told(faster >= GOAL)
        )?;
    }
    let (peak, fewest) = (
        median(&cell.peak_mib),
        plan.files.iter().min().and_then(|files| ours(*files)),
    );
    let flat = fewest.is_some_and(|(fewest, _)| peak <= FLAT * median(&fewest.peak_mib));
    writeln!(
        text,
        "requests at most files, pages and 1 %: {}; at most {MEMORY_GOAL_MIB:.0} MiB: {}; at most {FLAT} times the memory of the \
         fewest files: {}.\n",
        told(sent <= most),
        told(peak <= MEMORY_GOAL_MIB),
        told(flat)
    )?;
    Ok(())
}
