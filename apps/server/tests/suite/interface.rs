//! What one may ask besides `POST` with JSON: GET, formats by the path and by `Accept`, names of requests, compression; and what is
//! tried at these doors.

use std::io::Read;

use flate2::read::GzDecoder;
use flowlake_data_action::{ClientSettings, Sha256Hex};
use flowlake_dev_stack::Failure;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{KEY, LOOK_UP, Reply, Setting, call, get, look_up, post, records};

async fn ask(setting: &Setting, request: String) -> Reply {
    setting.send(request).await.unwrap()
}

#[tokio::test]
async fn a_get_with_parameters_is_the_same_question() {
    let setting = Setting::start(|_| {}).await;
    let posted = ask(&setting, look_up(KEY)).await.json();
    let got = ask(&setting, get("/v1/actions/look-up?ani=%310%30", "")).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert_eq!(got.json()["data"], posted["data"]);
    // All digits of a number are kept, and a blank is a blank.
    let path = "/v1/actions/echo?number=1234567890.000000000012345678&envelope=rows";
    let rows = ask(&setting, get(path, "")).await.json();
    assert_eq!(rows[0]["number"], "1234567890.000000000012345678");
    let headers = format!("Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\n");
    let body = r#"{"number": 1234567890123456.78}"#;
    let rows = ask(&setting, post("/v1/actions/echo", &headers, body)).await;
    assert_eq!(rows.json()["data"][0]["number"], "1234567890123456.78");
    for (path, code) in [
        ("look-up?ani=100&ani=100", "request.invalid"),
        ("look-up?ani=100&%61ni=101", "request.invalid"),
        ("look-up?ani=%ff", "request.invalid"),
        ("look-up?ani=%4", "request.invalid"),
        (
            "look-up?ani=100&envelope=rows&envelope=full",
            "request.invalid",
        ),
        ("look-up?ani=100&admin=true", "param.invalid"),
        ("look-up", "param.invalid"),
        ("echo?number=1e2x", "param.invalid"),
        // What is personal does not belong into an address.
        ("echo?number=1&secret=none", "request.invalid"),
    ] {
        let refused = ask(&setting, get(&format!("/v1/actions/{path}"), "")).await;
        assert_eq!(refused.status, 400, "{path}: {refused:?}");
        assert_eq!(refused.json()["error"]["code"], code, "{path}: {refused:?}");
    }
    let body = "Content-Length: 2\r\n";
    let with_body = get("/v1/actions/look-up?ani=100", body) + "{}";
    assert_eq!(ask(&setting, with_body).await.status, 400);
    let params: Vec<_> = records(&setting.audit_folder())
        .into_iter()
        .filter_map(|record| record.params.get("ani").cloned())
        .collect();
    assert_eq!(params, ["100", "100"]);
}

