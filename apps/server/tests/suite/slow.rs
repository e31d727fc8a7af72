//! Peers that are silent, that drip, and that do not take their answers.

use std::time::Duration;

use tokio::{
    io::AsyncWriteExt,
    net::TcpSocket,
    time::{sleep, timeout},
};

use crate::support::{KEY, Setting, look_up, now};

const HEADER: Duration = Duration::from_millis(400);
const BODY: Duration = Duration::from_millis(600);
const IDLE: Duration = Duration::from_millis(1200);

/// Longer than any limit of this server, shorter than any that is not set.
const LONG: Duration = Duration::from_secs(8);

async fn impatient() -> Setting {
    Setting::start(|config| {
        config.server.header_timeout = HEADER;
        config.server.body_timeout = BODY;
        config.server.idle_timeout = IDLE;
    })
    .await
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let setting = impatient().await;
    for start in [
        "",
        "G",
        "GET /livez HTTP/1.1\r\nHost: x\r\n",
        "PRI * HTTP/2.0\r\n",
    ] {
        let mut peer = setting.connect().await;
        peer.write(start).await;
        let closed = peer.closed_within(LONG).await;
        assert!(
            closed.is_some_and(|closed| closed >= HEADER),
            "{start}: {closed:?}"
        );
    }
    assert!(
        setting
            .metric("flowlake_connections_closed{reason=\"header\"}")
            .await
            >= 4.0
    );
    // Those of operators are not counted.
    assert_eq!(setting.metric("flowlake_connections_open").await, 0.0);
}

#[tokio::test]
async fn a_dripping_head_is_cut_with_and_without_a_request_before() {
    let setting = impatient().await;
    for before in [None, Some(look_up(KEY))] {
        let mut peer = setting.connect().await;
        if let Some(before) = &before {
            peer.write(before).await;
            assert_eq!(peer.reply().await.unwrap().status, 200);
        }
        peer.write("GET /livez HTTP/1.1\r\nX-A: ").await;
        let start = now();
        while start.elapsed() < LONG && peer.write("a").await {
            if peer
                .closed_within(Duration::from_millis(50))
                .await
                .is_some()
            {
                break;
            }
        }
        assert!(
            start.elapsed() < Duration::from_secs(4),
            "{:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn a_connection_stays_open_between_requests_up_to_its_idle_time() {
    let setting = impatient().await;
    let mut peer = setting.connect().await;
    for _ in 0..3 {
        peer.write(look_up(KEY)).await;
        assert_eq!(peer.reply().await.unwrap().status, 200);
        sleep(HEADER + Duration::from_millis(200)).await;
    }
    let closed = peer.closed_within(LONG).await.unwrap();
    assert!(closed < IDLE + HEADER, "{closed:?}");
    assert_eq!(
        setting
            .metric("flowlake_connections_closed{reason=\"idle\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_dripping_body_is_refused_in_time_with_a_key_and_without() {
    let setting = impatient().await;
    for (key, status) in [(KEY, 408), ("another-key-of-some-length", 401)] {
        let mut peer = setting.connect().await;
        let start = now();
        peer.write(format!(
            "POST /v1/actions/look-up HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 1000\r\n\r\n{{"
        ))
        .await;
        let reply = loop {
            if let Ok(reply) = timeout(Duration::from_millis(100), peer.reply()).await {
                break reply.unwrap();
            }
            assert!(start.elapsed() < LONG);
            peer.write(" ").await;
        };
        assert_eq!(reply.status, status, "{reply:?}");
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{:?}",
            start.elapsed()
        );
        assert!(peer.closed_within(Duration::from_secs(2)).await.is_some());
    }
}

#[tokio::test]
async fn a_peer_that_takes_no_answer_is_cut() {
    let setting = impatient().await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(setting.address()).await.unwrap();
    // The largest answer there is, as often as it takes to fill the buffers of both sides.
    let question =
        format!("GET /v1/actions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    let questions = question.repeat(200);
    let start = now();
    while start.elapsed() < Duration::from_secs(20) {
        let written = stream.write_all(questions.as_bytes());
        match timeout(Duration::from_millis(200), written).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(_closed)) => break,
        }
    }
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "it is still open"
    );
    setting.answers("a peer that takes no answer").await;
    let closed = "flowlake_connections_closed{reason=\"idle\"}";
    assert_eq!(setting.metric(closed).await, 1.0);
}

#[tokio::test]
async fn connections_are_bounded_for_one_address() {
    let setting = Setting::start(|config| config.server.max_connections_per_address = 3).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut peer = setting.connect().await;
        peer.write(look_up(KEY)).await;
        assert_eq!(peer.reply().await.unwrap().status, 200);
        open.push(peer);
    }
    let mut fourth = setting.connect().await;
    let closed = fourth.closed_within(Duration::from_secs(2)).await;
    assert!(closed.is_some(), "the fourth connection is open");
    open.pop();
    sleep(Duration::from_millis(100)).await;
    setting.answers("one connection less").await;
    sleep(Duration::from_millis(100)).await;
    let refused = "flowlake_connections_refused{limit=\"address\"}";
    assert_eq!(setting.metric(refused).await, 1.0);
}

#[tokio::test]
async fn stopping_closes_idle_connections_at_once() {
    let setting = Setting::start(|_| {}).await;
    let mut idle = setting.connect().await;
    idle.write(look_up(KEY)).await;
    assert_eq!(idle.reply().await.unwrap().status, 200);
    let _silent = setting.connect().await;
    let start = now();
    setting.server.stop().await.unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
}
