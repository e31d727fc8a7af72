//! Which objects this installation may read at all, whatever IAM says.

use flowlake_transform::{KeyPattern, Location};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::{ActionError, ErrorCode, OutputObject};

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
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySettings {
    /// Patterns of the objects that may be read.
    pub allow: Vec<String>,
    /// Patterns of the objects that may not be read, also when `allow` matches.
    pub deny: Vec<String>,
    /// Patterns of the objects that answers may be written to (`--output s3://…` of the command line); nothing may when it is left
    /// out. `deny` has no say in it.
    pub write: Vec<String>,
    /// Whether all of S3 may be read.
    #[serde(skip)]
    pub(crate) all: bool,
}

impl PolicySettings {
    /// All of S3: IAM alone decides. No file can say it, since each of its patterns names a bucket.
    pub(crate) fn of_s3() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }
}

/// The checked form of [`PolicySettings`].
#[derive(Debug, Clone)]
pub struct ReadPolicy {
    allow: Vec<Entry>,
    deny: Vec<Entry>,
    write: Vec<Entry>,
    all: bool,
}

/// An entry of the section.
#[derive(Debug, Clone)]
struct Entry {
    bucket: String,
    /// As it is written.
    text: String,
    keys: KeyPattern,
}

impl ReadPolicy {
    /// Checks the patterns.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] for a pattern that is not `s3://bucket/key` or has a wildcard in its bucket.
    pub fn try_new(settings: &PolicySettings) -> Result<Self, ActionError> {
        let parse = |key: &str, patterns: &[String]| {
            patterns
                .iter()
                .map(|text| Entry::try_new(text))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| error.at_key(["policy", key]))
        };
        Ok(Self {
            allow: parse("allow", &settings.allow)?,
            deny: parse("deny", &settings.deny)?,
            write: parse("write", &settings.write)?,
            all: settings.all,
        })
    }

    /// Checks that every object that a location can name may be read: one entry of `allow` contains all of them, and no
    /// entry of `deny` contains one of them. What lies there at the moment does not matter.
    ///
    /// # Errors
    /// [`ErrorCode::PolicyDenied`], naming the location and the setting to change.
    pub fn check(&self, location: &Location) -> Result<(), ActionError> {
        // Only a question can name files of this machine, and the operating system knows which ones the person may read.
        if self.all || location.is_local() {
            return Ok(());
        }
        let of_bucket = |entry: &&Entry| entry.bucket == location.bucket();
        let mut denies = self.deny.iter().filter(of_bucket);
        if let Some(entry) = denies.find(|entry| location.meets(&entry.keys)) {
            return Err(denied(&location.to_string(), entry));
        }
        let mut allows = self.allow.iter().filter(of_bucket);
        if allows.any(|entry| location.is_within(&entry.keys)) {
            return Ok(());
        }
        let pattern = proposed(location);
        Err(not_allowed(
            &location.to_string(),
            location.bucket(),
            &pattern,
        ))
    }

    /// Checks that one object may be read.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_key(&self, bucket: &str, key: &str) -> Result<(), ActionError> {
        if self.all {
            return Ok(());
        }
        let has_it = |entry: &&Entry| entry.bucket == bucket && entry.keys.matches(key);
        let object = || format!("s3://{bucket}/{key}");
        if let Some(entry) = self.deny.iter().find(has_it) {
            return Err(denied(&object(), entry));
        }
        if self.allow.iter().any(|entry| has_it(&entry)) {
            return Ok(());
        }
        let folder = key.rfind('/').map_or("", |slash| &key[..=slash]);
        Err(not_allowed(&object(), bucket, &format!("{folder}*")))
    }
}

impl ReadPolicy {
    /// Checks that an answer may be written to an object.
    pub(crate) fn check_write(&self, to: &OutputObject) -> Result<(), ActionError> {
        let OutputObject { bucket, key } = to;
        let may = |entry: &Entry| entry.bucket == *bucket && entry.keys.matches(key.as_ref());
        if self.write.iter().any(may) {
            return Ok(());
        }
        let key: &str = key.as_ref();
        let folder = key.rfind('/').map_or("", |slash| &key[..=slash]);
        Err(ActionError::new(
            ErrorCode::PolicyDenied,
            format!("no entry of the policy allows {to} to be written"),
            format!(
                "Add a pattern such as \"s3://{bucket}/{folder}*\" to `write` in [policy] of flowlake.toml."
            ),
        ))
    }
}

fn not_allowed(what: &str, bucket: &str, pattern: &str) -> ActionError {
    ActionError::new(
        ErrorCode::PolicyDenied,
        format!("no entry of the policy allows {what}"),
        format!(
            "Add a pattern such as \"s3://{bucket}/{pattern}\" to `allow` in [policy] of flowlake.toml."
        ),
    )
}

/// A pattern for the policy that allows a location: the folder of an object, and otherwise as little as a pattern can say.
fn proposed(location: &Location) -> String {
    let written = location.as_written();
    match location.list_prefix() {
        None => format!("{}*", location.folder()),
        Some(_) if !written.contains(['?', '[']) && !written.ends_with('/') => written.to_owned(),
        Some(prefix) => format!("{prefix}*"),
    }
}

