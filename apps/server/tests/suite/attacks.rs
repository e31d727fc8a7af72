//! Requests that are meant to harm, each in one connection: what the server says to them, and that it goes on.

use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;

use crate::support::{KEY, Reply, Setting, look_up, post, records};

/// What an attack has to meet.
#[derive(Debug, Clone, Copy)]
enum Met {
    /// This status, as JSON of ours.
    Refused(u16),
    /// This status of the HTTP library, or a connection that ends.
    Broken(u16),
}
use Met::{Broken, Refused};

/// The key, and what else a request for a look-up has.
fn keyed(headers: &str, body: &str) -> String {
    let headers = format!("Authorization: Bearer {KEY}\r\n{headers}");
    post("/v1/actions/look-up", &headers, body)
}

fn json(body: &str) -> String {
    keyed("Content-Type: application/json\r\n", body)
}

fn path(path: &str) -> String {
    let headers = format!("Authorization: Bearer {KEY}\r\n");
    post(path, &headers, "{\"ani\": \"100\"}")
}

/// A head alone, with the key.
fn head(line: &str, headers: &str) -> String {
    format!("{line}\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{headers}\r\n")
}

type Attack = (&'static str, String, Met);

/// The client that may call.
fn of_strangers() -> Vec<Attack> {
    vec![
        (
            "no key",
            post("/v1/actions/look-up", "", "{}"),
            Refused(401),
        ),
        (
            "another key",
            look_up("another-key-of-some-length"),
            Refused(401),
        ),
        ("an empty key", look_up(""), Refused(401)),
        ("a key and more", look_up(&format!("{KEY}x")), Refused(401)),
        (
            "a part of a key",
            look_up(&KEY[..KEY.len() - 1]),
            Refused(401),
        ),
        (
            "two keys in one header",
            look_up(&format!("{KEY}, x")),
            Refused(401),
        ),
        (
            "another scheme",
            post(
                "/v1/actions/look-up",
                &format!("Authorization: Basic {KEY}\r\n"),
                "{}",
            ),
            Refused(401),
        ),
        (
            "the key in the query",
            post(&format!("/v1/actions/look-up?access_token={KEY}"), "", "{}"),
            Refused(401),
        ),
        (
            "two Authorization headers",
            keyed("Authorization: Bearer another\r\n", "{}"),
            Refused(400),
        ),
        (
            "a name that a proxy would set",
            post("/v1/actions/look-up", "X-Forwarded-User: tests\r\n", "{}"),
            Refused(401),
        ),
        (
            "metrics, which are for operators",
            head("GET /metrics HTTP/1.1", ""),
            Refused(404),
        ),
        (
            "the profile, which is for operators",
            head("GET /v1/profiler HTTP/1.1", ""),
            Refused(404),
        ),
        (
            "the configuration, which is for operators",
            head("GET /v1/config HTTP/1.1", ""),
            Refused(404),
        ),
    ]
}

/// Request lines and headers.
fn of_heads() -> Vec<Attack> {
    let long = "x".repeat(70_000);
    let many: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    vec![
        (
            "no Host",
            format!("GET /v1/actions HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\n\r\n"),
            Refused(400),
        ),
        (
            "two Hosts",
            head("GET /v1/actions HTTP/1.1", "Host: y\r\n"),
            Refused(400),
        ),
        ("HTTP/0.9", "GET /livez\r\n".to_owned(), Broken(400)),
        (
            "HTTP/3.0 as text",
            head("GET /livez HTTP/3.0", ""),
            Broken(400),
        ),
        (
            "no HTTP at all",
            "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
            Broken(400),
        ),
        (
            "a folded header",
            head("GET /livez HTTP/1.1", "X-A: b\r\n c\r\n"),
            Broken(400),
        ),
        (
            "a blank before the colon",
            head("GET /livez HTTP/1.1", "X-A : b\r\n"),
            Broken(400),
        ),
        (
            "a zero in a header",
            head("GET /livez HTTP/1.1", "X-A: \0\r\n"),
            Broken(400),
        ),
        (
            "a zero in the path",
            head("GET /livez\0 HTTP/1.1", ""),
            Broken(400),
        ),
        (
            "a long header",
            head("GET /livez HTTP/1.1", &format!("X-A: {long}\r\n")),
            Broken(431),
        ),
        (
            "many headers",
            head("GET /livez HTTP/1.1", &many),
            Broken(431),
        ),
        (
            "a long path",
            head(&format!("GET /{long} HTTP/1.1"), ""),
            Broken(431),
        ),
        (
            "a tunnel",
            head("CONNECT internal:80 HTTP/1.1", ""),
            Refused(404),
        ),
        ("TRACE", head("TRACE /livez HTTP/1.1", ""), Refused(405)),
        (
            "an unknown method",
            head("SUDO /v1/actions HTTP/1.1", ""),
            Refused(405),
        ),
        (
            "a method in a header",
            head(
                "GET /v1/actions/look-up HTTP/1.1",
                "X-HTTP-Method-Override: POST\r\n",
            ),
            Refused(400),
        ),
        (
            "OPTIONS of a page",
            head(
                "OPTIONS /v1/actions/look-up HTTP/1.1",
                "Access-Control-Request-Method: POST\r\n",
            ),
            Refused(405),
        ),
    ]
}

/// What a web page can make a browser send.
fn of_pages() -> Vec<Attack> {
    vec![
        (
            "a page of another origin",
            keyed("Origin: https://evil.example\r\n", "{\"ani\": \"100\"}"),
            Refused(403),
        ),
        (
            "a page without an origin",
            keyed("Origin: null\r\n", "{\"ani\": \"100\"}"),
            Refused(403),
        ),
        (
            "a page's fetch",
            keyed("Sec-Fetch-Site: cross-site\r\n", "{\"ani\": \"100\"}"),
            Refused(403),
        ),
        (
            "a page's form",
            keyed("Content-Type: text/plain\r\n", "{\"ani\": \"100\"}"),
            Refused(415),
        ),
    ]
}

/// Where a body ends.
fn of_lengths() -> Vec<Attack> {
    let long = "x".repeat(70_000);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let endless = format!("{}11000\r\n{long}", keyed_chunks(chunked));
    vec![
        (
            "two lengths",
            keyed("Content-Length: 4\r\n", "{\"ani\": \"100\"}"),
            Broken(400),
        ),
        (
            "a negative length",
            head(
                "POST /v1/actions/look-up HTTP/1.1",
                "Content-Length: -1\r\n",
            ),
            Broken(400),
        ),
        (
            "a length with a sign",
            head(
                "POST /v1/actions/look-up HTTP/1.1",
                "Content-Length: +2\r\n",
            ),
            Broken(400),
        ),
        (
            "a length in hexadecimal",
            head(
                "POST /v1/actions/look-up HTTP/1.1",
                "Content-Length: 0x2\r\n",
            ),
            Broken(400),
        ),
        (
            "a length beyond 2^64",
            head(
                "POST /v1/actions/look-up HTTP/1.1",
                "Content-Length: 18446744073709551617\r\n",
            ),
            Broken(400),
        ),
        (
            "a length of 2^62",
            head(
                "POST /v1/actions/look-up HTTP/1.1",
                "Content-Length: 4611686018427387904\r\n",
            ),
            Refused(413),
        ),
        ("a large body", json(&long), Refused(413)),
        ("a large body in chunks", endless, Refused(413)),
        (
            "a chunk of a huge size",
            format!("{}FFFFFFFFFFFFFFFFF\r\n", keyed_chunks(chunked)),
            Refused(400),
        ),
        (
            "a chunk without a size",
            format!("{}\r\n", keyed_chunks(chunked)),
            Refused(400),
        ),
        (
            "a chunk with a long extension",
            format!("{}1;{long}\r\n{{\r\n", keyed_chunks(chunked)),
            Refused(400),
        ),
        (
            "long trailers",
            format!(
                "{}2\r\n{{}}\r\n0\r\nX-A: {long}\r\n\r\n",
                keyed_chunks(chunked)
            ),
            Refused(400),
        ),
    ]
}

/// How a body is coded on its way.
fn of_codings() -> Vec<Attack> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    vec![
        (
            "an unknown coding",
            format!(
                "{}0\r\n\r\n",
                keyed_chunks("Transfer-Encoding: xchunked\r\n")
            ),
            Broken(400),
        ),
        (
            "two codings",
            format!(
                "{}2\r\n{{}}\r\n0\r\n\r\n",
                keyed_chunks("Transfer-Encoding: gzip, chunked\r\n")
            ),
            Refused(501),
        ),
        (
            "two codings in two headers",
            format!(
                "{}2\r\n{{}}\r\n0\r\n\r\n",
                keyed_chunks("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")
            ),
            Refused(501),
        ),
        (
            "chunked, and then more",
            format!(
                "{}0\r\n\r\n",
                keyed_chunks("Transfer-Encoding: chunked, identity\r\n")
            ),
            Broken(400),
        ),
        (
            "chunks in HTTP/1.0",
            format!(
                "POST /v1/actions/look-up HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n{chunked}\r\n0\r\n\r\n"
            ),
            Broken(400),
        ),
    ]
}

