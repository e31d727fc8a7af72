//! Sending one request, again when that may help: the SDK's own retries are off, so that every request is counted.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};

use crate::{Error, ErrorKind, S3Stream, meter::Operation};

/// First wait between two tries; it doubles.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
/// Longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

impl S3Stream {
    /// Sends a request until it succeeds, fails for good, or the settings' attempts are used up.
    ///
    /// `request` starts one try; the SDK's request builders are clones of their input, so it is `|| builder.clone().send()`.
    pub(crate) async fn send<T, E, F>(
        &self,
        what: &str,
        operation: Operation,
        request: impl Fn() -> F,
    ) -> Result<T, Error>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let mut attempt = 1;
        loop {
            self.meter().sent(operation);
            let limit = self.settings().response_timeout();
            let result = match tokio::time::timeout(limit, Box::pin(request())).await {
                Ok(result) => result.map_err(|error| Error::from_sdk(what, error)),
                Err(_elapsed) => Err(Error::new(
                    ErrorKind::Stalled,
                    format!("{what}: no answer within {} ms", limit.as_millis()),
                )),
            };
            match result {
                Err(error) if error.is_retryable() && attempt < self.settings().attempts => {
                    tracing::debug!(%error, attempt, "a request to S3 is sent again");
                    self.back_off(&error, attempt).await;
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    /// Counts a retry and waits before it: half the step and up to as much again by chance, so that readers that failed
    /// together do not come back together.
    pub(crate) async fn back_off(&self, error: &Error, attempt: u32) {
        self.meter().retried();
        if error.kind() == ErrorKind::Throttled {
            self.meter().throttled();
        }
        let step = FIRST_BACKOFF
            .saturating_mul(1 << attempt.saturating_sub(1).min(10))
            .min(LONGEST_BACKOFF);
        tokio::time::sleep(step.div_f64(2.0) + step.div_f64(2.0).mul_f64(chance())).await;
    }
}

/// A number from 0 to 1 that differs between calls: the hash of nothing under the standard library's random keys.
fn chance() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default();
    f64::from(bits) / f64::from(u32::MAX)
}
