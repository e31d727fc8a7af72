//! Who is this caller: one row of a million by its number, from our server, from ROAPI, and from DuckDB's index in process.
//!
//! `cargo xtask bench lookup -- [rounds=5] [seconds=5] [rows=1000000] [programs=DIR]`. Our server is the shipped
//! one, built first unless its folder is given, with a key for each request, audit log and profiler. Every server shares the
//! processor with wrk.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use flowlake_benches::{
    Answered, Load, Nginx, Places, Running, bookkeeping, free_port, median, succeed, write_section,
    wrk,
};
use serde_json::Value;

const HEADING: &str = "## Looking up one row of a hot table";
const KEY: &str = "a-key-of-the-benchmark";
const CONNECTIONS: [usize; 2] = [8, 256];
/// The thread of the audit log.
const AUDIT_THREAD: &str = "flowlake-audit";
/// How many times ROAPI's requests a second, and DuckDB's, we mean to answer, and the p99 in milliseconds.
const GOALS: (f64, f64, f64) = (50.0, 2.0, 5.0);
/// How much of a look-up's processor time the audit log and the profiler may take.
const AUDIT_GOAL: f64 = 0.1;
/// How many times the plain scan's time a load with one index may take.
const LOAD_GOAL: f64 = 2.0;
/// How many times ROAPI's requests a second are offered where a load is paced: a connection that waits for its answer asks
/// somewhat later.
const OFFERED: f64 = 54.0;
/// How many records tell what one costs.
const RECORDS: u32 = 20_000;
const PACED: &str = "256, paced";

const OURS: &str = "flowlake";
const IN_MEMORY: &str = "flowlake, audit in memory";
const ROAPI: &str = "ROAPI";

struct Plan {
    rounds: usize,
    seconds: usize,
    rows: u64,
    /// Where our programs lie, if they need not be built.
    programs: Option<PathBuf>,
}

struct Machine {
    places: Places,
    python: PathBuf,
    programs: PathBuf,
    data: PathBuf,
    nginx: Nginx,
}

/// Figures of one tool under one load, one of each round.
#[derive(Default)]
struct Figures {
    per_second: Vec<f64>,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    peak_mib: Vec<f64>,
    cpu_us: Vec<f64>,
    /// Of the audit log's thread, in our server's processor time.
    audit_share: Vec<f64>,
    /// Without a server: what a request's own task does for audit log and profiler, and durable records of the log.
    beside_us: Vec<f64>,
    records_per_second: Vec<f64>,
    errors: u64,
}

/// What was measured: by tool and load.
#[derive(Default)]
struct Table {
    figures: BTreeMap<(String, String), Figures>,
    scan_ms: Vec<f64>,
    load_ms: Vec<f64>,
}

fn main() -> Result<()> {
    let plan = Plan::from_arguments();
    let machine = Machine::prepare(&plan)?;
    let mut table = Table::default();
    machine.compare_answers()?;
    for round in 1..=plan.rounds {
        let disk = tempfile::tempdir_in(&machine.places.target)?;
        let memory = tempfile::tempdir_in("/dev/shm")?;
        machine.roapi(&plan, &mut table)?;
        machine.ours(OURS, disk.path(), &plan, &mut table)?;
        table.bookkeeping(disk.path())?;
        machine.ours(IN_MEMORY, memory.path(), &plan, &mut table)?;
        machine.duckdb(&plan, &mut table)?;
        println!("round {round} of {} is done", plan.rounds);
    }
    let body = report(&plan, &table)?;
    println!("{body}");
    write_section(&machine.places.page, HEADING, &body)
}

impl Plan {
    fn from_arguments() -> Self {
        let mut plan = Self {
            rounds: 5,
            seconds: 5,
            rows: 1_000_000,
            programs: None,
        };
        for argument in env::args().skip(1) {
            match argument.split_once('=') {
                Some(("rounds", rounds)) => plan.rounds = rounds.parse().unwrap_or(plan.rounds),
                Some(("seconds", text)) => plan.seconds = text.parse().unwrap_or(plan.seconds),
                Some(("rows", rows)) => plan.rows = rows.parse().unwrap_or(plan.rows),
                Some(("programs", folder)) => plan.programs = Some(folder.into()),
                _ => {}
            }
        }
        plan
    }
}

