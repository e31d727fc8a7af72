//! The interface as OpenAPI, and the page to try it.

use flowlake_data_action::{ClientSettings, Sha256Hex};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::support::{KEY, Setting, call, get};

#[tokio::test]
async fn the_document_has_what_the_client_may_ask() {
    let key = "key-of-a-client-0123456789";
    let setting = Setting::start(|config| {
        let mut client = ClientSettings::unbound("100");
        client.keys_sha256 = vec![Sha256Hex(Sha256::digest(key).into())];
        client.actions = Some(vec!["who-asks".to_owned()]);
        config.server.clients = vec![client];
    })
    .await;
    let reply = setting.send(get("/openapi.json", "")).await.unwrap();
    let document = reply.json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 10, "{paths:?}");
    let look_up = &paths["/v1/actions/look-up"];
    let schema = &look_up["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(schema["required"], json!(["ani"]));
    assert_eq!(look_up["get"]["parameters"][0]["name"], "ani");
    // What is sensitive does not belong into an address.
    let params = paths["/v1/actions/echo"]["get"]["parameters"].as_array();
    let names: Vec<_> = params.unwrap().iter().map(|param| &param["name"]).collect();
    assert_eq!(names, ["number", "envelope", "If-None-Match"]);
    // Columns are those of the last answer, in the types of contracts.
    let rows = |document: &serde_json::Value, action: &str| {
        let answer = &document["paths"][format!("/v1/actions/{action}")]["post"]["responses"];
        let schema = &answer["200"]["content"]["application/json"]["schema"]["anyOf"][0];
        schema["properties"]["data"]["items"].clone()
    };
    assert!(rows(&document, "look-up").get("properties").is_none());
    for action in ["look-up", "hot-look-up"] {
        assert_eq!(setting.send(call(action)).await.unwrap().status, 200);
        let known = setting.send(get("/openapi.json", "")).await.unwrap().json();
        let row = rows(&known, action);
        let names: Vec<_> = row["properties"].as_object().unwrap().keys().collect();
        assert_eq!(names, ["name"], "{row}");
    }
    let own = get("/openapi.json", "").replace(KEY, key);
    let own = setting.send(own).await.unwrap().json();
    let own: Vec<_> = own["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(own, ["/v1/actions/who-asks", "/v1/actions/who-asks/batch"]);
    let stranger = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(setting.send(stranger).await.unwrap().status, 401);
}

#[tokio::test]
async fn the_page_loads_nothing_of_elsewhere() {
    let setting = Setting::start(|_| {}).await;
    for (path, kind) in [
        ("/try", "text/html; charset=utf-8"),
        ("/try.js", "text/javascript; charset=utf-8"),
        ("/try.css", "text/css; charset=utf-8"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        let reply = setting.send(request).await.unwrap();
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some(kind))
        );
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        // Neither markup out of answers, nor code and style in the page, nor anything from another host.
        for part in [
            "http:",
            "https:",
            "innerHTML",
            "eval(",
            "style=",
            "onclick",
            "<style",
            "<script>",
        ] {
            assert!(!reply.body.contains(part), "{path}: {part}");
        }
    }
}
