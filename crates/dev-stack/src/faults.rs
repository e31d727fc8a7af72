//! Failures on demand and counts of what was asked: what tests use to see how a client behaves.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A way for the next requests to go wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// 429 (Genesys), 400 `Throttling` (AWS), 503 `SlowDown` (S3), each with `Retry-After`.
    RateLimited {
        /// The value of `Retry-After`.
        retry_after_seconds: u64,
    },
    /// This HTTP status, with the service's usual body for it.
    Status(u16),
    /// An error code of the service's own, in its own wire format.
    Code {
        /// The HTTP status.
        status: u16,
        /// The service's code, such as `ExpiredToken`.
        code: String,
    },
    /// 200 with a body that is not in the service's format.
    Garbage,
    /// The true answer, after this time.
    Slow(Duration),
    /// No answer at all, with the connection open.
    Hang,
    /// The connection is closed without an answer.
    Disconnect,
    /// The same, after the Platform API has done what was asked. As [`Self::Disconnect`] elsewhere.
    Lost,
}

/// How many requests are remembered as they came in.
const REMEMBERED: usize = 256;

/// A request as it came in, without its signature and session token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The operation, such as `SimulatePrincipalPolicy`.
    pub operation: String,
    /// The path.
    pub path: String,
    /// The query's names and values, decoded.
    pub query: Vec<(String, String)>,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; empty for S3, whose bodies may be large.
    pub body: Vec<u8>,
}

impl ReceivedRequest {
    pub(crate) fn new(
        operation: &str,
        uri: &http::Uri,
        headers: &http::HeaderMap,
        body: &[u8],
    ) -> Self {
        let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let headers = headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "authorization" | "x-amz-security-token"))
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            })
            .collect();
        Self {
            operation: operation.to_owned(),
            path: uri.path().to_owned(),
            query: query.into_owned().collect(),
            headers,
            body: body.to_vec(),
        }
    }

    /// The body's form fields, for STS and IAM.
    #[must_use]
    pub fn form(&self) -> BTreeMap<String, String> {
        url::form_urlencoded::parse(&self.body)
            .into_owned()
            .collect()
    }
}

/// Failures to come and requests so far, of one stand-in.
#[derive(Debug, Clone, Default)]
pub struct Traffic {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    failures: VecDeque<(Option<String>, Failure)>,
    counts: BTreeMap<String, u64>,
    received: VecDeque<ReceivedRequest>,
}

impl Traffic {
    /// Makes the next `n` requests fail, whatever they ask. Calls add up in order.
    pub fn fail_next(&self, n: usize, failure: Failure) {
        self.state()
            .failures
            .extend(std::iter::repeat_n((None, failure), n));
    }

    /// Makes the next `n` requests of one operation fail, such as `GetObject`,
    /// `SimulatePrincipalPolicy` or `POST /oauth/token`.
    pub fn fail_next_of(&self, operation: &str, n: usize, failure: Failure) {
        let failure = (Some(operation.to_owned()), failure);
        self.state()
            .failures
            .extend(std::iter::repeat_n(failure, n));
    }

    /// Forgets the failures still to come.
    pub fn clear_failures(&self) {
        self.state().failures.clear();
    }

    /// How many requests of this operation have come in, failed ones included.
    #[must_use]
    pub fn count(&self, operation: &str) -> u64 {
        self.state().counts.get(operation).copied().unwrap_or(0)
    }

    /// Every operation seen so far, with its count.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.state().counts.clone()
    }

    /// The last requests of this operation as they came in, oldest first; not those of the login.
    #[must_use]
    pub fn received(&self, operation: &str) -> Vec<ReceivedRequest> {
        let state = self.state();
        let of_operation = |request: &&ReceivedRequest| request.operation == operation;
        state
            .received
            .iter()
            .filter(of_operation)
            .cloned()
            .collect()
    }

    /// Remembers a request as it came in.
    pub(crate) fn remember(&self, request: ReceivedRequest) {
        let mut state = self.state();
        if state.received.len() == REMEMBERED {
            state.received.pop_front();
        }
        state.received.push_back(request);
    }

    /// How many requests have come in.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.state().counts.values().sum()
    }

    /// Notes a request and says how it must fail, if it must.
    pub(crate) fn admit(&self, operation: &str) -> Option<Failure> {
        self.note(operation);
        self.failure(operation)
    }

    /// Notes a request.
    pub(crate) fn note(&self, operation: &str) {
        *self.state().counts.entry(operation.to_owned()).or_default() += 1;
    }

    /// How this request must fail, if it must.
    pub(crate) fn failure(&self, operation: &str) -> Option<Failure> {
        let mut state = self.state();
        let position = state
            .failures
            .iter()
            .position(|(only, _)| only.as_deref().is_none_or(|only| only == operation))?;
        state.failures.remove(position).map(|(_, failure)| failure)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_come_in_order_and_only_for_their_operation() {
        let traffic = Traffic::default();
        traffic.fail_next_of("GetObject", 1, Failure::Garbage);
        traffic.fail_next(1, Failure::Status(500));
        assert_eq!(traffic.admit("HeadObject"), Some(Failure::Status(500)));
        assert_eq!(traffic.admit("HeadObject"), None);
        assert_eq!(traffic.admit("GetObject"), Some(Failure::Garbage));
        assert_eq!(traffic.admit("GetObject"), None);
        assert_eq!(traffic.count("GetObject"), 2);
        assert_eq!(traffic.total(), 4);
    }
}
