//! Sends one request, and retries it when that may help. The SDK's own retries are off, so that every request is counted.
//!
//! Retried are errors of the server (5xx), throttling (`SlowDown`), connections that cannot be opened or that break, timeouts, and
//! bytes that do not match their checksum: [`Error::is_retryable`]. Waits double and are jittered. Two limits hold: `attempts` of
//! one request, and a budget that all requests of a store share (`retry_budget.rs`), so that an outage does not multiply the load.

use std::time::Duration;

use aws_sdk_s3::{Client, error::ProvideErrorMetadata};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};

use crate::{Error, ErrorKind, S3Stream, meter::Operation};

/// First wait between two tries; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

impl S3Stream {
    /// Sends a request until it succeeds, fails for good, or its tries are used up.
    ///
    /// `request` builds and starts one try with the client that it is given.
    pub(crate) async fn send<T, E, F>(
        &self,
        what: &str,
        operation: Operation,
        request: impl Fn(Client) -> F,
    ) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let mut attempt = 1;
        loop {
            match self.send_once(what, operation, &request).await {
                Err(error) if error.is_retryable() => {
                    attempt = self.next_attempt(error, attempt).await?;
                }
                result => return result,
            }
        }
    }

    /// Sends a request once. Sends it a second time, without a wait, when the region or the credentials had to be changed.
    pub(crate) async fn send_once<T, E, F>(
        &self,
        what: &str,
        operation: Operation,
        request: impl Fn(Client) -> F,
    ) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let mut adapted = false;
        loop {
            self.meter().sent(operation);
            let sent = self.clock().now();
            let generation = self.current_client().get();
            let limit = self.settings().response_timeout();
            let try_one = Box::pin(request(generation.client.clone()));
            let error = match tokio::time::timeout(limit, try_one).await {
                Ok(Ok(output)) => {
                    self.retry_budget().succeeded();
                    let ms = self
                        .clock()
                        .now()
                        .saturating_duration_since(sent)
                        .as_millis();
                    tracing::debug!(what, ?operation, ms, "a request to S3 was answered");
                    return Ok(output);
                }
                Ok(Err(error)) => Error::from_sdk(what, error),
                Err(_elapsed) => Error::new(
                    ErrorKind::Stalled,
                    format!("{what}: no answer within {} ms", limit.as_millis()),
                ),
            };
            if error.kind() == ErrorKind::Throttled {
                self.meter().throttled();
            }
            if adapted || !self.current_client().adapt(&generation, &error) {
                return Err(error);
            }
            adapted = true;
            self.meter().retried();
        }
    }

    /// Waits before the next try and gives its number, or gives the error back when there is none left.
    pub(crate) async fn next_attempt(&self, error: Error, attempt: u32) -> Result<u32, Error> {
        if attempt >= self.settings().attempts || !self.retry_budget().take(&error) {
            return Err(error);
        }
        tracing::debug!(%error, attempt, "a request to S3 is sent again");
        self.meter().retried();
        tokio::time::sleep(backoff(attempt, chance())).await;
        Ok(attempt + 1)
    }
}

/// The wait after that try: half of a step that doubles, and up to as much again by `chance`, from 0 to 1, so that readers that
/// failed together do not come back together.
fn backoff(attempt: u32, chance: f64) -> Duration {
    let step = FIRST_BACKOFF
        .saturating_mul(1 << attempt.saturating_sub(1).min(10))
        .min(LONGEST_BACKOFF);
    let half = step.div_f64(2.0);
    half + half.mul_f64(chance)
}

/// A number from 0 to 1 that differs between calls: the hash of nothing under the standard library's random keys.
fn chance() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default();
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{backoff, chance};

    #[test]
    fn waits_double_up_to_the_longest() {
        let ms = |attempt, chance| backoff(attempt, chance).as_millis();
        for (attempt, least, most) in [
            (1, 25, 50),
            (2, 50, 100),
            (3, 100, 200),
            (7, 1_600, 3_200),
            (8, 2_500, 5_000),
            (u32::MAX, 2_500, 5_000),
        ] {
            assert_eq!(
                (ms(attempt, 0.0), ms(attempt, 1.0)),
                (least, most),
                "{attempt}"
            );
            assert!((least..=most).contains(&ms(attempt, chance())));
        }
    }
}
