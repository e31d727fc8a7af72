//! Queries that need ten times the memory pool: they finish by way of the disk, or end with an error that names the limit, and
//! the process stays within the pool and 150 MiB either way.
//!
//! One test in a file of its own, so that the process and its peak of resident memory are its own. The ordinary run is small;
//! `FLOWLAKE_SPILL_ROWS=150000000 cargo nextest run --release -p flowlake-transform --test suite spill::` takes a pool of 512 MiB and a
//! file of some 5 GB.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]
#![cfg(target_os = "linux")]

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::Arc,
    time::Duration,
};

use crate::support::Question;
use bytesize::ByteSize;
use flowlake_transform::{
    EngineUsage, ErrorKind, Limits, Run, RunStats, Transform, TransformSettings,
};
use futures::StreamExt;
use object_store::local::LocalFileSystem;
use serde_json::json;

const ROWS: u64 = 1_000_000;
const SMALL_POOL: u64 = 12 << 20;
const LARGE_POOL: u64 = 512 << 20;
/// What a process may take beside the pool: readers, batches on their way, the allocator. Pages of the program are not counted: an
/// unoptimised one has more than 100 MiB of them.
const BESIDE: u64 = 100 << 20;

/// Peak of resident memory in bytes, without the pages of the program, as the kernel has it.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (of("VmHWM:") - of("RssFile:")) << 10
}

/// Rows whose keys are all different and in no order.
fn lay(path: &Path, rows: u64) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    writeln!(file, "id,key,ms").unwrap();
    for id in 0..rows {
        let key = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        writeln!(file, "{id},{key:016x},{}", key % 100_000).unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
}

async fn ask(
    question: &Question,
    transform: &Transform,
    sql: &str,
) -> Result<(u64, RunStats), (ErrorKind, String)> {
    let told = |error: flowlake_transform::Error| (error.kind(), error.to_string());
    let (prepared, bound) = question.prepare(sql).map_err(told)?;
    let files = transform.find(&prepared, &bound, &question.lake).await;
    let run = Run {
        prepared: &prepared,
        bound: &bound,
        files: &files.map_err(told)?,
        stores: &question.lake,
    };
    let mut rows = transform.run(&run).await.map_err(told)?;
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        count += batch.map_err(told)?.num_rows() as u64;
    }
    Ok((count, rows.stats()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_the_pool_goes_by_way_of_the_disk_and_memory_stays_bounded() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how much to do, which only its caller knows"
    )]
    let rows = std::env::var("FLOWLAKE_SPILL_ROWS")
        .ok()
        .map(|text| text.parse().unwrap());
    let (rows, pool) = rows.map_or((ROWS, SMALL_POOL), |rows| (rows, LARGE_POOL));
    let folder = tempfile::tempdir().unwrap();
    lay(&folder.path().join("t.csv"), rows);
    let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let mut question = Question::over(Arc::new(store), "t.csv");
    question.tables["u"] = json!({ "uri": "s3://lake/t.csv" });
    question.limits = Limits {
        timeout: Duration::from_secs(3600),
        max_rows: u64::MAX,
        max_output_bytes: ByteSize::tib(1),
        ..Limits::default()
    };
    let spill = tempfile::tempdir().unwrap();
    let transform = Transform::builder()
        .with_settings(TransformSettings {
            memory: ByteSize::b(pool),
            spill_directory: Some(spill.path().to_owned()),
            max_spill: ByteSize::gib(40),
            threads: Some(2),
            ..TransformSettings::default()
        })
        .build()
        .unwrap();
    let before = peak();
    for (what, sql, answer) in [
        (
            "group",
            "SELECT key, count(*) AS n, min(id) AS first FROM t GROUP BY key",
            rows,
        ),
        ("sort", "SELECT key, id, ms FROM t ORDER BY key", rows),
        ("distinct", "SELECT count(DISTINCT key) AS n FROM t", 1),
        (
            "window",
            "SELECT id, row_number() OVER (PARTITION BY key ORDER BY id) AS n FROM t",
            rows,
        ),
        (
            "join",
            "SELECT t.id, u.ms FROM t JOIN u ON t.key = u.key",
            rows,
        ),
        ("collect", "SELECT array_agg(key) AS all_keys FROM t", 1),
    ] {
        let result = ask(&question, &transform, sql).await;
        let peak = peak();
        match &result {
            Ok((count, stats)) => {
                eprintln!(
                    "{what}: {count} rows, {} spilled, peak {}",
                    ByteSize(stats.spilled_bytes),
                    ByteSize(peak)
                );
                assert_eq!(*count, answer, "{what}");
                assert!(stats.spilled_bytes > 0, "{what} fitted: it shows nothing");
            }
            Err((kind, message)) => {
                eprintln!("{what}: {message}, peak {}", ByteSize(peak));
                assert_eq!(*kind, ErrorKind::MemoryLimit, "{what}: {message}");
                assert!(
                    message.contains("memory"),
                    "{what} does not name the limit: {message}"
                );
            }
        }
        // Grouping and sorting need not fit; they finish.
        let finishes = ["group", "sort"].contains(&what);
        assert!(!finishes || result.is_ok(), "{what} gave up: {result:?}");
        assert!(
            peak <= pool + BESIDE,
            "{what}: {} resident, began with {}",
            ByteSize(peak),
            ByteSize(before)
        );
        // Tasks that were stopped give back what they hold when they next look.
        let until_free = async {
            while transform.usage() != EngineUsage::default() {
                tokio::task::yield_now().await;
            }
        };
        let freed = tokio::time::timeout(Duration::from_secs(20), until_free).await;
        assert!(freed.is_ok(), "{what} keeps {:?}", transform.usage());
    }
}
