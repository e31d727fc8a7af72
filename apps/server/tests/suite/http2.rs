//! HTTP/2 as a peer writes it that wants to harm: frames by hand.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::support::{KEY, Peer, Setting, now};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A header by name, neither indexed nor compressed.
fn header(name: &str, value: &str) -> Vec<u8> {
    let mut header = vec![0, u8::try_from(name.len()).unwrap()];
    header.extend(name.as_bytes());
    // Lengths of 127 and above take a second part (RFC 7541, 5.1).
    if value.len() < 127 {
        header.push(u8::try_from(value.len()).unwrap());
    } else {
        header.push(127);
        let mut rest = value.len() - 127;
        while rest >= 128 {
            header.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        header.push(u8::try_from(rest).unwrap());
    }
    header.extend(value.as_bytes());
    header
}

fn get(path: &str) -> Vec<u8> {
    [
        header(":method", "GET"),
        header(":scheme", "http"),
        header(":path", path),
        header(":authority", "flowlake"),
        header("authorization", &format!("Bearer {KEY}")),
    ]
    .concat()
}

async fn greet(setting: &Setting) -> Peer {
    let mut peer = setting.connect().await;
    peer.write(PREFACE).await;
    peer.write(frame(SETTINGS, 0, 0, &[])).await;
    peer
}

/// The kinds of frames that come until the server closes or says that it will, and whether it did.
async fn until_closed(peer: &mut Peer, limit: Duration) -> (Vec<u8>, bool) {
    let mut kinds = Vec::new();
    let read = async {
        loop {
            let mut head = [0; 9];
            if peer.stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            if peer.stream.read_exact(&mut payload).await.is_err() {
                return;
            }
            kinds.push(head[3]);
            if head[3] == GOAWAY {
                return;
            }
        }
    };
    let closed = tokio::time::timeout(limit, read).await.is_ok();
    (kinds, closed)
}

#[tokio::test]
async fn a_plain_request_is_answered() {
    let setting = Setting::start(|_| {}).await;
    let mut peer = greet(&setting).await;
    let flags = END_STREAM | END_HEADERS;
    peer.write(frame(HEADERS, flags, 1, &get("/v1/actions")))
        .await;
    let (kinds, _) = until_closed(&mut peer, Duration::from_secs(1)).await;
    assert!(
        kinds.contains(&HEADERS) && kinds.contains(&DATA),
        "{kinds:?}"
    );
}

#[tokio::test]
async fn floods_end_the_connection() {
    let setting = Setting::start(|_| {}).await;
    let flags = END_STREAM | END_HEADERS;
    let cancel = 8_u32.to_be_bytes();
    let resets = (0..2000_u32).flat_map(|number| {
        let stream = 2 * number + 1;
        let request = frame(HEADERS, flags, stream, &get("/v1/actions"));
        [request, frame(RST_STREAM, 0, stream, &cancel)].concat()
    });
    let continued = (0..2000).flat_map(|_| {
        let more = header("x-more", &"y".repeat(100));
        frame(CONTINUATION, 0, 1, &more)
    });
    let large = header("x-large", &"y".repeat(15_000));
    for (name, bytes) in [
        ("streams that are reset", resets.collect()),
        (
            "headers without an end",
            [
                frame(HEADERS, 0, 1, &get("/v1/actions")),
                continued.collect(),
            ]
            .concat(),
        ),
        (
            "a frame on a stream that is not open",
            frame(DATA, 0, 7, b"x"),
        ),
        ("a ping of a wrong size", frame(PING, 0, 0, b"x")),
        (
            "a frame beyond the size that is allowed",
            frame(HEADERS, flags, 1, &[0; 20_000]),
        ),
        (
            "no headers but rubbish",
            frame(HEADERS, flags, 1, &[0xff; 100]),
        ),
        ("an even stream", frame(HEADERS, flags, 2, &get("/livez"))),
    ] {
        let mut peer = greet(&setting).await;
        peer.write(&bytes).await;
        let (kinds, closed) = until_closed(&mut peer, Duration::from_secs(5)).await;
        assert!(closed, "{name}: {kinds:?}");
        setting.answers(name).await;
    }
    // Headers beyond the bound cost their own request alone.
    let mut peer = greet(&setting).await;
    let headers = [get("/v1/actions"), large.clone(), large].concat();
    for (number, part) in headers.chunks(16_000).enumerate() {
        let kind = if number == 0 { HEADERS } else { CONTINUATION };
        let last = (number + 1) * 16_000 >= headers.len();
        let flags = if last { END_HEADERS } else { 0 } | if number == 0 { END_STREAM } else { 0 };
        peer.write(frame(kind, flags, 1, part)).await;
    }
    let (kinds, _) = until_closed(&mut peer, Duration::from_secs(1)).await;
    assert!(!kinds.contains(&DATA), "{kinds:?}");
    setting.answers("large headers").await;
}

#[tokio::test]
async fn settings_and_pings_do_not_keep_a_connection_open() {
    let setting = Setting::start(|config| {
        config.server.header_timeout = Duration::from_millis(400);
        config.server.idle_timeout = Duration::from_millis(400);
    })
    .await;
    for (name, part) in [
        ("settings", frame(SETTINGS, 0, 0, &[])),
        ("pings", frame(PING, 0, 0, &[0; 8])),
        // More than a byte a millisecond, which is how slowly an answer may be taken.
        ("many pings", frame(PING, 0, 0, &[0; 8]).repeat(20)),
    ] {
        for asks_first in [false, true] {
            let mut peer = greet(&setting).await;
            if asks_first {
                let flags = END_STREAM | END_HEADERS;
                peer.write(frame(HEADERS, flags, 1, &get("/livez"))).await;
            }
            let start = now();
            loop {
                if !peer.write(&part).await {
                    break;
                }
                let (_, closed) = until_closed(&mut peer, Duration::from_millis(50)).await;
                if closed {
                    break;
                }
                assert!(start.elapsed() < Duration::from_secs(8), "{name}");
            }
        }
        setting.answers(name).await;
    }
}
