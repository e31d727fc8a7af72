//! What the audit log and the profiler cost: `cargo xtask bench audit`, in one run.
//!
//! 1. how many records a second become durable with 1, 8 and 256 callers at once, and the CPU of one;
//! 2. the CPU of one sample in the profiler;
//! 3. a look-up through the whole pipeline, with S3 and IAM in a process of their own, and the shares of 1 and 2 in its CPU and its time.
//!
//! `cargo xtask bench audit -- --seconds 1` takes less time and is less sure.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::disallowed_methods, reason = "measures real time")]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts and ticks of one run stay far below 2^53"
)]

use std::{
    fs,
    future::Future,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use flowlake_aws_access::StaticCredentials;
use flowlake_cost_audit::{AuditLog, AuditObject, AuditRecord, AuditSettings, AuditStatus, verify};
use flowlake_data_action::{ActionRequest, Environment, Phase, Pipeline, Project};
use flowlake_dev_stack::{DevStack, IamDocument, Identity};
use flowlake_profiler::{Profiler, ProfilerSettings, Sample};
use serde_json::{Value, json};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const READER: &str = "arn:aws:iam::123456789012:user/reader";

/// Callers at once.
const CALLERS: [usize; 3] = [1, 8, 256];

const CONFIG: &str = r#"
[policy]
allow = ["s3://lake/exports/*"]
[s3]
metadata_ttl_ms = 3600000
[audit.log]
directory = "audit"
"#;

const LOOK_UP: &str = include_str!("../tests/suite/support/look-up.toml");

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let after = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let runtime = tokio::runtime::Runtime::new()?;
    if let Some(folder) = after("--stack") {
        return runtime.block_on(serve_stack(Path::new(&folder)));
    }
    let seconds = after("--seconds").map_or(Ok(5), |text| text.parse())?;
    // Beside the build: the disk of the project, not a file system in memory.
    let folder = tempfile::tempdir_in(std::env::current_exe()?.parent().unwrap_or(Path::new(".")))?;
    runtime.block_on(measure(folder.path(), Duration::from_secs(seconds)))
}

async fn measure(folder: &Path, time: Duration) -> Result<(), BoxError> {
    if cfg!(debug_assertions) {
        println!("a debug build: these figures say nothing about the product");
    }
    let fsync = fsync_time(folder)?;
    println!("disk: write and fsync of 1 KiB takes {fsync:.2?} (median)\n");

    println!("durable records");
    let mut append_cpu = [Duration::ZERO; CALLERS.len()];
    for (callers, cpu) in CALLERS.iter().zip(&mut append_cpu) {
        *cpu = appends(&folder.join(format!("log-{callers}")), *callers, time).await?;
    }
    let sample_cpu = samples(time)?;

    println!("\nlook-ups, S3 and IAM in another process");
    let stack = Stack::start(&folder.join("buckets"))?;
    let pipeline = pipeline(&folder.join("project"), &stack).await?;
    for (callers, append_cpu) in CALLERS.iter().zip(append_cpu) {
        look_ups(&pipeline, *callers, time, append_cpu + sample_cpu).await?;
    }
    drop(stack);
    Ok(())
}

