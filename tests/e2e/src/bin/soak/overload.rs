//! Five times as many requests as the server can answer: it goes on answering about as many, and refuses the rest at once.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::{
    caller::{Caller, now, percentile},
    goals::Goals,
    house::{House, seconds_in_all},
};

/// Rows of a scan: enough that the scans, and not the refusals beside them, use up the processors.
const CALLS: u64 = 1_000_000;
/// Requests that the server reads for at a time.
const ROOM: u64 = 4;
/// How many times its capacity is asked for.
const TIMES: f64 = 5.0;
/// The part of the peak that has to be answered still.
const LEAST_GOODPUT: f64 = 0.9;
/// The longest that a refusal may take, at its 99th percentile.
const REFUSED_WITHIN_MS: f64 = 10.0;
/// Callers that send the flood.
const FLOODING: u32 = 64;

/// What was answered in a time.
struct Load {
    answered: u64,
    sent: u64,
    refused: Vec<Duration>,
    seconds: f64,
}

pub(crate) fn run(programs: &Path, folder: &Path, time: Duration) -> Result<()> {
    let server = format!(
        "max_concurrent_requests = {ROOM}\nmax_queued_requests = {ROOM}\nmax_connections_per_address = 512\n"
    );
    let house = House::build(programs, &folder.join("work"), CALLS, &server)?;
    let server = house.project.serve_with_log("warn")?;
    let ask = |caller: &Caller, load: &Mutex<Load>| -> Result<()> {
        let answered = caller.ask("seconds", &json!({}))?;
        let mut load = load.lock().unwrap_or_else(PoisonError::into_inner);
        load.sent += 1;
        match answered.status {
            200 => {
                let total = answered.body["data"][0]["total"].as_u64();
                ensure!(total == Some(seconds_in_all(CALLS)), "{}", answered.body);
                load.answered += 1;
            }
            503 => load.refused.push(answered.took),
            status => anyhow::bail!("{status}: {}", answered.body),
        }
        Ok(())
    };
    // As many callers as there is room for, one question after the other: the peak.
    let peak = measure(time, ROOM.try_into()?, None, &|load| {
        ask(&Caller::new(&server), load)
    })?;
    let capacity = peak.rate();
    println!("peak: {capacity:.1} answers a second");
    ensure!(
        peak.refused.is_empty(),
        "it refused what there was room for"
    );
    let callers: Vec<_> = (0..FLOODING).map(|_| Caller::new(&server)).collect();
    let next = AtomicU64::new(0);
    let mut flood = measure(time, FLOODING, Some(capacity * TIMES), &|load| {
        let place = next.fetch_add(1, Relaxed) % u64::from(FLOODING);
        ask(&callers[usize::try_from(place)?], load)
    })?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let offered = flood.sent as f64 / flood.seconds;
    let (goodput, refused) = (flood.rate(), flood.refused.len());
    let p99 = percentile(&mut flood.refused, 0.99);
    let share = goodput / capacity;
    println!(
        "overload: {offered:.1} a second asked ({:.1} times), {goodput:.1} answered ({:.0} % of the peak), {refused} refused in {p99:.1} ms at p99",
        offered / capacity,
        share * 100.0
    );
    ensure!(refused > 0, "nothing was refused: there was no overload");
    let mut goals = Goals::default();
    goals.check(
        "it answers 90 % of the peak at least",
        share >= LEAST_GOODPUT,
        &format!("{:.0} %", share * 100.0),
    );
    goals.check(
        "it refuses within 10 ms at p99",
        p99 < REFUSED_WITHIN_MS,
        &format!("{p99:.1} ms"),
    );
    goals.end()
}

impl Load {
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }
}

/// Asks by this many callers for a time; at a rate over all of them, or one question after the other.
fn measure(
    time: Duration,
    callers: u32,
    rate: Option<f64>,
    ask: &(dyn Fn(&Mutex<Load>) -> Result<()> + Sync),
) -> Result<Load> {
    let load = Mutex::new(Load {
        answered: 0,
        sent: 0,
        refused: Vec::new(),
        seconds: 0.0,
    });
    let began = now();
    let failed = AtomicBool::new(false);
    let pace = rate.map(|rate| Duration::from_secs_f64(f64::from(callers) / rate));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..callers)
            .map(|number| {
                let (load, failed) = (&load, &failed);
                scope.spawn(move || -> Result<()> {
                    // Evenly over one pace.
                    let mut due = began + pace.unwrap_or_default() * number / callers;
                    while began.elapsed() < time && !failed.load(Relaxed) {
                        if let Some(pace) = pace {
                            thread::sleep(due.saturating_duration_since(now()));
                            due += pace;
                        }
                        ask(load).inspect_err(|_| failed.store(true, Relaxed))?;
                    }
                    Ok(())
                })
            })
            .collect();
        for thread in threads {
            if let Ok(result) = thread.join() {
                result?;
            }
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let mut load = load.into_inner().unwrap_or_else(PoisonError::into_inner);
    load.seconds = began.elapsed().as_secs_f64();
    Ok(load)
}
