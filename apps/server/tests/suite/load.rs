//! More requests than there is room for: look-ups in memory go on, reads wait or are refused at once.

use std::{num::NonZero, sync::mpsc, time::Duration};

use flowlake_data_action::{ClientSettings, Config, Sha256Hex};
use flowlake_dev_stack::Failure;
use flowlake_server::scan_runtime;
use sha2::{Digest, Sha256};
use tokio::{runtime::Builder, time::sleep};

use crate::support::{HOT, KEY, Reply, Setting, call, look_up, now};

/// How long a read takes while S3 is slow.
const SLOW: Duration = Duration::from_millis(800);

/// A server that reads one after the other, with this many waiting.
async fn narrow(queued: usize) -> Setting {
    Setting::start(|config| {
        config.server.max_concurrent_requests = 1;
        config.server.max_queued_requests = queued;
    })
    .await
}

/// Makes the next reads slow.
fn slow_down(setting: &Setting, reads: usize) {
    setting
        .stack
        .s3()
        .fail_next_of("GetObject", reads, Failure::Slow(SLOW));
}

/// Asks, and takes the time.
async fn timed(setting: &Setting, request: &str) -> (Reply, Duration) {
    let start = now();
    let reply = setting.send(request).await.unwrap();
    (reply, start.elapsed())
}

#[tokio::test]
async fn look_ups_in_memory_go_on_while_reads_wait() {
    let setting = narrow(1).await;
    let hot = call("hot-look-up");
    assert_eq!(setting.send(&hot).await.unwrap().status, 200);
    slow_down(&setting, 2);
    let read = look_up(KEY);
    let others = async {
        sleep(Duration::from_millis(200)).await;
        let running = "flowlake_requests_running{lane=\"reads\"}";
        assert_eq!(setting.metric(running).await, 1.0);
        let second = timed(&setting, &read);
        let third = async {
            sleep(Duration::from_millis(100)).await;
            let refused = timed(&setting, &read).await;
            // The look-up has room while one reads and one waits.
            let (looked_up, took) = timed(&setting, &hot).await;
            assert_eq!(looked_up.status, 200, "{looked_up:?}");
            assert!(took < SLOW / 2, "{took:?}");
            refused
        };
        tokio::join!(second, third)
    };
    let ((first, _), (second, (refused, refused_in))) =
        tokio::join!(timed(&setting, &read), others);
    assert_eq!((first.status, second.0.status), (200, 200), "{second:?}");
    assert!(second.1 > SLOW / 2, "{second:?}");
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.json()["error"]["code"], "server.overloaded");
    assert!(refused.header("retry-after").is_some());
    assert!(refused_in < SLOW / 4, "{refused_in:?}");
    let full = "flowlake_requests_refused{lane=\"reads\",reason=\"full\"}";
    assert_eq!(setting.metric(full).await, 1.0);
}

#[tokio::test]
async fn what_would_come_too_late_is_refused_at_once() {
    // The time limit of the action is two seconds, and a read takes nearly one.
    let setting = Setting::start(|config| {
        config.server.max_concurrent_requests = 1;
        config.server.max_queued_requests = 10;
    })
    .await;
    let read = call("short-look-up");
    slow_down(&setting, 20);
    let (first, took) = timed(&setting, &read).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert!(took >= SLOW, "{took:?}");
    let asked = (0..6).map(|number| {
        let (setting, read) = (&setting, &read);
        async move {
            sleep(Duration::from_millis(number * 20)).await;
            timed(setting, read).await
        }
    });
    let answers = futures::future::join_all(asked).await;
    let answered = answers.iter().filter(|(reply, _)| reply.status == 200);
    assert!((1..=2).contains(&answered.count()), "{answers:?}");
    let refused: Vec<_> = answers
        .iter()
        .filter(|(reply, _)| reply.status == 503)
        .collect();
    assert!(refused.len() >= 4, "{answers:?}");
    for (reply, took) in refused {
        assert!(*took < SLOW / 4, "{took:?} {reply:?}");
    }
    let late = "flowlake_requests_refused{lane=\"reads\",reason=\"late\"}";
    assert!(setting.metric(late).await >= 4.0);
}

