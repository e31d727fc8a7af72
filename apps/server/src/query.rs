//! The query of an address: which shape the answer has, and parameters.

use std::borrow::Cow;

use axum::http::StatusCode;
use flowlake_data_action::{ActionError, ErrorCode, JsonReader};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use crate::body::Refusal;

/// The one name that is no parameter.
const ENVELOPE: &str = "envelope";

/// `?envelope=`: which shape the answer has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Envelope {
    /// Flat and small, for flows.
    #[default]
    Flow,
    /// The same, with rows as the contract of a data action allows them: without null, and without integers beyond 2^53 - 1.
    DataAction,
    /// Everything: metadata, cost, audit record, profile.
    Full,
    /// None: the rows alone.
    Rows,
}

impl Envelope {
    /// Who reads the rows.
    pub(crate) const fn reader(self) -> JsonReader {
        match self {
            Self::DataAction => JsonReader::Flow,
            Self::Flow | Self::Full | Self::Rows => JsonReader::Program,
        }
    }
}

/// What the query of a request says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Query {
    pub(crate) envelope: Envelope,
    /// Everything else, as text: parameters of any type are read from it.
    pub(crate) params: Map<String, Value>,
}

impl Query {
    /// Reads `name=value&name=value`.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, Refusal> {
        let mut found = Self::default();
        let mut envelope = None;
        let parts = query.unwrap_or_default().split('&');
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let earlier = if name == ENVELOPE {
                envelope.replace(value).is_some()
            } else {
                found.params.insert(name, Value::String(value)).is_some()
            };
            if earlier {
                return Err(invalid("a name stands twice"));
            }
        }
        found.envelope = match envelope.as_deref() {
            None | Some("flow") => Envelope::Flow,
            Some("data-action") => Envelope::DataAction,
            Some("full") => Envelope::Full,
            Some("rows") => Envelope::Rows,
            Some(_) => return Err(invalid("there is no such envelope")),
        };
        Ok(found)
    }

    /// The envelope of a request whose parameters are in its body.
    pub(crate) fn envelope_alone(query: Option<&str>) -> Result<Envelope, Refusal> {
        let Self { envelope, params } = Self::parse(query)?;
        if params.is_empty() {
            return Ok(envelope);
        }
        Err(invalid("parameters are in the body of a POST"))
    }
}

/// One name or value. What is wrong with it is not repeated: it may be personal.
fn decode(part: &str) -> Result<String, Refusal> {
    let mut escapes = part.split('%').skip(1);
    let is_escape = |rest: &str| {
        let mut digits = rest.bytes().take(2);
        rest.len() >= 2 && digits.all(|digit| digit.is_ascii_hexdigit())
    };
    if !escapes.all(is_escape) {
        return Err(invalid("a % is not followed by two digits"));
    }
    let spaced = part.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    let decoded = decoded.map_err(|_| invalid("it is no UTF-8"))?;
    Ok(Cow::into_owned(decoded))
}

fn invalid(what: &str) -> Refusal {
    let error = ActionError::new(
        ErrorCode::RequestInvalid,
        format!("the query of the address cannot be read: {what}"),
        "Append `?envelope=flow`, `full`, `rows` or `data-action`, or nothing; with GET also parameters, such as `&queue=Support`.",
    );
    (StatusCode::BAD_REQUEST, error)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Envelope, Query};

    #[test]
    fn names_and_values_are_decoded_and_stand_once() {
        let found = Query::parse(Some(
            "a=1+2&envelope=rows&b=%C3%A9%26&&c&d=0.30000000000000001",
        ));
        let found = found.unwrap();
        assert_eq!(found.envelope, Envelope::Rows);
        let expected = json!({ "a": "1 2", "b": "\u{e9}&", "c": "", "d": "0.30000000000000001" });
        assert_eq!(Value::Object(found.params), expected);
        assert_eq!(Query::parse(None).unwrap(), Query::default());
        for refused in [
            "a=1&a=1",
            "a=1&%61=2",
            "envelope=rows&envelope=rows",
            "envelope=Rows",
            "envelope=",
            "a=%",
            "a=%4",
            "a=%zz",
            "a=%ff",
            "%ff=a",
        ] {
            assert!(Query::parse(Some(refused)).is_err(), "{refused}");
        }
        assert!(Query::envelope_alone(Some("envelope=full")).is_ok());
        assert!(Query::envelope_alone(Some("envelope=full&a=1")).is_err());
    }
}
