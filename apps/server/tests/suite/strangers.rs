//! Requests without valid credentials: slowed, counted and audited, and nobody else pays for them.

use std::time::Duration;

use futures::future::join_all;

use crate::support::{KEY, Setting, look_up, now};

const WRONG: &str = "another-key-of-some-length";

#[tokio::test]
async fn wrong_keys_wait_longer_each_time_and_the_right_one_never() {
    let setting = Setting::start(|_| {}).await;
    let mut waits = Vec::new();
    for _ in 0..4 {
        let start = now();
        let reply = setting.send(look_up(WRONG)).await.unwrap();
        assert_eq!(reply.status, 401, "{reply:?}");
        waits.push(start.elapsed());
        let start = now();
        setting.answers("a wrong key").await;
        assert!(
            start.elapsed() < Duration::from_millis(500),
            "{:?}",
            start.elapsed()
        );
    }
    for (wait, least) in waits.iter().zip([100, 200, 400, 800]) {
        assert!(*wait >= Duration::from_millis(least), "{waits:?}");
    }
}

#[tokio::test]
async fn three_hundred_wrong_keys_are_counted_and_recorded_and_callers_are_answered() {
    let setting = Setting::start(|config| config.server.max_connections_per_address = 400).await;
    let guesses = (0..300).map(|guess| {
        let request = look_up(&format!("{WRONG}-{guess}"));
        let setting = &setting;
        async move { setting.send(request).await.unwrap() }
    });
    let caller = async {
        for _ in 0..10 {
            let start = now();
            setting.answers("guesses").await;
            assert!(
                start.elapsed() < Duration::from_secs(2),
                "{:?}",
                start.elapsed()
            );
        }
    };
    let (replies, ()) = tokio::join!(join_all(guesses), caller);
    let waited = replies.iter().filter(|reply| reply.status == 401).count();
    let turned_away = replies.iter().filter(|reply| reply.status == 429);
    for reply in turned_away.clone() {
        assert_eq!(reply.json()["error"]["code"], "request.rate_limited");
        assert_eq!(reply.header("retry-after"), Some("5"));
    }
    assert_eq!(waited + turned_away.count(), 300);
    // Sixteen at a time: some waits were over before the last guess came.
    assert!((1..=40).contains(&waited), "{waited} waited");
    let wrong = "flowlake_unauthorized_requests{credentials=\"wrong\"}";
    assert_eq!(setting.metric(wrong).await, 300.0);
    let records = crate::support::records(&setting.audit_folder());
    let strangers = |code: &str| code == "request.unauthorized";
    let first: Vec<_> = records
        .iter()
        .filter(|record| strangers(&record.code))
        .collect();
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(first[0].address.as_deref(), Some("127.0.0.1"));
    assert_eq!(first[0].http_status, Some(401));
    // What came after the first is in one record more, at the latest when the server stops.
    let folder = setting.audit_folder();
    setting.server.stop().await.unwrap();
    let records = crate::support::records(&folder);
    let counts: Vec<u64> = records
        .iter()
        .filter(|record| strangers(&record.code))
        .map(|record| {
            let message = record.message.as_deref().unwrap();
            message.rsplit(' ').next().unwrap().parse().unwrap()
        })
        .collect();
    assert_eq!(counts.iter().sum::<u64>(), 300, "{counts:?}");
    assert!(counts.len() <= 2, "{counts:?}");
    let text = serde_json::to_string(&records).unwrap();
    assert!(!text.contains(WRONG) && !text.contains(KEY));
}