impl Machine {
    fn prepare(plan: &Plan) -> Result<Self> {
        let places = Places::find()?;
        let python = places.python()?;
        let programs = match &plan.programs {
            Some(folder) => folder.clone(),
            None => places.build()?,
        };
        let data = places.target.join("lookup").join(plan.rows.to_string());
        if !data.join("numbers.txt").exists() {
            fs::create_dir_all(&data)?;
            let mut generate = Command::new(&python);
            generate.arg(places.peers.join("customers.py"));
            succeed(generate.arg(plan.rows.to_string()).arg(&data))?;
        }
        let nginx = Nginx::start(data.parent().context("the folder of data has a parent")?)?;
        Ok(Self {
            places,
            python,
            programs,
            data,
            nginx,
        })
    }

    fn file(&self) -> PathBuf {
        self.data.join("customers.csv")
    }

    fn load(&self, url: &str, body: &str, headers: &[&str], load: Load) -> Result<Answered> {
        let script = self.places.peers.join("lookup.lua");
        wrk(
            &script,
            &self.data.join("numbers.txt"),
            url,
            body,
            headers,
            load,
        )
    }

    /// Our server, its log and configuration in `folder`.
    fn start(&self, folder: &Path) -> Result<Running> {
        let port = free_port()?;
        let rows = self.data.file_name().unwrap_or_default().to_string_lossy();
        fs::create_dir_all(folder.join("actions"))?;
        fs::write(
            folder.join("flowlake.toml"),
            format!(
                "[server]\nlisten = \"127.0.0.1:{port}\"\nmax_concurrent_requests = 512\n\
                 keys = [{{ name = \"bench\", secret = {{ env = \"BENCH_KEY\" }} }}]\n\
                 [aws]\nregion = \"us-east-1\"\n[access]\nmode = \"probe\"\n\
                 [policy]\nallow = [\"s3://{rows}/*\"]\n[audit.log]\ndirectory = \"audit\"\n"
            ),
        )?;
        let action = |name: &str, hot: &str, rest: &str| {
            let table = format!("[tables.customers]\nuri = \"s3://{rows}/customers.csv\"\n");
            let text = format!(
                "name = \"{name}\"\ndescription = \"Of the benchmark\"\n{hot}{table}{rest}"
            );
            fs::write(folder.join(format!("actions/{name}.toml")), text)
        };
        action(
            "caller",
            "hot = true\nindex = [\"ani\"]\n",
            "[params.ani]\ntype = \"phone\"\nsensitive = true\n\
             [query]\nsql = \"SELECT * FROM customers WHERE ani = $ani\"\n",
        )?;
        action(
            "scan",
            "",
            "[limits]\ntimeout = \"60s\"\n[query]\nsql = \"SELECT count(ani) AS a, count(customer_id) AS b, count(name) AS c, \
             count(tier) AS d, count(language) AS e, count(queue_name) AS f, count(balance_cents) AS g, \
             count(last_contact) AS h FROM customers\"\n",
        )?;
        let mut command = Command::new(self.programs.join("flowlake-server"));
        command
            .arg("--config")
            .arg(folder)
            .env("BENCH_KEY", KEY)
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "benchsecret")
            .env(
                "AWS_ENDPOINT_URL",
                format!("http://127.0.0.1:{}", self.nginx.port()),
            );
        Running::start(&mut command, port)
    }

    fn ours(&self, name: &str, folder: &Path, plan: &Plan, table: &mut Table) -> Result<()> {
        let server = self.start(folder)?;
        let url = |action: &str| format!("http://127.0.0.1:{}/v1/actions/{action}", server.port());
        let number = self.numbers(1)?.remove(0);
        // What the file's columns are is found by the first request and kept: neither figure has it.
        post(&url("scan"), "{}")?;
        for _ in 0..3 {
            let began = Instant::now();
            post(&url("scan"), "{}")?;
            table.scan_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let began = Instant::now();
        let first = post(&url("caller"), &format!("{{\"ani\":\"{number}\"}}"))?;
        table.load_ms.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(first["row_count"] == 1, "our server says {first}");
        let authorization = format!("Authorization: Bearer {KEY}");
        let headers = [authorization.as_str(), "Content-Type: application/json"];
        let mut answered = 0;
        let mut loads = always_full(plan);
        let connections = CONNECTIONS[1];
        let pace = OFFERED * table.per_second(ROAPI, &connections.to_string())?;
        let paced = Load {
            connections,
            seconds: plan.seconds,
            pause_ms: Some(count(connections as u64) / pace * 1e3),
        };
        loads.push((PACED.to_owned(), paced));
        for (label, load) in loads {
            let ask = |load| self.load(&url("caller"), r#"{"ani":"%s"}"#, &headers, load);
            answered += ask(Load { seconds: 1, ..load })?.requests;
            let before = server.cpu(AUDIT_THREAD)?;
            let found = ask(load)?;
            let after = server.cpu(AUDIT_THREAD)?;
            answered += found.requests;
            let figures = table.figures.entry((name.to_owned(), label)).or_default();
            figures.add(&found, server.peak_mib()?);
            let cpu = after.all - before.all;
            figures.cpu_us.push(cpu * 1e6 / count(found.requests));
            figures.audit_share.push((after.named - before.named) / cpu);
        }
        let recorded = lines(&folder.join("audit"))?;
        ensure!(
            recorded >= answered,
            "{answered} answers and {recorded} audit records"
        );
        Ok(())
    }

    fn roapi(&self, plan: &Plan, table: &mut Table) -> Result<()> {
        let server = self.start_roapi()?;
        let url = format!("http://127.0.0.1:{}/api/sql", server.port());
        for (label, load) in always_full(plan) {
            let before = server.cpu(AUDIT_THREAD)?;
            let found = self.load(&url, "SELECT * FROM customers WHERE ani = '%s'", &[], load)?;
            let cpu = server.cpu(AUDIT_THREAD)?.all - before.all;
            let figures = table.figures.entry((ROAPI.to_owned(), label)).or_default();
            figures.add(&found, server.peak_mib()?);
            figures.cpu_us.push(cpu * 1e6 / count(found.requests));
        }
        Ok(())
    }

    fn start_roapi(&self) -> Result<Running> {
        let port = free_port()?;
        let program = self.python.with_file_name("roapi");
        let mut command = Command::new(program);
        command
            .args(["--addr-http", &format!("127.0.0.1:{port}")])
            .args(["--addr-postgres", &format!("127.0.0.1:{}", free_port()?)])
            .args(["--table", &format!("customers={}", self.file().display())]);
        Running::start(&mut command, port)
    }

    fn duckdb(&self, plan: &Plan, table: &mut Table) -> Result<()> {
        for threads in [1, 2] {
            let output = Command::new(&self.python)
                .arg(self.places.peers.join("lookup.py"))
                .arg(self.file())
                .arg(self.data.join("numbers.txt"))
                .args([threads.to_string(), plan.seconds.to_string()])
                .output()?;
            ensure!(
                output.status.success(),
                "DuckDB failed: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let found: Answered = serde_json::from_slice(&output.stdout)?;
            let said: Value = serde_json::from_slice(&output.stdout)?;
            let key = (duckdb(threads), "in process".to_owned());
            let figures = table.figures.entry(key).or_default();
            figures.add(&found, said["peak_mib"].as_f64().unwrap_or_default());
        }
        Ok(())
    }

    fn numbers(&self, count: usize) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.data.join("numbers.txt"))?;
        Ok(text.lines().take(count).map(str::to_owned).collect())
    }

    /// All tools find the same customers.
    fn compare_answers(&self) -> Result<()> {
        let numbers = self.numbers(20)?;
        let output = Command::new(&self.python)
            .arg(self.places.peers.join("lookup.py"))
            .arg(self.file())
            .arg(self.data.join("numbers.txt"))
            .args(["answers", "20"])
            .output()?;
        let expected: Vec<Value> = String::from_utf8(output.stdout)?
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        ensure!(
            expected.len() == numbers.len(),
            "DuckDB gives {} answers",
            expected.len()
        );
        let folder = tempfile::tempdir()?;
        let (ours, roapi) = (self.start(folder.path())?, self.start_roapi()?);
        for (number, expected) in numbers.iter().zip(expected) {
            let url = format!("http://127.0.0.1:{}/v1/actions/caller", ours.port());
            let own = post(&url, &format!("{{\"ani\":\"{number}\"}}"))?;
            let url = format!("http://127.0.0.1:{}/api/sql", roapi.port());
            let peer = post(
                &url,
                &format!("SELECT * FROM customers WHERE ani = '{number}'"),
            )?;
            for (tool, rows) in [(OURS, &own["data"]), (ROAPI, &peer)] {
                let ids = rows.as_array().map(Vec::as_slice).unwrap_or_default();
                let ids: Vec<&Value> = ids.iter().map(|row| &row["customer_id"]).collect();
                ensure!(
                    Value::from_iter(ids.into_iter().cloned()) == expected,
                    "{tool} gives {rows}, DuckDB {expected}"
                );
            }
        }
        Ok(())
    }
}

