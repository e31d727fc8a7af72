//! Workers that are killed, stall or answer garbage while a query runs: right rows or a clear error in time, never wrong rows, and
//! nothing that stays behind on the others.
//!
//! `FLOWLAKE_CLUSTER_FAULTS` says how many faults there are; a few in the ordinary run.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use flowlake_data_action::{ErrorCode, Pipeline};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::house::{House, addresses, ask, rows};

/// Numbers that look random, and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how much to do, which only the caller of the test knows"
)]
fn faults(few: u64) -> u64 {
    let set = std::env::var("FLOWLAKE_CLUSTER_FAULTS");
    set.map_or(few, |text| text.parse().unwrap())
}

/// Asks, and says whether there were rows. They are the right ones, or a worker is to blame.
async fn asked(pipeline: &Pipeline, expected: &Value) -> bool {
    match ask(pipeline, "cluster", 0).await {
        Ok(answer) => {
            assert_eq!(rows(&answer), *expected);
            true
        }
        Err((code, message)) => {
            let blamed = [
                ErrorCode::ClusterWorkerLost,
                ErrorCode::ClusterWorkerRefused,
                ErrorCode::LimitTimeout,
            ];
            assert!(blamed.contains(&code), "{code}: {message}");
            false
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_worker_gives_right_rows_or_a_clear_error() {
    let house = House::build().await;
    let mut workers = house.workers(3);
    let addresses: Vec<String> = workers
        .iter()
        .map(|worker| worker.address.clone())
        .collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let pipeline = house.pipeline("desk", &addresses, "60s").await;
    let expected = rows(&ask(&pipeline, "local", 0).await.unwrap());
    assert!(asked(&pipeline, &expected).await);
    let before = workers[0].resident_kib();
    let mut numbers = Numbers(7);
    let mut answered = 0;
    let all = faults(4);
    for _ in 0..all {
        let (wait, victim) = (numbers.below(120), 1 + numbers.below(2));
        let running = asked(&pipeline, &expected);
        let killing = async {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            workers[usize::try_from(victim).unwrap()].replace();
        };
        let (had_rows, ()) = tokio::join!(running, killing);
        answered += u64::from(had_rows);
    }
    // One worker is never killed: the second try has somebody to ask.
    assert!(answered * 2 >= all, "{answered} of {all}");
    assert!(asked(&pipeline, &expected).await);
    let grown = workers[0].resident_kib().saturating_sub(before);
    assert!(grown < 200 << 10, "{grown} KiB more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_worker_ends_with_the_time_limit() {
    let house = House::build().await;
    let workers = house.workers(2);
    let addresses = addresses(&workers);
    let pipeline = house.pipeline("desk", &addresses, "5s").await;
    let expected = rows(&ask(&pipeline, "local", 0).await.unwrap());
    let mut numbers = Numbers(11);
    for _ in 0..faults(1) {
        let wait = numbers.below(100);
        let running = asked(&pipeline, &expected);
        let stalling = async {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            workers[1].signal("-STOP");
        };
        tokio::join!(running, stalling);
        workers[1].signal("-CONT");
    }
    while !asked(&pipeline, &expected).await {}
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_never_taken_for_rows() {
    let house = House::build().await;
    let workers = house.workers(2);
    let clean = Arc::new(AtomicU64::new(u64::MAX));
    let broken = proxy(workers[1].address.clone(), Arc::clone(&clean)).await;
    let addresses = [workers[0].address.as_str(), broken.as_str()];
    let pipeline = house.pipeline("desk", &addresses, "60s").await;
    let expected = rows(&ask(&pipeline, "local", 0).await.unwrap());
    assert!(asked(&pipeline, &expected).await);
    let mut numbers = Numbers(13);
    for _ in 0..faults(5) {
        // Garbage begins before the first rows. Inside a message of rows it can end the process: docs/cluster.md says so.
        clean.store(numbers.below(200), Relaxed);
        asked(&pipeline, &expected).await;
    }
    clean.store(u64::MAX, Relaxed);
    while !asked(&pipeline, &expected).await {}
}

/// Passes connections on to a worker. What the worker says is passed on for as many bytes as `clean` says, and then is garbage.
async fn proxy(worker: String, clean: Arc<AtomicU64>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let Ok(far) = TcpStream::connect(&worker).await else {
                continue;
            };
            let clean = Arc::clone(&clean);
            tokio::spawn(async move {
                let ((mut from, mut to), (mut back, mut answer)) =
                    (near.into_split(), far.into_split());
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut answer).await });
                let mut buffer = vec![0; 16 << 10];
                while let Ok(read) = back.read(&mut buffer).await {
                    if read == 0 {
                        break;
                    }
                    let left = clean.load(Relaxed);
                    if left < u64::MAX {
                        let good = usize::try_from(left).unwrap().min(read);
                        clean.store(left - good as u64, Relaxed);
                        for (place, byte) in buffer[good..read].iter_mut().enumerate() {
                            *byte = u8::try_from(place * 167 % 251).unwrap();
                        }
                    }
                    if to.write_all(&buffer[..read]).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    address
}
