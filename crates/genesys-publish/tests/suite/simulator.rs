//! The simulator: data actions with the structure of real exports, and the stand-in of the platform as the judge of ours.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use std::path::Path;

use flowlake_dev_stack::DevStack;
use flowlake_genesys_auth::{Secret, TokenSource};
use flowlake_genesys_publish::{
    DataAction, DocumentBuilder, Field, OutputShape, PlatformClient, PlatformSettings, Reply,
    Simulator, ValueType,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"))
}

/// Public exports, with other names: each loads, fills in its request, and takes an answer to what a flow sees.
#[tokio::test]
async fn exports_of_other_people_resolve() {
    let cases = std::fs::read_to_string(folder().join("exports.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    assert!(cases.len() > 12);
    for case in cases {
        let file = case["file"].as_str().unwrap();
        let path = folder().join("exports").join(format!("{file}.json"));
        let text = std::fs::read_to_string(path).unwrap();
        let action = DataAction::from_foreign_json(&text).unwrap();
        let answer = Reply::Given(case["answer"].as_str().unwrap().to_owned());
        let simulated = Simulator::default()
            .run(&action, &case["input"], &answer)
            .await;
        assert!(simulated.success, "{file}: {simulated:#?}");
        assert_eq!(
            simulated.final_result.as_ref(),
            Some(&case["result"]),
            "{file}"
        );
        let request = simulated.operations[1].result.as_ref().unwrap();
        assert_eq!(request["url"], case["url"], "{file}");
        let body = request["body"].as_str();
        let body = body.map_or(Value::Null, |body| serde_json::from_str(body).unwrap());
        assert_eq!(body, case["body"], "{file}");
        assert!(simulated.unresolved.is_empty(), "{file}: {simulated:#?}");
    }
}

fn document(shape: OutputShape, url: Url) -> DataAction {
    DocumentBuilder::new("x", url)
        .with_inputs([
            Field::new("text", ValueType::String),
            Field::new("n", ValueType::Integer).optional(),
            Field::new("more", ValueType::String).optional(),
        ])
        .with_columns([
            Field::new("a", ValueType::String),
            Field::new("b", ValueType::Integer),
            Field::new("c", ValueType::Boolean),
        ])
        .with_shape(shape)
        .build()
        .unwrap()
}

#[tokio::test]
async fn an_answer_from_a_file_has_the_limit_of_one_from_a_server() {
    let url = Url::parse("https://flowlake.example/x").unwrap();
    let action = document(OutputShape::FirstRow, url);
    let simulator = Simulator::default().with_credential("apiKey", Secret::new("k-123".to_owned()));
    let answer = Reply::Given(" ".repeat(1024 * 1024 + 1));
    let simulated = simulator
        .run(&action, &json!({ "text": "x" }), &answer)
        .await;
    let last = simulated.operations.last().unwrap();
    let error = last.error.as_ref().unwrap().to_string();
    assert!(error.contains("larger than 1048576 bytes"), "{error}");
}

#[tokio::test]
async fn each_step_that_fails_says_why() {
    let url = Url::parse("https://flowlake.example/x").unwrap();
    let action = document(OutputShape::FirstRow, url);
    let fine = r#"{"data": [{"a": "x", "b": 1, "c": true}], "row_count": 1, "truncated": false}"#;
    let run = async |action: &DataAction, input: Value, answer: &str| {
        let simulator =
            Simulator::default().with_credential("apiKey", Secret::new("k-123".to_owned()));
        let simulated = simulator
            .run(action, &input, &Reply::Given(answer.to_owned()))
            .await;
        let last = simulated.operations.last().unwrap().clone();
        assert_eq!(last.success, simulated.success);
        assert!(!format!("{simulated:?}").contains("k-123"), "{simulated:?}");
        let why = simulated.error.map(|error| error["message"].to_string());
        (last.name, why.unwrap_or_default())
    };
    let input = json!({ "text": "t" });
    for (change, input, answer, step, why) in [
        ("", input.clone(), fine, "Validate output", ""),
        (
            "",
            json!({}),
            fine,
            "Validate input",
            "\\\"text\\\" is missing",
        ),
        (
            "",
            json!({ "text": 1 }),
            fine,
            "Validate input",
            "should be string",
        ),
        (
            "",
            json!({ "text": "", "other": 1 }),
            fine,
            "Validate input",
            "not in the contract",
        ),
        (
            "url",
            input.clone(),
            fine,
            "Resolve request templates",
            "#if without",
        ),
        (
            "",
            input.clone(),
            "<html>",
            "Take the given answer",
            "no JSON",
        ),
        (
            "path",
            input.clone(),
            fine,
            "Apply translation map",
            "is not understood",
        ),
        (
            "default",
            input.clone(),
            "{}",
            "Apply translation map",
            "no default",
        ),
        (
            "template",
            input.clone(),
            fine,
            "Resolve success template",
            "gives no JSON",
        ),
        (
            "",
            input.clone(),
            r#"{"data": [{"a": 5}], "row_count": 1, "truncated": false}"#,
            "Validate output",
            "should be string",
        ),
    ] {
        let mut action = action.clone();
        let config = &mut action.config;
        match change {
            "url" => config.request.request_url_template = "#if(\"a\" == \"a\")".to_owned(),
            "path" => {
                let paths = &mut config.response.translation_map;
                paths.insert("a".to_owned(), "data".to_owned());
            }
            "default" => config.response.translation_map_defaults.clear(),
            "template" => config.response.success_template = "${nothing}".to_owned(),
            _ => {}
        }
        let (found, told) = run(&action, input, answer).await;
        assert_eq!(found, step, "{told}");
        assert!(told.contains(why), "{told}");
    }
}

#[tokio::test]
async fn a_default_is_for_a_path_that_finds_nothing_and_not_for_null() {
    let url = Url::parse("https://flowlake.example/x").unwrap();
    let mut action = document(OutputShape::FirstRow, url);
    action.config.response.translation_map = [("a".to_owned(), "$.a".to_owned())].into();
    action.config.response.translation_map_defaults =
        [("a".to_owned(), "\"default\"".to_owned())].into();
    action.config.response.success_template = "{\"a\": ${a}}".to_owned();
    action.contract.output.success_schema = json!({ "type": "object" });
    for (answer, expected) in [
        ("{\"a\": \"x\"}", json!({ "a": "x" })),
        ("{\"a\": null}", json!({ "a": null })),
        ("{}", json!({ "a": "default" })),
    ] {
        let reply = Reply::Given(answer.to_owned());
        let simulated = Simulator::default()
            .run(&action, &json!({ "text": "" }), &reply)
            .await;
        assert_eq!(simulated.final_result, Some(expected));
    }
}

/// Answers each request of any connection with the member `answer` of the JSON in its input `text`.
async fn echo() -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/actions/x", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                let mut buffer = [0; 16384];
                loop {
                    let read = socket.read(&mut buffer).await.unwrap_or(0);
                    if read == 0 {
                        return;
                    }
                    seen.extend_from_slice(&buffer[..read]);
                    let text = String::from_utf8_lossy(&seen).into_owned();
                    let Some((_, body)) = text.split_once("\r\n\r\n") else {
                        continue;
                    };
                    let Ok(body) = serde_json::from_str::<Value>(body) else {
                        continue;
                    };
                    let answer = body["text"].as_str().unwrap();
                    let reply = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                        answer.len()
                    );
                    socket.write_all(reply.as_bytes()).await.unwrap();
                    return;
                }
            });
        }
    });
    Url::parse(&url).unwrap()
}