/// The disk's own share: no audit log that keeps its promise is faster for a single caller.
fn fsync_time(folder: &Path) -> Result<Duration, BoxError> {
    let mut file = fs::File::create(folder.join("fsync"))?;
    let mut times = Vec::new();
    for _ in 0..50 {
        let started = Instant::now();
        file.write_all(&[b'x'; 1024])?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}

/// Appends from this many callers at once. Returns the CPU time of one record.
async fn appends(folder: &Path, callers: usize, time: Duration) -> Result<Duration, BoxError> {
    let log = AuditLog::open(AuditSettings {
        directory: folder.to_owned(),
        ..AuditSettings::default()
    })?;
    let measured = run(callers, time, || {
        let log = log.clone();
        async move {
            log.append(&record()).await?;
            Ok(())
        }
    })
    .await?;
    let report = verify(folder)?;
    let is_whole = report.is_intact() && report.records == measured.times.len() as u64;
    println!(
        "{callers:>4} callers: {:>8.0} records/s, wait p50 {:.2?}, p99 {:.2?}, CPU {:.1?} a record, chain whole: {is_whole}",
        measured.per_second(),
        measured.at(50),
        measured.at(99),
        measured.cpu_each(),
    );
    Ok(measured.cpu_each())
}

/// The time of one sample, which is all CPU.
fn samples(time: Duration) -> Result<Duration, BoxError> {
    let profiler = Profiler::new(ProfilerSettings::default());
    let mut sample = Sample {
        at_unix_ms: 1_790_000_000_000,
        action: "look-up".to_owned(),
        code: "ok".to_owned(),
        phases: Phase::ALL
            .map(|phase| (phase, Duration::from_micros(50)))
            .to_vec(),
        bytes: 4096,
        rows: 1,
        ..Sample::default()
    };
    let started = Instant::now();
    let mut count: u32 = 0;
    while started.elapsed() < time / 5 {
        for _ in 0..1000 {
            count += 1;
            sample.at_unix_ms += 1;
            sample.duration = Duration::from_micros(u64::from(count % 9000));
            profiler.record(&sample);
        }
    }
    let each = started.elapsed() / count;
    println!("profiler: {each:.2?} a sample with seven phases");
    Ok(each)
}

/// Look-ups from this many callers at once, and the share of `of_ours` (CPU time of record and sample) in them.
async fn look_ups(
    pipeline: &Pipeline,
    callers: usize,
    time: Duration,
    of_ours: Duration,
) -> Result<(), BoxError> {
    let params = json!({ "ani": "+12025550142" });
    let Value::Object(params) = params else {
        return Err("parameters are an object".into());
    };
    let before = audit_time(pipeline);
    let measured = run(callers, time, || {
        let request = ActionRequest {
            action: "look-up".to_owned(),
            params: params.clone(),
            ..ActionRequest::default()
        };
        async move {
            let answer = pipeline
                .run(request)
                .await
                .map_err(|failure| failure.error)?;
            if answer.row_count == 1 {
                Ok(())
            } else {
                Err("the look-up found nobody".into())
            }
        }
    })
    .await?;
    let after = audit_time(pipeline);
    let audit_ms = (after.0 - before.0) / (after.1 - before.1);
    let mean = measured.times.iter().sum::<Duration>() / u32::try_from(measured.times.len())?;
    println!(
        "{callers:>4} callers: {:>8.0} look-ups/s, p50 {:.2?}, p99 {:.2?}, CPU {:.1?} a look-up; audit and profiler: {:.1} % of the CPU; the wait for the disk: {:.1} % of the time ({audit_ms:.2} of {:.2} ms)",
        measured.per_second(),
        measured.at(50),
        measured.at(99),
        measured.cpu_each(),
        percent(of_ours.as_secs_f64(), measured.cpu_each().as_secs_f64()),
        percent(audit_ms, mean.as_secs_f64() * 1e3),
        mean.as_secs_f64() * 1e3,
    );
    Ok(())
}

/// Milliseconds spent in the phase `audit` so far, and how often.
fn audit_time(pipeline: &Pipeline) -> (f64, f64) {
    let snapshot = pipeline.profiler().snapshot(pipeline.now_unix_ms());
    snapshot.phases.get("audit").map_or((0.0, 0.0), |audit| {
        (audit.mean_ms * audit.count as f64, audit.count as f64)
    })
}

fn percent(part: f64, whole: f64) -> f64 {
    part / whole * 100.0
}

/// What a run of many calls took.
struct Measured {
    /// Sorted.
    times: Vec<Duration>,
    wall: Duration,
    cpu: Duration,
}

impl Measured {
    fn at(&self, percent: usize) -> Duration {
        self.times[(self.times.len() - 1) * percent / 100]
    }

    fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.wall.as_secs_f64()
    }

    fn cpu_each(&self) -> Duration {
        self.cpu.div_f64(self.times.len() as f64)
    }
}