/// What a body holds.
fn of_bodies() -> Vec<Attack> {
    let deep = format!("{{\"ani\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    vec![
        (
            "a name twice",
            json("{\"ani\": \"100\", \"ani\": \"101\"}"),
            Refused(400),
        ),
        (
            "a name twice, once escaped",
            json("{\"ani\": \"100\", \"\\u0061ni\": \"101\"}"),
            Refused(400),
        ),
        ("deep JSON", json(&deep), Refused(400)),
        ("a list", json("[]"), Refused(400)),
        (
            "a number beyond all",
            json("{\"ani\": 1e999}"),
            Refused(400),
        ),
        ("NaN", json("{\"ani\": NaN}"), Refused(400)),
        ("two objects", json("{\"ani\": \"100\"} {}"), Refused(400)),
        ("a comment", json("{\"ani\": \"100\" /* */}"), Refused(400)),
        (
            "a byte order mark",
            json("\u{feff}{\"ani\": \"100\"}"),
            Refused(400),
        ),
        (
            "half a surrogate",
            json("{\"ani\": \"\\ud800\"}"),
            Refused(400),
        ),
        (
            "a compressed body",
            keyed("Content-Encoding: gzip\r\n", "\u{1f}"),
            Refused(415),
        ),
        (
            "an unknown parameter",
            json("{\"ani\": \"100\", \"admin\": true}"),
            Refused(400),
        ),
        (
            "SQL in a name",
            json("{\"ani\\\"; DROP TABLE customers\": 1}"),
            Refused(400),
        ),
    ]
}

