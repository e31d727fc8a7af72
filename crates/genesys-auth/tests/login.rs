//! Logins at the stand-in for Genesys Cloud, over HTTP, under a clock that the test moves: nothing here really waits.

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

use flowlake_dev_stack::{DevStack, Failure, GenesysSettings, note_secret};
use flowlake_genesys_auth::{
    AccessToken, Clock, Error, ErrorKind, RateLimiter, Secret, TokenSettings, TokenSource,
};
use tokio::{sync::watch, task::JoinSet};

/// The longest wait that the clock jumps over by itself; a longer one (a request's time limit) ends when the test says so.
const JUMPED: Duration = Duration::from_secs(4);

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct ManualClock {
    now: watch::Sender<Instant>,
    slept: Mutex<Vec<Duration>>,
}

impl ManualClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "a manual clock has to start somewhere"
    )]
    fn start() -> Arc<Self> {
        Arc::new(Self {
            now: watch::Sender::new(Instant::now()),
            slept: Mutex::default(),
        })
    }

    fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += by);
    }

    /// The short waits so far.
    fn slept(&self) -> Vec<Duration> {
        self.slept.lock().unwrap().clone()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        *self.now.borrow()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        if duration <= JUMPED {
            self.slept.lock().unwrap().push(duration);
            self.advance(duration);
        }
        let deadline = if duration <= JUMPED {
            self.now()
        } else {
            self.now() + duration
        };
        let mut now = self.now.subscribe();
        Box::pin(async move {
            let _ = now.wait_for(|now| *now >= deadline).await;
        })
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

/// Waits so long that a request's limit is never among the waits that the clock jumps over.
fn settings() -> TokenSettings {
    TokenSettings {
        request_timeout_seconds: 5,
        wait_seconds: 20,
        ..TokenSettings::default()
    }
}

fn source(stack: &DevStack, secret: &str, clock: &Arc<ManualClock>) -> TokenSource {
    note_secret(secret);
    TokenSource::builder(
        GenesysSettings::default().client_id,
        Secret::new(secret.to_owned()),
        stack.genesys_login_url(),
    )
    .with_settings(settings())
    .with_clock(Arc::clone(clock) as Arc<dyn Clock>)
    .build()
    .unwrap()
}

/// Lets other tasks run until `done`; the limit of nextest ends a test that waits for ever.
async fn until(done: impl Fn() -> bool) {
    while !done() {
        tokio::task::yield_now().await;
    }
}

/// Asks a thousand times at once.
async fn thousand(source: &TokenSource) -> Vec<Result<AccessToken, Error>> {
    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        let source = source.clone();
        callers.spawn(async move { source.token().await });
    }
    callers.join_all().await
}

/// Answers the next logins with a wait of this many seconds.
fn rate_limit(stack: &DevStack, logins: usize, retry_after_seconds: u64) {
    let failure = Failure::RateLimited {
        retry_after_seconds,
    };
    stack.genesys().login().fail_next(logins, failure);
}

fn secret() -> String {
    GenesysSettings::default().client_secret
}

#[tokio::test]
async fn a_thousand_callers_make_one_login_and_one_more_at_expiry() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    let source = source(&stack, &secret(), &clock);
    let tokens: Vec<_> = thousand(&source)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(tokens.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(stack.genesys().login().total(), 1);
    clock.advance(Duration::from_secs(
        GenesysSettings::default().token_seconds,
    ));
    let renewed: Vec<_> = thousand(&source)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(renewed.windows(2).all(|pair| pair[0] == pair[1]));
    assert_ne!(tokens[0], renewed[0]);
    assert_eq!(stack.genesys().login().total(), 2);
}

#[tokio::test]
async fn a_thousand_callers_share_one_failure_too() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    let source = source(&stack, "wrong-secret-0a1b", &clock);
    for outcome in thousand(&source).await {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::RejectedCredentials);
    }
    assert_eq!(stack.genesys().login().total(), 1);
    // For a while nobody asks again; then one does.
    assert!(source.token().await.is_err());
    assert_eq!(stack.genesys().login().total(), 1);
    clock.advance(Duration::from_secs(11));
    assert!(source.token().await.is_err());
    assert_eq!(stack.genesys().login().total(), 2);
}

