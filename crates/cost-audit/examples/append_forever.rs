//! Appends to an audit log from many tasks until it is killed, printing each receipt once it has it.
//!
//! The crash test kills this at random moments.

use std::io::{Write, stdout};
use std::path::PathBuf;

use flowlake_cost_audit::{AuditLog, AuditRecord, AuditSettings};

const TASKS: usize = 32;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let directory: PathBuf = std::env::args_os()
        .nth(1)
        .ok_or("usage: append_forever DIRECTORY")?
        .into();
    let log = AuditLog::open(AuditSettings {
        directory,
        max_segment_bytes: 256 << 10,
        ..AuditSettings::default()
    })?;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let log = log.clone();
        tasks.spawn(async move {
            loop {
                let record = AuditRecord {
                    action: format!("task-{task}"),
                    code: "ok".to_owned(),
                    ..AuditRecord::default()
                };
                let receipt = log.append(&record).await?;
                let line = format!("{} {} {}\n", receipt.sequence, receipt.hash, receipt.id);
                // One write per line: a line in the pipe is an answered request.
                stdout().lock().write_all(line.as_bytes())?;
                stdout().lock().flush()?;
            }
            #[expect(unreachable_code, reason = "gives the task its type")]
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}