/// Where a request goes.
fn of_paths() -> Vec<Attack> {
    vec![
        (
            "up and out",
            path("/v1/actions/../../metrics"),
            Refused(404),
        ),
        (
            "up and out, escaped",
            path("/v1/actions/%2e%2e%2f%2e%2e%2fmetrics"),
            Refused(404),
        ),
        ("two slashes", path("//v1//actions//look-up"), Refused(404)),
        (
            "a slash at the end",
            path("/v1/actions/look-up/"),
            Refused(404),
        ),
        ("another case", path("/V1/Actions/look-up"), Refused(404)),
        (
            "a zero at the end",
            path("/v1/actions/look-up%00"),
            Refused(404),
        ),
        (
            "a new line in the name",
            path("/v1/actions/look-up%0d%0aX-A:%20b"),
            Refused(404),
        ),
        (
            "a name that is no UTF-8",
            path("/v1/actions/%ff"),
            Refused(400),
        ),
        (
            "a parameter path",
            path("/v1/actions/look-up;admin=true"),
            Refused(404),
        ),
        ("a file of the system", path("/etc/passwd"), Refused(404)),
        (
            "an unknown query",
            path("/v1/actions/look-up?debug=true"),
            Refused(400),
        ),
    ]
}

/// The other doors to actions.
fn of_doors() -> Vec<Attack> {
    let origin = "Origin: https://evil.example\r\n";
    let keyed = |path: &str, headers: &str, body: &str| {
        let headers = format!("Authorization: Bearer {KEY}\r\n{headers}");
        post(path, &headers, body)
    };
    let call = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}"#;
    vec![
        (
            "a batch without a key",
            post("/v1/actions/look-up/batch", "", "[{}]"),
            Refused(401),
        ),
        (
            "a batch of a page",
            keyed("/v1/actions/look-up/batch", origin, "[{}]"),
            Refused(403),
        ),
        (
            "a compressed batch",
            keyed(
                "/v1/actions/look-up/batch",
                "Content-Encoding: gzip\r\n",
                "\u{1f}",
            ),
            Refused(415),
        ),
        ("a tool without a key", post("/mcp", "", call), Refused(401)),
        (
            "a tool for a page, by a name that leads here",
            keyed("/mcp", origin, call),
            Refused(403),
        ),
        (
            "a stream of tools",
            head("GET /mcp HTTP/1.1", "Accept: text/event-stream\r\n"),
            Refused(405),
        ),
        (
            "the description without a key",
            "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            Refused(401),
        ),
        (
            "what is sensitive, in the address",
            head("GET /v1/actions/echo?number=1&secret=x HTTP/1.1", ""),
            Refused(400),
        ),
        (
            "who asks, as a parameter",
            keyed("/v1/actions/who-asks", "", "{\"caller\": \"101\"}"),
            Refused(403),
        ),
        (
            "who asks, as a parameter of the address",
            head("GET /v1/actions/who-asks?caller=101 HTTP/1.1", ""),
            Refused(403),
        ),
        (
            "a body of a GET",
            head("GET /v1/actions/who-asks HTTP/1.1", "Content-Length: 2\r\n") + "{}",
            Refused(400),
        ),
    ]
}

