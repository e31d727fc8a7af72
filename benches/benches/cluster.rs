//! One question asked of one machine, and of one, two and three workers, where each connection to S3 is as slow as S3's.
//!
//! `cargo xtask bench cluster -- [programs=FOLDER] [rounds=3] [mib=768]`. `programs` is the folder of a `flowlake` and a
//! `flowlake-worker` of one build; without it they are built for release.
//!
//! All processes share the processors of this machine. So that these are not what is measured, each of them has a network of its own
//! that brings no more than one connection to S3 does: what adds up over workers is then what their networks bring, as on machines
//! of their own.

use std::{
    env,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use flowlake_benches::{
    Cell, Distance, Lake, Objects, Places, Requests, SLOW_CONNECTION, Throttled, cpu_seconds,
    measure, median, succeed, write_section,
};

const BUCKET: &str = "lake";
const SECRET: &str = "the-secret-of-the-benchmark";
const LATENCY: Duration = Duration::from_millis(30);
const FILES: usize = 24;
const MOST_WORKERS: usize = 3;
const SQL: &str = "SELECT queue, count(*) AS calls, sum(seconds) AS seconds, max(agent) AS agent FROM t GROUP BY queue ORDER BY queue";

struct Plan {
    rounds: usize,
    mib: usize,
    programs: Option<PathBuf>,
}

/// A worker, ended when dropped.
struct Worker {
    child: Child,
    address: String,
}

/// What is asked about: how the bytes are divided into files.
struct Shape {
    name: &'static str,
    folder: &'static str,
    files: usize,
}

/// What was measured of a number of workers.
#[derive(Default, Clone)]
struct Row {
    cell: Cell,
    requests: Requests,
    /// Megabytes that each worker read, in the last round.
    megabytes: Vec<f64>,
    /// Processor time of all workers in each round.
    workers_cpu: Vec<f64>,
}

const SHAPES: [Shape; 2] = [
    Shape {
        name: "24 files of CSV",
        folder: "many",
        files: FILES,
    },
    Shape {
        name: "one file of CSV",
        folder: "one",
        files: 1,
    },
];

#[tokio::main]
async fn main() -> Result<()> {
    let plan = Plan::from_arguments();
    let places = Places::find()?;
    let programs = match &plan.programs {
        Some(programs) => programs.clone(),
        None => built(&places)?,
    };
    let folder = tempfile::tempdir()?;
    let mut body = format!(
        "`cargo xtask bench cluster`: an aggregate over {} MiB of CSV, whole processes, start and listing included; medians of {} \
         rounds. Each request takes {} ms, and the network of each machine brings {} MB/s. All answers were the same.\n\n\
         How to read it: the scan scales if the speed-up is near the number of workers, each worker's share of the bytes near \
         1 / that number, and the processor time of all workers the same in each row. All processes share the processors of \
         this machine, and the last column says how busy those were: as long as it is well below 100 %, networks are what is \
         measured, as on machines of their own; near 100 %, a row says nothing about more machines. What more processors \
         bring, and what many workers cost the coordinator, cannot be seen here.\n",
        plan.mib,
        plan.rounds,
        LATENCY.as_millis(),
        SLOW_CONNECTION / 1_000_000
    );
    for shape in &SHAPES {
        measured(&plan, &programs, folder.path(), shape, &mut body).await?;
    }
    println!("{body}");
    write_section(&places.page, "## Several machines", &body)
}

impl Plan {
    fn from_arguments() -> Self {
        let mut plan = Self {
            rounds: 3,
            mib: 768,
            programs: None,
        };
        for argument in env::args().skip(1) {
            match argument.split_once('=') {
                Some(("rounds", rounds)) => plan.rounds = rounds.parse().unwrap_or(plan.rounds),
                Some(("mib", mib)) => plan.mib = mib.parse().unwrap_or(plan.mib),
                Some(("programs", path)) => plan.programs = Some(path.into()),
                _ => {}
            }
        }
        plan
    }
}

/// Builds both programs for release, with workers; returns their folder.
fn built(places: &Places) -> Result<PathBuf> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--release", "--locked", "--bins"])
        .args(["-p", "flowlake-cli", "-p", "flowlake-worker"])
        .env("CARGO_TARGET_DIR", &places.target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    succeed(&mut cargo)?;
    Ok(places.target.join("release"))
}

/// Calls as CSV, of about this many bytes.
fn calls(bytes: usize) -> Vec<u8> {
    let mut text = "call,queue,seconds,agent,note\n".to_owned();
    let mut row = 0_u64;
    while text.len() < bytes {
        row += 1;
        let _ = writeln!(
            text,
            "{row:016x},queue-{},{},agent-{},nothing was to be said about it",
            row % 31,
            row * 7919 % 3600,
            row * 104_729 % 997
        );
    }
    text.into_bytes()
}

fn write_config(folder: &Path, shape: &Shape, workers: &[String]) -> Result<()> {
    fs::create_dir_all(folder.join("actions"))?;
    fs::write(folder.join("secret"), SECRET)?;
    let workers = match workers {
        [] => String::new(),
        all => format!("workers = {all:?}\n"),
    };
    fs::write(
        folder.join("flowlake.toml"),
        format!(
            "[aws]\nregion = \"us-east-1\"\n[access]\nmode = \"probe\"\n[policy]\nallow = [\"s3://{BUCKET}/*\"]\n\
             [audit.log]\ndirectory = \"audit\"\n\
             [cluster]\n{workers}secret = {{ file = \"secret\" }}\nbytes_per_worker = \"16MiB\"\n"
        ),
    )?;
    for engine in ["local", "cluster"] {
        fs::write(
            folder.join(format!("actions/{engine}.toml")),
            format!(
                "name = \"{engine}\"\nengine = \"{engine}\"\ndescription = \"A question of the benchmark\"\n\
                 [tables.t]\nuri = \"s3://{BUCKET}/{}/\"\n[limits]\ntimeout = \"600s\"\nmax_rows = 1000\n[query]\nsql = '''{SQL}'''\n",
                shape.folder
            ),
        )?;
    }
    Ok(())
}

fn with_credentials(command: &mut Command, port: u16) -> &mut Command {
    command
        .env("AWS_ACCESS_KEY_ID", "bench")
        .env("AWS_SECRET_ACCESS_KEY", "benchsecret")
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
}

impl Worker {
    fn start(programs: &Path, folder: &Path, port: u16) -> Result<Self> {
        let mut command = Command::new(programs.join("flowlake-worker"));
        command
            .arg("--config")
            .arg(folder)
            .args(["--listen", "127.0.0.1:0", "--log", "warn"])
            .stdout(Stdio::piped());
        let child = with_credentials(&mut command, port).spawn();
        let mut child = child.with_context(|| format!("{command:?} cannot be started"))?;
        let said = child.stdout.take().context("what it says is read here")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let address = line.trim().rsplit(' ').next().unwrap_or_default();
        ensure!(address.contains(':'), "a worker said {line:?}");
        Ok(Self {
            address: address.to_owned(),
            child,
        })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn measured(
    plan: &Plan,
    programs: &Path,
    folder: &Path,
    shape: &Shape,
    body: &mut String,
) -> Result<()> {
    let content = calls((plan.mib << 20) / shape.files);
    let gigabytes = (content.len() * shape.files) as f64 / 1e9;
    let keys = (0..shape.files).map(|file| (format!("{}/{file:02}.csv", shape.folder), 0));
    let objects: Objects = keys.collect();
    let distance = Distance {
        delay: LATENCY,
        rate: SLOW_CONNECTION,
    };
    let lake = Lake::start(BUCKET, objects, vec![content], distance).await?;
    let worker = folder.join("worker");
    write_config(&worker, shape, &[])?;
    let mut networks = Vec::new();
    for _ in 0..=MOST_WORKERS {
        networks.push(Throttled::start(lake.port(), SLOW_CONNECTION).await?);
    }
    let own = networks[0].port();
    let workers = networks[1..].iter();
    let workers: Vec<Worker> = workers
        .map(|network| Worker::start(programs, &worker, network.port()))
        .collect::<Result<_>>()?;
    let mut rows = vec![Row::default(); MOST_WORKERS + 1];
    let mut expected: Option<String> = None;
    // The first round brings programs into memory.
    for round in 0..=plan.rounds {
        for (count, row) in rows.iter_mut().enumerate() {
            let desk = folder.join(format!("desk-{}-{count}", shape.folder));
            let all = workers.iter().take(count);
            let all: Vec<String> = all.map(|worker| worker.address.clone()).collect();
            write_config(&desk, shape, &all)?;
            let engine = if count == 0 { "local" } else { "cluster" };
            let mut command = Command::new(programs.join("flowlake"));
            command.arg("--config").arg(&desk);
            command.args(["run", engine, "--format", "ndjson"]);
            with_credentials(&mut command, own);
            let _ = lake.take_requests();
            let cpu = || {
                workers
                    .iter()
                    .map(|worker| cpu_seconds(worker.child.id()))
                    .sum()
            };
            let cpu_before: Result<f64> = cpu();
            for network in &networks {
                let _ = network.take_bytes();
            }
            let measured = tokio::task::spawn_blocking(move || measure(&command)).await??;
            let before = expected.get_or_insert_with(|| measured.output.clone());
            ensure!(
                *before == measured.output,
                "{count} workers answered otherwise"
            );
            println!("{}, {count} workers: {:.2} s", shape.name, measured.seconds);
            if round > 0 {
                let cpu_after: Result<f64> = cpu();
                row.workers_cpu.push(cpu_after? - cpu_before?);
                row.cell.seconds.push(measured.seconds);
                row.cell.cpu_seconds.push(measured.cpu_seconds);
                row.requests = lake.take_requests();
                let taking_part = networks[1..].iter().take(count);
                row.megabytes = taking_part
                    .map(|network| network.take_bytes() as f64 / 1e6)
                    .collect();
            }
        }
    }
    writeln!(
        body,
        "\n### {}, {gigabytes:.2} GB\n\n| | seconds | MB/s | speed-up against one worker | requests | MB by each worker | \
         CPU s of workers | CPU s of the caller | processors busy |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        shape.name
    )?;
    let one = median(&rows[1].cell.seconds);
    let processors = std::thread::available_parallelism()?.get() as f64;
    for (count, row) in rows.iter().enumerate() {
        let name = match count {
            0 => "no worker".to_owned(),
            1 => "1 worker".to_owned(),
            _ => format!("{count} workers"),
        };
        let seconds = median(&row.cell.seconds);
        let (workers, caller) = (median(&row.workers_cpu), median(&row.cell.cpu_seconds));
        let megabytes: Vec<_> = row.megabytes.iter().map(|mb| format!("{mb:.0}")).collect();
        writeln!(
            body,
            "| {name} | {seconds:.2} | {:.0} | {:.2} | {} | {} | {workers:.2} | {caller:.2} | {:.0} % |",
            gigabytes * 1e3 / seconds,
            one / seconds,
            row.requests.total(),
            megabytes.join(", "),
            100.0 * (workers + caller) / (processors * seconds),
        )?;
    }
    Ok(())
}
