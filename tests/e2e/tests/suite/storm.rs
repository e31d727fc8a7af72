//! Hot tables under a storm: many questions in a short time, while the object is replaced every second.
//!
//! `FLOWLAKE_E2E_STORM_SECONDS=240` makes it longer; without it, it takes some twenty seconds.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{BUCKET, EmbeddedStack, Environment, Project, ProjectSettings, Server};
use serde_json::{Value, json};

const ROWS: u64 = 20_000;
const CALLERS: u64 = 6;
const BETWEEN_VERSIONS: Duration = Duration::from_secs(1);
const MAX_STALENESS: Duration = Duration::from_secs(5);
/// What a server that runs may gain in the second half of the storm, in KiB.
const GROWTH_KIB: u64 = 24 << 10;

const HOT: &str = "[hot]\nmemory = \"64MiB\"\nfreshness = \"300ms\"\nmax_staleness = \"5s\"\n";

/// One row, several rows, and all of them: whatever is read is of one version.
const QUESTIONS: [(&str, &str, &str); 3] = [
    (
        "one",
        "[params.ani]\ntype = \"phone\"\nsensitive = true\n",
        "SELECT version AS low, version AS high, 1 AS n FROM customers WHERE ani = $ani",
    ),
    (
        "several",
        "[params.ani]\ntype = \"phone\"\nsensitive = true\n",
        "SELECT version AS low, version AS high, 1 AS n FROM customers WHERE ani IN ($ani, '+12000000007', '+12000019999')",
    ),
    (
        "all",
        "",
        "SELECT min(version) AS low, max(version) AS high, count(*) AS n FROM customers WHERE ani >= '+12000000000'",
    ),
];

/// When each version had been put, by number.
#[derive(Debug, Default)]
struct Versions(Mutex<Vec<Instant>>);

impl Versions {
    fn put(&self) -> Result<()> {
        self.lock()?.push(now());
        Ok(())
    }

    /// The newest version that an answer to a question asked at that moment may not be older than.
    fn oldest_allowed(&self, asked: Instant) -> Result<u64> {
        let Some(before) = asked.checked_sub(MAX_STALENESS) else {
            return Ok(0);
        };
        let put = self.lock()?;
        Ok(put
            .partition_point(|moment| *moment <= before)
            .saturating_sub(1) as u64)
    }

    fn lock(&self) -> Result<std::sync::MutexGuard<'_, Vec<Instant>>> {
        self.0.lock().ok().context("a thread of the test panicked")
    }
}

#[test]
fn no_request_fails_and_no_answer_is_mixed_or_too_old_while_the_object_is_replaced() -> Result<()> {
    let environment = Environment::load()?;
    let folder = environment.folder("storm")?;
    let root = folder.join("buckets");
    let object = root.join(BUCKET).join("exports").join("customers.csv");
    fs::create_dir_all(object.parent().context("a key has a folder")?)?;
    let versions = Versions::default();
    lay(&object, 0)?;
    versions.put()?;
    let stack = EmbeddedStack::start(&root)?;
    let settings = ProjectSettings {
        more: HOT.to_owned(),
        ..ProjectSettings::new(stack.aws_url(), stack.s3_url(), stack.keys("reader")?)
    };
    let project = Project::create(&environment, &folder.join("project"), &settings)?;
    for (name, params, sql) in QUESTIONS {
        let text = format!(
            "name = \"{name}\"\nhot = true\nindex = [\"ani\"]\n[tables.customers]\nuri = \"s3://{BUCKET}/exports/customers.csv\"\n\
             {params}[limits]\nmax_rows = 10\n[query]\nsql = \"{sql}\"\n"
        );
        fs::write(project.folder().join(format!("actions/{name}.toml")), text)?;
    }
    let server = project.serve()?;
    let seconds = seconds()?;
    let storm = Storm {
        server,
        versions,
        object,
        until: now() + Duration::from_secs(seconds),
        asked: AtomicU64::new(0),
        failed: AtomicBool::new(false),
    };
    let memory = storm.rage()?;
    let asked = storm.asked.load(Relaxed);
    let put = storm.versions.lock()?.len() as u64;
    let metrics = storm.server.operators("/metrics")?.body;
    let count = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|value| value.trim().parse::<f64>().ok())
            .with_context(|| format!("no {name}"))
    };
    let (loads, failed_checks) = (
        count("flowlake_hot_loads ")?,
        count("flowlake_hot_failed_checks ")?,
    );
    let half = memory.len() / 2;
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or_default();
    // The first seconds bring code and tables into memory.
    let (early, late) = (
        most(&memory[memory.len() / 10..half]),
        most(&memory[half..]),
    );
    println!(
        "{asked} questions in {seconds} s, {put} versions, {loads} loads, {failed_checks} failed checks; \
         resident memory at most {early} KiB in the first half and {late} KiB in the second"
    );
    ensure!(late <= early + GROWTH_KIB, "memory grew: {memory:?}");
    // Each action reads each version that it saw; a version that is replaced while it is read is read again.
    ensure!(
        loads >= 3.0 && asked > 20 * seconds,
        "{asked} questions, {loads} loads"
    );
    let records = project.audit_records()?;
    let of_storm = records
        .iter()
        .filter(|record| record["record"]["caller"] == "e2e");
    ensure!(
        of_storm.count() as u64 == asked,
        "{asked} questions, {} records",
        records.len()
    );
    Ok(())
}

