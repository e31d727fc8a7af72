//! What a table reads: a bucket, and one key, all keys below a prefix, or the keys that match a glob.
//!
//! Files of this machine are seen as one more bucket, [`LOCAL_FILES`]. The key of a file is its path without the first `/`.
//!
//! Policy, IAM questions, listings, the engine, explanations and records all use this type, so that they agree on what a
//! uri means.

mod pattern;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, sync::Arc};

use object_store::path::Path;

pub use self::pattern::KeyPattern;

/// The name of the bucket of all files of this machine. No bucket of S3 can be called so.
pub const LOCAL_FILES: &str = "(local files)";

/// The objects that one uri of a table names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    bucket: Arc<str>,
    /// The key, prefix or glob as it was written, with its parameters filled in.
    text: String,
    keys: Keys,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Keys {
    /// One object, by the name that object stores know it by, which is its key.
    One(Path),
    Below,
    Like {
        pattern: Arc<KeyPattern>,
        prefix: String,
        /// Slashes that a key has; any number where it is not said.
        slashes: Option<usize>,
    },
}

impl Location {
    /// One object.
    pub(crate) fn object(bucket: Arc<str>, key: Path) -> Self {
        Self {
            bucket,
            text: key.to_string(),
            keys: Keys::One(key),
        }
    }

    /// All keys that begin with `prefix`, which ends in `/`.
    pub(crate) const fn below(bucket: Arc<str>, prefix: String) -> Self {
        Self {
            bucket,
            text: prefix,
            keys: Keys::Below,
        }
    }

    /// The keys that match a pattern; `text` is the pattern as it was written.
    pub(crate) fn like(bucket: Arc<str>, text: String, pattern: KeyPattern) -> Self {
        let mut prefix = pattern.literal_prefix();
        // A directory bucket lists only prefixes that end in `/` (Amazon S3 API Reference, "ListObjectsV2").
        if bucket.ends_with("--x-s3") {
            prefix.truncate(prefix.rfind('/').map_or(0, |slash| slash + 1));
        }
        // A `*` stays in its folder, as shells have it: with as many slashes as the pattern, no `*` can stand for one.
        let is_of_folder = &*bucket == LOCAL_FILES && !text.contains("**") && !text.ends_with('/');
        let slashes = is_of_folder.then(|| text.matches('/').count());
        Self {
            bucket,
            text,
            keys: Keys::Like {
                pattern: Arc::new(pattern),
                prefix,
                slashes,
            },
        }
    }

    /// The bucket's name; [`LOCAL_FILES`] for files of this machine.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Whether the location is of files of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        &*self.bucket == LOCAL_FILES
    }

    /// Slashes that the keys of a listing have, where the location says so: folders below need not be looked into.
    #[must_use]
    pub const fn slashes(&self) -> Option<usize> {
        match &self.keys {
            Keys::Like { slashes, .. } => *slashes,
            _ => None,
        }
    }

    /// The key, prefix or glob as it was written, with its parameters filled in.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.text
    }

    /// The key, when the location names exactly one object.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        matches!(self.keys, Keys::One(_)).then_some(&self.text)
    }

    /// The key as object stores name it, when the location names exactly one object.
    #[must_use]
    pub const fn path(&self) -> Option<&Path> {
        match &self.keys {
            Keys::One(path) => Some(path),
            _ => None,
        }
    }

    /// The prefix that its objects are listed with; `None` for one object, which is never listed.
    #[must_use]
    pub fn list_prefix(&self) -> Option<&str> {
        match &self.keys {
            Keys::One(_) => None,
            Keys::Below => Some(&self.text),
            Keys::Like { prefix, .. } => Some(prefix),
        }
    }

    /// The folders before the first wildcard, with their final slash; empty for the whole bucket.
    #[must_use]
    pub fn folder(&self) -> &str {
        let fixed = self.list_prefix().unwrap_or(&self.text);
        &fixed[..fixed.rfind('/').map_or(0, |slash| slash + 1)]
    }

    /// Whether the location names an object of its bucket.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        match &self.keys {
            Keys::One(_) => key == self.text,
            Keys::Below => key.starts_with(&self.text),
            Keys::Like {
                pattern, slashes, ..
            } => {
                pattern.matches(key)
                    && slashes.is_none_or(|slashes| key.matches('/').count() == slashes)
            }
        }
    }

    /// Whether every key that the location names matches `pattern`.
    #[must_use]
    pub fn is_within(&self, pattern: &KeyPattern) -> bool {
        match &self.keys {
            // Every look-up asks this: no pattern is built for it.
            Keys::One(_) => pattern.matches(&self.text),
            _ => self.pattern().is_within(pattern),
        }
    }

    /// Whether some key that the location names matches `pattern`.
    #[must_use]
    pub fn meets(&self, pattern: &KeyPattern) -> bool {
        match &self.keys {
            Keys::One(_) => pattern.matches(&self.text),
            _ => self.pattern().meets(pattern),
        }
    }

    /// The location in the syntax of IAM resources, for a policy to paste.
    #[must_use]
    pub fn as_wildcards(&self) -> String {
        self.pattern().as_wildcards()
    }

    /// What may be wrong with the text, where nothing lies at the location.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let written = self.to_string();
        let decoded = percent_encoding::percent_decode_str(&written).decode_utf8();
        if let Ok(decoded) = decoded
            && decoded != written
        {
            return Some(format!(
                "keys are compared as they are written, `%` included: did you mean `{decoded}`?"
            ));
        }
        let last = self.text.rsplit('/').next().unwrap_or_default();
        let is_folder = self.path().is_some() && !last.contains('.');
        is_folder
            .then(|| format!("for all that lies below it, write a `/` behind it: `{written}/`"))
    }

    fn pattern(&self) -> Cow<'_, KeyPattern> {
        match &self.keys {
            Keys::One(_) => Cow::Owned(KeyPattern::literal(&self.text)),
            Keys::Below => Cow::Owned(KeyPattern::below(&self.text)),
            Keys::Like { pattern, .. } => Cow::Borrowed(pattern),
        }
    }
}

/// `s3://bucket/key`, or the path of a file.
impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_local() {
            write!(formatter, "/{}", self.text)
        } else {
            write!(formatter, "s3://{}/{}", self.bucket, self.text)
        }
    }
}
