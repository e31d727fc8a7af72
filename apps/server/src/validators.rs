//! How a caller recognises an answer that it has (`ETag`), and how old an answer is that is kept here.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AGE, CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY},
};
use flowlake_data_action::{Answer, CacheServed, RowFormat};

use crate::{negotiation::AUDIT_ID, query::Envelope};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// In which shape the rows of an answer are: the same rows have a tag for each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) format: RowFormat,
    pub(crate) envelope: Envelope,
    /// Whether `Accept` chose the format, and not the path.
    pub(crate) is_negotiated: bool,
}

impl Shape {
    /// What stands behind the tag of the rows.
    fn suffix(self) -> String {
        let envelope = match self.envelope {
            Envelope::Flow => "flow",
            Envelope::DataAction => "data-action",
            Envelope::Full => "full",
            Envelope::Rows => "rows",
        };
        format!("-{}-{envelope}", self.format.name())
    }

    /// The tags of rows that a caller has in this shape; `*` is any. Compared weakly (RFC 9110, 13.1.2).
    pub(crate) fn if_none_match(self, headers: &HeaderMap) -> Vec<String> {
        let suffix = self.suffix();
        let mut tags = Vec::new();
        for value in headers.get_all(IF_NONE_MATCH) {
            let value = value.to_str().unwrap_or_default().trim();
            if value == "*" {
                tags.push(value.to_owned());
                continue;
            }
            // Tags of ours have no comma.
            for tag in value.split(',').map(str::trim) {
                let tag = tag.strip_prefix("W/").unwrap_or(tag);
                let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
                tags.extend(tag.and_then(|tag| Some(tag.strip_suffix(&suffix)?.to_owned())));
            }
        }
        tags
    }

    /// The headers of an answer. Weak is the tag, since an envelope names the attempt.
    pub(crate) fn headers(self, answer: &Answer) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.is_negotiated {
            headers.insert(VARY, HeaderValue::from_static("accept"));
        }
        let mut put = |name, text: String| {
            headers.extend(HeaderValue::try_from(text).ok().map(|value| (name, value)));
        };
        put(AUDIT_ID, answer.audit_log.id.clone());
        if let Some(tag) = &answer.tag {
            put(ETAG, format!("W/\"{tag}{}\"", self.suffix()));
        }
        let Some(served) = answer.cache else {
            return headers;
        };
        put(
            CACHE_STATUS,
            match served {
                CacheServed::Hit { left_ms, .. } => {
                    format!("flowlake; hit; ttl={}", left_ms / 1000)
                }
                CacheServed::Joined => "flowlake; fwd=miss; collapsed".to_owned(),
                CacheServed::Miss { kept: true } => "flowlake; fwd=miss; stored".to_owned(),
                CacheServed::Miss { kept: false } => "flowlake; fwd=miss".to_owned(),
            },
        );
        if let CacheServed::Hit { age_ms, .. } = served {
            put(AGE, (age_ms / 1000).to_string());
        }
        // A cache asks before each use, so that each use is recorded. Answers of other actions are not to be kept at all.
        if answer.tag.is_some() {
            put(CACHE_CONTROL, "private, no-cache".to_owned());
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header::IF_NONE_MATCH};
    use flowlake_data_action::RowFormat;

    use super::Shape;
    use crate::query::Envelope;

    #[test]
    fn tags_of_the_same_shape_are_taken() {
        let shape = Shape {
            format: RowFormat::Csv,
            envelope: Envelope::Rows,
            is_negotiated: true,
        };
        for (sent, expected) in [
            ("\"a-csv-rows\"", &["a"][..]),
            ("W/\"a-csv-rows\", \"b-csv-rows\"", &["a", "b"]),
            ("\"a-csv-flow\", \"a\", a-csv-rows, \"a-csv-rows", &[]),
            ("*", &["*"]),
            ("\"*\"", &[]),
            ("", &[]),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(sent));
            assert_eq!(shape.if_none_match(&headers), expected, "{sent}");
        }
    }
}
