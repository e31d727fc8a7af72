//! Reading one object from S3, beside `object_store`'s own client, the plain SDK, and the best that HTTP gives.
//!
//! Each read is a process of its own, which this program starts again under another name of `READ`. nginx serves the object
//! from memory on loopback; a delay proxy stands for a bucket that is far away, and a limit for how slow each connection to S3 is.

use std::{
    env,
    fmt::Write as _,
    fs::File,
    io::Write as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use flowlake_benches::{
    Cell, Delayed, Measured, Nginx, SLOW_CONNECTION, measure, median, write_section,
};
use flowlake_s3_stream::{S3Stream, S3StreamSettings};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt, aws::AmazonS3Builder, path::Path as Key};

const BUCKET: &str = "lake";
/// Bytes of the object that is read from end to end.
const OBJECT_BYTES: u64 = 1_200_000_000;
/// Bytes of the object that shows that memory does not grow: sparse, so it takes no disk.
const LARGE_BYTES: u64 = 10_000_000_000;
const LARGE_LIMIT_MIB: f64 = 128.0;
const LATENCY: Duration = Duration::from_millis(30);
const ROUNDS: usize = 7;
const PART: u64 = 8 << 20;

const OURS: &str = "flowlake-s3-stream";
const OURS_FAR: &str = "flowlake-s3-stream, budget of 128 MiB";

/// The ways to read, by the names under which this program starts itself.
const NEAR: [&str; 8] = [
    OURS,
    "object_store AmazonS3, one GET",
    "aws-sdk-s3, stream",
    "aws-sdk-s3, collect",
    "HTTP client, 1 range at a time",
    "HTTP client, 2 ranges at a time",
    "HTTP client, 4 ranges at a time",
    "HTTP client, 8 ranges at a time",
];
const FAR: [&str; 5] = [
    OURS_FAR,
    OURS,
    NEAR[1],
    NEAR[4],
    "HTTP client, 16 ranges at a time",
];
const SLOW: [&str; 4] = [OURS, OURS_FAR, NEAR[1], FAR[4]];

