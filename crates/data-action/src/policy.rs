//! Which objects this installation may read at all, whatever IAM says.

use serde::Deserialize;
use url::Url;

use crate::{ActionError, ErrorCode};

/// `[policy]`: the locations that actions may read.
///
/// ```toml
/// [policy]
/// allow = ["s3://genesys-data-lake/exports/*"]
/// deny = ["s3://genesys-data-lake/exports/payroll/*"]
/// ```
///
/// A pattern is a bucket and a key; `*` stands for any characters of a key, `/` included.
/// Nothing is allowed that no pattern allows, and `deny` wins.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySettings {
    /// Patterns of the objects that may be read.
    pub allow: Vec<String>,
    /// Patterns of the objects that may not be read, also when `allow` matches.
    pub deny: Vec<String>,
}

/// The checked form of [`PolicySettings`].
#[derive(Debug, Clone)]
pub struct ReadPolicy {
    allow: Vec<Pattern>,
    deny: Vec<Pattern>,
}

#[derive(Debug, Clone)]
struct Pattern {
    bucket: String,
    key: String,
}

impl ReadPolicy {
    /// Checks the patterns.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] for a pattern that is not `s3://bucket/key` or has a wildcard in its bucket.
    pub fn try_new(settings: &PolicySettings) -> Result<Self, ActionError> {
        let parse = |patterns: &[String]| {
            patterns
                .iter()
                .map(|text| Pattern::try_new(text))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            allow: parse(&settings.allow)?,
            deny: parse(&settings.deny)?,
        })
    }

    /// Checks that everything at `key` in the bucket of `store_url` may be read.
    ///
    /// `key` may itself be a prefix or a glob: then every object that it can name must be allowed,
    /// so it is compared as text, which is exact because a pattern's `*` matches any text.
    ///
    /// # Errors
    /// [`ErrorCode::PolicyDenied`], naming the location and the setting to change.
    pub fn check(&self, store_url: &Url, key: &str, is_prefix: bool) -> Result<(), ActionError> {
        let bucket = store_url.host_str().unwrap_or_default();
        let allowed = self
            .allow
            .iter()
            .any(|pattern| pattern.covers(bucket, key, is_prefix));
        let denied = self
            .deny
            .iter()
            .find(|pattern| pattern.touches(bucket, key, is_prefix));
        match (allowed, denied) {
            (true, None) => Ok(()),
            (_, Some(pattern)) => Err(ActionError::new(
                ErrorCode::PolicyDenied,
                format!("the policy denies s3://{bucket}/{key}"),
                format!(
                    "Remove \"s3://{}/{}\" from `deny` in [policy] if this object may be read.",
                    pattern.bucket, pattern.key
                ),
            )),
            (false, None) => Err(ActionError::new(
                ErrorCode::PolicyDenied,
                format!("no entry of the policy allows s3://{bucket}/{key}"),
                format!(
                    "Add a pattern such as \"s3://{bucket}/{}\" to `allow` in [policy] of flowlake.toml.",
                    parent_pattern(key)
                ),
            )),
        }
    }
}

impl Pattern {
    fn try_new(text: &str) -> Result<Self, ActionError> {
        let (bucket, key) = text
            .strip_prefix("s3://")
            .and_then(|rest| rest.split_once('/'))
            .unwrap_or_default();
        if bucket.is_empty() || key.is_empty() || bucket.contains('*') {
            return Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("`{text}` in [policy] is not a pattern of objects"),
                "Write s3://bucket/key, with `*` only in the key, such as \"s3://genesys-data-lake/exports/*\".",
            ));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Whether the pattern allows every object that `key` can name.
    fn covers(&self, bucket: &str, key: &str, is_prefix: bool) -> bool {
        let whole_tail = !is_prefix || self.key.ends_with('*');
        self.bucket == bucket && whole_tail && matches(self.key.as_bytes(), key.as_bytes())
    }

    /// Whether the pattern may match an object that `key` can name.
    fn touches(&self, bucket: &str, key: &str, is_prefix: bool) -> bool {
        let literal = self.key.split('*').next().unwrap_or_default();
        let below = is_prefix
            && (literal.starts_with(fixed_part(key)) || fixed_part(key).starts_with(literal));
        self.bucket == bucket && (below || matches(self.key.as_bytes(), key.as_bytes()))
    }
}

/// The part of a prefix or glob before its first wildcard.
fn fixed_part(key: &str) -> &str {
    key.split(['*', '?', '[', '{']).next().unwrap_or_default()
}

fn parent_pattern(key: &str) -> String {
    let fixed = fixed_part(key);
    fixed
        .rsplit_once('/')
        .map_or_else(|| "*".to_owned(), |(folder, _)| format!("{folder}/*"))
}

/// Wildcard match in linear space: on a mismatch, the last `*` takes one more byte.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            retry = Some((p + 1, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((after_star, start)) = retry {
            p = after_star;
            t = start + 1;
            retry = Some((after_star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{PolicySettings, ReadPolicy};
    use crate::ErrorCode;

    fn check(allow: &[&str], deny: &[&str], key: &str, is_prefix: bool) -> bool {
        let strings =
            |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let policy = ReadPolicy::try_new(&PolicySettings {
            allow: strings(allow),
            deny: strings(deny),
        })
        .unwrap();
        let store = Url::parse("s3://lake").unwrap();
        match policy.check(&store, key, is_prefix) {
            Ok(()) => true,
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::PolicyDenied);
                assert!(error.message().contains(key));
                false
            }
        }
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        assert!(!check(&[], &[], "exports/a.csv", false));
    }

    #[test]
    fn patterns_match_whole_keys() {
        assert!(check(
            &["s3://lake/exports/*"],
            &[],
            "exports/2026/a.csv",
            false
        ));
        assert!(check(
            &["s3://lake/exports/*.csv"],
            &[],
            "exports/a.csv",
            false
        ));
        assert!(!check(
            &["s3://lake/exports/*.csv"],
            &[],
            "exports/a.csv.bak",
            false
        ));
        assert!(!check(
            &["s3://lake/exports/*"],
            &[],
            "other/exports/a.csv",
            false
        ));
        assert!(!check(&["s3://other/*"], &[], "exports/a.csv", false));
    }

    #[test]
    fn a_prefix_needs_a_pattern_that_covers_all_below_it() {
        assert!(check(&["s3://lake/exports/*"], &[], "exports/2026/", true));
        assert!(!check(
            &["s3://lake/exports/2026/a.csv"],
            &[],
            "exports/2026/",
            true
        ));
        assert!(!check(&["s3://lake/*.csv"], &[], "exports/", true));
    }

    #[test]
    fn deny_wins_also_for_a_prefix_that_contains_it() {
        assert!(!check(
            &["s3://lake/*"],
            &["s3://lake/exports/payroll/*"],
            "exports/payroll/a.csv",
            false
        ));
        assert!(!check(
            &["s3://lake/*"],
            &["s3://lake/exports/payroll/*"],
            "exports/",
            true
        ));
        assert!(check(
            &["s3://lake/*"],
            &["s3://lake/exports/payroll/*"],
            "exports/queues/",
            true
        ));
    }

    #[test]
    fn a_pattern_without_a_key_is_refused() {
        for pattern in ["lake/exports", "s3://lake", "s3://*/exports/*", "s3:///x"] {
            let settings = PolicySettings {
                allow: vec![pattern.to_owned()],
                deny: Vec::new(),
            };
            assert_eq!(
                ReadPolicy::try_new(&settings).unwrap_err().code(),
                ErrorCode::ConfigInvalid
            );
        }
    }
}