/// Connections that each ask again as soon as they are answered.
fn always_full(plan: &Plan) -> Vec<(String, Load)> {
    let load = |connections: usize| Load {
        connections,
        seconds: plan.seconds,
        pause_ms: None,
    };
    CONNECTIONS
        .map(|connections| (connections.to_string(), load(connections)))
        .into()
}

fn duckdb(threads: usize) -> String {
    format!(
        "DuckDB, {threads} thread{}",
        if threads == 1 { "" } else { "s" }
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of one run stay far below 2^53"
)]
fn count(number: u64) -> f64 {
    number as f64
}

fn post(url: &str, body: &str) -> Result<Value> {
    let output = Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--header",
            &format!("Authorization: Bearer {KEY}"),
        ])
        .args(["--data", body, url])
        .output()
        .context("curl cannot be started")?;
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(&text).with_context(|| format!("{url} says {text}"))
}

/// Records of an audit log.
fn lines(folder: &Path) -> Result<u64> {
    let mut lines = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            lines += fs::read(path)?
                .iter()
                .filter(|byte| **byte == b'\n')
                .count() as u64;
        }
    }
    Ok(lines)
}

impl Figures {
    fn add(&mut self, found: &Answered, peak_mib: f64) {
        self.per_second.push(found.per_second());
        self.p50_ms.push(count(found.p50) / 1e3);
        self.p99_ms.push(count(found.p99) / 1e3);
        self.peak_mib.push(peak_mib);
        self.errors += found.errors;
    }
}

