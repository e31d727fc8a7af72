//! The client against the stand-in of `flowlake-dev-stack`: real HTTP, real templates.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use std::collections::BTreeMap;

use flowlake_dev_stack::{DevStack, Failure, GenesysSettings};
use flowlake_genesys_auth::{Secret, TokenSource};
use flowlake_genesys_publish::{
    DataAction, DocumentBuilder, ErrorKind, Field, OutputShape, PlatformClient, PlatformSettings,
    ValueType,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Url;

struct Fixture {
    _folder: tempfile::TempDir,
    stack: DevStack,
    client: PlatformClient,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let genesys = GenesysSettings {
        integration_credentials: BTreeMap::from([("apiKey".to_owned(), "k-123".to_owned())]),
        ..GenesysSettings::default()
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
    Fixture {
        _folder: folder,
        stack,
        client,
    }
}

fn document(url: Url, shape: OutputShape) -> DataAction {
    DocumentBuilder::new("agent-scorecard", url)
        .with_inputs([
            Field::new("agent_id", ValueType::String),
            Field::new("max_rows", ValueType::Integer).optional(),
        ])
        .with_columns([
            Field::new("queue_name", ValueType::String),
            Field::new("calls", ValueType::Integer),
        ])
        .with_shape(shape)
        .with_timeout_seconds(5)
        .build()
        .unwrap()
}

fn nowhere() -> Url {
    Url::parse("http://127.0.0.1:9/v1/actions/agent-scorecard").unwrap()
}

/// A web service that answers one request and hands over what it was sent.
async fn one_answer(answer: Value) -> (Url, tokio::task::JoinHandle<(String, Value)>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/actions/x", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let read = socket.read(&mut buffer).await.unwrap();
            seen.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&seen).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            if let Ok(body) = serde_json::from_str(body) {
                let answer = answer.to_string();
                let reply = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
                    answer.len()
                );
                socket.write_all(reply.as_bytes()).await.unwrap();
                return (head.to_owned(), body);
            }
        }
    });
    (Url::parse(&url).unwrap(), task)
}