struct Storm {
    server: Server,
    versions: Versions,
    object: PathBuf,
    until: Instant,
    asked: AtomicU64,
    failed: AtomicBool,
}

impl Storm {
    /// Asks from several threads until the time is up; gives the resident memory of each second in KiB.
    fn rage(&self) -> Result<Vec<u64>> {
        thread::scope(|scope| {
            let callers: Vec<_> = (0..CALLERS)
                .map(|caller| scope.spawn(move || self.noted(self.ask(caller))))
                .collect();
            let replacing = scope.spawn(|| self.noted(self.replace()));
            let mut memory = Vec::new();
            while self.goes_on() {
                thread::sleep(Duration::from_millis(500));
                memory.push(self.server.resident_memory_kib()?);
            }
            for thread in callers.into_iter().chain([replacing]) {
                thread
                    .join()
                    .ok()
                    .context("a thread of the test panicked")??;
            }
            Ok(memory)
        })
    }

    fn goes_on(&self) -> bool {
        now() < self.until && !self.failed.load(Relaxed)
    }

    /// Ends the storm for all at the first failure.
    fn noted(&self, result: Result<()>) -> Result<()> {
        if result.is_err() {
            self.failed.store(true, Relaxed);
        }
        result
    }

    fn replace(&self) -> Result<()> {
        let mut version = 0;
        while self.goes_on() {
            thread::sleep(BETWEEN_VERSIONS);
            version += 1;
            lay(&self.object, version)?;
            self.versions.put()?;
        }
        Ok(())
    }

    fn ask(&self, caller: u64) -> Result<()> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .proxy(None)
            .build()
            .into();
        let mut number = caller * 7919;
        let mut newest_seen = 0;
        while self.goes_on() {
            number += 1;
            // Most ask for one row; all rows are asked for by several at once, and share an answer.
            let (action, rows) = match number % 20 {
                0 => ("all", 1),
                1..5 => ("several", 3),
                _ => ("one", 1),
            };
            let ani = format!("+1200{:07}", 10 + number % (ROWS - 20));
            let body = if action == "all" {
                json!({})
            } else {
                json!({ "ani": ani })
            };
            let asked = now();
            let mut response = agent
                .post(format!(
                    "{}/v1/actions/{action}?envelope=full",
                    self.server.url()
                ))
                .header("Content-Type", "application/json")
                .header("Authorization", format!("Bearer {}", Server::KEY))
                .send(body.to_string())?;
            self.asked.fetch_add(1, Relaxed);
            let status = response.status().as_u16();
            let answer: Value = serde_json::from_str(&response.body_mut().read_to_string()?)?;
            ensure!(status == 200, "{status}: {}", answer["error"]);
            let found = answer["data"].as_array().context("data is an array")?;
            let version = found[0]["low"].as_u64().context("a version")?;
            let is_whole = found.iter().all(|row| {
                row["low"] == version
                    && row["high"] == version
                    && (action != "all" || row["n"] == ROWS)
            });
            ensure!(found.len() == rows && is_whole, "mixed: {}", answer["data"]);
            let oldest = self.versions.oldest_allowed(asked)?;
            ensure!(
                version >= oldest,
                "version {version} where {oldest} is {MAX_STALENESS:?} old"
            );
            let age = answer["hot"]["age_ms"]
                .as_u64()
                .context("answered from memory")?;
            ensure!(
                u128::from(age) <= MAX_STALENESS.as_millis(),
                "an answer of {age} ms"
            );
            if action == "one" {
                // Nobody goes back in time.
                ensure!(version >= newest_seen, "{version} after {newest_seen}");
                newest_seen = version;
            }
        }
        Ok(())
    }
}

/// Puts a version in the place of the one before, at one moment.
fn lay(object: &Path, version: u64) -> Result<()> {
    let mut text = "ani,version,name\n".to_owned();
    for row in 0..ROWS {
        writeln!(
            text,
            "+1200{row:07},{version},\"Customer {row}, of version {version}\""
        )?;
    }
    let beside = object.with_extension("next");
    fs::write(&beside, text)?;
    fs::rename(beside, object)?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test crate is not read by anybody's configuration"
)]
fn seconds() -> Result<u64> {
    match std::env::var("FLOWLAKE_E2E_STORM_SECONDS") {
        Ok(text) => text
            .parse()
            .context("FLOWLAKE_E2E_STORM_SECONDS is a number of seconds"),
        Err(_) => Ok(18),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how old an answer of a real process is, is real time"
)]
fn now() -> Instant {
    Instant::now()
}
