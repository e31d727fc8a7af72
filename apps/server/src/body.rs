//! The body of a request: read within its limits, and checked to be JSON.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT},
    },
};
use flowlake_data_action::{ActionError, ErrorCode, ServerSettings};
use hyper::body::{Frame, SizeHint};
use serde_json::{Map, Value};

/// How long the body of a refused request is still read: a peer whose connection is closed while it sends may lose the refusal.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// Limits of reading a body: its size, and the time until it is complete.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

impl BodyLimits {
    pub(crate) const fn of(settings: &ServerSettings) -> Self {
        Self {
            bytes: settings.max_body_bytes,
            time: settings.body_timeout,
        }
    }
}

/// A request that is refused for its body, with the status that belongs to it.
pub(crate) type Refusal = (StatusCode, ActionError);

/// Reads the parameters of a request: a JSON object, or nothing at all.
pub(crate) async fn parameters(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<Map<String, Value>, Refusal> {
    let body = json(headers, body, limits).await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    flowlake_data_action::parameters(&body).map_err(|error| invalid(&error.to_string()))
}

/// Reads a body that is JSON by its own account.
pub(crate) async fn json(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<Bytes, Refusal> {
    check_type(headers)?;
    read(headers, body, limits).await
}

/// A body that is put into `unread` when it is dropped before anybody has read from it.
struct ObservedBody {
    body: Body,
    is_begun: bool,
    unread: Arc<Mutex<Option<Body>>>,
}

/// Receives the body of a request if no handler has read from it.
pub(crate) struct UnreadBody(Option<Arc<Mutex<Option<Body>>>>);

/// Wraps the body of a request, so that it can be drained if no handler reads it.
pub(crate) fn observe(request: Request) -> (Request, UnreadBody) {
    // With `Expect: 100-continue`, the peer sends the body only after it is read from.
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return (request, UnreadBody(None));
    }
    let unread = Arc::default();
    let request = request.map(|body| {
        Body::new(ObservedBody {
            body,
            is_begun: false,
            unread: Arc::clone(&unread),
        })
    });
    (request, UnreadBody(Some(unread)))
}

impl UnreadBody {
    /// Reads and discards the rest of a body for a short time.
    pub(crate) async fn drain(self, limits: BodyLimits) {
        let body = self.0.and_then(|unread| {
            let mut unread = unread.lock().unwrap_or_else(PoisonError::into_inner);
            unread.take()
        });
        if let Some(body) = body {
            let all = axum::body::to_bytes(body, limits.bytes);
            // A peer whose body is larger or slower may lose the response.
            let _ = tokio::time::timeout(DRAIN_LIMIT.min(limits.time), all).await;
        }
    }
}

impl HttpBody for ObservedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // The handler has it from now on, even if it does not read all of it.
        self.is_begun = true;
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ObservedBody {
    fn drop(&mut self) {
        if !self.is_begun {
            let mut unread = self.unread.lock().unwrap_or_else(PoisonError::into_inner);
            *unread = Some(std::mem::take(&mut self.body));
        }
    }
}

/// Reads a body within its bounds.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<Bytes, Refusal> {
    let too_large = || {
        let message = format!("the body is larger than {} bytes", limits.bytes);
        let advice = "Send less, or raise `max_body_bytes` in [server].";
        let (_, error) = invalid_with(&message, advice);
        (StatusCode::PAYLOAD_TOO_LARGE, error)
    };
    let length = headers.get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limits.bytes as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(limits.time, axum::body::to_bytes(body, limits.bytes)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_length(&error) => Err(too_large()),
        Ok(Err(_broken)) => Err(invalid_with(
            "the body ends early",
            "Send as many bytes as Content-Length or the chunks say.",
        )),
        Err(_elapsed) => {
            let message = format!(
                "the body did not come within {} ms",
                limits.time.as_millis()
            );
            let advice = "Send the body at once, or raise `body_timeout` in [server].";
            let (_, error) = invalid_with(&message, advice);
            Err((StatusCode::REQUEST_TIMEOUT, error))
        }
    }
}

fn is_length(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<http_body_util::LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// Refuses what says by itself that it is no plain JSON. A web page can send other types to any server without asking it.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let unsupported = |what: &str| {
        let advice = "Send JSON as it is, with `Content-Type: application/json`.";
        let (_, error) = invalid_with(what, advice);
        Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, error))
    };
    let encodings = headers.get_all(CONTENT_ENCODING).iter();
    if encodings.into_iter().any(|value| value != "identity") {
        return unsupported("compressed bodies are not taken");
    }
    let is_json = |value: &str| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    };
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    if types.all(|value| value.to_str().is_ok_and(is_json)) {
        return Ok(());
    }
    unsupported("the content type is not application/json")
}

/// The refusal of a request whose parameters cannot be read.
pub(crate) fn invalid(what: &str) -> Refusal {
    invalid_with(
        what,
        "Send a JSON object of parameters, such as {\"queue\": \"Support\"}.",
    )
}

/// The refusal of a request that cannot be read, with advice about what is wrong with it.
pub(crate) fn invalid_with(what: &str, advice: &str) -> Refusal {
    let message = format!("the request cannot be read: {what}");
    let error = ActionError::new(ErrorCode::RequestInvalid, message, advice);
    (StatusCode::BAD_REQUEST, error)
}
