//! Logins at the stand-in for Genesys Cloud, over HTTP, under a clock that the test moves.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use flowlake_dev_stack::{DevStack, Failure, GenesysSettings};
use flowlake_genesys_auth::{Clock, ErrorKind, Secret, TokenSettings, TokenSource};

/// A clock that stands still, and jumps over every wait.
#[derive(Debug)]
struct ManualClock(Mutex<Instant>);

impl ManualClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "a manual clock has to start somewhere"
    )]
    fn start() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Instant::now())))
    }

    fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.advance(duration);
        Box::pin(async {})
    }
}

async fn stack() -> (DevStack, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let stack = DevStack::builder(folder.path())
        .with_genesys(GenesysSettings::default())
        .start()
        .await
        .unwrap();
    (stack, folder)
}

fn source(stack: &DevStack, secret: &str, clock: &Arc<ManualClock>) -> TokenSource {
    TokenSource::builder(
        GenesysSettings::default().client_id,
        Secret::new(secret.to_owned()),
        stack.genesys_login_url(),
    )
    .with_settings(TokenSettings::default())
    .with_clock(Arc::clone(clock) as Arc<dyn Clock>)
    .build()
    .unwrap()
}

fn secret() -> String {
    GenesysSettings::default().client_secret
}

#[tokio::test]
async fn a_thousand_callers_make_one_login() {
    let (stack, _folder) = stack().await;
    let source = source(&stack, &secret(), &ManualClock::start());
    let tokens = futures_join(1000, || source.token()).await;
    assert!(tokens.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(stack.genesys().login().total(), 1);
}

async fn futures_join<
    F: Future<Output = Result<flowlake_genesys_auth::AccessToken, flowlake_genesys_auth::Error>>
        + Send,
>(
    count: usize,
    make: impl Fn() -> F,
) -> Vec<flowlake_genesys_auth::AccessToken> {
    let mut all = Vec::new();
    for future in (0..count).map(|_| make()) {
        all.push(Box::pin(future));
    }
    let mut done = Vec::new();
    // Every future is polled before any is waited for.
    let mut pending = std::collections::VecDeque::from(all);
    std::future::poll_fn(|context| {
        for _ in 0..pending.len() {
            let Some(mut future) = pending.pop_front() else {
                break;
            };
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(result) => done.push(result.unwrap()),
                std::task::Poll::Pending => pending.push_back(future),
            }
        }
        if pending.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done
}

#[tokio::test]
async fn a_token_is_renewed_after_it_expires_and_not_before() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    let source = source(&stack, &secret(), &clock);
    source.token().await.unwrap();
    clock.advance(Duration::from_secs(60));
    source.token().await.unwrap();
    assert_eq!(stack.genesys().login().total(), 1);
    clock.advance(Duration::from_secs(
        GenesysSettings::default().token_seconds,
    ));
    source.token().await.unwrap();
    assert_eq!(stack.genesys().login().total(), 2);
}

#[tokio::test]
async fn a_wrong_secret_is_final_and_not_repeated() {
    let (stack, _folder) = stack().await;
    let error = source(&stack, "wrong-secret-0a1b", &ManualClock::start())
        .token()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RejectedCredentials);
    assert!(!error.is_retryable());
    assert!(!format!("{error} {error:?}").contains("wrong-secret-0a1b"));
    assert_eq!(stack.genesys().login().total(), 1);
}

#[tokio::test]
async fn a_short_wait_is_waited_and_a_long_one_is_told() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    stack.genesys().login().fail_next(
        2,
        Failure::RateLimited {
            retry_after_seconds: 3,
        },
    );
    let patient = source(&stack, &secret(), &clock);
    patient.token().await.unwrap();
    assert_eq!(stack.genesys().login().total(), 3);

    stack.genesys().login().fail_next(
        1,
        Failure::RateLimited {
            retry_after_seconds: 60,
        },
    );
    let error = source(&stack, &secret(), &clock).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn failures_are_tried_again_and_garbage_is_named() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    stack.genesys().login().fail_next(2, Failure::Status(500));
    source(&stack, &secret(), &clock).token().await.unwrap();
    stack.genesys().login().fail_next(1, Failure::Garbage);
    let error = source(&stack, &secret(), &clock).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidResponse);
}

#[tokio::test]
async fn an_invalidated_token_is_replaced_once() {
    let (stack, _folder) = stack().await;
    let source = source(&stack, &secret(), &ManualClock::start());
    let first = source.token().await.unwrap();
    source.invalidate(&first);
    let second = source.token().await.unwrap();
    assert_ne!(first, second);
    // The old token is not the one that is held any more.
    source.invalidate(&first);
    assert_eq!(source.token().await.unwrap(), second);
    assert_eq!(stack.genesys().login().total(), 2);
}
