//! The actions as tools of the Model Context Protocol, and what is tried at that door.

use flowlake_data_action::{ClientSettings, Sha256Hex};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{KEY, Reply, Setting, get, post, records};

async fn send(setting: &Setting, key: &str, headers: &str, body: &str) -> Reply {
    let headers = format!(
        "Authorization: Bearer {key}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{headers}"
    );
    setting.send(post("/mcp", &headers, body)).await.unwrap()
}

async fn request(setting: &Setting, key: &str, method: &str, params: Value) -> Value {
    let message = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
    let reply = send(setting, key, "", &message.to_string()).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let answer = reply.json();
    assert_eq!(
        (&answer["jsonrpc"], &answer["id"]),
        (&json!("2.0"), &json!(7))
    );
    answer
}

#[tokio::test]
async fn a_tool_is_an_action_and_a_call_an_attempt() {
    let setting = Setting::start(|_| {}).await;
    for (asked, spoken) in [("2025-06-18", "2025-06-18"), ("1999-01-01", "2025-11-25")] {
        let params = json!({ "protocolVersion": asked, "capabilities": {}, "clientInfo": { "name": "tests", "version": "1" } });
        let answer = request(&setting, KEY, "initialize", params).await;
        assert_eq!(answer["result"]["protocolVersion"], spoken);
    }
    let initialized = r#"{"jsonrpc": "2.0", "method": "notifications/initialized"}"#;
    let noted = send(
        &setting,
        KEY,
        "MCP-Protocol-Version: 2025-06-18\r\n",
        initialized,
    )
    .await;
    assert_eq!((noted.status, &*noted.body), (202, ""));
    let listed = request(&setting, KEY, "tools/list", json!({})).await;
    let tools = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = tools
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "echo",
            "hot-look-up",
            "look-up",
            "short-look-up",
            "who-asks"
        ]
    );
    // The caller is no parameter that is chosen.
    assert_eq!(tools[4]["inputSchema"]["properties"], json!({}));
    assert_eq!(tools[2]["inputSchema"]["required"], json!(["ani"]));
    let call = json!({ "name": "look-up", "arguments": { "ani": "100" } });
    let called = request(&setting, KEY, "tools/call", call).await;
    let result = &called["result"];
    assert_eq!(result["isError"], false);
    assert_eq!(
        result["structuredContent"]["data"],
        json!([{ "name": "Ana" }])
    );
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(&text, &result["structuredContent"]);
    // Digits are kept here too.
    let call = r#"{"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": "echo", "arguments": {"number": 0.30000000000000000001}}}"#;
    let echoed = send(&setting, KEY, "", call).await.json();
    let rows = &echoed["result"]["structuredContent"]["data"];
    assert_eq!(rows[0]["number"], "0.30000000000000000001");
    let refused = json!({ "name": "look-up", "arguments": { "admin": true } });
    let refused = request(&setting, KEY, "tools/call", refused).await;
    assert_eq!(refused["result"]["isError"], true);
    let problem = &refused["result"]["structuredContent"];
    assert_eq!(problem["error"]["code"], "param.invalid");
    let records = records(&setting.audit_folder());
    assert_eq!(records.len(), 3);
    assert_eq!(problem["audit_id"], records[2].id.as_str());
}

#[tokio::test]
async fn a_client_calls_its_own_tools_alone() {
    let key = "key-of-a-client-0123456789";
    let setting = Setting::start(|config| {
        let mut client = ClientSettings::unbound("100");
        client.keys_sha256 = vec![Sha256Hex(Sha256::digest(key).into())];
        client.actions = Some(vec!["who-asks".to_owned()]);
        config.server.clients = vec![client];
    })
    .await;
    let listed = request(&setting, key, "tools/list", json!({})).await;
    assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), 1);
    for (name, arguments, code) in [
        ("who-asks", json!({}), None),
        (
            "who-asks",
            json!({ "caller": "101" }),
            Some("request.forbidden"),
        ),
    ] {
        let call = json!({ "name": name, "arguments": arguments });
        let called = request(&setting, key, "tools/call", call).await;
        let found = called["result"]["structuredContent"]["error"]["code"].as_str();
        assert_eq!(found, code, "{name}: {called}");
    }
    // What the client does not have and what there is not are the same to it, in the protocol's terms; the records tell.
    for name in ["look-up", "nothing", "nothing-else"] {
        let call = json!({ "name": name, "arguments": { "ani": "100" } });
        let called = request(&setting, key, "tools/call", call).await;
        let expected = json!({ "code": -32602, "message": format!("Unknown tool: {name}") });
        assert_eq!(called["error"], expected, "{called}");
    }
    let records = records(&setting.audit_folder());
    let codes = records.iter().map(|record| record.code.as_str());
    let forbidden = "request.forbidden";
    assert_eq!(
        codes.collect::<Vec<_>>(),
        ["ok", forbidden, forbidden, forbidden, forbidden]
    );
}

