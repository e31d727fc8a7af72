//! One server takes another's place, and the service manager is notified of the program's state.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{KEY, Setting, records};

/// A server that others may listen beside.
async fn shared(port: u16) -> Setting {
    Setting::start(|config| {
        config.server.listen = format!("127.0.0.1:{port}");
        config.server.reuse_port = true;
        config.server.shutdown_drain_seconds = 1;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_replaced_and_no_request_fails() {
    let old = shared(0).await;
    let port = old.address().port();
    let url = format!("http://127.0.0.1:{port}/v1/actions/look-up");
    let done = Arc::new(AtomicBool::new(false));
    let callers = (0..4).map(|number| {
        // Half of them begin a connection for each request.
        let client = Client::builder().no_proxy();
        let client = client.pool_max_idle_per_host(number % 2);
        let client = client.build().unwrap();
        let (url, done) = (url.clone(), Arc::clone(&done));
        tokio::spawn(async move {
            let mut requests = 0;
            while !done.load(Relaxed) {
                let question = client.post(&url).bearer_auth(KEY);
                let answer = question.json(&json!({ "ani": "100" })).send().await;
                let answer: Value = answer.unwrap().json().await.unwrap();
                assert_eq!(answer["data"][0]["name"], "Ana", "{answer}");
                requests += 1;
            }
            requests
        })
    });
    let callers: Vec<_> = callers.collect();
    sleep(Duration::from_millis(300)).await;
    let new = shared(port).await;
    let old_audit = old.audit_folder();
    let Setting { server, folder, .. } = old;
    server.stop().await.unwrap();
    let by_old = records(&old_audit).len();
    sleep(Duration::from_millis(300)).await;
    done.store(true, Relaxed);
    let mut requests = 0;
    for caller in callers {
        requests += caller.await.unwrap();
    }
    let by_new = records(&new.audit_folder()).len();
    assert!(by_old > 0 && by_new > 0, "{by_old} and {by_new}");
    assert_eq!(by_old + by_new, requests);
    drop(folder);
}

#[tokio::test]
async fn two_servers_do_not_share_an_address_unasked() {
    let first = Setting::start(|_| {}).await;
    let listen = first.address().to_string();
    let second = Setting::try_start(|config| config.server.listen = listen).await;
    let error = second.map(drop).unwrap_err();
    assert!(error.message().contains("cannot listen on"), "{error}");
}

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
require_key = false
[aws]
region = "us-east-1"
[policy]
allow = ["s3://lake/*"]
"#;

#[test]
fn a_service_manager_is_notified_when_the_program_answers_and_when_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("flowlake.toml"), CONFIG).unwrap();
    let place = folder.path().join("notify");
    let manager = UnixDatagram::bind(&place).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let told = || {
        let mut message = [0; 64];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let mut program = Command::new(env!("CARGO_BIN_EXE_flowlake-server"))
        .arg("--config")
        .arg(folder.path())
        .env("NOTIFY_SOCKET", &place)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(told(), "READY=1");
    // SIGHUP is for the certificate, of which there is none: it goes on.
    let signal = |name: &str| {
        let sent = Command::new("kill")
            .args([name, &program.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    };
    signal("-HUP");
    std::thread::sleep(Duration::from_millis(200));
    signal("-TERM");
    assert_eq!(told(), "STOPPING=1");
    assert!(program.wait().unwrap().success());
}

#[test]
fn a_socket_that_a_service_manager_holds_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("flowlake.toml"), CONFIG).unwrap();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let start = |socket: OwnedFd, sockets: u8| {
        // The manager hands it over as the third, and names the process that it is for.
        let hand_over = format!(
            "exec 3<&0 4<&0; LISTEN_PID=$$ LISTEN_FDS={sockets} exec \"$0\" --config \"$1\""
        );
        Command::new("sh")
            .args(["-c", &hand_over, env!("CARGO_BIN_EXE_flowlake-server")])
            .arg(folder.path())
            .stdin(socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let refused = start(socket.try_clone().unwrap().into(), 2).wait().unwrap();
    assert_eq!(refused.code(), Some(2), "two sockets were taken");
    let mut program = start(socket.try_clone().unwrap().into(), 1);
    // A connection of before the start waits, and is answered.
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let mut said = String::new();
    BufReader::new(program.stdout.take().unwrap())
        .read_line(&mut said)
        .unwrap();
    assert_eq!(said.trim(), format!("listening on http://{address}"));
    let id = program.id().to_string();
    assert!(Command::new("kill").arg(id).status().unwrap().success());
    assert!(program.wait().unwrap().success());
}
