//! Locations with parameters: `s3://bucket/exports/{date}/calls.csv`.
//!
//! The bucket is fixed text. A parameter fills a part of one segment and can never add a segment, climb out of one, or
//! turn into a wildcard.

use std::{path::Path as Folder, sync::Arc};

use object_store::path::Path;

use crate::{BoundParams, Error, ErrorKind, KeyPattern, LOCAL_FILES, Location};

/// Characters that make a location name more than one object.
pub(crate) const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Where the system has standard input, which is written `-`.
const STDIN: &str = "/dev/stdin";

/// A location that waits for its parameters.
#[derive(Debug, Clone)]
pub(crate) struct UriTemplate {
    bucket: Arc<str>,
    parts: Vec<Part>,
    shape: Shape,
}

/// What kind of location it makes. It depends on the written text alone, so a parameter cannot change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Object,
    Below,
    Glob,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Param(String),
}

impl UriTemplate {
    pub(crate) fn parse(table: &str, text: &str) -> Result<Self, Error> {
        let invalid = |why: &str| invalid(table, text, why);
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid("must begin with s3://"))?;
        let (bucket, key) = rest
            .split_once('/')
            .ok_or_else(|| invalid("names no object: write s3://bucket/key"))?;
        check_visible(table, text)?;
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
        if key.starts_with('/') {
            return Err(invalid("may not hold `.`, `..` or empty segments"));
        }
        Self::of_key(table, text, bucket.into(), key)
    }

    /// A file of this machine, a folder of them with a `/` at its end, or a glob; relative to `folder`, which is absolute. `-` is
    /// standard input.
    pub(crate) fn parse_local(table: &str, text: &str, folder: &Folder) -> Result<Self, Error> {
        let invalid = |why: &str| invalid(table, text, why);
        check_visible(table, text)?;
        let path = match text.strip_prefix("file://").unwrap_or(text) {
            "-" => STDIN,
            path => path,
        };
        if path.contains("://") || path.is_empty() {
            return Err(invalid("must be s3://bucket/key, or the path of a file"));
        }
        let folder = folder
            .to_str()
            .filter(|folder| !folder.contains(['{', '}']) && !folder.contains(WILDCARDS));
        let whole = match folder {
            _ if path.starts_with('/') => path.to_owned(),
            Some(folder) => format!("{folder}/{path}"),
            None => {
                return Err(invalid(
                    "cannot be found from this folder, whose name has one of the characters `*?[{}` or is no UTF-8: write an absolute path",
                ));
            }
        };
        let mut segments: Vec<&str> = Vec::new();
        for segment in whole.split('/') {
            match segment {
                "" | "." => {}
                ".." => {
                    segments.pop();
                }
                other => segments.push(other),
            }
        }
        let mut key = segments.join("/");
        if path.ends_with('/') || matches!(path.rsplit('/').next(), Some("." | "..")) {
            key.push('/');
        }
        if segments.is_empty() {
            return Err(invalid("names all files of this machine"));
        }
        Self::of_key(table, text, LOCAL_FILES.into(), &key)
    }

    fn of_key(table: &str, text: &str, bucket: Arc<str>, key: &str) -> Result<Self, Error> {
        let invalid = |why: &str| invalid(table, text, why);
        let parts = parse_parts(key)
            .ok_or_else(|| invalid("has a `{` without its `}`, or no name between them"))?;
        for part in &parts {
            let Part::Text(text) = part else { continue };
            if text
                .split('/')
                .any(|segment| segment == "." || segment == "..")
                || text.contains("//")
            {
                return Err(invalid("may not hold `.`, `..` or empty segments"));
            }
        }
        let shape = shape(key, &parts);
        let is_glob = |part: &Part| match part {
            Part::Text(text) => KeyPattern::default().push_glob(text).is_some(),
            Part::Param(_) => true,
        };
        if shape == Shape::Glob && !parts.iter().all(is_glob) {
            return Err(invalid(
                "has a `[` that does not begin a class such as `[a-z]`",
            ));
        }
        Ok(Self {
            bucket,
            parts,
            shape,
        })
    }

    pub(crate) fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Whether it names one object.
    pub(crate) const fn is_exact(&self) -> bool {
        matches!(self.shape, Shape::Object)
    }

    /// The names of its parameters.
    pub(crate) fn params(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Param(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    /// The location with its parameters filled in.
    pub(crate) fn fill(&self, bound: &BoundParams) -> Result<Location, Error> {
        let mut text = String::new();
        let mut pattern = KeyPattern::default();
        for part in &self.parts {
            match part {
                Part::Text(written) => {
                    text.push_str(written);
                    if self.shape == Shape::Glob {
                        pattern
                            .push_glob(written)
                            .expect("the text was parsed when the template was made");
                    }
                }
                Part::Param(name) => {
                    let value = segment(name, bound)?;
                    text.push_str(&value);
                    pattern.push_literal(&value);
                }
            }
        }
        // The engine, the metadata cache and the pins name an object by a `Path`, which must be the key itself.
        let named = text.strip_suffix('/').unwrap_or(&text);
        let path = Path::parse(named)
            .ok()
            .filter(|path| path.as_ref() == named);
        let path = path.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidParam,
                "the parameters do not make a valid key",
            )
        })?;
        let bucket = Arc::clone(&self.bucket);
        Ok(match self.shape {
            Shape::Object => Location::object(bucket, path),
            Shape::Below => Location::below(bucket, text),
            Shape::Glob => {
                if text.ends_with('/') {
                    pattern.push_many();
                }
                Location::like(bucket, text, pattern)
            }
        })
    }
}

