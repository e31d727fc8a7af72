//! The program on questions that need many times its memory: it finishes by way of the disk or names the limit, and its
//! resident memory stays within the pool and what a process is allowed beside it. The answers go into files, so they take no
//! memory either.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{BUCKET, EmbeddedStack, Environment, Project, ProjectSettings};

/// Some 350 MB of CSV; as groups or sorted rows, more than 750 MB: twelve times the pool.
const ROWS: u64 = 10_000_000;
const POOL: &str = "64MiB";
const POOL_KIB: u64 = 64 << 10;
/// Beside the pool, for reading ahead, decoding and the allocator.
const OWN_KIB: u64 = 100 << 10;
/// Pages of the program that the kernel has mapped around those in use; it drops them when memory is short. The everyday program, which
/// is not optimised, is 450 MB large.
const PROGRAM_KIB: u64 = 180 << 10;

fn lay(path: &Path) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "id,key,ms")?;
    for id in 0..ROWS {
        let key = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        writeln!(file, "{id},{key:016x},{}", key % 100_000)?;
    }
    Ok(file.flush()?)
}

fn action(name: &str, sql: &str) -> String {
    let table = |name: &str| format!("[tables.{name}]\nuri = \"s3://{BUCKET}/exports/keys.csv\"\n");
    let tables = if sql.contains(" u ") {
        table("t") + &table("u")
    } else {
        table("t")
    };
    format!(
        "name = \"{name}\"\n{tables}[limits]\ntimeout = \"10m\"\nmax_rows = 1000000000\nmax_output_bytes = \"1TiB\"\n[query]\nsql = \"\"\"{sql}\"\"\"\n"
    )
}

#[test]
fn questions_of_many_times_the_pool_stay_within_it_and_finish_or_name_the_limit() -> Result<()> {
    let environment = Environment::load()?;
    let folder = environment.folder("spill")?;
    let root = folder.join("buckets");
    let exports = root.join(BUCKET).join("exports");
    fs::create_dir_all(&exports)?;
    lay(&exports.join("keys.csv"))?;
    let stack = EmbeddedStack::start(&root)?;
    let settings = ProjectSettings {
        memory: POOL,
        ..ProjectSettings::new(stack.aws_url(), stack.s3_url(), stack.keys("reader")?)
    };
    let project = Project::create(&environment, &folder.join("project"), &settings)?;
    for (name, sql, must_finish) in [
        (
            "group",
            "SELECT key, count(*) AS n, min(id) AS first FROM t GROUP BY key",
            true,
        ),
        ("sort", "SELECT key, id, ms FROM t ORDER BY key", true),
        (
            "join",
            "SELECT t.id, u.ms FROM t JOIN u ON t.key = u.key",
            false,
        ),
    ] {
        fs::write(
            project.folder().join(format!("actions/{name}.toml")),
            action(name, sql),
        )?;
        let to = folder.join(format!("{name}.csv"));
        let finished = project.run(&[
            "run",
            name,
            "--format",
            "csv",
            "--output",
            &to.to_string_lossy(),
        ])?;
        let (own, resident) = (finished.peak_own_memory_kib, finished.peak_memory_kib);
        println!(
            "{name}: {}, {:.1} s, peak memory {} MiB of its own, {} MiB resident{}",
            finished.status,
            finished.duration.as_secs_f64(),
            own >> 10,
            resident >> 10,
            finished
                .stderr
                .lines()
                .next()
                .map(|line| format!(", {line}"))
                .unwrap_or_default()
        );
        ensure!(
            own <= POOL_KIB + OWN_KIB && resident <= POOL_KIB + OWN_KIB + PROGRAM_KIB,
            "{name}: peak memory {own} KiB of its own, {resident} KiB resident"
        );
        if finished.status.success() {
            let lines = BufReader::new(File::open(&to)?).lines().count() as u64;
            ensure!(lines == ROWS + 1, "{name}: {lines} lines");
            fs::remove_file(&to)?;
        } else {
            ensure!(!must_finish, "{name}: {}", finished.stderr);
            let named =
                finished.stderr.contains("limit.memory") && finished.status.code() == Some(5);
            ensure!(
                named && !to.exists(),
                "{name}: {} {}",
                finished.status,
                finished.stderr
            );
        }
    }
    fs::remove_file(exports.join("keys.csv")).context("cannot free the space")
}
