//! How many records a second become durable, at 8 and at 256 callers at once.
//!
//! `cargo run --release -p flowlake-cost-audit --example append_throughput -- DIRECTORY`
#![expect(clippy::print_stdout, reason = "its output is its purpose")]
#![expect(clippy::disallowed_methods, reason = "measures real time")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use flowlake_cost_audit::{AuditLog, AuditObject, AuditRecord, AuditSettings, AuditStatus, verify};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

const SECONDS: u64 = 3;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), BoxError> {
    let root: PathBuf = std::env::args_os()
        .nth(1)
        .ok_or("usage: append_throughput DIRECTORY")?
        .into();
    for callers in [1, 8, 256] {
        let directory = root.join(callers.to_string());
        let log = AuditLog::open(AuditSettings {
            directory: directory.clone(),
            ..AuditSettings::default()
        })?;
        let until = Instant::now() + Duration::from_secs(SECONDS);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let log = log.clone();
            tasks.spawn(async move {
                let mut waits = Vec::new();
                while Instant::now() < until {
                    let started = Instant::now();
                    log.append(record()).await?;
                    waits.push(started.elapsed());
                }
                Ok::<_, BoxError>(waits)
            });
        }
        let mut waits = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            waits.extend(ended??);
        }
        waits.sort_unstable();
        let report = verify(&directory)?;
        let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
        println!(
            "{callers:>3} callers: {:>6} records/s, wait p50 {:?} p99 {:?} max {:?}, chain intact: {}",
            waits.len() as u64 / SECONDS,
            at(50),
            at(99),
            at(100),
            report.is_intact() && report.records == waits.len() as u64
        );
    }
    Ok(())
}

/// A record of the usual size.
fn record() -> AuditRecord {
    AuditRecord {
        action: "agent-scorecard".to_owned(),
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
        params: [("agent_id".to_owned(), "agent-0007".to_owned())].into(),
        ..AuditRecord::default()
    }
}