fn main() -> Result<()> {
    if let (Ok(how), Ok(endpoint), Ok(key)) =
        (env::var("READ"), env::var("ENDPOINT"), env::var("KEY"))
    {
        let runtime = tokio::runtime::Runtime::new()?;
        let began = Instant::now();
        // In a task, as servers and DataFusion read: outside of one, each piece would cost a change of threads, which is what
        // then is measured.
        let bytes = runtime.block_on(async {
            tokio::spawn(async move { read(&how, &endpoint, &key).await }).await?
        })?;
        // The read alone: what a long-running server pays, without the start of a process.
        println!("{bytes} {}", began.elapsed().as_secs_f64());
        return Ok(());
    }
    let rounds = env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(ROUNDS);
    let folder = tempfile::tempdir_in(
        env::var("CARGO_TARGET_TMPDIR").map_or_else(|_| env::temp_dir(), Into::into),
    )?;
    let bucket = folder.path().join(BUCKET);
    std::fs::create_dir(&bucket)?;
    write_object(&bucket.join("object.bin"))?;
    File::create(bucket.join("large.bin"))?.set_len(LARGE_BYTES)?;
    let nginx = Nginx::start(folder.path())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let far = runtime.block_on(Delayed::start(nginx.port(), LATENCY))?;

    let mut body = "Processes of their own, interleaved; medians. Each way reads in a task of a runtime with two threads; nginx on loopback shares the cores with it.\n\n".to_owned();
    writeln!(
        body,
        "**One object of {:.1} GB, {rounds} runs each**\n",
        OBJECT_BYTES as f64 / 1e9
    )?;
    let near = compare(&NEAR, nginx.port(), "object.bin", OBJECT_BYTES, rounds)?;
    body += &table(&NEAR, &near, OBJECT_BYTES)?;
    let ours = median(&near[0].seconds);
    let best_http = near[4..]
        .iter()
        .map(|cell| median(&cell.seconds))
        .fold(f64::MAX, f64::min);
    writeln!(
        body,
        "\nflowlake-s3-stream has {:.0} % of the best HTTP client's throughput and {:.2} times that of AmazonS3's one GET.\n",
        100.0 * best_http / ours,
        median(&near[1].seconds) / ours
    )?;
    writeln!(
        body,
        "**The same object, {} ms away (a delay for each request)**\n",
        LATENCY.as_millis()
    )?;
    let distant = compare(&FAR, far.port(), "object.bin", OBJECT_BYTES, rounds.min(5))?;
    body += &table(&FAR, &distant, OBJECT_BYTES)?;
    writeln!(
        body,
        "\n**The same object as S3 brings it: {} ms away, and {} MB/s over each connection**\n",
        LATENCY.as_millis(),
        SLOW_CONNECTION / 1_000_000
    )?;
    let slow = runtime.block_on(Delayed::start(nginx.slow_port(), LATENCY))?;
    let as_s3 = compare(
        &SLOW,
        slow.port(),
        "object.bin",
        OBJECT_BYTES,
        rounds.min(3),
    )?;
    body += &table(&SLOW, &as_s3, OBJECT_BYTES)?;
    writeln!(
        body,
        "\nflowlake-s3-stream has {:.1} times the throughput of AmazonS3's one GET.",
        median(&as_s3[2].seconds) / median(&as_s3[0].seconds)
    )?;
    let large = one(NEAR[0], nginx.port(), "large.bin", LARGE_BYTES)?;
    writeln!(
        body,
        "\n**Memory**: an object of {:.0} GB takes {:.0} MiB at its peak, one of {:.1} GB {:.0} MiB.",
        LARGE_BYTES as f64 / 1e9,
        large.peak_mib,
        OBJECT_BYTES as f64 / 1e9,
        median(&near[0].peak_mib)
    )?;
    println!("{body}");
    ensure!(
        large.peak_mib < LARGE_LIMIT_MIB,
        "reading {LARGE_BYTES} bytes took {} MiB, and {LARGE_LIMIT_MIB} were allowed",
        large.peak_mib
    );
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md");
    write_section(
        &page,
        "## Reading from S3: `cargo xtask bench s3-stream`",
        &body,
    )
}

/// Bytes that do not compress, quickly made.
fn write_object(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut block = Vec::with_capacity(1 << 20);
    while block.len() < 1 << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        block.extend_from_slice(&state.to_le_bytes());
    }
    let mut left = OBJECT_BYTES;
    while left > 0 {
        let length = left.min(block.len() as u64);
        file.write_all(&block[..usize::try_from(length)?])?;
        left -= length;
    }
    Ok(())
}

/// One read in a process of its own.
fn one(how: &str, port: u16, key: &str, bytes: u64) -> Result<Measured> {
    let mut command = Command::new(env::current_exe()?);
    command
        .env("READ", how)
        .env("ENDPOINT", format!("http://127.0.0.1:{port}"))
        .env("KEY", key);
    let mut measured = measure(&command)?;
    let (read, seconds) = measured
        .output
        .trim()
        .split_once(' ')
        .context("two figures")?;
    ensure!(
        read.parse() == Ok(bytes),
        "{how} read {read} bytes of {bytes}"
    );
    measured.seconds = seconds.parse()?;
    Ok(measured)
}

fn compare(ways: &[&str], port: u16, key: &str, bytes: u64, rounds: usize) -> Result<Vec<Cell>> {
    let mut cells = vec![Cell::default(); ways.len()];
    // The first round warms the page cache.
    for round in 0..=rounds {
        // Each begins in its turn: a process that comes after a large one waits longer for its memory.
        let mut turns: Vec<_> = ways.iter().zip(&mut cells).collect();
        turns.rotate_left(round % ways.len());
        for (how, cell) in turns {
            let measured = one(how, port, key, bytes)?;
            if round > 0 {
                cell.seconds.push(measured.seconds);
                cell.cpu_seconds.push(measured.cpu_seconds);
                cell.peak_mib.push(measured.peak_mib);
            }
        }
        eprintln!("round {round} of {rounds}");
    }
    Ok(cells)
}

