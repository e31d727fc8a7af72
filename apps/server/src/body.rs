//! The body of a request: read within its bounds, and JSON without doubt.

use std::{fmt, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT},
    },
};
use flowlake_data_action::{ActionError, ErrorCode};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// What is still read of the body of a request that is refused for its head: a connection that is closed before its peer has
/// sent everything may lose the refusal.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// How much is read of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimits {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
}

/// A request that is refused for its body, with the status that belongs to it.
pub(crate) type Refusal = (StatusCode, ActionError);

/// Reads the parameters of a request: a JSON object, or nothing at all.
pub(crate) async fn parameters(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<Map<String, Value>, Refusal> {
    check_type(headers)?;
    let body = read(headers, body, limits).await?;
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Map::new());
    }
    // The error names the position and not the content, which may hold personal data.
    let place =
        |error: &serde_json::Error| format!("at line {}, column {}", error.line(), error.column());
    match serde_json::from_slice(&body) {
        // Read once more: only so do numbers keep all their digits.
        Ok(Strict(Value::Object(_))) => flowlake_data_action::parameters(&body)
            .map_err(|error| invalid(&format!("not a JSON object, {}", place(&error)))),
        Ok(Strict(_)) => Err(invalid("not a JSON object")),
        Err(error) if error.is_data() => Err(invalid(&format!(
            "a name stands twice in an object, {}",
            place(&error)
        ))),
        Err(error) => Err(invalid(&format!("not a JSON object, {}", place(&error)))),
    }
}

/// Reads what is left of a body that nobody wants, for a short time; not one that is only sent when it is asked for.
pub(crate) async fn drain(headers: &HeaderMap, body: Body, limits: BodyLimits) {
    if headers.contains_key(EXPECT) {
        return;
    }
    let all = axum::body::to_bytes(body, limits.bytes);
    // What is larger or slower loses its answer.
    let _ = tokio::time::timeout(DRAIN_LIMIT.min(limits.time), all).await;
}

/// Reads a body within its bounds.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: BodyLimits,
) -> Result<Bytes, Refusal> {
    let too_large = || {
        let message = format!("the body is larger than {} bytes", limits.bytes);
        let (_, error) = invalid(&message);
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
        Ok(Err(_broken)) => Err(invalid("the body ends early")),
        Err(_elapsed) => {
            let message = format!(
                "the body did not come within {} ms",
                limits.time.as_millis()
            );
            let (_, error) = invalid(&message);
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
        let (_, error) = invalid(what);
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

/// The refusal of a request that cannot be read.
pub(crate) fn invalid(what: &str) -> Refusal {
    let error = ActionError::new(
        ErrorCode::RequestInvalid,
        format!("the request cannot be read: {what}"),
        "Send a JSON object of parameters, such as {\"queue\": \"Support\"}.",
    );
    (StatusCode::BAD_REQUEST, error)
}

/// JSON in which no object has a name twice: readers differ in which of the two they take.
pub(crate) struct Strict(pub(crate) Value);

struct StrictVisitor;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a number"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::Strict;

    #[test]
    fn json_reads_as_usual_but_for_names_that_stand_twice() {
        for text in [
            "{\"a\": [1, -2, 2.5, true, null, \"\\u0041\"], \"b\": {\"a\": 18446744073709551615}}",
            "[]",
            "1e5",
            "[{\"a\": 1}, {\"a\": 1}]",
        ] {
            let Strict(strict) = serde_json::from_str(text).unwrap();
            assert_eq!(strict, serde_json::from_str::<Value>(text).unwrap());
        }
        for text in [
            "{\"a\": 1, \"a\": 1}",
            "{\"a\": 1, \"\\u0061\": 2}",
            "{\"b\": [{\"a\": 1, \"c\": 2, \"a\": 3}]}",
        ] {
            assert!(serde_json::from_str::<Strict>(text).is_err(), "{text}");
            assert!(serde_json::from_str::<Value>(text).is_ok(), "{text}");
        }
    }
}
