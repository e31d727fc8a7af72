//! More requests than there is room for: look-ups in memory go on, reads wait or are refused at once.

use std::time::Duration;

use flowlake_dev_stack::Failure;
use tokio::time::sleep;

use crate::support::{KEY, Reply, Setting, call, look_up, now};

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