#[tokio::test]
async fn the_stand_in_of_the_platform_sees_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let genesys = flowlake_dev_stack::GenesysSettings {
        requests_per_minute: 10_000,
        ..flowlake_dev_stack::GenesysSettings::default()
    };
    let stack = DevStack::builder(folder.path())
        .with_genesys(genesys.clone())
        .start()
        .await
        .unwrap();
    let tokens = TokenSource::builder(
        genesys.client_id,
        Secret::new(genesys.client_secret),
        stack.genesys_login_url(),
    )
    .build()
    .unwrap();
    let client = PlatformClient::builder(stack.genesys_api_url(), tokens)
        .with_settings(PlatformSettings {
            integration_id: genesys.integration_id,
            ..PlatformSettings::default()
        })
        .build()
        .unwrap();
    let url = echo().await;
    let texts = [
        "",
        "x",
        "say \"hi\"",
        "\\",
        "a\nb",
        "$x ${y} $!{z}",
        "#if(1)a#end",
        "😀",
        "null",
        "{}",
    ];
    for shape in [
        OutputShape::FirstRow,
        OutputShape::Columns,
        OutputShape::Rows,
    ] {
        let action = document(shape, url.clone());
        let draft = client.create_draft(&action).await.unwrap();
        for (index, text) in texts.iter().enumerate() {
            for count in 0..3_usize {
                let row = json!({ "a": text, "b": index, "c": index % 2 == 0 });
                let rows: Vec<Value> = (0..count).map(|_| row.clone()).collect();
                let answer = json!({ "data": rows, "row_count": count, "truncated": false });
                let mut input = json!({ "text": answer.to_string(), "more": text });
                if count == 1 {
                    input["n"] = json!(index);
                }
                let judged = client.test_draft(&draft.id, &input).await.unwrap();
                let ours = Simulator::default()
                    .run(&action, &input, &Reply::Call)
                    .await;
                assert!(judged.success && ours.success, "{judged:?}\n{ours:?}");
                assert_eq!(ours.final_result, judged.result, "{shape:?} {text:?}");
            }
        }
    }
}