fn attacks() -> Vec<(&'static str, Vec<u8>, Met)> {
    let groups = [
        of_strangers,
        of_heads,
        of_pages,
        of_lengths,
        of_codings,
        of_bodies,
        of_paths,
        of_doors,
    ];
    let mut attacks: Vec<_> = groups
        .into_iter()
        .flat_map(|group| group())
        .map(|(name, text, met)| (name, text.into_bytes(), met))
        .collect();
    let mut no_utf8 =
        keyed("Content-Type: application/json\r\n", "{\"ani\": \"100\"}").into_bytes();
    let length = no_utf8.len();
    no_utf8[length - 4] = 0xff;
    attacks.push(("a body that is no UTF-8", no_utf8, Refused(400)));
    attacks
}

fn keyed_chunks(headers: &str) -> String {
    head("POST /v1/actions/look-up HTTP/1.1", headers)
}

/// What is wrong with a reply.
fn fault(met: Met, reply: Option<&Reply>) -> Option<String> {
    let (status, is_ours) = match met {
        Refused(status) => (status, true),
        Broken(status) => (status, false),
    };
    let Some(reply) = reply else {
        return is_ours.then(|| "no answer".to_owned());
    };
    let mut expected = vec![
        ("status", reply.status == status),
        (
            "cors",
            reply.header("access-control-allow-origin").is_none(),
        ),
    ];
    if is_ours {
        let json = serde_json::from_str::<Value>(&reply.body).unwrap_or_default();
        let is = |name: &str, value: &str| reply.header(name) == Some(value);
        let has = |name: &str| reply.header(name).is_some();
        expected.extend([
            ("code", json["error"]["code"].is_string()),
            (
                "content-type",
                is("content-type", "application/problem+json"),
            ),
            ("problem", json["status"] == status),
            ("nosniff", is("x-content-type-options", "nosniff")),
            ("no-store", is("cache-control", "no-store")),
            ("challenge", has("www-authenticate") == (status == 401)),
            ("allow", has("allow") == (status == 405)),
        ]);
    } else {
        expected.push(("empty body", reply.body.is_empty()));
    }
    let fault = expected.into_iter().find(|(_, holds)| !holds);
    fault.map(|(name, _)| name.to_owned())
}

