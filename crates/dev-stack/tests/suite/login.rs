//! The Genesys Cloud login and the tokens it gives, by plain HTTP.

use std::sync::Arc;

use chrono::TimeDelta;
use flowlake_dev_stack::{DevStack, Failure, GenesysSettings, ShiftedClock};
use reqwest::Client;
use serde_json::Value;

#[tokio::test]
async fn tokens_are_given_expire_and_are_limited() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ShiftedClock::default();
    let settings = GenesysSettings {
        token_seconds: 100,
        requests_per_minute: 3,
        ..GenesysSettings::default()
    };
    let stack = DevStack::builder(folder.path())
        .with_genesys(settings.clone())
        .with_clock(Arc::new(clock.clone()))
        .start()
        .await
        .unwrap();
    let http = Client::new();
    let url = stack.genesys_login_url().join("oauth/token").unwrap();
    let login = |id: &str, secret: &str, grant: &str| {
        http.post(url.clone())
            .basic_auth(id, Some(secret))
            .form(&[("grant_type", grant)])
            .send()
    };
    let (id, secret) = (settings.client_id.as_str(), settings.client_secret.as_str());
    assert_eq!(
        login(id, "no", "client_credentials")
            .await
            .unwrap()
            .status(),
        401
    );
    assert_eq!(
        login("no", secret, "client_credentials")
            .await
            .unwrap()
            .status(),
        400
    );
    let wrong: Value = login(id, secret, "password")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(wrong["error"], "unsupported_grant_type");
    let given: Value = login(id, secret, "client_credentials")
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(given["expires_in"], 100);
    let token = given["access_token"].as_str().unwrap().to_owned();
    let actions = stack
        .genesys_api_url()
        .join("api/v2/integrations/actions")
        .unwrap();
    let call = || http.get(actions.clone()).bearer_auth(&token).send();
    for _ in 0..3 {
        assert_eq!(call().await.unwrap().status(), 200);
    }
    let limited = call().await.unwrap();
    assert_eq!(limited.status(), 429);
    let wait: i64 = limited.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((55..=60).contains(&wait), "{wait}");
    clock.advance(TimeDelta::seconds(61));
    assert_eq!(call().await.unwrap().status(), 200);
    clock.advance(TimeDelta::seconds(40));
    assert_eq!(call().await.unwrap().status(), 401);
    stack.genesys().fail_next(
        1,
        Failure::RateLimited {
            retry_after_seconds: 7,
        },
    );
    let limited = login(id, secret, "client_credentials").await.unwrap();
    assert_eq!(limited.headers()["retry-after"], "7");
    assert_eq!(stack.genesys().logins(), 5);
}