#[tokio::test]
async fn scans_take_no_thread_of_look_ups_and_refusals() {
    let scans = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let bounds = |config: &mut Config| {
        config.server.max_concurrent_requests = 1;
        config.server.max_queued_requests = 0;
    };
    let setting = Setting::furnished(bounds, |builder| {
        builder.with_scans_on(scans.handle().clone())
    });
    let setting = setting.await.unwrap();
    let hot = call("hot-look-up");
    assert_eq!(setting.send(&hot).await.unwrap().status, 200);
    // The only thread of scans is busy until the test releases it.
    let (release, busy) = mpsc::channel::<()>();
    scans.spawn(async move { busy.recv() });
    let read = look_up(KEY);
    let others = async {
        sleep(Duration::from_millis(50)).await;
        for _ in 0..3 {
            let (looked_up, took) = timed(&setting, &hot).await;
            assert_eq!(looked_up.status, 200, "{looked_up:?}");
            assert!(took < SLOW, "{took:?}");
        }
        let (refused, took) = timed(&setting, &read).await;
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(took < SLOW, "{took:?}");
        assert_eq!(
            setting
                .metric("flowlake_requests_running{lane=\"reads\"}")
                .await,
            1.0
        );
        release.send(()).unwrap();
    };
    let (read, ()) = tokio::join!(setting.send(&read), others);
    assert_eq!(read.unwrap().status, 200);
    scans.shutdown_background();
}

#[tokio::test]
async fn computations_over_tables_in_memory_take_no_room_and_no_thread_of_look_ups() {
    let scans = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let bounds = |config: &mut Config| {
        config.server.max_concurrent_aggregates = 2;
        config.server.max_queued_requests = 1;
    };
    let setting = Setting::furnished(bounds, |builder| {
        builder.with_scans_on(scans.handle().clone())
    });
    let setting = setting.await.unwrap();
    let sum = HOT
        .replace("hot-look-up", "hot-count")
        .replace("SELECT name", "SELECT count(*) AS n")
        .replace("ani = $ani", "CAST(ani AS VARCHAR) <> $ani");
    setting.write_action("hot-count", &sum);
    setting.reload(bounds).unwrap();
    let (look_up, aggregate) = (call("hot-look-up"), call("hot-count"));
    for question in [&look_up, &aggregate] {
        let answer = setting.send(question).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // The only thread of scans is busy until the test releases it.
    let (release, busy) = mpsc::channel::<()>();
    scans.spawn(async move { busy.recv() });
    let others = async {
        let start = now();
        loop {
            let figure = async |name: &str| {
                let name = format!("flowlake_requests_{name}{{lane=\"aggregates\"}}");
                setting.metric(&name).await
            };
            if (figure("running").await, figure("queued").await) == (2.0, 1.0) {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(20));
            sleep(Duration::from_millis(10)).await;
        }
        let refused = setting.send(&aggregate).await.unwrap();
        assert_eq!(refused.json()["error"]["code"], "server.overloaded");
        for _ in 0..3 {
            let looked_up = setting.send(&look_up).await.unwrap();
            assert_eq!(looked_up.status, 200, "{looked_up:?}");
        }
        release.send(()).unwrap();
    };
    let aggregates = [(); 3].map(|()| setting.send(&aggregate));
    let aggregates = futures::future::join_all(aggregates);
    let (aggregates, ()) = tokio::join!(aggregates, others);
    for answer in aggregates {
        let answer = answer.unwrap();
        assert_eq!(answer.json()["data"][0]["n"], 1, "{answer:?}");
    }
    scans.shutdown_background();
}

#[test]
fn threads_of_scans_have_a_lower_priority_than_others() {
    let scans = scan_runtime().unwrap();
    let niceness = || -> i32 {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        // After the name, in parentheses: the state is the third field, the niceness the nineteenth.
        let fields = stat.rsplit_once(')').unwrap().1;
        fields.split_whitespace().nth(16).unwrap().parse().unwrap()
    };
    let own = niceness();
    let (worker, decoder) = scans.block_on(async {
        let worker = tokio::spawn(async move { niceness() });
        let decoder = tokio::task::spawn_blocking(niceness);
        (worker.await.unwrap(), decoder.await.unwrap())
    });
    assert_eq!((worker, decoder), (own.max(9), own.max(9)));
    assert_eq!(niceness(), own);
}

#[tokio::test]
async fn a_client_that_floods_is_refused_before_others_are() {
    let key = "key-of-another-client-4711";
    let setting = Setting::start(|config| {
        config.server.max_concurrent_requests = 1;
        config.server.max_queued_requests = 2;
        let mut client = ClientSettings::unbound("others");
        client.keys_sha256 = vec![Sha256Hex(Sha256::digest(key).into())];
        client.weight = NonZero::new(2);
        config.server.clients = vec![client];
    })
    .await;
    slow_down(&setting, 1);
    let flood = (0..4).map(|number| {
        let setting = &setting;
        async move {
            sleep(Duration::from_millis(100 + number * 20)).await;
            timed(setting, &look_up(KEY)).await
        }
    });
    let other = async {
        sleep(Duration::from_millis(300)).await;
        timed(&setting, &look_up(key)).await
    };
    let (flood, (other, _)) = tokio::join!(futures::future::join_all(flood), other);
    assert_eq!(other.status, 200, "{other:?}");
    let mut answers: Vec<_> = flood.iter().map(|(reply, _)| reply.status).collect();
    answers.sort_unstable();
    assert_eq!(answers, [200, 200, 503, 503], "{flood:?}");
}