#[tokio::test]
async fn publishes_and_publishes_again() {
    let fixture = fixture().await;
    let client = &fixture.client;
    let first = client
        .publish(&document(nowhere(), OutputShape::FirstRow))
        .await
        .unwrap();
    assert!(first.created);
    let mut changed = document(nowhere(), OutputShape::FirstRow);
    changed.config.timeout_seconds = Some(9);
    let second = client.publish(&changed).await.unwrap();
    assert_eq!(
        (second.id.as_str(), second.created),
        (first.id.as_str(), false)
    );
    assert!(second.version > first.version);
    let other = document(nowhere(), OutputShape::Columns);
    let error = client.publish(&other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContractChanged);
    assert_eq!(
        client.find("agent-scorecard").await.unwrap().unwrap().id,
        first.id
    );
    assert_eq!(
        client.find("agent").await.unwrap(),
        None,
        "a part of a name is not it"
    );
    client.delete(&first.id).await.unwrap();
    assert_eq!(
        client.get(&first.id).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_draft_left_over_is_taken_up_and_versions_are_held() {
    let fixture = fixture().await;
    let client = &fixture.client;
    let action = document(nowhere(), OutputShape::FirstRow);
    let draft = client.create_draft(&action).await.unwrap();
    let updated = client
        .update_draft(&draft.id, draft.version, &action)
        .await
        .unwrap();
    let stale = client
        .update_draft(&draft.id, draft.version, &action)
        .await
        .unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Conflict);
    assert!(stale.is_retryable());
    assert!(client.validate_draft(&draft.id).await.unwrap().valid);
    assert!(updated.version > draft.version);
    let published = client.publish(&action).await.unwrap();
    assert_eq!(published.id, draft.id);
    assert_eq!(client.find_draft("agent-scorecard").await.unwrap(), None);
}

#[tokio::test]
async fn a_test_sends_escaped_inputs_and_gives_flat_outputs() {
    let fixture = fixture().await;
    let rows = json!({
        "data": [{"queue_name": "Tech \"Tier 2\"", "calls": 7}, {"queue_name": "VIP", "calls": 2}],
        "row_count": 2, "truncated": false, "audit_id": "a", "cost_usd": "0.000001",
    });
    for (shape, expected) in [
        (
            OutputShape::FirstRow,
            json!({"found": true, "queue_name": "Tech \"Tier 2\"", "calls": 7, "row_count": 2, "truncated": false}),
        ),
        (
            OutputShape::Columns,
            json!({"queue_name": ["Tech \"Tier 2\"", "VIP"], "calls": [7, 2], "row_count": 2, "truncated": false}),
        ),
    ] {
        let (url, seen) = one_answer(rows.clone()).await;
        let draft = fixture
            .client
            .create_draft(&document(url, shape))
            .await
            .unwrap();
        let input = json!({"agent_id": "o'neil \"x\" \\ é", "max_rows": 5});
        let outcome = fixture.client.test_draft(&draft.id, &input).await.unwrap();
        assert!(outcome.success, "{outcome:?}");
        assert_eq!(outcome.result, Some(expected));
        let (head, body) = seen.await.unwrap();
        assert_eq!(body, input);
        assert!(head.to_lowercase().contains("authorization: bearer k-123"));
    }
}

#[tokio::test]
async fn no_rows_and_no_optional_input() {
    let fixture = fixture().await;
    let empty = json!({"data": [], "row_count": 0, "truncated": false});
    let (url, seen) = one_answer(empty).await;
    let draft = fixture
        .client
        .create_draft(&document(url, OutputShape::FirstRow))
        .await
        .unwrap();
    let outcome = fixture
        .client
        .test_draft(&draft.id, &json!({"agent_id": "a"}))
        .await
        .unwrap();
    assert_eq!(
        outcome.result,
        Some(json!({"found": false, "row_count": 0, "truncated": false}))
    );
    assert_eq!(seen.await.unwrap().1, json!({"agent_id": "a"}));
    // A null is left out of the first row, and breaks the contract in a list.
    let null =
        json!({"data": [{"queue_name": null, "calls": 3}], "row_count": 1, "truncated": false});
    for (shape, expected) in [
        (
            OutputShape::FirstRow,
            Some(json!({"found": true, "calls": 3, "row_count": 1, "truncated": false})),
        ),
        (OutputShape::Columns, None),
    ] {
        let (url, _) = one_answer(null.clone()).await;
        let draft = fixture
            .client
            .create_draft(&document(url, shape))
            .await
            .unwrap();
        let input = json!({"agent_id": "a"});
        let outcome = fixture.client.test_draft(&draft.id, &input).await.unwrap();
        assert_eq!(outcome.result, expected, "{outcome:?}");
    }
    let unreachable = fixture
        .client
        .create_draft(&document(nowhere(), OutputShape::FirstRow))
        .await
        .unwrap();
    let outcome = fixture
        .client
        .test_draft(&unreachable.id, &json!({"agent_id": "a"}))
        .await
        .unwrap();
    assert!(!outcome.success);
    assert_eq!(outcome.steps.last().unwrap().name, "Execute request");
}

#[tokio::test]
async fn a_revoked_token_is_renewed_once_and_limits_are_waited_out() {
    let fixture = fixture().await;
    let client = &fixture.client;
    assert_eq!(client.find("x").await.unwrap(), None);
    fixture.stack.genesys().revoke_tokens();
    assert_eq!(client.find("x").await.unwrap(), None);
    assert_eq!(fixture.stack.genesys().logins(), 2);
    let api = fixture.stack.genesys().api();
    api.fail_next(
        2,
        Failure::RateLimited {
            retry_after_seconds: 0,
        },
    );
    assert_eq!(client.find("x").await.unwrap(), None);
    api.fail_next(
        1,
        Failure::RateLimited {
            retry_after_seconds: 3600,
        },
    );
    let error = client.find("x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after().unwrap().as_secs(), 3600);
    api.fail_next(1, Failure::Status(502));
    assert_eq!(client.find("x").await.unwrap(), None);
    api.fail_next(1, Failure::Status(403));
    assert_eq!(
        client.find("x").await.unwrap_err().kind(),
        ErrorKind::Forbidden
    );
    api.fail_next(1, Failure::Garbage);
    assert_eq!(
        client.find("x").await.unwrap_err().kind(),
        ErrorKind::InvalidResponse
    );
    // What may have had an effect is not sent twice.
    api.fail_next(1, Failure::Status(502));
    let error = client
        .create_draft(&document(nowhere(), OutputShape::FirstRow))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(api.count("POST /api/v2/integrations/actions/drafts"), 1);
}

#[tokio::test]
async fn no_secret_shows() {
    let fixture = fixture().await;
    fixture.client.find("x").await.unwrap();
    let shown = format!("{:?} {:?}", fixture.client, fixture.stack);
    let secret = GenesysSettings::default().client_secret;
    assert!(!shown.contains(&secret), "{shown}");
    assert!(!shown.contains("k-123"), "{shown}");
}
