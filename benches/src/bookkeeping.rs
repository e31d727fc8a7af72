//! What a request's own task does for the audit log and the profiler, besides what the log's thread does.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use flowlake_cost_audit::{AuditLog, AuditRecord, AuditSettings, keyed_hash};
use flowlake_profiler::{Phase, Profiler, ProfilerSettings, Sample};

/// A record of the benchmark's server.
const MODEL: &str = r#"{"action":"caller","bytes_scanned":0,"bytes_transferred":0,"caller":"bench","code":"ok",
    "compliance_tag":"S3-ACCESS-AUDIT","cost_usd":"0","decision":"allowed","duration_ms":0,"http_status":200,
    "objects":[{"bucket":"1000000","etag":"\"6b09c79d-502d6b1\"","key":"customers.csv","size":84072113}],
    "principal":"arn:aws:iam::123456789012:user/bench","rows":1,"status":"success","time":"2026-11-28T03:06:09.370806283Z"}"#;
const NUMBER: &str = "+12025550142";

/// What the log and the profiler take without anything else.
#[derive(Debug, Clone, Copy)]
pub struct Bookkeeping {
    /// Durable records.
    pub per_second: f64,
    /// Processor time of one record and one sample on the thread that asks.
    pub beside: Duration,
}

/// Writes records of `callers` callers to a log in `folder`, `records` in all, each as soon as the one before is durable, and gives the
/// profiler a sample of each, as the pipeline makes them for the look-up of a hot row.
///
/// # Errors
/// When the log cannot be written, or the kernel does not tell a thread's time.
pub fn bookkeeping(folder: &Path, callers: usize, records: u32) -> Result<Bookkeeping> {
    let log = AuditLog::open(AuditSettings {
        directory: folder.to_owned(),
        ..AuditSettings::default()
    })?;
    let profiler = Profiler::new(ProfilerSettings::default());
    let model: AuditRecord = serde_json::from_str(MODEL)?;
    let each = records / u32::try_from(callers)?;
    let one_thread = tokio::runtime::Builder::new_current_thread().build()?;
    let (began, before) = (Instant::now(), thread_time()?);
    one_thread.block_on(futures::future::try_join_all((0..callers).map(|_| async {
        for number in 0..each {
            let record = record(number, &model);
            log.append(&record).await?;
            profiler.record(&sample(number, &record));
        }
        Ok::<_, flowlake_cost_audit::Error>(())
    })))?;
    let took = thread_time()?.saturating_sub(before);
    let written = each * u32::try_from(callers)?;
    Ok(Bookkeeping {
        per_second: f64::from(written) / began.elapsed().as_secs_f64(),
        beside: took / written,
    })
}

fn record(number: u32, model: &AuditRecord) -> AuditRecord {
    AuditRecord {
        id: format!("01a2200c-b3f6-70f6-96f7-{number:012x}"),
        params: [("ani".to_owned(), keyed_hash(b"a key", NUMBER))].into(),
        ..model.clone()
    }
}

fn sample(number: u32, record: &AuditRecord) -> Sample {
    let phases = [
        Phase::Auth,
        Phase::Access,
        Phase::Metadata,
        Phase::Scan,
        Phase::Audit,
    ];
    Sample {
        at_unix_ms: 1_790_000_000_000 + u64::from(number / 10),
        action: record.action.clone(),
        code: record.code.clone(),
        duration: Duration::from_micros(u64::from(number % 900)),
        phases: phases
            .map(|phase| (phase, Duration::from_micros(u64::from(number % 90))))
            .to_vec(),
        rows: record.rows,
        ..Sample::default()
    }
}

/// On the processor, in user and in kernel mode.
fn thread_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text
        .split_whitespace()
        .next()
        .context("the kernel keeps no times of threads")?;
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}