#[tokio::test]
async fn a_header_says_how_many_files_are_left_out() {
    let setting = Setting::start(|_| {}).await;
    setting.write_action(
        "folder",
        "name = \"folder\"\n[tables.t]\nuri = \"s3://lake/exports/*.csv\"\n[query]\nsql = \"SELECT count(*) AS n FROM t\"\n",
    );
    setting.reload(|_| {}).unwrap();
    for left_out in [None, Some("2")] {
        if left_out.is_some() {
            setting.stack.list_key("lake", "exports/empty.csv", 0);
            setting.stack.list_key("lake", "exports//b.csv", 9);
        }
        let answer = ask(&setting, get("/v1/actions/folder.csv", "")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.header("x-flowlake-files-left-out"),
            left_out,
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn the_end_of_the_path_names_a_format() {
    let setting = Setting::start(|_| {}).await;
    for (end, kind, body) in [
        (
            "csv",
            "text/csv; charset=utf-8; header=present",
            Some("name\r\nAna\r\n"),
        ),
        (
            "ndjson",
            "application/x-ndjson",
            Some("{\"name\":\"Ana\"}\n"),
        ),
        ("arrow", "application/vnd.apache.arrow.stream", None),
        ("parquet", "application/vnd.apache.parquet", None),
        ("json", "application/json", None),
    ] {
        let path = format!("/v1/actions/look-up.{end}");
        // It counts more than `Accept`.
        let accept = "Accept: text/html\r\n";
        let got = ask(&setting, get(&format!("{path}?ani=100"), accept)).await;
        let headers = format!("Authorization: Bearer {KEY}\r\n");
        let posted = ask(&setting, post(&path, &headers, "{\"ani\": \"100\"}")).await;
        for reply in [got, posted] {
            assert_eq!(reply.status, 200, "{reply:?}");
            assert_eq!(reply.header("content-type"), Some(kind), "{end}");
            // It is the path that chose, not `Accept`.
            let vary = reply.header("vary").unwrap_or_default();
            assert!(!vary.split(", ").any(|name| name == "accept"), "{vary}");
            if let Some(body) = body {
                assert_eq!(reply.body, body);
            }
        }
    }
    for end in [
        ".CSV",
        ".csv.csv",
        ".csv/",
        "..csv",
        ".",
        ".csv%00",
        ".csv%0d%0aX-A:%20b",
        ".xml",
        "%2f.csv",
        "%5c..%5c.csv",
        ".csv;json",
    ] {
        let path = format!("/v1/actions/look-up{end}?ani=100");
        let refused = ask(&setting, get(&path, "")).await;
        assert_eq!(refused.status, 404, "{path}: {refused:?}");
        assert_eq!(refused.header("x-a"), None);
    }
    setting.answers("paths").await;
}

#[tokio::test]
async fn what_nobody_can_write_is_not_acceptable() {
    let setting = Setting::start(|_| {}).await;
    for (accept, status) in [
        ("*/*", 200),
        ("application/json", 200),
        ("text/html, */*;q=0.1", 200),
        ("text/csv", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("*/*;q=0", 406),
        (";;;,,q=1", 406),
    ] {
        let headers = format!("Accept: {accept}\r\n");
        let reply = ask(&setting, get("/v1/actions/look-up?ani=100", &headers)).await;
        assert_eq!(reply.status, status, "{accept}: {reply:?}");
        if status == 406 {
            assert_eq!(reply.json()["error"]["code"], "request.invalid");
        }
    }
}

#[tokio::test]
async fn names_of_a_request_are_recorded_and_given_back() {
    let setting = Setting::start(|_| {}).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let headers = format!(
        "X-Request-Id: r-1\r\nININ-User-Id: u-1\r\nININ-Organization-Id: o-1\r\ntraceparent: 00-{trace}-b7ad6b7169203331-01\r\n"
    );
    let reply = ask(&setting, get("/v1/actions/look-up?ani=100", &headers)).await;
    assert_eq!(reply.header("x-request-id"), Some("r-1"));
    let record = records(&setting.audit_folder()).pop().unwrap();
    assert_eq!(record.correlation_id.as_deref(), Some("r-1"));
    assert_eq!(record.trace_id.as_deref(), Some(trace));
    assert_eq!(record.user.as_deref(), Some("u-1"));
    assert_eq!(record.organization.as_deref(), Some("o-1"));
    // Given back is only what is a name; a refusal of a stranger has it too.
    let long = "x".repeat(129);
    for (id, is_back) in [
        ("r-1", true),
        ("a b", false),
        ("\u{e9}", false),
        (&*long, false),
    ] {
        let request = format!("GET /v1/actions HTTP/1.1\r\nHost: x\r\nX-Request-Id: {id}\r\n\r\n");
        let reply = ask(&setting, request).await;
        assert_eq!(reply.status, 401);
        assert_eq!(reply.header("x-request-id").is_some(), is_back, "{id}");
    }
}

#[tokio::test]
async fn options_are_the_methods_of_a_path() {
    let setting = Setting::start(|_| {}).await;
    for (path, allow) in [
        ("/v1/actions/look-up", "get,head,post"),
        ("/v1/actions", "get,head"),
        ("/oauth/token", "post"),
    ] {
        let request = get(path, "").replacen("GET", "OPTIONS", 1);
        let reply = ask(&setting, request).await;
        assert_eq!(reply.status, 204, "{reply:?}");
        assert_eq!(reply.header("allow"), Some(allow));
    }
}

#[tokio::test]
async fn a_failure_is_a_problem_and_says_what_failed_behind_the_server() {
    let setting = Setting::start(|config| config.s3.attempts = 1).await;
    let failing = Failure::Status(503);
    setting.stack.s3().fail_next_of("GetObject", 5, failing);
    let reply = ask(&setting, look_up(KEY)).await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(
        reply.header("content-type"),
        Some("application/problem+json")
    );
    let problem = reply.json();
    let code = problem["error"]["code"].as_str().unwrap();
    let expected =
        format!("flowlake; error=destination_unavailable; next-hop=s3; details=\"{code}\"");
    assert_eq!(reply.header("proxy-status"), Some(&*expected));
    assert_eq!(problem["status"], 503);
    assert_eq!(problem["detail"], problem["error"]["message"]);
    let kind = problem["type"].as_str().unwrap();
    assert!(kind.ends_with(&format!("docs/errors.md#{code}")), "{kind}");
    assert!(problem["audit_id"].is_string(), "{problem}");
    // What the caller did wrong is nobody's behind it.
    let refused = ask(&setting, call("nothing")).await;
    assert_eq!(
        (refused.status, refused.header("proxy-status")),
        (404, None)
    );
}

#[tokio::test]
async fn a_large_answer_is_compressed_for_callers_that_take_it() {
    let setting = Setting::start(|_| {}).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |path: &str, encoding: &str| {
        let request = client.get(setting.url(path)).bearer_auth(KEY);
        let request = request.header("accept-encoding", encoding);
        let response = request.send().await.unwrap();
        let coding = response.headers().get("content-encoding").cloned();
        let coding = coding.map(|coding| coding.to_str().unwrap().to_owned());
        let mut vary = response.headers().get_all("vary").iter();
        let varies = vary.any(|vary| vary.to_str().unwrap().contains("accept-encoding"));
        (coding, varies, response.bytes().await.unwrap())
    };
    let large = "/v1/actions/look-up?ani=100&envelope=full";
    let (coding, varies, body) = ask(large, "gzip").await;
    assert_eq!((coding.as_deref(), varies), (Some("gzip"), true));
    let mut text = String::new();
    GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["data"], json!([{ "name": "Ana" }]));
    assert_eq!(
        ask(large, "zstd, gzip;q=0.5").await.0.as_deref(),
        Some("zstd")
    );
    for (path, encoding) in [
        (large, "identity"),
        (large, "br"),
        (large, "gzip;q=0"),
        ("/v1/actions/look-up?ani=100", "gzip"),
        ("/v1/actions/look-up.parquet?ani=100", "gzip"),
    ] {
        assert_eq!(ask(path, encoding).await.0, None, "{path} {encoding}");
    }
}

#[tokio::test]
async fn a_caller_that_has_the_answer_gets_none_and_a_record() {
    let setting = Setting::start(|_| {}).await;
    for (action, query) in [
        ("look-up", "ani=100"),
        ("hot-look-up", "ani=100"),
        ("echo", "number=1"),
    ] {
        for end in ["", ".csv"] {
            let path = format!("/v1/actions/{action}{end}?{query}");
            let first = ask(&setting, get(&path, "")).await;
            let tag = first.header("etag").unwrap().to_owned();
            assert!(tag.starts_with("w/\""), "{tag}");
            let tag = tag.replacen('w', "W", 1);
            let other = get(&path, "If-None-Match: \"another\"\r\n");
            assert_eq!(ask(&setting, other).await.status, 200);
            let before = records(&setting.audit_folder()).len();
            let headers = format!("If-None-Match: \"another\", {tag}\r\n");
            let again = ask(&setting, get(&path, &headers)).await;
            assert_eq!((again.status, &*again.body), (304, ""), "{again:?}");
            assert_eq!(again.header("etag"), first.header("etag"));
            let records = records(&setting.audit_folder());
            assert_eq!(records.len(), before + 1);
            let record = records.last().unwrap();
            assert_eq!(record.http_status, Some(304));
            assert_eq!(again.header("x-flowlake-audit-id"), Some(&*record.id));
        }
    }
    // The tag of one shape is not that of another, and a POST has none.
    let csv = ask(&setting, get("/v1/actions/look-up.csv?ani=100", "")).await;
    let json = ask(&setting, get("/v1/actions/look-up?ani=100", "")).await;
    assert_ne!(csv.header("etag"), json.header("etag"));
    let posted = ask(&setting, look_up(KEY)).await;
    assert_eq!(posted.header("etag"), None);
    assert_eq!(json.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_kept_answer_says_so_and_is_only_for_callers_that_may_see_it() {
    let setting = Setting::start(|config| {
        let mut clients = Vec::new();
        for (name, actions) in [
            ("100", None),
            ("101", None),
            ("else", Some(vec!["look-up".to_owned()])),
        ] {
            let mut client = ClientSettings::unbound(name);
            client.keys_sha256 = vec![Sha256Hex(Sha256::digest(key_of(name)).into())];
            client.actions = actions;
            clients.push(client);
        }
        config.server.clients = clients;
    })
    .await;
    let as_client = |name: &str, headers: &str| {
        get("/v1/actions/who-asks?envelope=rows", headers).replace(KEY, &key_of(name))
    };
    let first = ask(&setting, as_client("100", "")).await;
    assert_eq!(first.body, "[{\"name\":\"Ana\"}]");
    assert_eq!(
        first.header("cache-status"),
        Some("flowlake; fwd=miss; stored")
    );
    assert_eq!(first.header("age"), None);
    assert_eq!(first.header("cache-control"), Some("private, no-cache"));
    // What a caller says of caches, hosts and others changes nothing.
    let poison = "X-Forwarded-Host: evil\r\nX-Original-URL: /metrics\r\nCache-Control: no-cache\r\nAge: 7\r\nCache-Status: evil; hit\r\n";
    let second = ask(&setting, as_client("100", poison)).await;
    assert_eq!(second.body, first.body);
    let status = second.header("cache-status").unwrap();
    assert!(status.starts_with("flowlake; hit; ttl="), "{status}");
    assert_eq!(second.header("age"), Some("0"));
    // Another has another answer, and who may not ask has none, with the tag of the first or without.
    let other = ask(&setting, as_client("101", "")).await;
    assert_eq!(other.body, "[{\"name\":\"Bo\"}]");
    assert_ne!(other.header("etag"), first.header("etag"));
    let tag = first.header("etag").unwrap().to_uppercase();
    for headers in [
        String::new(),
        format!("If-None-Match: {tag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
    ] {
        let refused = ask(&setting, as_client("else", &headers)).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        assert_eq!(
            (refused.header("etag"), refused.header("cache-status")),
            (None, None)
        );
    }
    let callers: Vec<_> = records(&setting.audit_folder())
        .into_iter()
        .map(|record| record.caller)
        .collect();
    assert_eq!(callers, ["100", "100", "101", "else", "else", "else"]);
}

fn key_of(name: &str) -> String {
    format!("key-of-{name}-0123456789abcdef")
}

#[tokio::test]
async fn telephone_numbers_stand_in_no_record() {
    let setting = Setting::start(|_| {}).await;
    let number = "+12025550142";
    let phone =
        LOOK_UP
            .replace("look-up", "by-phone")
            .replacen("type = \"string\"", "type = \"phone\"", 1);
    setting.write_action("by-phone", &phone);
    let own = phone.replace("by-phone", "by-own-line").replacen(
        "type = \"phone\"",
        "type = \"phone\"\nsensitive = false",
        1,
    );
    setting.write_action("by-own-line", &own);
    setting.reload(|_| {}).unwrap();
    let body = json!({ "ani": number }).to_string();
    let headers = format!(
        "Authorization: Bearer {KEY}\r\nX-Correlation-Id: {number}\r\nX-Genesys-Conversation-Id: tel:{number}\r\nININ-User-Id: 2025550142\r\n"
    );
    // By the type; and where only the value tells.
    for action in ["by-phone", "look-up", "by-own-line"] {
        let request = post(&format!("/v1/actions/{action}"), &headers, &body);
        let reply = ask(&setting, request).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let records = records(&setting.audit_folder());
        let record = records.last().unwrap();
        // Where the action's author says so, it is nobody's.
        let is_hashed = record.params["ani"].starts_with("hmac-sha256:");
        assert_eq!(is_hashed, action != "by-own-line", "{record:?}");
        let found = (
            &record.correlation_id,
            &record.conversation_id,
            &record.user,
        );
        let expected = ["+*********42", "tel:+*********42", "********42"];
        let expected = expected.map(|id| Some(id.to_owned()));
        assert_eq!(found, (&expected[0], &expected[1], &expected[2]));
    }
    // What is logged on its way is no place for one.
    let address = "/v1/actions/by-phone?ani=%2B12025550142";
    let refused = ask(&setting, get(address, "")).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let address = address.replace("by-phone", "by-own-line");
    assert_eq!(ask(&setting, get(&address, "")).await.status, 200);
}

#[tokio::test]
async fn a_service_that_answers_nonsense_is_unavailable() {
    for operation in ["GetCallerIdentity", "SimulatePrincipalPolicy"] {
        let setting = Setting::start(|_| {}).await;
        setting
            .stack
            .aws()
            .fail_next_of(operation, 3, Failure::Garbage);
        let mut refusals = 0;
        loop {
            let reply = setting.send(look_up(KEY)).await.unwrap();
            if reply.status == 200 {
                break;
            }
            refusals += 1;
            assert!(refusals <= 3, "{operation}: {reply:?}");
            assert_eq!(reply.status, 503, "{operation}: {reply:?}");
            let error = &reply.json()["error"];
            assert_eq!(error["code"], "access.unavailable", "{reply:?}");
            assert_eq!(error["retryable"], true, "{reply:?}");
            assert!(!reply.body.contains("not xml"), "{reply:?}");
        }
        assert!(refusals > 0, "{operation} was not asked");
    }
}