impl Table {
    /// What audit log and profiler take without our server, on the disk of its own log.
    fn bookkeeping(&mut self, disk: &Path) -> Result<()> {
        for connections in CONNECTIONS {
            let found = bookkeeping(
                &disk.join(format!("alone-{connections}")),
                connections,
                RECORDS,
            )?;
            let key = (OURS.to_owned(), connections.to_string());
            let figures = self.figures.entry(key).or_default();
            figures.beside_us.push(found.beside.as_secs_f64() * 1e6);
            figures.records_per_second.push(found.per_second);
        }
        Ok(())
    }

    fn of(&self, tool: &str, load: &str) -> Result<&Figures> {
        let key = (tool.to_owned(), load.to_owned());
        self.figures
            .get(&key)
            .with_context(|| format!("{tool} was not measured with {load}"))
    }

    fn per_second(&self, tool: &str, load: &str) -> Result<f64> {
        Ok(median(&self.of(tool, load)?.per_second))
    }
}

fn report(plan: &Plan, table: &Table) -> Result<String> {
    let mut body = format!(
        "`cargo xtask bench lookup`: `SELECT * FROM customers WHERE ani = …` over {} rows of CSV, the number another each time. \
         Our server with a key for each request, audit log (on the build's disk, and beside it in memory, where a write is \
         durable at once) and profiler; ROAPI 0.12.7, which has none of these, over HTTP; DuckDB with an ART index, called in \
         its own process, without HTTP. wrk shares the two processors with the servers. Medians of {} interleaved rounds of {} \
         seconds; the tools' answers were compared. `8` and `256` are connections that ask again as soon as they are answered, \
         so that the server is always full and 256 wait for each other; `{PACED}` is the same connections with pauses, so that \
         together they ask {OFFERED:.0} times as often as ROAPI answers 256.\n\n\
         | | connections | requests/s | p50 ms | p99 ms | peak MiB | CPU µs a request | errors |\n\
         |---|---|---:|---:|---:|---:|---:|---:|\n",
        plan.rows, plan.rounds, plan.seconds
    );
    write_figures(&mut body, table)?;
    writeln!(body, "\n| goal | found | |\n|---|---:|---|")?;
    let [one, two] = [1, 2].map(|threads| table.per_second(&duckdb(threads), "in process"));
    let embedded = one?.max(two?);
    for place in [OURS, IN_MEMORY] {
        write_goals(&mut body, table, place, embedded)?;
    }
    let (scan, load) = (median(&table.scan_ms), median(&table.load_ms));
    writeln!(
        body,
        "| loading with one index, in times of a plain scan of all columns ({scan:.0} ms): at most {LOAD_GOAL:.0} | {:.2} ({load:.0} ms) | {} |",
        load / scan,
        verdict(load <= LOAD_GOAL * scan)
    )?;
    let records = |connections: usize| -> Result<f64> {
        let figures = table.of(OURS, &connections.to_string())?;
        Ok(median(&figures.records_per_second))
    };
    let [few, many] = CONNECTIONS;
    writeln!(
        body,
        "\nThe audit log alone, on the same disk, makes {:.0} records a second durable for {few} callers and {:.0} for {many}. Its share \
         of a look-up's CPU is that of its thread (hashing, writing, fsync) in the server, and what the request's own task does for \
         it and for the profiler (keyed hash, JSON, queue, histograms), measured beside the server.",
        records(few)?,
        records(many)?
    )?;
    Ok(body)
}

