//! Which callers get a connection when too many want one.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpSocket, TcpStream},
    time::sleep,
};

use crate::support::{
    KEY, Peer, Setting, look_up, now,
    program::{Program, program_config},
};

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A connection from an address of this machine.
async fn connect_from(from: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let setting = Setting::start(|config| {
        config.server.max_connections = 8;
        config.server.max_connections_per_address = 4;
    })
    .await;
    let mut known = setting.connect().await;
    known.write(look_up(KEY)).await;
    assert_eq!(known.reply().await.unwrap().status, 200);
    let mut silent = Vec::new();
    for from in ["127.0.0.2", "127.0.0.3", "127.0.0.4"] {
        for _ in 0..6 {
            silent.push(connect_from(from, setting.address()).await);
        }
    }
    setting
        .answers("silent connections of three addresses")
        .await;
    // Nor do they from their own address.
    let mut peer = Peer::over(connect_from("127.0.0.4", setting.address()).await);
    peer.write(look_up(KEY)).await;
    assert_eq!(peer.reply().await.unwrap().status, 200);
    assert_eq!(setting.operators("/readyz").await.status, 200);
    let displaced = "flowlake_connections_closed{reason=\"displaced\"}";
    assert!(setting.metric(displaced).await >= 10.0);
    // One that has proved itself keeps its connection.
    known.write(look_up(KEY)).await;
    assert_eq!(known.reply().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_server_without_a_seat_is_not_ready() {
    let setting = Setting::start(|config| config.server.max_connections = 2).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut peer = setting.connect().await;
        peer.write(look_up(KEY)).await;
        assert_eq!(peer.reply().await.unwrap().status, 200);
        open.push(peer);
    }
    let ready = setting.operators("/readyz").await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.contains("no further connection"), "{ready:?}");
    let first = &mut open[0];
    first.write("GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(first.reply().await.unwrap().status, 503);
    let mut third = setting.connect().await;
    assert!(third.closed_within(LONG).await.is_some());
    open.pop();
    let start = now();
    while setting.operators("/readyz").await.status != 200 {
        assert!(start.elapsed() < LONG, "it stays unready");
        sleep(Duration::from_millis(10)).await;
    }
    setting.answers("a seat that is free again").await;
}

#[tokio::test]
async fn a_lack_of_file_handles_fills_no_log() {
    let setting = Setting::start(|_| {}).await;
    let config = program_config(&setting);
    let program = Program::start_within("ulimit -n 64;", &setting, &config);
    let address = |url: &str| -> SocketAddr {
        let authority = url.split('/').nth(2).unwrap();
        authority.parse().unwrap()
    };
    // A connection of operators that is open already needs no handle more.
    let mut operators = Peer::connect(address(&program.operators)).await;
    let mut failures = async || {
        operators
            .write("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            .await;
        let reply = operators.reply().await.unwrap();
        let name = "flowlake_accept_failures ";
        let value = reply.body.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().trim().parse::<f64>().unwrap()
    };
    assert_eq!(failures().await, 0.0);
    // It was to be seen at the start.
    let at_start = program.log.lock().unwrap().clone();
    assert!(at_start.contains("may open 64 files"), "{at_start}");
    let mut open = Vec::new();
    for _ in 0..80 {
        open.push(TcpStream::connect(address(&program.url)).await.unwrap());
    }
    let start = now();
    while failures().await < 20.0 {
        assert!(start.elapsed() < LONG, "accepting does not fail");
        sleep(Duration::from_millis(20)).await;
    }
    let log = program.log.lock().unwrap().clone();
    let lines = log.matches("cannot accept connections").count();
    assert!((1..=2).contains(&lines), "{log}");
    drop(open);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let question = client.post(&program.url).bearer_auth(KEY);
    let answer = question.body("{\"ani\": \"100\"}").send().await.unwrap();
    assert_eq!(answer.status(), 200);
}