fn denied(what: &str, entry: &Entry) -> ActionError {
    ActionError::new(
        ErrorCode::PolicyDenied,
        format!("the policy denies {what}"),
        format!(
            "Write a uri that leaves it out (`*` stands for `/` too), or remove \"{}\" from `deny` in [policy].",
            entry.text
        ),
    )
}

impl Entry {
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
            text: text.to_owned(),
            keys: KeyPattern::policy(key),
        })
    }
}

#[cfg(test)]
mod tests {
    use flowlake_transform::Location;

    use super::{PolicySettings, ReadPolicy};
    use crate::{ActionError, ErrorCode};

    fn refusal(allow: &[&str], deny: &[&str], key: &str) -> Option<ActionError> {
        let strings =
            |patterns: &[&str]| patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let policy = ReadPolicy::try_new(&PolicySettings {
            allow: strings(allow),
            deny: strings(deny),
            ..PolicySettings::default()
        })
        .unwrap();
        let location = Location::parse(&format!("s3://lake/{key}")).unwrap();
        let error = policy.check(&location).err()?;
        assert_eq!(error.code(), ErrorCode::PolicyDenied);
        assert!(error.message().contains(key));
        Some(error)
    }

    fn check(allow: &[&str], deny: &[&str], key: &str) -> bool {
        refusal(allow, deny, key).is_none()
    }

    #[test]
    fn the_advice_on_a_denied_glob_is_to_leave_out_what_is_denied() {
        let denied = ["s3://lake/exports/payroll/*"];
        let error = refusal(&["s3://lake/*"], &denied, "exports/pay*").unwrap();
        assert!(error.advice().contains("leaves it out"), "{error:?}");
        assert!(error.advice().contains(denied[0]), "{error:?}");
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        assert!(!check(&[], &[], "exports/a.csv"));
    }

    #[test]
    fn patterns_match_whole_keys() {
        assert!(check(&["s3://lake/exports/*"], &[], "exports/2026/a.csv"));
        assert!(check(&["s3://lake/exports/*.csv"], &[], "exports/a.csv"));
        let bak = "exports/a.csv.bak";
        assert!(!check(&["s3://lake/exports/*.csv"], &[], bak));
        assert!(!check(&["s3://lake/exports/*"], &[], "other/exports/a.csv"));
        assert!(!check(&["s3://other/*"], &[], "exports/a.csv"));
    }

    #[test]
    fn a_prefix_needs_a_pattern_that_covers_all_below_it() {
        assert!(check(&["s3://lake/exports/*"], &[], "exports/2026/"));
        assert!(check(&["s3://lake/calls/*"], &[], "calls/"));
        assert!(!check(
            &["s3://lake/exports/2026/a.csv"],
            &[],
            "exports/2026/"
        ));
        assert!(!check(&["s3://lake/*.csv"], &[], "exports/"));
        assert!(!check(&["s3://lake/a*", "s3://lake/b*"], &[], "[ab]/"));
    }

    #[test]
    fn a_glob_needs_a_pattern_that_covers_all_that_it_matches() {
        for (allow, key, allowed) in [
            ("s3://lake/exports/*.csv", "exports/*.csv", true),
            ("s3://lake/exports/*.csv", "exports/2026-*.csv", true),
            ("s3://lake/exports/part-*", "exports/part-*.csv", true),
            ("s3://lake/exports/part-*", "exports/*.csv", false),
            ("s3://lake/exports/*.csv", "exports/*", false),
        ] {
            assert_eq!(check(&[allow], &[], key), allowed, "{allow} {key}");
        }
    }

    #[test]
    fn deny_wins_also_for_a_prefix_that_contains_it() {
        for (deny, key, allowed) in [
            (
                "s3://lake/exports/payroll/*",
                "exports/payroll/a.csv",
                false,
            ),
            ("s3://lake/exports/payroll/*", "exports/", false),
            ("s3://lake/exports/payroll/*", "exports/queues/", true),
            ("s3://lake/exports/payroll/*", "exports/pay/", true),
            ("s3://lake/*/payroll.csv", "exports/", false),
            ("s3://lake/exports/team=hr/*", "exports/part-*.csv", true),
            ("s3://lake/exports/team=hr/*", "exports/*.csv", false),
        ] {
            assert_eq!(
                check(&["s3://lake/*"], &[deny], key),
                allowed,
                "{deny} {key}"
            );
        }
    }

    #[test]
    fn the_advice_is_no_wider_than_the_location() {
        for (key, pattern) in [
            ("calls/", "\"s3://lake/calls/*\""),
            ("exports/part-*.csv", "\"s3://lake/exports/part-*.csv\""),
            ("exports/part-?.csv", "\"s3://lake/exports/part-*\""),
            ("exports/a.csv", "\"s3://lake/exports/*\""),
        ] {
            let advice = refusal(&[], &[], key).unwrap().advice().to_owned();
            assert!(advice.contains(pattern), "{advice}");
        }
    }

    #[test]
    fn a_pattern_without_a_key_is_refused() {
        for pattern in ["lake/exports", "s3://lake", "s3://*/exports/*", "s3:///x"] {
            let settings = PolicySettings {
                allow: vec![pattern.to_owned()],
                ..PolicySettings::default()
            };
            assert_eq!(
                ReadPolicy::try_new(&settings).unwrap_err().code(),
                ErrorCode::ConfigInvalid
            );
        }
    }
}