#[tokio::test]
async fn a_batch_is_answered_as_the_version_that_has_them_says() {
    let setting = Setting::start(|config| config.server.max_batch_requests = 4).await;
    let call = |id: u8, ani: &str| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "look-up", "arguments": { "ani": ani } } })
    };
    let noted = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let old = "MCP-Protocol-Version: 2025-03-26\r\n";
    for headers in ["", old] {
        let batch = json!([call(1, "100"), noted, { "id": 2 }, call(3, "101")]).to_string();
        let reply = send(&setting, KEY, headers, &batch).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let answers = reply.json();
        let names = [0, 2].map(|place| {
            let answer = &answers[place];
            let rows = &answer["result"]["structuredContent"]["data"];
            (answer["id"].clone(), rows[0]["name"].clone())
        });
        assert_eq!(names, [(json!(1), json!("Ana")), (json!(3), json!("Bo"))]);
        assert_eq!(answers[1]["error"]["code"], -32_600, "{answers}");
        assert_eq!(answers.as_array().unwrap().len(), 3);
    }
    let reply = send(&setting, KEY, old, &json!([noted, noted]).to_string()).await;
    assert_eq!((reply.status, &*reply.body), (202, ""));
    let initialize = json!([{ "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": { "protocolVersion": "2025-03-26" } }]);
    let reply = send(&setting, KEY, old, &initialize.to_string()).await;
    assert_eq!(reply.json()[0]["error"]["code"], -32_600, "{reply:?}");
    let many = json!([
        call(1, "1"),
        call(2, "1"),
        call(3, "1"),
        call(4, "1"),
        call(5, "1")
    ]);
    for (headers, batch) in [
        (
            "MCP-Protocol-Version: 2025-06-18\r\n",
            json!([call(1, "100")]),
        ),
        (old, many),
    ] {
        let reply = send(&setting, KEY, headers, &batch.to_string()).await;
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!(reply.json()["error"]["code"], -32_600, "{reply:?}");
    }
    assert_eq!(records(&setting.audit_folder()).len(), 4);
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let setting = Setting::start(|_| {}).await;
    let twice = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look-up", "arguments": {"ani": "100", "ani": "101"}}}"#;
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let deep =
        format!("{{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"ping\", \"params\": {deep}}}");
    for (body, status, code) in [
        ("", 400, -32_700),
        ("{", 400, -32_700),
        ("[]", 400, -32_600),
        ("[1", 400, -32_700),
        (r#"{"jsonrpc": "2.0", "id": 1}"#, 400, -32_600),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "ping", "method": "tools/call"}"#,
            400,
            -32_600,
        ),
        (
            r#"{"jsonrpc": "1.0", "id": 1, "method": "ping"}"#,
            200,
            -32_600,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": {}, "method": "ping"}"#,
            200,
            -32_600,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "resources/list"}"#,
            200,
            -32_601,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "initialize"}"#,
            200,
            -32_602,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {}}"#,
            200,
            -32_602,
        ),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "look-up", "arguments": [1]}}"#,
            200,
            -32_602,
        ),
        (twice, 200, -32_602),
    ] {
        let reply = send(&setting, KEY, "", body).await;
        assert_eq!(reply.status, status, "{body}: {reply:?}");
        assert_eq!(reply.json()["error"]["code"], code, "{body}: {reply:?}");
    }
    assert_eq!(
        send(&setting, KEY, "", &deep).await.json()["result"],
        json!({})
    );
    let ping = r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#;
    for (key, headers, status) in [
        (KEY, "MCP-Protocol-Version: 1999-01-01\r\n", 400),
        (KEY, "Origin: https://evil.example\r\n", 403),
        (KEY, "Content-Encoding: gzip\r\n", 415),
        ("another-key-0123456789", "", 401),
    ] {
        let reply = send(&setting, key, headers, ping).await;
        assert_eq!(reply.status, status, "{headers}: {reply:?}");
        assert!(reply.json()["error"]["code"].is_string());
    }
    // There is no stream to listen to, and no session to end.
    for method in ["GET", "DELETE"] {
        let reply = setting
            .send(get("/mcp", "").replacen("GET", method, 1))
            .await
            .unwrap();
        assert_eq!((reply.status, reply.header("allow")), (405, Some("post")));
    }
    assert!(
        records(&setting.audit_folder())
            .iter()
            .all(|record| record.action != "look-up")
    );
    setting.answers("messages").await;
}
