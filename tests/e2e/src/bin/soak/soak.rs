//! Everything at once: look-ups in memory, scans, bad requests, callers that hang up, reloads, objects that are replaced, and S3
//! that fails now and then. Nothing of it may give a wrong answer, lose a record, or let the memory grow.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::Server;
use serde_json::{Value, json};

use crate::{
    caller::{Answered, Caller, now, parse_id, percentile},
    chart::{Curve, svg},
    goals::Goals,
    house::{CUSTOMERS, House, ani, seconds_in_all},
};

/// The first part of the time, in which only look-ups run, and the second, in which there are scans beside them. Everything else
/// comes in the rest.
const SHARE: u32 = 6;
/// How much longer look-ups may take at p99 than alone.
const SLOWER: f64 = 2.0;
/// Rows of a scan.
const CALLS: u64 = 200_000;
const LOOKING_UP: u64 = 4;
const SCANNING: u64 = 4;
/// The pause of a caller that looks up, so that what is measured is the server and not its callers.
const PAUSE: Duration = Duration::from_millis(8);
const BETWEEN_VERSIONS: Duration = Duration::from_secs(2);
const BETWEEN_RELOADS: Duration = Duration::from_secs(5);
/// One request to S3 in this many fails.
const FAULT_EVERY: u64 = 20;
/// How old an answer may be: `max_staleness` of the configuration, and the time of a check.
const OLDEST: Duration = Duration::from_secs(12);
/// What the server may gain in the second half, in KiB.
const GROWTH_KIB: u64 = 32 << 10;

/// What the callers share.
struct Soak {
    house: House,
    server: Server,
    began: Instant,
    until: Instant,
    /// When each version had been put.
    versions: Mutex<Vec<Instant>>,
    ids: Mutex<Vec<u128>>,
    answers: Mutex<BTreeMap<String, u64>>,
    /// The durations of look-ups since the last sample, and of all in each part of the time.
    lookups: Mutex<Vec<Duration>>,
    by_part: [Mutex<Vec<Duration>>; 3],
    /// When the scans begin, and when everything else does.
    scans_from: Instant,
    all_from: Instant,
    hung_up: AtomicU64,
    faults: AtomicU64,
    failed: AtomicBool,
}

/// The server at one moment.
struct Sample {
    seconds: f64,
    memory_kib: u64,
    lookups: usize,
    p50_ms: f64,
    p99_ms: f64,
}

pub(crate) fn run(programs: &Path, folder: &Path, time: Duration) -> Result<()> {
    let house = House::build(
        programs,
        &folder.join("work"),
        CALLS,
        "reload_every = \"1s\"\n",
    )?;
    let server = house.project.serve_with_log("warn,flowlake_server=info")?;
    let began = now();
    let soak = Soak {
        house,
        server,
        began,
        until: began + time,
        versions: Mutex::new(vec![began]),
        ids: Mutex::default(),
        answers: Mutex::default(),
        lookups: Mutex::default(),
        by_part: Default::default(),
        scans_from: began + time / SHARE,
        all_from: began + time / SHARE * 2,
        hung_up: AtomicU64::new(0),
        faults: AtomicU64::new(0),
        failed: AtomicBool::new(false),
    };
    // The tables come into memory.
    soak.look_up(&Caller::new(&soak.server), 0)?;
    let samples = thread::scope(|scope| {
        let soak = &soak;
        let threads: Vec<_> = soak
            .work()
            .into_iter()
            .map(|(name, work)| {
                scope.spawn(move || work().context(name).inspect_err(|_| soak.fail()))
            })
            .collect();
        let samples = soak.watch();
        let mut first = samples.as_ref().err().map(|error| format!("{error:#}"));
        for thread in threads {
            if let Ok(Err(error)) = thread.join() {
                first.get_or_insert(format!("{error:#}"));
            }
        }
        ensure!(first.is_none(), "{}", first.unwrap_or_default());
        samples
    })?;
    let marks = [
        (soak.seconds(soak.scans_from), "four scans"),
        (soak.seconds(soak.all_from), "everything at once"),
    ];
    write_down(&samples, folder, &marks)?;
    soak.judge(&samples)
}

/// What one thread does.
type Work<'a> = Box<dyn FnOnce() -> Result<()> + Send + 'a>;