fn table(ways: &[&str], cells: &[Cell], bytes: u64) -> Result<String> {
    let mut text =
        "| | GB/s | seconds | CPU seconds | peak MiB | against ours |\n|---|---|---|---|---|---|\n"
            .to_owned();
    let ours = median(&cells[0].seconds);
    for (how, cell) in ways.iter().zip(cells) {
        let seconds = median(&cell.seconds);
        writeln!(
            text,
            "| {how} | {:.2} | {seconds:.3} | {:.2} | {:.0} | {:.2} |",
            bytes as f64 / 1e9 / seconds,
            median(&cell.cpu_seconds),
            median(&cell.peak_mib),
            ours / seconds,
        )?;
    }
    Ok(text)
}

async fn read(how: &str, endpoint: &str, key: &str) -> Result<u64> {
    if let Some(rest) = how.strip_prefix("HTTP client, ") {
        let at_a_time = rest.split(' ').next().unwrap_or_default().parse()?;
        return read_http(endpoint, key, at_a_time).await;
    }
    if let Some(budget) = how.strip_prefix(OURS) {
        let mut settings = S3StreamSettings::default();
        if !budget.is_empty() {
            settings.budget_bytes = 128 << 20;
        }
        let store = S3Stream::builder(client(endpoint), BUCKET)
            .with_settings(settings)
            .build()?;
        return count(&store, key).await;
    }
    match how {
        "object_store AmazonS3, one GET" => {
            let store = AmazonS3Builder::new()
                .with_endpoint(endpoint)
                .with_allow_http(true)
                .with_bucket_name(BUCKET)
                .with_region("us-east-1")
                .with_access_key_id("AKIDEXAMPLE")
                .with_secret_access_key("none")
                .build()?;
            count(&store, key).await
        }
        "aws-sdk-s3, stream" => {
            let mut body = client(endpoint)
                .get_object()
                .bucket(BUCKET)
                .key(key)
                .send()
                .await?
                .body;
            let mut bytes = 0;
            while let Some(piece) = body.try_next().await? {
                bytes += piece.len() as u64;
            }
            Ok(bytes)
        }
        "aws-sdk-s3, collect" => {
            let body = client(endpoint)
                .get_object()
                .bucket(BUCKET)
                .key(key)
                .send()
                .await?
                .body;
            Ok(body.collect().await?.into_bytes().len() as u64)
        }
        other => bail!("there is no way called {other}"),
    }
}

async fn count(store: &dyn ObjectStore, key: &str) -> Result<u64> {
    let stream = store.get(&Key::from(key)).await?.into_stream();
    Ok(stream
        .try_fold(0, async |bytes, piece| Ok(bytes + piece.len() as u64))
        .await?)
}

/// Ranges of 8 MiB, several at a time, with nothing done but counting: the best that the server and HTTP give.
async fn read_http(endpoint: &str, key: &str, at_a_time: usize) -> Result<u64> {
    let client = reqwest::Client::new();
    let url = format!("{endpoint}/{BUCKET}/{key}");
    let size = client.head(&url).send().await?;
    let size: u64 = size.headers()["content-length"].to_str()?.parse()?;
    let parts = (0..size).step_by(usize::try_from(PART)?);
    let reads = parts.map(|start| {
        let request = client.get(&url).header(
            "range",
            format!("bytes={start}-{}", (start + PART).min(size) - 1),
        );
        async move {
            tokio::spawn(async move {
                let mut body = request.send().await?.bytes_stream();
                let mut bytes = 0;
                while let Some(piece) = body.next().await {
                    bytes += piece?.len() as u64;
                }
                anyhow::Ok(bytes)
            })
            .await?
        }
    });
    stream::iter(reads)
        .buffered(at_a_time)
        .try_fold(0, async |all, bytes| Ok(all + bytes))
        .await
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "none", None, None, "bench"))
        .build();
    Client::from_conf(config)
}