/// Writes the medians of each tool with each load.
fn write_figures(body: &mut String, table: &Table) -> Result<()> {
    for ((tool, load), figures) in &table.figures {
        let cpu = if figures.cpu_us.is_empty() {
            "–".to_owned()
        } else {
            format!("{:.0}", median(&figures.cpu_us))
        };
        writeln!(
            body,
            "| {tool} | {load} | {:.0} | {:.2} | {:.2} | {:.0} | {cpu} | {} |",
            median(&figures.per_second),
            median(&figures.p50_ms),
            median(&figures.p99_ms),
            median(&figures.peak_mib),
            figures.errors
        )?;
    }
    Ok(())
}

/// Compares the server at one place of its audit log with the goals. `embedded` is the number of look-ups a second of DuckDB.
fn write_goals(body: &mut String, table: &Table, place: &str, embedded: f64) -> Result<()> {
    for connections in CONNECTIONS {
        let label = connections.to_string();
        let own = table.of(place, &label)?;
        let times = median(&own.per_second) / table.per_second(ROAPI, &label)?;
        let p99 = median(&own.p99_ms);
        writeln!(
            body,
            "| {place}, {label}: {:.0} times ROAPI's requests/s | {times:.0} | {} |\n\
             | {place}, {label}: p99 under {:.0} ms, always full | {p99:.2} ms | {} |",
            GOALS.0,
            verdict(times >= GOALS.0),
            GOALS.2,
            verdict(p99 < GOALS.2)
        )?;
        let times = median(&own.per_second) / embedded;
        writeln!(
            body,
            "| {place}, {label}: {:.0} times DuckDB's look-ups/s | {times:.1} | {} |",
            GOALS.1,
            verdict(times >= GOALS.1)
        )?;
    }
    for connections in CONNECTIONS.iter().filter(|_| place == OURS) {
        let label = connections.to_string();
        let own = table.of(place, &label)?;
        let share = median(&own.audit_share) + median(&own.beside_us) / median(&own.cpu_us);
        writeln!(
            body,
            "| {place}, {label}: audit log and profiler take less than {:.0} % of the CPU of a look-up | {:.1} % | {} |",
            AUDIT_GOAL * 100.0,
            share * 100.0,
            verdict(share < AUDIT_GOAL)
        )?;
    }
    let own = table.of(place, PACED)?;
    let (rate, p99) = (median(&own.per_second), median(&own.p99_ms));
    let roapi = table.per_second(ROAPI, &CONNECTIONS[1].to_string())?;
    writeln!(
        body,
        "| {place}, {PACED}: {:.0} times ROAPI's requests/s at p99 under {:.0} ms | {:.0}, {p99:.2} ms | {} |",
        GOALS.0,
        GOALS.2,
        rate / roapi,
        verdict(rate / roapi >= GOALS.0 && p99 < GOALS.2)
    )?;
    Ok(())
}

const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**lost**" }
}
