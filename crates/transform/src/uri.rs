//! Locations with parameters: `s3://bucket/exports/{date}/calls.csv`.
//!
//! The bucket is fixed text. A parameter fills a part of one segment and can never add a segment, climb out of one, or
//! turn into a wildcard.

use object_store::path::{Path, PathPart};
use url::Url;

use crate::{BoundParams, Error, ErrorKind};

/// Characters that make a location name more than one object.
pub(crate) const WILDCARDS: [char; 3] = ['*', '?', '['];

/// A location that waits for its parameters.
#[derive(Debug, Clone)]
pub(crate) struct UriTemplate {
    store_url: Url,
    parts: Vec<Part>,
    exact: bool,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Param(String),
}

impl UriTemplate {
    pub(crate) fn parse(table: &str, text: &str) -> Result<Self, Error> {
        let invalid = |why: &str| {
            Error::new(
                ErrorKind::InvalidSpec,
                format!("the uri `{text}` of table `{table}` {why}"),
            )
        };
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid("must begin with s3://"))?;
        let (bucket, key) = rest
            .split_once('/')
            .ok_or_else(|| invalid("names no object: write s3://bucket/key"))?;
        if scheme != "s3" || bucket.is_empty() || key.is_empty() {
            return Err(invalid("must be s3://bucket/key"));
        }
        if !bucket
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte))
        {
            return Err(invalid(
                "must name its bucket in full: no parameter, no wildcard, lowercase letters, digits, `.` and `-`",
            ));
        }
        let store_url = Url::parse(&format!("s3://{bucket}"))
            .map_err(|_error| invalid("has a bucket that is no host name"))?;
        let parts = parse_parts(key)
            .ok_or_else(|| invalid("has a `{` without its `}`, or no name between them"))?;
        for part in &parts {
            let Part::Text(text) = part else { continue };
            if text
                .split('/')
                .any(|segment| segment == "." || segment == "..")
                || text.contains("//")
                || text.contains(['%', '#', '\\'])
            {
                return Err(invalid(
                    "may not hold `.`, `..` or empty segments, `%`, `#` or `\\`",
                ));
            }
        }
        let exact = !key.ends_with('/')
            && !parts
                .iter()
                .any(|part| matches!(part, Part::Text(text) if text.contains(WILDCARDS)));
        Ok(Self {
            store_url,
            parts,
            exact,
        })
    }

    pub(crate) const fn store_url(&self) -> &Url {
        &self.store_url
    }

    /// Whether it names one object.
    pub(crate) const fn is_exact(&self) -> bool {
        self.exact
    }

    /// The names of its parameters.
    pub(crate) fn params(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Param(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The key with its parameters filled in.
    pub(crate) fn fill(&self, bound: &BoundParams) -> Result<String, Error> {
        let mut key = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Param(name) => key.push_str(&segment(name, bound)?),
            }
        }
        Path::parse(&key).map_err(|error| {
            Error::new(
                ErrorKind::InvalidParam,
                "the parameters do not make a valid key",
            )
            .with_source(error)
        })?;
        Ok(key)
    }
}

/// The value of a parameter as part of a segment.
fn segment(name: &str, bound: &BoundParams) -> Result<String, Error> {
    let value = bound.get(name).map(ToString::to_string).unwrap_or_default();
    // What `object_store` would have to encode in one path segment (a slash, `..`, wildcards, `%`, control characters)
    // is not a name that anybody writes files under, but is what somebody who tries to get elsewhere sends.
    let plain = !value.is_empty()
        && PathPart::from(value.as_str()).as_ref() == value
        && !value.contains(WILDCARDS)
        && !value.contains('#');
    if plain {
        Ok(value)
    } else {
        Err(Error::new(
            ErrorKind::InvalidParam,
            format!(
                "the value of `{name}` cannot be part of a key: it is empty or has characters such as `/`, `..`, `*` or `%`"
            ),
        ))
    }
}

fn parse_parts(key: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut rest = key;
    while let Some((text, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        if name.is_empty()
            || text.contains('}')
            || !name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            return None;
        }
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        parts.push(Part::Param(name.to_owned()));
        rest = after;
    }
    if rest.contains('}') {
        return None;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::UriTemplate;

    #[test]
    fn a_uri_names_its_bucket_in_full() {
        for uri in [
            "",
            "calls.csv",
            "s3://",
            "s3://bucket",
            "s3://bucket/",
            "s3:///key",
            "file:///etc/passwd",
            "s3://{b}/key",
            "s3://b*/key",
            "s3://u:p@b/key",
            "https://b/key",
        ] {
            assert!(UriTemplate::parse("t", uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn a_uri_cannot_climb() {
        for uri in [
            "s3://b/../key",
            "s3://b/a/./key",
            "s3://b/a//key",
            "s3://b/a%2fkey",
            "s3://b/{",
            "s3://b/{}",
            "s3://b/{a}}",
            "s3://b/{a b}",
        ] {
            assert!(UriTemplate::parse("t", uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn prefixes_and_globs_are_not_exact() {
        let exact = |uri| UriTemplate::parse("t", uri).unwrap().is_exact();
        assert!(exact("s3://b/exports/{date}/calls.csv"));
        assert!(!exact("s3://b/exports/{date}/"));
        assert!(!exact("s3://b/exports/*/calls.csv"));
    }
}