impl UriTemplate {
    /// Everything that it can name, whatever its parameters are, as IAM writes it.
    pub(crate) fn reach(&self) -> Reach {
        let (mut keys, mut listed) = (KeyPattern::default(), KeyPattern::default());
        let mut is_fixed = true;
        for part in &self.parts {
            match part {
                Part::Text(text) if self.shape == Shape::Glob => {
                    keys.push_glob(text)
                        .expect("the text was parsed when the template was made");
                    if is_fixed {
                        let end = text.find(WILDCARDS);
                        listed.push_literal(&text[..end.unwrap_or(text.len())]);
                        is_fixed = end.is_none();
                    }
                }
                Part::Text(text) => {
                    keys.push_literal(text);
                    listed.push_literal(text);
                }
                Part::Param(_) => {
                    keys.push_many();
                    if is_fixed {
                        listed.push_many();
                    }
                }
            }
        }
        if self.parts.last().is_some_and(is_folder) {
            keys.push_many();
        }
        Reach {
            bucket: self.bucket.to_string(),
            keys: keys.as_wildcards(),
            listed: (self.shape != Shape::Object).then(|| listed.as_wildcards()),
        }
    }
}

/// The objects that a uri can name, whatever its parameters are, in the syntax of IAM resources.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reach {
    /// The bucket.
    pub bucket: String,
    /// The keys, `*` standing for each parameter.
    pub keys: String,
    /// The prefixes that they are listed with; none when single objects are read.
    pub listed: Option<String>,
}

impl Location {
    /// The location that a uri without parameters names.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSpec`].
    pub fn parse(uri: &str) -> Result<Self, Error> {
        let template = UriTemplate::parse("location", uri)?;
        if template.params().next().is_some() {
            return Err(Error::new(
                ErrorKind::InvalidSpec,
                format!("`{uri}` has a parameter where a complete location is needed"),
            ));
        }
        template.fill(&BoundParams::default())
    }
}

fn invalid(table: &str, text: &str, why: &str) -> Error {
    Error::new(
        ErrorKind::InvalidSpec,
        format!("the uri `{text}` of table `{table}` {why}"),
    )
}

/// A person who reads a record would not see them.
fn check_visible(table: &str, text: &str) -> Result<(), Error> {
    if text.contains(char::is_control) || text.trim() != text {
        return Err(invalid(
            table,
            text,
            "may not hold control characters or blanks at its ends",
        ));
    }
    Ok(())
}

fn is_folder(part: &Part) -> bool {
    matches!(part, Part::Text(text) if text.ends_with('/'))
}

fn shape(key: &str, parts: &[Part]) -> Shape {
    let is_wild = |part: &Part| matches!(part, Part::Text(text) if text.contains(WILDCARDS));
    if parts.iter().any(is_wild) {
        Shape::Glob
    } else if key.ends_with('/') {
        Shape::Below
    } else {
        Shape::Object
    }
}

/// Longest value in a segment, in bytes. A whole key has 1,024.
const LONGEST_VALUE: usize = 512;

/// The value of a parameter as part of a segment.
///
/// The key holds the value as it is (`Köln`). What could end the segment, climb out of it, name more than one object, be
/// decoded into any of that, or look like another name is refused.
fn segment(name: &str, bound: &BoundParams) -> Result<String, Error> {
    let value = bound.get(name).map(ToString::to_string).unwrap_or_default();
    let plain = !value.is_empty()
        && value.len() <= LONGEST_VALUE
        && value != "."
        && value.trim() == value
        && !value.contains("..")
        && !value.chars().any(is_refused);
    if plain {
        Ok(value)
    } else {
        Err(Error::new(
            ErrorKind::InvalidParam,
            format!(
                "the value of `{name}` cannot be part of a key: it is empty, very long, or has characters such as `/`, `..`, `*` or `%`"
            ),
        ))
    }
}

