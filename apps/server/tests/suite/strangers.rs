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

#[tokio::test]
async fn behind_a_trusted_proxy_each_caller_has_its_own_address() {
    let setting = Setting::start(|config| {
        config.server.trusted_proxies = vec!["127.0.0.0/8".to_owned().try_into().unwrap()];
        config.server.max_connections_per_address = 1;
    })
    .await;
    let guess = |headers: &str| look_up(WRONG).replacen("Host:", &format!("{headers}Host:"), 1);
    let guesses = [
        "X-Forwarded-For: 203.0.113.1\r\n",
        "X-Forwarded-For: 192.0.2.200, 203.0.113.2\r\n",
        "Forwarded: for=203.0.113.3\r\n",
        "",
    ];
    // At the same time: the connections of a proxy are not those of one caller, and no caller waits for the guesses of others.
    let start = now();
    let replies = join_all(guesses.map(|headers| setting.send(guess(headers)))).await;
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    for reply in replies {
        assert_eq!(reply.unwrap().status, 401);
    }
    let folder = setting.audit_folder();
    setting.server.stop().await.unwrap();
    let mut addresses: Vec<_> = crate::support::records(&folder)
        .into_iter()
        .filter_map(|record| record.address)
        .collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses, ["127.0.0.1", "203.0.113.1", "203.0.113.2"]);
}

#[tokio::test]
async fn a_header_of_anybody_changes_no_address() {
    let setting = Setting::start(|config| {
        config.server.trusted_proxies = vec!["10.0.0.0/8".to_owned().try_into().unwrap()];
    })
    .await;
    let guess = look_up(WRONG).replacen("Host:", "X-Forwarded-For: 203.0.113.1\r\nHost:", 1);
    assert_eq!(setting.send(guess).await.unwrap().status, 401);
    let folder = setting.audit_folder();
    setting.server.stop().await.unwrap();
    let records = crate::support::records(&folder);
    assert_eq!(records[0].address.as_deref(), Some("127.0.0.1"));
}