#[tokio::test]
async fn near_expiry_the_old_token_is_handed_out_while_one_refresh_runs() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    let source = source(&stack, &secret(), &clock);
    let old = source.token().await.unwrap();
    let margin = settings().refresh_margin_seconds;
    clock.advance(Duration::from_secs(
        GenesysSettings::default().token_seconds - margin,
    ));
    for token in thousand(&source).await {
        assert_eq!(token.unwrap(), old);
    }
    until(|| stack.genesys().login().total() == 2).await;
    while source.token().await.unwrap() == old {
        tokio::task::yield_now().await;
    }
    assert_eq!(stack.genesys().login().total(), 2);
}

#[tokio::test]
async fn a_failed_refresh_keeps_the_token_and_is_not_repeated_at_once() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    let source = source(&stack, &secret(), &clock);
    let old = source.token().await.unwrap();
    let margin = settings().refresh_margin_seconds;
    clock.advance(Duration::from_secs(
        GenesysSettings::default().token_seconds - margin,
    ));
    rate_limit(&stack, 1, 30);
    assert_eq!(source.token().await.unwrap(), old);
    until(|| stack.genesys().login().total() == 2).await;
    // The platform asked for 30 seconds: the token in use is handed out, and nobody asks before that.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
        assert_eq!(source.token().await.unwrap(), old);
    }
    assert_eq!(stack.genesys().login().total(), 2);
    clock.advance(Duration::from_secs(31));
    assert_eq!(source.token().await.unwrap(), old);
    until(|| stack.genesys().login().total() == 3).await;
    while source.token().await.unwrap() == old {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_refusal_names_what_is_likely_wrong() {
    let (stack, _folder) = stack().await;
    let refused = async |id: String, secret: &str| {
        let source = TokenSource::builder(
            id,
            Secret::new(secret.to_owned()),
            stack.genesys_login_url(),
        )
        .with_clock(ManualClock::start())
        .build()
        .unwrap();
        let error = source.token().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RejectedCredentials);
        assert!(!error.is_retryable());
        error.to_string()
    };
    let id = GenesysSettings::default().client_id;
    let message = refused(id.clone(), "wrong-secret-0a1b").await;
    assert!(message.contains("the secret is wrong"), "{message}");
    let message = refused("00000000-0000-4000-8000-00000000dead".to_owned(), &secret()).await;
    assert!(
        message.contains("client_id") && message.contains("region"),
        "{message}"
    );
    let code = |status, code: &str| Failure::Code {
        status,
        code: code.to_owned(),
    };
    stack
        .genesys()
        .login()
        .fail_next(1, code(400, "unauthorized_client"));
    let message = refused(id.clone(), &secret()).await;
    assert!(message.contains("Client Credentials"), "{message}");
    stack.genesys().login().fail_next(1, Failure::Status(404));
    let message = refused(id, &secret()).await;
    assert!(message.contains("check the region"), "{message}");
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again_with_growing_jittered_waits() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    stack.genesys().login().fail_next(2, Failure::Status(500));
    stack.genesys().login().fail_next(1, Failure::Disconnect);
    source(&stack, &secret(), &clock).token().await.unwrap();
    assert_eq!(stack.genesys().login().total(), 4);
    let slept = clock.slept();
    assert_eq!(slept.len(), 3, "{slept:?}");
    for (wait, full) in slept.iter().zip([200, 400, 800]) {
        let full = Duration::from_millis(full);
        assert!(*wait >= full / 2 && *wait <= full, "{slept:?}");
    }
}