/// Repeats the call for that time, with this many calls at once.
async fn run<Call, Called>(callers: usize, time: Duration, call: Call) -> Result<Measured, BoxError>
where
    Call: Fn() -> Called,
    Called: Future<Output = Result<(), BoxError>>,
{
    let (started, cpu) = (Instant::now(), cpu_time()?);
    let until = started + time;
    let loops = (0..callers).map(|_| async {
        let mut times = Vec::new();
        while Instant::now() < until {
            let began = Instant::now();
            call().await?;
            times.push(began.elapsed());
        }
        Ok::<_, BoxError>(times)
    });
    let all = futures::future::try_join_all(loops).await?;
    let (wall, cpu) = (started.elapsed(), cpu_time()?.saturating_sub(cpu));
    let mut times: Vec<Duration> = all.into_iter().flatten().collect();
    times.sort_unstable();
    Ok(Measured { times, wall, cpu })
}

/// User and system time of this process, all threads, in steps of 10 ms.
fn cpu_time() -> Result<Duration, BoxError> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// A record of the usual size.
fn record() -> AuditRecord {
    AuditRecord {
        action: "look-up".to_owned(),
        caller: "contact-centre".to_owned(),
        code: "ok".to_owned(),
        conversation_id: Some("0b8c1b1e-6f0b-4a7e-9a53-0f6b1b0d5a11".to_owned()),
        principal: Some("arn:aws:sts::123456789012:assumed-role/flowlake/session".to_owned()),
        status: AuditStatus::Success,
        objects: vec![AuditObject {
            bucket: "genesys-data-lake".to_owned(),
            key: "exports/2026-11-22/conversation_metrics.parquet".to_owned(),
            etag: Some("\"9b2cf535f27731c974343645a3985328\"".to_owned()),
            size: Some(48_213),
            ..AuditObject::default()
        }],
        request_ids: vec!["79104EXAMPLEB723".to_owned()],
        params: [("ani".to_owned(), "hmac-sha256:5bdcc146bf60754e".to_owned())].into(),
        ..AuditRecord::default()
    }
}

#[derive(Debug)]
struct NoVariables;

impl Environment for NoVariables {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }
}

async fn pipeline(folder: &Path, stack: &Stack) -> Result<Pipeline, BoxError> {
    fs::create_dir_all(folder.join("actions"))?;
    fs::write(folder.join("flowlake.toml"), CONFIG)?;
    fs::write(folder.join("actions/look-up.toml"), LOOK_UP)?;
    let mut project = Project::load(folder)?;
    let place = |name: &str| stack.said[name].as_str().unwrap_or_default().to_owned();
    project.config.aws.region = Some("us-east-1".to_owned());
    project.config.aws.endpoint_url = Some(place("aws"));
    project.config.aws.s3_endpoint_url = Some(place("s3"));
    project.config.aws.path_style = true;
    project.config.aws.credentials = Some(StaticCredentials::new(place("id"), place("secret")));
    Ok(Box::pin(Pipeline::builder(project).build(&NoVariables)).await?)
}

/// The embedded stack in a process of its own, so that its CPU is not counted; it ends with its input.
struct Stack {
    child: Child,
    said: Value,
}

impl Stack {
    fn start(folder: &Path) -> Result<Self, BoxError> {
        fs::create_dir_all(folder.join("lake/exports"))?;
        let mut file = String::from("ani,name,tier\n");
        for number in 0..100 {
            file += &format!("+120255501{number:02},Customer {number},gold\n");
        }
        fs::write(folder.join("lake/exports/customers.csv"), file)?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--stack")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self {
            child,
            said: serde_json::from_str(&line)?,
        })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

async fn serve_stack(folder: &Path) -> Result<(), BoxError> {
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": ["s3:*", "iam:*"], "Resource": "*" },
    ]});
    let document =
        IamDocument::default().with_identity(Identity::new(READER).with_policy("all", policy));
    let stack = DevStack::builder(folder).with_iam(document).start().await?;
    let key = stack.access_key(READER);
    println!(
        "{}",
        json!({ "s3": stack.s3_url(), "aws": stack.aws_url(), "id": key.id, "secret": key.secret })
    );
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    Ok(())
}
