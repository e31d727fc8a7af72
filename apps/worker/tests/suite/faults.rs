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

use flowlake_data_action::{Answer, ErrorCode, Pipeline};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::house::{House, WorkerProcess, addresses, ask, resident_kib, rows};

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

/// Asks, and says whether there were rows.
async fn asked(pipeline: &Pipeline, expected: &Value) -> bool {
    blamed(ask(pipeline, "cluster", 0).await, expected)
}

/// Whether there were rows. They are the right ones, or a worker is to blame.
fn blamed(answer: Result<Answer, (ErrorCode, String)>, expected: &Value) -> bool {
    match answer {
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

/// Queries that are asked side by side, each over a connection of its own to one of the workers.
const LANES: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_never_taken_for_rows() {
    const KINDS: [Fault; 3] = [Fault::Flip, Fault::Replace, Fault::Cut];
    in_lanes("60s", faults(24), &KINDS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stalls_on_its_way_ends_with_the_time_limit() {
    in_lanes("5s", faults(4), &[Fault::Stall]).await;
}

/// Faults at random moments of a query: in its plan, its rows or its figures. Then nothing is left of them.
async fn in_lanes(timeout: &str, faults: u64, kinds: &[Fault]) {
    let house = House::build().await;
    let workers = house.workers(2);
    let lanes = LANES.min(faults);
    let mut ready = Vec::new();
    for lane in 0..lanes {
        let proxy = Proxy::start(workers[1].address.clone()).await;
        let addresses = [workers[0].address.as_str(), proxy.address.as_str()];
        let name = format!("desk-{lane}");
        let pipeline = house.pipeline(&name, &addresses, timeout).await;
        ready.push((proxy, pipeline));
    }
    let alone = house.pipeline("alone", &addresses(&workers), "60s").await;
    let expected = rows(&ask(&alone, "local-rows", 500).await.unwrap());
    for (_, pipeline) in &ready {
        until_answered(pipeline, &expected).await;
    }
    let resident = || -> Vec<u64> {
        let of_workers = workers.iter().map(WorkerProcess::resident_kib);
        of_workers.chain([resident_kib("self")]).collect()
    };
    let before = resident();
    let handle = tokio::runtime::Handle::current();
    let tasks = handle.metrics().num_alive_tasks();
    let mut running = JoinSet::new();
    for ((proxy, pipeline), lane) in ready.into_iter().zip(0..) {
        let kinds = kinds
            .iter()
            .copied()
            .cycle()
            .skip(usize::try_from(lane).unwrap());
        let share = (lane..faults)
            .step_by(usize::try_from(lanes).unwrap())
            .count();
        let kinds: Vec<Fault> = kinds.take(share).collect();
        running.spawn(in_lane(
            proxy,
            pipeline,
            expected.clone(),
            kinds,
            Numbers(13 + lane),
        ));
    }
    let answered: u64 = running.join_all().await.into_iter().sum();
    // One worker always answers: where time is left, the second try has somebody to ask.
    if !kinds.contains(&Fault::Stall) {
        assert!(answered * 2 >= faults, "{answered} of {faults}");
    }
    for (before, after) in before.into_iter().zip(resident()) {
        let grown = after.saturating_sub(before);
        assert!(grown < 200 << 10, "{grown} KiB more than {before}");
    }
    // Pipelines and proxies are gone, and with them all that they have started.
    let ended = async {
        while handle.metrics().num_alive_tasks() > tasks {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
    assert!(
        ended.is_ok(),
        "{} tasks",
        handle.metrics().num_alive_tasks()
    );
}

/// One fault after the other; how many queries were answered.
async fn in_lane(
    proxy: Proxy,
    pipeline: Pipeline,
    expected: Value,
    kinds: Vec<Fault>,
    mut numbers: Numbers,
) -> u64 {
    let mut answered = 0;
    let whole = proxy.passed_by(&pipeline, &expected).await;
    for kind in kinds {
        let to_worker = numbers.below(4) == 0;
        let after = numbers.below(whole[usize::from(to_worker)]);
        proxy.plan(kind, to_worker, after);
        answered += u64::from(asked_rows(&pipeline, &expected).await);
        proxy.plan(Fault::None, false, 0);
    }
    until_answered(&pipeline, &expected).await;
    answered
}

async fn until_answered(pipeline: &Pipeline, expected: &Value) {
    while !asked_rows(pipeline, expected).await {}
}

/// The same as [`asked`] of many rows.
async fn asked_rows(pipeline: &Pipeline, expected: &Value) -> bool {
    blamed(ask(pipeline, "cluster-rows", 500).await, expected)
}

/// What happens to bytes between a coordinator and a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// One bit is another one.
    Flip,
    /// All that follows is garbage.
    Replace,
    /// The connection ends.
    Cut,
    /// Nothing follows as long as this is planned.
    Stall,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    fault: Fault,
    to_worker: bool,
    /// The byte that it begins with.
    at: u64,
}

/// Passes connections on to a worker.
struct Proxy {
    address: String,
    plan: watch::Sender<Plan>,
    /// Bytes that came from the worker, and from the coordinator.
    passed: [Arc<AtomicU64>; 2],
    accepting: AbortHandle,
}

impl Proxy {
    async fn start(worker: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let plan = watch::Sender::new(Plan {
            fault: Fault::None,
            to_worker: false,
            at: 0,
        });
        let passed: [Arc<AtomicU64>; 2] = Default::default();
        let (planned, counted) = (plan.subscribe(), passed.clone());
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&worker).await else {
                    continue;
                };
                let ((from, to), (back, answer)) = (near.into_split(), far.into_split());
                let ways = [(back, to), (from, answer)];
                let ways = ways.into_iter().zip(&counted).zip([false, true]);
                for (((from, to), passed), to_worker) in ways {
                    let way = pass(from, to, planned.clone(), Arc::clone(passed), to_worker);
                    connections.spawn(way);
                }
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            plan,
            passed,
            accepting: accepting.abort_handle(),
        }
    }

    /// Plans a fault this many bytes from now on.
    fn plan(&self, fault: Fault, to_worker: bool, after: u64) {
        let at = self.passed[usize::from(to_worker)].load(Relaxed) + after;
        self.plan.send_replace(Plan {
            fault,
            to_worker,
            at,
        });
    }

    /// Bytes of one query, from the worker and to it.
    async fn passed_by(&self, pipeline: &Pipeline, expected: &Value) -> [u64; 2] {
        let passed = || [0, 1].map(|way: usize| self.passed[way].load(Relaxed));
        loop {
            let before = passed();
            if asked_rows(pipeline, expected).await {
                let after = passed();
                return [0, 1].map(|way: usize| (after[way] - before[way]).max(1));
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut planned: watch::Receiver<Plan>,
    passed: Arc<AtomicU64>,
    to_worker: bool,
) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        let plan = *planned.borrow_and_update();
        let before = passed.fetch_add(read as u64, Relaxed);
        let place = usize::try_from(plan.at.saturating_sub(before)).unwrap();
        if plan.to_worker == to_worker && place < read {
            match plan.fault {
                Fault::None => {}
                Fault::Flip if plan.at < before => {}
                Fault::Flip => buffer[place] ^= 1 << (place % 8),
                Fault::Replace => {
                    for (number, byte) in buffer[place..read].iter_mut().enumerate() {
                        *byte = u8::try_from(number * 167 % 251).unwrap();
                    }
                }
                Fault::Cut => break,
                Fault::Stall => {
                    let ended = planned.wait_for(|plan| plan.fault != Fault::Stall).await;
                    if ended.is_err() {
                        break;
                    }
                }
            }
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}
