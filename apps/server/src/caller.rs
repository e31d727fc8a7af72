//! What the headers of a request tell about who asks, for its audit record.

use axum::http::HeaderMap;
use flowlake_data_action::Caller;

/// The caller's own name for its request, given back to it in the answer.
pub(crate) const REQUEST_ID: &str = "x-request-id";
/// The headers that carry the caller's own identifier of a request. Genesys Cloud puts its own on every call of a data action.
const CORRELATION_ID: [&str; 3] = ["inin-correlation-id", "x-correlation-id", REQUEST_ID];
/// The header in which a flow sends its conversation.
const CONVERSATION_ID: [&str; 1] = ["x-genesys-conversation-id"];
/// The headers that name the organisation. The first is set by Genesys Cloud, and flows cannot change it.
const ORGANIZATION_ID: [&str; 2] = ["inin-organization-id", "x-genesys-organization-id"];
/// The header in which Genesys Cloud names the user whose work called the data action, if there is one.
const USER_ID: [&str; 1] = ["inin-user-id"];
/// Longest text that is taken from such a header.
pub(crate) const LONGEST_ID: usize = 128;

/// The caller of that name, with what the headers tell.
pub(crate) fn caller(name: &str, headers: &HeaderMap) -> Caller {
    let text = |names: &[&str]| {
        let mut values = names.iter().filter_map(|name| headers.get(*name));
        let value = values.next()?.to_str().ok()?;
        let printable = value.chars().filter(char::is_ascii_graphic);
        Some(printable.take(LONGEST_ID).collect())
    };
    Caller {
        name: name.to_owned(),
        organization: text(&ORGANIZATION_ID),
        conversation_id: text(&CONVERSATION_ID),
        correlation_id: text(&CORRELATION_ID),
        trace_id: trace_id(headers),
        user: text(&USER_ID),
    }
}

/// The trace that a request belongs to, where its one `traceparent` is as W3C Trace Context writes it.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let mut sent = headers.get_all("traceparent").iter();
    let (Some(sent), None) = (sent.next(), sent.next()) else {
        return None;
    };
    let mut parts = sent.to_str().ok()?.split('-');
    let mut hex = |length| {
        let is_hex = |part: &&str| {
            let mut bytes = part.bytes();
            part.len() == length && bytes.all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        parts.next().filter(is_hex)
    };
    let (version, trace, parent) = (hex(2)?, hex(32)?, hex(16)?);
    hex(2)?;
    let is_nothing = |part: &str| part.bytes().all(|byte| byte == b'0');
    let is_invalid = version == "ff" || is_nothing(trace) || is_nothing(parent);
    // Later versions may have more parts.
    let has_more = version == "00" && parts.next().is_some();
    (!is_invalid && !has_more).then(|| trace.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{caller, trace_id};

    #[test]
    fn genesys_cloud_names_a_request_before_anybody_else() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-request-id", "r-1"),
            ("x-correlation-id", "c-1"),
            ("inin-correlation-id", "g\t1"),
            ("inin-user-id", "u-1"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
            let found = caller("flows", &headers);
            let expected: String = value.chars().filter(|c| *c != '\t').collect();
            let found = if name == "inin-user-id" {
                found.user
            } else {
                found.correlation_id
            };
            assert_eq!(found.as_deref(), Some(&*expected), "{name}");
        }
    }

    #[test]
    fn a_trace_is_taken_where_it_is_written_as_it_has_to_be() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for (sent, is_taken) in [
            (format!("00-{trace}-b7ad6b7169203331-01"), true),
            (format!("01-{trace}-b7ad6b7169203331-01-more"), true),
            (format!("00-{trace}-b7ad6b7169203331-01-more"), false),
            (format!("ff-{trace}-b7ad6b7169203331-01"), false),
            (format!("00-{trace}-0000000000000000-01"), false),
            (format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)), false),
            (
                format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
                false,
            ),
            (format!("00-{trace}x-b7ad6b7169203331-01"), false),
            (trace.to_owned(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", HeaderValue::try_from(&sent).unwrap());
            let expected = is_taken.then_some(trace);
            assert_eq!(trace_id(&headers).as_deref(), expected, "{sent}");
            headers.append("traceparent", HeaderValue::try_from(&sent).unwrap());
            assert_eq!(trace_id(&headers), None, "{sent}, twice");
        }
    }
}
