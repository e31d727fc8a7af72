//! The property, over 10,000 schedules (one in forty in the everyday run) and over those that once broke it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flowlake_dev_stack::generated_cases;
use flowlake_s3_stream::{S3Stream, S3StreamSettings};
use futures::{FutureExt, StreamExt};
use object_store::{GetResult, ObjectStore, ObjectStoreExt, Result, path::Path};

use super::{
    object::Version,
    plan::{Operation, Plan},
    server::Server,
};

/// Seeds that once gave wrong bytes, an error for no reason, or no end.
const ONCE_FAILED: &str = include_str!("seeds.txt");

/// Schedules of one test; there are ten.
const SHARD: u64 = 1000;

/// Longer than every retry of every part together, in paused time.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// How schedules ended.
#[derive(Debug, Default)]
struct Tally {
    exact: u64,
    errors: u64,
    dropped: u64,
}

async fn shard(number: u64) {
    let mut tally = Tally::default();
    let schedules = generated_cases(SHARD);
    let first = number * SHARD;
    for seed in first..first + schedules {
        run(seed, &mut tally).await;
    }
    assert_eq!(tally.exact + tally.errors + tally.dropped, schedules);
    // Faults that no reader survives would prove as little as faults that none meets.
    assert!(tally.exact > schedules / 5, "{tally:?}");
    assert!(tally.errors > schedules / 20, "{tally:?}");
}

macro_rules! shards {
    ($($name:ident: $number:expr;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            shard($number).await;
        }
    )*};
}

shards! {
    schedules_0: 0;
    schedules_1: 1;
    schedules_2: 2;
    schedules_3: 3;
    schedules_4: 4;
    schedules_5: 5;
    schedules_6: 6;
    schedules_7: 7;
    schedules_8: 8;
    schedules_9: 9;
}

#[tokio::test(start_paused = true)]
async fn schedules_that_once_failed() {
    let seeds = ONCE_FAILED.lines().filter(|line| !line.starts_with('#'));
    for seed in seeds {
        run(seed.parse().unwrap(), &mut Tally::default()).await;
    }
}

async fn run(seed: u64, tally: &mut Tally) {
    let plan = Plan::new(seed);
    let server = Server::new(plan.clone());
    let settings = S3StreamSettings {
        part_bytes: plan.part_bytes,
        concurrency: plan.concurrency,
        budget_bytes: plan.budget_bytes,
        attempts: plan.attempts,
        ..S3StreamSettings::default()
    };
    let store = S3Stream::builder(server.client(), "lake")
        .with_settings(settings)
        .build()
        .unwrap();
    let store = if seed.is_multiple_of(2) {
        store.request()
    } else {
        store
    };
    let reading = read(&store, &plan, &server);
    match tokio::time::timeout(NEVER, reading).await {
        Err(_elapsed) => panic!("seed {seed} hangs: {plan:?}"),
        Ok(Ok(Outcome::Exact)) => tally.exact += 1,
        Ok(Ok(Outcome::Dropped)) => tally.dropped += 1,
        Ok(Ok(Outcome::Wrong(what))) => panic!("seed {seed}: {what}: {plan:?}"),
        Ok(Err(_)) => tally.errors += 1,
    }
    // What is read to its end, fails or is dropped leaves no transfer behind.
    for _ in 0..100 {
        if server.open_bodies() == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(
        server.open_bodies(),
        0,
        "seed {seed} leaves bodies open: {plan:?}"
    );
}

enum Outcome {
    Exact,
    Dropped,
    Wrong(String),
}

async fn read(store: &S3Stream, plan: &Plan, server: &Server) -> Result<Outcome> {
    let key = Path::from("x");
    match &plan.operation {
        Operation::Whole => {
            let result = store.get(&key).await?;
            let (etag, size) = (result.meta.e_tag.clone(), result.meta.size);
            let bytes = collect(result).await?;
            Ok(judge(server, etag.as_deref(), |version| {
                version.bytes == bytes && size == bytes.len() as u64
            }))
        }
        Operation::Range(start, end) => {
            let bytes = store.get_range(&key, *start..*end).await?;
            Ok(judge(server, None, |version| {
                slice(version, *start, *end) == bytes
            }))
        }
        Operation::Ranges(ranges) => {
            let ranges: Vec<_> = ranges.iter().map(|(start, end)| *start..*end).collect();
            let all = store.get_ranges(&key, &ranges).await?;
            // A bare store pins each range by itself; only a view promises one version for all.
            let one_version = |version: &Version| {
                ranges
                    .iter()
                    .zip(&all)
                    .all(|(range, bytes)| slice(version, range.start, range.end) == *bytes)
            };
            if server.versions().len() > 1 && !plan.seed.is_multiple_of(2) {
                let each = ranges.iter().zip(&all).all(|(range, bytes)| {
                    server
                        .versions()
                        .iter()
                        .any(|version| slice(version, range.start, range.end) == *bytes)
                });
                return Ok(if each {
                    Outcome::Exact
                } else {
                    Outcome::Wrong("a range of no version".to_owned())
                });
            }
            Ok(judge(server, None, one_version))
        }
        Operation::Dropped(after) => {
            let mut stream = store.get(&key).await?.into_stream();
            let mut seen = BytesMut::new();
            while (seen.len() as u64) < *after {
                match stream.next().await {
                    Some(piece) => seen.extend_from_slice(&piece?),
                    None => break,
                }
            }
            // Whatever is ready now must be right as well.
            while let Some(Some(piece)) = stream.next().now_or_never() {
                seen.extend_from_slice(&piece?);
            }
            drop(stream);
            Ok(
                match judge(server, None, |version| version.bytes.starts_with(&seen)) {
                    Outcome::Exact => Outcome::Dropped,
                    other => other,
                },
            )
        }
    }
}

async fn collect(result: GetResult) -> Result<Bytes> {
    let mut stream = result.into_stream();
    let mut all = BytesMut::new();
    while let Some(piece) = stream.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all.freeze())
}

/// Whether there was a version, of this `ETag` if one is named, that fits.
fn judge(server: &Server, etag: Option<&str>, fits: impl Fn(&Version) -> bool) -> Outcome {
    let fit = server
        .versions()
        .iter()
        .any(|version| etag.is_none_or(|etag| etag == version.etag) && fits(version));
    if fit {
        Outcome::Exact
    } else {
        Outcome::Wrong("bytes of no version".to_owned())
    }
}

/// What a range of a version is: cut off at the version's end.
fn slice(version: &Version, start: u64, end: u64) -> Bytes {
    let length = version.bytes.len();
    let place = |place: u64| usize::try_from(place).unwrap().min(length);
    version.bytes.slice(place(start)..place(end))
}