impl Soak {
    /// Everything that goes on at once.
    fn work(&self) -> Vec<(&'static str, Work<'_>)> {
        let mut all: Vec<(&'static str, Work<'_>)> = vec![
            ("bad requests", Box::new(move || self.ask_badly())),
            ("callers that hang up", Box::new(move || self.hang_up())),
            ("versions", Box::new(move || self.replace())),
            ("reloads", Box::new(move || self.reload())),
            ("faults", Box::new(move || self.break_s3())),
        ];
        for number in 0..LOOKING_UP {
            all.push((
                "look-ups",
                Box::new(move || self.look_up_all_the_time(number)),
            ));
        }
        for _ in 0..SCANNING {
            all.push(("scans", Box::new(move || self.scan())));
        }
        all
    }

    /// Whether the time is not over and nobody has failed.
    fn goes_on(&self) -> bool {
        now() < self.until && !self.failed.load(Relaxed)
    }

    fn fail(&self) {
        self.failed.store(true, Relaxed);
    }

    fn seconds(&self, moment: Instant) -> f64 {
        moment.saturating_duration_since(self.began).as_secs_f64()
    }

    /// Waits for a moment.
    fn wait_until(&self, moment: Instant) {
        while now() < moment && self.goes_on() {
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Counts an answer, and keeps the name of its record.
    fn note(&self, action: &str, answered: &Answered) {
        let result = match answered.status {
            200 => "ok".to_owned(),
            status => format!("{status} {}", answered.code()),
        };
        *lock(&self.answers)
            .entry(format!("{action}: {result}"))
            .or_default() += 1;
        if let Some(id) = answered.audit_id() {
            lock(&self.ids).push(id);
        }
    }

    fn look_up(&self, caller: &Caller, customer: u64) -> Result<Duration> {
        let asked = now();
        let answered = caller.ask("customer", &json!({ "ani": ani(customer) }))?;
        self.note("customer", &answered);
        ensure!(
            answered.status == 200,
            "{}: {}",
            answered.status,
            answered.body
        );
        let rows = answered.body["data"].as_array().context("no rows")?;
        let version = rows.first().and_then(|row| row["version"].as_u64());
        let version = version.with_context(|| format!("no version in {}", answered.body))?;
        let versions = lock(&self.versions);
        let newest = versions.len() as u64;
        let oldest = asked.checked_sub(OLDEST).map_or(0, |before| {
            let put = versions.partition_point(|moment| *moment <= before);
            put.saturating_sub(1) as u64
        });
        ensure!(
            rows.len() == 1 && (oldest..=newest).contains(&version),
            "{} rows of version {version}, not of {oldest} to {newest}",
            rows.len()
        );
        Ok(answered.took)
    }

    fn look_up_all_the_time(&self, number: u64) -> Result<()> {
        let caller = Caller::new(&self.server);
        let mut customer = number;
        while self.goes_on() {
            customer = (customer + 7919) % CUSTOMERS;
            let took = self.look_up(&caller, customer)?;
            lock(&self.lookups).push(took);
            let ended = now();
            let part = usize::from(ended >= self.scans_from) + usize::from(ended >= self.all_from);
            lock(&self.by_part[part]).push(took);
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn scan(&self) -> Result<()> {
        let caller = Caller::new(&self.server);
        self.wait_until(self.scans_from);
        while self.goes_on() {
            let answered = caller.ask("seconds", &json!({}))?;
            self.note("seconds", &answered);
            match answered.status {
                200 => {
                    let total = answered.body["data"][0]["total"].as_u64();
                    ensure!(total == Some(seconds_in_all(CALLS)), "{}", answered.body);
                }
                // S3 failed more often in a row than a read is tried, or the time was over.
                502..=504 => {}
                _ => anyhow::bail!("{}: {}", answered.status, answered.body),
            }
        }
        Ok(())
    }

    fn ask_badly(&self) -> Result<()> {
        self.wait_until(self.all_from);
        let large = "9".repeat(100_000);
        while self.goes_on() {
            for (key, action, body, status) in [
                (Server::KEY, "customer", json!({ "ani": "no number" }), 400),
                (Server::KEY, "customer", json!({ "telephone": "1" }), 400),
                (Server::KEY, "customer", json!([]), 400),
                (Server::KEY, "customer", json!({ "ani": large }), 413),
                (Server::KEY, "nothing", json!({}), 404),
                ("not-the-key-of-anybody", "customer", json!({}), 401),
            ] {
                // A refusal may close its connection.
                let answered = Caller::new(&self.server).ask_as(key, action, &body)?;
                self.note("bad", &answered);
                ensure!(
                    answered.status == status,
                    "{}, not {status}: {}",
                    answered.status,
                    answered.body
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Sends requests and closes the connection at any time of the answer.
    fn hang_up(&self) -> Result<()> {
        self.wait_until(self.all_from);
        let address = self.server.url().trim_start_matches("http://");
        let key = Server::KEY;
        let mut wait = 0;
        while self.goes_on() {
            let mut stream = TcpStream::connect(address)?;
            write!(
                stream,
                "POST /v1/actions/seconds HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 2\r\n\r\n{{}}"
            )?;
            wait = (wait + 13) % 150;
            thread::sleep(Duration::from_millis(wait));
            drop(stream);
            self.hung_up.fetch_add(1, Relaxed);
            thread::sleep(Duration::from_millis(150));
        }
        Ok(())
    }

    fn replace(&self) -> Result<()> {
        self.wait_until(self.all_from);
        while self.goes_on() {
            let version = lock(&self.versions).len() as u64;
            self.house.replace(version)?;
            lock(&self.versions).push(now());
            self.wait_until(now() + BETWEEN_VERSIONS);
        }
        Ok(())
    }

    /// Changes a bound, breaks the configuration and corrects it again.
    fn reload(&self) -> Result<()> {
        self.wait_until(self.all_from);
        let file = self.house.project.folder().join("flowlake.toml");
        let config = fs::read_to_string(&file)?;
        let mut number = 0;
        while self.goes_on() {
            number += 1;
            let text = match number % 4 {
                0 => config.clone(),
                1 => config.replacen(
                    "[server]",
                    &format!("[server]\nmax_queued_requests = {}", 64 + number),
                    1,
                ),
                2 => format!("{config}\n[nothing]\n"),
                _ => config.replacen("[server]", "[server]\nmax_concurrent_requests = 48", 1),
            };
            let new = file.with_extension("new");
            fs::write(&new, text)?;
            fs::rename(&new, &file)?;
            self.wait_until(now() + BETWEEN_RELOADS);
        }
        // What reads the records has to read the configuration too.
        fs::write(&file, config)?;
        Ok(())
    }

    /// Makes one of twenty requests to S3 fail, each time in another way.
    fn break_s3(&self) -> Result<()> {
        self.wait_until(self.all_from);
        let (mut seen, mut kind) = (self.house.stack.s3_requests(), 0);
        while self.goes_on() {
            let requests = self.house.stack.s3_requests();
            while requests - seen >= FAULT_EVERY {
                seen += FAULT_EVERY;
                kind += 1;
                self.house.stack.break_s3(kind);
                self.faults.fetch_add(1, Relaxed);
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Looks at the server once a second.
    fn watch(&self) -> Result<Vec<Sample>> {
        let mut samples = Vec::new();
        while self.goes_on() {
            thread::sleep(Duration::from_secs(1));
            let mut lookups = std::mem::take(&mut *lock(&self.lookups));
            samples.push(Sample {
                seconds: self.seconds(now()),
                memory_kib: self.server.resident_memory_kib()?,
                lookups: lookups.len(),
                p50_ms: percentile(&mut lookups, 0.5),
                p99_ms: percentile(&mut lookups, 0.99),
            });
        }
        Ok(samples)
    }

    /// Ends the server, and compares its records with what was answered.
    fn judge(mut self, samples: &[Sample]) -> Result<()> {
        let metrics = self.server.operators("/metrics")?.body;
        let status = self.server.process().terminate(Duration::from_secs(60))?;
        ensure!(status.success(), "the server ended with {status}");
        for (answer, count) in lock(&self.answers).iter() {
            println!("{count:>9}  {answer}");
        }
        println!("{:>9}  callers that hung up", self.hung_up.load(Relaxed));
        println!("{:>9}  faults of S3", self.faults.load(Relaxed));
        println!("{:>9}  versions of the object", lock(&self.versions).len());
        for line in metrics.lines() {
            if line.starts_with("flowlake_config_reloads{") {
                println!("{line}");
            }
        }
        let mut goals = Goals::default();
        let [alone, scans, all] = &self.by_part;
        let of = |times: &Mutex<Vec<Duration>>| {
            let mut times = lock(times);
            [0.5, 0.99].map(|share| percentile(&mut times, share))
        };
        let [p50, p99] = of(alone);
        println!("look-ups alone: p50 {p50:.2} ms, p99 {p99:.2} ms");
        for (beside, times) in [("four scans", scans), ("everything", all)] {
            let [slow_p50, slow_p99] = of(times);
            let slower = slow_p99 / p99;
            goals.check(
                &format!("beside {beside}, look-ups take no more than twice as long at p99"),
                slower <= SLOWER,
                &format!("p50 {slow_p50:.2} ms, p99 {slow_p99:.2} ms ({slower:.1} times)"),
            );
        }
        self.compare_records()?;
        let memory = |part: &[Sample]| part.iter().map(|sample| sample.memory_kib).max();
        // While everything runs: what only look-ups and scans need is less.
        let under_load = self.seconds(self.all_from);
        let quiet = samples.partition_point(|sample| sample.seconds < under_load);
        let loaded = &samples[quiet..];
        let (first, second) = loaded.split_at(loaded.len() / 2);
        let (before, after) = (
            memory(first).unwrap_or_default(),
            memory(second).unwrap_or_default(),
        );
        goals.check(
            "the memory does not grow",
            after <= before + GROWTH_KIB,
            &format!("at most {before} KiB in the first half, {after} KiB in the second"),
        );
        goals.end()
    }

    /// Each answer has one record, and no other record is a second one.
    fn compare_records(&self) -> Result<()> {
        let mut recorded = HashSet::new();
        let mut unheard = 0_u64;
        let answered: HashSet<u128> = lock(&self.ids).iter().copied().collect();
        ensure!(
            answered.len() == lock(&self.ids).len(),
            "two answers have one record"
        );
        let mut segments: Vec<_> = fs::read_dir(self.house.project.audit_folder())?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        segments.retain(|path| {
            path.extension()
                .is_some_and(|end| end == "ndjson" || end == "jsonl")
        });
        for segment in segments {
            for line in BufReader::new(fs::File::open(segment)?).lines() {
                let line: Value = serde_json::from_str(&line?)?;
                let id = line["record"]["id"].as_str().and_then(parse_id);
                let id = id.context("a record without an id")?;
                ensure!(recorded.insert(id), "the record {id:x} is there twice");
                unheard += u64::from(!answered.contains(&id));
            }
        }
        let lost = answered.difference(&recorded).count();
        println!(
            "records: {}, of which {unheard} nobody heard of: reloads of tables, callers that hung up, strangers",
            recorded.len()
        );
        ensure!(lost == 0, "{lost} answers have no record");
        let verified = self.house.project.run(&["audit", "verify"])?;
        ensure!(
            verified.status.success(),
            "{}{}",
            verified.stdout,
            verified.stderr
        );
        print!("{}", verified.stdout);
        Ok(())
    }
}

fn write_down(samples: &[Sample], folder: &Path, marks: &[(f64, &str)]) -> Result<()> {
    let mut csv = String::from("seconds,memory_kib,lookups,p50_ms,p99_ms\n");
    for sample in samples {
        let Sample {
            seconds,
            memory_kib,
            lookups,
            p50_ms,
            p99_ms,
        } = sample;
        csv.push_str(&format!(
            "{seconds:.1},{memory_kib},{lookups},{p50_ms:.3},{p99_ms:.3}\n"
        ));
    }
    fs::write(folder.join("soak.csv"), csv)?;
    let curve = |name, value: fn(&Sample) -> f64| Curve {
        name,
        points: samples
            .iter()
            .map(|sample| (sample.seconds, value(sample)))
            .collect(),
    };
    #[expect(clippy::cast_precision_loss, reason = "a picture")]
    let curves = [
        curve("resident memory, MiB", |sample| {
            sample.memory_kib as f64 / 1024.0
        }),
        curve("look-ups a second", |sample| sample.lookups as f64),
        curve("look-ups, p50 in ms", |sample| sample.p50_ms),
        curve("look-ups, p99 in ms", |sample| sample.p99_ms),
    ];
    let picture = svg("flowlake-server, soak", &curves, marks);
    fs::write(folder.join("soak.svg"), picture)?;
    println!("written: {0}/soak.csv, {0}/soak.svg", folder.display());
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