#[tokio::test]
async fn a_server_that_keeps_failing_is_given_up_within_the_budget() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    stack.genesys().login().fail_next(100, Failure::Status(503));
    let start = clock.now();
    let error = source(&stack, &secret(), &clock).token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(clock.now() - start <= Duration::from_secs(settings().wait_seconds));
    assert!(stack.genesys().login().total() < 12);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_at_the_limit_and_asked_again() {
    let (stack, _folder) = stack().await;
    for failure in [Failure::Hang, Failure::Slow(Duration::from_secs(3600))] {
        let clock = ManualClock::start();
        let before = stack.genesys().login().total();
        stack.genesys().login().fail_next(1, failure);
        let source = source(&stack, &secret(), &clock);
        let waiting = tokio::spawn({
            let source = source.clone();
            async move { source.token().await }
        });
        until(|| stack.genesys().login().total() == before + 1).await;
        assert!(!waiting.is_finished());
        clock.advance(Duration::from_secs(settings().request_timeout_seconds));
        waiting.await.unwrap().unwrap();
        assert_eq!(stack.genesys().login().total(), before + 2);
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_end_the_login_of_the_others() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    stack.genesys().login().fail_next(1, Failure::Hang);
    let source = source(&stack, &secret(), &clock);
    let ask = || {
        let source = source.clone();
        tokio::spawn(async move { source.token().await })
    };
    let first = ask();
    until(|| stack.genesys().login().total() == 1).await;
    let second = ask();
    first.abort();
    clock.advance(Duration::from_secs(settings().request_timeout_seconds));
    second.await.unwrap().unwrap();
    assert_eq!(stack.genesys().login().total(), 2);
}

#[tokio::test]
async fn a_wait_that_was_asked_for_is_reported_to_all_callers_until_it_is_over() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    rate_limit(&stack, 1, 60);
    let source = source(&stack, &secret(), &clock);
    assert!(source.token().await.is_err());
    clock.advance(Duration::from_secs(20));
    let error = source.token().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(40)));
    assert_eq!(stack.genesys().login().total(), 1);
    clock.advance(Duration::from_secs(40));
    source.token().await.unwrap();
}

#[tokio::test]
async fn a_minute_has_a_number_of_requests_and_the_rest_waits() {
    let clock = ManualClock::start();
    let limiter = RateLimiter::new(3, Arc::clone(&clock) as Arc<dyn Clock>);
    let minute = Duration::from_secs(60);
    for _ in 0..3 {
        limiter.acquire(Duration::ZERO).await.unwrap();
        clock.advance(Duration::from_secs(1));
    }
    let error = limiter.acquire(Duration::from_secs(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(57)));
    let (told, mut waits) = tokio::sync::mpsc::unbounded_channel();
    let waiting = tokio::spawn({
        let limiter = limiter.clone();
        async move {
            let tell = |wait| told.send(wait).unwrap();
            limiter.acquire_telling(minute, tell).await
        }
    });
    // The wait is reported before it begins.
    assert_eq!(waits.recv().await, Some(Duration::from_secs(57)));
    assert!(!waiting.is_finished());
    clock.advance(Duration::from_secs(57));
    waiting.await.unwrap().unwrap();
    assert!(limiter.acquire(Duration::ZERO).await.is_err());
}

#[tokio::test]
async fn a_caller_that_would_wait_too_long_is_refused_at_once() {
    let clock = ManualClock::start();
    let limiter = RateLimiter::new(1, Arc::clone(&clock) as Arc<dyn Clock>);
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    limiter.acquire(Duration::ZERO).await.unwrap();
    let mut first = Box::pin(limiter.acquire(minutes(1)));
    let mut second = Box::pin(limiter.acquire(minutes(2)));
    assert!(poll_once(&mut first).is_none());
    assert!(poll_once(&mut second).is_none());
    // Its turn would be the fourth.
    let error = limiter.acquire(minutes(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(minutes(3)));
    // A dropped caller leaves its turn to the next, which overtakes nobody.
    drop(second);
    let mut third = Box::pin(limiter.acquire(minutes(2)));
    assert!(poll_once(&mut third).is_none());
    clock.advance(minutes(1));
    assert!(poll_once(&mut third).is_none());
    first.await.unwrap();
    clock.advance(minutes(1));
    third.await.unwrap();
}

/// Polls once.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match Pin::new(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn requests_are_counted_per_token() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    let source = source(&stack, &secret(), &clock);
    for _ in 0..300 {
        source.token_for_request().await.unwrap();
    }
    let error = source.token_for_request().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    source.invalidate(&source.token().await.unwrap());
    source.token_for_request().await.unwrap();
}

#[tokio::test]
async fn nothing_shows_a_secret_or_a_token() {
    let (stack, _folder) = stack().await;
    let source = source(&stack, &secret(), &ManualClock::start());
    let token = source.token().await.unwrap();
    let shown = format!("{source:?} {token:?} {:?}", Secret::new(secret()));
    assert!(
        !shown.contains(&secret()) && !shown.contains(token.expose()),
        "{shown}"
    );
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
async fn a_short_wait_is_waited_and_a_long_one_is_reported() {
    let (stack, _folder) = stack().await;
    let clock = ManualClock::start();
    rate_limit(&stack, 2, 3);
    let patient = source(&stack, &secret(), &clock);
    patient.token().await.unwrap();
    assert_eq!(stack.genesys().login().total(), 3);

    rate_limit(&stack, 1, 60);
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