#[tokio::test]
async fn every_attack_is_refused_and_the_next_caller_is_answered() {
    let setting = Setting::start(|_| {}).await;
    let attacks = attacks();
    assert!(attacks.len() >= 80, "{}", attacks.len());
    let mut passed = Vec::new();
    for some in attacks.chunks(8) {
        let replies = some.iter().map(|(_, bytes, _)| setting.send(bytes));
        for ((name, _, met), reply) in some.iter().zip(join_all(replies).await) {
            passed.extend(
                fault(*met, reply.as_ref()).map(|fault| format!("{name}: {fault}: {reply:?}")),
            );
            setting.answers(name).await;
        }
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
    let records = records(&setting.audit_folder());
    assert!(records.len() >= attacks.len());
    for record in records {
        let text = serde_json::to_string(&record).unwrap();
        assert!(!text.contains("\\r") && !text.contains("\\n"), "{text}");
        assert!(!text.contains(KEY), "{text}");
    }
}

#[tokio::test]
async fn a_request_behind_another_is_not_smuggled() {
    let setting = Setting::start(|_| {}).await;
    let hidden = head("GET /v1/actions HTTP/1.1", "");
    for lengths in [
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
            hidden.len() + 5
        ),
        format!(
            "Transfer-Encoding: chunked\r\nContent-Length: {}\r\n",
            hidden.len() + 5
        ),
    ] {
        let mut peer = setting.connect().await;
        peer.write(format!("{}0\r\n\r\n{hidden}", keyed_chunks(&lengths)))
            .await;
        let first = peer.reply().await.unwrap();
        // The parameters are empty: chunks are what counts, and the connection ends with this answer.
        assert_eq!(first.status, 400, "{first:?}");
        assert_eq!(first.json()["error"]["code"], "param.invalid", "{first:?}");
        assert!(peer.reply().await.is_none(), "{lengths}");
    }
    // Requests in a row are answered in their order, each by itself.
    let mut peer = setting.connect().await;
    peer.write(format!(
        "{}{}",
        look_up(KEY),
        head("GET /v1/actions HTTP/1.1", "")
    ))
    .await;
    assert_eq!(peer.reply().await.unwrap().json()["row_count"], 1);
    assert!(peer.reply().await.unwrap().json()["actions"].is_array());
}

#[tokio::test]
async fn a_head_request_has_the_headers_of_the_answer_and_no_body() {
    let setting = Setting::start(|_| {}).await;
    for path in [
        "/livez",
        "/readyz",
        "/v1/actions",
        "/nothing",
        "/v1/actions/look-up",
    ] {
        let get = setting
            .send(head(&format!("GET {path} HTTP/1.1"), ""))
            .await
            .unwrap();
        let mut peer = setting.connect().await;
        peer.write(head(
            &format!("HEAD {path} HTTP/1.1"),
            "Connection: close\r\n",
        ))
        .await;
        let text = peer.rest(Duration::from_secs(5)).await;
        let (status, rest) = text.split_once("\r\n").unwrap();
        assert!(status.contains(&get.status.to_string()), "{path}: {status}");
        assert!(text.ends_with("\r\n\r\n"), "{path}: {text}");
        let rest = rest.to_lowercase();
        for name in [
            "content-type",
            "content-length",
            "cache-control",
            "x-content-type-options",
        ] {
            // Readiness tells a time that moves.
            if path == "/readyz" && name == "content-length" {
                continue;
            }
            let line = format!("{name}: {}", get.header(name).unwrap());
            assert!(rest.contains(&line), "{path}: {line} in {rest}");
        }
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_stand_before_the_next_request() {
    let setting = Setting::start(|_| {}).await;
    let key = format!("Authorization: Bearer {KEY}\r\n");
    for (method, path, headers, status) in [
        ("POST", "/nothing", "", 404),
        ("POST", "/livez", "", 405),
        ("PUT", "/v1/actions/look-up", "", 405),
        ("GET", "/livez", "", 400),
        ("GET", "/v1/actions", key.as_str(), 400),
        (
            "POST",
            "/v1/actions/look-up",
            "Origin: https://other.example\r\n",
            403,
        ),
        ("POST", "/v1/actions/look-up", &format!("{key}{key}"), 400),
        (
            "POST",
            "/v1/actions/look-up",
            &format!("{key}Content-Type: text/plain\r\n"),
            415,
        ),
        ("POST", "/v1/actions/look-up", "", 401),
        ("POST", "/v1/actions/unknown", &key, 404),
    ] {
        let mut peer = setting.connect().await;
        // The body comes when the answer could long be there.
        peer.write(format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: 40\r\n\r\n"
        ))
        .await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        peer.write(format!("{{{}}}", " ".repeat(38))).await;
        let reply = peer.reply().await.unwrap();
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        peer.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let next = peer.reply().await;
        assert_eq!(next.map(|reply| reply.status), Some(200), "{method} {path}");
    }
}

#[tokio::test]
async fn a_refusal_comes_before_the_body_is_asked_for() {
    let setting = Setting::start(|_| {}).await;
    let mut peer = setting.connect().await;
    peer.write("POST /v1/actions/look-up HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n").await;
    let reply = peer.reply().await.unwrap();
    assert_eq!(reply.status, 401, "{reply:?}");
}