fn is_refused(c: char) -> bool {
    let invisible = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}');
    // Other slashes and dots are other characters to S3, but a person who reads the audit log would not see that.
    let lookalike = matches!(
        c,
        '\u{2044}'
            | '\u{2215}'
            | '\u{29f8}'
            | '\u{ff0f}'
            | '\u{ff3c}'
            | '\u{2024}'
            | '\u{2025}'
            | '\u{2026}'
            | '\u{ff0e}'
    );
    c.is_control() || invisible || lookalike || "/\\%#?*[]{}<>|^`\"".contains(c)
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
    fn the_reach_of_a_uri_is_what_a_policy_has_to_allow() {
        for (uri, keys, listed) in [
            ("s3://b/calls.csv", "calls.csv", None),
            ("s3://b/{date}/calls-{queue}.csv", "*/calls-*.csv", None),
            ("s3://b/calls/", "calls/*", Some("calls/")),
            ("s3://b/{date}/calls/", "*/calls/*", Some("*/calls/")),
            ("s3://b/{date}/ca*.csv", "*/ca*.csv", Some("*/ca")),
            ("s3://b/a/*/{date}.csv", "a/*/*.csv", Some("a/")),
            ("s3://b/a$/x?-[0-9]/", "a${$}/x?-?/*", Some("a${$}/x")),
        ] {
            let reach = UriTemplate::parse("t", uri).unwrap().reach();
            assert_eq!(
                (reach.keys.as_str(), reach.listed.as_deref()),
                (keys, listed),
                "{uri}"
            );
        }
    }

    #[test]
    fn a_uri_cannot_climb() {
        for uri in [
            "s3://b/../key",
            "s3://b/a/./key",
            "s3://b/a//key",
            "s3://b/{",
            "s3://b/{}",
            "s3://b/{a}}",
            "s3://b/{a b}",
            "s3://b//key",
            "s3://b/key ",
            "s3://b/{p} ",
            "s3://b/a\tb",
            "s3://b/a\nb",
            "s3://b/a\u{1f}",
            "s3://b/a[{p}].csv",
        ] {
            assert!(UriTemplate::parse("t", uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn a_value_stays_in_its_segment() {
        use crate::params::ParamSet;
        let specs = serde_json::from_value(serde_json::json!({ "p": { "type": "string" } }));
        let params = ParamSet::try_new(specs.unwrap()).unwrap();
        let template = UriTemplate::parse("t", "s3://b/a/{p}/x-{p}.csv").unwrap();
        let fill = |value: &str| {
            let sent = serde_json::json!({ "p": value });
            let bound = params.bind(sent.as_object().unwrap(), chrono::DateTime::UNIX_EPOCH);
            bound.and_then(|bound| template.fill(&bound))
        };
        for (value, key) in [
            ("2026-01-01", "a/2026-01-01/x-2026-01-01.csv"),
            ("K\u{f6}ln", "a/K\u{f6}ln/x-K\u{f6}ln.csv"),
            ("Tech Tier 2", "a/Tech Tier 2/x-Tech Tier 2.csv"),
            ("a+b&c=d", "a/a+b&c=d/x-a+b&c=d.csv"),
        ] {
            assert_eq!(fill(value).unwrap().key(), Some(key));
        }
        for value in [
            "",
            ".",
            "..",
            "a/b",
            "/",
            "../x",
            "a..b",
            "%2e%2e",
            "%2f",
            "a%",
            "*",
            "a?b",
            "[a]",
            "{p}",
            "a#b",
            "a\\b",
            "a\nb",
            "a\0b",
            " a",
            "a ",
            "a\u{2215}b",
            "\u{ff0e}\u{ff0e}",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{feff}a",
        ] {
            assert!(fill(value).is_err(), "{value:?}");
        }
        assert!(fill(&"x".repeat(513)).is_err());
    }

    #[test]
    fn prefixes_and_globs_are_not_exact() {
        let exact = |uri| UriTemplate::parse("t", uri).unwrap().is_exact();
        assert!(exact("s3://b/exports/{date}/calls.csv"));
        assert!(!exact("s3://b/exports/{date}/"));
        assert!(!exact("s3://b/exports/*/calls.csv"));
    }
}
